//! The timed window of one trial: what every role used in it, and whether its numbers may be believed.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::de::IgnoredAny;
use thiserror::Error;

use crate::host::{Counters, HostError};
use crate::host::{HostWindow, Usage, unix_ms};
use crate::load::latency;
use crate::load::{LoadReport, repeated};
use crate::plan::{Cell, Gates, Kind};
use crate::record::timeline::Observation;
use crate::record::{Outcome, Reason, Sample};
use crate::testbed::peers::Turns;
use crate::testbed::process::{ChildError, Supervised};
use crate::trial::gates::{Asked, Seen, reasons};

/// The processes of one trial.
pub(super) struct Window<'a> {
    pub(super) load: Supervised,
    /// None in the direct row.
    pub(super) balancer: Option<&'a mut Supervised>,
    pub(super) backends: Vec<&'a mut Supervised>,
    /// How long the warm-up and the window may take, each.
    pub(super) patience: Duration,
}

/// What a window showed.
pub(crate) struct Measured {
    pub(crate) report: LoadReport,
    pub(crate) client: Usage,
    pub(crate) balancer: Option<Usage>,
    pub(crate) backends: Usage,
    pub(crate) host: HostWindow,
    /// What clients saw of the faults, where there were any.
    pub(crate) timeline: Option<Box<Observation>>,
}

/// Why a window could not be measured.
#[derive(Debug, Error)]
pub(super) enum WindowError {
    #[error(transparent)]
    Child(#[from] ChildError),
    #[error(transparent)]
    Host(#[from] HostError),
}

struct Snapshot {
    client: Usage,
    balancer: Option<Usage>,
    backends: Usage,
}

impl Window<'_> {
    /// Lets the load generator warm up, opens the window and reads every counter around it.
    pub(super) fn measure(&mut self, started: &mut u64) -> Result<Measured, WindowError> {
        self.load.read::<IgnoredAny>("warm up", self.patience)?;
        let before = self.snapshot()?;
        let host = Counters::now()?;
        *started = unix_ms();
        self.load.say("go")?;
        let report = self.load.read("finish its requests", self.patience)?;
        let host = host.until(&Counters::now()?);
        let after = self.snapshot()?;
        Ok(Measured {
            report,
            client: used(&before.client, &after.client),
            balancer: before.balancer.zip(after.balancer).map(|(before, after)| used(&before, &after)),
            backends: used(&before.backends, &after.backends),
            host,
            timeline: None,
        })
    }

    /// Every server of this trial that has died, and how.
    pub(super) fn exit_reports(&mut self) -> Vec<Reason> {
        let balancer = self.balancer.iter_mut();
        let servers = balancer.chain(&mut self.backends);
        servers.filter_map(|server| Some(Reason::Words(server.exit_report()?.to_string()))).collect()
    }

    fn snapshot(&mut self) -> Result<Snapshot, ChildError> {
        let mut backends = Usage::default();
        for backend in &mut self.backends {
            backends = sum(&backends, &backend.usage()?);
        }
        let balancer = self.balancer.as_mut().map(|balancer| balancer.usage()).transpose()?;
        Ok(Snapshot { client: self.load.usage()?, balancer, backends })
    }
}

impl Measured {
    /// The sample, when every gate is passed and no server has died (`exit_reports`).
    pub(crate) fn judge(
        self,
        cell: &Cell,
        gates: &Gates,
        backends: &[String],
        exit_reports: Vec<Reason>,
    ) -> Outcome {
        let Cell { competitor, condition } = cell;
        let report = self.report;
        let recorded = |text: &str| latency::decode(text).map_or(0, |histogram| histogram.len());
        let open_loop = report.open_loop.as_ref();
        let seen = Seen {
            completed: report.completed,
            failed: vec![
                ("no connection", report.failed.connect),
                ("cut short", report.failed.receive),
                ("wrong length", report.failed.length),
                ("wrong content", report.failed.content),
                ("not HTTP", report.failed.malformed),
                ("too late", report.failed.timeout),
            ],
            warmup_failed: report.warmup_failed,
            non_2xx: report.non_2xx,
            // In an open loop each response has two times, and it is the one from when it was due that is compared.
            timed: open_loop
                .map_or(u64::MAX, |open| recorded(&open.latency_ns_hdr))
                .min(recorded(&report.latency_ns_hdr)),
            elapsed_ns: report.elapsed_ns,
            per_backend: report.per_backend,
            from_cache: report.from_cache,
            left_open: report.closed_by_client,
            listen_overflows: self.host.listen_overflows,
            steal_percent: share_of_processors(self.host.steal_ns, report.elapsed_ns) * 100.0,
            open_loop: report.open_loop,
        };
        // A window that its duration ends holds as many as it lets through.
        let requests = condition.duration_ms.map_or(condition.requests, |_| report.requests);
        let has_cache = condition.cache_mib.is_some() && competitor.kind == Kind::Model;
        let hit_ratio = condition.hit_ratio_percent.filter(|_| has_cache);
        let asked = Asked {
            requests,
            from_cache: hit_ratio.map_or(0, |percent| repeated(requests, percent)),
            rate: condition.rate,
            backends,
            turns: Turns::of(competitor),
            steal_limit_percent: gates.steal_limit_percent,
            under_faults: condition.fault.is_some(),
            overload_allowed: gates.overload_allowed,
            queues_may_overflow: condition.backlog.is_some(),
        };
        let mut reasons = reasons(&seen, &asked);
        reasons.extend(exit_reports);
        if !reasons.is_empty() {
            return Outcome::Invalid { reasons };
        }
        Outcome::Measured(Box::new(Sample {
            completed: seen.completed,
            non_2xx: seen.non_2xx,
            failed: seen.failed.iter().map(|(_, count)| count).sum(),
            elapsed_ns: seen.elapsed_ns,
            received_bytes: report.received_bytes,
            latency_ns_hdr: report.latency_ns_hdr,
            open_loop: seen.open_loop,
            per_backend: seen.per_backend,
            from_cache: seen.from_cache,
            client: self.client,
            balancer: self.balancer,
            backends: self.backends,
            host: self.host,
            timeline: self.timeline,
        }))
    }
}

/// What part `spent_ns` is of all that the processors had to give in `elapsed_ns`.
fn share_of_processors(spent_ns: u64, elapsed_ns: u64) -> f64 {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    spent_ns as f64 / (elapsed_ns.max(1) as f64 * processors as f64)
}

/// Counters add up from the process's start; threads and peak memory are as they are at the end.
pub(crate) fn used(before: &Usage, after: &Usage) -> Usage {
    Usage {
        user_ns: after.user_ns.saturating_sub(before.user_ns),
        system_ns: after.system_ns.saturating_sub(before.system_ns),
        voluntary_switches: after.voluntary_switches.saturating_sub(before.voluntary_switches),
        involuntary_switches: after.involuntary_switches.saturating_sub(before.involuntary_switches),
        threads: after.threads,
        peak_rss_bytes: after.peak_rss_bytes,
    }
}

pub(crate) fn sum(a: &Usage, b: &Usage) -> Usage {
    Usage {
        user_ns: a.user_ns + b.user_ns,
        system_ns: a.system_ns + b.system_ns,
        voluntary_switches: a.voluntary_switches + b.voluntary_switches,
        involuntary_switches: a.involuntary_switches + b.involuntary_switches,
        threads: a.threads + b.threads,
        peak_rss_bytes: a.peak_rss_bytes + b.peak_rss_bytes,
    }
}
