//! What changed between two runs of the same grid: NEW against BASE, decided by a margin.
//!
//! Each model is compared over all its conditions, by its blocks' means as in [`super::whole_grid`], and condition by condition.
//! Blocks of two runs have nothing to be paired by: each run's blocks are a sample of their own (Welch's t on the logarithms,
//! with variances that all models share what they know of). A trial's figures are adjusted for how fast the machine was
//! meanwhile ([`super::speed`]), and what is not CPU time is taken over the direct row's in the same block, so that a
//! machine that changed between the runs is no change of a model. Where a model's
//! own clients and backends came to pay another price than those of the direct row did, that would be taken for the
//! machine's speed: then the figures are compared as they are, to the direct row's in the same block.
//!
//! The decision is a test against the margin, on the figures that the runs were made for, over all conditions: *no regression*
//! of a figure only where its interval leaves out one of the margin's size; *regression* where the interval shows that it is
//! worse, and does not leave that out; else *undecided*, with about how many blocks would do. A single condition whose interval
//! lies beyond the margin is a regression as well. Half of the level goes to the deciding comparisons, half to all others.
//!
//! Of two open loops, throughput is not compared: it is the rate. Of a closed and an open one (with `force`), only CPU time is:
//! their response times are of two kinds.

mod decision;
pub mod matching;
mod sides;

use serde::Serialize;
use thiserror::Error;

use self::matching::{Mismatch, Weight};
use self::sides::{Floor, Sides};
use super::findings::{Claim, Evidence, Finding};
use super::grid::Grid;
use super::loop_kind::Loop;
use super::metric::Metric;
use super::ratio::{Candidate, Conclusion, Ratio, judge_together};
use crate::plan::{Competitor, Condition};
use crate::record::Stored;
use crate::statistics::interval::Interval;
use crate::statistics::verdict::LEVEL;

pub use self::decision::{Decision, Outcome};

/// Families of comparisons that share the level: those that decide, and the others.
const FAMILIES: usize = 2;
/// A change of so many percent is a regression unless told otherwise.
pub const MARGIN_PERCENT: u32 = 10;

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
        /// Each thing that differs and changes what is compared.
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
    /// A change of so many percent for the worse is a regression.
    pub margin_percent: u32,
    /// The chance of calling any change where there is none.
    pub level: f64,
    /// How the load of BASE, then of NEW, was driven.
    pub loads: [Loop; 2],
    /// The factors in which the conditions of BASE differ.
    #[serde(skip)]
    pub grid: Grid,
    /// What does not match, and was compared all the same.
    pub mismatches: Vec<Mismatch>,
    /// Cells that BASE measured and NEW has no valid trial of.
    pub lost: Vec<LostCell>,
    /// For each metric, how far a model differs from itself within a run.
    pub floors: Vec<Floor>,
    /// Every comparison; those that decide first.
    pub changes: Vec<Change>,
    /// What it comes to.
    pub outcome: Outcome,
    /// About how many more blocks of either run would decide what is undecided; absent where nothing is, or no number that
    /// anyone would run.
    pub more_blocks: Option<u32>,
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
    /// Whether the outcome rests on it.
    pub decides: bool,
    /// Whether it was adjusted for the machine's speed.
    pub adjusted: bool,
    /// The ratio NEW / BASE, judged.
    #[serde(flatten)]
    pub ratio: Ratio,
    /// How it stands to the margin.
    pub decision: Decision,
}

impl Difference {
    /// NEW against BASE, where `margin_percent` for the worse is a regression. With `force`, runs that do not match are compared
    /// as far as they have cells in common.
    pub fn of(
        base: &Stored,
        new: &Stored,
        margin_percent: u32,
        force: bool,
    ) -> Result<Self, DifferenceError> {
        let names = || (base.name.clone(), new.name.clone());
        let mismatches = matching::mismatches(&base.environment, &new.environment);
        let refused: Vec<_> = mismatches
            .iter()
            .filter(|of| of.weight == Weight::ChangesTheMeaning)
            .map(ToString::to_string)
            .collect();
        if !force && !refused.is_empty() {
            let (base, new) = names();
            return Err(DifferenceError::Mismatch { base, new, mismatches: refused });
        }
        let sides = Sides::of(base, new);
        let unjudged = sides.compared();
        if unjudged.is_empty() {
            let (base, new) = names();
            return Err(DifferenceError::NothingInCommon { base, new });
        }
        let margin = (f64::from(margin_percent) / 100.0).ln_1p();
        let changes = judged(unjudged, margin);
        let lost = sides.lost();
        let (outcome, more_blocks) = decision::outcome(&changes, &lost, margin);
        Ok(Difference {
            base: base.name.clone(),
            new: new.name.clone(),
            margin_percent,
            level: LEVEL,
            loads: sides.loads(),
            grid: sides.grid().clone(),
            outcome,
            more_blocks,
            mismatches,
            lost,
            floors: sides.floors(),
            changes,
        })
    }

    /// What decides: how each model changed over all conditions.
    pub fn findings(&self) -> Vec<Finding> {
        self.changes.iter().filter(|change| change.decides).map(Change::finding).collect()
    }

    /// Comparisons that were corrected together with each other: those that decide, then the others.
    pub fn judged(&self) -> [usize; 2] {
        let count = |decides: bool| {
            let family = self.changes.iter().filter(|change| change.decides == decides);
            family.filter(|change| change.conclusion() != Conclusion::ClientBound).count()
        };
        [count(true), count(false)]
    }
}

impl Change {
    /// What may be said.
    pub fn conclusion(&self) -> Conclusion {
        self.ratio.conclusion()
    }

    /// What is claimed of it.
    fn finding(&self) -> Finding {
        let judged = &self.ratio.judged;
        Finding {
            claim: Claim::Change {
                model: self.model.clone(),
                metric: self.metric,
                conclusion: self.conclusion(),
            },
            ratios: Interval { low: judged.ratio, high: judged.ratio },
            interval: judged.interval,
            ratio: Some(judged.ratio),
            at_least: self.ratio.is_at_least(),
            conditions: self.condition.iter().cloned().collect(),
            of_conditions: self.condition.iter().len(),
            evidence: Evidence {
                blocks: judged.blocks,
                margin: judged.margin,
                between_conditions: None,
                more_blocks: judged.more_blocks,
            },
            figure: None,
        }
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
    decides: bool,
    adjusted: bool,
    candidate: Candidate,
}

/// Judges those that decide apart from the others, so that hundreds of cells do not cost the former their power.
fn judged(unjudged: Vec<Unjudged>, margin: f64) -> Vec<Change> {
    let (deciding, others): (Vec<_>, Vec<_>) = unjudged.into_iter().partition(|change| change.decides);
    let family = |members: Vec<Unjudged>| {
        let candidates: Vec<_> = members.iter().map(|change| change.candidate).collect();
        members.into_iter().zip(judge_together(&candidates, FAMILIES))
    };
    let changes = family(deciding).chain(family(others)).filter_map(|(change, ratio)| {
        let Unjudged { model, condition, metric, decides, adjusted, .. } = change;
        let ratio = ratio?;
        let decision = Decision::of(metric, &ratio, margin);
        Some(Change { model, condition, metric, decides, adjusted, ratio, decision })
    });
    changes.collect()
}

#[cfg(test)]
mod tests;
