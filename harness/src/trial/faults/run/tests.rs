//! Facts about the loop, with a player that takes no time.

use std::collections::BTreeMap;
use std::path::Path;

use tempfile::tempdir;

use super::*;
use crate::trial::faults::fixtures::{environment, observed};
use crate::trial::faults::store;

/// Plays each model; the first `bad` attempts of any come to nothing, and after `until` attempts the user stops.
struct Mock {
    played: Vec<String>,
    bad: usize,
    came_up: bool,
    until: usize,
}

impl Mock {
    fn new() -> Self {
        Mock { played: Vec::new(), bad: 0, came_up: true, until: usize::MAX }
    }
}

impl Player for Mock {
    fn play(&mut self, model: &Competitor) -> Result<Attempt, Interrupted> {
        if self.played.len() == self.until {
            return Err(Interrupted);
        }
        self.played.push(model.to_string());
        let bad = self.played.len() <= self.bad;
        let outcome = match bad {
            true => FaultOutcome::Invalid { reasons: vec!["moody".into()] },
            false => observed(&model.name, 0).outcome,
        };
        Ok(Attempt { started_unix_ms: 1, took_ms: 1, came_up: !bad || self.came_up, outcome })
    }
}

fn run_in(dir: &Path, mock: &mut Mock) -> (Result<Ending, FaultRunError>, Vec<FaultTrial>, Vec<String>) {
    let environment = environment("kill-backend@1s,restore@2s");
    let mut store = FaultStore::create(dir, &environment).unwrap();
    let mut told = Vec::new();
    let ending = run(&environment.environment.plan, mock, &mut store, &mut |line| told.push(line.to_owned()));
    (ending, store::read(dir).unwrap().trials, told)
}

#[test]
fn every_model_is_played_once_a_block_and_told() {
    let dir = tempdir().unwrap();
    let (ending, trials, told) = run_in(&dir.path().join("run"), &mut Mock::new());
    assert_eq!(ending.unwrap(), Ending::Complete);
    let mut counts = BTreeMap::new();
    for trial in &trials {
        *counts.entry((trial.block, trial.model.name.as_str())).or_insert(0) += trial.attempt;
    }
    assert_eq!(
        counts,
        BTreeMap::from([((0, "threads"), 1), ((0, "mio"), 1), ((1, "threads"), 1), ((1, "mio"), 1)])
    );
    assert_eq!(told.len(), 4);
    assert!(
        told[3].starts_with("4/4 ") && told[3].ends_with("block 2/2: 300 requests, 1 errors, 0 late"),
        "{told:?}"
    );
}

#[test]
fn an_invalid_trial_is_kept_and_played_again() {
    let dir = tempdir().unwrap();
    let mut mock = Mock { bad: 2, ..Mock::new() };
    let (ending, trials, told) = run_in(&dir.path().join("run"), &mut mock);
    assert_eq!(ending.unwrap(), Ending::Complete);
    assert_eq!(trials.iter().map(|trial| trial.attempt).collect::<Vec<_>>(), [1, 2, 3, 1, 1, 1]);
    assert!(left_invalid(&trials).is_empty());
    assert!(told[0].contains("invalid trial") && told[0].ends_with("moody"), "{told:?}");
}

#[test]
fn a_trial_that_stays_invalid_is_left_so() {
    let dir = tempdir().unwrap();
    let mut mock = Mock { bad: 3, ..Mock::new() };
    let (ending, trials, _) = run_in(&dir.path().join("run"), &mut mock);
    assert_eq!(ending.unwrap(), Ending::Complete);
    let left: Vec<_> = left_invalid(&trials).into_iter().map(place).collect();
    assert_eq!(left, [format!("{}, block 1, attempt 3", mock.played[0])]);
}

#[test]
fn processes_that_do_not_come_up_end_the_run_and_an_interrupt_keeps_what_was_played() {
    let dir = tempdir().unwrap();
    let mut mock = Mock { bad: 9, came_up: false, ..Mock::new() };
    let (ending, trials, _) = run_in(&dir.path().join("one"), &mut mock);
    assert!(matches!(ending, Err(FaultRunError::CannotStart { .. })), "{ending:?}");
    assert_eq!(trials.len(), 3);
    let mut mock = Mock { until: 2, ..Mock::new() };
    let (ending, trials, _) = run_in(&dir.path().join("two"), &mut mock);
    assert_eq!((ending.unwrap(), trials.len()), (Ending::Interrupted, 2));
}
