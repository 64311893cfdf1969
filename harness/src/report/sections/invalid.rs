//! Every invalid trial, with its reasons.

use super::Source;
use crate::report::prose;
use crate::report::section::{Content, Section};

pub(super) fn sections(source: &Source<'_>) -> Vec<Section> {
    let summary = &source.analysis.summary;
    let invalid = summary.invalid.iter().map(|trial| prose::invalid_trial(summary, trial));
    vec![of(invalid.collect())]
}

/// A list of trials, each in a line.
pub(super) fn of(trials: Vec<String>) -> Section {
    let section = Section::new("invalid", "Invalid trials");
    if trials.is_empty() { section.paragraph("None.") } else { section.with([Content::List(trials)]) }
}
