//! What can be wrong with a run's folder, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// What is wrong with a run's folder, and what to do about it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The caller named a folder that is taken.
    #[error(
        "{dir} already holds a run; give --out another folder, or go on with this run by --resume {dir}",
        dir = .0.display()
    )]
    Occupied(PathBuf),
    /// The caller named a run that is not there.
    #[error("there is no run {run:?}{known}; start one with `roundtable run`, or name a run's folder")]
    NoSuchRun {
        /// What was asked for.
        run: String,
        /// The runs that are there, as the end of a clause.
        known: String,
    },
    /// No run was named, and there is none.
    #[error("there is no run under {}; start one with `roundtable run`, or name a run's folder", .0.display())]
    NoRuns(PathBuf),
    /// The folder is there but one of its files is not.
    #[error(
        "{} has no {file}, so it is not a whole run; name another run, or run again",
        .dir.display()
    )]
    Incomplete {
        /// The run's folder.
        dir: PathBuf,
        /// The file that is missing.
        file: &'static str,
    },
    /// The folder of several runs, where one is asked for.
    #[error("{dir} holds several runs, {runs}; name one of them, as in {dir}/{first}", dir = .dir.display())]
    Several {
        /// The suite's folder.
        dir: PathBuf,
        /// Its runs.
        runs: String,
        /// One of them.
        first: String,
    },
    /// A run of another kind.
    #[error(
        "{dir} holds a fault run, which is not compared; `roundtable report {dir}` shows it, or name another run",
        dir = .0.display()
    )]
    OfFaults(PathBuf),
    /// A fault run of before they could be gone on with.
    #[error(
        "{dir} holds a fault run of an earlier roundtable, which cannot be gone on with; `roundtable report {dir}` shows it, \
         or begin a new run",
        dir = .0.display()
    )]
    Earlier(PathBuf),
    /// Another process is appending to the run.
    #[error(
        "another roundtable is writing to {}; wait until it ends, or begin another run",
        .0.display()
    )]
    Busy(PathBuf),
    /// The system refused to read.
    #[error("cannot read {} ({reason}); check that it is there and that you may read it", .path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// The system refused to write.
    #[error("cannot write {} ({reason}); {remedy}", .path.display())]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
        /// What the user can do: where a run is to begin, another than where one is to go on.
        remedy: &'static str,
    },
    /// The file is of another version of roundtable.
    #[error(
        "{} is of schema {found}, which this roundtable does not read; \
         read it with the roundtable that wrote it, or run again", .path.display()
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// The schema number in it.
        found: u32,
    },
    /// The file is not what roundtable writes.
    #[error("{}, line {line}: {reason}; {remedy}", .path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: usize,
        /// What the parser says.
        reason: String,
        /// What the reader can do.
        remedy: &'static str,
    },
}

pub(super) fn unwritable(path: &Path, reason: io::Error, remedy: &'static str) -> StoreError {
    StoreError::Unwritable { path: path.to_path_buf(), reason, remedy }
}
