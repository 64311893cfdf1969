//! Every comparison within a run, judged: models to the reference, a model to itself, a slowed model to itself.
//!
//! Rules: a metric's comparisons are judged together; A/A pairs and injected slowdowns are families of their own and no
//! competitors; what the client bounded is a bound (see [`super::ratio`]); an A/A pair is judged without the
//! noise floor, which it makes. What all comparisons of a metric know of spread is shared between them ([`Prior`]).

use rayon::prelude::*;

use super::bottleneck::Bottlenecks;
use super::metric::Metric;
use super::ratio::{Bound, Candidate, Conclusion, Ratio, judge_together};
use super::speed::Speed;
use super::summary::Summary;
use super::trial::ValidTrial;
use crate::plan::comparisons::Pair;
use crate::plan::{Competitor, Condition};
use crate::statistics::bootstrap::{Bootstrap, RESAMPLES};
use crate::statistics::moderation::{Moments, Prior};
use crate::statistics::verdict::{CONFIDENCE, Compared, mean, noise_floor};

/// All verdicts of a run.
#[derive(Debug, Clone)]
pub struct Verdicts {
    /// One for each of [`Loop::metrics`](super::loop_kind::Loop::metrics), in that order.
    metrics: Vec<OfMetric>,
}

/// The verdicts on one metric.
#[derive(Debug, Clone)]
pub struct OfMetric {
    /// Which.
    pub metric: Metric,
    /// How far a model differs from itself in this run, a log-ratio; `None` without an A/A pair of two blocks.
    pub floor: Option<f64>,
    /// The same, of figures that are adjusted for the machine's speed: what a slowdown must pass.
    pub adjusted_floor: Option<f64>,
    /// What these comparisons together know of the spread of any of them.
    pub(super) prior: Prior,
    /// Each model to the reference.
    pub models: Vec<Comparison>,
    /// Each model measured twice, the second time to the first.
    pub aa_pairs: Vec<Comparison>,
    /// The same, adjusted for the machine's speed: what slowdowns are judged beside.
    pub adjusted_aa_pairs: Vec<Comparison>,
    /// Each slowed model to itself without the slowdown, adjusted for the machine's speed ([`super::speed`]).
    pub slowdowns: Vec<Comparison>,
}

/// Two rows under one condition.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Whose ratio it is.
    pub row: Competitor,
    /// What it is a ratio to.
    pub with: Competitor,
    /// What was done to both.
    pub condition: Condition,
    /// Log-ratios, block by block.
    pub log_ratios: Vec<f64>,
    /// How the true ratio stands to the one that was measured.
    pub bound: Bound,
    /// What came of it; absent where no block has both.
    pub ratio: Option<Ratio>,
}

/// How A/A comparisons of a metric came out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AaTally {
    /// Comparisons that have an interval.
    pub comparisons: usize,
    /// Of these, without a difference: unsettled, or equivalent.
    pub without_difference: usize,
    /// Of these, with an interval (of that one comparison, uncorrected) that leaves out 1.
    pub intervals_without_one: usize,
    /// The ratio that is furthest from 1.
    pub furthest: Option<f64>,
}

impl Verdicts {
    /// Of `summary`, whose limits are `bottlenecks`.
    pub fn of(summary: &Summary, bottlenecks: &Bottlenecks) -> Self {
        let on = |&metric: &Metric| OfMetric::of(summary, bottlenecks, metric);
        Verdicts { metrics: summary.load().metrics().par_iter().map(on).collect() }
    }

    /// On one metric; `None` where this kind of loop says nothing of it.
    pub fn on(&self, metric: Metric) -> Option<&OfMetric> {
        self.metrics.iter().find(|of| of.metric == metric)
    }

    /// On each.
    pub fn iter(&self) -> impl Iterator<Item = &OfMetric> {
        self.metrics.iter()
    }
}

impl AaTally {
    /// Of A/A `pairs`.
    pub fn of(pairs: &[Comparison]) -> Self {
        let ratios: Vec<_> = pairs.iter().filter_map(|pair| pair.ratio).collect();
        let known = || ratios.iter().filter(|ratio| ratio.judged.interval.is_some());
        let distance = |ratio: &f64| ratio.ln().abs();
        AaTally {
            comparisons: known().count(),
            without_difference: known()
                .filter(|ratio| !matches!(ratio.conclusion(), Conclusion::Above | Conclusion::Below))
                .count(),
            intervals_without_one: known()
                .filter(|ratio| ratio.judged.p.is_some_and(|p| p < 1.0 - CONFIDENCE))
                .count(),
            furthest: ratios
                .iter()
                .map(|ratio| ratio.judged.ratio)
                .max_by(|a, b| distance(a).total_cmp(&distance(b))),
        }
    }
}

impl OfMetric {
    fn of(summary: &Summary, bottlenecks: &Bottlenecks, metric: Metric) -> Self {
        let speed = Speed::of(&[summary], metric);
        let compare = |pairs: &[Pair], figure: &dyn Fn(&ValidTrial) -> Option<f64>| -> Vec<Comparison> {
            let each = pairs.iter().flat_map(|Pair { competitor: row, with }| {
                summary.conditions().iter().map(move |condition| Comparison {
                    row: row.clone(),
                    with: with.clone(),
                    condition: condition.clone(),
                    log_ratios: summary.log_ratios((row, with), condition, figure),
                    bound: bottlenecks.bound(metric, [row, with], condition),
                    ratio: None,
                })
            });
            each.collect()
        };
        let pairs = summary.comparisons();
        let plain = |trial: &ValidTrial| metric.of(trial);
        // Of one model with itself: see `speed`.
        let adjusted = |trial: &ValidTrial| speed.adjusted(metric, trial).map(f64::exp);
        let mut aa_pairs = compare(&pairs.replicates, &plain);
        let floor_of = |pairs: &[Comparison]| {
            noise_floor(&pairs.iter().map(|pair| pair.log_ratios.clone()).collect::<Vec<_>>())
        };
        let floor = floor_of(&aa_pairs);
        let mut adjusted_aa_pairs = compare(&pairs.replicates, &adjusted);
        let adjusted_floor = floor_of(&adjusted_aa_pairs);
        // The question to an A/A pair is not which is faster: it is judged whatever bounded it.
        aa_pairs.iter_mut().chain(&mut adjusted_aa_pairs).for_each(|pair| pair.bound = Bound::Exact);
        let (mut models, mut slowdowns) =
            (compare(&pairs.models, &plain), compare(&pairs.slowdowns, &adjusted));
        let prior = |some: &[Comparison], others: &[Comparison]| {
            let known = some.iter().chain(others).filter_map(|of| Moments::of(&of.log_ratios));
            Prior::of(&known.collect::<Vec<_>>())
        };
        let of_adjusted = prior(&slowdowns, &adjusted_aa_pairs);
        judge(&mut adjusted_aa_pairs, &of_adjusted, None);
        judge(&mut slowdowns, &of_adjusted, adjusted_floor);
        let prior = prior(&models, &aa_pairs);
        judge(&mut aa_pairs, &prior, None);
        judge(&mut models, &prior, floor);
        OfMetric { metric, floor, adjusted_floor, prior, models, aa_pairs, adjusted_aa_pairs, slowdowns }
    }

    /// Blocks of the A/A pair, the fewest under any condition; `None` where no model is measured twice.
    pub fn blocks_of_aa(&self) -> Option<usize> {
        self.aa_pairs.iter().map(|pair| pair.log_ratios.len()).min()
    }

    /// How its A/A comparisons came out.
    pub fn aa_tally(&self) -> AaTally {
        AaTally::of(&self.aa_pairs)
    }

    /// How many of the models' intervals the studentised bootstrap agrees with about 1, of how many.
    pub fn confirmed_by_bootstrap(&self) -> (usize, usize) {
        let agree: Vec<bool> = self
            .models
            .par_iter()
            .filter_map(|comparison| {
                let interval = comparison.ratio?.judged.plain?;
                // A name of its own for each comparison seeds its resamples.
                let Condition { backends, concurrency, .. } = comparison.condition;
                let name = format!(
                    "{:?} {} {} {:?}",
                    self.metric,
                    comparison.row,
                    comparison.with,
                    (backends, concurrency)
                );
                let (low, high) =
                    Bootstrap::of(&comparison.log_ratios, RESAMPLES, CONFIDENCE, &name)?.studentised;
                let (theirs, ours) = (low > 0.0 || high < 0.0, interval.low > 1.0 || interval.high < 1.0);
                Some(theirs == ours)
            })
            .collect();
        (agree.iter().filter(|&&agrees| agrees).count(), agree.len())
    }
}

/// Judges `comparisons` together, with what `prior` knows of spread.
fn judge(comparisons: &mut [Comparison], prior: &Prior, floor: Option<f64>) {
    let candidate = |comparison: &Comparison| Candidate {
        compared: compared(&comparison.log_ratios, prior),
        floor,
        bound: comparison.bound,
    };
    let candidates: Vec<_> = comparisons.iter().map(candidate).collect();
    for (comparison, ratio) in comparisons.iter_mut().zip(judge_together(&candidates, 1)) {
        comparison.ratio = ratio;
    }
}

/// `log_ratios`, block by block, with what `prior` knows of spread; `None` of none.
pub(super) fn compared(log_ratios: &[f64], prior: &Prior) -> Option<Compared> {
    let estimate = Moments::of(log_ratios).map(|moments| prior.estimate(&moments));
    Some(Compared { mean: mean(log_ratios)?, estimate, blocks: log_ratios.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::synthetic::Run;

    fn run(models: &[&str]) -> Run {
        Run::new().models(models).backends(&[1, 2]).concurrency(&[10]).blocks(8)
    }

    fn of(stored: &crate::record::Stored) -> Verdicts {
        let summary = Summary::of(stored);
        Verdicts::of(&summary, &Bottlenecks::of(&summary))
    }

    fn verdicts(run: &Run) -> Verdicts {
        of(&run.build())
    }

    #[test]
    fn a_model_again_makes_the_noise_floor_and_is_no_competitor() {
        let verdicts = verdicts(&run(&["direct", "threads", "mio", "threads#2"]));
        for of in verdicts.iter() {
            assert!(of.floor.is_some_and(|floor| floor > 0.0), "{:?}", of.metric);
            assert!(
                of.models
                    .iter()
                    .all(|comparison| comparison.row.name == "mio" && comparison.with.name == "threads")
            );
            assert!(
                of.aa_pairs.iter().all(|pair| pair.row == pair.with.again() && pair.with.name == "threads")
            );
            assert_eq!((of.models.len(), of.aa_pairs.len(), of.slowdowns.len()), (2, 2, 0));
        }
    }

    #[test]
    fn without_a_pair_the_floor_is_unknown_and_said_to_be() {
        let verdicts = verdicts(&run(&["threads", "mio"]));
        assert!(verdicts.iter().all(|of| of.floor.is_none()));
        assert!(verdicts.iter().all(|of| of.aa_tally().comparisons == 0));
    }

    #[test]
    fn a_handicapped_row_is_compared_with_its_own_model() {
        let verdicts = verdicts(&run(&["threads", "mio", "mio+10%"]));
        let of = verdicts.on(Metric::BalancerCpu).unwrap();
        assert!(of.slowdowns.iter().all(|slowed| slowed.row == Competitor::of("mio+10%") && slowed.with == Competitor::of("mio")));
        assert_eq!(of.models.iter().filter(|comparison| comparison.row.name != "mio").count(), 0);
    }

    #[test]
    fn what_the_client_bounded_is_faster_by_at_least_that() {
        let mut stored = run(&["threads", "mio"]).build();
        for trial in stored.trials.iter_mut().filter(|trial| trial.cell.competitor.name == "mio") {
            if let crate::record::Outcome::Measured(sample) = &mut trial.outcome {
                sample.client.system_ns = sample.elapsed_ns;
            }
        }
        let verdicts = of(&stored);
        let ratio = |metric| verdicts.on(metric).unwrap().models[0].ratio.unwrap();
        assert_eq!(ratio(Metric::Throughput).conclusion(), Conclusion::Above);
        assert!(ratio(Metric::Throughput).is_at_least() && !ratio(Metric::BalancerCpu).is_at_least());
        assert_eq!(ratio(Metric::BalancerCpu).conclusion(), Conclusion::Below);
    }

    #[test]
    fn a_pair_without_a_common_valid_block_has_no_ratio() {
        let run = (0..8).fold(run(&["threads", "mio"]), |run, block| run.invalid("mio", 1, 10, block));
        let verdicts = verdicts(&run);
        let of = verdicts.on(Metric::Throughput).unwrap();
        assert_eq!(of.models[0].ratio, None);
        assert!(of.models[1].ratio.is_some());
    }
}
