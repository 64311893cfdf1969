//! What a report begins with: what must not be overlooked, and the run's main figures in one table.

use super::Source;
use super::conditions;
use super::provenance;
use crate::analysis::loop_kind::Loop;
use crate::analysis::summary::Summary;
use crate::report::prose;
use crate::report::section::{Content, Section};

pub(super) fn sections(source: &Source<'_>) -> Vec<Section> {
    let summary = &source.analysis.summary;
    let warnings = prose::gaps(summary).into_iter().chain(provenance::warnings(&source.stored.environment));
    let starred = summary.cells.values().any(|cell| cell.invalid > 0 && !cell.valid.is_empty());
    let star = if starred { " * Some trials of this cell were invalid." } else { "" };
    let name = match summary.load() {
        Loop::Closed => "requests per second",
        Loop::Open { .. } => "response times at a fixed rate",
    };
    let opening = Section::new("main-figures", "The main figures")
        .with(warnings.map(Content::Warning))
        .paragraph(format!("{}. {}{star}", heading(summary), prose::strength(summary)))
        .table(conditions::main_figures(summary).quoted_as(name));
    vec![opening]
}

/// What the table of a run's main figures has.
pub(in crate::report) fn heading(summary: &Summary) -> String {
    let figure = match prose::load::name_with_times(summary.load()) {
        None => "Requests per second (more is better)".to_owned(),
        Some(load) => format!("Response time, p50 / p99 in ms (less is better), {load}"),
    };
    format!("{figure}: medians over {}", prose::blocks(summary))
}
