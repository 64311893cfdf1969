//! What is claimed of a run, each claim with the conditions that it holds under, the interval that it rests on and the
//! evidence behind it.
//!
//! Typed: [`crate::report`] writes them out by rule, so that no sentence says more than its finding. `of_run` chooses what a
//! run's reader is told, the most general first.

use serde::Serialize;

use super::Analysis;
use super::metric::Metric;
use super::ratio::{Conclusion, Ratio};
use super::verdicts::OfMetric;
use super::whole_grid::{Overall, Variation, WholeGrid};
use crate::plan::{Competitor, Condition};
use crate::statistics::Spread;
use crate::statistics::interval::Interval;

/// A claim and its evidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What is claimed.
    pub claim: Claim,
    /// The smallest and the largest of the conditions' ratios behind it.
    pub ratios: Interval,
    /// The interval of the claim, that its verdict was made from: of a claim over all conditions its own; of one that is
    /// counted condition by condition, from the lowest to the highest end of theirs. Absent of too few blocks.
    pub interval: Option<Interval>,
    /// The ratio that is claimed over all conditions; absent where conditions are counted.
    pub ratio: Option<f64>,
    /// The difference is at least what was measured: the client was the limit of the better side.
    pub at_least: bool,
    /// Where it holds.
    pub conditions: Vec<Condition>,
    /// How many conditions were looked at.
    pub of_conditions: usize,
    /// What it rests on.
    pub evidence: Evidence,
    /// The id of the figure that shows it, where there is one.
    pub figure: Option<&'static str>,
}

/// What a claim rests on.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Evidence {
    /// Blocks: the fewest of any condition that it is about.
    pub blocks: usize,
    /// Within which distance of 1 two are taken to be equivalent, a log-ratio.
    pub margin: f64,
    /// How much the ratio varies between conditions beyond noise: a standard deviation of log-ratios.
    pub between_conditions: Option<f64>,
    /// About how many more blocks would settle it, where it is unsettled.
    pub more_blocks: Option<u32>,
}

/// What is claimed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// The geometric mean of the async models, over that of the threaded ones, over all conditions, stands so to 1.
    FamiliesOverall {
        /// In which figure.
        metric: Metric,
        /// How it stands.
        conclusion: Conclusion,
    },
    /// The same under single conditions.
    AsyncToThreaded {
        /// In which figure.
        metric: Metric,
        /// How it stands.
        conclusion: Conclusion,
    },
    /// A model, over another, over all conditions, stands so to 1.
    ModelOverall {
        /// The model.
        model: Competitor,
        /// The other.
        with: Competitor,
        /// In which figure.
        metric: Metric,
        /// How it stands.
        conclusion: Conclusion,
    },
    /// A model, over the reference model, stands so to 1 under single conditions.
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
    /// Over all conditions the models stand in these tiers, best first: each cannot be told apart from its tier's first.
    Tiers {
        /// In which figure.
        metric: Metric,
        /// The tiers.
        tiers: Vec<Vec<Competitor>>,
    },
    /// A model in a later run, over itself in an earlier one, over all conditions, stands so to 1.
    Change {
        /// The model.
        model: Competitor,
        /// In which figure.
        metric: Metric,
        /// How it stands.
        conclusion: Conclusion,
    },
}

impl Claim {
    /// The figure that it is about, where it is about one.
    pub fn metric(&self) -> Option<Metric> {
        match self {
            Claim::FamiliesOverall { metric, .. }
            | Claim::AsyncToThreaded { metric, .. }
            | Claim::ModelOverall { metric, .. }
            | Claim::ModelToReference { metric, .. }
            | Claim::Change { metric, .. }
            | Claim::Tiers { metric, .. } => Some(*metric),
        }
    }

    /// How it stands to 1, where it is of a ratio.
    pub fn conclusion(&self) -> Option<Conclusion> {
        match self {
            Claim::FamiliesOverall { conclusion, .. }
            | Claim::AsyncToThreaded { conclusion, .. }
            | Claim::ModelOverall { conclusion, .. }
            | Claim::ModelToReference { conclusion, .. }
            | Claim::Change { conclusion, .. } => Some(*conclusion),
            Claim::Tiers { .. } => None,
        }
    }
}

/// What a run's reader is told first: the families over all conditions, the tiers of its models, then each model against the
/// reference over all conditions, in each metric that the run was made for.
pub(super) fn of_run(analysis: &Analysis) -> Vec<Finding> {
    let metrics = analysis.summary.load().main_metrics();
    let families = analysis.families.iter().flat_map(|families| {
        metrics.iter().filter_map(|&metric| families.overall_on(metric)).collect::<Vec<_>>()
    });
    let conditions = analysis.summary.conditions();
    let tiers = analysis.whole_grid.iter().filter_map(|of| Finding::tiers(of, conditions));
    let reference = analysis.summary.reference();
    let models = analysis.whole_grid.iter().flat_map(|of| {
        let pairs = reference.into_iter().flat_map(|reference| of.to_reference(reference));
        pairs.map(|pair| Finding::of_pair(of.metric, pair)).collect::<Vec<_>>()
    });
    families.chain(tiers).chain(models).collect()
}

/// For each model in `of` and each conclusion on it, the conditions that it holds under.
pub fn on_models(of: &OfMetric) -> Vec<Finding> {
    let mut pairs: Vec<_> = of.models.iter().map(|comparison| (&comparison.row, &comparison.with)).collect();
    pairs.dedup();
    let of_pair = |(row, with): (&Competitor, &Competitor)| {
        let ratios = of.models.iter().filter(|comparison| (&comparison.row, &comparison.with) == (row, with));
        let ratios: Vec<_> =
            ratios.filter_map(|comparison| Some((&comparison.condition, comparison.ratio?))).collect();
        Finding::by_conclusion(&ratios, |conclusion| Claim::ModelToReference {
            model: row.clone(),
            reference: with.clone(),
            metric: of.metric,
            conclusion,
        })
    };
    pairs.into_iter().flat_map(of_pair).collect()
}

impl Finding {
    /// A claim over all conditions that say something of it.
    pub(super) fn overall(claim: Claim, ratio: &Ratio, variation: &Variation) -> Self {
        Finding {
            figure: claim.metric().and_then(Metric::figure),
            claim,
            ratios: Interval { low: variation.lowest, high: variation.highest },
            interval: ratio.judged.interval,
            ratio: Some(ratio.judged.ratio),
            at_least: ratio.is_at_least(),
            conditions: variation.conditions.clone(),
            of_conditions: variation.of_conditions,
            evidence: Evidence {
                blocks: ratio.judged.blocks,
                margin: ratio.judged.margin,
                between_conditions: variation.between,
                more_blocks: ratio.judged.more_blocks,
            },
        }
    }

    /// How a pair stands over all conditions.
    pub(super) fn of_pair(metric: Metric, pair: &Overall) -> Self {
        let claim = Claim::ModelOverall {
            model: pair.row.clone(),
            with: pair.with.clone(),
            metric,
            conclusion: pair.ratio.conclusion(),
        };
        Finding::overall(claim, &pair.ratio, &pair.variation)
    }

    /// The tiers of `of`, where its pairs are judged at all.
    fn tiers(of: &WholeGrid, conditions: &[Condition]) -> Option<Self> {
        let judged = || of.pairs.iter().map(|pair| &pair.ratio.judged);
        let blocks = judged().filter(|judged| judged.interval.is_some()).map(|judged| judged.blocks).min()?;
        let Spread { min: low, max: high, .. } =
            Spread::of(&judged().map(|of| of.ratio).collect::<Vec<_>>())?;
        let margin = judged().map(|judged| judged.margin).fold(0.0, f64::max);
        Some(Finding {
            claim: Claim::Tiers { metric: of.metric, tiers: of.tiers.clone() },
            ratios: Interval { low, high },
            interval: None,
            ratio: None,
            at_least: false,
            conditions: conditions.to_vec(),
            of_conditions: conditions.len(),
            evidence: Evidence { blocks, margin, ..Evidence::default() },
            figure: of.metric.figure(),
        })
    }

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
        let judged = || ratios.iter().map(|(_, ratio)| &ratio.judged);
        Some(Finding {
            figure: claim.metric().and_then(Metric::figure),
            claim,
            ratios: Interval { low, high },
            interval,
            ratio: None,
            at_least: ratios.iter().any(|(_, ratio)| ratio.is_at_least()),
            conditions: ratios.iter().map(|(condition, _)| (*condition).clone()).collect(),
            of_conditions,
            evidence: Evidence {
                blocks: judged().map(|judged| judged.blocks).min().unwrap_or(0),
                margin: judged().map(|judged| judged.margin).fold(0.0, f64::max),
                between_conditions: None,
                more_blocks: judged().filter_map(|judged| judged.more_blocks).max(),
            },
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
    fn a_claim_that_holds_nowhere_is_no_finding_and_few_blocks_have_no_interval() {
        for blocks in [1, 2] {
            let stored = Run::new().backends(&[1]).concurrency(&[10]).blocks(blocks).build();
            let families = Families::of(&stored).unwrap();
            let [finding] = &families.findings_on(Metric::Throughput)[..] else { panic!("one") };
            assert_eq!(finding.claim.conclusion(), Some(Conclusion::TooFewBlocks));
            assert_eq!((finding.interval, finding.evidence.blocks), (None, blocks as usize));
        }
    }

    #[test]
    fn a_run_is_told_from_its_families_over_its_tiers_to_its_models() {
        let analysis = Analysis::of(&Run::new().backends(&[1, 2]).concurrency(&[2, 10]).blocks(8).build());
        let findings = analysis.findings();
        let kinds: Vec<_> = findings.iter().map(|finding| std::mem::discriminant(&finding.claim)).collect();
        let mut once = kinds.clone();
        once.dedup();
        assert_eq!((kinds.len(), once.len()), (2 + 2 + 6, 3));
        for finding in findings.iter().filter(|finding| finding.ratio.is_some()) {
            let (ratio, interval) = (finding.ratio.unwrap(), finding.interval.unwrap());
            assert!(interval.low <= ratio && ratio <= interval.high && finding.evidence.blocks == 8);
        }
    }
}
