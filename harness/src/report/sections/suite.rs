//! The report of a suite: what each of its runs was made to answer and what it found, scenario by scenario.
//!
//! Owns what is told of a run among others; everything else of it stands in the run's own report, to which this one leads.
//! Rule: a run that is missing, not whole or holds invalid trials says so where its answer would stand.

use super::{Source, answers, conditions, faults, lead};
use crate::analysis::answers::Answered;
use crate::analysis::answers::claim::Outcome;
use crate::analysis::faults::FaultRun;
use crate::plan::Purpose;
use crate::plan::schedule::Schedule;
use crate::record::store::suite::{StoredSuite, SuiteRun};
use crate::record::{Environment, Stored, left_invalid};
use crate::report::figures::Figure;
use crate::report::prose;
use crate::report::section::{Column, Content, Document, Lead, Section, Table};
use crate::report::value::{Missing, Value};
use crate::text::counted;

/// Findings that are told of a run that was made to answer nothing.
const FINDINGS: usize = 10;

/// A run of a suite, as far as it is there.
pub(in crate::report) enum Told<'a> {
    /// Trials that are compared.
    Compared(Source<'a>),
    /// Trials with faults, and their figures.
    Faults(FaultRun<'a>, &'a [Figure]),
    /// None, and why.
    Missing(String),
}

/// The report of `suite`, of whose runs `told` has one each.
pub(in crate::report) fn document(suite: &StoredSuite, told: &[Told<'_>]) -> Document {
    let runs: Vec<(&SuiteRun, &Told<'_>)> = suite.suite.runs.iter().zip(told).collect();
    let mut sections = vec![opening(&runs)];
    let scenarios = runs.chunk_by(|(one, _), (next, _)| one.scenario == next.scenario);
    sections.extend(scenarios.map(|runs| of_scenario(suite, runs)));
    Document {
        title: format!("roundtable: the runs of {}", suite.name),
        command: format!("roundtable report {}", suite.name),
        lead: lead_of(suite, told),
        sections,
    }
}

fn lead_of(suite: &StoredSuite, told: &[Told<'_>]) -> Option<Lead> {
    let found = verdicts(told).or_else(|| told.iter().find_map(|run| findings(run).into_iter().next()))?;
    let environment = told.iter().find_map(|run| Some(&run.stored()?.environment))?;
    let mut scenarios: Vec<&str> = suite.suite.runs.iter().map(|run| run.scenario.as_str()).collect();
    scenarios.dedup();
    let missing = told.iter().filter(|run| matches!(run, Told::Missing(_))).count();
    let missing = if missing > 0 { format!(", {missing} of them missing") } else { String::new() };
    let day = suite.suite.created.split('T').next().unwrap_or_default();
    Some(Lead {
        measured: format!(
            "{} in {}{missing}; {day}",
            counted(scenarios.len(), "scenario"),
            counted(told.len(), "run")
        ),
        found,
        sure: format!(
            "What a run's answer rests on stands under it. All of it holds for: {}, {}.",
            counted(environment.host.processors as usize, "processor"),
            prose::network(environment)
        ),
    })
}

/// What became of the claims, where any were put to the test.
fn verdicts(told: &[Told<'_>]) -> Option<String> {
    let of_claims = told.iter().filter_map(Told::source).flat_map(|source| &source.analysis.answers);
    let tested: Vec<_> = of_claims
        .filter_map(|answer| match answer {
            Answered::Claims(tested) => Some(tested),
            _ => None,
        })
        .flatten()
        .collect();
    let count = |outcome: Outcome| tested.iter().filter(|of| of.outcome == outcome).count();
    let (confirmed, refuted) = (count(Outcome::Confirmed), count(Outcome::Refuted));
    (!tested.is_empty()).then(|| {
        format!(
            "Of {} put to the test here, {confirmed} confirmed, {refuted} refuted, {} neither.",
            counted(tested.len(), "claim"),
            tested.len() - confirmed - refuted
        )
    })
}

/// Every run in a table, and what is missing.
fn opening(runs: &[(&SuiteRun, &Told<'_>)]) -> Section {
    let columns = vec![
        Column::words("scenario"),
        Column::words("run"),
        Column::numbers("conditions"),
        Column::words("blocks"),
        Column::numbers("trials"),
        Column::numbers("invalid at the end").short("left\ninvalid"),
    ];
    let row = |(run, told): &(&SuiteRun, &Told<'_>)| {
        let name = run.folder.strip_prefix(&run.scenario).and_then(|rest| rest.strip_prefix('-'));
        let mut row: Vec<Value> = vec![run.scenario.as_str().into(), name.unwrap_or_default().into()];
        match told.stored() {
            None => row.extend((0..4).map(|_| Value::Missing(Missing::NotMeasured))),
            Some(stored) => row.extend([
                Value::count(stored.environment.plan.conditions().len() as u64),
                blocks(told).into(),
                Value::count(stored.trials.len() as u64),
                Value::count(left_invalid(&stored.trials).len() as u64),
            ]),
        }
        row
    };
    let missing = runs.iter().filter(|(_, told)| matches!(told, Told::Missing(_)));
    let missing: Vec<_> = missing.map(|(run, _)| run.folder.as_str()).collect();
    let is = if missing.len() == 1 { "is" } else { "are" };
    let missing = (!missing.is_empty()).then(|| {
        let (count, all) = (missing.len(), counted(runs.len(), "run"));
        Content::Warning(format!("{count} of {all} {is} missing: {}.", missing.join(", ")))
    });
    Section::opening().with(missing).table(Table::new(columns, runs.iter().map(row)))
}

fn blocks(told: &Told<'_>) -> String {
    match told {
        Told::Compared(source) => match source.analysis.summary.blocks() {
            (fewest, most) if fewest == most => most.to_string(),
            (fewest, most) => format!("{fewest} to {most}"),
        },
        Told::Faults(run, _) => {
            let counts = run.plan().competitors.iter().map(|model| run.observations(model).count());
            counts.min().unwrap_or(0).to_string()
        }
        Told::Missing(_) => String::new(),
    }
}

/// The runs of one scenario.
fn of_scenario(suite: &StoredSuite, runs: &[(&SuiteRun, &Told<'_>)]) -> Section {
    let (first, _) = runs[0];
    let mut section = Section::new(
        format!("scenario-{}", first.scenario),
        format!("{}: {}", first.scenario, first.question),
    );
    for (run, told) in runs {
        section = section.with(of_run(suite, run, told));
    }
    section
}

fn of_run(suite: &StoredSuite, run: &SuiteRun, told: &Told<'_>) -> Vec<Content> {
    let mut content = Vec::new();
    if let Some(Purpose { run: Some(name), question, .. }) = told.purpose() {
        content.push(Content::Heading(format!("{name}: {question}")));
    }
    content.extend(not_whole(suite, run, told).into_iter().map(Content::Warning));
    match told {
        Told::Missing(_) => return content,
        Told::Compared(source) => {
            content.push(Content::Paragraph(format!("{}.", lead::measured(source))));
            if source.analysis.answers.is_empty() {
                content.push(sentences(findings(told)));
                content.push(Content::Table(conditions::main_figures(&source.analysis.summary)));
            }
            content.extend(answers::of_analysis(source.analysis));
            content.extend(source.figures.iter().map(|figure| Content::Figure(figure.link())));
            content.push(Content::Paragraph(lead::sure(source)));
        }
        Told::Faults(run, figures) => {
            content.push(Content::Paragraph(faults::script(*run)));
            content.push(sentences(findings(told)));
            content.push(Content::Table(faults::table(*run)));
            content.push(Content::Paragraph(faults::reading(*run)));
            content.extend(figures.iter().map(|figure| Content::Figure(figure.link())));
        }
    }
    content.push(Content::Link {
        text: format!("The whole report of {}", run.folder),
        target: format!("{}/index.html", run.folder),
    });
    content
}

fn sentences(sentences: Vec<String>) -> Content {
    Content::Findings { sentences, findings: Vec::new(), quotable: None }
}

/// What was found, in sentences: the answers, or what holds without any question.
fn findings(told: &Told<'_>) -> Vec<String> {
    match told {
        Told::Compared(source) => {
            let answers = prose::answers::of_run(source.analysis);
            if !answers.is_empty() {
                return answers;
            }
            prose::claims::of_run(source.analysis).into_iter().take(FINDINGS).collect()
        }
        Told::Faults(run, _) => prose::claims::of_faults(*run),
        Told::Missing(_) => Vec::new(),
    }
}

/// What keeps a run from being taken as it stands.
fn not_whole(suite: &StoredSuite, run: &SuiteRun, told: &Told<'_>) -> Vec<String> {
    let mut remarks = Vec::new();
    let folder = &run.folder;
    if let Told::Missing(why) = told {
        remarks.push(format!("{folder} is missing: {why}"));
    }
    let Some(Stored { environment, trials, .. }) = told.stored() else { return remarks };
    if Schedule::new(&environment.plan, trials).upcoming().is_some() {
        remarks.push(format!(
            "{folder} was interrupted, and its answer is of what it had measured; `roundtable run --resume {}` goes on with it",
            suite.name
        ));
    }
    let invalid = left_invalid(trials).len();
    if invalid > 0 {
        let cells = counted(invalid, "cell");
        remarks.push(format!("{cells} of {folder} stayed invalid; its report says which, and why"));
    }
    remarks
}

impl<'a> Told<'a> {
    fn source(&self) -> Option<&Source<'a>> {
        match self {
            Told::Compared(source) => Some(source),
            _ => None,
        }
    }

    fn stored(&self) -> Option<&'a Stored> {
        match self {
            Told::Compared(source) => Some(source.stored),
            Told::Faults(run, _) => Some(run.stored),
            Told::Missing(_) => None,
        }
    }

    fn purpose(&self) -> Option<&'a Purpose> {
        self.stored().and_then(|Stored { environment: Environment { plan, .. }, .. }| plan.purpose.as_ref())
    }
}
