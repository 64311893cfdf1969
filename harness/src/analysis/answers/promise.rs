//! The highest rate at which each row keeps a promise of response times, and what it does beyond.
//!
//! Rules: a trial keeps the promise when it sustained its rate, every answer was right, and the percentile lies within the
//! promised time (so many percent of the answers came within it, also where they are too few for a percentile to be quoted); a block's highest rate is the last before the first one that breaks it, from the lowest on, so that a lucky
//! trial beyond counts for nothing. A trial that is invalid because its rate was not sustained is a promise broken, one that is
//! invalid for another reason says nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::{Common, Line, lines};
use crate::analysis::summary::Summary;
use crate::analysis::trial::ValidTrial;
use crate::plan::answer::Promise;
use crate::plan::{Competitor, Condition, factor};
use crate::record::Reason;
use crate::statistics::Spread;

/// A promise, and how far each row keeps it.
#[derive(Debug, Clone)]
pub struct Promised {
    /// The promise.
    pub promise: Promise,
    /// Each row, under each condition but for the rate.
    pub rows: Vec<PromiseRow>,
}

/// How far a row keeps it.
#[derive(Debug, Clone)]
pub struct PromiseRow {
    /// Who.
    pub row: Competitor,
    /// What all its conditions have in common, of what the run varies.
    pub common: Common,
    /// One for each rate, ascending.
    pub points: Vec<RatePoint>,
    /// The highest rate of each block, requests per second: 0 where it is broken at the lowest.
    pub highest: Option<Spread>,
    /// Blocks that say so.
    pub blocks: usize,
}

/// A row at one rate.
#[derive(Debug, Clone)]
pub struct RatePoint {
    /// Requests per second that were due.
    pub rate: u64,
    /// Blocks that kept the promise.
    pub kept: usize,
    /// Blocks that kept or broke it.
    pub of: usize,
    /// The percentile, ms, of the trials that have one.
    pub percentile_ms: Option<Spread>,
    /// Answers within the promised time, per second of the schedule.
    pub within_per_second: Option<Spread>,
    /// Requests without a right answer, of all that were due, a share, of the trials that tell.
    pub failed: Option<Spread>,
    /// Trials that are invalid for another reason than the rate.
    pub spoilt: usize,
}

impl Promised {
    pub(super) fn of(summary: &Summary, promise: Promise) -> Self {
        let lines = lines(&summary.grid, &factor::RATE);
        let of = |row: &Competitor, line: &Line<'_>| {
            let conditions: Vec<&Condition> =
                line.conditions.iter().copied().filter(|condition| condition.rate.is_some()).collect();
            let verdicts: Vec<BTreeMap<u32, bool>> =
                conditions.iter().map(|condition| verdicts(summary, row, condition, promise)).collect();
            let highest = highest(&conditions, &verdicts);
            let points = conditions.iter().zip(&verdicts);
            PromiseRow {
                points: points.map(|(condition, of)| point(summary, row, condition, promise, of)).collect(),
                blocks: highest.len(),
                highest: Spread::of(&highest),
                row: row.clone(),
                common: line.common.clone(),
            }
        };
        let rows = summary.shown().flat_map(|row| lines.iter().map(move |line| of(row, line)));
        Promised { promise, rows: rows.collect() }
    }
}

impl PromiseRow {
    /// The highest rate of this run at which every block kept it, with all rates below.
    pub fn always(&self) -> Option<u64> {
        self.highest.map(|of| of.min as u64).filter(|rate| *rate > 0)
    }

    /// Whether it was kept at the highest rate of the run: then nothing is known of its limit.
    pub fn is_beyond(&self) -> bool {
        self.points.last().is_some_and(|last| self.always() == Some(last.rate))
    }
}

/// For each block that tells, whether the promise was kept.
fn verdicts(
    summary: &Summary,
    row: &Competitor,
    condition: &Condition,
    promise: Promise,
) -> BTreeMap<u32, bool> {
    let cell = summary.cell(row, condition);
    let mut blocks: BTreeMap<u32, bool> = BTreeMap::new();
    for trial in
        summary.invalid.iter().filter(|of| of.cell.competitor == *row && of.cell.condition == *condition)
    {
        if trial.reasons.iter().any(is_too_slow) {
            blocks.insert(trial.block, false);
        }
    }
    for trial in &cell.valid {
        let is_kept =
            trial.is_right() && trial.share_within(promise.within_ms()) >= promise.percentile() / 100.0;
        blocks.insert(trial.block, is_kept);
    }
    blocks
}

fn is_too_slow(reason: &Reason) -> bool {
    matches!(reason, Reason::NotSustained { .. })
}

/// The highest rate of each block.
fn highest(conditions: &[&Condition], verdicts: &[BTreeMap<u32, bool>]) -> Vec<f64> {
    let blocks: BTreeSet<u32> = verdicts.iter().flat_map(BTreeMap::keys).copied().collect();
    let of = |block: &u32| {
        let mut highest = 0;
        for (condition, of) in conditions.iter().zip(verdicts) {
            match of.get(block) {
                Some(true) => highest = condition.rate.unwrap_or(0),
                Some(false) => return Some(highest as f64),
                // Nothing is known at this rate: neither that it was kept nor that it was not.
                None => return None,
            }
        }
        Some(highest as f64)
    };
    blocks.iter().filter_map(of).collect()
}

fn point(
    summary: &Summary,
    row: &Competitor,
    condition: &Condition,
    promise: Promise,
    verdicts: &BTreeMap<u32, bool>,
) -> RatePoint {
    let cell = summary.cell(row, condition);
    RatePoint {
        rate: condition.rate.unwrap_or(0),
        kept: verdicts.values().filter(|kept| **kept).count(),
        of: verdicts.len(),
        percentile_ms: cell.spread(|trial| trial.percentile_ms(promise.percentile())),
        within_per_second: cell.spread(|trial| trial.within_per_second(promise.within_ms())),
        failed: cell.spread(ValidTrial::failed_share),
        spoilt: summary
            .invalid_of(row, condition)
            .filter(|trial| !trial.reasons.iter().any(is_too_slow))
            .count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Analysis;
    use crate::analysis::answers::Answered;
    use crate::analysis::synthetic::Run;
    use crate::plan::Purpose;
    use crate::plan::answer::Answer;
    use crate::record::{Outcome, Stored};

    fn stored() -> Stored {
        let run = Run::new().models(&["direct", "mio", "mio#2"]).backends(&[3]).concurrency(&[10]).blocks(3);
        run.rate(1000).over(&factor::RATE, "1000,2000,4000").build()
    }

    fn promised(mut stored: Stored, promise: &str) -> Promised {
        stored.environment.plan.purpose = Some(Purpose {
            scenario: None,
            run: None,
            question: "how much?".into(),
            answers: vec![Answer::Promise { promise: promise.parse().unwrap() }],
            figures: vec![],
        });
        match Analysis::of(&stored).answers.pop() {
            Some(Answered::Promise(promised)) => promised,
            other => panic!("{other:?}"),
        }
    }

    fn unsustained(stored: &mut Stored, block: u32, rate: u64) {
        let of = |trial: &&mut crate::record::Trial| {
            trial.cell.competitor.to_string() == "mio"
                && trial.block == block
                && trial.cell.condition.rate == Some(rate)
        };
        let trial = stored.trials.iter_mut().find(of).unwrap();
        let reason = Reason::NotSustained {
            rate,
            achieved_milli_per_s: 1,
            backlog_grew: true,
            waited: 1,
            of: 1,
            behind_ns: 1,
        };
        trial.outcome = Outcome::Invalid { reasons: vec![reason] };
    }

    #[test]
    fn a_promise_that_is_kept_at_every_rate_says_nothing_of_the_limit() {
        let promised = promised(stored(), "p99<1s");
        let mio = promised.rows.iter().find(|row| row.row.name == "mio").unwrap();
        assert_eq!((mio.always(), mio.is_beyond(), mio.blocks), (Some(4000), true, 3));
        assert_eq!(mio.points.iter().map(|point| point.rate).collect::<Vec<_>>(), [1000, 2000, 4000]);
        let last = mio.points.last().unwrap().within_per_second.unwrap();
        assert!((last.median - 4000.0).abs() < 1.0, "{last:?}");
    }

    #[test]
    fn the_highest_rate_is_the_last_before_the_first_that_breaks_it() {
        let mut stored = stored();
        unsustained(&mut stored, 0, 2000);
        let promised = promised(stored, "p99<1s");
        let mio = promised.rows.iter().find(|row| row.row.name == "mio").unwrap();
        let highest = mio.highest.unwrap();
        assert_eq!((highest.min, highest.median, highest.max), (1000.0, 4000.0, 4000.0));
        assert_eq!((mio.always(), mio.is_beyond()), (Some(1000), false));
        assert_eq!((mio.points[1].kept, mio.points[1].of), (2, 3));
    }

    #[test]
    fn a_promise_that_nobody_can_keep_is_kept_at_no_rate() {
        let promised = promised(stored(), "p99<1us");
        let mio = promised.rows.iter().find(|row| row.row.name == "mio").unwrap();
        assert_eq!((mio.always(), mio.highest.map(|of| of.max)), (None, Some(0.0)));
    }
}
