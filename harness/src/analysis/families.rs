//! Threaded against async, condition by condition.
//!
//! Within a block, a family's figure is the geometric mean over its models; the ratio async / threaded of each block is one
//! observation. A block in which any of the models has no valid trial is left out under that condition: otherwise the
//! families' membership would change from block to block. Intervals, correction (each metric on its own) and noise floor are
//! those of the verdicts on single models, and so is the mean over all conditions ([`super::whole_grid`]). Where the client
//! was the limit of models of one family alone, that family's figure, and with it the ratio, is a bound.
//!
//! Compared are the metrics of the run's kind of loop (see [`Loop`]): a closed loop's throughput, an open loop's response
//! times, and the balancer's CPU time of either.

use std::collections::BTreeMap;

use serde::Serialize;
use thiserror::Error;

use super::bottleneck::Bottlenecks;
use super::findings::{Claim, Finding};
use super::grid::Grid;
use super::loop_kind::Loop;
use super::metric::Metric;
use super::ratio::{Bound, Conclusion, Ratio, judge_together};
use super::summary::Summary;
use super::trial::ValidTrial;
use super::verdicts::Verdicts;
use super::whole_grid::{OfCondition, Sample, Variation, WholeGrid};
use crate::plan::schedule::{self, Schedule};
use crate::plan::{Competitor, Condition, Family, Kind};
use crate::record::Stored;
use crate::statistics::moderation::Prior;
use crate::statistics::verdict::LEVEL;
use crate::statistics::{geometric_mean, median};

/// What to do about a run whose trials are invalid and will not be run again.
const ALL_MEASURED: &str = "the reasons of its invalid trials are in its report, by `roundtable report`: mend the cause, \
    then begin a new run";

/// Why two families cannot be compared.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum FamiliesError {
    /// The run has only one of them, or none.
    #[error(
        "the run {run} has {present}; to compare, run models of both families, \
         for instance `roundtable run --models threads,pool,mio,tokio`"
    )]
    OneFamily {
        /// The run.
        run: String,
        /// What it has.
        present: String,
    },
    /// No block of any cell has a valid trial of every model.
    #[error(
        "no cell of the run {run} has a block with a valid trial of every model; {}",
        if *.is_complete { ALL_MEASURED } else { "finish it by `roundtable run --resume`" }
    )]
    NothingPaired {
        /// The run.
        run: String,
        /// Nothing is left to measure in it.
        is_complete: bool,
    },
}

/// Threaded against async in one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Families {
    /// The run.
    pub run: String,
    /// The threaded models.
    pub threaded: Vec<Competitor>,
    /// The asynchronous models.
    #[serde(rename = "async")]
    pub asynchronous: Vec<Competitor>,
    /// How the load was driven.
    pub load: Loop,
    /// The factors in which the conditions differ.
    #[serde(skip)]
    pub grid: Grid,
    /// The chance of any false verdict among the conditions, for each metric; the intervals hold all their truths with the
    /// chance that is left.
    pub level: f64,
    /// How far a model differed from itself in each metric, as a log-ratio; absent without an A/A pair.
    pub noise_floors: BTreeMap<Metric, Option<f64>>,
    /// Async / threaded over all conditions, in each metric that the run was made for.
    pub overall: BTreeMap<Metric, FamiliesOverall>,
    /// Every condition of the run.
    pub cells: Vec<FamiliesCell>,
}

/// The families over all conditions, in one metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FamiliesOverall {
    /// Async / threaded.
    #[serde(flatten)]
    pub ratio: Ratio,
    /// How it varies between conditions.
    pub variation: Variation,
}

/// The families under one condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FamiliesCell {
    /// What was done to both.
    #[serde(flatten)]
    pub condition: Condition,
    /// Blocks with a valid trial of every model.
    pub blocks: usize,
    /// Async / threaded in each metric; a metric is absent where there is no such block, or where the requests of a
    /// trial are too few for it.
    #[serde(flatten)]
    pub ratios: BTreeMap<Metric, Ratio>,
    /// Of each async model against each threaded one, the lowest ratio in the loop's leading metric…
    pub lowest: Option<Pair>,
    /// …and the highest: families can hide that single models stand the other way round.
    pub highest: Option<Pair>,
}

/// One async model against one threaded one, under one condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The async one.
    pub asynchronous: Competitor,
    /// The threaded one.
    pub threaded: Competitor,
    /// Median over blocks of the ratio in the loop's leading metric.
    pub median: f64,
}

/// The models of either family.
#[derive(Clone, Copy)]
struct Members<'a> {
    threaded: &'a [Competitor],
    asynchronous: &'a [Competitor],
}

impl Families {
    /// Compares the two families of `stored`.
    pub fn of(stored: &Stored) -> Result<Self, FamiliesError> {
        super::Analysis::of(stored).families.map_err(|error| match error {
            FamiliesError::NothingPaired { run, .. } => {
                let plan = &stored.environment.plan;
                // A trial that is not the plan's would make a schedule without end.
                let is_foreign = schedule::foreign(plan, &stored.trials).is_some();
                let is_complete = is_foreign || Schedule::new(plan, &stored.trials).upcoming().is_none();
                FamiliesError::NothingPaired { run, is_complete }
            }
            other => other,
        })
    }

    /// The same, of a run that has been reduced already.
    pub(super) fn within(
        run: &str,
        summary: &Summary,
        bottlenecks: &Bottlenecks,
        verdicts: &Verdicts,
        whole_grid: &[WholeGrid],
    ) -> Result<Self, FamiliesError> {
        let of_family = |family| -> Vec<Competitor> {
            let models = summary.balancers().filter(|row| row.kind == Kind::Model);
            models.filter(|model| summary.family(model) == family).cloned().collect()
        };
        let (threaded, asynchronous) = (of_family(Family::Threaded), of_family(Family::Async));
        if threaded.is_empty() || asynchronous.is_empty() {
            let present = match (threaded.as_slice(), asynchronous.as_slice()) {
                ([], []) => "neither a threaded nor an async model".to_owned(),
                (some, []) => format!("only threaded models ({})", labels(some)),
                (_, some) => format!("only async models ({})", labels(some)),
            };
            return Err(FamiliesError::OneFamily { run: run.to_owned(), present });
        }
        let members = Members { threaded: &threaded, asynchronous: &asynchronous };
        let conditions = summary.conditions();
        // Every valid trial has a throughput, though an open loop's is no finding.
        let blocks = |condition: &Condition| members.log_ratios(summary, condition, Metric::Throughput).len();
        let blocks: Vec<usize> = conditions.iter().map(blocks).collect();
        if blocks.iter().all(|&blocks| blocks == 0) {
            return Err(FamiliesError::NothingPaired { run: run.to_owned(), is_complete: true });
        }
        let mut cells: Vec<_> = conditions
            .iter()
            .zip(blocks)
            .map(|(condition, blocks)| {
                let pairs = members.pairs(summary, condition);
                FamiliesCell {
                    condition: condition.clone(),
                    blocks,
                    ratios: BTreeMap::new(),
                    lowest: pairs.first().cloned(),
                    highest: pairs.last().cloned(),
                }
            })
            .collect();
        let (mut noise_floors, mut overall) = (BTreeMap::new(), BTreeMap::new());
        for &metric in compared_metrics(summary.load()) {
            let floor = verdicts.on(metric).and_then(|of| of.floor);
            noise_floors.insert(metric, floor);
            let of = |condition| OfCondition {
                condition,
                by_block: members.log_ratios(summary, condition, metric),
                bound: members.bound(bottlenecks, metric, condition),
            };
            let each: Vec<_> = conditions.iter().map(of).collect();
            let prior = Prior::of(&each.iter().filter_map(OfCondition::moments).collect::<Vec<_>>());
            let candidates: Vec<_> = each.iter().map(|of| of.candidate(&prior, floor)).collect();
            if summary.load().main_metrics().contains(&metric) {
                let whole = whole_grid.iter().find(|of| of.metric == metric);
                let of_all = FamiliesOverall::of(each, &prior, [whole.and_then(|of| of.floor), floor]);
                overall.extend(of_all.map(|of_all| (metric, of_all)));
            }
            for (cell, ratio) in cells.iter_mut().zip(judge_together(&candidates, 1)) {
                cell.ratios.extend(ratio.map(|ratio| (metric, ratio)));
            }
        }
        Ok(Families {
            run: run.to_owned(),
            load: summary.load(),
            grid: summary.grid.clone(),
            level: LEVEL,
            noise_floors,
            overall,
            cells,
            threaded,
            asynchronous,
        })
    }

    /// What holds over all conditions in each metric that the run was made for, then under which conditions what holds.
    pub fn findings(&self) -> Vec<Finding> {
        let metrics = || self.load.main_metrics().iter().copied();
        metrics()
            .filter_map(|metric| self.overall_on(metric))
            .chain(metrics().flat_map(|of| self.findings_on(of)))
            .collect()
    }

    /// What holds over all conditions in `metric`.
    pub fn overall_on(&self, metric: Metric) -> Option<Finding> {
        let FamiliesOverall { ratio, variation } = self.overall.get(&metric)?;
        let claim = Claim::FamiliesOverall { metric, conclusion: ratio.conclusion() };
        Some(Finding::overall(claim, ratio, variation))
    }

    /// The same, on one metric.
    pub fn findings_on(&self, metric: Metric) -> Vec<Finding> {
        let ratios: Vec<_> = self
            .cells
            .iter()
            .filter_map(|cell| Some((&cell.condition, *cell.ratios.get(&metric)?)))
            .collect();
        Finding::by_conclusion(&ratios, |conclusion| Claim::AsyncToThreaded { metric, conclusion })
    }

    /// Pairs of single models that stand the other way round than their families, furthest first.
    pub fn exceptions(&self) -> Vec<&Pair> {
        let leading = self.load.leading_metric();
        let of = |conclusion| {
            self.cells.iter().filter(move |cell| {
                cell.ratios.get(&leading).is_some_and(|ratio| ratio.conclusion() == conclusion)
            })
        };
        let below = of(Conclusion::Above).filter_map(|cell| cell.lowest.as_ref());
        let above = of(Conclusion::Below).filter_map(|cell| cell.highest.as_ref());
        let mut pairs: Vec<_> =
            below.filter(|pair| pair.median < 1.0).chain(above.filter(|pair| pair.median > 1.0)).collect();
        let distance = |pair: &Pair| pair.median.ln().abs();
        // Of two that are equally far, the later one first.
        pairs.reverse();
        pairs.sort_by(|a, b| distance(b).total_cmp(&distance(a)));
        pairs
    }
}

fn labels(competitors: &[Competitor]) -> String {
    competitors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The metrics in which families are compared.
fn compared_metrics(load: Loop) -> &'static [Metric] {
    match load {
        Loop::Closed => &[Metric::Throughput, Metric::BalancerCpu, Metric::P50, Metric::P99],
        Loop::Open { .. } => &[Metric::BalancerCpu, Metric::P50, Metric::P99],
    }
}

impl FamiliesOverall {
    /// Of these conditions; `prior` is what is known of the spread of single ones, the floors are those of all and of one.
    fn of(each: Vec<OfCondition<'_>>, prior: &Prior, [floor, cell_floor]: [Option<f64>; 2]) -> Option<Self> {
        let sample = Sample::over(each);
        let own = Prior::of(sample.moments().as_slice());
        let ratio = judge_together(&[sample.candidate(&own, floor)], 1).into_iter().next()??;
        Some(FamiliesOverall { ratio, variation: sample.variation(prior, cell_floor)? })
    }
}

impl Members<'_> {
    /// How the true ratio of `metric` stands to the one that was measured.
    fn bound(&self, bottlenecks: &Bottlenecks, metric: Metric, condition: &Condition) -> Bound {
        let limited = |family: &[Competitor]| {
            family.iter().any(|model| bottlenecks.is_client_bound(metric, model, condition))
        };
        Bound::of([limited(self.asynchronous), limited(self.threaded)], metric.less_is_better())
    }

    /// Async / threaded, a log-ratio for each block with a valid trial of every model.
    fn log_ratios(&self, summary: &Summary, condition: &Condition, metric: Metric) -> Vec<(u32, f64)> {
        let mean = |family: &[Competitor], block| {
            let values: Option<Vec<_>> = family
                .iter()
                .map(|model| metric.of(summary.cell(model, condition).in_block(block)?))
                .collect();
            geometric_mean(&values?)
        };
        let blocks = self.threaded.first().map(|model| &summary.cell(model, condition).valid);
        let ratio = |trial: &ValidTrial| {
            let ratio = mean(self.asynchronous, trial.block)? / mean(self.threaded, trial.block)?;
            Some((trial.block, ratio.ln())).filter(|(_, log)| log.is_finite())
        };
        blocks.into_iter().flatten().filter_map(ratio).collect()
    }

    /// Each async model against each threaded one, lowest first.
    fn pairs(&self, summary: &Summary, condition: &Condition) -> Vec<Pair> {
        let each = self.asynchronous.iter().flat_map(|a| self.threaded.iter().map(move |t| (a, t)));
        let metric = summary.load().leading_metric();
        let mut pairs: Vec<_> = each
            .filter_map(|(a, t)| {
                let logs = summary.log_ratios((a, t), condition, |trial| metric.of(trial));
                Some(Pair { asynchronous: a.clone(), threaded: t.clone(), median: median(&logs)?.exp() })
            })
            .collect();
        pairs.sort_by(|a, b| a.median.total_cmp(&b.median));
        pairs
    }
}

#[cfg(test)]
mod tests;
