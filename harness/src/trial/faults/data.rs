//! What a fault run leaves behind: its settings in `environment.json`, and the lines of `faults.jsonl`.
//!
//! Owns the shapes and their schema number; [`super::observe`] makes them and [`crate::analysis::faults`] shows them.
//! Rules: an integer carries its unit in its name; a trial is an observation or the reasons why there is none, never a
//! number beside an error; times count from the first request of the timed window.

use std::collections::BTreeMap;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use super::scenario::{Event, Scenario};
use crate::plan::Competitor;
use crate::record::Environment;

/// Version of the shapes in this file. Files of another version are refused, not guessed at.
pub const FAULT_SCHEMA: u32 = 1;

/// `environment.json` of a fault run: that of any run, and what is its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultEnvironment {
    /// Machine, build and load; its plan has one backend count and one concurrency.
    #[serde(flatten)]
    pub environment: Environment,
    /// What was done to the backends.
    pub fault: FaultPlan,
}

/// What is done to the backends, and what is called suffering.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultPlan {
    /// The events, in order.
    pub scenario: Scenario,
    /// How long requests go on coming due after the last event, milliseconds.
    pub after_ms: u64,
    /// A response that ends later than this after its request was due is late, milliseconds.
    pub late_ms: u64,
    /// How long a request may take from when it is sent, milliseconds.
    pub timeout_ms: u64,
    /// Length of a bucket of the timeline, milliseconds.
    pub bucket_ms: u64,
}

impl FaultPlan {
    /// Length of the timed window, milliseconds.
    pub fn window_ms(&self) -> u64 {
        u64::try_from(self.scenario.length().as_millis()).unwrap_or(u64::MAX).saturating_add(self.after_ms)
    }
}

/// One model that went through the scenario once: a line of `faults.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultTrial {
    /// [`FAULT_SCHEMA`] of the writer.
    pub schema: u32,
    /// Repetition (0-based): each holds every model once.
    pub block: u32,
    /// Place within it (0-based): the random order.
    pub position: u32,
    /// 1 for the first try; higher when an invalid trial was run again.
    pub attempt: u32,
    /// The model.
    pub model: Competitor,
    /// Start of the timed window, milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
    /// Wall-clock time of the whole trial, milliseconds.
    pub took_ms: u64,
    /// What came of it.
    pub outcome: FaultOutcome,
}

/// Never a number beside an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultOutcome {
    /// Every process did its part.
    Observed(Box<Observation>),
    /// One did not, or requests failed before there was a fault.
    Invalid {
        /// Why, in words.
        reasons: Vec<String>,
    },
}

/// How clients fared while the scenario was played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Requests that came due in the window.
    pub requests: u64,
    /// Requests that failed or were answered with an error, by kind.
    pub errors: Errors,
    /// Good answers that were late.
    pub late: u64,
    /// Of these, those that ended before the first event: what the machine's noise alone did.
    pub late_before: u64,
    /// The slowest good answer, from when its request was due, microseconds.
    pub slowest_us: u64,
    /// What was done, and when.
    pub applied: Vec<Applied>,
    /// What became of each fault, in the order of their beginnings.
    pub episodes: Vec<Episode>,
    /// The timeline: bucket i holds the requests that ended in the i-th interval.
    pub buckets: Vec<Bucket>,
}

/// An event as it came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// What was to happen, and when.
    #[serde(flatten)]
    pub event: Event,
    /// When it began: the signal was about to be sent, the order given, the process started. Microseconds.
    pub began_us: u64,
    /// When it had taken effect: the process was gone, the order carried out, or somebody listened again. Microseconds.
    pub effective_us: u64,
}

/// From a fault to its end, as the clients saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// Place of the fault among the events.
    pub fault: usize,
    /// Requests that failed or were answered with an error while it lasted.
    pub errors: u64,
    /// Good answers that were late while it lasted.
    pub late: u64,
    /// How long requests suffered from it.
    pub left_out: LeftOut,
    /// What happened after its end; absent when it was for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
}

/// When a faulty backend no longer hurt anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// No request suffered at all.
    Unnoticed,
    /// The last request that suffered ended so long after the fault began, microseconds.
    AfterUs(u64),
    /// Requests suffered until the fault was taken back, or the window ended: [`super::observe`] says how that is told.
    Never,
}

/// After a backend was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// From when the restoration had taken effect to the end of the backend's first good answer to a request that was sent
    /// after it began, microseconds; absent when there was none before the next fault or the window's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_again_us: Option<u64>,
    /// From when the restoration had taken effect to the end of the last request that suffered before the next fault or
    /// the window's end; 0 when none did. Microseconds.
    pub calm_us: u64,
}

/// The requests that ended in one interval.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Good answers, by the backend that named itself in them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answered: BTreeMap<String, u64>,
    /// Of these, those that were late.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub late: u64,
    /// The others, by kind.
    #[serde(default, skip_serializing_if = "Errors::is_empty")]
    pub errors: Errors,
    /// The slowest good answer, from when its request was due, microseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub slowest_us: u64,
}

impl Bucket {
    /// Good answers of all backends.
    pub fn good(&self) -> u64 {
        self.answered.values().sum()
    }
}

/// Requests without a good answer, by what the client got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Errors {
    /// No connection to the balancer.
    #[serde(skip_serializing_if = "is_zero")]
    pub connect: u64,
    /// A response that was cut or reset.
    #[serde(skip_serializing_if = "is_zero")]
    pub cut: u64,
    /// A status of 500 to 599.
    #[serde(skip_serializing_if = "is_zero")]
    pub status_5xx: u64,
    /// Another status that is not 2xx.
    #[serde(skip_serializing_if = "is_zero")]
    pub status_other: u64,
    /// No whole response in time.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: u64,
    /// A response that is not HTTP, or has a wrong body.
    #[serde(skip_serializing_if = "is_zero")]
    pub wrong: u64,
}

impl Errors {
    /// Each kind, in words, with its number.
    pub fn kinds(&self) -> [(&'static str, u64); 6] {
        [
            ("no connection", self.connect),
            ("cut or reset", self.cut),
            ("status 5xx", self.status_5xx),
            ("other status", self.status_other),
            ("timeout", self.timeout),
            ("wrong content", self.wrong),
        ]
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.kinds().iter().map(|(_, count)| count).sum()
    }

    fn is_empty(&self) -> bool {
        *self == Errors::default()
    }
}

impl Add for Errors {
    type Output = Errors;

    fn add(self, other: Errors) -> Errors {
        Errors {
            connect: self.connect + other.connect,
            cut: self.cut + other.cut,
            status_5xx: self.status_5xx + other.status_5xx,
            status_other: self.status_other + other.status_other,
            timeout: self.timeout + other.timeout,
            wrong: self.wrong + other.wrong,
        }
    }
}

impl AddAssign for Errors {
    fn add_assign(&mut self, other: Errors) {
        *self = *self + other;
    }
}

/// A fault run as it was read back from its folder.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredFaults {
    /// The folder's name.
    pub name: String,
    /// `environment.json`.
    pub environment: FaultEnvironment,
    /// `faults.jsonl`, in the order in which the trials ended.
    pub trials: Vec<FaultTrial>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
