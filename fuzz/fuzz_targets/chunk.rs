//! The chunked coding: two bytes choose the pieces, the rest is the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use roundtable_fuzz::splits;

fuzz_target!(|input: &[u8]| {
    let [first, second, body @ ..] = input else { return };
    splits::chunked_body(body, &[usize::from(*first), usize::from(*second)]);
});
