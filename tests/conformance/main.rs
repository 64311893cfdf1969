//! One suite over real sockets, run against every model there is.
//!
//! Each test goes through the list that `roundtable models --json` prints, so a new model is tested by being listed.
//! Waits are bounded to keep a failing test from hanging; no time is asserted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]
#![allow(unreachable_pub, reason = "nothing outside a test binary reaches anything in it")]

mod clients;
mod endings;
mod exchanges;
mod failures;
mod hostility;
mod manager;
mod options;
mod patience;
mod routing;
mod support;
