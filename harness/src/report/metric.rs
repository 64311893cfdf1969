//! The figures of a trial that are compared, and how a difference in each is called.

use serde::Serialize;

use crate::report::summary::Measured;
use crate::statistics::verdict::Verdict;

/// A figure of a valid trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Requests a second.
    Throughput,
    /// The balancer's CPU time a request.
    BalancerCpu,
    /// CPU time a request of client, balancer and backends together.
    AllCpu,
    /// Median response time.
    P50,
    /// 99th percentile of the response time.
    P99,
}

impl Metric {
    /// All of them, in the order of a closed loop's report.
    pub const ALL: [Metric; 5] =
        [Metric::Throughput, Metric::BalancerCpu, Metric::AllCpu, Metric::P50, Metric::P99];

    /// Those of which a run says something, in the order of its report. In an open loop throughput is the rate, the same
    /// for all, and response times are what it is run for.
    pub fn of_loop(rate: Option<u64>) -> &'static [Metric] {
        match rate {
            None => &Metric::ALL,
            Some(_) => &[Metric::P50, Metric::P99, Metric::BalancerCpu, Metric::AllCpu],
        }
    }

    /// Its value in a trial, where the trial has it.
    pub fn of(self, measured: &Measured) -> Option<f64> {
        match self {
            Metric::Throughput => measured.rate(),
            Metric::BalancerCpu => measured.cpu_us(),
            Metric::AllCpu => Some(measured.all_cpu_us),
            Metric::P50 => measured.percentile_ms(50.0),
            Metric::P99 => measured.percentile_ms(99.0),
        }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Throughput => "requests per second",
            Metric::BalancerCpu => "CPU per request, balancer",
            Metric::AllCpu => "CPU per request, all roles",
            Metric::P50 => "response time, p50",
            Metric::P99 => "response time, p99",
        }
    }

    /// `verdict`, in this metric's words.
    pub fn word(self, verdict: Verdict) -> &'static str {
        let [above, below] = match self {
            Metric::Throughput => ["faster", "slower"],
            Metric::BalancerCpu | Metric::AllCpu => ["dearer", "cheaper"],
            Metric::P50 | Metric::P99 => ["slower", "quicker"],
        };
        match verdict {
            Verdict::Above => above,
            Verdict::Below => below,
            Verdict::Indistinguishable => "indistinguishable",
        }
    }

    /// Whether more of it is worse.
    pub fn less_is_better(self) -> bool {
        self != Metric::Throughput
    }

    /// Whether a saturated client, rather than the balancer, may have set it.
    pub fn is_capped_by_the_client(self) -> bool {
        !self.is_cpu()
    }

    /// Whether it is CPU time, which does not depend on the kind of loop.
    pub fn is_cpu(self) -> bool {
        matches!(self, Metric::BalancerCpu | Metric::AllCpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_says_nothing_of_throughput() {
        assert_eq!(Metric::of_loop(None), Metric::ALL);
        assert!(!Metric::of_loop(Some(1)).contains(&Metric::Throughput));
        assert_eq!(Metric::of_loop(Some(1)).len(), Metric::ALL.len() - 1);
    }

    #[test]
    fn a_difference_is_called_by_what_it_is_of() {
        let words = |metric: Metric| [metric.word(Verdict::Above), metric.word(Verdict::Below)];
        assert_eq!(words(Metric::Throughput), ["faster", "slower"]);
        assert_eq!(words(Metric::BalancerCpu), ["dearer", "cheaper"]);
        assert_eq!(words(Metric::AllCpu), ["dearer", "cheaper"]);
        assert_eq!(words(Metric::P50), ["slower", "quicker"]);
        assert_eq!(words(Metric::P99), ["slower", "quicker"]);
    }
}
