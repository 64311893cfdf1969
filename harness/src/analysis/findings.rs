//! What is claimed of a run, each claim with the conditions that it holds under and the interval that it rests on.
//!
//! Typed: [`crate::report`] writes them out by rule, so that no sentence says more than its finding.

use serde::Serialize;

use super::metric::Metric;
use super::ratio::{Conclusion, Ratio};
use crate::plan::{Competitor, Condition};
use crate::statistics::Spread;
use crate::statistics::interval::Interval;

/// A claim and its evidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What is claimed.
    pub claim: Claim,
    /// The smallest and the largest of the ratios behind it.
    pub ratios: Interval,
    /// From the lowest to the highest end of these ratios' own intervals; absent where one of them has none.
    pub interval: Option<Interval>,
    /// Where it holds.
    pub conditions: Vec<Condition>,
    /// How many conditions were looked at.
    pub of_conditions: usize,
    /// The id of the figure that shows it, where there is one.
    pub figure: Option<&'static str>,
}

/// What is claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// The geometric mean of the async models, over that of the threaded ones, stands so to 1.
    AsyncToThreaded {
        /// In which figure.
        metric: Metric,
        /// How it stands.
        conclusion: Conclusion,
    },
    /// A model, over the reference model, stands so to 1.
    ModelToReference {
        /// The model.
        model: Competitor,
        /// The reference.
        reference: Competitor,
        /// In which figure.
        metric: Metric,
        /// How it stands.
        conclusion: Conclusion,
    },
}

impl Claim {
    /// The figure that it is about.
    pub fn metric(&self) -> Metric {
        match self {
            Claim::AsyncToThreaded { metric, .. } | Claim::ModelToReference { metric, .. } => *metric,
        }
    }

    /// How it stands to 1.
    pub fn conclusion(&self) -> Conclusion {
        match self {
            Claim::AsyncToThreaded { conclusion, .. } | Claim::ModelToReference { conclusion, .. } => {
                *conclusion
            }
        }
    }
}

impl Finding {
    /// For each conclusion, the conditions of `ratios` that it holds under.
    pub(super) fn by_conclusion(
        ratios: &[(&Condition, Ratio)],
        claim: impl Fn(Conclusion) -> Claim,
    ) -> Vec<Self> {
        let of = |conclusion| {
            let those = ratios.iter().copied().filter(|(_, ratio)| ratio.conclusion() == conclusion);
            Finding::over(claim(conclusion), &those.collect::<Vec<_>>(), ratios.len())
        };
        Conclusion::ALL.into_iter().filter_map(of).collect()
    }

    /// `claim`, which holds under the conditions of `ratios`, of `of_conditions`; `None` where it holds under none.
    fn over(claim: Claim, ratios: &[(&Condition, Ratio)], of_conditions: usize) -> Option<Self> {
        let middles: Vec<_> = ratios.iter().map(|(_, ratio)| ratio.judged.ratio).collect();
        let Spread { min: low, max: high, .. } = Spread::of(&middles)?;
        let ends: Option<Vec<_>> = ratios.iter().map(|(_, ratio)| ratio.judged.interval).collect();
        let interval = ends.map(|ends| Interval {
            low: ends.iter().map(|end| end.low).fold(f64::INFINITY, f64::min),
            high: ends.iter().map(|end| end.high).fold(f64::NEG_INFINITY, f64::max),
        });
        Some(Finding {
            figure: claim.metric().figure(),
            claim,
            ratios: Interval { low, high },
            interval,
            conditions: ratios.iter().map(|(condition, _)| (*condition).clone()).collect(),
            of_conditions,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::families::Families;
    use crate::analysis::synthetic::Run;

    #[test]
    fn each_condition_is_in_one_finding_of_a_metric_and_within_its_interval() {
        let run = Run::new().backends(&[1, 2]).concurrency(&[2, 10]).blocks(8);
        let families = Families::of(&run.build()).unwrap();
        for metric in [Metric::Throughput, Metric::BalancerCpu] {
            let findings = families.findings_on(metric);
            let conditions: usize = findings.iter().map(|finding| finding.conditions.len()).sum();
            assert_eq!(conditions, 4);
            for finding in findings {
                assert_eq!(finding.of_conditions, 4);
                let interval = finding.interval.unwrap();
                assert!(interval.low < finding.ratios.low && finding.ratios.high < interval.high);
            }
        }
    }

    #[test]
    fn a_claim_that_holds_nowhere_is_no_finding_and_one_block_has_no_interval() {
        let families = Families::of(&Run::new().backends(&[1]).concurrency(&[10]).blocks(1).build()).unwrap();
        let [finding] = &families.findings_on(Metric::Throughput)[..] else { panic!("one") };
        assert_eq!(finding.claim.conclusion(), Conclusion::Indistinguishable);
        assert_eq!(finding.interval, None);
    }
}
