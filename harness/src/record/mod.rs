//! What a run leaves behind: `environment.json`, and a line of `trials.jsonl` for each trial. Several runs of one command
//! stand in a folder that says so, `suite.json`.

mod earlier;
pub mod environment;
mod hosts;
mod reason;
mod sample;
mod schema;
pub mod store;
pub mod timeline;
mod trial;

pub use environment::{Build, Environment, ModelInfo};
pub use hosts::{Connect, Hosts, RunHost};
pub use reason::{Reason, in_words};
pub use sample::Sample;
pub use schema::SCHEMA;
pub use trial::{Outcome, Stored, Trial, left_invalid};
