//! Histories of a cache: requests, answers and faults one after the other, with time between them
//! (`tests/core/cache_history.rs` says how they are written).
#![no_main]

use libfuzzer_sys::fuzz_target;
use roundtable_fuzz::cache_history;

fuzz_target!(|input: &[u8]| {
    cache_history::play(input);
});
