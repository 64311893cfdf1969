//! The timed window of one trial: what every role used in it, and whether its numbers may be believed.

use std::time::Duration;

use thiserror::Error;

use crate::host::{HostError, Usage, unix_ms};
use crate::load::latency;
use crate::load::repeated;
use crate::plan::{Cell, Gates, Kind};
use crate::record::timeline::Observation;
use crate::record::{Outcome, Reason, Sample};
use crate::testbed::Testbed;
use crate::testbed::control::Account;
use crate::testbed::generators::{Finished, Generators};
use crate::testbed::peers::Turns;
use crate::testbed::process::{ChildError, Supervised};
use crate::trial::gates::{Asked, Seen, reasons};
use crate::trial::machines::{CountError, Machines, Moment};

/// The processes of one trial.
pub(super) struct Window<'a> {
    pub(super) testbed: &'a Testbed,
    pub(super) load: Generators,
    /// None in the direct row.
    pub(super) balancer: Option<&'a mut Supervised>,
    pub(super) backends: Vec<&'a mut Supervised>,
    /// How long the warm-up and the window may take, each.
    pub(super) patience: Duration,
}

/// What a window showed.
pub(crate) struct Measured {
    pub(crate) finished: Finished,
    pub(crate) client: Usage,
    pub(crate) balancer: Option<Usage>,
    /// As the balancer tells at the end; empty where its workers share anything.
    pub(crate) connections_by_worker: Vec<u64>,
    pub(crate) backends: Usage,
    pub(crate) machines: Machines,
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

impl From<CountError> for WindowError {
    fn from(error: CountError) -> Self {
        match error {
            CountError::Host(error) => WindowError::Host(error),
            CountError::Child(error) => WindowError::Child(error),
        }
    }
}

/// `error` as a trial's reason: one that the run does not outlive is told from all others.
pub(crate) fn reason(error: ChildError) -> Reason {
    match error {
        ChildError::HostLost { host, how } => Reason::HostLost { host, how },
        error => Reason::Words(error.to_string()),
    }
}

struct Snapshot {
    client: Usage,
    balancer: Option<Account>,
    backends: Usage,
}

impl Window<'_> {
    /// Lets the load generator warm up, opens the window and reads every counter around it.
    pub(super) fn measure(&mut self, started: &mut u64) -> Result<Measured, WindowError> {
        self.load.warm_up(self.patience)?;
        let before = self.snapshot()?;
        let moment = Moment::now(self.testbed)?;
        *started = unix_ms();
        self.load.go()?;
        let finished = self.load.finish(self.patience)?;
        let machines = moment.until(&Moment::now(self.testbed)?);
        let after = self.snapshot()?;
        Ok(Measured {
            finished,
            client: used(&before.client, &after.client),
            balancer: before
                .balancer
                .zip(after.balancer.as_ref())
                .map(|(before, after)| used(&before.usage, &after.usage)),
            connections_by_worker: after.balancer.map_or_else(Vec::new, |after| after.connections_by_worker),
            backends: used(&before.backends, &after.backends),
            machines,
            timeline: None,
        })
    }

    /// Every server of this trial that has died, and how.
    pub(super) fn exit_reports(&mut self) -> Vec<Reason> {
        let balancer = self.balancer.iter_mut();
        let servers = balancer.chain(&mut self.backends);
        servers.filter_map(|server| Some(reason(server.exit_report()?))).collect()
    }

    fn snapshot(&mut self) -> Result<Snapshot, ChildError> {
        let backends = self.backends.iter_mut().map(|backend| backend.usage()).sum::<Result<_, _>>()?;
        let balancer = self.balancer.as_mut().map(|balancer| balancer.account()).transpose()?;
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
        let Finished { report, began_apart_ns } = self.finished;
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
            listen_overflows: self.machines.listen_overflows(),
            steal_percent: self.machines.steal_percent(report.elapsed_ns),
            began_apart_ns,
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
            connections_by_worker: self.connections_by_worker,
            backends: self.backends,
            host: self.machines.host,
            hosts: self.machines.each,
            timeline: self.timeline,
        }))
    }
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
