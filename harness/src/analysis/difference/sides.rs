//! Two runs side by side: their figures, what is known of the spread of each, and the comparisons that they allow.

use serde::Serialize;

use super::matching;
use super::{LostCell, Unjudged};
use crate::analysis::bottleneck::Bottlenecks;
use crate::analysis::grid::Grid;
use crate::analysis::loop_kind::Loop;
use crate::analysis::metric::Metric;
use crate::analysis::ratio::{Bound, Candidate};
use crate::analysis::speed::Speed;
use crate::analysis::summary::Summary;
use crate::analysis::trial::ValidTrial;
use crate::analysis::whole_grid::{self, OfCondition, Sample};
use crate::plan::{Cell, Competitor, Condition};
use crate::record::Stored;
use crate::statistics::interval::Estimate;
use crate::statistics::moderation::{Moments, Prior};
use crate::statistics::verdict::{Compared, LEAST_BLOCKS, mean, noise_floor};

/// How far a model differs from itself within a run, the further one of both runs, as log-ratios; absent without an A/A pair.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Floor {
    /// The metric.
    pub metric: Metric,
    /// Under a single condition.
    pub cell: Option<f64>,
    /// Over all conditions.
    pub all: Option<f64>,
}

/// One run.
struct Side {
    summary: Summary,
    bottlenecks: Bottlenecks,
    /// The conditions that the other run has too, in the same order.
    conditions: Vec<Condition>,
}

/// Both: BASE, then NEW.
pub(super) struct Sides {
    sides: [Side; 2],
    common: Vec<[Condition; 2]>,
    /// The competitors that are ranked in both.
    models: Vec<Competitor>,
}

/// How a trial's figure is read.
#[derive(Clone, Copy)]
struct Reading {
    /// Adjusted for this.
    speed: Speed,
    /// Over what the direct row's trial in the same block shows, where there is one.
    to_direct: bool,
}

/// Chance of taking noise for a change of the machine, or of what client and backends pay: then power is lost, no more.
const LEVEL_OF_A_CHANGE: f64 = 0.02;

/// Figures of both runs over all conditions.
type Both<'a> = [Sample<'a>; 2];

impl Sides {
    pub(super) fn of(base: &Stored, new: &Stored) -> Self {
        let [before, after] = [base, new].map(Summary::of);
        let common = matching::common_conditions(&before.grid, &after.grid);
        let is_in = |summary: &Summary, model: &Competitor| summary.balancers().any(|other| other == model);
        let models = before.balancers().filter(|model| is_in(&after, model)).cloned().collect();
        let conditions = |side: usize| common.iter().map(|both| both[side].clone()).collect();
        let (of_base, of_new) = (conditions(0), conditions(1));
        let side = |summary: Summary, conditions| {
            let bottlenecks = Bottlenecks::of(&summary);
            Side { summary, bottlenecks, conditions }
        };
        Sides { sides: [side(before, of_base), side(after, of_new)], common, models }
    }

    pub(super) fn loads(&self) -> [Loop; 2] {
        self.sides.each_ref().map(|side| side.summary.load())
    }

    /// That of BASE.
    pub(super) fn grid(&self) -> &Grid {
        &self.sides[0].summary.grid
    }

    /// The metrics in which the two can be compared.
    fn metrics(&self) -> Vec<Metric> {
        let [base, new] = self.loads();
        base.metrics_shared_with(new).collect()
    }

    /// Whether the outcome rests on `metric`: an open loop decides by what it is run for, of two kinds of loop CPU time.
    fn decides(&self, metric: Metric) -> bool {
        self.loads().iter().all(|load| load.main_metrics().contains(&metric))
    }

    /// Adjusted for the machine's speed. What is not CPU time feels other changes of the machine as well: where the direct
    /// row's has changed, it is taken over that.
    fn reading(&self, metric: Metric) -> Reading {
        let [base, new] = &self.sides;
        let adjusted = Reading { speed: Speed::of(&[&base.summary, &new.summary], metric), to_direct: false };
        let to_direct = !metric.is_cpu() && {
            let both = self.sides.each_ref().map(|side| {
                let of = |condition| OfCondition {
                    condition,
                    by_block: side.logs(&Competitor::direct(), condition, metric, adjusted),
                    bound: Bound::Exact,
                };
                Sample::over(side.conditions.iter().map(of).collect())
            });
            has_changed(&both)
        };
        Reading { to_direct, ..adjusted }
    }

    pub(super) fn floors(&self) -> Vec<Floor> {
        self.metrics().into_iter().map(|metric| self.floor(metric)).collect()
    }

    /// Every comparison.
    pub(super) fn compared(&self) -> Vec<Unjudged> {
        self.metrics().into_iter().flat_map(|metric| self.compared_in(metric)).collect()
    }

    fn compared_in(&self, metric: Metric) -> Vec<Unjudged> {
        let floor = self.floor(metric);
        let reading = self.reading(metric);
        let overall: Vec<Both<'_>> =
            self.models.iter().map(|model| self.overall(model, metric, reading)).collect();
        let whole = Prior::of(&overall.iter().flatten().filter_map(Sample::moments).collect::<Vec<_>>());
        let places = || 0..self.common.len();
        let logs = |model: &Competitor, place: usize| {
            self.sides
                .each_ref()
                .map(|side| values(&side.logs(model, &side.conditions[place], metric, reading)))
        };
        let each = self.models.iter().flat_map(|model| places().map(move |place| (model, place)));
        let cells: Vec<_> = each.map(|(model, place)| (model, place, logs(model, place))).collect();
        let single = Prior::of(
            &cells.iter().flat_map(|(_, _, both)| both).filter_map(|of| Moments::of(of)).collect::<Vec<_>>(),
        );

        let decides = self.decides(metric);
        let mut unjudged = Vec::new();
        for (model, sample) in self.models.iter().zip(&overall) {
            let moved = self.has_moved(model);
            let as_it_is = Reading { speed: Speed::default(), to_direct: true };
            let plain = moved.then(|| self.overall(model, metric, as_it_is));
            let own = plain
                .as_ref()
                .map(|plain| Prior::of(&plain.iter().filter_map(Sample::moments).collect::<Vec<_>>()));
            let (sample, prior) = (plain.as_ref().unwrap_or(sample), own.as_ref().unwrap_or(&whole));
            let blocks = sample.each_ref().map(|of| of.blocks().to_vec());
            let bound = sample[1].bound();
            if let Some(compared) = unpaired(&blocks, prior) {
                let candidate = Candidate { compared: Some(compared), floor: floor.all, bound };
                let model = model.clone();
                unjudged.push(Unjudged {
                    model,
                    condition: None,
                    metric,
                    decides,
                    adjusted: !moved,
                    candidate,
                });
            }
        }
        for (model, place, both) in cells {
            let Some(compared) = unpaired(&both, &single) else { continue };
            let candidate = Candidate {
                compared: Some(compared),
                floor: floor.cell,
                bound: self.bound(model, place, metric),
            };
            unjudged.push(Unjudged {
                model: model.clone(),
                condition: Some(self.common[place][0].clone()),
                metric,
                decides: false,
                adjusted: true,
                candidate,
            });
        }
        unjudged
    }

    /// How the true NEW / BASE of a cell stands to the one that was measured.
    fn bound(&self, model: &Competitor, place: usize, metric: Metric) -> Bound {
        let limited = |side: &Side| side.bottlenecks.is_client_bound(metric, model, &side.conditions[place]);
        let [base, new] = self.sides.each_ref().map(limited);
        Bound::of([new, base], metric.less_is_better())
    }

    /// The figures of `model` over all conditions that say something of it, in either run.
    fn overall(&self, model: &Competitor, metric: Metric, reading: Reading) -> Both<'_> {
        self.sides.each_ref().map(|side| {
            let of = |(place, condition)| OfCondition {
                condition,
                by_block: side.logs(model, condition, metric, reading),
                bound: self.bound(model, place, metric),
            };
            Sample::over(side.conditions.iter().enumerate().map(of).collect())
        })
    }

    /// Whether what a model's own clients and backends pay has changed, by more than what those of the direct row do.
    fn has_moved(&self, model: &Competitor) -> bool {
        let both = self.sides.each_ref().map(|side| {
            let paid = |trial: &ValidTrial| trial.client_us + trial.backends_us;
            let by_block = |condition| side.to_direct(model, condition, paid);
            let of =
                |condition| OfCondition { condition, by_block: by_block(condition), bound: Bound::Exact };
            Sample::over(side.conditions.iter().map(of).collect())
        });
        has_changed(&both)
    }

    fn floor(&self, metric: Metric) -> Floor {
        let reading = self.reading(metric);
        let [mut cell, mut all] = [None, None];
        for side in &self.sides {
            let samples: Vec<Sample<'_>> = side.replicates(metric, reading);
            let prior = Prior::of(&samples.iter().filter_map(Sample::moments).collect::<Vec<_>>());
            all = larger(all, whole_grid::floor(&samples, &prior));
            let cells: Vec<_> = samples.iter().flat_map(Sample::cells).collect();
            cell = larger(cell, noise_floor(&cells));
        }
        Floor { metric, cell, all }
    }

    /// Cells that BASE measured, that NEW was to measure too, and that have no valid trial there.
    pub(super) fn lost(&self) -> Vec<LostCell> {
        let [before, after] = self.sides.each_ref().map(|side| &side.summary);
        let is_lost = |row: &Competitor, condition: &Condition| {
            let counterpart = self.common.iter().find(|[base, _]| base == condition);
            let there = counterpart.and_then(|[_, new]| {
                after.cells.get(&Cell { competitor: row.clone(), condition: new.clone() })
            });
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
}

impl Side {
    /// The logarithm of `metric` for each valid block of a cell, as `reading` has it.
    fn logs(
        &self,
        row: &Competitor,
        condition: &Condition,
        metric: Metric,
        reading: Reading,
    ) -> Vec<(u32, f64)> {
        // The direct row has no balancer: of its CPU time, what there is.
        let figure =
            |trial: &ValidTrial| reading.speed.adjusted(metric, trial).map_or(trial.all_cpu_us, f64::exp);
        if reading.to_direct {
            return self.to_direct(row, condition, figure);
        }
        let valid = self.summary.cell(row, condition).valid.iter();
        valid.filter_map(|trial| Some((trial.block, reading.speed.adjusted(metric, trial)?))).collect()
    }

    /// A figure over that of the direct row, block by block; the figure alone where there is no such row.
    fn to_direct(
        &self,
        row: &Competitor,
        condition: &Condition,
        figure: impl Fn(&ValidTrial) -> f64,
    ) -> Vec<(u32, f64)> {
        let direct = &Competitor::direct();
        if self.summary.cell(direct, condition).valid.is_empty() {
            let valid = self.summary.cell(row, condition).valid.iter();
            return valid
                .map(|trial| (trial.block, figure(trial).ln()))
                .filter(|(_, log)| log.is_finite())
                .collect();
        }
        self.summary.log_ratios_by_block((row, direct), condition, |trial| Some(figure(trial)))
    }

    /// Each A/A pair's log-ratios over all conditions.
    fn replicates(&self, metric: Metric, reading: Reading) -> Vec<Sample<'_>> {
        let pairs = self.summary.comparisons().replicates;
        let sample = |row: &Competitor, with: &Competitor| {
            let of = |condition| {
                let [ours, theirs] = [row, with].map(|row| self.logs(row, condition, metric, reading));
                let ratio = |(block, log): &(u32, f64)| {
                    let (_, other) = theirs.iter().find(|(of, _)| of == block)?;
                    Some((*block, log - other))
                };
                OfCondition {
                    condition,
                    by_block: ours.iter().filter_map(ratio).collect(),
                    bound: Bound::Exact,
                }
            };
            Sample::over(self.conditions.iter().map(of).collect())
        };
        pairs.iter().map(|pair| sample(&pair.competitor, &pair.with)).collect()
    }
}

/// Whether NEW differs from BASE, at the level of [`LEVEL_OF_A_CHANGE`].
fn has_changed(both: &Both<'_>) -> bool {
    let prior = Prior::of(&both.iter().filter_map(Sample::moments).collect::<Vec<_>>());
    let change = unpaired(&both.each_ref().map(|of| of.blocks().to_vec()), &prior);
    change.and_then(|change| change.estimate).is_some_and(|estimate| estimate.p() < LEVEL_OF_A_CHANGE)
}

fn values(by_block: &[(u32, f64)]) -> Vec<f64> {
    by_block.iter().map(|(_, value)| *value).collect()
}

fn larger(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

/// The mean of NEW less that of BASE, two independent samples of which `prior` knows the spread; `None` where one is empty.
fn unpaired([base, new]: &[Vec<f64>; 2], prior: &Prior) -> Option<Compared> {
    let difference = mean(new)? - mean(base)?;
    let blocks = new.len().min(base.len());
    let enough = blocks >= LEAST_BLOCKS;
    let estimate = |of: &[f64]| Moments::of(of).map(|moments| prior.estimate(&moments));
    let estimate = if enough { estimate(new).zip(estimate(base)) } else { None };
    let estimate = estimate.map(|(new, base)| Estimate::of_difference(&new, &base));
    Some(Compared { mean: difference, estimate, blocks })
}
