//! A run's folder: `environment.json`, written when the run begins, and `trials.jsonl`, one line a trial.
//!
//! Owns the writing; `read` and `locate` own the reading, `name` what a run is called, `suite` the folder of several runs,
//! `error` what can be wrong. The shapes are [`crate::record`]'s. Rules: a trial is on disk before the next one starts; what is there is never overwritten; a
//! line that a killed writer left unfinished is not a trial, any other line that cannot be read is an error that names
//! it; one writer a folder.

mod error;
mod locate;
mod name;
mod read;
pub mod suite;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{AccessFlags, access};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::error::unwritable;
use self::read::{must_hold_a_run, read_all, reason};
use super::{Environment, Stored, Trial};

pub use self::error::StoreError;
pub use self::locate::locate;
pub use self::name::suite_of;

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
        must_hold_one_run(dir)?;
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

/// Reads a run of trials that can be compared, as [`read()`] does; one with faults is refused.
pub fn read_comparable(dir: &Path) -> Result<Stored, StoreError> {
    let stored = read(dir)?;
    if stored.environment.plan.base.fault.is_some() {
        return Err(StoreError::OfFaults(dir.to_path_buf()));
    }
    Ok(stored)
}

/// Reads the run in `dir`. A torn last line is left out; a broken line elsewhere is an error that names it.
pub fn read(dir: &Path) -> Result<Stored, StoreError> {
    must_hold_one_run(dir)?;
    Ok(read_all(dir)?.0)
}

/// Whether `dir` holds a run, and not a suite of them.
fn must_hold_one_run(dir: &Path) -> Result<(), StoreError> {
    if !dir.join(ENVIRONMENT).exists()
        && let Some(suite) = suite::asked_for(dir)?
    {
        let folders: Vec<_> = suite.runs.into_iter().map(|run| run.folder).collect();
        let first = folders.first().cloned().unwrap_or_default();
        return Err(StoreError::Several { dir: dir.to_path_buf(), runs: folders.join(", "), first });
    }
    must_hold_a_run(dir)
}

fn lock(dir: &Path, file: File, remedy: &'static str) -> Result<Flock<File>, StoreError> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        nix::errno::Errno::EWOULDBLOCK => StoreError::Busy(dir.to_path_buf()),
        other => unwritable(&dir.join(TRIALS), other.into(), remedy),
    })
}

#[cfg(test)]
mod tests;
