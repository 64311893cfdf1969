//! Threaded against async, cell by cell.
//!
//! Within a block, a family's figure is the geometric mean over its models; the ratio async / threaded of each block is one
//! observation. A block in which any of the models has no valid trial is left out of that cell: otherwise the families'
//! membership would change from block to block. Intervals, correction (throughput and CPU time each on its own) and noise floor
//! are those of the verdicts on single models. A cell in which the client was the limit of any of the models has no rank.

use serde::Serialize;
use thiserror::Error;

use crate::data::{Family, Stored};
use crate::report::bottleneck::Bottlenecks;
use crate::report::metric::Metric;
use crate::report::summary::{Measured, Summary};
use crate::report::table::{Column, Table};
use crate::report::tables;
use crate::report::verdicts::Verdicts;
use crate::report::words;
use crate::statistics::verdict::{self, CONFIDENCE, Judged, LEVEL, judge};
use crate::statistics::{Spread, geometric_mean, log_ratios, median};

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
        "no cell of the run {run} has a block with a valid trial of every model; finish it by `roundtable run --resume`, \
         and see the reasons of its invalid trials in the report"
    )]
    NothingPaired {
        /// The run.
        run: String,
    },
}

/// Threaded against async in one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The run.
    pub run: String,
    /// The models of either family.
    pub threaded: Vec<String>,
    /// The models of either family.
    #[serde(rename = "async")]
    pub asynchronous: Vec<String>,
    /// Level of the tests: the chance of any false verdict among the cells' throughputs, and among their CPU times.
    pub level: f64,
    /// Level of each interval.
    pub confidence: f64,
    /// How far a model differed from itself in throughput, as a log-ratio; absent without an A/A pair.
    pub throughput_noise_floor: Option<f64>,
    /// The same of the balancer's CPU time a request.
    pub cpu_noise_floor: Option<f64>,
    /// Every cell of the run, by backends and concurrency.
    pub cells: Vec<ComparedCell>,
}

/// One backend count and concurrency.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedCell {
    /// Number of backend servers.
    pub backends: u32,
    /// Requests outstanding at any time.
    pub concurrency: u32,
    /// Blocks with a valid trial of every model.
    pub blocks: usize,
    /// Requests per second, async / threaded; absent where there is no such block.
    pub throughput: Option<Compared>,
    /// The balancer's CPU time a request, async / threaded.
    pub cpu: Option<Compared>,
    /// Of each async model against each threaded one, the lowest throughput ratio…
    pub lowest: Option<Pair>,
    /// …and the highest: families can hide that single models stand the other way round.
    pub highest: Option<Pair>,
}

/// One async model against one threaded one, in a cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The async one.
    pub asynchronous: String,
    /// The threaded one.
    pub threaded: String,
    /// Median over blocks of the ratio of their throughput.
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
        Self::within(&stored.name, &summary, &bottlenecks, &verdicts)
    }

    /// The same, of a run that has been reduced already.
    pub(super) fn within(
        run: &str,
        summary: &Summary,
        bottlenecks: &Bottlenecks,
        verdicts: &Verdicts,
    ) -> Result<Self, ComparisonError> {
        let members = |family| -> Vec<String> {
            summary.balancers().filter(|m| summary.family(m) == family).map(str::to_owned).collect()
        };
        let (threaded, asynchronous) = (members(Family::Threaded), members(Family::Async));
        if threaded.is_empty() || asynchronous.is_empty() {
            let present = match (threaded.as_slice(), asynchronous.as_slice()) {
                ([], []) => "neither a threaded nor an async model".to_owned(),
                (some, []) => format!("only threaded models ({})", some.join(", ")),
                (_, some) => format!("only async models ({})", some.join(", ")),
            };
            return Err(ComparisonError::OneFamily { run: run.to_owned(), present });
        }

        let families = (threaded.as_slice(), asynchronous.as_slice());
        let places = summary.places();
        let compare = |metric| -> (Option<f64>, Vec<Option<Compared>>, Vec<usize>) {
            let ratios: Vec<_> =
                places.iter().map(|&place| family_log_ratios(summary, families, place, metric)).collect();
            let capped =
                |place| threaded.iter().chain(&asynchronous).any(|m| bottlenecks.caps(metric, m, place));
            let capped: Vec<_> = places.iter().map(|&place| capped(place)).collect();
            let floor = verdicts.on(metric).and_then(|of| of.floor);
            (floor, judge_all(&ratios, &capped, floor), ratios.iter().map(Vec::len).collect())
        };
        let (throughput_noise_floor, rates, blocks) = compare(Metric::Throughput);
        let (cpu_noise_floor, cpus, _) = compare(Metric::BalancerCpu);
        if rates.iter().all(Option::is_none) {
            return Err(ComparisonError::NothingPaired { run: run.to_owned() });
        }
        let cells = places.iter().zip(blocks).zip(rates.into_iter().zip(cpus));
        Ok(Comparison {
            run: run.to_owned(),
            level: LEVEL,
            confidence: CONFIDENCE,
            throughput_noise_floor,
            cpu_noise_floor,
            cells: cells
                .map(|((&(backends, concurrency), blocks), (throughput, cpu))| {
                    let pairs = pairs(summary, families, (backends, concurrency));
                    ComparedCell {
                        backends,
                        concurrency,
                        blocks,
                        throughput,
                        cpu,
                        lowest: pairs.first().cloned(),
                        highest: pairs.last().cloned(),
                    }
                })
                .collect(),
            threaded,
            asynchronous,
        })
    }

    /// The cells as a table.
    pub fn table(&self) -> Table {
        let columns = vec![
            Column::numbers("HTTP servers").short("HTTP\nservers"),
            Column::numbers("concurrency").short("conc."),
            Column::numbers("blocks"),
            Column::numbers("requests per second, async / threaded").short("requests/second\nasync/threaded"),
            Column::numbers("p"),
            Column::words("verdict"),
            Column::numbers("CPU per request, async / threaded").short("CPU/request\nasync/threaded"),
            Column::numbers("p"),
            Column::words("verdict"),
        ];
        let rows = self.cells.iter().map(|cell| {
            let mut row =
                vec![cell.backends.to_string(), cell.concurrency.to_string(), cell.blocks.to_string()];
            row.extend(in_words(cell.throughput, ["async faster", "async slower"]));
            row.extend(in_words(cell.cpu, ["async dearer", "async cheaper"]));
            row
        });
        Table { columns, rows: rows.collect() }
    }

    /// What the table's figures are, in words.
    pub fn method(&self) -> String {
        let floor = |floor: Option<f64>| floor.map_or("unknown".into(), words::floor);
        format!(
            "Threaded: {}; async: {}. Each ratio is of the families' geometric means within a block: the geometric mean over \
             blocks, and in brackets its 95 % interval. p: Student's t on the logarithms, after Holm's correction for the \
             number of cells; a verdict at {} % and beyond the noise floor (a model against itself): {} for throughput, \
             {} for CPU. Client-bound: the load generator was the limit for one of the models, so the cell has no rank.",
            self.threaded.join(", "),
            self.asynchronous.join(", "),
            LEVEL * 100.0,
            floor(self.throughput_noise_floor),
            floor(self.cpu_noise_floor),
        )
    }

    /// What this run says about throughput and CPU time, in one sentence.
    pub fn sentence(&self) -> String {
        let of = |figure: fn(&ComparedCell) -> Option<Compared>| -> Vec<Compared> {
            self.cells.iter().filter_map(figure).collect()
        };
        let rate = clause(
            &of(|cell| cell.throughput),
            [(Verdict::Higher, "served more requests per second than threaded"), (Verdict::Lower, "fewer")],
        );
        let cpu = clause(
            &of(|cell| cell.cpu),
            [(Verdict::Lower, "used less CPU time of the balancer per request"), (Verdict::Higher, "more")],
        );
        format!(
            "Async {rate}; it {cpu}: this holds for these models on this machine under this load, and for the means of the \
             families{}.",
            self.exceptions()
        )
    }

    /// Where single models stand the other way round than their families, as the end of a sentence.
    fn exceptions(&self) -> String {
        let told = |verdict| {
            self.cells.iter().filter(move |cell| cell.throughput.is_some_and(|c| c.verdict() == verdict))
        };
        let below =
            told(Verdict::Higher).filter_map(|cell| cell.lowest.as_ref()).filter(|pair| pair.median < 1.0);
        let above =
            told(Verdict::Lower).filter_map(|cell| cell.highest.as_ref()).filter(|pair| pair.median > 1.0);
        let against: Vec<&Pair> = below.chain(above).collect();
        let furthest = against.iter().max_by(|a, b| a.median.ln().abs().total_cmp(&b.median.ln().abs()));
        match furthest {
            None => String::new(),
            Some(Pair { asynchronous, threaded, median }) => format!(
                "; in {} of these cells single models stood the other way round, furthest {asynchronous} at {median:.2} of \
                 {threaded}",
                against.len()
            ),
        }
    }
}

/// "served more requests per second in 3 of 4 cells (ratios 1.19 to 1.21), fewer in none, in 1 this run cannot tell".
fn clause(compared: &[Compared], [first, second]: [(Verdict, &str); 2]) -> String {
    let with = |verdict| -> Vec<f64> {
        compared.iter().filter(|c| c.verdict() == verdict).map(|c| c.judged.ratio).collect()
    };
    let range = |ratios: &[f64]| {
        let Some(Spread { min, max, .. }) = Spread::of(ratios) else { return String::new() };
        let (min, max) = (format!("{min:.2}"), format!("{max:.2}"));
        if min == max { format!(" (ratio {min})") } else { format!(" (ratios {min} to {max})") }
    };
    let count = |some: usize| if some == 0 { "none".to_owned() } else { some.to_string() };
    let cells = words::counted(compared.len(), "cell");
    let (ahead, behind) = (with(first.0), with(second.0));
    let mut text = format!("{} in {} of {cells}{}", first.1, count(ahead.len()), range(&ahead));
    text.push_str(&format!(", {} in {}{}", second.1, count(behind.len()), range(&behind)));
    let (untold, capped) = (with(Verdict::CannotTell), with(Verdict::ClientBound));
    if !untold.is_empty() {
        text.push_str(&format!(", in {} this run cannot tell{}", untold.len(), range(&untold)));
    }
    if !capped.is_empty() {
        text.push_str(&format!(
            ", and {} without a rank because the client was the limit there{}",
            capped.len(),
            range(&capped)
        ));
    }
    text
}

/// Async / threaded, a log-ratio for each block with a valid trial of every model.
fn family_log_ratios(
    summary: &Summary,
    (threaded, asynchronous): (&[String], &[String]),
    (backends, concurrency): (u32, u32),
    metric: Metric,
) -> Vec<f64> {
    let mean = |family: &[String], block| {
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
    (threaded, asynchronous): (&[String], &[String]),
    place: (u32, u32),
) -> Vec<Pair> {
    let each = asynchronous.iter().flat_map(|a| threaded.iter().map(move |t| (a, t)));
    let mut pairs: Vec<_> = each
        .filter_map(|(a, t)| {
            let logs = summary.log_ratios((a, t), place, Measured::rate);
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

fn in_words(compared: Option<Compared>, [higher, lower]: [&str; 2]) -> [String; 3] {
    let Some(compared) = compared else {
        return [tables::NOTHING, tables::NOTHING, "no data"].map(str::to_owned);
    };
    let (verdict, p) = match compared.verdict() {
        Verdict::Higher => (higher, words::p(compared.judged.p_holm)),
        Verdict::Lower => (lower, words::p(compared.judged.p_holm)),
        Verdict::CannotTell => ("indistinguishable", words::p(compared.judged.p_holm)),
        Verdict::ClientBound => ("client-bound", tables::NOTHING.to_owned()),
    };
    [words::ratio_interval(&compared.judged), p, verdict.to_owned()]
}

#[cfg(test)]
mod tests;
