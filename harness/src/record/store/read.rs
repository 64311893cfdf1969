//! A run's folder as it is read: whole files, and files with one value a line.
//!
//! Owns which schema is read by which type, and where in a file something is wrong. Rule: a last line that a killed writer left
//! unfinished is not a value; any other line that cannot be read is an error that names it.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::{ENVIRONMENT, FAULTS, StoreError, TRIALS, name};
use crate::plan::Condition;
use crate::record::earlier::{EARLIER, Environment1, FaultTrial1, Trial1};
use crate::record::{Environment, SCHEMA, Stored, Trial};

pub(super) fn must_hold_a_run(dir: &Path) -> Result<(), StoreError> {
    if !dir.is_dir() {
        return Err(StoreError::NoSuchRun { run: dir.display().to_string(), known: String::new() });
    }
    let trials = if dir.join(FAULTS).is_file() { FAULTS } else { TRIALS };
    match [ENVIRONMENT, trials].into_iter().find(|file| !dir.join(file).exists()) {
        Some(file) => Err(StoreError::Incomplete { dir: dir.to_path_buf(), file }),
        None => Ok(()),
    }
}

/// How `trials.jsonl` ends.
pub(super) struct Tail {
    /// Length up to the end of the last trial, bytes.
    pub(super) whole: u64,
    /// The last trial is whole but its line end is not there.
    pub(super) lacks_newline: bool,
}

pub(super) fn read_all(dir: &Path) -> Result<(Stored, Tail), StoreError> {
    let environment = read_environment(&dir.join(ENVIRONMENT))?;
    let base = &environment.plan.base;
    let (trials, tail) = if dir.join(FAULTS).is_file() {
        read_earlier_faults(&dir.join(FAULTS), base)?
    } else {
        read_trials(&dir.join(TRIALS), base)?
    };
    Ok((Stored { name: name::of_run(dir), environment, trials }, tail))
}

fn read_environment(path: &Path) -> Result<Environment, StoreError> {
    parse_value(&read_file(path)?, path, &|schema, json| match schema {
        SCHEMA => Some(serde_json::from_slice(json)),
        EARLIER => Some(serde_json::from_slice(json).map(Environment1::today)),
        _ => None,
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, StoreError> {
    fs::read(path).map_err(|reason| StoreError::Unreadable { path: path.into(), reason })
}

/// Reads JSON of a schema; `None` where that one is not known.
type Versions<'a, T> = &'a dyn Fn(u32, &[u8]) -> Option<serde_json::Result<T>>;

/// The value that is a whole file.
fn parse_value<T>(text: &[u8], path: &Path, versions: Versions<'_, T>) -> Result<T, StoreError> {
    parse(text, path, None, versions, "name another run, or run again")
}

fn read_trials(path: &Path, base: &Condition) -> Result<(Vec<Trial>, Tail), StoreError> {
    const REMEDY: &str = "delete that line (its trial is measured again by --resume), or run again";
    let versions = |schema: u32, json: &[u8]| match schema {
        SCHEMA => Some(serde_json::from_slice(json)),
        EARLIER => Some(serde_json::from_slice(json).map(|trial: Trial1| trial.today(base))),
        _ => None,
    };
    parse_lines(&read_file(path)?, path, &versions, REMEDY)
}

fn read_earlier_faults(path: &Path, base: &Condition) -> Result<(Vec<Trial>, Tail), StoreError> {
    // The lines had a schema number of their own: it was the first, too.
    let versions = |schema: u32, json: &[u8]| {
        (schema == EARLIER).then(|| serde_json::from_slice(json).map(|trial: FaultTrial1| trial.today(base)))
    };
    parse_lines(&read_file(path)?, path, &versions, "delete that line, or run again")
}

/// The values of a file with one a line, but for a last one that was left unfinished.
fn parse_lines<T>(
    text: &[u8],
    path: &Path,
    versions: Versions<'_, T>,
    remedy: &'static str,
) -> Result<(Vec<T>, Tail), StoreError> {
    let mut trials = Vec::new();
    let mut tail = Tail { whole: 0, lacks_newline: false };
    for (index, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let finished = line.ends_with(b"\n");
        if line.trim_ascii().is_empty() {
            if finished {
                tail.whole += line.len() as u64;
            }
            continue;
        }
        match parse(line, path, Some(index + 1), versions, remedy) {
            Ok(trial) => trials.push(trial),
            Err(StoreError::Broken { .. }) if !finished => break,
            Err(error) => return Err(error),
        }
        tail.whole += line.len() as u64;
        tail.lacks_newline = !finished;
    }
    Ok((trials, tail))
}

/// The schema number is read first: another version may differ in everything else. `line` is the JSON's place in
/// its file, where the file has one value a line.
fn parse<T>(
    json: &[u8],
    path: &Path,
    line: Option<usize>,
    versions: Versions<'_, T>,
    remedy: &'static str,
) -> Result<T, StoreError> {
    #[derive(Deserialize)]
    struct Versioned {
        schema: u32,
    }
    let broken = |error: serde_json::Error| StoreError::Broken {
        path: path.to_path_buf(),
        line: line.unwrap_or(error.line()),
        reason: reason(&error),
        remedy,
    };
    let Versioned { schema: found } = serde_json::from_slice(json).map_err(broken)?;
    let unknown = || StoreError::Schema { path: path.to_path_buf(), found };
    versions(found, json).ok_or_else(unknown)?.map_err(broken)
}

/// Without the place in the text, which would contradict the line number of the file.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) => format!("{} (column {})", &text[..at], error.column()),
        None => text,
    }
}
