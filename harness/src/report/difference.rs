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
//! What is said of it stands in `told`.
//!
//! Of two open loops, throughput is not compared: it is the rate. Of a closed and an open one (with `force`), only CPU time is:
//! their response times are of two kinds.

mod matching;
mod told;

use serde::Serialize;
use thiserror::Error;

use crate::plan::comparisons::Pair;
use crate::plan::{Cell, Competitor};
use crate::record::Stored;
use crate::report::bottleneck::Bottlenecks;
use crate::report::metric::Metric;
use crate::report::summary::Summary;
use crate::report::words;
use crate::statistics::verdict::{
    CONFIDENCE, Compared, Judged, LEVEL, Verdict, judge, judge_among, noise_floor,
};

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
    /// Requests per second of BASE's open loop, then of NEW's; absent in a closed loop.
    pub rates: [Option<u64>; 2],
    /// What does not match, and was compared all the same.
    pub mismatches: Vec<String>,
    /// Cells that BASE measured and NEW has no valid trial of.
    pub lost: Vec<String>,
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

/// NEW / BASE of one metric of one model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The model.
    pub model: Competitor,
    /// Number of backend servers; absent over all cells.
    pub backends: Option<u32>,
    /// Requests outstanding; absent over all cells.
    pub concurrency: Option<u32>,
    /// Which figure.
    pub metric: Metric,
    /// The client was the limit in either run: no rank, whatever `verdict` says.
    pub client_bound: bool,
    /// The ratio NEW / BASE, judged.
    #[serde(flatten)]
    pub judged: Judged,
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
}

type Place = (u32, u32);

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
        let sides = [&before, &after].map(|summary| Side { summary, bottlenecks: Bottlenecks::of(summary) });

        let models: Vec<&Competitor> =
            before.balancers().filter(|m| after.balancers().any(|n| n == *m)).collect();
        let places = common_places(&sides);
        let rates = [before.rate(), after.rate()];
        let floors: Vec<_> = metrics(rates).map(|metric| floor(&sides, &places, metric)).collect();
        let mut candidates = Vec::new();
        for &model in &models {
            for floor in &floors {
                candidates.extend(of_model(&sides, model, &places, floor));
            }
        }
        if candidates.is_empty() {
            let (base, new) = names();
            return Err(DifferenceError::NothingInCommon { base, new });
        }
        let changes = judged(candidates);
        let lost = lost(&before, &after);
        Ok(Difference {
            base: base.name.clone(),
            new: new.name.clone(),
            level: LEVEL,
            rates,
            outcome: outcome(&changes, &lost),
            mismatches,
            lost,
            floors,
            changes,
        })
    }
}

/// Families of comparisons that share the level: models over all their cells, and single cells.
const FAMILIES: usize = 2;

impl Change {
    /// What may be said; nothing where the client was the limit.
    pub fn verdict(&self) -> Verdict {
        if self.client_bound { Verdict::Indistinguishable } else { self.judged.verdict }
    }

    /// Whether NEW is worse.
    pub fn is_worse(&self) -> bool {
        self.verdict() == if self.metric.less_is_better() { Verdict::Above } else { Verdict::Below }
    }

    /// Whether NEW is better.
    pub fn is_better(&self) -> bool {
        self.verdict() != Verdict::Indistinguishable && !self.is_worse()
    }
}

/// The figures that runs of these loops can be compared in.
fn metrics([base, new]: [Option<u64>; 2]) -> impl Iterator<Item = Metric> {
    let alike = base.is_some() == new.is_some();
    Metric::of_loop(base).iter().copied().filter(move |metric| alike || metric.is_cpu())
}

/// A change that is not judged yet.
struct Candidate {
    model: Competitor,
    place: Option<Place>,
    metric: Metric,
    client_bound: bool,
    compared: Compared,
    floor: Option<f64>,
}

fn of_model(sides: &[Side<'_>; 2], model: &Competitor, places: &[Place], floor: &Floor) -> Vec<Candidate> {
    let metric = floor.metric;
    let capped = |&place: &Place| sides.iter().any(|side| side.bottlenecks.caps(metric, model, place));
    let candidate = |place: Option<Place>, client_bound, [base, new]: [Vec<f64>; 2], floor| {
        let compared = Compared::unpaired(&new, &base)?;
        Some(Candidate { model: model.clone(), place, metric, client_bound, compared, floor })
    };
    let free: Vec<Place> = places.iter().copied().filter(|place| !capped(place)).collect();
    let overall =
        candidate(None, false, sides.each_ref().map(|side| side.overall(model, &free, metric)), floor.all);
    let cells = places.iter().filter_map(|&place| {
        let logs = sides.each_ref().map(|side| side.logs(model, place, metric));
        candidate(Some(place), capped(&place), logs, floor.cell)
    });
    overall.into_iter().chain(cells).collect()
}

impl Side<'_> {
    /// The logarithm of `metric` for each valid block of a cell.
    fn logs(&self, row: &Competitor, (backends, concurrency): Place, metric: Metric) -> Vec<f64> {
        let valid = &self.summary.cell(row, backends, concurrency).valid;
        valid.iter().filter_map(|trial| metric.of(trial)).map(f64::ln).filter(|log| log.is_finite()).collect()
    }

    /// For each block in which every one of `places` is valid, the mean of the logarithms over them.
    fn overall(&self, row: &Competitor, places: &[Place], metric: Metric) -> Vec<f64> {
        let log = |block, &(backends, concurrency): &Place| {
            let trial = self.summary.cell(row, backends, concurrency).in_block(block)?;
            metric.of(trial).map(f64::ln).filter(|log| log.is_finite())
        };
        let Some(&(backends, concurrency)) = places.first() else { return Vec::new() };
        let first = &self.summary.cell(row, backends, concurrency).valid;
        let blocks = first.iter().filter_map(|trial| {
            let logs = places.iter().map(|place| log(trial.block, place)).collect::<Option<Vec<_>>>()?;
            Some(logs.iter().sum::<f64>() / logs.len() as f64)
        });
        blocks.collect()
    }

    /// Log-ratios of each A/A pair, for each of `places`, then over all of them.
    fn twins(&self, places: &[Place], metric: Metric) -> [Vec<Vec<f64>>; 2] {
        let pairs = self.summary.comparisons().replicates;
        let paired = |pair: &Pair, place| {
            let both = (&pair.competitor, &pair.with);
            self.summary.log_ratios(both, place, |trial| metric.of(trial))
        };
        let cells = pairs.iter().flat_map(|pair| places.iter().map(move |&place| paired(pair, place)));
        let all = pairs.iter().map(|pair| {
            let (ours, theirs) =
                (self.overall(&pair.competitor, places, metric), self.overall(&pair.with, places, metric));
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
fn floor(sides: &[Side<'_>; 2], places: &[Place], metric: Metric) -> Floor {
    let drift_metric = if metric == Metric::BalancerCpu { Metric::AllCpu } else { metric };
    let [before, after] =
        sides.each_ref().map(|side| side.overall(&Competitor::direct(), places, drift_metric));
    let drift = Compared::unpaired(&after, &before).map(|moved| {
        moved.mean.abs() + moved.estimate.map_or(0.0, |estimate| estimate.half_width(CONFIDENCE))
    });
    let [mut cell, mut all] = [None, None];
    for side in sides {
        let twins = side.twins(places, metric).map(|cells| noise_floor(&cells));
        cell = larger(cell, twins[0]);
        all = larger(all, twins[1]);
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

fn judged(candidates: Vec<Candidate>) -> Vec<Change> {
    let of = |candidate: &Candidate| (Some(candidate.compared), candidate.floor);
    // Cells and models over all their cells, so that hundreds of cells do not cost the latter their power.
    let family = |overall: bool| {
        let members = candidates.iter().filter(|c| !c.client_bound && c.place.is_none() == overall);
        judge_among(&members.map(of).collect::<Vec<_>>(), FAMILIES).into_iter()
    };
    let (mut overall, mut cells) = (family(true), family(false));
    let changes = candidates.iter().filter_map(|candidate| {
        let judged = match candidate.place {
            _ if candidate.client_bound => judge(&[of(candidate)])[0]?,
            None => overall.next()??,
            Some(_) => cells.next()??,
        };
        let Candidate { ref model, place, metric, client_bound, .. } = *candidate;
        let (backends, concurrency) = place.unzip();
        Some(Change { model: model.clone(), backends, concurrency, metric, client_bound, judged })
    });
    changes.collect()
}

fn outcome(changes: &[Change], lost: &[String]) -> Outcome {
    if changes.iter().any(Change::is_worse) {
        return Outcome::Regression;
    }
    let told = changes.iter().any(|change| !change.client_bound && change.judged.interval.is_some());
    if told && lost.is_empty() { Outcome::NoRegression } else { Outcome::CannotTell }
}

fn common_places(sides: &[Side<'_>; 2]) -> Vec<Place> {
    let [base, new] = sides.each_ref().map(|side| side.summary.places());
    base.into_iter().filter(|place| new.contains(place)).collect()
}

/// Cells that BASE measured, that NEW was to measure too, and that have no valid trial there.
fn lost(before: &Summary, after: &Summary) -> Vec<String> {
    let planned = |Cell { competitor, condition }: &Cell| {
        let there = after.key(competitor, condition.backends, condition.concurrency);
        after.cells.get(&there).is_some_and(|there| there.valid.is_empty())
    };
    let gone = before.cells.iter().filter(|(cell, there)| !there.valid.is_empty() && planned(cell));
    gone.map(|(cell, _)| {
        let Cell { competitor, condition } = cell;
        format!("{} {}x{}", words::row(competitor), condition.backends, condition.concurrency)
    })
    .collect()
}

#[cfg(test)]
mod tests;
