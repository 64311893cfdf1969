//! How clients fared while faults befell the backends: the part of a sample that a trial with a fault script has.
//!
//! Owns the shapes; [`crate::trial::faults`] makes them. Rules: an integer carries its unit in its name; times count from
//! the first request of the timed window.

use std::collections::BTreeMap;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use crate::plan::fault::Event;

/// Whoever still suffers so long before a fault's end shows that its backend was not left out: a third of it holds at
/// least one of the backend's turns, however many there are. Microseconds.
pub const SETTLED_US: u64 = 500_000;

/// How clients fared while the script was carried out.
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
    /// Requests suffered until the fault was taken back, or the window ended: the trial's observer says how that is told.
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

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Good answers in all of `buckets`, by backend.
pub fn answered(buckets: &[Bucket]) -> BTreeMap<String, u64> {
    let mut sum = BTreeMap::new();
    for (name, count) in buckets.iter().flat_map(|bucket| &bucket.answered) {
        *sum.entry(name.clone()).or_default() += count;
    }
    sum
}

/// "cut or reset 3, status 5xx 1".
pub fn in_words(errors: &Errors) -> String {
    let kinds = errors.kinds().into_iter().filter(|(_, count)| *count > 0);
    kinds.map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
}
