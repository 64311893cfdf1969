//! The report's content, once, for both of its forms: what is said, in which order.

use crate::record::Stored;
use crate::report::bottleneck::{self, Bottlenecks};
use crate::report::charts::Chart;
use crate::report::comparison::Comparison;
use crate::report::metric::Metric;
use crate::report::open_loop;
use crate::report::summary::Summary;
use crate::report::table::Table;
use crate::report::verdicts::{self, Verdicts};
use crate::report::{provenance, tables, words};
use crate::statistics::bootstrap::RESAMPLES;

/// A report.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) title: String,
    pub(super) parts: Vec<Part>,
}

/// One piece of it.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Heading(String),
    Paragraph(String),
    /// Something that a reader must not overlook.
    Warning(String),
    List(Vec<String>),
    Table(Table),
    /// A table that other documents may quote by its name.
    Quotable {
        name: &'static str,
        table: Table,
    },
    Figure {
        slug: String,
        title: String,
        caption: String,
        size: (u32, u32),
    },
}

impl Part {
    pub(super) fn figure(chart: &Chart) -> Self {
        Part::Figure {
            slug: chart.slug().to_owned(),
            title: chart.title().to_owned(),
            caption: chart.caption().to_owned(),
            size: chart.size(),
        }
    }
}

impl Document {
    /// The report of `stored`.
    pub(super) fn of(
        stored: &Stored,
        summary: &Summary,
        bottlenecks: &Bottlenecks,
        verdicts: &Verdicts,
        charts: &[Chart],
    ) -> Self {
        let environment = &stored.environment;
        let plan = &environment.plan;
        let mut parts = Vec::new();
        parts.extend(words::gaps(summary).into_iter().map(Part::Warning));
        parts.extend(provenance::warnings(environment).into_iter().map(Part::Warning));
        let starred = summary.cells.values().any(|cell| cell.invalid > 0 && !cell.valid.is_empty());
        let star = if starred { " * Some trials of this cell were invalid." } else { "" };
        let (figure, name, short) = match plan.base.rate {
            None => {
                ("Requests per second (more is better)".into(), "requests per second", tables::pivot(summary))
            }
            Some(rate) => (
                format!("Response time, p50 / p99 in ms (less is better), {}", open_loop::load(rate)),
                "response times at a fixed rate",
                open_loop::pivot(summary),
            ),
        };
        parts.push(Part::Paragraph(format!(
            "{figure}: medians over {}. {}{star}",
            words::blocks(summary),
            words::strength(summary)
        )));
        parts.push(Part::Quotable { name, table: short });
        parts.push(Part::Heading("Charts".into()));
        if charts.is_empty() {
            parts.push(Part::Paragraph("There is no valid trial, so there is nothing to draw.".into()));
        }
        parts.extend(charts.iter().map(Part::figure));
        parts.push(Part::Heading("What was measured, and how".into()));
        parts.extend(words::method(summary, plan).into_iter().map(Part::Paragraph));
        let found = environment.rate_found.iter();
        parts.extend(found.map(|note| Part::Paragraph(format!("How the rate was chosen: {note}."))));
        parts.extend(every_cell(summary, bottlenecks));
        parts.extend(ratios(summary, verdicts));
        parts.extend(trust(summary, verdicts));
        let limits =
            if plan.base.rate.is_none() { "What limited each cell" } else { "How busy each cell was" };
        parts.push(Part::Heading(limits.into()));
        parts.push(Part::Paragraph(bottleneck::method(summary)));
        parts.push(Part::Table(bottleneck::table(summary, bottlenecks)));
        if let Ok(comparison) = Comparison::within(&stored.name, summary, bottlenecks, verdicts) {
            parts.push(Part::Heading("Threaded against async".into()));
            parts.push(Part::Paragraph(comparison.sentence()));
            parts.push(Part::Table(comparison.table()));
            parts.push(Part::Paragraph(comparison.method()));
        }
        parts.push(Part::Heading("Invalid trials".into()));
        parts.push(match summary.invalid.as_slice() {
            [] => Part::Paragraph("None.".into()),
            invalid => Part::List(invalid.iter().map(words::refused).collect()),
        });
        parts.push(Part::Heading("Provenance".into()));
        parts.push(Part::Table(provenance::facts(environment)));
        parts.push(Part::Heading("The machine's noise".into()));
        parts.push(Part::Table(provenance::noise(stored, summary)));
        if !environment.models.is_empty() {
            parts.push(Part::Heading("The models, and what could differ between them".into()));
            parts.push(Part::Table(provenance::models(environment)));
            parts.push(Part::Table(provenance::manifest(environment)));
        }
        let loop_ = plan.base.rate.map_or(String::new(), |rate| format!(", {}", open_loop::at(rate)));
        Document { title: format!("roundtable: the run {}{loop_}", stored.name), parts }
    }

    /// As Markdown.
    pub(super) fn markdown(&self, run: &str) -> String {
        use crate::report::table::markdown as safe;
        let mut text = format!("# {}\n", safe(&self.title));
        let command = safe(&format!("roundtable report {run}")).replace("--", "- -");
        text.push_str(&format!("\n<!-- Made by `{command}`. Do not edit: make it again. -->\n"));
        for part in &self.parts {
            text.push('\n');
            match part {
                Part::Heading(heading) => text.push_str(&format!("## {}\n", safe(heading))),
                Part::Paragraph(paragraph) => text.push_str(&format!("{}\n", safe(paragraph))),
                Part::Warning(warning) => text.push_str(&format!("> **Mind:** {}\n", safe(warning))),
                Part::List(items) => {
                    for item in items {
                        text.push_str(&format!("- {}\n", safe(item)));
                    }
                }
                Part::Table(table) => text.push_str(&table.markdown()),
                Part::Quotable { name, table } => {
                    let table = table.markdown();
                    text.push_str(&format!("<!-- BEGIN: {name} ({command}) -->\n{table}<!-- END -->\n"));
                }
                Part::Figure { slug, title, caption, .. } => {
                    let (title, caption) = (safe(title), safe(caption));
                    text.push_str(&format!("![{title}. {caption}]({slug}.png)\n"));
                }
            }
        }
        text
    }
}

/// The longest table, with its heading.
fn every_cell(summary: &Summary, bottlenecks: &Bottlenecks) -> [Part; 3] {
    let (heading, what, table) = match summary.rate() {
        None => (
            "Every cell".into(),
            "Time per request is the mean across all concurrent requests (ab's second figure); p50 and p99 are percentiles \
             of a request's own response time; CPU is the balancer's, user and system.",
            tables::throughput(summary, bottlenecks),
        ),
        Some(rate) => (
            format!("Every cell: {}", open_loop::load(rate)),
            "Requests per second are those that were answered, over the whole schedule: the rate. p50 and p99 are \
             percentiles of the response time from when a request was due, each with its range over the blocks; CPU is the \
             balancer's, user and system.",
            open_loop::table(summary, bottlenecks),
        ),
    };
    let what = format!("Each figure is the median over the cell's valid blocks. {what}");
    [Part::Heading(heading), Part::Paragraph(what), Part::Table(table)]
}

/// A table of ratios and verdicts for each metric, and the planted slowdowns.
fn ratios(summary: &Summary, verdicts: &Verdicts) -> Vec<Part> {
    let mut parts = Vec::new();
    for of in verdicts.iter() {
        let Some(table) = verdicts::table(of) else { continue };
        let times = matches!(of.metric, Metric::P50 | Metric::P99);
        let of_loop = match summary.rate() {
            None if times => " (closed loop)".to_owned(),
            None => String::new(),
            Some(rate) if times => format!(" ({})", open_loop::load(rate)),
            Some(rate) => format!(" ({})", open_loop::at(rate)),
        };
        parts.push(Part::Heading(format!("Ratios of {}{of_loop}", of.metric.name())));
        let floor = match of.floor {
            Some(floor) => format!("Noise floor: {}.", words::floor(floor)),
            None => "The noise floor is unknown: this run has no model measured twice (A/A).".into(),
        };
        let capped = if of.models.iter().any(|comparison| comparison.capped) {
            " Client-bound: the client was the limit on one side at least, so the ratio is not ranked."
        } else {
            ""
        };
        parts.push(Part::Paragraph(format!(
            "Geometric mean of the ratios within each block, in brackets its 95 % interval, then the verdict. \
             {floor}{capped}"
        )));
        parts.push(Part::Table(table));
    }
    let planted: Vec<_> =
        verdicts.iter().filter_map(|of| Some((of.metric, verdicts::planted(of)?))).collect();
    if !planted.is_empty() {
        parts.push(Part::Heading("Planted slowdowns".into()));
        parts.push(Part::Paragraph(
            "A model that was made to burn more CPU time for each request, compared with itself: what this run finds of a \
             difference that is known to be there. No competitor."
                .into(),
        ));
        for (metric, table) in planted {
            parts.push(Part::Paragraph(format!("{}:", metric.name())));
            parts.push(Part::Table(table));
        }
    }
    parts
}

/// The noise floor, and how far verdicts may be trusted.
fn trust(summary: &Summary, verdicts: &Verdicts) -> Vec<Part> {
    let twins: Vec<_> = summary.models.iter().filter(|row| row.replicate).map(words::row).collect();
    let pair = if twins.is_empty() {
        "This run has no such row: verdicts rest on the intervals alone.".to_owned()
    } else {
        format!("Here: {}.", twins.join(", "))
    };
    vec![
        Part::Heading("A/A: the noise floor".into()),
        Part::Paragraph(format!(
            "A row called again is the same model under a second name, in every block: what differs between the two is \
             noise. {pair} The noise floor is the largest geometric-mean ratio of any such cell, or what their pooled \
             spread lets expect of one cell in 95 % of cases, whichever is further from 1. One in twenty of their intervals \
             is expected to leave out 1; after correction, one run in twenty has any A/A comparison of a metric that is not \
             indistinguishable. The last column is a second \
             opinion on the models' intervals: the studentised bootstrap over blocks, {} resamples.",
            words::grouped(&RESAMPLES.to_string())
        )),
        Part::Table(verdicts::trust(verdicts)),
    ]
}
