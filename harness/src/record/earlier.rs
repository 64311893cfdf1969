//! What earlier versions of roundtable stored, read as what it means today.
//!
//! Owns the shapes of schema 1, in which a run's competitors were labels, its conditions two lists, everything else that was
//! done to a trial a field of the plan, and reasons and remarks were words alone. Rule: a run that was ever stored can be read;
//! what it does not say is told as it was then, not guessed.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::environment::{Build, Environment, ModelInfo};
use super::reason::Reason;
use super::sample::Sample;
use super::schema::SCHEMA;
use super::timeline::{Observation, answered};
use super::trial::{Outcome, Trial};
use crate::host::{Host, HostWindow, Usage};
use crate::load::latency;
use crate::plan::{
    Accept, Axis, Cell, Competitor, Condition, Connections, Family, Faults, Gates, Layout, Length, Plan,
    Value, factor,
};

/// The schema of these shapes.
pub(super) const EARLIER: u32 = 1;
/// How the remark began that told by which search a run had come by its rate.
const RATE_FOUND: &str = "--rate auto: ";
/// Where a manifest told the number of worker threads.
const WORKERS: &str = "threads";

#[derive(Deserialize)]
pub(super) struct Environment1 {
    created: String,
    command_line: Vec<String>,
    plan: Plan1,
    models: Vec<ModelInfo1>,
    build: Build,
    host: Host,
    #[serde(default)]
    notes: Vec<String>,
    /// What a fault run had besides.
    #[serde(default)]
    fault: Option<Faults>,
}

#[derive(Deserialize)]
struct Plan1 {
    models: Vec<Competitor>,
    backends: Vec<u32>,
    concurrency: Vec<u32>,
    requests: u64,
    warmup: u64,
    connections: Connections,
    body_bytes: u64,
    seed: u64,
    length: Length,
    #[serde(default)]
    rate: Option<u64>,
    #[serde(default)]
    layout: Layout,
    #[serde(default)]
    workers: Option<u32>,
    /// Runs of before there was a limit had none.
    #[serde(default = "no_limit")]
    steal_limit_percent: u32,
    #[serde(default)]
    precision_percent: Option<u32>,
}

fn no_limit() -> u32 {
    100
}

#[derive(Deserialize)]
struct ModelInfo1 {
    name: Competitor,
    family: Family,
    summary: String,
    unit_of_work: String,
    manifest: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub(super) struct Trial1 {
    block: u32,
    position: u32,
    attempt: u32,
    cell: Cell1,
    started_unix_ms: u64,
    #[serde(default)]
    took_ms: u64,
    outcome: Outcome1,
}

#[derive(Deserialize)]
struct Cell1 {
    model: Competitor,
    backends: u32,
    concurrency: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome1 {
    Measured(Box<Sample>),
    Invalid { reasons: Vec<String> },
}

/// A line of `faults.jsonl`, in which a fault run kept its trials: what clients saw, and nothing of what it cost.
#[derive(Deserialize)]
pub(super) struct FaultTrial1 {
    block: u32,
    position: u32,
    attempt: u32,
    model: Competitor,
    started_unix_ms: u64,
    took_ms: u64,
    outcome: FaultOutcome1,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum FaultOutcome1 {
    Observed(Box<Observation>),
    Invalid { reasons: Vec<String> },
}

impl FaultTrial1 {
    /// As it is stored today. What was not kept then is nothing here: no report of faults looks at it.
    pub(super) fn today(self, base: &Condition) -> Trial {
        let FaultTrial1 { block, position, attempt, model: competitor, started_unix_ms, took_ms, outcome } =
            self;
        let outcome = match outcome {
            FaultOutcome1::Observed(seen) => Outcome::Measured(Box::new(Sample {
                completed: seen.requests.saturating_sub(seen.errors.total()),
                non_2xx: seen.errors.status_5xx + seen.errors.status_other,
                failed: 0,
                elapsed_ns: base.fault.as_ref().map_or(0, |faults| faults.window_ms() * 1_000_000),
                received_bytes: 0,
                latency_ns_hdr: latency::encode(&latency::histogram()),
                open_loop: None,
                from_cache: 0,
                per_backend: answered(&seen.buckets),
                client: Usage::default(),
                balancer: None,
                connections_by_worker: Vec::new(),
                backends: Usage::default(),
                host: HostWindow::default(),
                hosts: BTreeMap::new(),
                timeline: Some(seen),
            })),
            FaultOutcome1::Invalid { reasons } => {
                Outcome::Invalid { reasons: reasons.into_iter().map(Reason::Words).collect() }
            }
        };
        let cell = Cell { competitor, condition: base.clone() };
        Trial { schema: SCHEMA, block, position, attempt, cell, started_unix_ms, took_ms, outcome }
    }
}

impl Environment1 {
    /// As it is stored today.
    pub(super) fn today(self) -> Environment {
        let Environment1 { created, command_line, plan, models, build, host, notes, fault } = self;
        let mut plan = plan.today();
        plan.base.fault = fault;
        let (found, notes): (Vec<_>, Vec<_>) =
            notes.into_iter().partition(|note| note.starts_with(RATE_FOUND));
        Environment {
            schema: SCHEMA,
            created,
            command_line,
            plan,
            models: models.into_iter().map(ModelInfo1::today).collect(),
            build,
            host,
            hosts: None,
            rate_found: found.into_iter().next(),
            notes,
        }
    }
}

impl Plan1 {
    fn today(self) -> Plan {
        let first = |list: &[u32]| list.first().copied().unwrap_or(0);
        let base = Condition {
            backends: first(&self.backends),
            concurrency: first(&self.concurrency),
            connections: self.connections,
            rate: self.rate,
            body_bytes: self.body_bytes,
            workers: self.workers,
            accept: Accept::Single,
            layout: self.layout,
            requests: self.requests,
            warmup: self.warmup,
            fault: None,
            ..Condition::default()
        };
        // A list of one value is no axis; an altered file's empty one stays, for the check of the plan to tell.
        let axes = [(&factor::BACKENDS, &self.backends), (&factor::CONCURRENCY, &self.concurrency)];
        let axes = axes
            .into_iter()
            .filter(|(_, list)| list.len() != 1)
            .map(|(factor, list)| Axis { factor, values: list.iter().copied().map(Value::from).collect() });
        Plan {
            competitors: self.models,
            base,
            axes: axes.collect(),
            length: self.length,
            precision_percent: self.precision_percent,
            seed: self.seed,
            gates: Gates { steal_limit_percent: self.steal_limit_percent, ..Gates::default() },
            purpose: None,
        }
    }
}

impl ModelInfo1 {
    fn today(self) -> ModelInfo {
        let ModelInfo1 { name: competitor, family, summary, unit_of_work, manifest } = self;
        let workers = manifest.get(WORKERS).and_then(|workers| workers.parse().ok());
        ModelInfo { competitor, family, summary, unit_of_work, workers, manifest }
    }
}

impl Trial1 {
    /// As it is stored today; what all trials of its run had in common is in `base`.
    pub(super) fn today(self, base: &Condition) -> Trial {
        let Trial1 { block, position, attempt, cell, started_unix_ms, took_ms, outcome } = self;
        let Cell1 { model: competitor, backends, concurrency } = cell;
        let outcome = match outcome {
            Outcome1::Measured(sample) => Outcome::Measured(sample),
            Outcome1::Invalid { reasons } => {
                Outcome::Invalid { reasons: reasons.into_iter().map(Reason::Words).collect() }
            }
        };
        let condition = Condition { backends, concurrency, ..base.clone() };
        let cell = Cell { competitor, condition };
        Trial { schema: SCHEMA, block, position, attempt, cell, started_unix_ms, took_ms, outcome }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    const ENVIRONMENT: &str = r#"{
        "schema": 1, "created": "2026-01-02T03:04:05Z", "command_line": ["roundtable", "run"],
        "plan": {
            "models": ["direct", "mio", "mio#2"], "backends": [1, 2], "concurrency": [5], "requests": 100, "warmup": 10,
            "connections": "keepalive", "body_bytes": 16, "seed": 7, "length": {"blocks": 2}, "rate": 500
        },
        "models": [{
            "name": "mio", "family": "async", "summary": "s", "unit_of_work": "u", "manifest": {"threads": "1"}
        }],
        "build": {
            "version": "0.1.0", "commit": "c", "dirty": false, "rustc": "r", "profile": "release", "target": "t", "crates": {}
        },
        "host": {
            "kernel": "k", "cpu": "c", "processors": 2, "hypervisor": "none", "memory_bytes": 1, "load_average": 0.5,
            "descriptor_limit": 1024, "sysctls": {}
        },
        "notes": ["resumed at noon", "--rate auto: 500 requests per second"]
    }"#;
    const TRIAL: &str = r#"{
        "schema": 1, "block": 1, "position": 2, "attempt": 3, "cell": {"model": "mio#2", "backends": 2, "concurrency": 5},
        "started_unix_ms": 4, "outcome": {"invalid": {"reasons": ["one", "two"]}}
    }"#;

    #[test]
    fn a_run_of_schema_1_says_today_what_it_said_then() {
        let environment = serde_json::from_str::<Environment1>(ENVIRONMENT).unwrap().today();
        let plan = &environment.plan;
        assert_eq!(plan.competitors, ["direct", "mio", "mio#2"].map(Competitor::of));
        assert_eq!((plan.backends(), plan.concurrency(), plan.axes.len()), (vec![1, 2], vec![5], 1));
        let base = Condition {
            backends: 1,
            concurrency: 5,
            connections: Connections::Keepalive,
            rate: Some(500),
            body_bytes: 16,
            requests: 100,
            warmup: 10,
            ..Condition::default()
        };
        assert_eq!(plan.base, base);
        // It had no limit of steal, and no precision.
        assert_eq!((plan.gates.steal_limit_percent, plan.precision_percent, plan.seed), (100, None, 7));
        assert_eq!(environment.rate_found.as_deref(), Some("--rate auto: 500 requests per second"));
        assert_eq!(environment.notes, ["resumed at noon"]);
        assert_eq!(environment.models[0].workers, Some(1));

        let trial = serde_json::from_str::<Trial1>(TRIAL).unwrap().today(&plan.base);
        assert_eq!(trial.cell, plan.cells()[5]);
        assert_eq!((trial.block, trial.position, trial.attempt, trial.took_ms), (1, 2, 3, 0));
        let reasons = ["one", "two"].map(|words| Reason::Words(words.to_owned())).to_vec();
        assert_eq!(trial.outcome, Outcome::Invalid { reasons });
        // What is written from now on is of today's schema.
        assert_eq!((environment.schema, trial.schema), (SCHEMA, SCHEMA));
    }

    #[test]
    fn the_order_of_an_earlier_runs_blocks_is_the_one_that_it_would_have_today() {
        let earlier: Plan1 = serde_json::from_value(serde_json::json!({
            "models": ["direct", "threads", "mio"], "backends": [1, 2], "concurrency": [2, 5], "requests": 100,
            "warmup": 10, "connections": "close", "body_bytes": 16, "seed": u64::MAX, "length": {"blocks": 2},
            "steal_limit_percent": 100
        }))
        .unwrap();
        assert_eq!(earlier.today(), fixtures::plan(Length::Blocks(2)));
    }
}
