//! What a run prints at its end: its main tables, how to read them, and what was invalid.

use crate::analysis::Analysis;
use crate::analysis::faults::FaultRun;
use crate::record::store::suite::StoredSuite;
use crate::record::{Stored, left_invalid};
use crate::report::Beside;
use crate::report::prose;
use crate::report::render::terminal;
use crate::report::section::{Content, Document};
use crate::report::sections::{self, Source};
use crate::report::sections::{conditions, faults};
use crate::text::{counted, printable, wrapped};

/// Columns of the widest table, where a terminal has them.
const WIDEST: u16 = 120;
/// Findings that are told; the report has them all.
const FINDINGS: usize = 10;
/// Invalid trials that are named; the report has them all.
const NAMED: usize = 5;

/// What `roundtable run` prints at its end, in lines of at most `width` columns: what was found, the run's main figures, CPU
/// time, what was invalid, and the noise floor.
pub fn of_run(stored: &Stored, width: u16) -> String {
    let width = width.min(WIDEST);
    let analysis = Analysis::of(stored);
    let summary = &analysis.summary;
    let mut text = String::new();
    if let Some(purpose) = &stored.environment.plan.purpose {
        text.push_str(&wrapped(&format!("Asked: {}", printable(&purpose.question)), width.into()));
        text.extend(prose::answers::of_run(&analysis).iter().map(|answer| item(answer, width)));
        text.push('\n');
    }
    let findings = prose::claims::of_run(&analysis);
    if !findings.is_empty() {
        text.push_str("What was found:\n");
        text.extend(findings.iter().take(FINDINGS).map(|finding| item(finding, width)));
        text.push('\n');
    }
    text.push_str(&wrapped(&format!("{}:", sections::summary::heading(summary)), width.into()));
    text.push_str(&terminal::table(&conditions::main_figures(summary), width));
    text.push('\n');
    let cpu = conditions::cpu_figures(summary);
    if !cpu.rows.is_empty() {
        text.push_str(&wrapped(
            "CPU time of the balancer per request, µs, medians (less is better):",
            width.into(),
        ));
        text.push_str(&terminal::table(&cpu, width));
        text.push('\n');
    }
    text.push_str(&invalid(&analysis, width));
    let mut floors: Vec<(String, Vec<&str>)> = Vec::new();
    for of in summary.load().main_metrics().iter().filter_map(|&metric| analysis.verdicts.on(metric)) {
        let floor = prose::noise_floor(of);
        match floors.iter_mut().find(|(known, _)| *known == floor) {
            Some((_, metrics)) => metrics.push(of.metric.name()),
            None => floors.push((floor, vec![of.metric.name()])),
        }
    }
    let told = |(floor, metrics): &(String, Vec<&str>)| match floors.len() {
        1 => floor.clone(),
        _ => format!("{floor} in {}", metrics.join(" and ")),
    };
    let floors: Vec<_> = floors.iter().map(told).collect();
    let remark = format!(
        "Noise floor (how far a model measured twice differs from itself): {}. {} {}{} Every table: `roundtable report {} --full`.",
        floors.join("; "),
        prose::load::of_a_trial(&stored.environment.plan),
        prose::strength(summary),
        prose::load::times_on_a_terminal(summary.load()),
        stored.name,
    );
    text.push_str(&wrapped(&remark, width.into()));
    text
}

/// `text` as an item of a list.
fn item(text: &str, width: u16) -> String {
    let lines = wrapped(&printable(text), usize::from(width.saturating_sub(2)).max(20));
    let lines = lines.lines().enumerate();
    lines.map(|(index, line)| format!("{} {line}\n", if index == 0 { "-" } else { " " })).collect()
}

/// Every table of a run's report.
pub fn full(stored: &Stored, beside: &Beside, width: u16) -> String {
    let width = width.min(WIDEST);
    let analysis = Analysis::of(stored);
    of_document(&sections::document(&Source { stored, analysis: &analysis, beside, figures: &[] }), width)
}

/// Every section of `document`, in lines of at most `width` columns.
pub(super) fn of_document(document: &Document, width: u16) -> String {
    let mut text = String::new();
    for section in &document.sections {
        if let Some(heading) = &section.heading {
            text.push_str(&format!("\n{}\n", wrapped(&printable(heading), width.into())));
        }
        for content in &section.content {
            match content {
                Content::Table(table) => text.push_str(&terminal::table(table, width)),
                Content::Link { text: words, target } => {
                    text.push_str(&wrapped(&printable(&format!("{words}: {target}")), width.into()));
                }
                Content::Heading(words) | Content::Paragraph(words) => {
                    text.push_str(&wrapped(&printable(words), width.into()));
                }
                Content::Findings { sentences, .. } => {
                    text.extend(sentences.iter().map(|sentence| item(sentence, width)));
                }
                Content::Warning(words) => {
                    text.push_str(&wrapped(&format!("Note: {}", printable(words)), width.into()));
                }
                Content::List(items) => {
                    text.extend(items.iter().map(|of| item(of, width)));
                }
                Content::Figure(_) => {}
            }
            text.push('\n');
        }
    }
    text
}

/// What the runs of a suite found, without their tables.
pub fn of_suite(suite: &StoredSuite, width: u16) -> String {
    let width = width.min(WIDEST);
    let document = super::suite::document(suite);
    let mut text = String::new();
    for section in &document.sections {
        // What is missing of all of it is told again where its answer would stand.
        let Some(heading) = &section.heading else { continue };
        text.push_str(&format!("\n{}", wrapped(&printable(heading), width.into())));
        for content in &section.content {
            match content {
                Content::Heading(words) => text.push_str(&wrapped(&printable(words), width.into())),
                Content::Findings { sentences, .. } => {
                    text.extend(sentences.iter().map(|sentence| item(sentence, width)));
                }
                Content::Warning(words) => {
                    text.push_str(&wrapped(&format!("Note: {}", printable(words)), width.into()));
                }
                _ => {}
            }
        }
    }
    if let Some(lead) = &document.lead {
        text.push_str(&format!("\n{}", wrapped(&format!("{}. {}", lead.measured, lead.found), width.into())));
    }
    text
}

fn invalid(analysis: &Analysis, width: u16) -> String {
    let summary = &analysis.summary;
    let mut invalid = summary.invalid.iter();
    if invalid.len() == 0 {
        return String::new();
    }
    let mut text = format!("{}:\n", counted(invalid.len(), "invalid trial"));
    for trial in invalid.by_ref().take(NAMED) {
        text.push_str(&item(&prose::invalid_trial(summary, trial), width));
    }
    if invalid.len() > 0 {
        text.push_str(&format!("- and {} more, listed in the report\n", invalid.len()));
    }
    text + "\n"
}

/// What `roundtable run --fault` prints at its end.
pub fn of_faults(run: FaultRun<'_>, width: u16) -> String {
    let width = width.min(WIDEST);
    let mut text = String::new();
    let findings = prose::claims::of_faults(run);
    if !findings.is_empty() {
        text.push_str("What clients noticed, medians over the repetitions:\n");
        text.extend(findings.iter().map(|finding| item(finding, width)));
        text.push('\n');
    }
    text.push_str(&terminal::table(&faults::table(run), width));
    text.push('\n');
    text.push_str(&wrapped(&faults::reading(run), width.into()));
    if let Some(noise) = faults::noise(run) {
        text.push('\n');
        text.push_str(&wrapped(&noise, width.into()));
    }
    for trial in left_invalid(&run.stored.trials) {
        text.push_str(&format!("invalid: {}\n", printable(&faults::place(trial))));
    }
    text
}

#[cfg(test)]
mod tests;
