//! The core without any I/O: scenarios, properties and a seeded simulation, all in virtual time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]
#![allow(unreachable_pub, reason = "nothing outside a test binary reaches anything in it")]

mod cache;
mod cache_fetches;
mod cache_history;
mod cache_rules;
mod cache_simulation;
mod cache_validation;
mod connections;
mod corpus;
mod early;
mod encoding;
mod grammar;
mod oracle;
mod patience;
mod peers;
mod properties;
mod requests;
mod responses;
mod retries;
mod routing;
mod simulation;
mod splits;
mod strict;
mod world;
