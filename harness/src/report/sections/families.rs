//! Threaded against async: the table, how to read it, and the sentence that says it.

use super::{Source, lead, published};
use crate::analysis::families::{Families, FamiliesCell, Pair};
use crate::analysis::findings::Finding;
use crate::analysis::loop_kind::Loop;
use crate::analysis::metric::Metric;
use crate::analysis::ratio::{Conclusion, Ratio};
use crate::report::prose::{self, findings::range};
use crate::report::section::{Column, Content, Document, Section, Table};
use crate::report::value::{Missing, NOTHING, Value, noise_floor};
use crate::statistics::verdict::LEVEL;
use crate::text::{capitalised, counted};

pub(super) fn sections(source: &Source<'_>) -> Vec<Section> {
    let section = |families: &Families| {
        Section::new("families", "Threaded against async")
            .with([Content::Findings {
                sentences: vec![sentence(families)],
                findings: families.findings(),
                quotable: Some("threaded against async"),
            }])
            .table(table(families))
            .paragraph(method(families))
    };
    source.analysis.families.iter().map(section).collect()
}

/// Threaded against async, beside the tables of 2021, as a document.
pub(in crate::report) fn document(source: &Source<'_>) -> Document {
    let name = &source.stored.name;
    let title = prose::load::titled(
        &format!("roundtable: threaded against async in {name}"),
        source.analysis.summary.load(),
    );
    let figures = source.figures.iter().map(|figure| Content::Figure(figure.link()));
    let mut sections: Vec<_> =
        std::iter::once(Section::opening().with(figures)).chain(sections(source)).collect();
    if source.analysis.summary.load().is_closed() {
        sections.extend(published::sections(source));
    } else {
        sections.push(Section::new("published", "Beside the tables of 2021").paragraph(
            "The tables of 2021 are of a closed loop's requests per second: this run says nothing about them. For that, \
             compare a run without --rate.",
        ));
    }
    Document {
        title,
        command: format!("roundtable compare {name}"),
        lead: lead::of_families(source),
        sections,
    }
}

/// A row a condition.
pub(super) fn table(families: &Families) -> Table {
    let mut columns = prose::grid::columns(&families.grid);
    columns.push(Column::numbers("blocks"));
    columns.extend(match families.load {
        Loop::Closed => closed_loop_columns(),
        Loop::Open { .. } => open_loop_columns(),
    });
    let rows = families.cells.iter().map(|cell| {
        let FamiliesCell { condition, blocks, ratios, .. } = cell;
        let mut row = prose::grid::values(&families.grid, condition);
        row.push(Value::count(*blocks));
        for &metric in families.load.main_metrics() {
            let ratio = ratios.get(&metric);
            match families.load {
                Loop::Closed => row.extend(in_three_columns(metric, ratio)),
                Loop::Open { .. } => row.push(in_one_column(metric, ratio)),
            }
        }
        row
    });
    Table::new(columns, rows)
}

fn closed_loop_columns() -> Vec<Column> {
    vec![
        Column::numbers("requests per second, async / threaded").short("requests/second\nasync/threaded"),
        Column::numbers("p"),
        Column::words("verdict"),
        Column::numbers("CPU per request, async / threaded").short("CPU/request\nasync/threaded"),
        Column::numbers("p"),
        Column::words("verdict"),
    ]
}

/// With ratio and verdict in one column: there are three figures.
fn open_loop_columns() -> Vec<Column> {
    vec![
        Column::words("p50 from the intended send time, async / threaded").short("p50\nasync/threaded"),
        Column::words("p99 from the intended send time, async / threaded").short("p99\nasync/threaded"),
        Column::words("CPU per request, async / threaded").short("CPU/request\nasync/threaded"),
    ]
}

fn in_three_columns(metric: Metric, ratio: Option<&Ratio>) -> [Value; 3] {
    let Some(ratio) = ratio else {
        return [Missing::NotMeasured, Missing::NotMeasured, Missing::NoData].map(Value::Missing);
    };
    let word = prose::verdict(metric, ratio);
    let (p, verdict) = match ratio.conclusion() {
        Conclusion::Above | Conclusion::Below => (Value::p(ratio.judged.p_holm), format!("async {word}")),
        Conclusion::ClientBound => (NOTHING.into(), word),
        _ => (Value::p(ratio.judged.p_holm), word),
    };
    [Value::ratio(ratio), p, verdict.into()]
}

fn in_one_column(metric: Metric, ratio: Option<&Ratio>) -> Value {
    match ratio {
        None => Value::Missing(Missing::NoData),
        Some(ratio) => Value::concluded(ratio, prose::verdict(metric, ratio)),
    }
}

/// What the table's figures are, in words.
fn method(families: &Families) -> String {
    let floor = |metric| {
        let floor = families.noise_floors.get(&metric).copied().flatten();
        floor.map_or("unknown".into(), noise_floor)
    };
    let short = |metric: &Metric| match metric {
        Metric::Throughput => "throughput",
        Metric::BalancerCpu | Metric::AllCpu => "CPU",
        Metric::P50 => "p50",
        Metric::P99 => "p99",
    };
    let floors: Vec<_> = families
        .load
        .main_metrics()
        .iter()
        .map(|metric| format!("{} for {}", floor(*metric), short(metric)))
        .collect();
    let (tests, end) = match prose::load::name_with_times(families.load) {
        None => (
            "p: Student's t on the logarithms,",
            "≥ and ≤: the load generator was the limit for models of the better family, and the difference is at least that; \
             client-bound: it hides the difference."
                .to_owned(),
        ),
        Some(load) => (
            "Tests: Student's t on the logarithms,",
            format!("{}, the same for all: throughput is not compared.", capitalised(&load)),
        ),
    };
    format!(
        "Threaded: {}; async: {}. Each ratio is of the families' geometric means within a block: the geometric mean over \
         blocks, and in brackets the interval that its verdict was made from (those of all cells hold together in at least \
         90 % of runs; none is narrower than the noise floor). {tests} after Holm's correction for the \
         number of cells; a verdict at {} % and beyond the noise floor (a model against itself): {}. {end}",
        prose::joined(&families.threaded),
        prose::joined(&families.asynchronous),
        LEVEL * 100.0,
        floors.join(", "),
    )
}

/// What the run says about the metrics that it was made for, in one sentence.
pub fn sentence(families: &Families) -> String {
    let of = |metric| Clause { findings: families.findings_on(metric) };
    let cpu = of(Metric::BalancerCpu).written([
        (Conclusion::Below, "used less CPU time of the balancer per request"),
        (Conclusion::Above, "more"),
    ]);
    let end = format!(
        "it {cpu}: this holds for these models on this testbed under this load, and for the means of the families{}.",
        exceptions(families)
    );
    let Some(load) = prose::load::name_with_times(families.load) else {
        let rate = of(Metric::Throughput).written([
            (Conclusion::Above, "served more requests per second than threaded"),
            (Conclusion::Below, "fewer"),
        ]);
        return format!("Async {rate}; {end}");
    };
    let times = |metric, figure: &str, than: &str| {
        let clause = of(metric);
        if clause.findings.is_empty() {
            return format!("cannot be compared in its {figure} (too few requests a trial)");
        }
        let shorter = format!("had a shorter {figure}{than}");
        clause.written([(Conclusion::Below, &shorter), (Conclusion::Above, "a longer one")])
    };
    format!(
        "{}: async {}; it {}; {end}",
        capitalised(&load),
        times(Metric::P50, "p50 response time", " than threaded"),
        times(Metric::P99, "p99", ""),
    )
}

/// Where single models stand the other way round than their families, as the end of a sentence.
fn exceptions(families: &Families) -> String {
    let pairs = families.exceptions();
    match pairs.first() {
        None => String::new(),
        Some(Pair { asynchronous, threaded, median }) => format!(
            "; in {} of these cells single models stood the other way round{}, furthest {asynchronous} at {median:.2} of \
             {threaded}",
            pairs.len(),
            if families.load.is_closed() { "" } else { " in p50" },
        ),
    }
}

/// The findings on one metric, as a part of a sentence.
struct Clause {
    findings: Vec<Finding>,
}

impl Clause {
    /// "served more requests per second in 3 of 4 cells (ratios 1.19 to 1.21), fewer in none, in 1 this run cannot tell".
    fn written(&self, [first, second]: [(Conclusion, &str); 2]) -> String {
        let all = self.findings.first().map_or(0, |finding| finding.of_conditions);
        let mut text = format!("{} in {} of {}", first.1, self.count(first.0), counted(all, "cell"))
            + &self.range(first.0);
        text.push_str(&format!(", {} in {}{}", second.1, self.count(second.0), self.range(second.0)));
        if let Some(finding) = self.with(Conclusion::Equivalent) {
            let (count, within) = (finding.conditions.len(), finding.evidence.margin.exp_m1() * 100.0);
            text.push_str(&format!(", the same within {within:.0} % in {count}{}", range(finding)));
        }
        if let Some(finding) = self.with(Conclusion::Unsettled) {
            let more = prose::findings::more_blocks(finding);
            text.push_str(&format!(", unsettled in {}{}{more}", finding.conditions.len(), range(finding)));
        }
        if let Some(finding) = self.with(Conclusion::TooFewBlocks) {
            let blocks = prose::few_blocks(finding.evidence.blocks);
            text.push_str(&format!(", no verdict in {} ({blocks})", finding.conditions.len()));
        }
        if let Some(finding) = self.with(Conclusion::ClientBound) {
            text.push_str(&format!(
                ", and {} in which the client was the limit and hides it{}",
                finding.conditions.len(),
                range(finding)
            ));
        }
        text
    }

    fn with(&self, conclusion: Conclusion) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.claim.conclusion() == Some(conclusion))
    }

    fn count(&self, conclusion: Conclusion) -> String {
        self.with(conclusion).map_or("none".to_owned(), |finding| finding.conditions.len().to_string())
    }

    fn range(&self, conclusion: Conclusion) -> String {
        self.with(conclusion).map_or(String::new(), range)
    }
}

#[cfg(test)]
mod tests;
