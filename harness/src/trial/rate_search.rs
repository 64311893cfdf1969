//! `--rate auto`: a rate that every row of a plan sustains at every condition, so that latencies can be compared.
//!
//! Owns the search; a trial is an [`Executor`]'s, what the user sees of it a [`Watch`]'s. The rule: probe every cell once
//! in the closed loop, take [`SHARE_PERCENT`] of the slowest one's throughput, then verify at that rate that every cell
//! sustains it; where one does not, in `TRIES` trials, lower the rate by a fifth and go on. A trial that is invalid for
//! another reason says nothing about the rate, and is run again. One probe a cell is enough: what noise adds to the
//! slowest one, the verification takes back, and what it takes away is taken from all rows alike. A cell that sustained a
//! higher rate is taken to sustain a lower one.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::load::MAX_RATE;
use crate::plan;
use crate::plan::{Cell, Condition};
use crate::record::{Outcome, Reason, in_words};
use crate::trial::runner::{Attempt, Executor, Interrupted};

/// Where the search begins: percent of the slowest cell's closed-loop throughput.
pub const SHARE_PERCENT: u64 = 50;
/// What is left of a rate that some cell did not sustain, percent.
const LOWERED_PERCENT: u64 = 80;
/// Trials in which a cell may show that it sustains a rate. A stall of the machine is not its doing.
const TRIES: u32 = 3;
/// Trials of a cell that may be invalid for another reason, before the search is given up.
const MOST_SPOILT: u32 = 6;
/// How often the rate is lowered before the search is given up: to about a tenth of where it began.
const MOST_STEPS: u32 = 10;
/// Requests of a closed-loop probe, for each connection…
const PROBE_REQUESTS_A_CONNECTION: u64 = 20;
/// …and at least.
const PROBE_REQUESTS: u64 = 1000;
/// Length of a trial that verifies a rate, seconds.
const VERIFY_SECONDS: u64 = 1;

/// A rate as it is asked for on a command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// So many requests per second.
    Fixed(u64),
    /// The one that [`find`] finds.
    Auto,
}

/// A rate that is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no rate; give requests per second, 1 to {MAX_RATE}, or auto")]
pub struct NoRate(String);

impl FromStr for Rate {
    type Err = NoRate;

    fn from_str(text: &str) -> Result<Self, NoRate> {
        match text.trim() {
            "auto" => Ok(Rate::Auto),
            number => number
                .parse()
                .ok()
                .filter(|rate| (1..=MAX_RATE).contains(rate))
                .map(Rate::Fixed)
                .ok_or_else(|| NoRate(text.to_owned())),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate::Fixed(rate) => rate.fmt(f),
            Rate::Auto => f.write_str("auto"),
        }
    }
}

/// A common rate, and how it was come by.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Requests per second.
    pub rate: u64,
    /// The slowest cell.
    pub slowest: Cell,
    /// Its throughput in the closed loop, requests per second.
    pub slowest_per_second: f64,
    /// Each rate that was tried in vain, with the cell that did not sustain it.
    pub refused: Vec<(u64, Cell)>,
}

impl fmt::Display for Found {
    /// As it stands in `environment.json`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Found { rate, slowest, slowest_per_second, refused } = self;
        write!(
            f,
            "--rate auto: {rate} requests per second, from {SHARE_PERCENT} % of the slowest row's closed-loop \
             throughput ({} at {slowest_per_second:.0} per second)",
            name(slowest)
        )?;
        for (rate, cell) in refused {
            write!(f, ", lowered because {} did not sustain {rate}", name(cell))?;
        }
        f.write_str("; every row sustained it at every condition in a trial of its own before the run")
    }
}

/// Why there is no common rate.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RateError {
    /// The user wants to stop.
    #[error("interrupted")]
    Interrupted,
    /// Nothing to probe.
    #[error("there is no row to find a rate for; name at least one model")]
    NoCells,
    /// A cell cannot be measured at all.
    #[error(
        "cannot find a common rate: {cell} could not be measured ({reasons}); mend the cause, or give --rate a number"
    )]
    Unmeasurable {
        /// Which.
        cell: String,
        /// Of the last trial.
        reasons: String,
    },
    /// However low.
    #[error(
        "cannot find a common rate: {cell} did not even sustain {rate} requests per second; wait until the machine \
         is quieter, or give --rate a number"
    )]
    NotSustained {
        /// Which.
        cell: String,
        /// The lowest rate tried.
        rate: u64,
    },
}

impl From<Interrupted> for RateError {
    fn from(_: Interrupted) -> Self {
        RateError::Interrupted
    }
}

/// One trial of a search, about to be run.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// What is probed.
    pub cell: &'a Cell,
    /// Requests per second; `None`: in the closed loop.
    pub rate: Option<u64>,
    /// Steps that are through: each cell takes one in the closed loop and one at the rate.
    pub done: u64,
    /// All steps.
    pub total: u64,
}

/// Watches a search.
pub trait Watch {
    /// A trial is about to be run.
    fn probing(&mut self, step: &Step<'_>);
    /// From now on `rate` is verified; `refused` says which cell did not sustain which rate before.
    fn trying(&mut self, rate: u64, refused: Option<(u64, &Cell)>);
    /// Something that the user should hear, though the search goes on.
    fn warn(&mut self, text: &str);
}

/// `condition` for a short trial at `rate`, or in the closed loop.
fn short(condition: &Condition, rate: Option<u64>) -> Condition {
    let connections = u64::from(condition.concurrency.max(1));
    let (requests, warmup) = match rate {
        None => {
            let requests = PROBE_REQUESTS.max(PROBE_REQUESTS_A_CONNECTION * connections);
            (requests, plan::warmup(requests, condition.concurrency))
        }
        Some(rate) => {
            let requests = (VERIFY_SECONDS * rate).max(PROBE_REQUESTS_A_CONNECTION * connections);
            (requests, plan::warmup_at(rate, requests, condition.concurrency))
        }
    };
    Condition { rate, requests, warmup, ..condition.clone() }
}

/// Finds a rate that all `cells` sustain.
pub fn find(cells: &[Cell], executor: &mut dyn Executor, watch: &mut dyn Watch) -> Result<Found, RateError> {
    let mut search = Search { executor, watch, done: 0, total: 2 * cells.len() as u64 };
    let (slowest, slowest_per_second) = search.slowest(cells)?;
    let mut rate = rounded((slowest_per_second * SHARE_PERCENT as f64 / 100.0) as u64);
    let mut refused = Vec::new();
    search.watch.trying(rate, None);
    // Whoever is slow is asked first: rates that cannot be kept are found out early.
    for cell in std::iter::once(slowest).chain(cells.iter().filter(|cell| *cell != slowest)) {
        while !search.sustains(cell, rate)? {
            if refused.len() as u32 == MOST_STEPS || rate == 1 {
                return Err(RateError::NotSustained { cell: name(cell), rate });
            }
            refused.push((rate, cell.clone()));
            let lower = rounded(rate * LOWERED_PERCENT / 100);
            search.watch.trying(lower, Some((rate, cell)));
            rate = lower;
        }
    }
    Ok(Found { rate, slowest: slowest.clone(), slowest_per_second, refused })
}

/// Rates that are shares of what the slowest of some cells answers in a closed loop, and how they were come by.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// Requests per second, in the order of the shares, each once.
    pub rates: Vec<u64>,
    /// The slowest cell.
    pub slowest: Cell,
    /// Its throughput in the closed loop, requests per second.
    pub slowest_per_second: f64,
    shares_percent: Vec<u32>,
}

impl fmt::Display for Shares {
    /// As it stands in `environment.json`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |numbers: &mut dyn Iterator<Item = String>| numbers.collect::<Vec<_>>().join(", ");
        write!(
            f,
            "rates of {} requests per second, which are {} % of the slowest row's closed-loop throughput ({} at {:.0} per \
             second)",
            listed(&mut self.rates.iter().map(ToString::to_string)),
            listed(&mut self.shares_percent.iter().map(ToString::to_string)),
            name(&self.slowest),
            self.slowest_per_second
        )
    }
}

/// The rates that are `shares_percent` of what the slowest of `cells` answers in a closed loop.
pub fn shares(
    cells: &[Cell],
    shares_percent: &[u32],
    executor: &mut dyn Executor,
    watch: &mut dyn Watch,
) -> Result<Shares, RateError> {
    let mut search = Search { executor, watch, done: 0, total: cells.len() as u64 };
    let (slowest, slowest_per_second) = search.slowest(cells)?;
    let mut rates = Vec::new();
    for share in shares_percent {
        let rate = rounded((slowest_per_second * f64::from(*share) / 100.0) as u64);
        if !rates.contains(&rate) {
            rates.push(rate);
        }
    }
    let shares_percent = shares_percent.to_vec();
    Ok(Shares { rates, slowest: slowest.clone(), slowest_per_second, shares_percent })
}

/// A search under way.
struct Search<'a> {
    executor: &'a mut dyn Executor,
    watch: &'a mut dyn Watch,
    done: u64,
    total: u64,
}

impl Search<'_> {
    /// The slowest of `cells` in the closed loop, and its requests per second.
    fn slowest<'c>(&mut self, cells: &'c [Cell]) -> Result<(&'c Cell, f64), RateError> {
        let mut slowest: Option<(&Cell, f64)> = None;
        for cell in cells {
            let per_second = self.closed_loop(cell)?;
            if slowest.is_none_or(|(_, least)| per_second < least) {
                slowest = Some((cell, per_second));
            }
        }
        slowest.ok_or(RateError::NoCells)
    }

    /// Requests per second of `cell` in the closed loop.
    fn closed_loop(&mut self, cell: &Cell) -> Result<f64, RateError> {
        let mut last = String::new();
        for _ in 0..MOST_SPOILT {
            match self.attempt(cell, None)?.outcome {
                Outcome::Measured(sample) => {
                    self.done += 1;
                    return Ok(sample.completed as f64 * 1e9 / sample.elapsed_ns.max(1) as f64);
                }
                Outcome::Invalid { reasons } => last = in_words(&reasons),
            }
        }
        Err(RateError::Unmeasurable { cell: name(cell), reasons: last })
    }

    /// Only a trial that was too slow for the rate is a reason to lower it.
    fn sustains(&mut self, cell: &Cell, rate: u64) -> Result<bool, RateError> {
        let (mut too_slow, mut spoilt, mut last) = (0, 0, String::new());
        while too_slow < TRIES && spoilt < MOST_SPOILT {
            match self.attempt(cell, Some(rate))?.outcome {
                Outcome::Measured(sample) if sample.open_loop.as_ref().is_some_and(|open| open.sustained) => {
                    self.done += 1;
                    return Ok(true);
                }
                Outcome::Invalid { reasons } if !reasons.iter().any(is_not_sustained) => {
                    spoilt += 1;
                    last = in_words(&reasons);
                }
                _ => too_slow += 1,
            }
        }
        if too_slow > 0 {
            return Ok(false);
        }
        Err(RateError::Unmeasurable { cell: name(cell), reasons: last })
    }

    fn attempt(&mut self, cell: &Cell, rate: Option<u64>) -> Result<Attempt, RateError> {
        self.watch.probing(&Step { cell, rate, done: self.done, total: self.total });
        let short = Cell { condition: short(&cell.condition, rate), ..cell.clone() };
        let attempt = self.executor.attempt(&short)?;
        for warning in &attempt.warnings {
            self.watch.warn(warning);
        }
        if let Outcome::Invalid { reasons } = &attempt.outcome {
            let reasons = in_words(reasons);
            self.watch
                .warn(&format!("invalid trial on the way to a common rate ({}): {reasons}", name(cell)));
        }
        Ok(attempt)
    }
}

fn is_not_sustained(reason: &Reason) -> bool {
    matches!(reason, Reason::NotSustained { .. })
}

/// Down to two digits: a number that can be said and typed again.
fn rounded(rate: u64) -> u64 {
    let mut unit = 1;
    while rate / unit >= 100 {
        unit *= 10;
    }
    (rate / unit * unit).clamp(1, MAX_RATE)
}

/// A cell in words.
pub(crate) fn name(cell: &Cell) -> String {
    let Cell { competitor, condition: Condition { backends, concurrency, .. } } = cell;
    let plural = if *backends == 1 { "" } else { "s" };
    format!("{competitor} with {backends} backend{plural} at concurrency {concurrency}")
}

#[cfg(test)]
mod tests;
