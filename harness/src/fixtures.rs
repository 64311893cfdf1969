//! Values that the unit tests of several modules start from.

use std::collections::BTreeMap;

use crate::host::{Host, HostWindow, Usage};
use crate::load::OpenLoop;
use crate::load::latency;
use crate::plan::{Cell, Competitor, Condition, Factor, Family, Gates, Length, Plan, Value, factor};
use crate::record::{
    Build, Connect, Environment, Hosts, ModelInfo, Outcome, Reason, RunHost, SCHEMA, Sample, Trial,
};

/// Three rows, two backend counts, two concurrencies: twelve cells.
pub(crate) fn plan(length: Length) -> Plan {
    let base = Condition { requests: 100, warmup: 10, body_bytes: 16, ..Condition::default() };
    let plan = Plan {
        competitors: ["direct", "threads", "mio"].map(Competitor::of).to_vec(),
        base,
        axes: Vec::new(),
        length,
        precision_percent: None,
        seed: u64::MAX,
        gates: Gates { steal_limit_percent: 100, ..Gates::default() },
        purpose: None,
    };
    over(over(plan, &factor::BACKENDS, &[1, 2]), &factor::CONCURRENCY, &[2, 5])
}

/// `plan` with other values of `factor`.
pub(crate) fn over(plan: Plan, factor: &'static Factor, values: &[u32]) -> Plan {
    let values: Vec<_> = values.iter().copied().map(Value::from).collect();
    plan.over(factor, &values).unwrap()
}

/// One of a plan's cells.
pub(crate) fn cell(label: &str, backends: u32, concurrency: u32) -> Cell {
    let base = plan(Length::Blocks(1)).base;
    Cell { competitor: Competitor::of(label), condition: Condition { backends, concurrency, ..base } }
}

pub(crate) fn environment() -> Environment {
    Environment {
        schema: SCHEMA,
        created: "2026-01-02T03:04:05Z".into(),
        command_line: vec!["roundtable".into(), "run".into()],
        plan: plan(Length::Blocks(2)),
        models: vec![ModelInfo {
            competitor: Competitor::direct(),
            family: Family::None,
            summary: "none".into(),
            unit_of_work: "none".into(),
            workers: None,
            manifest: BTreeMap::new(),
        }],
        build: Build {
            version: "0.1.0".into(),
            commit: "unknown".into(),
            dirty: false,
            rustc: "rustc".into(),
            profile: "debug".into(),
            target: "x".into(),
            crates: BTreeMap::new(),
        },
        host: Host {
            kernel: "k".into(),
            cpu: "c".into(),
            processors: 2,
            hypervisor: "none".into(),
            memory_bytes: 1,
            load_average: 0.5,
            descriptor_limit: 1024,
            sysctls: BTreeMap::new(),
        },
        hosts: None,
        rate_found: None,
        notes: Vec::new(),
    }
}

/// Two hosts: a with two load generators and the backends, b with the balancer.
pub(crate) fn hosts() -> Hosts {
    let host = |name: &str, last: u8, processors: usize| RunHost {
        name: name.into(),
        address: [10, 0, 0, last].into(),
        version: "0.1.0".into(),
        sha256: "ab".repeat(32),
        processors: (0..processors).collect(),
        host: environment().host,
        round_trip_ns: Some(u64::from(last) * 100_000),
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Hosts {
        launch: names(&["ssh", "{host}"]),
        program: "/opt/roundtable".into(),
        load: names(&["a", "a"]),
        balancer: "b".into(),
        backends: names(&["a"]),
        each: vec![host("a", 1, 4), host("b", 2, 2)],
        connects: vec![Connect { from: "a".into(), to: "b".into(), fastest_ns: 51_000 }],
    }
}

pub(crate) fn measured() -> Outcome {
    Outcome::Measured(Box::new(Sample {
        completed: 1,
        non_2xx: 0,
        failed: 0,
        elapsed_ns: 1,
        received_bytes: 1,
        latency_ns_hdr: String::new(),
        open_loop: None,
        per_backend: BTreeMap::new(),
        from_cache: 0,
        client: Usage::default(),
        balancer: None,
        connections_by_worker: Vec::new(),
        backends: Usage::default(),
        host: HostWindow::default(),
        hosts: BTreeMap::new(),
        timeline: None,
    }))
}

/// A rate that was kept to the microsecond by so many requests, each of which took 3 µs from when it was due.
pub(crate) fn open_loop(rate: u64, requests: u64) -> OpenLoop {
    let of = |ns: u64| {
        let mut histogram = latency::histogram();
        histogram.saturating_record_n(ns, requests);
        latency::encode(&histogram)
    };
    OpenLoop {
        rate,
        achieved_milli_per_s: 1000 * rate,
        sustained: true,
        backlog_grew: false,
        waited: 0,
        behind_ns: 0,
        latency_ns_hdr: of(3_000),
        late_ns_hdr: of(1_000),
    }
}

pub(crate) fn invalid(reason: &str) -> Outcome {
    Outcome::Invalid { reasons: vec![Reason::Words(reason.to_owned())] }
}

/// The first trial of `block`.
pub(crate) fn trial(block: u32, outcome: Outcome) -> Trial {
    Trial {
        schema: SCHEMA,
        block,
        position: 0,
        attempt: 1,
        cell: cell("direct", 1, 2),
        started_unix_ms: 1,
        took_ms: 1,
        outcome,
    }
}
