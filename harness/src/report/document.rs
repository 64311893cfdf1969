//! The report's content, once, for both of its forms: what is said, in which order.

use crate::data::Stored;
use crate::report::charts::Chart;
use crate::report::comparison::Comparison;
use crate::report::summary::Summary;
use crate::report::table::Table;
use crate::report::{provenance, tables, words};

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
        slug: &'static str,
        title: String,
        caption: String,
        size: (u32, u32),
    },
}

impl Document {
    /// The report of `stored`.
    pub(super) fn of(stored: &Stored, summary: &Summary, charts: &[Chart]) -> Self {
        let environment = &stored.environment;
        let plan = &environment.plan;
        let mut parts = Vec::new();
        parts.extend(words::gaps(summary).into_iter().map(Part::Warning));
        parts.extend(provenance::warnings(environment).into_iter().map(Part::Warning));
        let starred = summary.cells.values().any(|cell| cell.invalid > 0 && !cell.valid.is_empty());
        let star = if starred { " * Some trials of this cell were invalid." } else { "" };
        parts.push(Part::Paragraph(format!(
            "Requests per second (more is better): medians over {}. {}{star}",
            words::blocks(summary),
            words::strength(summary)
        )));
        parts.push(Part::Quotable { name: "requests per second", table: tables::pivot(summary) });
        parts.push(Part::Heading("Charts".into()));
        if charts.is_empty() {
            parts.push(Part::Paragraph("There is no valid trial, so there is nothing to draw.".into()));
        }
        parts.extend(charts.iter().map(|chart| Part::Figure {
            slug: chart.slug(),
            title: chart.title().to_owned(),
            caption: chart.caption().to_owned(),
            size: chart.size(),
        }));
        parts.push(Part::Heading("What was measured, and how".into()));
        parts.extend(words::method(summary, plan).into_iter().map(Part::Paragraph));
        parts.push(Part::Heading("Every cell".into()));
        parts.push(Part::Paragraph(
            "Each figure is the median over the cell's valid blocks. Time per request is the mean across all concurrent \
             requests (ab's second figure); p50 and p99 are percentiles of a request's own response time; CPU is the \
             balancer's, user and system."
                .into(),
        ));
        parts.push(Part::Table(tables::throughput(summary)));
        if let Some(ratios) = tables::ratios(summary) {
            parts.push(Part::Heading("Throughput as a ratio".into()));
            parts.push(Part::Paragraph(
                "Median of the ratios within each block, and in brackets the smallest and the largest block."
                    .into(),
            ));
            parts.push(Part::Table(ratios));
        }
        if let Ok(comparison) = Comparison::within(&stored.name, summary) {
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
        Document { title: format!("roundtable: the run {}", stored.name), parts }
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
