//! A run with faults as its report looks at it: one condition, and what clients saw in each trial.
//!
//! A view of a [`Stored`] run: nothing of it is stored.

use super::timeline::Observation;
use super::trial::{Outcome, Stored, Trial};
use super::{Environment, in_words};
use crate::plan::{Competitor, Faults};

/// A run with faults.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredFaults {
    /// The folder's name.
    pub name: String,
    /// Machine, build and load, and what was done to the backends.
    pub environment: FaultEnvironment,
    /// In the order in which the trials ended.
    pub trials: Vec<FaultTrial>,
}

/// The environment of a run with faults.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultEnvironment {
    /// Machine, build and load.
    pub environment: Environment,
    /// What was done to the backends.
    pub fault: Faults,
}

/// One model that went through the script once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultTrial {
    /// Repetition (0-based): each holds every model once.
    pub block: u32,
    /// Place within it (0-based): the random order.
    pub position: u32,
    /// 1 for the first try; higher when an invalid trial was run again.
    pub attempt: u32,
    /// The model.
    pub model: Competitor,
    /// What came of it.
    pub outcome: FaultOutcome,
}

/// Never a number beside an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultOutcome {
    /// Every gate was passed.
    Observed(Box<Observation>),
    /// One was not.
    Invalid {
        /// Why, in words.
        reasons: Vec<String>,
    },
}

impl StoredFaults {
    /// `stored`, if it is a run with faults.
    pub fn of(stored: &Stored) -> Option<Self> {
        let fault = stored.environment.plan.base.fault.clone()?;
        let environment = FaultEnvironment { environment: stored.environment.clone(), fault };
        let trials = stored.trials.iter().map(FaultTrial::of).collect();
        Some(StoredFaults { name: stored.name.clone(), environment, trials })
    }
}

impl FaultTrial {
    fn of(trial: &Trial) -> Self {
        let outcome = match &trial.outcome {
            Outcome::Measured(sample) => match &sample.timeline {
                Some(seen) => FaultOutcome::Observed(seen.clone()),
                None => FaultOutcome::Invalid {
                    reasons: vec![
                        "the record has no timeline: the file was altered, measure again".to_owned(),
                    ],
                },
            },
            Outcome::Invalid { reasons } => FaultOutcome::Invalid { reasons: vec![in_words(reasons)] },
        };
        let Trial { block, position, attempt, .. } = *trial;
        FaultTrial { block, position, attempt, model: trial.cell.competitor.clone(), outcome }
    }
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
