//! What the fuzz targets judge the core by: the same world, strict reader and oracle as the test suite `core`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a target complains with a panic")]

#[path = "../../tests/core/cache_history.rs"]
pub mod cache_history;
#[path = "../../tests/core/cache_rules.rs"]
pub mod cache_rules;
#[path = "../../tests/core/encoding.rs"]
pub mod encoding;
#[path = "../../tests/core/grammar.rs"]
pub mod grammar;
#[path = "../../tests/core/oracle.rs"]
pub mod oracle;
#[path = "../../tests/core/peers.rs"]
pub mod peers;
#[path = "../../tests/core/splits.rs"]
pub mod splits;
#[path = "../../tests/core/strict.rs"]
pub mod strict;
#[path = "../../tests/core/world.rs"]
pub mod world;
