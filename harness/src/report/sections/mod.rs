//! The sections of a run's report: one file and one line of `SECTIONS` each, in the order in which they are read.
//!
//! A section turns what was computed into prose, findings, tables and figures; it computes nothing itself.

pub mod conditions;
pub mod cross_check;
pub mod difference;
pub mod families;
pub mod faults;
pub mod published;
pub mod ratios;
pub(super) mod suite;
pub mod system_calls;

mod answers;
mod charts;
mod invalid;
pub(super) mod lead;
mod limits;
mod machine_noise;
mod method;
mod models;
mod noise_floor;
mod provenance;
pub(super) mod summary;
mod whole_grid;
mod worker_shares;

use super::Beside;
use super::figures::Figure;
use super::prose;
use super::section::{Document, Section};
use crate::analysis::Analysis;
use crate::record::Stored;

/// What a section is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// The run.
    pub(super) stored: &'a Stored,
    /// What was computed from it.
    pub(super) analysis: &'a Analysis,
    /// What stands beside it.
    pub(super) beside: &'a Beside,
    /// Its figures.
    pub(super) figures: &'a [Figure],
}

/// What makes a section, or several, or none where the run has nothing to say there.
type Maker = fn(&Source<'_>) -> Vec<Section>;

/// Every section of a run's report.
const SECTIONS: [Maker; 19] = [
    answers::sections,
    whole_grid::sections,
    summary::sections,
    charts::sections,
    published::sections,
    method::sections,
    conditions::sections,
    ratios::sections,
    ratios::slowdowns,
    noise_floor::sections,
    limits::sections,
    families::sections,
    worker_shares::sections,
    system_calls::sections,
    cross_check::sections,
    invalid::sections,
    provenance::sections,
    machine_noise::sections,
    models::sections,
];

/// The report of a run.
pub(super) fn document(source: &Source<'_>) -> Document {
    let title = format!("roundtable: the run {}", source.stored.name);
    Document {
        title: prose::load::titled(&title, source.analysis.summary.load()),
        command: format!("roundtable report {}", source.stored.name),
        lead: lead::of(source),
        sections: SECTIONS.iter().flat_map(|make| make(source)).collect(),
    }
}
