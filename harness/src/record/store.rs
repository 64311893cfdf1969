//! A run's folder: `environment.json`, written when the run begins, and `trials.jsonl`, one line a trial.
//!
//! Owns the file access and what can be wrong with the files; the shapes are [`crate::record`]'s. Rules: a trial is
//! on disk before the next one starts; what is there is never overwritten; a line that a killed writer left
//! unfinished is not a trial, any other line that cannot be read is an error that names it; one writer a folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{AccessFlags, access};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::earlier::{EARLIER, Environment1, FaultTrial1, Trial1};
use super::{Environment, SCHEMA, Stored, Trial};
use crate::plan::Condition;

const ENVIRONMENT: &str = "environment.json";
const TRIALS: &str = "trials.jsonl";
/// Where an earlier roundtable kept the trials of a fault run.
const FAULTS: &str = "faults.jsonl";
/// What to do where a run cannot begin.
const ELSEWHERE: &str = "free some space or give --out a folder that you may write to";
/// What to do where one that has begun cannot be added to.
const HERE: &str = "free some space, or see to it that this can be written to";
/// What to do where one cannot go on.
const A_COPY: &str =
    "see to it that you may write to it, or copy the run's folder to where you may, and resume the copy";
/// The folder under `results/` that holds the tables of 2021: no run.
const PUBLISHED: &str = "published";

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

/// Whether a run could be begun in `dir`: it holds none, and can be made and written to. Leaves nothing behind in it. For
/// those who have minutes of work to do before [`Store::create`].
pub fn check_free(dir: &Path) -> Result<(), StoreError> {
    if [ENVIRONMENT, TRIALS, FAULTS].iter().any(|file| dir.join(file).exists()) {
        return Err(StoreError::Occupied(dir.to_path_buf()));
    }
    let was_there = dir.exists();
    fs::create_dir_all(dir)
        .and_then(|()| access(dir, AccessFlags::W_OK).map_err(io::Error::from))
        .and_then(|()| if was_there { Ok(()) } else { fs::remove_dir(dir) })
        .map_err(|reason| unwritable(dir, reason, ELSEWHERE))
}

/// Keeps `value` as the file `name` of the run in `dir`: what a pass beside the trials found. One of before is replaced.
pub fn keep(dir: &Path, name: &str, value: &impl Serialize) -> Result<PathBuf, StoreError> {
    let (path, draft) = (dir.join(name), dir.join(format!(".{name}.new")));
    let written = serde_json::to_string_pretty(value)
        .map_err(io::Error::from)
        .and_then(|text| fs::write(&draft, text + "\n"))
        .and_then(|()| fs::rename(&draft, &path));
    written.map_err(|reason| unwritable(&path, reason, HERE))?;
    Ok(path)
}

/// What [`keep`] put into the file `name` of the run in `dir`; `None` where there is no such file.
pub fn kept<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<Option<T>, StoreError> {
    let path = dir.join(name);
    let text = match fs::read(&path) {
        Err(reason) if reason.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(reason) => return Err(StoreError::Unreadable { path, reason }),
        Ok(text) => text,
    };
    let value = serde_json::from_slice(&text).map_err(|error| StoreError::Broken {
        line: error.line(),
        reason: reason(&error),
        path,
        remedy: "delete that file: the report then does without it",
    })?;
    Ok(Some(value))
}

/// The writing end of a run's folder.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    environment: Environment,
    /// Locked for as long as this value lives.
    trials: Flock<File>,
    /// Length of `trials` up to the last whole line, bytes.
    length: u64,
}

impl Store {
    /// Begins a run in `dir`, which is made if need be. Refuses a folder that already holds one.
    pub fn create(dir: &Path, environment: &Environment) -> Result<Store, StoreError> {
        fs::create_dir_all(dir).map_err(|reason| unwritable(dir, reason, ELSEWHERE))?;
        if dir.join(ENVIRONMENT).exists() {
            return Err(StoreError::Occupied(dir.to_path_buf()));
        }
        let path = dir.join(TRIALS);
        let file =
            OpenOptions::new().write(true).create_new(true).open(&path).map_err(|reason| {
                match reason.kind() {
                    io::ErrorKind::AlreadyExists => StoreError::Occupied(dir.to_path_buf()),
                    _ => unwritable(&path, reason, ELSEWHERE),
                }
            })?;
        let store = Store {
            dir: dir.to_path_buf(),
            environment: environment.clone(),
            trials: lock(dir, file, ELSEWHERE)?,
            length: 0,
        };
        store.write_environment(ELSEWHERE)?;
        Ok(store)
    }

    /// Opens the run in `dir` to append to it, and reads what it holds. A torn last line is cut off.
    pub fn resume(dir: &Path) -> Result<(Store, Stored), StoreError> {
        // The folder's state is told by `read`; here its file is opened without being made.
        must_hold_a_run(dir)?;
        if dir.join(FAULTS).is_file() {
            return Err(StoreError::Earlier(dir.to_path_buf()));
        }
        let path = dir.join(TRIALS);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|reason| unwritable(&path, reason, A_COPY))?;
        let mut trials = lock(dir, file, A_COPY)?;
        let (stored, tail) = read_all(dir)?;
        let mut end = || -> io::Result<u64> {
            trials.set_len(tail.whole)?;
            let mut length = trials.seek(SeekFrom::End(0))?;
            if tail.lacks_newline {
                trials.write_all(b"\n")?;
                length += 1;
            }
            trials.sync_data()?;
            Ok(length)
        };
        let length = end().map_err(|reason| unwritable(&path, reason, A_COPY))?;
        let environment = stored.environment.clone();
        Ok((Store { dir: dir.to_path_buf(), environment, trials, length }, stored))
    }

    /// Adds `trial`: it is on disk when this returns. When that fails, the file is as it was before.
    pub fn append(&mut self, trial: &Trial) -> Result<(), StoreError> {
        let mut line = serde_json::to_vec(trial).expect("a trial has string keys and finite numbers only");
        line.push(b'\n');
        let written = self.trials.write_all(&line).and_then(|()| self.trials.sync_data());
        match written {
            Ok(()) => {
                self.length += line.len() as u64;
                Ok(())
            }
            Err(reason) => {
                // Half a line before the next trial would make the whole file unreadable.
                let restored =
                    self.trials.set_len(self.length).and_then(|()| self.trials.seek(SeekFrom::End(0)));
                let path = self.dir.join(TRIALS);
                Err(unwritable(&path, restored.err().unwrap_or(reason), HERE))
            }
        }
    }

    /// Adds a remark to `environment.json`, unless it is there already.
    pub fn annotate(&mut self, note: String) -> Result<(), StoreError> {
        if self.environment.notes.contains(&note) {
            return Ok(());
        }
        self.environment.notes.push(note);
        self.write_environment(A_COPY)
    }

    /// The run's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `environment.json` as it stands.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// By way of another name, so that a reader never meets half of it.
    fn write_environment(&self, remedy: &'static str) -> Result<(), StoreError> {
        let path = self.dir.join(ENVIRONMENT);
        let unfinished = self.dir.join(".environment.json.unfinished");
        let mut text = serde_json::to_string_pretty(&self.environment)
            .expect("an environment has string keys and finite numbers only");
        text.push('\n');
        File::create(&unfinished)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_data()))
            .and_then(|()| fs::rename(&unfinished, &path))
            .map_err(|reason| unwritable(&path, reason, remedy))
    }
}

/// Reads a run of trials that can be compared, as [`read`] does; one with faults is refused.
pub fn read_comparable(dir: &Path) -> Result<Stored, StoreError> {
    let stored = read(dir)?;
    if stored.environment.plan.base.fault.is_some() {
        return Err(StoreError::OfFaults(dir.to_path_buf()));
    }
    Ok(stored)
}

/// Reads the run in `dir`. A torn last line is left out; a broken line elsewhere is an error that names it.
pub fn read(dir: &Path) -> Result<Stored, StoreError> {
    must_hold_a_run(dir)?;
    Ok(read_all(dir)?.0)
}

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

fn must_hold_a_run(dir: &Path) -> Result<(), StoreError> {
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
struct Tail {
    /// Length up to the end of the last trial, bytes.
    whole: u64,
    /// The last trial is whole but its line end is not there.
    lacks_newline: bool,
}

fn read_all(dir: &Path) -> Result<(Stored, Tail), StoreError> {
    let environment = read_environment(&dir.join(ENVIRONMENT))?;
    let base = &environment.plan.base;
    let (trials, tail) = if dir.join(FAULTS).is_file() {
        read_earlier_faults(&dir.join(FAULTS), base)?
    } else {
        read_trials(&dir.join(TRIALS), base)?
    };
    Ok((Stored { name: name_of(dir), environment, trials }, tail))
}

/// A run is called as its folder.
fn name_of(dir: &Path) -> String {
    let absolute = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    absolute.file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned())
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
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) => format!("{} (column {})", &text[..at], error.column()),
        None => text,
    }
}

fn lock(dir: &Path, file: File, remedy: &'static str) -> Result<Flock<File>, StoreError> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        nix::errno::Errno::EWOULDBLOCK => StoreError::Busy(dir.to_path_buf()),
        other => unwritable(&dir.join(TRIALS), other.into(), remedy),
    })
}

fn unwritable(path: &Path, reason: io::Error, remedy: &'static str) -> StoreError {
    StoreError::Unwritable { path: path.to_path_buf(), reason, remedy }
}

#[cfg(test)]
mod tests;
