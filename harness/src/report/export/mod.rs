//! A run for other programs: JSON of a published form, and every trial as a row of CSV.
//!
//! The forms are decoupled from the types of the analysis, which may change from day to day: [`report::Report`],
//! [`faults::FaultReport`], [`comparison::Comparison`] and [`families::FamiliesForm`] change only with their version. `harness/schema/` holds their JSON schemas, made from
//! these types; a test compares. Rules: a number's unit is in its name, a figure that there is none of is null or absent.

pub mod comparison;
pub mod families;
pub mod faults;
pub mod machines;
pub mod report;
pub mod trials;

use roundtable_backends::ServiceTime;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

use crate::analysis::ratio::Bound;
use crate::plan::{Arrivals, Competitor, Condition, Connections, Layout};

/// The published forms: the name of each one's schema file, and the schema.
pub fn schemas() -> [(&'static str, Schema); 5] {
    [
        ("report.json", schema_for!(report::Report)),
        ("compare.json", schema_for!(comparison::Comparison)),
        ("families.json", schema_for!(families::FamiliesForm)),
        ("faults.json", schema_for!(faults::FaultReport)),
        ("load.json", schema_for!(crate::load::Told<'static>)),
    ]
}

/// How the true ratio stands to the one that was measured.
fn bound(bound: Bound) -> &'static str {
    match bound {
        Bound::Exact => "exact",
        Bound::AtLeast => "at_least",
        Bound::AtMost => "at_most",
        Bound::Unknown => "unknown",
    }
}

/// What was done to a trial.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ConditionForm {
    /// Number of backend servers.
    pub backends: u32,
    /// Requests outstanding at any time (closed loop), or at most (open loop).
    pub concurrency: u32,
    /// `close`: one request on each connection; `keepalive`: persistent connections.
    pub connections: &'static str,
    /// Requests per second of the open loop; null: closed loop.
    pub rate_per_second: Option<u64>,
    /// `even` or `poisson`: how the requests of the open loop are spaced.
    pub arrivals: &'static str,
    /// Length of each response body.
    pub body_bytes: u64,
    /// Length of each request body; 0: there is none.
    pub upload_bytes: u64,
    /// Mean time that a backend works on a request.
    pub mean_service_time_s: f64,
    /// Whether these times are distributed exponentially, and not all alike.
    pub service_times_are_exponential: bool,
    /// Requests that a backend works on at a time; null: all.
    pub at_a_time: Option<u32>,
    /// Percent of the requests that ask for what was asked for before, so that a cache can answer them; null: nothing is said of
    /// storing.
    pub hit_ratio_percent: Option<u32>,
    /// Memory of the models' cache; null: there is none.
    pub cache_mib: Option<u64>,
    /// Connections that may wait to be accepted, where that was asked about.
    pub backlog: Option<u32>,
    /// Worker threads of the models that have a fixed number of them; null: each model's default.
    pub workers: Option<u32>,
    /// `shared`: every role may use all processors; `pinned`: the balancer has one to itself.
    pub layout: &'static str,
    /// Requests in the timed window, at most where it has a duration.
    pub requests: u64,
    /// When the window ended at the latest; null: with its last request.
    pub duration_ms: Option<u64>,
    /// Requests before it, not counted.
    pub warmup_requests: u64,
}

impl From<&Condition> for ConditionForm {
    fn from(condition: &Condition) -> Self {
        ConditionForm {
            backends: condition.backends,
            concurrency: condition.concurrency,
            connections: match condition.connections {
                Connections::Close => "close",
                Connections::Keepalive => "keepalive",
            },
            rate_per_second: condition.rate,
            arrivals: match condition.arrivals {
                Arrivals::Even => "even",
                Arrivals::Poisson => "poisson",
            },
            body_bytes: condition.body_bytes,
            upload_bytes: condition.upload_bytes,
            mean_service_time_s: condition.delay.mean().as_secs_f64(),
            service_times_are_exponential: matches!(condition.delay, ServiceTime::Exponential(_)),
            at_a_time: condition.at_a_time,
            hit_ratio_percent: condition.hit_ratio_percent,
            cache_mib: condition.cache_mib,
            backlog: condition.backlog,
            workers: condition.workers,
            layout: match condition.layout {
                Layout::Shared => "shared",
                Layout::Pinned => "pinned",
            },
            requests: condition.requests,
            duration_ms: condition.duration_ms,
            warmup_requests: condition.warmup,
        }
    }
}

/// Who was measured.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CompetitorForm {
    /// The name of the row, such as `mio`, `mio+10%`, `threads#2`.
    pub label: String,
    /// The model's name; `direct`: no balancer.
    pub model: String,
    /// Extra CPU work for each request, on purpose.
    pub slowdown_percent: u32,
    /// Measured a second time under the same name (A/A).
    pub is_replicate: bool,
}

impl From<&Competitor> for CompetitorForm {
    fn from(competitor: &Competitor) -> Self {
        CompetitorForm {
            label: competitor.to_string(),
            model: competitor.name.clone(),
            slowdown_percent: competitor.slowdown_percent,
            is_replicate: competitor.replicate,
        }
    }
}

#[cfg(test)]
mod tests;
