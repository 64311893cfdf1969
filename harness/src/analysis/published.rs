//! The tables that two student groups published in 2021: which model was faster in them.
//!
//! Reads `results/published/*.csv`. A row with responses other than 2xx counted errors as throughput, and is not valid. No
//! row was repeated in 2021, so nothing says how sure any of it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

const HEADER: &str =
    "model,backends,concurrency,complete_requests,non_2xx,requests_per_second,mean_ms_across";
const REMEDY: &str = "restore it from version control, or move it away";

/// A published table that cannot be used.
#[derive(Debug, Error)]
pub enum PublishedError {
    /// The system refused to read.
    #[error("cannot read {} ({reason}); {REMEDY}", .path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// It is not the table that it should be.
    #[error("{}, line {line}: {reason}; {REMEDY}", .path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

/// One row of a published table: one trial, since none was repeated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PublishedRow {
    /// The file's name, without the extension.
    pub table: String,
    /// The asynchronous model, or the threaded one.
    pub is_async: bool,
    /// Backend servers.
    pub backends: u32,
    /// Requests outstanding at any time.
    pub concurrency: u32,
    /// Requests that were answered, however.
    pub complete_requests: u64,
    /// Answers that were not 2xx: counted as throughput there.
    pub non_2xx: u64,
    /// Requests per second.
    pub requests_per_second: f64,
}

/// Every row of the tables in `folder`, table by table; none where there is no such folder.
pub fn rows(folder: &Path) -> Result<Vec<PublishedRow>, PublishedError> {
    let unreadable = |reason| PublishedError::Unreadable { path: folder.to_path_buf(), reason };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(unreadable)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
    paths.sort();
    let mut published = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path)
            .map_err(|reason| PublishedError::Unreadable { path: path.clone(), reason })?;
        let table = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let rows = parse(&text, &table).map_err(|(line, reason)| PublishedError::Broken {
            path: path.clone(),
            line,
            reason,
        })?;
        published.extend(rows);
    }
    Ok(published)
}

fn parse(text: &str, table: &str) -> Result<Vec<PublishedRow>, (usize, &'static str)> {
    let mut lines = text.lines().enumerate();
    if lines.next().map(|(_, line)| line.trim_end()) != Some(HEADER) {
        return Err((1, "the headings are not those of the published tables"));
    }
    let filled = lines.filter(|(_, line)| !line.trim().is_empty());
    filled.map(|(index, line)| row(line, table).map_err(|reason| (index + 1, reason))).collect()
}

fn row(line: &str, table: &str) -> Result<PublishedRow, &'static str> {
    let fields: Vec<_> = line.split(',').map(str::trim).collect();
    let [model, backends, concurrency, complete, non_2xx, rate, _mean] = fields[..] else {
        return Err("it has not seven fields");
    };
    let is_async = match model {
        "threaded" => false,
        "asynchronous" => true,
        _ => return Err("the model is neither threaded nor asynchronous"),
    };
    let rate: f64 = rate.parse().map_err(|_| "requests_per_second is no number")?;
    if !(rate.is_finite() && rate > 0.0) {
        return Err("requests_per_second is not positive");
    }
    Ok(PublishedRow {
        table: table.to_owned(),
        is_async,
        backends: backends.parse().map_err(|_| "backends is no count")?,
        concurrency: concurrency.parse().map_err(|_| "concurrency is no count")?,
        non_2xx: non_2xx.parse().map_err(|_| "non_2xx is no count")?,
        complete_requests: complete.parse().map_err(|_| "complete_requests is no count")?,
        requests_per_second: rate,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_table_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        for (text, line) in [
            ("", 1),
            ("model,backends\n", 1),
            (&*format!("{HEADER}\nthreaded,1,2\n"), 2),
            (&*format!("{HEADER}\nthreaded,1,2,10000,0,NaN,1\n"), 2),
            (&*format!("{HEADER}\nforked,1,2,10000,0,1,1\n"), 2),
        ] {
            fs::write(&path, text).unwrap();
            let error = rows(folder.path()).unwrap_err().to_string();
            assert!(error.contains(&format!("x.csv, line {line}:")) && error.contains("restore"), "{error}");
        }
    }

    #[test]
    fn without_the_folder_there_are_no_tables() {
        assert!(rows(Path::new("/nonexistent/published")).unwrap().is_empty());
    }
}
