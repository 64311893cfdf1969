//! The measuring half of roundtable: plan, child processes, load generator, verification,
//! statistics, store and report.
//!
//! In scope: everything between "which cells" and "a chart on disk". Out of scope: proxying. This crate does
//! not link the balancer's core; it meets a balancer as a process, over bytes, so that a bug in a parser that
//! both shared could not hide itself.

pub mod analysis;
#[cfg(test)]
mod fixtures;
pub mod host;
pub mod load;
pub mod plan;
pub mod probes;
pub mod record;
pub mod report;
pub mod statistics;
pub mod testbed;
mod text;
pub mod trial;
