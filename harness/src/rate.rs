//! `--rate auto`: a rate that every row of a plan sustains at every condition, so that latencies can be compared.
//!
//! Owns the search; a trial is an [`Executor`]'s, what the user sees of it a [`Watch`]'s. The rule: probe every cell once in the closed loop, take
//! [`SHARE_PERCENT`] of the slowest one's throughput, then verify at that rate that every cell sustains it; where one
//! does not, in `TRIES` trials, lower the rate by a fifth and go on. One probe a cell is enough: what noise adds to
//! the slowest one, the verification takes back, and what it takes away is taken from all rows alike. A cell that
//! sustained a higher rate is taken to sustain a lower one.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::data::{Cell, Length, Outcome, Plan};
use crate::load::MAX_RATE;
use crate::runner::{Attempt, Executor, Interrupted};

/// Where the search begins: percent of the slowest cell's closed-loop throughput.
pub const SHARE_PERCENT: u64 = 50;
/// What is left of a rate that some cell did not sustain, percent.
const LOWERED_PERCENT: u64 = 80;
/// Trials in which a cell may show that it sustains a rate, or can be probed. A stall of the machine is not its doing.
const TRIES: u32 = 3;
/// How often the rate is lowered before the search is given up: to about a tenth of where it began.
const MOST_STEPS: u32 = 10;
/// Requests of a closed-loop probe, for each connection…
const PROBE_REQUESTS_A_CONNECTION: u64 = 20;
/// …and at least.
const PROBE_REQUESTS: u64 = 1000;
/// Length of a trial that verifies a rate, seconds.
const VERIFY_SECONDS: u64 = 1;
/// How a note on a rate that was found begins.
const NOTE: &str = "--rate auto: ";

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
    /// As a note in `environment.json`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Found { rate, slowest, slowest_per_second, refused } = self;
        write!(
            f,
            "{NOTE}{rate} requests per second, from {SHARE_PERCENT} % of the slowest row's closed-loop \
             throughput ({} at {slowest_per_second:.0} per second)",
            name(slowest)
        )?;
        for (rate, cell) in refused {
            write!(f, ", lowered because {} did not sustain {rate}", name(cell))?;
        }
        f.write_str("; every row sustained it at every condition in a trial of its own before the run")
    }
}

/// Whether a note in `environment.json` is that of a [`Found`]: how the run came by its rate, and nothing to mind.
pub fn is_note(note: &str) -> bool {
    note.starts_with(NOTE)
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

/// Runs one trial of a cell at a rate, or in the closed loop.
pub trait Probe {
    /// One trial of `cell`.
    fn probe(&mut self, cell: &Cell, rate: Option<u64>) -> Result<Attempt, Interrupted>;
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

/// Probes with an [`Executor`] for each rate, one after the other.
pub struct Executors<E, F> {
    make: F,
    current: Option<(Option<u64>, E)>,
}

impl<E: Executor, F: FnMut(Option<u64>) -> E> Executors<E, F> {
    /// `make` gives the executor for a rate; [`plan_at`] is the plan that it should have.
    pub fn new(make: F) -> Self {
        Executors { make, current: None }
    }
}

impl<E: Executor, F: FnMut(Option<u64>) -> E> Probe for Executors<E, F> {
    fn probe(&mut self, cell: &Cell, rate: Option<u64>) -> Result<Attempt, Interrupted> {
        if self.current.as_ref().is_none_or(|(current, _)| *current != rate) {
            // The old one's processes end before the new one's begin.
            self.current = None;
        }
        let (_, executor) = self.current.get_or_insert_with(|| (rate, (self.make)(rate)));
        executor.attempt(cell)
    }
}

/// `plan` for a short trial at `rate`, or in the closed loop.
pub fn plan_at(plan: &Plan, rate: Option<u64>) -> Plan {
    let connections = u64::from(plan.concurrency.iter().copied().max().unwrap_or(1));
    let requests = match rate {
        None => PROBE_REQUESTS.max(PROBE_REQUESTS_A_CONNECTION * connections),
        Some(rate) => (VERIFY_SECONDS * rate).max(PROBE_REQUESTS_A_CONNECTION * connections),
    };
    let warmup = crate::plan::warmup(requests, &plan.concurrency);
    Plan { rate, requests, warmup, length: Length::Blocks(1), ..plan.clone() }
}

/// Finds a rate that all `cells` sustain.
pub fn find(cells: &[Cell], probe: &mut dyn Probe, watch: &mut dyn Watch) -> Result<Found, RateError> {
    let mut search = Search { probe, watch, done: 0, total: 2 * cells.len() as u64 };
    let mut slowest: Option<(&Cell, f64)> = None;
    for cell in cells {
        let per_second = search.closed_loop(cell)?;
        if slowest.is_none_or(|(_, least)| per_second < least) {
            slowest = Some((cell, per_second));
        }
    }
    let (slowest, slowest_per_second) = slowest.ok_or(RateError::NoCells)?;
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

/// A search under way.
struct Search<'a> {
    probe: &'a mut dyn Probe,
    watch: &'a mut dyn Watch,
    done: u64,
    total: u64,
}

impl Search<'_> {
    /// Requests per second of `cell` in the closed loop.
    fn closed_loop(&mut self, cell: &Cell) -> Result<f64, RateError> {
        let mut last = String::new();
        for _ in 0..TRIES {
            match self.attempt(cell, None)?.outcome {
                Outcome::Measured(sample) => {
                    self.done += 1;
                    return Ok(sample.completed as f64 * 1e9 / sample.elapsed_ns.max(1) as f64);
                }
                Outcome::Invalid { reasons } => last = reasons.join("; "),
            }
        }
        Err(RateError::Unmeasurable { cell: name(cell), reasons: last })
    }

    fn sustains(&mut self, cell: &Cell, rate: u64) -> Result<bool, RateError> {
        // A process that never comes up would be asked for ever lower rates.
        let mut never_up = Some(String::new());
        for _ in 0..TRIES {
            let attempt = self.attempt(cell, Some(rate))?;
            match attempt.outcome {
                Outcome::Measured(sample) if sample.open_loop.as_ref().is_some_and(|open| open.sustained) => {
                    self.done += 1;
                    return Ok(true);
                }
                Outcome::Invalid { reasons } if !attempt.came_up => {
                    never_up = never_up.map(|_| reasons.join("; "));
                }
                _ => never_up = None,
            }
        }
        match never_up {
            Some(reasons) => Err(RateError::Unmeasurable { cell: name(cell), reasons }),
            None => Ok(false),
        }
    }

    fn attempt(&mut self, cell: &Cell, rate: Option<u64>) -> Result<Attempt, RateError> {
        self.watch.probing(&Step { cell, rate, done: self.done, total: self.total });
        let attempt = self.probe.probe(cell, rate)?;
        for warning in &attempt.warnings {
            self.watch.warn(warning);
        }
        if let Outcome::Invalid { reasons } = &attempt.outcome {
            let reasons = reasons.join("; ");
            self.watch
                .warn(&format!("invalid trial on the way to a common rate ({}): {reasons}", name(cell)));
        }
        Ok(attempt)
    }
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
    let plural = if cell.backends == 1 { "" } else { "s" };
    format!("{} with {} backend{plural} at concurrency {}", cell.model, cell.backends, cell.concurrency)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Sample;
    use crate::fixtures::{self, measured};
    use crate::load::OpenLoop;

    fn cell(model: &str) -> Cell {
        Cell { model: model.into(), backends: 1, concurrency: 5 }
    }

    /// Each cell's closed-loop throughput, the rate up to which it holds, and how many trials spoil first.
    struct World(Vec<(Cell, u64, u64, u32)>, Vec<(String, Option<u64>)>);

    impl World {
        fn of(rows: &[(&str, u64, u64, u32)]) -> Self {
            World(
                rows.iter().map(|&(row, loose, kept, bad)| (cell(row), loose, kept, bad)).collect(),
                Vec::new(),
            )
        }

        fn find(&mut self) -> Result<Found, RateError> {
            self.watched(&mut Seen::default())
        }

        fn watched(&mut self, seen: &mut Seen) -> Result<Found, RateError> {
            let cells: Vec<_> = self.0.iter().map(|(cell, ..)| cell.clone()).collect();
            find(&cells, self, seen)
        }
    }

    impl Probe for World {
        fn probe(&mut self, cell: &Cell, rate: Option<u64>) -> Result<Attempt, Interrupted> {
            if cell.model == "stop" {
                return Err(Interrupted);
            }
            self.1.push((cell.model.clone(), rate));
            let (_, loose, kept, bad) = self.0.iter_mut().find(|(known, ..)| known == cell).unwrap();
            let Outcome::Measured(sample) = measured() else { panic!("not measured") };
            let open_loop =
                rate.map(|rate| OpenLoop { sustained: rate <= *kept, ..fixtures::open_loop(rate, 0) });
            let sample = Sample { completed: *loose, elapsed_ns: 1_000_000_000, open_loop, ..*sample };
            let outcome = match *bad {
                0 => Outcome::Measured(Box::new(sample)),
                _ => Outcome::Invalid { reasons: vec!["moody".into()] },
            };
            *bad = bad.saturating_sub(1);
            Ok(Attempt { started_unix_ms: 0, took_ms: 1, came_up: true, outcome, warnings: Vec::new() })
        }
    }

    /// What a search told.
    #[derive(Default)]
    struct Seen {
        steps: Vec<(u64, u64)>,
        tried: Vec<(u64, Option<u64>)>,
        warnings: Vec<String>,
    }

    impl Watch for Seen {
        fn probing(&mut self, step: &Step<'_>) {
            self.steps.push((step.done, step.total));
        }

        fn trying(&mut self, rate: u64, refused: Option<(u64, &Cell)>) {
            self.tried.push((rate, refused.map(|(rate, _)| rate)));
        }

        fn warn(&mut self, text: &str) {
            self.warnings.push(text.to_owned());
        }
    }

    #[test]
    fn half_of_the_slowest_rows_throughput_is_taken_when_all_sustain_it() {
        let mut world = World::of(&[("a", 9000, 9000, 0), ("b", 4321, 4000, 0), ("c", 5000, 2100, 0)]);
        let found = world.find().unwrap();
        assert_eq!((found.rate, &found.slowest, found.refused.len()), (2100, &cell("b"), 0));
        let verified: Vec<_> = world.1[3..].iter().map(|(row, rate)| (row.as_str(), *rate)).collect();
        assert_eq!(verified, [("b", Some(2100)), ("a", Some(2100)), ("c", Some(2100))]);
        let told = found.to_string();
        assert!(
            told.contains("2100 requests per second, from 50 %") && told.contains("b with 1 backend"),
            "{told}"
        );
    }

    #[test]
    fn a_rate_that_a_row_does_not_sustain_is_lowered_until_it_does() {
        let mut world = World::of(&[("a", 9000, 9000, 0), ("b", 4000, 4000, 0), ("c", 5000, 1300, 0)]);
        let found = world.find().unwrap();
        assert_eq!(found.rate, 1200);
        assert_eq!(found.refused, [(2000, cell("c")), (1600, cell("c"))]);
        assert!(
            found
                .to_string()
                .contains("lowered because c with 1 backend at concurrency 5 did not sustain 2000")
        );
    }

    #[test]
    fn a_trial_that_the_machine_spoiled_is_run_again() {
        let found = World::of(&[("a", 9000, 9000, 2), ("b", 4000, 4000, 1)]).find().unwrap();
        assert_eq!((found.rate, found.refused.len()), (2000, 0));
    }

    #[test]
    fn whoever_watches_is_told_each_step_each_rate_and_each_trial_that_was_spoilt() {
        let mut seen = Seen::default();
        let mut world = World::of(&[("a", 9000, 9000, 1), ("b", 4000, 1700, 0)]);
        let found = world.watched(&mut seen).unwrap();
        assert_eq!(found.rate, 1600);
        // a fails once in the closed loop, b three times at 2000.
        let done: Vec<_> = seen.steps.iter().map(|(done, _)| *done).collect();
        assert_eq!(done, [0, 0, 1, 2, 2, 2, 2, 3]);
        assert!(seen.steps.iter().all(|(_, total)| *total == 4));
        assert_eq!(seen.tried, [(2000, None), (1600, Some(2000))]);
        assert!(
            seen.warnings.len() == 1 && seen.warnings[0].ends_with("concurrency 5): moody"),
            "{:?}",
            seen.warnings
        );
        assert!(is_note(&found.to_string()) && !is_note("resumed at noon"));
    }

    #[test]
    fn a_process_that_does_not_come_up_is_no_rate_that_is_not_sustained() {
        struct Dead(u32);
        impl Probe for Dead {
            fn probe(&mut self, _: &Cell, rate: Option<u64>) -> Result<Attempt, Interrupted> {
                self.0 += 1;
                let dead = Outcome::Invalid { reasons: vec!["no such model".into()] };
                let outcome = if rate.is_none() { measured() } else { dead };
                let came_up = rate.is_none();
                Ok(Attempt { started_unix_ms: 0, took_ms: 1, came_up, outcome, warnings: Vec::new() })
            }
        }
        let mut dead = Dead(0);
        let error = find(&[cell("a")], &mut dead, &mut Seen::default()).unwrap_err();
        assert!(error.to_string().contains("could not be measured (no such model)"), "{error}");
        assert_eq!(dead.0, 1 + TRIES);
    }

    #[test]
    fn what_cannot_be_found_is_told_with_its_cell() {
        let error = World::of(&[("a", 9000, 9000, 9)]).find().unwrap_err();
        assert!(matches!(&error, RateError::Unmeasurable { reasons, .. } if reasons == "moody"), "{error:?}");
        let error = World::of(&[("a", 9000, 0, 0)]).find().unwrap_err();
        assert!(matches!(&error, RateError::NotSustained { rate, .. } if *rate < 900), "{error:?}");
        assert_eq!(World::of(&[]).find(), Err(RateError::NoCells));
        assert_eq!(World::of(&[("stop", 1, 1, 0)]).find(), Err(RateError::Interrupted));
    }

    #[test]
    fn each_rate_has_an_executor_of_its_own_as_long_as_it_lasts() {
        struct Deaf;
        impl Executor for Deaf {
            fn attempt(&mut self, _: &Cell) -> Result<Attempt, Interrupted> {
                Err(Interrupted)
            }
        }
        let made = std::cell::RefCell::new(Vec::new());
        let mut executors = Executors::new(|rate| {
            made.borrow_mut().push(rate);
            Deaf
        });
        for rate in [None, None, Some(5), Some(5), Some(4)] {
            assert_eq!(executors.probe(&cell("a"), rate), Err(Interrupted));
        }
        assert_eq!(*made.borrow(), [None, Some(5), Some(4)]);
    }

    #[test]
    fn a_probe_is_short_and_a_verification_takes_a_second() {
        let plan = Plan { concurrency: vec![2, 100], ..fixtures::plan(Length::Blocks(9)) };
        let closed = plan_at(&plan, None);
        assert_eq!((closed.rate, closed.requests, closed.length), (None, 2000, Length::Blocks(1)));
        let open = plan_at(&plan, Some(3000));
        assert_eq!((open.rate, open.requests, open.backends), (Some(3000), 3000, plan.backends));
    }

    #[test]
    fn a_rate_is_a_number_or_auto() {
        assert_eq!("auto".parse(), Ok(Rate::Auto));
        assert_eq!("2000".parse(), Ok(Rate::Fixed(2000)));
        for text in ["", "0", "-1", "1000001", "automatic", "1.5"] {
            assert!(text.parse::<Rate>().is_err(), "{text:?}");
        }
        assert_eq!([7, 99, 101, 4567, 123_456].map(rounded), [7, 99, 100, 4500, 120_000]);
        assert_eq!(rounded(0), 1);
    }
}
