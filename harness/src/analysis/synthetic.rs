//! Runs made up from a seed, for tests of tables, charts and statistics.
//!
//! The figures are plausible, not measured: nothing outside tests may see them.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::fixtures;
use crate::host::{Host, HostWindow, Usage};
use crate::load::OpenLoop;
use crate::load::latency;
use crate::plan::*;
use crate::record::*;

/// Does something else to every trial of `stored` than was done.
pub(crate) fn recondition(stored: &mut Stored, alter: impl Fn(&mut Condition)) {
    alter(&mut stored.environment.plan.base);
    stored.trials.iter_mut().for_each(|trial| alter(&mut trial.cell.condition));
}

/// A run to be made up.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    models: Vec<String>,
    backends: Vec<u32>,
    concurrency: Vec<u32>,
    blocks: u32,
    requests: u64,
    rate: Option<u64>,
    /// Other factors that are varied, each with its values.
    swept: Vec<(&'static Factor, &'static str)>,
    invalid: Vec<(Cell, u32)>,
}

impl Run {
    /// Four models and the direct row, five backend counts, three concurrencies, three blocks.
    pub(crate) fn new() -> Self {
        Run {
            models: ["direct", "threads", "pool", "mio", "tokio"].map(String::from).to_vec(),
            backends: vec![1, 2, 3, 4, 5],
            concurrency: vec![2, 5, 10],
            blocks: 3,
            requests: 10_000,
            rate: None,
            swept: Vec::new(),
            invalid: Vec::new(),
        }
    }

    pub(crate) fn models(mut self, models: &[&str]) -> Self {
        self.models = models.iter().map(|&m| m.into()).collect();
        self
    }

    pub(crate) fn backends(mut self, backends: &[u32]) -> Self {
        self.backends = backends.to_vec();
        self
    }

    pub(crate) fn concurrency(mut self, concurrency: &[u32]) -> Self {
        self.concurrency = concurrency.to_vec();
        self
    }

    pub(crate) fn blocks(mut self, blocks: u32) -> Self {
        self.blocks = blocks;
        self
    }

    /// An open loop at so many requests per second.
    pub(crate) fn rate(mut self, rate: u64) -> Self {
        self.rate = Some(rate);
        self
    }

    /// With `factor` varied as well.
    pub(crate) fn over(mut self, factor: &'static Factor, values: &'static str) -> Self {
        self.swept.push((factor, values));
        self
    }

    pub(crate) fn invalid(mut self, model: &str, backends: u32, concurrency: u32, block: u32) -> Self {
        self.invalid.push((self.cell(model, backends, concurrency), block));
        self
    }

    fn base(&self) -> Condition {
        Condition { requests: self.requests, warmup: 200, rate: self.rate, ..Condition::default() }
    }

    fn cell(&self, label: &str, backends: u32, concurrency: u32) -> Cell {
        let condition = Condition { backends, concurrency, ..self.base() };
        Cell { competitor: Competitor::of(label), condition }
    }

    pub(crate) fn build(&self) -> Stored {
        let environment = self.environment();
        let mut trials = Vec::new();
        for block in 0..self.blocks {
            for competitor in &environment.plan.competitors {
                for condition in environment.plan.conditions() {
                    let cell = Cell { competitor: competitor.clone(), condition };
                    trials.push(self.trial(block, trials.len() as u32, cell));
                }
            }
        }
        Stored { name: "synthetic".into(), environment, trials }
    }

    fn trial(&self, block: u32, position: u32, cell: Cell) -> Trial {
        let outcome = if self.invalid.contains(&(cell.clone(), block)) {
            Outcome::Invalid { reasons: vec![Reason::Not2xx { responses: 3, of: 10_000 }] }
        } else {
            Outcome::Measured(Box::new(self.sample(block, &cell)))
        };
        let started_unix_ms = 1_700_000_000_000 + u64::from(position) * 600;
        Trial { schema: SCHEMA, block, position, attempt: 1, cell, started_unix_ms, took_ms: 600, outcome }
    }

    fn sample(&self, block: u32, cell: &Cell) -> Sample {
        // (requests a second at c = 2, gain by c = 10, user µs, system µs, tail)
        let Cell { competitor, condition } = cell;
        let (base, gain, user, system, tail) = match competitor.name.as_str() {
            "direct" => (14_000.0, 1.5, 0.0, 0.0, 3.0),
            "threads" => (7_200.0, 1.15, 21.0, 88.0, 5.0),
            "pool" => (7_900.0, 1.2, 19.0, 71.0, 4.5),
            "mio" => (8_300.0, 1.35, 14.0, 62.0, 3.5),
            _ => (7_600.0, 1.32, 24.0, 66.0, 4.0),
        };
        let slowed = 1.0 + f64::from(competitor.slowdown_percent) / 100.0;
        let name: u64 = competitor.to_string().bytes().fold(7, |hash, b| hash * 31 + u64::from(b));
        let mut seed = name
            .wrapping_add(u64::from(block) * 1_000_003)
            .wrapping_add(u64::from(condition.backends) * 10_007 + u64::from(condition.concurrency) * 101);
        for (factor, _) in &self.swept {
            let value = factor.get(condition).to_string();
            seed = value.bytes().fold(seed, |hash, b| hash.wrapping_mul(31).wrapping_add(u64::from(b)));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let noise = |rng: &mut ChaCha8Rng, width: f64| 1.0 + width * (rng.random::<f64>() - 0.5);
        let c = f64::from(condition.concurrency);
        let rate = base
            * (1.0 + (gain - 1.0) * (c / 2.0).ln() / 5f64.ln())
            * (1.0 - 0.02 * f64::from(condition.backends))
            * noise(&mut rng, 0.12);
        let mut latency = latency::histogram();
        // Drawn in handfuls: tests build many runs.
        let handful = (self.requests / 500).max(1);
        for i in 0..self.requests / handful {
            let u = (i as f64 + rng.random::<f64>()) * handful as f64 / self.requests as f64;
            let ns =
                c / rate * 1e9 * (0.55 + 0.3 * rng.random::<f64>() + 0.012 * tail * (1.0 / (1.0 - u)).sqrt());
            latency.saturating_record_n(ns as u64, handful);
        }
        // An open loop's times are those of the closed one, and a tenth of a millisecond that each request was late.
        let open_loop = condition.rate.map(|rate| {
            let (mut since_due, mut late) = (latency::histogram(), latency::histogram());
            for value in latency.iter_recorded() {
                since_due.saturating_record_n(value.value_iterated_to() + 100_000, value.count_at_value());
            }
            late.saturating_record_n(100_000, self.requests);
            OpenLoop {
                rate,
                achieved_milli_per_s: rate * 1000,
                sustained: true,
                backlog_grew: false,
                waited: self.requests / 50,
                behind_ns: 100_000,
                latency_ns_hdr: latency::encode(&since_due),
                late_ns_hdr: latency::encode(&late),
            }
        });
        let elapsed_ns =
            (self.requests as f64 / condition.rate.map_or(rate, |rate| rate as f64) * 1e9) as u64;
        let usage = |user_us: f64, system_us: f64, rng: &mut ChaCha8Rng| Usage {
            user_ns: (user_us * noise(rng, 0.1) * 1e3 * self.requests as f64) as u64,
            system_ns: (system_us * noise(rng, 0.1) * 1e3 * self.requests as f64) as u64,
            voluntary_switches: 10_000,
            involuntary_switches: 120,
            threads: 3,
            peak_rss_bytes: 4 << 20,
        };
        let share = self.requests / u64::from(condition.backends);
        Sample {
            completed: self.requests,
            non_2xx: 0,
            failed: 0,
            elapsed_ns,
            received_bytes: self.requests * 1_187,
            latency_ns_hdr: latency::encode(&latency),
            open_loop,
            from_cache: 0,
            per_backend: (0..condition.backends).map(|i| (format!("backend-{i}"), share)).collect(),
            client: usage(9.0, 40.0, &mut rng),
            balancer: (!competitor.is_direct()).then(|| usage(user * slowed, system * slowed, &mut rng)),
            connections_by_worker: Vec::new(),
            backends: usage(6.0, 35.0, &mut rng),
            host: HostWindow {
                steal_ns: (elapsed_ns as f64 * 0.05 * rng.random::<f64>()) as u64,
                idle_ns: if self.rate.is_some() { elapsed_ns } else { elapsed_ns / 5 },
                time_wait_at_start: 900,
                ..HostWindow::default()
            },
            hosts: BTreeMap::new(),
            timeline: None,
        }
    }

    fn environment(&self) -> Environment {
        let text = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|&(k, v)| (k.into(), v.into())).collect()
        };
        let models = self.models.iter().map(|name| ModelInfo {
            competitor: Competitor::of(name),
            workers: None,
            family: match name.as_str() {
                DIRECT => Family::None,
                "threads" | "pool" => Family::Threaded,
                _ => Family::Async,
            },
            summary: format!("{name}, made up"),
            unit_of_work: "connection".into(),
            manifest: match name.as_str() {
                DIRECT => text(&[]),
                name => text(&[("backlog", "1024"), ("nodelay", "yes"), ("threads", name)]),
            },
        });
        let plan = Plan {
            competitors: self.models.iter().map(|label| Competitor::of(label)).collect(),
            base: self.base(),
            axes: Vec::new(),
            length: Length::Blocks(self.blocks),
            precision_percent: None,
            seed: 1,
            gates: Gates { steal_limit_percent: 10, ..Gates::default() },
            purpose: None,
        };
        let plan = fixtures::over(plan, &factor::BACKENDS, &self.backends);
        let plan = fixtures::over(plan, &factor::CONCURRENCY, &self.concurrency);
        let plan = self
            .swept
            .iter()
            .fold(plan, |plan, (factor, values)| plan.over(factor, &factor.parse(values).unwrap()).unwrap());
        Environment {
            schema: SCHEMA,
            created: "2026-11-20T12:00:00Z".into(),
            command_line: ["roundtable", "run", "--seed", "1"].map(String::from).to_vec(),
            plan,
            models: models.collect(),
            build: Build {
                version: "0.1.0".into(),
                commit: "0123456789abcdef0123456789abcdef01234567".into(),
                dirty: false,
                rustc: "rustc 1.90.0".into(),
                profile: "release".into(),
                target: "x86_64-unknown-linux-gnu".into(),
                crates: text(&[("mio", "1.2.4"), ("tokio", "1.54.1")]),
            },
            host: Host {
                kernel: "6.1.0".into(),
                cpu: "A processor".into(),
                processors: 2,
                hypervisor: "kvm".into(),
                memory_bytes: 8 << 30,
                load_average: 0.31,
                descriptor_limit: 65_536,
                sysctls: text(&[("net.ipv4.tcp_tw_reuse", "2")]),
            },
            hosts: None,
            rate_found: None,
            notes: Vec::new(),
        }
    }
}

/// Two runs of one grid: eight blocks each of one made-up run; the samples of the second are altered.
pub(crate) fn halves(alter: impl Fn(&str, &mut Sample)) -> [Stored; 2] {
    let mut new = half("new", 8, Run::new());
    for trial in &mut new.trials {
        if let Outcome::Measured(sample) = &mut trial.outcome {
            alter(&trial.cell.competitor.to_string(), sample);
        }
    }
    [half("base", 0, Run::new()), new]
}

/// The same at a fixed rate, unaltered.
pub(crate) fn paced_halves(rate: u64) -> [Stored; 2] {
    [("base", 0), ("new", 8)].map(|(name, first_block)| half(name, first_block, Run::new().rate(rate)))
}

/// Eight blocks of `run`, from `first_block` on.
pub(crate) fn half(name: &str, first_block: u32, run: Run) -> Stored {
    let run = run.models(&["direct", "threads", "mio", "threads#2"]).backends(&[1, 2]).concurrency(&[2, 10]);
    let mut stored = run.blocks(first_block + 8).build();
    stored.trials.retain(|trial| trial.block >= first_block);
    stored.name = name.into();
    stored
}

/// Multiplies the balancer's CPU time in the kernel, of one model.
pub(crate) fn slow_cpu(model: &str, of: &str, sample: &mut Sample, more: f64) {
    if let (true, Some(usage)) = (model == of, sample.balancer.as_mut()) {
        usage.system_ns = (usage.system_ns as f64 * more) as u64;
    }
}
