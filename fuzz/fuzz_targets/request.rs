//! A request's head: what is forwarded is strictly HTTP/1.1 and means the same, what is refused had to be, and neither
//! depends on how the input was split.
#![no_main]

use libfuzzer_sys::fuzz_target;
use roundtable_fuzz::splits;

fuzz_target!(|input: &[u8]| splits::request_head(input));
