//! How one trial is measured, how a run goes from one to the next, and what its watcher hears.

pub mod executor;
pub mod faults;
pub mod gates;
mod machines;
pub mod progress;
pub mod rate_search;
pub mod runner;
mod window;
