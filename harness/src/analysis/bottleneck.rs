//! What limited a cell: the client, the balancer, the backends or the host; and whether its figures hold together.
//!
//! From medians over the cell's valid blocks. In this order, the first that holds:
//!
//! - *client*: the load generators, which have one thread each, used at least [`SATURATED`] of one processor each; or, with persistent
//!   connections to backends that answer at once, where the direct row is a true ceiling, throughput is at least that share of
//!   the direct row's. Its
//!   throughput and closed-loop response times then say what the client can do, and are not ranked.
//! - *balancer*: it used at least that share of the processors that its threads can be on: its workers where its manifest
//!   says a number, and never more than the machine has or than requests are outstanding.
//! - *backends*: the same of the servers together; or they take time, and throughput is at least that share of the direct
//!   row's, which can wait for them no less.
//! - *host*: at most [`IDLE`] of all processors' time was idle, or at least [`STOLEN`] stolen by the hypervisor: the roles
//!   wait for each other's processors, and less work in any of them would raise throughput.
//! - otherwise nobody: time was spent waiting (a wake-up, a timer), which more concurrency would hide.
//!
//! In an open loop nobody need be at a limit, and throughput says nothing: there the direct row is no ceiling, no figure is
//! left unranked because of the client, and a cell in which no role was at its limit is bound by nobody.
//!
//! 0.9 and not 1 because a role that never waits is still preempted, and because the kernel bills some of its loopback work
//! to others. The idle counter has ticks of 10 ms: 0.10 of a window of 0.4 s on two processors is eight.
//!
//! Checks: Little's law (c = X · R in a closed loop; Little, 1961) within [`LITTLE`], or the client did not keep its
//! concurrency; and response times heaped at 40 ms, Linux's delayed acknowledgement, which is a fault of the measurement.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use super::metric::Metric;
use super::ratio;
use super::summary::{CellSummary, Summary};
use super::trial::ValidTrial;
use crate::plan::{Cell, Competitor, Condition, Connections};
use crate::statistics::median;

/// Share of what it can use from which on a role is the limit.
pub const SATURATED: f64 = 0.9;
/// Share of all processors' time up to which the machine has none left.
pub const IDLE: f64 = 0.10;
/// Share of all processors' time from which on the hypervisor is the limit.
pub const STOLEN: f64 = 0.10;
/// Bounds of X · R / c. Below 1 is the client's own time between an answer and the next request.
pub const LITTLE: (f64, f64) = (0.75, 1.05);
/// A plateau: this share of the requests took 39 to 45 ms, and at least twice as many as took 33 to 39 ms or 45 to 51 ms.
pub const PLATEAU: f64 = 0.01;

/// What limited a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// The load generator.
    Client,
    /// The balancer.
    Balancer,
    /// The servers.
    Backends,
    /// The processors, or the hypervisor.
    Host,
    /// Nobody was busy: waiting.
    Waiting,
    /// Nobody was at a limit, as it should be at a fixed rate.
    Nobody,
}

/// What limited a cell, and the shares that say so.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bottleneck {
    /// What limited it.
    pub bound: Bound,
    /// Processors that the client used.
    pub client: f64,
    /// Processors that the balancer used.
    pub balancer: Option<f64>,
    /// Processors that the backends used.
    pub backends: f64,
    /// Share of all processors' time that was idle.
    pub idle: f64,
    /// Share of all processors' time that was stolen.
    pub steal: f64,
    /// X · R / c; `None` in an open loop.
    pub little: Option<f64>,
    /// Throughput over the direct row's; `None` in an open loop.
    pub of_direct: Option<f64>,
    /// Share of the requests that took 39 to 45 ms, where they stand out.
    pub plateau: Option<f64>,
}

impl Bottleneck {
    /// Of this cell; `None` where it has no valid trial.
    pub fn of(summary: &Summary, row: &Competitor, condition: &Condition) -> Option<Self> {
        let concurrency = condition.concurrency;
        let cell = summary.cell(row, condition);
        let middle = |figure: &dyn Fn(&ValidTrial) -> Option<f64>| {
            median(&cell.valid.iter().filter_map(figure).collect::<Vec<_>>())
        };
        let client = middle(&|m| Some(m.used.client))?;
        let balancer = middle(&|m| m.used.balancer);
        let servers = middle(&|m| Some(m.used.backends))?;
        let (idle, steal) = (middle(&|m| Some(m.idle))?, middle(&|m| Some(m.steal))?);
        let closed = summary.load().is_closed();
        let little = middle(&|m| Some(m.rate * m.latency.mean() / 1e9 / f64::from(concurrency)));
        let little = little.filter(|_| closed);
        let rate = middle(&ValidTrial::rate)?;
        let direct = summary.cell(&Competitor::direct(), condition).spread(ValidTrial::rate);
        let of_direct = direct.filter(|_| closed && !row.is_direct()).map(|direct| rate / direct.median);

        let (own, others) = summary.processors_of_roles(condition);
        let usable = summary.workers(row, condition).unwrap_or(own).min(own).min(concurrency).max(1);
        let at_the_ceiling = condition.connections == Connections::Keepalive
            && of_direct.is_some_and(|of_direct| of_direct >= SATURATED);
        let backends_take_time = !condition.delay.mean().is_zero();
        let threads = f64::from(summary.generators(concurrency));
        let bound = if client >= SATURATED * threads || (at_the_ceiling && !backends_take_time) {
            Bound::Client
        } else if balancer.is_some_and(|used| used >= SATURATED * f64::from(usable)) {
            Bound::Balancer
        } else if servers >= SATURATED * f64::from(others.min(concurrency).max(1))
            || (backends_take_time && of_direct.is_some_and(|of_direct| of_direct >= SATURATED))
        {
            Bound::Backends
        } else if idle <= IDLE || steal >= STOLEN {
            Bound::Host
        } else if closed {
            Bound::Waiting
        } else {
            Bound::Nobody
        };
        let plateau = plateau(cell);
        Some(Bottleneck {
            bound,
            client,
            balancer,
            backends: servers,
            idle,
            steal,
            little,
            of_direct,
            plateau,
        })
    }

    /// What does not hold together.
    pub fn remarks(&self) -> Vec<Remark> {
        let of_the_loop = match self.little {
            Some(little) if !(LITTLE.0..=LITTLE.1).contains(&little) => Some(Remark::ConcurrencyNotHeld),
            None if self.bound == Bound::Client => Some(Remark::ClientInTheTimes),
            _ => None,
        };
        of_the_loop.into_iter().chain(self.plateau.map(|share| Remark::Plateau { share })).collect()
    }
}

/// A sign that a cell's figures do not hold together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Remark {
    /// In a closed loop: fewer, or more, requests were outstanding than asked for.
    ConcurrencyNotHeld,
    /// In an open loop: the client was busy, and part of the response times may be its own.
    ClientInTheTimes,
    /// So large a share of the requests took 39 to 45 ms.
    Plateau {
        /// 0 to 1.
        share: f64,
    },
}

impl Bound {
    /// As it stands in a table.
    pub fn name(self) -> &'static str {
        match self {
            Bound::Client => "client",
            Bound::Balancer => "balancer",
            Bound::Backends => "backends",
            Bound::Host => "host",
            Bound::Waiting => "waiting",
            Bound::Nobody => "nobody",
        }
    }
}

/// The limits of every cell that has a valid trial.
#[derive(Debug, Clone)]
pub struct Bottlenecks(BTreeMap<Cell, Bottleneck>);

impl Bottlenecks {
    /// Of `summary`.
    pub fn of(summary: &Summary) -> Self {
        let cells: Vec<_> = summary.cells.keys().collect();
        let each = cells.into_par_iter().filter_map(|cell| {
            Some((cell.clone(), Bottleneck::of(summary, &cell.competitor, &cell.condition)?))
        });
        Bottlenecks(each.collect())
    }

    /// Of one cell; `None` where it has no valid trial.
    pub fn cell(&self, row: &Competitor, condition: &Condition) -> Option<&Bottleneck> {
        self.0.get(&Cell { competitor: row.clone(), condition: condition.clone() })
    }

    /// How the true ratio of `metric` between two rows stands to the one that was measured.
    pub(super) fn bound(
        &self,
        metric: Metric,
        rows: [&Competitor; 2],
        condition: &Condition,
    ) -> ratio::Bound {
        let limited = rows.map(|row| self.is_client_bound(metric, row, condition));
        ratio::Bound::of(limited, metric.less_is_better())
    }

    /// Whether `metric` of this cell says what its client can do, and is not ranked. Never in an open loop: there the
    /// client does not decide how much is asked for, and its own lateness stands beside the times.
    pub fn is_client_bound(&self, metric: Metric, row: &Competitor, condition: &Condition) -> bool {
        let by_client = |cell: &Bottleneck| cell.bound == Bound::Client && cell.little.is_some();
        metric.depends_on_the_client() && self.cell(row, condition).is_some_and(by_client)
    }
}

fn plateau(cell: &CellSummary) -> Option<f64> {
    let all: u64 = cell.valid.iter().map(|trial| trial.latency.len()).sum();
    let between = |from_ms: u64, to_ms: u64| {
        let range = (from_ms * 1_000_000, to_ms * 1_000_000 - 1);
        let within: u64 = cell.valid.iter().map(|trial| trial.latency.count_between(range.0, range.1)).sum();
        within as f64 / all.max(1) as f64
    };
    let at_40 = between(39, 45);
    let beside = between(33, 39).max(between(45, 51));
    (at_40 >= PLATEAU && at_40 >= 2.0 * beside).then_some(at_40)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::synthetic::{Run, recondition};
    use crate::fixtures;
    use crate::record::{Outcome, Sample, Stored};

    /// The one condition of the runs below.
    fn only(summary: &Summary) -> &Condition {
        &summary.conditions()[0]
    }

    fn mio() -> Competitor {
        Competitor::of("mio")
    }

    fn altered(alter: impl Fn(&mut Sample)) -> Stored {
        let mut stored =
            Run::new().models(&["direct", "mio"]).backends(&[1]).concurrency(&[10]).blocks(3).build();
        for trial in stored.trials.iter_mut().filter(|trial| trial.cell.competitor.name == "mio") {
            if let Outcome::Measured(sample) = &mut trial.outcome {
                alter(sample);
            }
        }
        stored.environment.models[1].workers = Some(1);
        stored
    }

    #[test]
    fn several_load_generators_are_the_limit_when_they_all_are_and_backends_have_their_hosts_processors() {
        let mut stored = altered(|sample| sample.client.user_ns = sample.elapsed_ns);
        stored.environment.hosts = Some(fixtures::hosts());
        let summary = Summary::of(&stored);
        let bound = Bottleneck::of(&summary, &mio(), only(&summary)).unwrap().bound;
        assert_ne!(bound, Bound::Client);
        // Host a, with four processors, has all backends.
        assert_eq!(summary.processors_of_roles(only(&summary)), (2, 4));
        stored.environment.hosts.as_mut().unwrap().load.pop();
        let summary = Summary::of(&stored);
        let bound = Bottleneck::of(&summary, &mio(), only(&summary)).unwrap().bound;
        assert_eq!(bound, Bound::Client);
    }

    fn bottleneck(alter: impl Fn(&mut Sample)) -> Bottleneck {
        let summary = Summary::of(&altered(alter));
        Bottleneck::of(&summary, &mio(), only(&summary)).unwrap()
    }

    fn busy(usage: &mut crate::host::Usage, elapsed_ns: u64, percent: u64) {
        (usage.user_ns, usage.system_ns) = (0, elapsed_ns * percent / 100);
    }

    #[test]
    fn a_role_that_uses_all_it_can_is_the_limit() {
        let with = |client: u64, balancer: u64, servers: u64, idle: u64| {
            bottleneck(|sample| {
                let elapsed = sample.elapsed_ns;
                busy(&mut sample.client, elapsed, client);
                busy(sample.balancer.as_mut().unwrap(), elapsed, balancer);
                busy(&mut sample.backends, elapsed, servers);
                sample.host.idle_ns = elapsed * 2 * idle / 100;
            })
            .bound
        };
        assert_eq!(with(95, 80, 20, 5), Bound::Client);
        // Its manifest says one thread.
        assert_eq!(with(60, 95, 20, 12), Bound::Balancer);
        assert_eq!(with(10, 5, 185, 0), Bound::Backends);
        assert_eq!(with(70, 80, 40, 5), Bound::Host);
        assert_eq!(with(30, 30, 10, 65), Bound::Waiting);
    }

    #[test]
    fn with_persistent_connections_the_direct_row_is_a_ceiling() {
        let bound = |connections| {
            let mut stored = altered(|sample| {
                let elapsed = sample.elapsed_ns;
                busy(&mut sample.client, elapsed, 50);
                busy(sample.balancer.as_mut().unwrap(), elapsed, 50);
                sample.elapsed_ns = elapsed / 10;
                busy(&mut sample.client, elapsed / 10, 50);
                busy(sample.balancer.as_mut().unwrap(), elapsed / 10, 50);
                sample.host.idle_ns = elapsed / 10;
            });
            recondition(&mut stored, |condition| condition.connections = connections);
            let summary = Summary::of(&stored);
            Bottleneck::of(&summary, &mio(), only(&summary)).unwrap().bound
        };
        assert_eq!(bound(Connections::Keepalive), Bound::Client);
        assert_ne!(bound(Connections::Close), Bound::Client);
    }

    #[test]
    fn in_an_open_loop_nobody_need_be_at_a_limit_and_a_client_that_is_takes_no_rank_away() {
        let bottlenecks = |percent: u64| {
            let models = ["direct", "mio"];
            let run = Run::new().models(&models).backends(&[1]).concurrency(&[10]).blocks(3).rate(2000);
            let mut stored = run.build();
            recondition(&mut stored, |condition| condition.connections = Connections::Keepalive);
            for trial in &mut stored.trials {
                if let Outcome::Measured(sample) = &mut trial.outcome {
                    let elapsed = sample.elapsed_ns;
                    busy(&mut sample.client, elapsed, percent);
                    sample.host.idle_ns = elapsed;
                }
            }
            let summary = Summary::of(&stored);
            (Bottlenecks::of(&summary), only(&summary).clone())
        };
        let ((spare, condition), (full, _)) = (bottlenecks(10), bottlenecks(95));
        let cell = |bottlenecks: &Bottlenecks| *bottlenecks.cell(&mio(), &condition).unwrap();
        // Its throughput is the direct row's, which would be the ceiling of a closed loop.
        assert_eq!(cell(&spare).bound, Bound::Nobody);
        assert_eq!((cell(&spare).little, cell(&spare).of_direct), (None, None));
        assert_eq!(cell(&full).bound, Bound::Client);
        assert_eq!(cell(&full).remarks(), [Remark::ClientInTheTimes]);
        assert!(Metric::ALL.into_iter().all(|metric| !full.is_client_bound(metric, &mio(), &condition)));
    }

    #[test]
    fn a_heap_at_40_ms_is_flagged_and_a_broad_tail_is_not() {
        let with = |at_ms: &[(u64, u64)]| {
            bottleneck(|sample| {
                let mut latency = crate::load::latency::histogram();
                for &(ms, count) in at_ms {
                    latency.saturating_record_n(ms * 1_000_000, count);
                }
                sample.latency_ns_hdr = crate::load::latency::encode(&latency);
            })
        };
        let heaped = with(&[(1, 9_500), (40, 300), (41, 200)]);
        assert_eq!(heaped.plateau, Some(0.05));
        assert!(heaped.remarks().contains(&Remark::Plateau { share: 0.05 }));
        assert_eq!(with(&[(1, 9_000), (36, 300), (40, 300), (48, 300)]).plateau, None);
        assert_eq!(with(&[(1, 10_000)]).plateau, None);
    }

    #[test]
    fn a_client_that_did_not_keep_its_concurrency_is_remarked_on() {
        let halved = bottleneck(|sample| sample.elapsed_ns *= 2);
        assert!(halved.remarks().contains(&Remark::ConcurrencyNotHeld), "{halved:?}");
    }
}
