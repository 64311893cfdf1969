//! Values that the unit tests of several modules start from.

use std::collections::BTreeMap;

use crate::host::{Host, HostWindow, Usage};
use crate::load::OpenLoop;
use crate::load::latency;
use crate::plan::{Cell, Connections, Family, Layout, Length, Plan};
use crate::record::{Build, Environment, ModelInfo, Outcome, SCHEMA, Sample, Trial};

/// Three rows, two backend counts, two concurrencies: twelve cells.
pub(crate) fn plan(length: Length) -> Plan {
    Plan {
        models: ["direct", "threads", "mio"].map(str::to_owned).to_vec(),
        backends: vec![1, 2],
        concurrency: vec![2, 5],
        requests: 100,
        warmup: 10,
        connections: Connections::Close,
        body_bytes: 16,
        seed: u64::MAX,
        length,
        layout: Layout::Shared,
        workers: None,
        steal_limit_percent: 100,
        precision_percent: None,
        rate: None,
    }
}

pub(crate) fn environment() -> Environment {
    Environment {
        schema: SCHEMA,
        created: "2026-01-02T03:04:05Z".into(),
        command_line: vec!["roundtable".into(), "run".into()],
        plan: plan(Length::Blocks(2)),
        models: vec![ModelInfo {
            name: "direct".into(),
            family: Family::None,
            summary: "none".into(),
            unit_of_work: "none".into(),
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
        notes: Vec::new(),
    }
}

pub(crate) fn measured() -> Outcome {
    Outcome::Measured(Box::new(Sample {
        completed: 1,
        non_2xx: 0,
        elapsed_ns: 1,
        received_bytes: 1,
        latency_ns_hdr: String::new(),
        open_loop: None,
        per_backend: BTreeMap::new(),
        client: Usage::default(),
        balancer: None,
        backends: Usage::default(),
        host: HostWindow::default(),
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
    Outcome::Invalid { reasons: vec![reason.to_owned()] }
}

/// The first trial of `block`.
pub(crate) fn trial(block: u32, outcome: Outcome) -> Trial {
    Trial {
        schema: SCHEMA,
        block,
        position: 0,
        attempt: 1,
        cell: Cell { model: "direct".into(), backends: 1, concurrency: 2 },
        started_unix_ms: 1,
        took_ms: 1,
        outcome,
    }
}
