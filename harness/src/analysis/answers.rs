//! What a run was made to answer, answered: one [`Answer`] of its plan's purpose each, as typed values.
//!
//! [`along`] follows figures along a factor, [`promise`] looks for the highest rate at which a promise of response times is
//! kept, [`queue`] sets response times beside those of a queue, [`claim`] puts public claims to the test. Rule: an answer says no more than its trials do; what is missing for one is
//! part of it.

pub mod along;
pub mod claim;
pub mod promise;
pub mod queue;

use self::along::Along;
use self::claim::Tested;
use self::promise::Promised;
use self::queue::QueueRow;
use super::bottleneck::Bottlenecks;
use super::grid::{Dimension, Grid, Row};
use super::metric::Metric;
use super::summary::Summary;
use super::verdicts::Verdicts;
use super::whole_grid::WholeGrid;
use crate::plan::answer::Answer;
use crate::plan::{Condition, Factor, Purpose, Value};

/// One answer.
#[derive(Debug, Clone)]
pub enum Answered {
    /// How figures change along a factor.
    Along(Along),
    /// Up to which rate a promise is kept.
    Promise(Promised),
    /// Response times beside those of a queue.
    Queue(Vec<QueueRow>),
    /// Public claims, put to the test.
    Claims(Vec<Tested>),
}

/// What answers are read from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Basis<'a> {
    pub(super) summary: &'a Summary,
    pub(super) bottlenecks: &'a Bottlenecks,
    pub(super) verdicts: &'a Verdicts,
    pub(super) whole_grid: &'a [WholeGrid],
}

impl Basis<'_> {
    /// How far a model differs from itself under one condition, a log-ratio, where that is known.
    fn floor_of_a_condition(&self, metric: Metric) -> Option<f64> {
        self.verdicts.on(metric)?.floor
    }

    /// The same over all conditions.
    fn floor_overall(&self, metric: Metric) -> Option<f64> {
        self.whole_grid.iter().find(|of| of.metric == metric)?.floor
    }
}

/// Conditions that differ in one factor alone, in the order of its values.
struct Line<'a> {
    /// What they have in common, of what the run varies.
    common: Common,
    conditions: Vec<&'a Condition>,
}

/// Factors, each with its value.
pub type Common = Vec<(&'static Factor, Value)>;

/// Each line of `grid` along `factor`.
fn lines<'a>(grid: &'a Grid, factor: &'static Factor) -> Vec<Line<'a>> {
    let varies =
        |other: &Factor| grid.dimensions().iter().any(|of| of.factor == other && of.levels.len() > 1);
    let along = Dimension { factor, levels: grid.levels(factor) };
    let line = |of: Row<'a>| Line {
        common: of.common.into_iter().filter(|(other, _)| varies(other)).collect(),
        conditions: of.conditions.into_iter().flatten().collect(),
    };
    grid.along(&along).into_iter().map(line).collect()
}

/// The answers to `purpose`, in its order; its claims, which are judged together, last.
pub(super) fn of(purpose: Option<&Purpose>, basis: &Basis<'_>) -> Vec<Answered> {
    let answers = purpose.map_or(&[][..], |purpose| &purpose.answers);
    let mut claims = Vec::new();
    let mut answered = Vec::new();
    for answer in answers {
        match answer {
            Answer::Along { factor } => answered.push(Answered::Along(Along::of(basis, factor.0, false))),
            Answer::SpeedUp { factor } => answered.push(Answered::Along(Along::of(basis, factor.0, true))),
            Answer::Promise { promise } => {
                answered.push(Answered::Promise(Promised::of(basis.summary, *promise)));
            }
            Answer::Queue => answered.push(Answered::Queue(queue::of(basis.summary))),
            Answer::Claim(claim) => claims.push(&**claim),
        }
    }
    if !claims.is_empty() {
        answered.push(Answered::Claims(claim::test(&claims, basis)));
    }
    answered
}
