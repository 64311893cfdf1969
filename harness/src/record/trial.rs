//! One trial as it is stored: a line of `trials.jsonl`; and a run as it is read back.
//!
//! Owns the shapes and their schema number, nothing that computes on them and no file access. Rules: an outcome is a
//! measured sample or the reasons why there is none, never a number beside an error; a change of meaning raises
//! [`SCHEMA`].

use serde::{Deserialize, Serialize};

use super::environment::Environment;
use super::sample::Sample;
use crate::plan::Cell;

/// Version of the shapes in this file. Files of another version are refused, not guessed at.
pub const SCHEMA: u32 = 1;

/// One fresh balancer process serving one cell once: one line of `trials.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// Block (0-based): each block holds every cell once.
    pub block: u32,
    /// Place within the block (0-based): first attempts in their random order, repeats after them.
    pub position: u32,
    /// 1 for the first try; higher when an invalid trial was run again.
    pub attempt: u32,
    /// What was measured.
    pub cell: Cell,
    /// Start of the timed window, milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
    /// Wall-clock time of the whole trial, milliseconds: starting, warming up, measuring, ending.
    #[serde(default)]
    pub took_ms: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// Never a number beside an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every validity gate was passed.
    Measured(Box<Sample>),
    /// At least one was not: shown, never ranked.
    Invalid {
        /// Each gate that failed, in words, with the counts behind it.
        reasons: Vec<String>,
    },
}

/// A run as it was read back from its folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The folder's name.
    pub name: String,
    /// `environment.json`.
    pub environment: Environment,
    /// `trials.jsonl`, in the order in which the trials ended.
    pub trials: Vec<Trial>,
}
