//! The server of files as a client meets it: over real sockets, at a port of its own, a directory of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

mod conditions;
mod paths;
mod sending;
mod serving;
mod support;
