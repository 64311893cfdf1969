//! The loop of a fault run: each model goes through the scenario once a block, in random order.
//!
//! Owns the loop and when it gives up; who plays is a [`Player`], where it is kept is the [`FaultStore`]'s. Rules: a
//! trial is stored before anything else happens; one that was interrupted is not stored; an invalid one is run again,
//! at most [`MOST_ATTEMPTS`] times in all.

use std::path::PathBuf;

use thiserror::Error;

use super::data::{FAULT_SCHEMA, FaultOutcome, FaultTrial};
use super::store::FaultStore;
use crate::plan::schedule::{MOST_ATTEMPTS, order};
use crate::plan::{Competitor, Length, Plan};
use crate::record::store::StoreError;
use crate::trial::runner::{Ending, Interrupted, MOST_START_FAILURES};

/// Plays one trial.
pub trait Player {
    /// Has `model` go through the scenario once, with fresh processes.
    fn play(&mut self, model: &Competitor) -> Result<Attempt, Interrupted>;
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Start of the timed window, or of the attempt when it never came to one, milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
    /// Wall-clock time of the whole attempt, milliseconds.
    pub took_ms: u64,
    /// Whether every process came up. When one did not, the outcome says which and why.
    pub came_up: bool,
    /// Observed, or why not.
    pub outcome: FaultOutcome,
}

/// Why a fault run could not go on.
#[derive(Debug, Error)]
pub enum FaultRunError {
    /// A trial cannot be stored.
    #[error(
        "{reason}; {stored} trials are kept, `roundtable report {dir}` shows them: then run again",
        dir = .dir.display()
    )]
    NotStored {
        /// Why, with what is to be done about it.
        reason: StoreError,
        /// How many were before.
        stored: usize,
        /// The run's folder.
        dir: PathBuf,
    },
    /// Processes do not come up.
    #[error(
        "{MOST_START_FAILURES} trials in a row could not be started, the last because {reason}; mend the cause, then run \
         again (what was observed is kept in {})",
        .dir.display()
    )]
    CannotStart {
        /// Of the last failure.
        reason: String,
        /// The run's folder.
        dir: PathBuf,
    },
}

/// Has every model of `plan` go through the scenario. `tell` gets a line for each trial.
pub fn run(
    plan: &Plan,
    player: &mut dyn Player,
    store: &mut FaultStore,
    tell: &mut dyn FnMut(&str),
) -> Result<Ending, FaultRunError> {
    let blocks = blocks(plan);
    let total = u64::from(blocks) * plan.competitors.len() as u64;
    let (mut done, mut start_failures) = (0, 0);
    for block in 0..blocks {
        for (position, cell) in (0..).zip(order(plan, block)) {
            for attempt in 1..=MOST_ATTEMPTS {
                let Ok(Attempt { started_unix_ms, took_ms, came_up, outcome }) =
                    player.play(&cell.competitor)
                else {
                    return Ok(Ending::Interrupted);
                };
                let model = cell.competitor.clone();
                let schema = FAULT_SCHEMA;
                let trial =
                    FaultTrial { schema, block, position, attempt, model, started_unix_ms, took_ms, outcome };
                if let Err(reason) = store.append(&trial) {
                    let dir = store.dir().to_path_buf();
                    let stored = super::store::read(&dir).map_or(0, |run| run.trials.len());
                    return Err(FaultRunError::NotStored { reason, stored, dir });
                }
                start_failures = if came_up { 0 } else { start_failures + 1 };
                let FaultOutcome::Invalid { reasons } = &trial.outcome else {
                    done += 1;
                    tell(&format!("{done}/{total} {}", line(&trial, blocks)));
                    break;
                };
                let reason = reasons.join("; ");
                tell(&format!("warning: invalid trial ({}): {reason}", place(&trial)));
                if start_failures == MOST_START_FAILURES {
                    return Err(FaultRunError::CannotStart { reason, dir: store.dir().to_path_buf() });
                }
            }
        }
    }
    Ok(Ending::Complete)
}

/// The trials that no attempt could make valid: the last attempt of each.
pub fn left_invalid(trials: &[FaultTrial]) -> Vec<&FaultTrial> {
    let same = |a: &FaultTrial, b: &FaultTrial| a.block == b.block && a.model == b.model;
    let last = |trial: &&FaultTrial| {
        matches!(trial.outcome, FaultOutcome::Invalid { .. })
            && !trials.iter().any(|other| same(other, trial) && other.attempt > trial.attempt)
    };
    trials.iter().filter(last).collect()
}

/// A trial's model, block and attempt in words.
pub fn place(trial: &FaultTrial) -> String {
    let again = if trial.attempt > 1 { format!(", attempt {}", trial.attempt) } else { String::new() };
    format!("{}, block {}{again}", trial.model, u64::from(trial.block) + 1)
}

fn line(trial: &FaultTrial, blocks: u32) -> String {
    let result = match &trial.outcome {
        FaultOutcome::Observed(seen) => {
            format!("{} requests, {} errors, {} late", seen.requests, seen.errors.total(), seen.late)
        }
        FaultOutcome::Invalid { .. } => "invalid".to_owned(),
    };
    format!("{} block {}/{blocks}: {result}", trial.model, trial.block + 1)
}

fn blocks(plan: &Plan) -> u32 {
    match plan.length {
        Length::Blocks(blocks) => blocks,
        Length::Budget { minimum_blocks, .. } => minimum_blocks,
    }
}

#[cfg(test)]
mod tests;
