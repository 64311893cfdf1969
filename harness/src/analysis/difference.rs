//! What changed between two runs of the same grid: NEW against BASE.
//!
//! Blocks of two runs have nothing to be paired by: each run's blocks are a sample of their own (Welch's t on the
//! logarithms). Each model is compared cell by cell and, with far less noise, over all its cells at once: a block's mean of the
//! logarithms over the cells that both runs have. Both kinds, of every metric, are corrected together (Holm, half of the level
//! for either kind), so that the chance of calling any change where there is none is at most 5 %.
//!
//! The machine itself may have changed between the runs, which no interval sees. So the floor that a change must pass is what
//! the direct row, which holds no balancer, may have changed by over all cells (the further end of its 95 % interval; for the
//! balancer's CPU time: of what client and servers of the direct row used), and on top the larger of both runs' A/A floors.
//! Without either, the floor is unknown and said to be.
//!
//! Of two open loops, throughput is not compared: it is the rate. Of a closed and an open one (with `force`), only CPU time is:
//! their response times are of two kinds.

mod matching;

use serde::Serialize;
use thiserror::Error;

use super::bottleneck::Bottlenecks;
use super::grid::Grid;
use super::loop_kind::Loop;
use super::metric::Metric;
use super::ratio::{Candidate, Conclusion, Ratio, judge_together};
use super::summary::Summary;
use crate::plan::comparisons::Pair;
use crate::plan::{Cell, Competitor, Condition};
use crate::record::Stored;
use crate::statistics::interval::quantile;
use crate::statistics::verdict::{CONFIDENCE, Compared, LEVEL, noise_floor};

/// Families of comparisons that share the level: models over all their cells, and single cells.
const FAMILIES: usize = 2;

/// Why two runs cannot be compared.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DifferenceError {
    /// They are not runs of the same thing.
    #[error(
        "{base} and {new} do not match: {}; measure them alike, or add --force to compare what they have in common",
        .mismatches.join("; ")
    )]
    Mismatch {
        /// The earlier run.
        base: String,
        /// The later one.
        new: String,
        /// Each thing that differs.
        mismatches: Vec<String>,
    },
    /// No cell is in both.
    #[error(
        "{base} and {new} have no model and cell in common that is valid in both; run the same grid twice, for instance with \
         `roundtable run --blocks 10`"
    )]
    NothingInCommon {
        /// The earlier run.
        base: String,
        /// The later one.
        new: String,
    },
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The earlier run.
    pub base: String,
    /// The later one.
    pub new: String,
    /// The chance of calling any change where there is none.
    pub level: f64,
    /// How the load of BASE, then of NEW, was driven.
    pub loads: [Loop; 2],
    /// The factors in which the conditions of BASE differ.
    #[serde(skip)]
    pub grid: Grid,
    /// What does not match, and was compared all the same.
    pub mismatches: Vec<String>,
    /// Cells that BASE measured and NEW has no valid trial of: the row and the condition.
    pub lost: Vec<LostCell>,
    /// For each metric, how large a change must be.
    pub floors: Vec<Floor>,
    /// Every comparison.
    pub changes: Vec<Change>,
    /// What it comes to.
    pub outcome: Outcome,
}

/// What a change of a metric must pass, as log-ratios; absent where neither run has an A/A pair or a direct row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Floor {
    /// The metric.
    pub metric: Metric,
    /// Of a cell.
    pub cell: Option<f64>,
    /// Of all a model's cells together.
    pub all: Option<f64>,
}

/// A cell of one run that the other has no valid trial of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostCell {
    /// Who.
    pub row: Competitor,
    /// What was done to it.
    #[serde(flatten)]
    pub condition: Condition,
}

/// NEW / BASE of one metric of one model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The model.
    pub model: Competitor,
    /// What was done to it; absent over all conditions.
    pub condition: Option<Condition>,
    /// Which figure.
    pub metric: Metric,
    /// The ratio NEW / BASE, judged.
    #[serde(flatten)]
    pub ratio: Ratio,
}

/// What two runs come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing got worse that these runs could see.
    NoRegression,
    /// Something did.
    Regression,
    /// Not enough was measured to say either.
    CannotTell,
}

/// A run with everything that is read from it.
struct Side<'a> {
    summary: &'a Summary,
    bottlenecks: Bottlenecks,
    /// Those that the other run has too, in the same order.
    conditions: Vec<Condition>,
}

impl Difference {
    /// NEW against BASE. With `force`, runs that do not match are compared as far as they have cells in common.
    pub fn of(base: &Stored, new: &Stored, force: bool) -> Result<Self, DifferenceError> {
        let names = || (base.name.clone(), new.name.clone());
        let mismatches = matching::mismatches(&base.environment, &new.environment);
        if !force && !mismatches.is_empty() {
            let (base, new) = names();
            return Err(DifferenceError::Mismatch { base, new, mismatches });
        }
        let (before, after) = (Summary::of(base), Summary::of(new));
        let common = matching::common_conditions(&before.grid, &after.grid);
        let sides = [(0, &before), (1, &after)].map(|(side, summary)| Side {
            summary,
            bottlenecks: Bottlenecks::of(summary),
            conditions: common.iter().map(|both| both[side].clone()).collect(),
        });

        let models: Vec<&Competitor> =
            before.balancers().filter(|m| after.balancers().any(|n| n == *m)).collect();
        let (before_load, after_load) = (before.load(), after.load());
        let metrics = before_load.metrics_shared_with(after_load);
        let floors: Vec<_> = metrics.map(|metric| floor(&sides, metric)).collect();
        let mut unjudged = Vec::new();
        for &model in &models {
            for floor in &floors {
                unjudged.extend(of_model(&sides, model, floor));
            }
        }
        if unjudged.is_empty() {
            let (base, new) = names();
            return Err(DifferenceError::NothingInCommon { base, new });
        }
        let changes = judged(unjudged);
        let lost = lost(&before, &after, &common);
        Ok(Difference {
            base: base.name.clone(),
            new: new.name.clone(),
            level: LEVEL,
            loads: [before_load, after_load],
            grid: before.grid.clone(),
            outcome: outcome(&changes, &lost),
            mismatches,
            lost,
            floors,
            changes,
        })
    }
}

impl Difference {
    /// Comparisons that were corrected together.
    pub fn judged(&self) -> usize {
        self.changes.iter().filter(|change| !change.ratio.client_bound).count()
    }

    /// The smallest change over all cells, as a log-ratio, that the least sure of the models had a chance of 80 % to
    /// show in `metric`.
    pub fn resolution(&self, metric: Metric) -> Option<f64> {
        let overall = || self.changes.iter().filter(|change| change.condition.is_none());
        let most_demanding = 1.0 - LEVEL / (2 * FAMILIES * overall().count().max(1)) as f64;
        let floor = self.floors.iter().find(|floor| floor.metric == metric)?.all.unwrap_or(0.0);
        let shown = |change: &Change| {
            let judged = &change.ratio.judged;
            let interval = judged.interval?;
            let degrees = 2.0 * (judged.blocks as f64 - 1.0);
            let error =
                (interval.high / interval.low).ln() / 2.0 / quantile((1.0 + CONFIDENCE) / 2.0, degrees);
            let corrected = error * quantile(most_demanding, degrees);
            Some(corrected.max(floor) + error * quantile(0.8, degrees))
        };
        overall().filter(|change| change.metric == metric).filter_map(shown).reduce(f64::max)
    }
}

impl Change {
    /// What may be said.
    pub fn conclusion(&self) -> Conclusion {
        self.ratio.conclusion()
    }

    /// Whether NEW is worse.
    pub fn is_worse(&self) -> bool {
        self.conclusion() == if self.metric.less_is_better() { Conclusion::Above } else { Conclusion::Below }
    }

    /// Whether NEW is better.
    pub fn is_better(&self) -> bool {
        self.conclusion() == if self.metric.less_is_better() { Conclusion::Below } else { Conclusion::Above }
    }
}

/// A change that is not judged yet.
struct Unjudged {
    model: Competitor,
    condition: Option<Condition>,
    metric: Metric,
    candidate: Candidate,
}

fn of_model(sides: &[Side<'_>; 2], model: &Competitor, floor: &Floor) -> Vec<Unjudged> {
    let metric = floor.metric;
    let client_bound = |place: usize| {
        sides.iter().any(|side| side.bottlenecks.is_client_bound(metric, model, &side.conditions[place]))
    };
    let places = 0..sides[0].conditions.len();
    let unjudged = |condition, client_bound, [base, new]: [Vec<f64>; 2], floor| {
        let compared = Some(Compared::unpaired(&new, &base)?);
        let candidate = Candidate { compared, floor, client_bound };
        Some(Unjudged { model: model.clone(), condition, metric, candidate })
    };
    let free: Vec<_> = places.clone().filter(|&place| !client_bound(place)).collect();
    let overall =
        unjudged(None, false, sides.each_ref().map(|side| side.overall(model, &free, metric)), floor.all);
    let cells = places.filter_map(|place| {
        let logs = sides.each_ref().map(|side| side.logs(model, &side.conditions[place], metric));
        unjudged(Some(sides[0].conditions[place].clone()), client_bound(place), logs, floor.cell)
    });
    overall.into_iter().chain(cells).collect()
}

impl Side<'_> {
    /// The logarithm of `metric` for each valid block of a cell.
    fn logs(&self, row: &Competitor, condition: &Condition, metric: Metric) -> Vec<f64> {
        let valid = &self.summary.cell(row, condition).valid;
        valid.iter().filter_map(|trial| metric.of(trial)).map(f64::ln).filter(|log| log.is_finite()).collect()
    }

    /// For each block in which `row` is valid under every condition of `places`, the mean of the logarithms over them.
    fn overall(&self, row: &Competitor, places: &[usize], metric: Metric) -> Vec<f64> {
        let conditions: Vec<_> = places.iter().map(|&place| &self.conditions[place]).collect();
        let log = |block, condition: &Condition| {
            let trial = self.summary.cell(row, condition).in_block(block)?;
            metric.of(trial).map(f64::ln).filter(|log| log.is_finite())
        };
        let Some(&first) = conditions.first() else { return Vec::new() };
        let blocks = self.summary.cell(row, first).valid.iter().filter_map(|trial| {
            let logs: Option<Vec<f64>> =
                conditions.iter().map(|&condition| log(trial.block, condition)).collect();
            let logs = logs?;
            Some(logs.iter().sum::<f64>() / logs.len() as f64)
        });
        blocks.collect()
    }

    /// All conditions.
    fn places(&self) -> Vec<usize> {
        (0..self.conditions.len()).collect()
    }

    /// Log-ratios of each A/A pair, under each condition, then over all of them.
    fn aa_pairs(&self, metric: Metric) -> [Vec<Vec<f64>>; 2] {
        let pairs = self.summary.comparisons().replicates;
        let paired = |pair: &Pair, condition| {
            let both = (&pair.competitor, &pair.with);
            self.summary.log_ratios(both, condition, |trial| metric.of(trial))
        };
        let cells = pairs
            .iter()
            .flat_map(|pair| self.conditions.iter().map(move |condition| paired(pair, condition)));
        let all = pairs.iter().map(|pair| {
            let [ours, theirs] =
                [&pair.competitor, &pair.with].map(|row| self.overall(row, &self.places(), metric));
            // Where both have every block, these are pairs; else their difference would be of different blocks.
            if ours.len() == theirs.len() {
                ours.iter().zip(&theirs).map(|(a, b)| a - b).collect()
            } else {
                Vec::new()
            }
        });
        [cells.collect(), all.collect()]
    }
}

/// What a change of `metric` must pass.
fn floor(sides: &[Side<'_>; 2], metric: Metric) -> Floor {
    let drift_metric = if metric == Metric::BalancerCpu { Metric::AllCpu } else { metric };
    let [before, after] =
        sides.each_ref().map(|side| side.overall(&Competitor::direct(), &side.places(), drift_metric));
    let drift = Compared::unpaired(&after, &before).map(|moved| {
        moved.mean.abs() + moved.estimate.map_or(0.0, |estimate| estimate.half_width(CONFIDENCE))
    });
    let [mut cell, mut all] = [None, None];
    for side in sides {
        let [of_cells, of_all] = side.aa_pairs(metric).map(|pairs| noise_floor(&pairs));
        cell = larger(cell, of_cells);
        all = larger(all, of_all);
    }
    // What moved the machine moves a model too, and its own noise comes on top.
    let on_top = |noise: Option<f64>| match (drift, noise) {
        (Some(drift), Some(noise)) => Some(drift + noise),
        (drift, noise) => drift.or(noise),
    };
    Floor { metric, cell: on_top(cell), all: on_top(all) }
}

fn larger(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

/// Judges cells apart from models over all their cells, so that hundreds of cells do not cost the latter their power.
fn judged(unjudged: Vec<Unjudged>) -> Vec<Change> {
    let family = |overall: bool| {
        let members = unjudged.iter().filter(|change| change.condition.is_none() == overall);
        judge_together(&members.map(|change| change.candidate).collect::<Vec<_>>(), FAMILIES).into_iter()
    };
    let (mut overall, mut cells) = (family(true), family(false));
    let changes = unjudged.into_iter().filter_map(|change| {
        let ratio = if change.condition.is_none() { overall.next() } else { cells.next() };
        Some(Change {
            model: change.model,
            condition: change.condition,
            metric: change.metric,
            ratio: ratio??,
        })
    });
    changes.collect()
}

fn outcome(changes: &[Change], lost: &[LostCell]) -> Outcome {
    if changes.iter().any(Change::is_worse) {
        return Outcome::Regression;
    }
    let known =
        changes.iter().any(|change| !change.ratio.client_bound && change.ratio.judged.interval.is_some());
    if known && lost.is_empty() { Outcome::NoRegression } else { Outcome::CannotTell }
}

/// Cells that BASE measured, that NEW was to measure too, and that have no valid trial there.
fn lost(before: &Summary, after: &Summary, common: &[[Condition; 2]]) -> Vec<LostCell> {
    let is_lost = |row: &Competitor, condition: &Condition| {
        let counterpart = common.iter().find(|[base, _]| base == condition);
        let there = counterpart
            .and_then(|[_, new]| after.cells.get(&Cell { competitor: row.clone(), condition: new.clone() }));
        there.is_some_and(|there| there.valid.is_empty())
    };
    let measured = before.cells_in_order().filter(|(_, _, cell)| !cell.valid.is_empty());
    let mut lost: Vec<_> = measured
        .filter(|(row, condition, _)| is_lost(row, condition))
        .map(|(row, condition, _)| LostCell { row: row.clone(), condition: condition.clone() })
        .collect();
    lost.sort_by(|a, b| (&a.row, &a.condition).cmp(&(&b.row, &b.condition)));
    lost
}

#[cfg(test)]
mod tests;
