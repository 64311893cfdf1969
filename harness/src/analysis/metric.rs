//! The figures of a trial that are compared: one entry each, with its name, its value and how a difference in it is called.

use serde::Serialize;

use super::ratio::Conclusion;
use super::trial::ValidTrial;

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

/// What the figures have in common.
struct Kind {
    /// More of it, and less of it, compared with another.
    words: [&'static str; 2],
    /// Whether more of it is worse.
    less_is_better: bool,
    /// Whether it is CPU time, which does not depend on the kind of loop.
    is_cpu: bool,
}

const THROUGHPUT: Kind = Kind { words: ["faster", "slower"], less_is_better: false, is_cpu: false };
const CPU: Kind = Kind { words: ["dearer", "cheaper"], less_is_better: true, is_cpu: true };
const RESPONSE_TIME: Kind = Kind { words: ["slower", "quicker"], less_is_better: true, is_cpu: false };

/// One figure of a trial.
struct Definition {
    name: &'static str,
    name_with_unit: &'static str,
    kind: Kind,
    of: fn(&ValidTrial) -> Option<f64>,
    /// The id of the chart that shows ratios in it, where there is one.
    figure: Option<&'static str>,
}

impl Metric {
    /// All of them, in the order of a closed loop's report.
    pub const ALL: [Metric; 5] =
        [Metric::Throughput, Metric::BalancerCpu, Metric::AllCpu, Metric::P50, Metric::P99];

    fn definition(self) -> Definition {
        match self {
            Metric::Throughput => Definition {
                name: "requests per second",
                name_with_unit: "requests per second",
                kind: THROUGHPUT,
                of: ValidTrial::rate,
                figure: Some("throughput-ratio"),
            },
            Metric::BalancerCpu => Definition {
                name: "CPU per request, balancer",
                name_with_unit: "CPU per request, balancer, µs",
                kind: CPU,
                of: ValidTrial::cpu_us,
                figure: Some("cpu-ratio"),
            },
            Metric::AllCpu => Definition {
                name: "CPU per request, all roles",
                name_with_unit: "CPU per request, all roles, µs",
                kind: CPU,
                of: |trial| Some(trial.all_cpu_us),
                figure: None,
            },
            Metric::P50 => Definition {
                name: "response time, p50",
                name_with_unit: "response time, p50, ms",
                kind: RESPONSE_TIME,
                of: |trial| trial.percentile_ms(50.0),
                figure: Some("p50-ratio"),
            },
            Metric::P99 => Definition {
                name: "response time, p99",
                name_with_unit: "response time, p99, ms",
                kind: RESPONSE_TIME,
                of: |trial| trial.percentile_ms(99.0),
                figure: Some("p99-ratio"),
            },
        }
    }

    /// Its value in a trial, where the trial has it.
    pub fn of(self, trial: &ValidTrial) -> Option<f64> {
        (self.definition().of)(trial)
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        self.definition().name
    }

    /// The id of the chart that shows ratios in it, where there is one.
    pub fn figure(self) -> Option<&'static str> {
        self.definition().figure
    }

    /// The same, with the unit of its values.
    pub fn name_with_unit(self) -> &'static str {
        self.definition().name_with_unit
    }

    /// `conclusion`, in this metric's words.
    pub fn word(self, conclusion: Conclusion) -> &'static str {
        let [above, below] = self.definition().kind.words;
        match conclusion {
            Conclusion::Above => above,
            Conclusion::Below => below,
            Conclusion::Equivalent => "equivalent",
            Conclusion::Unsettled => "unsettled",
            Conclusion::TooFewBlocks => "too few blocks",
            Conclusion::ClientBound => "client-bound",
        }
    }

    /// Whether more of it is worse.
    pub fn less_is_better(self) -> bool {
        self.definition().kind.less_is_better
    }

    /// Whether a saturated client, rather than the balancer, may have set it.
    pub fn depends_on_the_client(self) -> bool {
        !self.is_cpu()
    }

    /// Whether it is CPU time, which does not depend on the kind of loop.
    pub fn is_cpu(self) -> bool {
        self.definition().kind.is_cpu
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_called_by_what_it_is_of() {
        let words = |metric: Metric| [metric.word(Conclusion::Above), metric.word(Conclusion::Below)];
        assert_eq!(words(Metric::Throughput), ["faster", "slower"]);
        assert_eq!(words(Metric::BalancerCpu), ["dearer", "cheaper"]);
        assert_eq!(words(Metric::AllCpu), ["dearer", "cheaper"]);
        assert_eq!(words(Metric::P50), ["slower", "quicker"]);
        assert_eq!(words(Metric::P99), ["slower", "quicker"]);
    }
}
