//! Each pair of models over all conditions of a run: what is said first, before any single condition.
//!
//! A block's ratio is the geometric mean of its ratios under every condition, and the blocks' ratios are the sample: what the
//! conditions of one block share, a slow quarter of an hour for instance, is in their spread. A condition that a block lacks
//! is taken to be as far from its own mean as the block's others are from theirs. The statement is about the mean of these very
//! conditions (a fixed-effects mean in the plural: Rice, Higgins & Lumley, *A Re-evaluation of Fixed Effect(s) Meta-analysis*,
//! 2018); how much the ratio varies between them beyond noise stands beside it (DerSimonian & Laird, *Meta-analysis in Clinical
//! Trials*, 1986), and the conditions that depart from the middle one are named.
//!
//! Models are put into tiers by these pairs: a tier ends where a model differs from the tier's first. Models of one tier cannot
//! be told apart from its first; no score is made of several figures.

use std::collections::BTreeMap;

use serde::Serialize;

use super::bottleneck::Bottlenecks;
use super::metric::Metric;
use super::ratio::{Bound, Candidate, Conclusion, Ratio, judge_together};
use super::summary::Summary;
use super::verdicts::{Verdicts, compared};
use crate::plan::comparisons::Pair;
use crate::plan::{Competitor, Condition};
use crate::statistics::interval::{Estimate, quantile};
use crate::statistics::median;
use crate::statistics::moderation::{Moments, Prior};
use crate::statistics::verdict::{CONFIDENCE, LEAST_BLOCKS, LEVEL, mean};

/// One pair over all conditions, in one figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overall {
    /// Whose ratio it is.
    pub row: Competitor,
    /// What it is a ratio to.
    pub with: Competitor,
    /// The ratio, judged beside those of the other pairs.
    #[serde(flatten)]
    pub ratio: Ratio,
    /// How it varies between conditions.
    pub variation: Variation,
}

/// How a ratio varies between conditions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Variation {
    /// Standard deviation of the log-ratio between conditions, without what chance adds; absent of one condition.
    pub between: Option<f64>,
    /// The lowest ratio of any condition.
    pub lowest: f64,
    /// The highest.
    pub highest: f64,
    /// Conditions that it is the mean of.
    pub conditions: Vec<Condition>,
    /// All conditions of the run: of the others the client hid the ratio.
    pub of_conditions: usize,
    /// Where the ratio is another than the middle one, beyond chance and noise.
    pub departing: Vec<Condition>,
}

/// The pairs of a run in one figure, and the tiers that they make.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WholeGrid {
    /// In which figure.
    pub metric: Metric,
    /// How far a model differs from itself over all conditions, a log-ratio; absent without an A/A pair of enough blocks.
    pub floor: Option<f64>,
    /// Every pair of models or products: the later row to the earlier one, those to the reference first.
    pub pairs: Vec<Overall>,
    /// Best first; the members of a tier cannot be told apart from its first.
    pub tiers: Vec<Vec<Competitor>>,
}

/// The log-ratios of one condition, by block.
pub(super) struct OfCondition<'a> {
    pub(super) condition: &'a Condition,
    pub(super) by_block: Vec<(u32, f64)>,
    pub(super) bound: Bound,
}

impl OfCondition<'_> {
    fn values(&self) -> Vec<f64> {
        self.by_block.iter().map(|(_, value)| *value).collect()
    }

    /// What is known of its blocks' spread.
    pub(super) fn moments(&self) -> Option<Moments> {
        Moments::of(&self.values())
    }

    /// To be judged, with what `prior` knows of spread.
    pub(super) fn candidate(&self, prior: &Prior, floor: Option<f64>) -> Candidate {
        Candidate { compared: compared(&self.values(), prior), floor, bound: self.bound }
    }
}

/// Log-ratios over all conditions that say something.
pub(super) struct Sample<'a> {
    conditions: Vec<OfCondition<'a>>,
    of_conditions: usize,
    /// A log-ratio for each block.
    blocks: Vec<f64>,
}

impl<'a> Sample<'a> {
    /// Over `conditions`, those left out in which the client hides the ratio.
    pub(super) fn over(conditions: Vec<OfCondition<'a>>) -> Self {
        let of_conditions = conditions.len();
        let conditions: Vec<_> = conditions.into_iter().filter(|of| !of.by_block.is_empty()).collect();
        // A ratio that is hidden is left out, unless all are.
        let any = |is: fn(Bound) -> bool| conditions.iter().any(|of| is(of.bound));
        let seen = any(|bound| bound != Bound::Unknown);
        let (mixed, exact) = (
            any(|bound| bound == Bound::AtLeast) && any(|bound| bound == Bound::AtMost),
            any(|bound| bound == Bound::Exact),
        );
        // Bounds to either side say nothing together; then the conditions speak that have none.
        let kept = |of: &OfCondition<'_>| match of.bound {
            Bound::Unknown => !seen,
            Bound::AtLeast | Bound::AtMost => !(mixed && exact),
            Bound::Exact => true,
        };
        let conditions: Vec<_> = conditions.into_iter().filter(kept).collect();
        let means: Vec<f64> = conditions.iter().filter_map(|of| mean(&of.values())).collect();
        let grand = mean(&means).unwrap_or(0.0);
        let mut deviations: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for (of, mean) in conditions.iter().zip(&means) {
            for (block, value) in &of.by_block {
                deviations.entry(*block).or_default().push(value - mean);
            }
        }
        // A block that lacks most conditions is none.
        let whole = |of: &&Vec<f64>| 2 * of.len() > conditions.len();
        let blocks = deviations.values().filter(whole).filter_map(|of| Some(grand + mean(of)?)).collect();
        Sample { conditions, of_conditions, blocks }
    }

    /// The log-ratios of each condition.
    pub(super) fn cells(&self) -> impl Iterator<Item = Vec<f64>> {
        self.conditions.iter().map(OfCondition::values)
    }

    /// A log-ratio for each block.
    pub(super) fn blocks(&self) -> &[f64] {
        &self.blocks
    }

    /// How the true ratio stands to the one that was measured.
    pub(super) fn bound(&self) -> Bound {
        self.conditions.iter().map(|of| of.bound).fold(Bound::Exact, Bound::and)
    }

    /// What is known of its blocks' spread.
    pub(super) fn moments(&self) -> Option<Moments> {
        Moments::of(&self.blocks)
    }

    /// To be judged, with what `prior` knows of spread.
    pub(super) fn candidate(&self, prior: &Prior, floor: Option<f64>) -> Candidate {
        Candidate { compared: compared(&self.blocks, prior), floor, bound: self.bound() }
    }

    /// How it varies between conditions, by the spread that `prior` knows of single ones.
    pub(super) fn variation(&self, prior: &Prior, floor: Option<f64>) -> Option<Variation> {
        let means: Vec<f64> = self.conditions.iter().filter_map(|of| mean(&of.values())).collect();
        let (lowest, highest) =
            (means.iter().copied().reduce(f64::min)?, means.iter().copied().reduce(f64::max)?);
        let known = |of: &OfCondition<'_>| {
            let estimate = prior.estimate(&of.moments()?);
            (of.by_block.len() >= LEAST_BLOCKS && estimate.standard_error > 0.0).then_some(estimate)
        };
        let estimates: Vec<(&Condition, Estimate)> =
            self.conditions.iter().filter_map(|of| Some((of.condition, known(of)?))).collect();
        let middle = median(&means)?;
        let level = 1.0 - LEVEL / (2 * estimates.len().max(1)) as f64;
        let departs = |of: &Estimate| {
            let away = (of.mean - middle).abs();
            away > quantile(level, of.degrees) * of.standard_error && away > floor.unwrap_or(0.0)
        };
        let departing = estimates.iter().filter(|(_, of)| departs(of));
        Some(Variation {
            between: between(&estimates.iter().map(|(_, of)| *of).collect::<Vec<_>>()),
            lowest: lowest.exp(),
            highest: highest.exp(),
            conditions: self.conditions.iter().map(|of| of.condition.clone()).collect(),
            of_conditions: self.of_conditions,
            departing: departing.map(|(condition, _)| (*condition).clone()).collect(),
        })
    }
}

/// Standard deviation between the truths of `estimates`, by moments (DerSimonian & Laird).
fn between(estimates: &[Estimate]) -> Option<f64> {
    if estimates.len() < 2 {
        return None;
    }
    let weights: Vec<f64> = estimates.iter().map(|of| of.standard_error.powi(-2)).collect();
    let sum: f64 = weights.iter().sum();
    let weighted = |figure: &dyn Fn(&Estimate) -> f64| -> f64 {
        estimates.iter().zip(&weights).map(|(of, weight)| weight * figure(of)).sum::<f64>()
    };
    let middle = weighted(&|of| of.mean) / sum;
    let seen = weighted(&|of| (of.mean - middle).powi(2));
    let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
    let variance = (seen - (estimates.len() as f64 - 1.0)) / (sum - squares / sum);
    Some(variance.max(0.0).sqrt())
}

impl WholeGrid {
    /// In each metric that the run was made for.
    pub(super) fn of_each(summary: &Summary, bottlenecks: &Bottlenecks, verdicts: &Verdicts) -> Vec<Self> {
        let on = |&metric: &Metric| verdicts.on(metric);
        let each = summary.load().main_metrics().iter().filter_map(on);
        each.map(|of| WholeGrid::of(summary, bottlenecks, of.metric, &of.prior, of.floor)).collect()
    }

    /// Of `summary` in `metric`; `cells` is what is known of the spread of single conditions, `cell_floor` their noise floor.
    fn of(
        summary: &Summary,
        bottlenecks: &Bottlenecks,
        metric: Metric,
        cells: &Prior,
        cell_floor: Option<f64>,
    ) -> Self {
        let sample = |pair: &Pair| Sample::over(of_pair(summary, bottlenecks, metric, pair));
        let comparisons = summary.comparisons();
        let controls: Vec<Sample<'_>> =
            comparisons.replicates.iter().chain(&comparisons.slowdowns).map(sample).collect();
        let pairs = comparisons.each_with_each();
        let samples: Vec<Sample<'_>> = pairs.iter().map(sample).collect();
        // Pairs that do not hold the reference are made of those that do: they add no knowledge of spread.
        let independent = samples.iter().take(comparisons.models.len()).chain(&controls);
        let prior = Prior::of(&independent.filter_map(Sample::moments).collect::<Vec<_>>());
        let floor = floor(&controls[..comparisons.replicates.len()], &prior);
        let candidates: Vec<_> = samples.iter().map(|of| of.candidate(&prior, floor)).collect();
        let judged = judge_together(&candidates, 1);
        let each = pairs.into_iter().zip(&samples).zip(judged);
        let pairs: Vec<Overall> = each
            .filter_map(|((Pair { competitor: row, with }, sample), ratio)| {
                Some(Overall { row, with, ratio: ratio?, variation: sample.variation(cells, cell_floor)? })
            })
            .collect();
        let tiers = tiers(summary, metric, &pairs);
        WholeGrid { metric, floor, pairs, tiers }
    }

    /// The pairs that have the reference in them.
    pub fn to_reference<'a>(&'a self, reference: &'a Competitor) -> impl Iterator<Item = &'a Overall> {
        self.pairs.iter().filter(move |pair| pair.with == *reference)
    }
}

/// How far the replicates differ from their originals.
pub(super) fn floor(replicates: &[Sample<'_>], prior: &Prior) -> Option<f64> {
    let known = |of: &Sample<'_>| {
        let estimate = prior.estimate(&of.moments().filter(|moments| moments.count >= LEAST_BLOCKS)?);
        Some(estimate.mean.abs().max(estimate.half_width(CONFIDENCE)))
    };
    replicates.iter().filter_map(known).reduce(f64::max)
}

fn of_pair<'a>(
    summary: &'a Summary,
    bottlenecks: &Bottlenecks,
    metric: Metric,
    Pair { competitor, with }: &Pair,
) -> Vec<OfCondition<'a>> {
    let of = |condition: &'a Condition| OfCondition {
        condition,
        by_block: summary.log_ratios_by_block((competitor, with), condition, |trial| metric.of(trial)),
        bound: bottlenecks.bound(metric, [competitor, with], condition),
    };
    summary.conditions().iter().map(of).collect()
}

/// Models by their place, in tiers.
fn tiers(summary: &Summary, metric: Metric, pairs: &[Overall]) -> Vec<Vec<Competitor>> {
    let Some(reference) = summary.reference() else { return Vec::new() };
    let of_reference = |row: &Competitor| {
        let found = pairs.iter().find(|pair| pair.row == *row && pair.with == *reference);
        found.map(|pair| pair.ratio.judged.ratio)
    };
    let mut order: Vec<(f64, &Competitor)> = summary
        .balancers()
        .filter_map(|row| Some((if row == reference { 1.0 } else { of_reference(row)? }, row)))
        .collect();
    let sign = if metric.less_is_better() { 1.0 } else { -1.0 };
    order.sort_by(|(a, _), (b, _)| (sign * a).total_cmp(&(sign * b)));
    let differ = |a: &Competitor, b: &Competitor| {
        let of = |pair: &&Overall| (&pair.row, &pair.with) == (a, b) || (&pair.row, &pair.with) == (b, a);
        let conclusion = pairs.iter().find(of).map(|pair| pair.ratio.conclusion());
        matches!(conclusion, Some(Conclusion::Above | Conclusion::Below))
    };
    let mut tiers: Vec<Vec<Competitor>> = Vec::new();
    for (_, row) in order {
        match tiers.last_mut() {
            Some(tier) if !differ(&tier[0], row) => tier.push(row.clone()),
            _ => tiers.push(vec![row.clone()]),
        }
    }
    tiers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Analysis;
    use crate::analysis::synthetic::Run;

    fn whole(run: &Run, metric: Metric) -> WholeGrid {
        let analysis = Analysis::of(&run.build());
        analysis.whole_grid.into_iter().find(|of| of.metric == metric).unwrap()
    }

    fn run() -> Run {
        Run::new().models(&["direct", "threads", "pool", "mio", "tokio", "threads#2"]).blocks(5)
    }

    #[test]
    fn every_pair_of_models_is_compared_over_all_conditions() {
        let whole = whole(&run(), Metric::BalancerCpu);
        assert_eq!(whole.pairs.len(), 6);
        let reference = Competitor::of("threads");
        let mio = whole.to_reference(&reference).find(|pair| pair.row.name == "mio").unwrap();
        // 14 + 62 µs to 21 + 88 µs, under every condition.
        assert!((mio.ratio.judged.ratio - 76.0 / 109.0).abs() < 0.02, "{mio:?}");
        assert_eq!(mio.ratio.conclusion(), Conclusion::Below);
        assert_eq!((mio.variation.conditions.len(), mio.variation.of_conditions), (15, 15));
        assert!(mio.variation.between.is_some_and(|between| between < 0.02), "{mio:?}");
        assert!(mio.variation.departing.is_empty());
        assert!(whole.floor.is_some_and(|floor| floor < 0.05));
    }

    #[test]
    fn models_that_cannot_be_told_apart_stand_in_one_tier_and_the_best_comes_first() {
        let labels = |metric| -> Vec<Vec<String>> {
            let tiers = whole(&run(), metric).tiers;
            tiers.iter().map(|tier| tier.iter().map(ToString::to_string).collect()).collect()
        };
        assert_eq!(labels(Metric::BalancerCpu), [vec!["mio"], vec!["tokio", "pool"], vec!["threads"]]);
        assert_eq!(labels(Metric::Throughput)[0], ["mio"]);
    }

    #[test]
    fn a_condition_that_departs_from_the_others_is_named() {
        let mut stored = run().build();
        for trial in &mut stored.trials {
            let at = &trial.cell.condition;
            if let ("mio", 5, 10, crate::record::Outcome::Measured(sample)) =
                (&*trial.cell.competitor.name, at.backends, at.concurrency, &mut trial.outcome)
            {
                sample.balancer.as_mut().unwrap().system_ns *= 2;
            }
        }
        let whole = Analysis::of(&stored).whole_grid;
        let whole = whole.iter().find(|of| of.metric == Metric::BalancerCpu).unwrap();
        let mio =
            whole.pairs.iter().find(|pair| pair.row.name == "mio" && pair.with.name == "threads").unwrap();
        assert_eq!(mio.variation.departing.len(), 1, "{mio:?}");
        assert_eq!((mio.variation.departing[0].backends, mio.variation.departing[0].concurrency), (5, 10));
        assert!(mio.variation.between.is_some_and(|between| between > 0.1));
    }

    #[test]
    fn a_block_that_lacks_a_condition_still_counts_and_one_that_lacks_most_does_not() {
        let missing = whole(&run().invalid("mio", 1, 2, 0), Metric::Throughput);
        let blocks = |whole: &WholeGrid| {
            whole.pairs.iter().find(|pair| pair.row.name == "mio").unwrap().ratio.judged.blocks
        };
        assert_eq!(blocks(&missing), 5);
        let most = (1..=5)
            .flat_map(|b| [2, 5].map(|c| (b, c)))
            .fold(run(), |run, (b, c)| run.invalid("mio", b, c, 0));
        assert_eq!(blocks(&whole(&most, Metric::Throughput)), 4);
    }
}
