//! Scenarios: experiments as data. What is asked, under which conditions, for how long, and how the answer is read off.
//!
//! A scenario is a TOML file: those of [`BUILT_IN`] are compiled in from `harness/scenarios/`, a user writes others. It has one
//! run or several, each with a plan of its own, since a run is a closed loop or an open one. `file` reads them; what a
//! scenario says takes the place of the command line's defaults, and whatever is asked for on the command line goes before
//! it. Rule: a mistake in a file is told with its line and what to write instead.

mod built_in;
mod file;

use std::path::PathBuf;

use thiserror::Error;

use super::answer::{Answer, Purpose};
use super::factor::{Factor, Value};

pub use built_in::{BUILT_IN, built_in};
pub use file::{parse, read};

/// An experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// Its name: that of its file.
    pub name: String,
    /// What it asks.
    pub question: String,
    /// Its runs, at least one.
    pub runs: Vec<ScenarioRun>,
}

/// One run of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioRun {
    /// Its name among several.
    pub name: Option<String>,
    /// What it asks, where that is more than the scenario's question.
    pub question: Option<String>,
    /// Time that it takes unless told otherwise, milliseconds.
    pub budget_ms: u64,
    /// The models that it measures unless told otherwise; the command line's default where none is named.
    pub models: Option<String>,
    /// Factors that are set or swept, each with its values.
    pub factors: Vec<(&'static Factor, Vec<Value>)>,
    /// The same with `--quick`, in place of those of the same name.
    pub quick: Vec<(&'static Factor, Vec<Value>)>,
    /// Rates to be found: how.
    pub rates: Option<Rates>,
    /// The bounds of a valid trial, as far as they are named.
    pub gates: ScenarioGates,
    /// How the answer is read off.
    pub answers: Vec<Answer>,
    /// Ids of the figures that show it.
    pub figures: Vec<String>,
}

/// Rates that depend on what the machine can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rates {
    /// One that every row sustains under every condition.
    Auto,
    /// These shares of what the slowest row answers in a closed loop, percent.
    OfTheSlowest(Vec<u32>),
}

/// The bounds of a valid trial that a scenario names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScenarioGates {
    /// Share of the processors' time that the hypervisor may take, percent.
    pub steal_limit_percent: Option<u32>,
    /// A rate that is not sustained is what is asked about, not a fault of the trial.
    pub overload_allowed: bool,
}

/// A scenario that cannot be run as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScenarioError {
    /// No such name, and no such file.
    #[error("there is no scenario {name:?}; the scenarios are {known}, or give the path of a TOML file")]
    Unknown {
        /// What was asked for.
        name: String,
        /// All of them.
        known: String,
    },
    /// The file cannot be read.
    #[error("cannot read the scenario {} ({reason}); give the path of a TOML file", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// A promise without rates up to which it could be kept.
    #[error(
        "--slo asks up to which rate a promise is kept; give rates as well, as in --rate 1000,2000,4000, or --scenario saturation"
    )]
    NoRates,
    /// Something in it makes no sense.
    #[error("{file}, line {line}: {reason}")]
    Mistake {
        /// The file's name.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong and what to write instead.
        reason: String,
    },
}

impl Scenario {
    /// Time that all its runs take, milliseconds.
    pub fn budget_ms(&self) -> u64 {
        self.runs.iter().map(|run| run.budget_ms).sum()
    }

    /// What `run`, one of its runs, is made to answer.
    pub fn purpose(&self, run: &ScenarioRun) -> Purpose {
        Purpose {
            scenario: Some(self.name.clone()),
            run: run.name.clone(),
            question: run.question.clone().unwrap_or_else(|| self.question.clone()),
            answers: run.answers.clone(),
            figures: run.figures.clone(),
        }
    }
}

impl ScenarioRun {
    /// Its factors, in a quick run or a whole one.
    pub fn factors(&self, quick: bool) -> Vec<(&'static Factor, Vec<Value>)> {
        let mut factors = self.factors.clone();
        for (factor, values) in self.quick.iter().filter(|_| quick) {
            factors.retain(|(known, _)| known != factor);
            factors.push((factor, values.clone()));
        }
        factors
    }
}
