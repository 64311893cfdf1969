//! A fault run's folder: `environment.json`, written when the run begins, and `faults.jsonl`, one line a trial.
//!
//! Owns the file access; the shapes are [`super::data`]'s, what can be wrong with a folder [`crate::record::store`]'s. Rules: a
//! trial is on disk before the next one starts; what is there is never overwritten, and a fault run is never resumed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::data::{FAULT_SCHEMA, FaultEnvironment, FaultTrial, StoredFaults};
use crate::record::SCHEMA;
use crate::record::store::{
    ELSEWHERE, ENVIRONMENT, HERE, StoreError, name_of, parse_lines, parse_value, read_file, unwritable,
};

/// The file that tells a fault run from others.
pub const FAULTS: &str = "faults.jsonl";

/// The writing end of a fault run's folder.
#[derive(Debug)]
pub struct FaultStore {
    dir: PathBuf,
    trials: File,
}

impl FaultStore {
    /// Begins a run in `dir`, which is made if need be. Refuses a folder that already holds one.
    pub fn create(dir: &Path, environment: &FaultEnvironment) -> Result<Self, StoreError> {
        fs::create_dir_all(dir).map_err(|reason| unwritable(dir, reason, ELSEWHERE))?;
        let occupied = || StoreError::Occupied(dir.to_path_buf());
        let mut text = serde_json::to_string_pretty(environment)
            .expect("an environment has string keys and finite numbers only");
        text.push('\n');
        let begin = |name: &str| -> Result<File, StoreError> {
            let path = dir.join(name);
            OpenOptions::new().append(true).create_new(true).open(&path).map_err(|reason| {
                match reason.kind() {
                    io::ErrorKind::AlreadyExists => occupied(),
                    _ => unwritable(&path, reason, ELSEWHERE),
                }
            })
        };
        let mut file = begin(ENVIRONMENT)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
        written.map_err(|reason| unwritable(&dir.join(ENVIRONMENT), reason, ELSEWHERE))?;
        Ok(FaultStore { dir: dir.to_path_buf(), trials: begin(FAULTS)? })
    }

    /// Adds `trial`: it is on disk when this returns.
    pub fn append(&mut self, trial: &FaultTrial) -> Result<(), StoreError> {
        let mut line = serde_json::to_vec(trial).expect("a trial has string keys and whole numbers only");
        line.push(b'\n');
        let written = self.trials.write_all(&line).and_then(|()| self.trials.sync_data());
        written.map_err(|reason| unwritable(&self.dir.join(FAULTS), reason, HERE))
    }

    /// The run's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Whether `dir` holds a fault run.
pub fn holds_faults(dir: &Path) -> bool {
    dir.join(FAULTS).is_file()
}

/// Reads the fault run in `dir`. A torn last line is left out; a broken line elsewhere is an error that names it.
pub fn read(dir: &Path) -> Result<StoredFaults, StoreError> {
    let [described, lines] = [ENVIRONMENT, FAULTS].map(|name| dir.join(name));
    let environment: FaultEnvironment = parse_value(&read_file(&described)?, &described, &|schema, json| {
        (schema == SCHEMA).then(|| serde_json::from_slice(json))
    })?;
    // What a report draws of an altered plan must have bounds.
    environment.environment.plan.check().map_err(|error| StoreError::Broken {
        path: described,
        line: 1,
        reason: error.to_string(),
        remedy: "name another run, or run again",
    })?;
    let versions = |schema: u32, json: &[u8]| (schema == FAULT_SCHEMA).then(|| serde_json::from_slice(json));
    let (trials, _) = parse_lines(&read_file(&lines)?, &lines, &versions, "delete that line, or run again")?;
    Ok(StoredFaults { name: name_of(dir), environment, trials })
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;
    use crate::trial::faults::fixtures::{environment, observed};

    #[test]
    fn what_is_appended_is_read_back_the_same() {
        let dir = tempdir().unwrap();
        let dir = dir.path().join("faulty");
        let environment = environment("kill-backend@2s,restore@4s");
        let mut store = FaultStore::create(&dir, &environment).unwrap();
        let trials = [observed("mio", 0), observed("tokio", 0)];
        for trial in &trials {
            store.append(trial).unwrap();
        }
        let stored = read(&dir).unwrap();
        assert_eq!((stored.name.as_str(), &stored.environment), ("faulty", &environment));
        assert_eq!(stored.trials, trials);
        assert!(holds_faults(&dir));
        assert!(matches!(FaultStore::create(&dir, &environment), Err(StoreError::Occupied(_))));
    }

    #[test]
    fn a_torn_line_is_no_trial_and_a_broken_or_foreign_one_is_told() {
        let dir = tempdir().unwrap();
        let dir = dir.path().join("faulty");
        let mut store = FaultStore::create(&dir, &environment("refuse@1s")).unwrap();
        store.append(&observed("mio", 0)).unwrap();
        let path = dir.join(FAULTS);
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{whole}{}", &whole[..40])).unwrap();
        assert_eq!(read(&dir).unwrap().trials.len(), 1);
        fs::write(&path, format!("{{\n{whole}")).unwrap();
        assert!(matches!(read(&dir), Err(StoreError::Broken { line: 1, .. })));
        fs::write(&path, whole.replacen("\"schema\":1", "\"schema\":99", 1)).unwrap();
        assert!(matches!(read(&dir), Err(StoreError::Schema { found: 99, .. })));
    }
}
