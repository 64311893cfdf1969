//! What changed between two runs, as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::{CompetitorForm, ConditionForm};
use crate::analysis::difference::{Change, Decision, Difference, LostCell, Outcome};
use crate::report::{prose, sections};

/// Raised when a field changes its meaning or goes; a new field raises nothing.
pub const VERSION: u32 = 1;

/// What `roundtable compare BASE NEW --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(title = "roundtable compare")]
pub struct Comparison {
    /// Version of this form.
    pub schema_version: u32,
    /// The earlier run.
    pub base: String,
    /// The later one.
    pub new: String,
    /// `no_regression`, `regression` or `cannot_tell`.
    pub outcome: &'static str,
    /// A change of so many percent for the worse is a regression.
    pub margin_percent: u32,
    /// About how many more blocks of either run would decide what is undecided.
    pub more_blocks: Option<u32>,
    /// What it comes to, in words.
    pub sentence: String,
    /// How each model changed over all conditions, in sentences.
    pub findings: Vec<String>,
    /// What does not match, and was compared all the same.
    pub mismatches: Vec<String>,
    /// Cells that BASE measured and NEW has no valid trial of.
    pub lost_cells: Vec<Cell>,
    /// Every comparison.
    pub changes: Vec<ChangeForm>,
}

/// A row under a condition.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Cell {
    /// Who.
    pub competitor: CompetitorForm,
    /// What was done to it.
    pub condition: ConditionForm,
}

/// NEW over BASE.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ChangeForm {
    /// Who.
    pub competitor: CompetitorForm,
    /// What was done to it; null: over all conditions.
    pub condition: Option<ConditionForm>,
    /// In which metric.
    pub metric: &'static str,
    /// Blocks that it rests on: of the run that has fewer.
    pub blocks: usize,
    /// Geometric mean of NEW over that of BASE.
    pub ratio: f64,
    /// Low end of its interval; null where there is none.
    pub interval_low: Option<f64>,
    /// High end.
    pub interval_high: Option<f64>,
    /// Whether the outcome rests on it.
    pub decides: bool,
    /// `no_regression`, `regression`, `undecided` or `client_bound`: how it stands to the margin.
    pub decision: &'static str,
    /// What may be said of the change itself.
    pub verdict: String,
}

impl Comparison {
    /// Of two runs.
    pub fn of(difference: &Difference) -> Self {
        Comparison {
            schema_version: VERSION,
            base: difference.base.clone(),
            new: difference.new.clone(),
            outcome: match difference.outcome {
                Outcome::NoRegression => "no_regression",
                Outcome::Regression => "regression",
                Outcome::CannotTell => "cannot_tell",
            },
            margin_percent: difference.margin_percent,
            more_blocks: difference.more_blocks,
            sentence: sections::difference::sentence(difference),
            findings: prose::claims::of_difference(difference),
            mismatches: difference.mismatches.iter().map(ToString::to_string).collect(),
            lost_cells: difference.lost.iter().map(Cell::of).collect(),
            changes: difference.changes.iter().map(ChangeForm::of).collect(),
        }
    }
}

impl Cell {
    fn of(lost: &LostCell) -> Self {
        Cell { competitor: (&lost.row).into(), condition: (&lost.condition).into() }
    }
}

impl ChangeForm {
    fn of(change: &Change) -> Self {
        let judged = &change.ratio.judged;
        ChangeForm {
            competitor: (&change.model).into(),
            condition: change.condition.as_ref().map(ConditionForm::from),
            metric: change.metric.name(),
            blocks: judged.blocks,
            ratio: judged.ratio,
            interval_low: judged.interval.map(|interval| interval.low),
            interval_high: judged.interval.map(|interval| interval.high),
            decides: change.decides,
            decision: match change.decision {
                Decision::NoRegression => "no_regression",
                Decision::Regression => "regression",
                Decision::Undecided { .. } => "undecided",
                Decision::ClientBound => "client_bound",
            },
            verdict: prose::verdict(change.metric, &change.ratio),
        }
    }
}
