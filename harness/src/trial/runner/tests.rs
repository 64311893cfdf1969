//! Facts about the loop, with made-up trials in place of processes.

use std::collections::{BTreeSet, VecDeque};

use tempfile::{TempDir, tempdir};

use super::*;
use crate::fixtures::{environment, invalid, measured, plan, trial};
use crate::plan::Length;
use crate::record::left_invalid;
use crate::record::store;

/// What the executor is to make of the next attempts; after them everything is measured.
#[derive(Debug, Default)]
struct Script {
    next: VecDeque<Step>,
    attempts: u32,
    interrupt_after: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Measured,
    Invalid,
    DoesNotStart,
}

impl Executor for Script {
    fn attempt(&mut self, cell: &Cell) -> Result<Attempt, Interrupted> {
        if self.interrupt_after == Some(self.attempts) {
            return Err(Interrupted);
        }
        self.attempts += 1;
        let step = self.next.pop_front().unwrap_or(Step::Measured);
        Ok(Attempt {
            started_unix_ms: 1,
            took_ms: 10,
            came_up: step != Step::DoesNotStart,
            outcome: match step {
                Step::Measured => measured(),
                Step::Invalid => invalid(&format!("{} was moody", cell.competitor)),
                Step::DoesNotStart => invalid("backend b1 ended unasked"),
            },
            warnings: Vec::new(),
        })
    }
}

#[derive(Debug, Default)]
struct Notes {
    begun: usize,
    ended: usize,
    warnings: Vec<String>,
}

impl Observer for Notes {
    fn begins(&mut self, _: &Job, _: &Forecast) {
        self.begun += 1;
    }
    fn ended(&mut self, _: &Trial, _: &Forecast) {
        self.ended += 1;
    }
    fn warn(&mut self, text: &str) {
        self.warnings.push(text.to_owned());
    }
}

fn fresh() -> (TempDir, Store) {
    let dir = tempdir().unwrap();
    let store = Store::create(dir.path(), &environment()).unwrap();
    (dir, store)
}

fn go(
    store: &mut Store,
    trials: &[Trial],
    script: &mut Script,
    notes: &mut Notes,
) -> Result<Ending, RunError> {
    run(&mut Schedule::new(&plan(Length::Blocks(2)), trials), script, store, notes)
}

#[test]
fn every_trial_is_stored_as_it_ends() {
    let (dir, mut store) = fresh();
    let mut notes = Notes::default();
    let ending = go(&mut store, &[], &mut Script::default(), &mut notes).unwrap();
    assert_eq!(ending, Ending::Complete);
    assert_eq!(store::read(dir.path()).unwrap().trials.len(), 24);
    assert_eq!((notes.begun, notes.ended, notes.warnings.len()), (24, 24, 0));
}

#[test]
fn an_interrupted_run_keeps_what_it_has_and_its_resumption_repeats_nothing() {
    for cut in [0, 1, 11, 12, 23] {
        let (dir, mut store) = fresh();
        let mut script = Script { interrupt_after: Some(cut), ..Script::default() };
        let ending = go(&mut store, &[], &mut script, &mut Notes::default()).unwrap();
        assert_eq!(ending, Ending::Interrupted);
        drop(store);

        let (mut store, stored) = Store::resume(dir.path()).unwrap();
        assert_eq!(stored.trials.len(), cut as usize);
        let mut script = Script::default();
        let ending = go(&mut store, &stored.trials, &mut script, &mut Notes::default()).unwrap();
        assert_eq!((ending, script.attempts), (Ending::Complete, 24 - cut));
        let places: BTreeSet<_> = store::read(dir.path())
            .unwrap()
            .trials
            .iter()
            .map(|trial| (trial.block, trial.position))
            .collect();
        assert_eq!(places.len(), 24);
    }
}

#[test]
fn an_invalid_trial_is_stored_told_and_run_again() {
    let (dir, mut store) = fresh();
    let mut notes = Notes::default();
    let mut script = Script { next: [Step::Invalid].into(), ..Script::default() };
    go(&mut store, &[], &mut script, &mut notes).unwrap();
    let trials = store::read(dir.path()).unwrap().trials;
    assert_eq!(trials.len(), 25);
    assert_eq!(trials[12].attempt, 2);
    assert_eq!(trials[12].cell, trials[0].cell);
    assert!(left_invalid(&trials).is_empty());
    assert!(matches!(notes.warnings.as_slice(), [told] if told.ends_with("was moody")), "{notes:?}");
}

#[test]
fn three_failures_to_start_in_a_row_end_the_run_and_keep_its_trials() {
    use Step::{DoesNotStart, Invalid, Measured};
    let (dir, mut store) = fresh();
    let next = [DoesNotStart, DoesNotStart, Measured, DoesNotStart, Invalid];
    let next = next.into_iter().chain([DoesNotStart; 3]).collect();
    let error = go(&mut store, &[], &mut Script { next, ..Script::default() }, &mut Notes::default());
    let error = error.unwrap_err();
    assert!(matches!(error, RunError::CannotStart { .. }));
    let text = error.to_string();
    assert!(text.contains("backend b1 ended unasked") && text.contains("--resume"), "{text}");
    assert_eq!(store::read(dir.path()).unwrap().trials.len(), 8);
}

#[test]
fn a_trial_left_invalid_is_told_once_with_its_last_reasons() {
    let attempt = |block, attempt, outcome| Trial { attempt, ..trial(block, outcome) };
    let trials = [
        attempt(0, 1, invalid("first")),
        attempt(0, 2, invalid("second")),
        attempt(1, 1, invalid("first")),
        attempt(1, 2, measured()),
    ];
    assert_eq!(left_invalid(&trials), [&trials[1]]);
    assert_eq!(place(&trials[1]), "direct, 1 backend, concurrency 2, block 1, attempt 2");
}
