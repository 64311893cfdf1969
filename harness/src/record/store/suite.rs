//! `suite.json`: what the runs of one command are, in the folder that holds theirs.
//!
//! Owns which runs were asked for, in which order and why; what each found is in its own folder. Rule: it is written before
//! the first run begins, so that a run that never came about is known to be missing.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::unwritable;
use super::name::{self, SUITE};
use super::{ELSEWHERE, StoreError, check_free, keep, kept, read as read_run};
use crate::record::{SCHEMA, Stored};

/// Several runs that one command asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// The schema of this file.
    pub schema: u32,
    /// The command line that asked for them.
    pub command: Vec<String>,
    /// When it began, RFC 3339.
    pub created: String,
    /// The runs, in the order in which they are measured.
    pub runs: Vec<SuiteRun>,
}

/// A run of a suite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteRun {
    /// Its folder in the suite's.
    pub folder: String,
    /// The scenario that it belongs to.
    pub scenario: String,
    /// What that scenario asks.
    pub question: String,
}

/// A suite as it is stored.
#[derive(Debug)]
pub struct StoredSuite {
    /// The name of its folder.
    pub name: String,
    /// What was asked for.
    pub suite: Suite,
    /// What is there of each run, in the suite's order; `Err` holds why one cannot be shown.
    pub runs: Vec<Result<Stored, StoreError>>,
}

impl Suite {
    /// A suite that begins now.
    pub fn new(command: Vec<String>, runs: Vec<SuiteRun>) -> Self {
        Suite { schema: SCHEMA, command, created: jiff::Timestamp::now().to_string(), runs }
    }
}

/// Begins `suite` in `dir`, which is made if need be. Refuses a folder that holds a suite or a run.
pub fn begin(dir: &Path, suite: &Suite) -> Result<(), StoreError> {
    check_free(dir)?;
    if dir.join(SUITE).exists() {
        return Err(StoreError::Occupied(dir.to_path_buf()));
    }
    fs::create_dir_all(dir).map_err(|reason| unwritable(dir, reason, ELSEWHERE))?;
    keep(dir, SUITE, suite)?;
    Ok(())
}

/// The suite in `dir`, with what its runs' folders hold; `None` where there is none.
pub fn read(dir: &Path) -> Result<Option<StoredSuite>, StoreError> {
    let Some(suite) = asked_for(dir)? else { return Ok(None) };
    let runs = suite.runs.iter().map(|run| read_run(&dir.join(&run.folder))).collect();
    Ok(Some(StoredSuite { name: name::of_folder(dir), suite, runs }))
}

/// What the suite in `dir` asked for; `None` where there is none.
pub fn asked_for(dir: &Path) -> Result<Option<Suite>, StoreError> {
    let Some(suite) = kept::<Suite>(dir, SUITE)? else { return Ok(None) };
    match suite.schema {
        SCHEMA => Ok(Some(suite)),
        found => Err(StoreError::Schema { path: dir.join(SUITE), found }),
    }
}
