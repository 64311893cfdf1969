//! What a run leaves behind: `environment.json`, and a line of `trials.jsonl` for each trial.

pub mod environment;
mod sample;
pub mod store;
mod trial;

pub use environment::{Build, Environment, ModelInfo};
pub use sample::Sample;
pub use trial::{Outcome, SCHEMA, Stored, Trial};
