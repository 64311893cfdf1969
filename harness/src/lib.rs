//! The measuring half of roundtable: plan, child processes, load generator, verification,
//! statistics, store and report.
//!
//! In scope: everything between "which cells" and "a chart on disk". Out of scope: proxying. This crate does
//! not link the balancer's core; it meets a balancer as a process, over bytes, so that a bug in a parser that
//! both shared could not hide itself.

pub mod analysis;
pub mod control;
pub mod crew;
pub mod crosscheck;
pub mod data;
pub mod environment;
pub mod fault;
#[cfg(test)]
mod fixtures;
pub mod host;
pub mod latency;
pub mod load;
pub mod plan;
pub mod precision;
pub mod process;
pub mod progress;
pub mod rate;
pub mod report;
pub mod row;
pub mod runner;
pub mod schedule;
pub mod stand;
pub mod statistics;
pub mod store;
pub mod syscalls;
mod text;
pub mod tool;
pub mod verify;
