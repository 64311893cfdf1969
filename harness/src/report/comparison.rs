//! Threaded against async, cell by cell.
//!
//! Within a block, a family's figure is the geometric mean over its models; the ratio async / threaded of each block is one
//! observation. A block in which any of the models has no valid trial is left out of that cell: otherwise the families'
//! membership would change from block to block. The verdict is the exact two-sided sign test's over blocks, corrected after
//! Holm for the number of cells, throughput and CPU time each on its own: it assumes nothing of the ratios'
//! distribution, only that blocks are independent.

use serde::Serialize;
use thiserror::Error;

use crate::data::{Family, Stored};
use crate::report::summary::{Measured, Summary};
use crate::report::table::{Column, Table};
use crate::report::tables;
use crate::report::words::{self, LEVEL, LEVEL_TEXT};
use crate::statistics::{
    Spread, fewest_blocks_for_a_verdict, geometric_mean, holm, log_ratios, ratio_spread, sign_test,
};

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
    /// With fewer blocks than this no cell could have a verdict.
    pub fewest_blocks_for_a_verdict: usize,
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
    /// The async model that did worst against a threaded one.
    pub lowest: Option<Pair>,
    /// The async model that did best against a threaded one.
    pub highest: Option<Pair>,
}

/// Two single models: what a family's mean may hide.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The async model.
    #[serde(rename = "async")]
    pub asynchronous: String,
    /// The threaded model.
    pub threaded: String,
    /// Requests per second, async / threaded: median over blocks, of the logarithms. Not tested.
    pub median: f64,
}

/// A ratio async / threaded over the blocks of a cell, and what may be concluded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Compared {
    /// Median over blocks, of the logarithms.
    pub median: f64,
    /// Smallest block.
    pub min: f64,
    /// Largest block.
    pub max: f64,
    /// Sign test, two-sided, uncorrected.
    pub p: f64,
    /// The same after Holm's correction for the number of cells.
    pub p_holm: f64,
    /// Whether async is above or below.
    pub verdict: Verdict,
}

/// What may be said of async, compared to threaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The ratio is over 1.
    Higher,
    /// The ratio is under 1.
    Lower,
    /// Chance could have done it.
    CannotTell,
}

impl Comparison {
    /// Compares the two families of `stored`.
    pub fn of(stored: &Stored) -> Result<Self, ComparisonError> {
        Self::within(&stored.name, &Summary::of(stored))
    }

    /// The same, of a run that has been reduced already.
    pub(super) fn within(run: &str, summary: &Summary) -> Result<Self, ComparisonError> {
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
        let places: Vec<_> = summary
            .backends
            .iter()
            .flat_map(|&backends| summary.concurrency.iter().map(move |&concurrency| (backends, concurrency)))
            .collect();
        let ratios = |figure: fn(&Measured) -> Option<f64>| -> Vec<Vec<f64>> {
            places.iter().map(|&place| family_log_ratios(summary, families, place, figure)).collect()
        };
        let (rates, cpus) = (ratios(Measured::rate), ratios(Measured::cpu_us));
        let tests = rates.iter().filter(|ratios| !ratios.is_empty()).count();
        if tests == 0 {
            return Err(ComparisonError::NothingPaired { run: run.to_owned() });
        }
        let cells = places.iter().zip(&rates).zip(judge(&rates).into_iter().zip(judge(&cpus))).map(
            |((&(backends, concurrency), ratios), (throughput, cpu))| {
                let pairs = pairs(summary, families, (backends, concurrency));
                ComparedCell {
                    backends,
                    concurrency,
                    blocks: ratios.len(),
                    throughput,
                    cpu,
                    lowest: pairs.first().cloned(),
                    highest: pairs.last().cloned(),
                }
            },
        );
        Ok(Comparison {
            run: run.to_owned(),
            level: LEVEL,
            fewest_blocks_for_a_verdict: fewest_blocks_for_a_verdict(tests, LEVEL),
            cells: cells.collect(),
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
        format!(
            "Threaded: {}; async: {}. Each ratio is of the families' geometric means within a block: the median over \
             blocks, and in brackets the smallest and the largest block. p: exact two-sided sign test over blocks, after \
             Holm's correction for the number of cells; a verdict at {LEVEL_TEXT}.",
            self.threaded.join(", "),
            self.asynchronous.join(", "),
        )
    }

    /// What this run says about throughput, in one sentence.
    pub fn sentence(&self) -> String {
        let compared: Vec<_> = self.cells.iter().filter_map(|cell| cell.throughput).collect();
        let blocks = self.cells.iter().map(|cell| cell.blocks).max().unwrap_or(0);
        let with = |verdict| -> Vec<_> { compared.iter().filter(|c| c.verdict == verdict).collect() };
        let (faster, slower) = (with(Verdict::Higher), with(Verdict::Lower));
        let range = |some: &[&Compared]| {
            let medians: Vec<_> = some.iter().map(|c| c.median).collect();
            Spread::of(&medians).map_or(String::new(), |s| match some {
                [_] => format!("median ratio {:.2}", s.median),
                _ => format!("median ratios {:.2} to {:.2}", s.min, s.max),
            })
        };
        let all: Vec<_> = compared.iter().collect();
        let cells = words::counted(compared.len(), "cell");
        if faster.is_empty() && slower.is_empty() {
            let above = compared.iter().filter(|c| c.median > 1.0).count();
            let why = if blocks < self.fewest_blocks_for_a_verdict {
                format!(
                    "with {} it could not, for that takes at least {}",
                    words::counted(blocks, "block"),
                    self.fewest_blocks_for_a_verdict
                )
            } else {
                format!("no difference over its {} passes the sign test", words::counted(blocks, "block"))
            };
            return format!(
                "This run cannot tell whether async or threaded serves more requests per second in any of {cells} \
                 ({why}); what it saw are {} async / threaded, over 1 in {above} of them.",
                range(&all)
            );
        }
        let clause = |some: &[&Compared], what: &str| match some {
            [] => format!("{what} in none"),
            some => format!("{what} in {} ({})", some.len(), range(some)),
        };
        let untold = compared.len() - faster.len() - slower.len();
        let rest = if untold > 0 { format!(", and in {untold} this run cannot tell") } else { String::new() };
        format!(
            "Of {cells}, async served more requests per second than threaded {}, {}{rest}: this holds for these models on \
             this machine under this load, and for the means of the families{}.",
            clause(&faster, "").trim_start(),
            clause(&slower, "fewer"),
            self.exceptions(),
        )
    }

    /// Where single models stand the other way round than their families, as the end of a sentence.
    fn exceptions(&self) -> String {
        let against = |verdict: Verdict| -> Vec<&Pair> {
            let told = self.cells.iter().filter(|cell| cell.throughput.is_some_and(|c| c.verdict == verdict));
            match verdict {
                Verdict::Higher => {
                    told.filter_map(|cell| cell.lowest.as_ref()).filter(|p| p.median < 1.0).collect()
                }
                _ => told.filter_map(|cell| cell.highest.as_ref()).filter(|p| p.median > 1.0).collect(),
            }
        };
        let (below, above) = (against(Verdict::Higher), against(Verdict::Lower));
        let count = below.len() + above.len();
        let furthest =
            below.into_iter().chain(above).max_by(|a, b| a.median.ln().abs().total_cmp(&b.median.ln().abs()));
        match furthest {
            None => String::new(),
            Some(Pair { asynchronous, threaded, median }) => format!(
                "; in {count} of these cells single models stood the other way round, furthest {asynchronous} at \
                 {median:.2} of {threaded}"
            ),
        }
    }
}

/// Async / threaded, a log-ratio for each block with a valid trial of every model.
fn family_log_ratios(
    summary: &Summary,
    (threaded, asynchronous): (&[String], &[String]),
    (backends, concurrency): (u32, u32),
    figure: fn(&Measured) -> Option<f64>,
) -> Vec<f64> {
    let mean = |family: &[String], block| {
        let values: Option<Vec<_>> = family
            .iter()
            .map(|model| figure(summary.cell(model, backends, concurrency).in_block(block)?))
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
            let Spread { median, .. } = ratio_spread(&summary.log_ratios((a, t), place, Measured::rate))?;
            Some(Pair { asynchronous: a.clone(), threaded: t.clone(), median })
        })
        .collect();
    pairs.sort_by(|a, b| a.median.total_cmp(&b.median));
    pairs
}

/// A verdict for each cell that has an observation.
fn judge(cells: &[Vec<f64>]) -> Vec<Option<Compared>> {
    let tested: Vec<_> = cells.iter().filter(|ratios| !ratios.is_empty()).collect();
    let p_values: Vec<_> = tested.iter().map(|ratios| sign_test(ratios)).collect();
    let mut corrected = p_values.iter().copied().zip(holm(&p_values));
    cells
        .iter()
        .map(|ratios| {
            let Spread { min, median, max, .. } = ratio_spread(ratios)?;
            let (p, p_holm) = corrected.next()?;
            let verdict = match median {
                _ if p_holm > LEVEL => Verdict::CannotTell,
                median if median > 1.0 => Verdict::Higher,
                _ => Verdict::Lower,
            };
            Some(Compared { median, min, max, p, p_holm, verdict })
        })
        .collect()
}

fn in_words(compared: Option<Compared>, [higher, lower]: [&str; 2]) -> [String; 3] {
    let Some(Compared { median, min, max, p_holm, verdict, .. }) = compared else {
        return [tables::NOTHING, tables::NOTHING, "no data"].map(str::to_owned);
    };
    let verdict = match verdict {
        Verdict::Higher => higher,
        Verdict::Lower => lower,
        Verdict::CannotTell => "cannot tell",
    };
    let p = if p_holm < 0.001 { "<0.001".to_owned() } else { format!("{p_holm:.3}") };
    [format!("{median:.2} ({min:.2}–{max:.2})"), p, verdict.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic::Run;

    fn small() -> Run {
        Run::new().backends(&[1, 2]).concurrency(&[10])
    }

    #[test]
    fn a_ratio_is_of_geometric_means_within_the_block() {
        let stored = small().blocks(1).build();
        let summary = Summary::of(&stored);
        let rate = |model| summary.cell(model, 1, 10).valid[0].rate;
        let truth = ((rate("mio") * rate("tokio")) / (rate("threads") * rate("pool"))).sqrt();
        let cell = &Comparison::of(&stored).unwrap().cells[0];
        assert!((cell.throughput.unwrap().median - truth).abs() < 1e-12);
    }

    #[test]
    fn five_blocks_cannot_tell_however_large_the_difference() {
        let comparison = Comparison::of(&small().blocks(5).build()).unwrap();
        assert_eq!(comparison.fewest_blocks_for_a_verdict, 7);
        for cell in &comparison.cells {
            assert_eq!(cell.throughput.unwrap().verdict, Verdict::CannotTell);
            assert!(cell.throughput.unwrap().min > 1.0, "every block agrees");
        }
        insta::assert_snapshot!(comparison.sentence(), @r"
        This run cannot tell whether async or threaded serves more requests per second in any of 2 cells (with 5 blocks it could not, for that takes at least 7); what it saw are median ratios 1.19 to 1.21 async / threaded, over 1 in 2 of them.
        ");
    }

    #[test]
    fn eight_blocks_that_agree_in_two_cells_are_a_verdict() {
        let comparison = Comparison::of(&small().blocks(8).build()).unwrap();
        insta::assert_snapshot!(comparison.table().terminal(120), @r"
           HTTP  conc.  blocks   requests/second      p  verdict            CPU/request      p  verdict
        servers                   async/threaded                         async/threaded
        ──────────────────────────────────────────────────────────────────────────────────────────────────────
              1     10       8  1.20 (1.14–1.29)  0.016  async faster  0.83 (0.79–0.88)  0.016  async cheaper
              2     10       8  1.18 (1.12–1.26)  0.016  async faster  0.84 (0.83–0.86)  0.016  async cheaper
        ");
        insta::assert_snapshot!(comparison.sentence(), @r"
        Of 2 cells, async served more requests per second than threaded in 2 (median ratios 1.18 to 1.20), fewer in none: this holds for these models on this machine under this load, and for the means of the families.
        ");
    }

    #[test]
    fn single_models_that_stand_the_other_way_round_are_told() {
        let mut stored = small().blocks(8).build();
        for trial in stored.trials.iter_mut().filter(|t| t.cell.model == "tokio" && t.cell.backends == 1) {
            if let crate::data::Outcome::Measured(sample) = &mut trial.outcome {
                sample.elapsed_ns = sample.elapsed_ns * 11 / 10;
            }
        }
        let comparison = Comparison::of(&stored).unwrap();
        let cell = &comparison.cells[0];
        assert_eq!(cell.throughput.unwrap().verdict, Verdict::Higher, "the mean of the family hides it");
        let lowest = cell.lowest.as_ref().unwrap();
        assert_eq!((lowest.asynchronous.as_str(), lowest.threaded.as_str()), ("tokio", "pool"));
        assert!(lowest.median < 1.0 && cell.highest.as_ref().unwrap().median > 1.0);
        let told = format!(
            "in 1 of these cells single models stood the other way round, furthest tokio at {:.2} of pool",
            lowest.median
        );
        assert!(comparison.sentence().contains(&told), "{}", comparison.sentence());
    }

    #[test]
    fn a_block_that_lacks_one_model_is_left_out_of_its_cell_only() {
        let stored = small().blocks(8).invalid("tokio", 1, 10, 3).build();
        let blocks: Vec<_> = Comparison::of(&stored).unwrap().cells.iter().map(|cell| cell.blocks).collect();
        assert_eq!(blocks, [7, 8]);
    }

    #[test]
    fn a_cell_without_a_whole_block_has_no_verdict_and_costs_no_comparison() {
        let run = (0..6).fold(small().blocks(6), |run, block| run.invalid("mio", 1, 10, block));
        let comparison = Comparison::of(&run.build()).unwrap();
        assert_eq!(comparison.cells[0].throughput, None);
        assert_eq!(comparison.cells[1].throughput.unwrap().verdict, Verdict::Higher);
        assert_eq!(comparison.table().rows[0][5], "no data");
    }

    #[test]
    fn one_family_alone_is_refused_with_a_remedy() {
        let error = |models: &[&str]| {
            Comparison::of(&small().models(models).blocks(1).build()).unwrap_err().to_string()
        };
        assert!(error(&["direct", "threads", "pool"]).contains("only threaded models (threads, pool)"));
        assert!(error(&["mio"]).contains("only async models (mio)"));
        assert!(error(&["direct"]).contains("neither") && error(&["direct"]).contains("--models"));
    }

    #[test]
    fn a_run_without_a_whole_block_is_refused_with_a_remedy() {
        let mut stored = small().blocks(1).build();
        stored.trials.retain(|trial| trial.cell.model != "pool");
        let error = Comparison::of(&stored).unwrap_err();
        assert!(matches!(error, ComparisonError::NothingPaired { .. }));
        assert!(error.to_string().contains("--resume"));
    }
}
