//! The charts of a run, one after the other.

use super::Source;
use crate::report::figures::Figure;
use crate::report::section::{Content, Section};

pub(super) fn sections(source: &Source<'_>) -> Vec<Section> {
    vec![of("Charts", source.figures)]
}

/// `figures` under a heading.
pub(super) fn of(heading: &str, figures: &[Figure]) -> Section {
    let section = Section::new("charts", heading);
    if figures.is_empty() {
        section.paragraph("There is no valid trial, so there is nothing to draw.")
    } else {
        section.with(figures.iter().map(|figure| Content::Figure(figure.link())))
    }
}
