//! What a run prints at its end: its main tables, how to read them, and what was invalid.

use crate::analysis::Analysis;
use crate::analysis::faults::FaultRun;
use crate::probes::Passes;
use crate::record::{Stored, left_invalid};
use crate::report::prose;
use crate::report::render::terminal;
use crate::report::section::Content;
use crate::report::sections::{self, Source};
use crate::report::sections::{conditions, faults, ratios};
use crate::report::value::noise_floor;
use crate::text::{capitalised, counted, printable, wrapped};

/// Width of the tables, columns.
const WIDTH: u16 = 120;
/// Invalid trials that are named; the report has them all.
const NAMED: usize = 10;

/// What `roundtable run` prints at its end.
pub fn of_run(stored: &Stored) -> String {
    let analysis = Analysis::of(stored);
    let load = analysis.summary.load();
    let mut text = prose::load::name_with_times(load)
        .map_or(String::new(), |load| format!("{}:\n\n", capitalised(&load)));
    text.push_str(&terminal::table(&conditions::table(&analysis.summary, &analysis.bottlenecks), WIDTH));
    for of in load.main_metrics().iter().filter_map(|&metric| analysis.verdicts.on(metric)) {
        if let Some(table) = ratios::table(&analysis.summary.grid, of) {
            let floor = of.floor.map_or("unknown: no A/A pair".into(), noise_floor);
            text.push_str(&format!(
                "\n{}, ratios with 95 % intervals; noise floor {floor}\n",
                of.metric.name()
            ));
            text.push_str(&terminal::table(&table, WIDTH));
        }
    }
    text.push('\n');
    let remark = format!(
        "Medians over {}. {} {}{}",
        prose::blocks(&analysis.summary),
        prose::load::of_a_trial(&stored.environment.plan),
        prose::strength(&analysis.summary),
        prose::load::times_on_a_terminal(load),
    );
    text.push_str(&wrapped(&remark, WIDTH.into()));
    text.push_str(&invalid(&analysis));
    text
}

/// Every table of a run's report.
pub fn full(stored: &Stored, passes: &Passes) -> String {
    let analysis = Analysis::of(stored);
    let document = sections::document(&Source { stored, analysis: &analysis, passes, figures: &[] });
    let mut text = String::new();
    for section in &document.sections {
        if let Some(heading) = &section.heading {
            text.push_str(&format!("\n{}\n\n", printable(heading)));
        }
        for content in &section.content {
            match content {
                Content::Table(table) => text.push_str(&terminal::table(table, WIDTH)),
                Content::Paragraph(words) | Content::Findings { sentence: words, .. } => {
                    text.push_str(&wrapped(&printable(words), WIDTH.into()));
                }
                Content::Warning(words) => {
                    text.push_str(&wrapped(&format!("Note: {}", printable(words)), WIDTH.into()));
                }
                Content::List(items) => {
                    text.extend(items.iter().map(|item| format!("  {}\n", printable(item))));
                }
                Content::Figure(_) => {}
            }
            text.push('\n');
        }
    }
    text
}

fn invalid(analysis: &Analysis) -> String {
    let mut text = String::new();
    let mut invalid = analysis.summary.invalid.iter();
    if invalid.len() > 0 {
        text.push_str(&format!("{}:\n", counted(invalid.len(), "invalid trial")));
    }
    for trial in invalid.by_ref().take(NAMED) {
        text.push_str(&format!("  {}\n", printable(&prose::invalid_trial(&analysis.summary, trial))));
    }
    if invalid.len() > 0 {
        text.push_str(&format!("  and {} more, listed in the report\n", invalid.len()));
    }
    text
}

/// What `roundtable run --fault` prints at its end.
pub fn of_faults(run: FaultRun<'_>) -> String {
    let mut text = terminal::table(&faults::table(run), WIDTH);
    text.push('\n');
    text.push_str(&wrapped(&faults::reading(run), WIDTH.into()));
    if let Some(noise) = faults::noise(run) {
        text.push('\n');
        text.push_str(&wrapped(&noise, WIDTH.into()));
    }
    for trial in left_invalid(&run.stored.trials) {
        text.push_str(&format!("invalid: {}\n", printable(&faults::place(trial))));
    }
    text
}

#[cfg(test)]
mod tests;
