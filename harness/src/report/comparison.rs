//! Threaded against async, cell by cell.
//!
//! Within a block, a family's figure is the geometric mean over its models; the ratio async / threaded of each block is one
//! observation. A block in which any of the models has no valid trial is left out of that cell: otherwise the families'
//! membership would change from block to block. Intervals, correction (each figure on its own) and noise floor are those of the
//! verdicts on single models. A cell in which the client was the limit of any of the models has no rank.
//!
//! Of a closed loop, throughput and CPU time are compared; of an open loop, in which throughput is the rate, response times from
//! when each request was due, and CPU time.

mod told;

use serde::Serialize;
use thiserror::Error;

use crate::plan::schedule::{self, Schedule};
use crate::plan::{Competitor, Family};
use crate::record::Stored;
use crate::report::bottleneck::Bottlenecks;
use crate::report::metric::Metric;
use crate::report::summary::Summary;
use crate::report::verdicts::Verdicts;
use crate::report::words;
use crate::statistics::verdict::{self, CONFIDENCE, Judged, LEVEL, judge};
use crate::statistics::{geometric_mean, log_ratios, median};

/// What to do about a run whose trials are invalid and will not be run again.
const ALL_MEASURED: &str = "the reasons of its invalid trials are in its report, by `roundtable report`: mend the cause, then begin a new run";

/// Why two families cannot be compared.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ComparisonError {
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
pub struct Comparison {
    /// The run.
    pub run: String,
    /// The models of either family.
    pub threaded: Vec<Competitor>,
    /// The models of either family.
    #[serde(rename = "async")]
    pub asynchronous: Vec<Competitor>,
    /// Requests per second of the open loop; absent in a closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// Level of the tests: the chance of any false verdict among the cells, for each figure.
    pub level: f64,
    /// Level of each interval.
    pub confidence: f64,
    /// How far a model differed from itself in throughput, as a log-ratio; absent without an A/A pair.
    pub throughput_noise_floor: Option<f64>,
    /// The same of the balancer's CPU time a request.
    pub cpu_noise_floor: Option<f64>,
    /// The same of the median response time; absent in a closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_noise_floor: Option<f64>,
    /// The same of the 99th percentile; absent in a closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_noise_floor: Option<f64>,
    /// Every cell of the run, by backends and concurrency.
    pub cells: Vec<ComparedCell>,
}

/// One backend count and concurrency.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedCell {
    /// Number of backend servers.
    pub backends: u32,
    /// Requests outstanding at any time; in an open loop, at most.
    pub concurrency: u32,
    /// Blocks with a valid trial of every model.
    pub blocks: usize,
    /// Requests per second, async / threaded; absent where there is no such block, and in an open loop.
    pub throughput: Option<Compared>,
    /// Median response time, async / threaded; absent in a closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50: Option<Compared>,
    /// Its 99th percentile; absent in a closed loop, and where the requests of a trial are too few for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99: Option<Compared>,
    /// The balancer's CPU time a request, async / threaded.
    pub cpu: Option<Compared>,
    /// Of each async model against each threaded one, the lowest ratio of throughput (in an open loop: of the median
    /// response time)…
    pub lowest: Option<Pair>,
    /// …and the highest: families can hide that single models stand the other way round.
    pub highest: Option<Pair>,
}

/// One async model against one threaded one, in a cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The async one.
    pub asynchronous: Competitor,
    /// The threaded one.
    pub threaded: Competitor,
    /// Median over blocks of the ratio of their throughput, or of their median response times.
    pub median: f64,
}

/// A ratio async / threaded over the blocks of a cell, and what may be concluded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Compared {
    /// The ratio, its interval and p-values.
    #[serde(flatten)]
    pub judged: Judged,
    /// The client was the limit of some model here: no rank, whatever `verdict` says.
    pub client_bound: bool,
}

/// What may be said of async, compared to threaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The ratio is over 1.
    Higher,
    /// The ratio is under 1.
    Lower,
    /// Chance or noise could have done it.
    CannotTell,
    /// The client was the limit.
    ClientBound,
}

impl Compared {
    /// What may be said.
    pub fn verdict(&self) -> Verdict {
        match self.judged.verdict {
            _ if self.client_bound => Verdict::ClientBound,
            verdict::Verdict::Above => Verdict::Higher,
            verdict::Verdict::Below => Verdict::Lower,
            verdict::Verdict::Indistinguishable => Verdict::CannotTell,
        }
    }
}

impl Comparison {
    /// Compares the two families of `stored`.
    pub fn of(stored: &Stored) -> Result<Self, ComparisonError> {
        let summary = Summary::of(stored);
        let bottlenecks = Bottlenecks::of(&summary);
        let verdicts = Verdicts::of(&summary, &bottlenecks);
        Self::within(&stored.name, &summary, &bottlenecks, &verdicts).map_err(|error| match error {
            ComparisonError::NothingPaired { run, .. } => {
                let plan = &stored.environment.plan;
                // A trial that is not the plan's would make a schedule without end.
                let is_foreign = schedule::foreign(plan, &stored.trials).is_some();
                let is_complete = is_foreign || Schedule::new(plan, &stored.trials).upcoming().is_none();
                ComparisonError::NothingPaired { run, is_complete }
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
    ) -> Result<Self, ComparisonError> {
        let members = |family| -> Vec<Competitor> {
            summary.balancers().filter(|m| summary.family(m) == family).cloned().collect()
        };
        let (threaded, asynchronous) = (members(Family::Threaded), members(Family::Async));
        if threaded.is_empty() || asynchronous.is_empty() {
            let present = match (threaded.as_slice(), asynchronous.as_slice()) {
                ([], []) => "neither a threaded nor an async model".to_owned(),
                (some, []) => format!("only threaded models ({})", words::joined(some)),
                (_, some) => format!("only async models ({})", words::joined(some)),
            };
            return Err(ComparisonError::OneFamily { run: run.to_owned(), present });
        }

        let families = (threaded.as_slice(), asynchronous.as_slice());
        let places = summary.places();
        let judged = Metric::of_loop(summary.rate());
        let compare = |metric| -> Figures {
            if !judged.contains(&metric) {
                return Figures { floor: None, cells: vec![None; places.len()] };
            }
            let ratios: Vec<_> =
                places.iter().map(|&place| family_log_ratios(summary, families, place, metric)).collect();
            let capped =
                |place| threaded.iter().chain(&asynchronous).any(|m| bottlenecks.caps(metric, m, place));
            let capped: Vec<_> = places.iter().map(|&place| capped(place)).collect();
            let floor = verdicts.on(metric).and_then(|of| of.floor);
            Figures { floor, cells: judge_all(&ratios, &capped, floor) }
        };
        let [throughput, cpu, p50, p99] =
            [Metric::Throughput, Metric::BalancerCpu, Metric::P50, Metric::P99].map(compare);
        // Every valid trial has a throughput, though an open loop's is no finding.
        let blocks: Vec<_> = places
            .iter()
            .map(|&place| family_log_ratios(summary, families, place, Metric::Throughput).len())
            .collect();
        if blocks.iter().all(|&blocks| blocks == 0) {
            return Err(ComparisonError::NothingPaired { run: run.to_owned(), is_complete: true });
        }
        let cells = places.iter().enumerate().map(|(index, &place)| {
            let pairs = pairs(summary, families, place);
            ComparedCell {
                backends: place.0,
                concurrency: place.1,
                blocks: blocks[index],
                throughput: throughput.cells[index],
                p50: p50.cells[index],
                p99: p99.cells[index],
                cpu: cpu.cells[index],
                lowest: pairs.first().cloned(),
                highest: pairs.last().cloned(),
            }
        });
        Ok(Comparison {
            run: run.to_owned(),
            rate: summary.rate(),
            level: LEVEL,
            confidence: CONFIDENCE,
            throughput_noise_floor: throughput.floor,
            cpu_noise_floor: cpu.floor,
            p50_noise_floor: p50.floor,
            p99_noise_floor: p99.floor,
            cells: cells.collect(),
            threaded,
            asynchronous,
        })
    }
}

/// One figure of every cell, judged.
struct Figures {
    floor: Option<f64>,
    cells: Vec<Option<Compared>>,
}

/// Async / threaded, a log-ratio for each block with a valid trial of every model.
fn family_log_ratios(
    summary: &Summary,
    (threaded, asynchronous): (&[Competitor], &[Competitor]),
    (backends, concurrency): (u32, u32),
    metric: Metric,
) -> Vec<f64> {
    let mean = |family: &[Competitor], block| {
        let values: Option<Vec<_>> = family
            .iter()
            .map(|model| metric.of(summary.cell(model, backends, concurrency).in_block(block)?))
            .collect();
        geometric_mean(&values?)
    };
    let blocks = threaded.first().map(|model| &summary.cell(model, backends, concurrency).valid);
    let pairs: Vec<_> = blocks
        .into_iter()
        .flatten()
        .filter_map(|trial| Some((mean(asynchronous, trial.block)?, mean(threaded, trial.block)?)))
        .collect();
    log_ratios(&pairs)
}

/// Each async model against each threaded one in a cell, lowest first.
fn pairs(
    summary: &Summary,
    (threaded, asynchronous): (&[Competitor], &[Competitor]),
    place: (u32, u32),
) -> Vec<Pair> {
    let each = asynchronous.iter().flat_map(|a| threaded.iter().map(move |t| (a, t)));
    let metric = if summary.rate().is_none() { Metric::Throughput } else { Metric::P50 };
    let mut pairs: Vec<_> = each
        .filter_map(|(a, t)| {
            let logs = summary.log_ratios((a, t), place, |trial| metric.of(trial));
            Some(Pair { asynchronous: a.clone(), threaded: t.clone(), median: median(&logs)?.exp() })
        })
        .collect();
    pairs.sort_by(|a, b| a.median.total_cmp(&b.median));
    pairs
}

/// A verdict for each cell that has an observation; what the client bounded is in nobody's correction.
fn judge_all(cells: &[Vec<f64>], capped: &[bool], floor: Option<f64>) -> Vec<Option<Compared>> {
    let of = |ratios: &Vec<f64>| (verdict::Compared::paired(ratios), floor);
    let ranked: Vec<_> =
        cells.iter().zip(capped).filter(|(_, capped)| !**capped).map(|(c, _)| of(c)).collect();
    let mut ranked = judge(&ranked).into_iter();
    cells
        .iter()
        .zip(capped)
        .map(|(ratios, &client_bound)| {
            let judged = if client_bound { judge(&[of(ratios)])[0] } else { ranked.next()? };
            Some(Compared { judged: judged?, client_bound })
        })
        .collect()
}

#[cfg(test)]
mod tests;
