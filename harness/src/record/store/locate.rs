//! Which runs there are, and which one a user means.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ENVIRONMENT, StoreError};

/// The folder under `results/` that holds the tables of 2021: no run.
const PUBLISHED: &str = "published";

/// The folder of `run`, which is a name under `results` or a path; the newest run when none is named.
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

/// Every run under `results`, with the instant of its beginning.
fn runs(results: &Path) -> Result<Vec<(jiff::Timestamp, PathBuf)>, StoreError> {
    #[derive(Deserialize)]
    struct Begun {
        created: String,
    }
    let entries = match fs::read_dir(results) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(reason) => return Err(StoreError::Unreadable { path: results.to_path_buf(), reason }),
    };
    let begun = |dir: &Path| -> Option<jiff::Timestamp> {
        let text = fs::read(dir.join(ENVIRONMENT)).ok()?;
        serde_json::from_slice::<Begun>(&text).ok()?.created.parse().ok()
    };
    Ok(entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|dir| dir.file_name().is_some_and(|name| name != PUBLISHED))
        .filter_map(|dir| Some((begun(&dir)?, dir)))
        .collect())
}

fn known(results: &Path, runs: &[(jiff::Timestamp, PathBuf)]) -> String {
    let mut names: Vec<_> =
        runs.iter().filter_map(|(_, dir)| Some(dir.file_name()?.to_string_lossy())).collect();
    names.sort();
    match names.as_slice() {
        [] => format!(" and {} holds none", results.display()),
        names => format!("; {} holds {}", results.display(), names.join(", ")),
    }
}
