//! How exactly a run knows its ratios so far, and which conditions need more blocks.
//!
//! Owns the stopping rule of `run --precision`. A condition needs another block while the 95 % interval of any ratio that is
//! compared ([`super::comparisons`]), in throughput (at a fixed rate, where that is the same for all: in the median response
//! time) or in the balancer's CPU time per request, reaches further than the precision asked, to either side. The rule looks
//! at the intervals' widths and at nothing else: not at their middle, not at whether they leave out 1. So stopping cannot
//! favour a verdict, and the coverage of a fixed-width sequential interval tends to the nominal one as it narrows (Chow &
//! Robbins, *On the Asymptotic Theory of Fixed-Width Sequential Confidence Intervals for the Mean*, 1965). Early widths are
//! themselves uncertain, and a lucky narrow one would end the run too soon: hence [`LEAST_BLOCKS`].

use std::collections::BTreeMap;

use super::comparisons::{Comparisons, Pair};
use super::{Cell, Competitor, Condition, Plan};
use crate::statistics::interval::Estimate;

/// Blocks that every condition gets before any width is looked at.
pub const LEAST_BLOCKS: u32 = 6;
/// Confidence of the intervals.
const LEVEL: f64 = 0.95;

/// What a valid trial showed, as logarithms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Throughput; at a fixed rate the median response time. `NaN` where it cannot be read back: never exact enough.
    pub leading: f64,
    /// The balancer's CPU time per request; `None` where there is no balancer.
    pub cpu: Option<f64>,
}

/// What the trials so far say, by condition, competitor and block.
#[derive(Debug, Clone)]
pub(crate) struct Precision {
    percent: Option<u32>,
    pairs: Vec<Pair>,
    measured: BTreeMap<Condition, BTreeMap<Competitor, BTreeMap<u32, Figures>>>,
}

impl Precision {
    /// As exact as `plan` asks for, in the ratios among its competitors.
    pub(crate) fn of(plan: &Plan) -> Self {
        let pairs = Comparisons::among(&plan.competitors).iter().cloned().collect();
        Precision { percent: plan.precision_percent, pairs, measured: BTreeMap::new() }
    }

    /// Takes note of a valid trial.
    pub(crate) fn record(&mut self, cell: &Cell, block: u32, figures: Figures) {
        let rows = self.measured.entry(cell.condition.clone()).or_default();
        rows.entry(cell.competitor.clone()).or_default().insert(block, figures);
    }

    /// Whether the blocks before `block` leave any ratio of `condition` less exact than was asked for.
    pub(crate) fn wants(&self, condition: &Condition, block: u32) -> bool {
        let Some(percent) = self.percent else { return true };
        if block < LEAST_BLOCKS {
            return true;
        }
        let widest = (1.0 + f64::from(percent) / 100.0).ln();
        self.pairs.iter().any(|pair| {
            self.half_widths(condition, pair, block).is_none_or(|halves| {
                // `NaN` is not exact enough either.
                !halves.iter().all(|half| *half <= widest)
            })
        })
    }

    /// How far the intervals of the pair's two ratios reach; `None` where there are too few blocks.
    fn half_widths(&self, condition: &Condition, pair: &Pair, block: u32) -> Option<[f64; 2]> {
        let rows = self.measured.get(condition)?;
        let (own, theirs) = (rows.get(&pair.competitor)?, rows.get(&pair.with)?);
        let pairs = own.range(..block).filter_map(|(block, own)| Some((own, theirs.get(block)?)));
        let leading: Vec<f64> = pairs.clone().map(|(own, theirs)| own.leading - theirs.leading).collect();
        let cpu: Vec<f64> = pairs.filter_map(|(own, theirs)| Some(own.cpu? - theirs.cpu?)).collect();
        Some([Estimate::of(&leading)?.half_width(LEVEL), Estimate::of(&cpu)?.half_width(LEVEL)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::plan::Length;

    fn condition() -> Condition {
        fixtures::plan(Length::Blocks(1)).conditions()[0].clone()
    }

    fn precision(labels: &[&str], percent: Option<u32>) -> Precision {
        let competitors = labels.iter().map(|label| Competitor::of(label)).collect();
        Precision::of(&Plan { competitors, precision_percent: percent, ..fixtures::plan(Length::Blocks(1)) })
    }

    /// So many blocks of `label` at `leading`, give or take `noise` (a factor).
    fn record(precision: &mut Precision, label: &str, count: u32, leading: f64, noise: f64) {
        let cell = Cell { competitor: Competitor::of(label), condition: condition() };
        for block in 0..count {
            let swing = if block % 2 == 0 { noise.ln() } else { -noise.ln() };
            let figures = Figures { leading: leading.ln() + swing, cpu: Some(leading.ln() + swing) };
            precision.record(&cell, block, figures);
        }
    }

    /// So many blocks in which mio takes half of threads' time, give or take `noise` (a factor).
    fn blocks(count: u32, noise: f64, percent: Option<u32>) -> Precision {
        let mut precision = precision(&["direct", "threads", "mio"], percent);
        record(&mut precision, "threads", count, 2.0, 1.0);
        record(&mut precision, "mio", count, 1.0, noise);
        precision
    }

    #[test]
    fn without_a_precision_every_condition_wants_every_block() {
        assert!(blocks(20, 1.0, None).wants(&condition(), 20));
    }

    #[test]
    fn exact_ratios_are_enough_but_not_before_the_least_blocks() {
        let precision = blocks(20, 1.001, Some(5));
        assert!(precision.wants(&condition(), LEAST_BLOCKS - 1));
        assert!(!precision.wants(&condition(), LEAST_BLOCKS));
    }

    #[test]
    fn a_large_difference_that_is_not_exact_wants_more_blocks() {
        // The ratio is 2 in every block, give or take 20 %: certainly not 1, and not known to 5 % either.
        assert!(blocks(10, 1.2, Some(5)).wants(&condition(), 10));
        assert!(!blocks(10, 1.2, Some(25)).wants(&condition(), 10));
    }

    #[test]
    fn later_blocks_do_not_change_what_earlier_ones_wanted() {
        let precision = blocks(100, 1.2, Some(5));
        assert!(precision.wants(&condition(), 8));
        assert!(!precision.wants(&condition(), 100));
    }

    #[test]
    fn a_figure_that_cannot_be_read_back_is_never_exact_enough() {
        let mut precision = blocks(20, 1.001, Some(5));
        let cell = Cell { competitor: Competitor::of("mio"), condition: condition() };
        precision.record(&cell, 3, Figures { leading: f64::NAN, cpu: Some(0.0) });
        assert!(precision.wants(&condition(), 20));
    }

    #[test]
    fn a_pair_that_no_table_shows_is_not_waited_for() {
        let with = |swing: f64| {
            let mut precision = precision(&["direct", "threads", "mio", "mio+10%"], Some(50));
            record(&mut precision, "threads", 10, 2.0, 1.0);
            record(&mut precision, "mio", 10, 1.0, 1.2);
            record(&mut precision, "mio+10%", 10, 1.1, swing);
            precision.wants(&condition(), 10)
        };
        assert!(with(1.0 / 1.75), "mio+10% to mio is not exact");
        // It swings with mio: exact to it, and inexact only to threads, which is shown nowhere.
        assert!(!with(1.75));
    }

    #[test]
    fn a_row_without_valid_trials_wants_more() {
        assert!(precision(&["threads", "mio"], Some(50)).wants(&condition(), LEAST_BLOCKS));
    }
}
