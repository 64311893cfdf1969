//! One valid trial in the units of the tables, or the reasons why it has no figures.
//!
//! The one place of the analysis that reads a stored sample. Rules: a record that cannot be read back is an invalid trial, not a
//! number; in an open loop response times count from when each request was due, and a rate that was not sustained makes
//! the trial invalid whatever the file says.

use hdrhistogram::Histogram;

use crate::host::Usage;
use crate::load::OpenLoop;
use crate::load::latency::{self, percentile_ms};
use crate::plan::Gates;
use crate::record::{Outcome, Reason, Sample, Trial};

/// One valid trial.
#[derive(Debug, Clone)]
pub struct ValidTrial {
    /// Block (0-based).
    pub block: u32,
    /// Requests answered correctly.
    pub completed: u64,
    /// Answers that were not 2xx.
    pub non_2xx: u64,
    /// Requests without a whole and right answer.
    pub failed: u64,
    /// Requests a second; in an open loop, of the whole schedule.
    pub rate: f64,
    /// The balancer's CPU time a request, user mode, µs; `None` in the direct row.
    pub user_us: Option<f64>,
    /// The balancer's CPU time a request, in the kernel, µs.
    pub system_us: Option<f64>,
    /// What the balancer used besides time; `None` in the direct row.
    pub balancer: Option<Usage>,
    /// The load generator's CPU time a request, µs.
    pub client_us: f64,
    /// The backends' CPU time a request, µs.
    pub backends_us: f64,
    /// CPU time a request of client, balancer and backends together, µs.
    pub all_cpu_us: f64,
    /// What each role used of one processor's time.
    pub used: Used,
    /// Share of all processors' time that was idle, 0 to 1.
    pub idle: f64,
    /// Response times, ns; in an open loop from when each request was due.
    pub latency: Histogram<u64>,
    /// How the load generator adhered to its rate; `None` in a closed loop.
    pub adherence: Option<RateAdherence>,
    /// Share of the machine's time that the hypervisor gave to others, 0 to 1.
    pub steal: f64,
    /// How the balancer's connections were spread over its workers; `None` where these share anything.
    pub shares: Option<WorkerShares>,
    /// Connections that met a full accept queue.
    pub listen_overflows: u64,
    /// Retransmission timers that fired.
    pub tcp_timeouts: u64,
}

/// CPU time over the window's length: 1 is one processor all the time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Used {
    /// The load generator.
    pub client: f64,
    /// The balancer; `None` in the direct row.
    pub balancer: Option<f64>,
    /// The backends, summed.
    pub backends: f64,
}

/// Connections of workers that share nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WorkerShares {
    /// How many workers.
    pub workers: usize,
    /// Share of the connections that the busiest worker got: 1 of `workers` where they were even, to 1.
    pub busiest: f64,
}

impl WorkerShares {
    fn of(connections: &[u64]) -> Option<Self> {
        let all: u64 = connections.iter().sum();
        let busiest = connections.iter().max().filter(|_| all > 0)?;
        Some(WorkerShares { workers: connections.len(), busiest: *busiest as f64 / all as f64 })
    }
}

/// How the load generator adhered to the rate of an open loop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateAdherence {
    /// Requests per second that were due.
    pub rate: u64,
    /// Requests per second that were answered, over the whole schedule.
    pub achieved: f64,
    /// Whether the rate was kept: always, unless overload is asked about.
    pub sustained: bool,
    /// Share of the requests that came due while every connection was busy, 0 to 1.
    pub waited: f64,
    /// p99 of how long after it was due a request was sent, ms, where the count supports it.
    pub late_p99_ms: Option<f64>,
}

impl RateAdherence {
    /// Of a window in which `completed` requests were answered; or why its times say nothing.
    fn of(open: &OpenLoop, completed: u64, overload_allowed: bool) -> Result<Self, Reason> {
        if !open.sustained && !overload_allowed {
            return Err(Reason::NotSustained {
                rate: open.rate,
                achieved_milli_per_s: open.achieved_milli_per_s,
                backlog_grew: open.backlog_grew,
                waited: open.waited,
                of: completed,
                behind_ns: open.behind_ns,
            });
        }
        let late = latency::decode(&open.late_ns_hdr);
        let late = late.map_err(|error| Reason::AlteredRecord { what: error.to_string() })?;
        Ok(RateAdherence {
            rate: open.rate,
            achieved: open.achieved_per_second(),
            sustained: open.sustained,
            waited: open.waited as f64 / completed.max(1) as f64,
            late_p99_ms: percentile_ms(&late, 99.0),
        })
    }
}

impl ValidTrial {
    /// Requests a second.
    pub fn rate(&self) -> Option<f64> {
        Some(self.rate)
    }

    /// Time a request, mean over all that were outstanding together (`ab`'s second figure), ms.
    pub fn mean_ms(&self) -> Option<f64> {
        Some(1e3 / self.rate)
    }

    /// The balancer's CPU time a request, user and system, µs.
    pub fn cpu_us(&self) -> Option<f64> {
        Some(self.user_us? + self.system_us?)
    }

    /// Threads of the balancer at the end of the window.
    pub fn threads(&self) -> Option<f64> {
        Some(self.balancer?.threads as f64)
    }

    /// The most memory that the balancer had, bytes.
    pub fn peak_memory_bytes(&self) -> Option<f64> {
        Some(self.balancer?.peak_rss_bytes as f64)
    }

    /// Context switches of the balancer a request, of both kinds.
    pub fn switches(&self) -> Option<f64> {
        let usage = self.balancer?;
        Some((usage.voluntary_switches + usage.involuntary_switches) as f64 / self.completed as f64)
    }

    /// A percentile of the response time, ms, where the count supports it.
    pub fn percentile_ms(&self, percentile: f64) -> Option<f64> {
        percentile_ms(&self.latency, percentile)
    }

    /// Whether every request was answered rightly, and a rate sustained where there was one.
    pub fn is_right(&self) -> bool {
        self.non_2xx == 0 && self.failed == 0 && self.adherence.is_none_or(|adherence| adherence.sustained)
    }

    /// Answers within so many ms, per second of the window.
    pub fn within_per_second(&self, within_ms: f64) -> Option<f64> {
        Some(self.rate * self.share_within(within_ms))
    }

    /// Share of the answers that came within so many ms, 0 to 1.
    pub fn share_within(&self, within_ms: f64) -> f64 {
        let within = self.latency.count_between(0, (within_ms * 1e6) as u64);
        within as f64 / self.latency.len().max(1) as f64
    }

    /// Requests without a right answer of 2xx, a share of all that were sent.
    pub fn failed_share(&self) -> Option<f64> {
        Some((self.failed + self.non_2xx) as f64 / (self.completed + self.failed) as f64)
    }

    /// Of `trial`, which `processors` took part in, in a run with these `gates`; or why it does not count.
    pub(super) fn of(trial: &Trial, processors: u32, gates: &Gates) -> Result<Self, Vec<Reason>> {
        let sample = match &trial.outcome {
            Outcome::Measured(sample) => sample,
            Outcome::Invalid { reasons } => return Err(reasons.clone()),
        };
        let rate = trial.cell.condition.rate;
        Self::of_sample(trial.block, sample, processors, rate, gates.overload_allowed)
            .map_err(|reason| vec![reason])
    }

    fn of_sample(
        block: u32,
        sample: &Sample,
        processors: u32,
        rate: Option<u64>,
        overload_allowed: bool,
    ) -> Result<Self, Reason> {
        let altered = |what: String| Reason::AlteredRecord { what };
        if sample.completed == 0 || sample.elapsed_ns == 0 {
            return Err(altered(format!("{} requests in {} ns", sample.completed, sample.elapsed_ns)));
        }
        let open_loop = sample.open_loop.as_ref();
        let adherence = open_loop.map(|open| RateAdherence::of(open, sample.completed, overload_allowed));
        let adherence = adherence.transpose()?;
        if adherence.map(|adherence| adherence.rate) != rate {
            return Err(altered("another rate than the plan's".into()));
        }
        let latency = open_loop.map_or(&sample.latency_ns_hdr, |open| &open.latency_ns_hdr);
        let latency = latency::decode(latency).map_err(|error| altered(error.to_string()))?;
        // A histogram of foreign bounds would not pool with the others.
        let mut fitting = latency::histogram();
        fitting
            .add(&latency)
            .map_err(|error| altered(format!("response times of foreign bounds ({error})")))?;
        let completed = sample.completed as f64;
        let whole = sample.elapsed_ns as f64 * f64::from(processors);
        let cpu_ns = |usage: &Usage| usage.cpu_ns() as f64;
        let share = |usage: &Usage| cpu_ns(usage) / sample.elapsed_ns as f64;
        let all_cpu_ns =
            cpu_ns(&sample.client) + sample.balancer.as_ref().map_or(0.0, cpu_ns) + cpu_ns(&sample.backends);
        let a_request_us = |ns: u64| ns as f64 / 1e3 / completed;
        Ok(ValidTrial {
            block,
            completed: sample.completed,
            non_2xx: sample.non_2xx,
            failed: sample.failed,
            rate: adherence
                .map_or(completed * 1e9 / sample.elapsed_ns as f64, |adherence| adherence.achieved),
            user_us: sample.balancer.map(|usage| a_request_us(usage.user_ns)),
            system_us: sample.balancer.map(|usage| a_request_us(usage.system_ns)),
            balancer: sample.balancer,
            client_us: cpu_ns(&sample.client) / 1e3 / completed,
            backends_us: cpu_ns(&sample.backends) / 1e3 / completed,
            all_cpu_us: all_cpu_ns / 1e3 / completed,
            used: Used {
                client: share(&sample.client),
                balancer: sample.balancer.as_ref().map(share),
                backends: share(&sample.backends),
            },
            idle: sample.host.idle_ns as f64 / whole,
            latency: fitting,
            adherence,
            steal: sample.host.steal_ns as f64 / whole,
            shares: WorkerShares::of(&sample.connections_by_worker),
            listen_overflows: sample.host.listen_overflows,
            tcp_timeouts: sample.host.tcp_timeouts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::summary::Summary;
    use crate::analysis::synthetic::{Run, recondition};
    use crate::plan::Competitor;

    fn run() -> Run {
        let models = ["direct", "threads", "mio", "threads#2"];
        Run::new().models(&models).backends(&[1, 2]).concurrency(&[10]).blocks(8).rate(2000)
    }

    #[test]
    fn a_rate_that_was_not_sustained_is_never_ranked_whatever_the_file_says() {
        let mut stored = run().build();
        for trial in stored.trials.iter_mut().filter(|trial| trial.cell.competitor.name == "mio") {
            let Outcome::Measured(sample) = &mut trial.outcome else { continue };
            if let Some(open) = &mut sample.open_loop {
                open.sustained = false;
            }
        }
        let summary = Summary::of(&stored);
        assert_eq!(summary.cell(&Competitor::of("mio"), &summary.conditions()[0]).valid.len(), 0);
        assert_eq!(summary.cell(&Competitor::of("mio"), &summary.conditions()[0]).invalid, 8);
        let reasons = &summary.invalid[0].reasons;
        assert!(matches!(reasons[..], [Reason::NotSustained { rate: 2000, .. }]), "{reasons:?}");
    }

    #[test]
    fn a_trial_of_another_loop_than_the_plans_enters_no_figure() {
        let mut closed = run().build();
        recondition(&mut closed, |condition| condition.rate = None);
        let mut other = run().build();
        recondition(&mut other, |condition| condition.rate = Some(1000));
        for stored in [closed, other] {
            let summary = Summary::of(&stored);
            assert_eq!(summary.valid().count(), 0);
            assert!(
                summary.invalid[0].reasons[0].to_string().contains("another rate than the plan's"),
                "{:?}",
                summary.invalid[0]
            );
        }
    }

    #[test]
    fn the_response_times_are_those_from_when_each_request_was_due() {
        let stored = run().build();
        let Outcome::Measured(sample) = &stored.trials[0].outcome else { panic!("measured") };
        let since_due = latency::decode(&sample.open_loop.as_ref().unwrap().latency_ns_hdr).unwrap();
        let since_sent = latency::decode(&sample.latency_ns_hdr).unwrap();
        let summary = Summary::of(&stored);
        let trial = &summary.cell(&Competitor::direct(), &summary.conditions()[0]).valid[0];
        assert_eq!(trial.percentile_ms(50.0), percentile_ms(&since_due, 50.0));
        assert_ne!(trial.percentile_ms(50.0), percentile_ms(&since_sent, 50.0));
        assert_eq!(trial.rate(), Some(2000.0));
    }
}
