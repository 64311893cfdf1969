//! Whether requests were sent in a closed or an open loop, and everything that follows from it for the analysis.
//!
//! The one place that tells the two apart: a closed loop is run for throughput; in an open loop throughput is the rate, the
//! same for all, and response times are what it is run for. What is *written* of either is
//! [`crate::report`]'s.

use serde::Serialize;

use super::metric::Metric;
use crate::plan::{Plan, factor};

/// How the load generator decided when to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Loop {
    /// The next request when an answer has come: so many are outstanding at any time.
    Closed,
    /// Each request when it is due, whatever became of those before it.
    Open {
        /// Requests per second; `None` where a run has several rates.
        rate: Option<u64>,
    },
}

impl Loop {
    /// Of a plan: all its conditions are of one kind.
    pub fn of_plan(plan: &Plan) -> Self {
        match (plan.base.rate, plan.values(&factor::RATE).as_slice()) {
            (None, _) => Loop::Closed,
            (rate, [_]) => Loop::Open { rate },
            (Some(_), _) => Loop::Open { rate: None },
        }
    }

    /// The one rate of all requests, per second; `None` in a closed loop, and where there are several.
    pub fn rate(self) -> Option<u64> {
        match self {
            Loop::Closed => None,
            Loop::Open { rate } => rate,
        }
    }

    /// Whether throughput was measured rather than given.
    pub fn is_closed(self) -> bool {
        self == Loop::Closed
    }

    /// The metrics of which a run says something, in the order of its report.
    pub fn metrics(self) -> &'static [Metric] {
        match self {
            Loop::Closed => &Metric::ALL,
            Loop::Open { .. } => &[Metric::P50, Metric::P99, Metric::BalancerCpu, Metric::AllCpu],
        }
    }

    /// The metrics that a short report is about.
    pub fn main_metrics(self) -> &'static [Metric] {
        match self {
            Loop::Closed => &[Metric::Throughput, Metric::BalancerCpu],
            Loop::Open { .. } => &[Metric::P50, Metric::P99, Metric::BalancerCpu],
        }
    }

    /// The metric that the run is made for.
    pub fn leading_metric(self) -> Metric {
        self.main_metrics()[0]
    }

    /// The metrics in which a run of this loop can be compared with one of `other`: of two kinds of loop only CPU time
    /// means the same.
    pub fn metrics_shared_with(self, other: Loop) -> impl Iterator<Item = Metric> {
        let alike = self.is_closed() == other.is_closed();
        self.metrics().iter().copied().filter(move |metric| alike || metric.is_cpu())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Loop = Loop::Open { rate: Some(1) };

    #[test]
    fn an_open_loop_says_nothing_of_throughput() {
        assert_eq!(Loop::Closed.metrics(), Metric::ALL);
        assert!(!OPEN.metrics().contains(&Metric::Throughput));
        assert_eq!(OPEN.metrics().len(), Metric::ALL.len() - 1);
    }

    #[test]
    fn a_loop_is_made_for_one_of_its_own_metrics() {
        for of in [Loop::Closed, OPEN] {
            assert!(of.main_metrics().iter().all(|metric| of.metrics().contains(metric)));
            assert_eq!(of.leading_metric(), of.metrics()[0]);
        }
    }

    #[test]
    fn of_two_kinds_of_loop_only_cpu_time_is_compared() {
        assert!(Loop::Closed.metrics_shared_with(OPEN).all(Metric::is_cpu));
        assert_eq!(Loop::Closed.metrics_shared_with(Loop::Closed).count(), Metric::ALL.len());
    }
}
