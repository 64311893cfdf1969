//! Which runs there are, and which one a user means.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::name::SUITE;
use super::{ENVIRONMENT, StoreError};

/// The folder under `results/` that holds the tables of 2021: no run.
const PUBLISHED: &str = "published";

/// The folder of `run`, which is a name under `results` or a path; the newest run when none is named, those of suites among
/// them.
pub fn locate(results: &Path, run: Option<&str>) -> Result<PathBuf, StoreError> {
    let runs = runs(results)?;
    match run {
        Some(run) => [results.join(run), PathBuf::from(run)]
            .into_iter()
            .find(|dir| !run.is_empty() && dir.is_dir())
            .ok_or_else(|| StoreError::NoSuchRun { run: run.to_owned(), known: known(results, &runs) }),
        None => runs
            .into_iter()
            .max()
            .map(|(_, dir)| dir)
            .ok_or_else(|| StoreError::NoRuns(results.to_path_buf())),
    }
}

/// Every run under `results` and in the suites there, with the instant of its beginning.
fn runs(results: &Path) -> Result<Vec<(jiff::Timestamp, PathBuf)>, StoreError> {
    let mut found = Vec::new();
    for dir in folders(results)? {
        if dir.join(SUITE).is_file() {
            found.extend(folders(&dir)?.into_iter().filter_map(|dir| Some((begun(&dir)?, dir))));
        }
        found.extend(begun(&dir).map(|begun| (begun, dir)));
    }
    Ok(found)
}

fn folders(within: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match fs::read_dir(within) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(reason) => return Err(StoreError::Unreadable { path: within.to_path_buf(), reason }),
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.filter(|dir| dir.file_name().is_some_and(|name| name != PUBLISHED)).collect())
}

/// When the run in `dir` began, where there is one.
fn begun(dir: &Path) -> Option<jiff::Timestamp> {
    #[derive(Deserialize)]
    struct Begun {
        created: String,
    }
    let text = fs::read(dir.join(ENVIRONMENT)).ok()?;
    serde_json::from_slice::<Begun>(&text).ok()?.created.parse().ok()
}

fn known(results: &Path, runs: &[(jiff::Timestamp, PathBuf)]) -> String {
    // A suite stands for its runs.
    let name =
        |dir: &'_ Path| Some(dir.strip_prefix(results).ok()?.iter().next()?.to_string_lossy().into_owned());
    let mut names: Vec<_> = runs.iter().filter_map(|(_, dir)| name(dir)).collect();
    names.sort();
    names.dedup();
    match names.as_slice() {
        [] => format!(" and {} holds none", results.display()),
        names => format!("; {} holds {}", results.display(), names.join(", ")),
    }
}
