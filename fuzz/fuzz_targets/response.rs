//! A backend's answer: one byte chooses the question, the rest is the answer, up to the end of the stream.
#![no_main]

use libfuzzer_sys::fuzz_target;
use roundtable_fuzz::splits;

fuzz_target!(|input: &[u8]| {
    let [question, answer @ ..] = input else { return };
    splits::answer(*question, answer);
});
