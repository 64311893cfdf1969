//! Whole sessions: everything that a client and backends say, pieces, timeouts, resets and ends at any operation
//! (`tests/core/encoding.rs` says how they are written).
#![no_main]

use libfuzzer_sys::fuzz_target;
use roundtable_fuzz::splits;
use roundtable_fuzz::world::World;

fuzz_target!(|input: &[u8]| splits::session(&World::decode(input)));
