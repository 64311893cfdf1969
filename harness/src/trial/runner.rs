//! The loop of a run: next trial, measure it, store it, tell about it, until the schedule is through.
//!
//! Owns the loop and when it gives up; who measures is an [`Executor`], what comes next is the
//! [`Schedule`]'s affair, where it is kept is the [`Store`]'s. Rules: a trial is stored before anything else
//! happens; a trial that was interrupted is not stored; failures to start that do not stop end the run, and keep
//! what was measured.

use std::path::PathBuf;

use thiserror::Error;

use crate::plan::schedule::{Forecast, Job, Schedule};
use crate::plan::{Cell, Condition};
use crate::record::store::{Store, StoreError};
use crate::record::{Outcome, Reason, SCHEMA, Trial, in_words};

/// Failures to start, one after another, that end a run.
pub const MOST_START_FAILURES: u32 = 3;

/// Runs one trial.
pub trait Executor {
    /// Serves `cell` once with fresh processes.
    fn attempt(&mut self, cell: &Cell) -> Result<Attempt, Interrupted>;
}

/// The user wants to stop: the trial in hand is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Start of the timed window (or of the attempt, when it never came to a window), milliseconds since the Unix
    /// epoch.
    pub started_unix_ms: u64,
    /// Wall-clock time of the whole attempt, milliseconds.
    pub took_ms: u64,
    /// Whether every process came up. When one did not, the outcome says which and why.
    pub came_up: bool,
    /// Measured, or why not.
    pub outcome: Outcome,
    /// What the user should hear although the trial went on.
    pub warnings: Vec<String>,
}

/// Watches a run.
pub trait Observer {
    /// `job` is about to be run.
    fn begins(&mut self, job: &Job, forecast: &Forecast);
    /// `trial` has ended and is stored.
    fn ended(&mut self, trial: &Trial, forecast: &Forecast);
    /// Something that the user should hear, though the run goes on.
    fn warn(&mut self, text: &str);
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The schedule is through.
    Complete,
    /// The user stopped it; `--resume` goes on.
    Interrupted,
}

/// Why a run could not go on.
#[derive(Debug, Error)]
pub enum RunError {
    /// A trial cannot be stored.
    #[error(
        "{reason}; {stored} trials are kept: then go on with `roundtable run --resume {}`", .dir.display()
    )]
    NotStored {
        /// Why, with what is to be done about it.
        reason: StoreError,
        /// How many were before.
        stored: usize,
        /// The run's folder.
        dir: PathBuf,
    },
    /// A host is gone: what is left cannot be measured without it.
    #[error(
        "host {host} was lost ({how}); {stored} trials are kept: see to it that the host can be reached and the program there be \
         started, then go on with `roundtable run --resume {}`, or with other hosts and `--hosts FILE` behind it", .dir.display()
    )]
    HostLost {
        /// Its name.
        host: String,
        /// What became of its agent.
        how: String,
        /// How many trials there are, the one in hand included.
        stored: usize,
        /// The run's folder.
        dir: PathBuf,
    },
    /// Processes do not come up.
    #[error(
        "{MOST_START_FAILURES} trials in a row could not be started, the last because {reason}; \
         what was measured is kept in {}: mend the cause, then go on with `roundtable run --resume {}`",
        .dir.display(), .dir.display()
    )]
    CannotStart {
        /// Of the last failure.
        reason: String,
        /// The run's folder.
        dir: PathBuf,
    },
}

/// Runs what is left of `schedule`.
pub fn run(
    schedule: &mut Schedule,
    executor: &mut dyn Executor,
    store: &mut Store,
    observer: &mut dyn Observer,
) -> Result<Ending, RunError> {
    let mut start_failures = 0;
    while let Some(job) = schedule.upcoming() {
        observer.begins(&job, &schedule.forecast());
        let Ok(attempt) = executor.attempt(&job.cell) else {
            return Ok(Ending::Interrupted);
        };
        for warning in &attempt.warnings {
            observer.warn(warning);
        }
        let came_up = attempt.came_up;
        let trial = trial(job, attempt);
        if let Err(reason) = store.append(&trial) {
            return Err(RunError::NotStored {
                reason,
                stored: stored(store),
                dir: store.dir().to_path_buf(),
            });
        }
        schedule.record(&trial);
        if let Outcome::Invalid { reasons } = &trial.outcome {
            observer.warn(&format!("invalid trial ({}): {}", place(&trial), in_words(reasons)));
        }
        observer.ended(&trial, &schedule.forecast());
        if let Some((host, how)) = lost(&trial) {
            let (stored, dir) = (stored(store), store.dir().to_path_buf());
            return Err(RunError::HostLost { host, how, stored, dir });
        }

        start_failures = if came_up { 0 } else { start_failures + 1 };
        if start_failures == MOST_START_FAILURES {
            let reason = match trial.outcome {
                Outcome::Invalid { reasons } => in_words(&reasons),
                Outcome::Measured(_) => "of an unknown cause".to_owned(),
            };
            return Err(RunError::CannotStart { reason, dir: store.dir().to_path_buf() });
        }
    }
    Ok(Ending::Complete)
}

/// Trials that are kept.
fn stored(store: &Store) -> usize {
    crate::record::store::read(store.dir()).map_or(0, |run| run.trials.len())
}

/// The host that was lost during `trial`, and how.
fn lost(trial: &Trial) -> Option<(String, String)> {
    trial.outcome.reasons().iter().find_map(|reason| match reason {
        Reason::HostLost { host, how } => Some((host.clone(), how.clone())),
        _ => None,
    })
}

/// A trial's cell, block and attempt in words.
pub fn place(trial: &Trial) -> String {
    let Cell { competitor, condition: Condition { backends, concurrency, .. } } = &trial.cell;
    let plural = if *backends == 1 { "" } else { "s" };
    let again = if trial.attempt > 1 { format!(", attempt {}", trial.attempt) } else { String::new() };
    let block = u64::from(trial.block) + 1;
    format!("{competitor}, {backends} backend{plural}, concurrency {concurrency}, block {block}{again}")
}

fn trial(job: Job, attempt: Attempt) -> Trial {
    Trial {
        schema: SCHEMA,
        block: job.block,
        position: job.position,
        attempt: job.attempt,
        cell: job.cell,
        started_unix_ms: attempt.started_unix_ms,
        took_ms: attempt.took_ms,
        outcome: attempt.outcome,
    }
}

#[cfg(test)]
mod tests;
