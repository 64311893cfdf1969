//! What a stored run says, as typed values: medians, ratios with their intervals, verdicts, limits, findings.
//!
//! Everything here is a pure function of [`Stored`]. Owns what is computed and what may be concluded; knows nothing of how it
//! is written or drawn, which is [`crate::report`]'s. [`summary`] reduces the trials, [`bottleneck`] says what limited a cell,
//! [`verdicts`] which differences are real, [`whole_grid`] the same over all conditions, [`families`] sets threaded
//! against async, [`difference`] two runs of one grid, [`published`] reads the tables of 2021, [`answers`] says what a
//! scenario asked for, [`findings`] what is claimed. A *cell* is one competitor under one condition; [`grid`] says in which factors conditions differ.

pub mod answers;
pub mod bottleneck;
pub mod difference;
pub mod families;
pub mod faults;
pub mod findings;
pub mod grid;
pub mod loop_kind;
pub mod metric;
pub mod published;
pub mod ratio;
pub mod speed;
pub mod summary;
pub mod trial;
pub mod verdicts;
pub mod whole_grid;

#[cfg(test)]
pub(crate) mod synthetic;

use self::answers::{Answered, Basis};
use self::bottleneck::Bottlenecks;
use self::families::{Families, FamiliesError};
use self::findings::Finding;
use self::summary::Summary;
use self::verdicts::Verdicts;
use self::whole_grid::WholeGrid;
use crate::record::Stored;

/// Everything that is computed from one run of a grid.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// The trials, reduced cell by cell.
    pub summary: Summary,
    /// What limited each cell.
    pub bottlenecks: Bottlenecks,
    /// Which competitors differ.
    pub verdicts: Verdicts,
    /// Each pair of models over all conditions, in each metric that the run was made for.
    pub whole_grid: Vec<WholeGrid>,
    /// Threaded against async, or why they cannot be compared.
    pub families: Result<Families, FamiliesError>,
    /// What the run was made to answer.
    pub answers: Vec<Answered>,
}

impl Analysis {
    /// Of `stored`.
    pub fn of(stored: &Stored) -> Self {
        let summary = Summary::of(stored);
        let bottlenecks = Bottlenecks::of(&summary);
        let verdicts = Verdicts::of(&summary, &bottlenecks);
        let whole_grid = WholeGrid::of_each(&summary, &bottlenecks, &verdicts);
        let families = Families::within(&stored.name, &summary, &bottlenecks, &verdicts, &whole_grid);
        let basis = Basis {
            summary: &summary,
            bottlenecks: &bottlenecks,
            verdicts: &verdicts,
            whole_grid: &whole_grid,
        };
        let answers = answers::of(stored.environment.plan.purpose.as_ref(), &basis);
        Analysis { summary, bottlenecks, verdicts, whole_grid, families, answers }
    }

    /// What this run shows, most general first.
    pub fn findings(&self) -> Vec<Finding> {
        findings::of_run(self)
    }
}
