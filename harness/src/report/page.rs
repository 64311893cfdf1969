//! What `index.html` is made from: a report, its figures panel by panel, and what the switches let a reader choose.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::ReportError;
use super::figures::{Figure, FigureError};
use super::prose;
use super::render::html::{Drawn, Entry, Switch, Switches, page};
use super::section::Document;
use crate::analysis::Analysis;

/// `document` as a page, with `figures` made for pages.
pub(super) fn of(document: &Document, figures: &[Figure], switches: Switches) -> Result<String, ReportError> {
    let drawn = figures.iter().map(drawn).collect::<Result<Vec<_>, FigureError>>()?;
    page(document, drawn, switches).map_err(|error| ReportError::Page(error.to_string()))
}

/// What a reader may choose of a run.
pub(super) fn switches(analysis: &Analysis) -> Switches {
    let summary = &analysis.summary;
    let varied = summary.grid.dimensions().iter().filter(|of| of.levels.len() > 1);
    let switch = |of: &crate::analysis::grid::Dimension| Switch {
        name: of.factor.name.to_owned(),
        title: of.factor.title.to_owned(),
        levels: of.levels.iter().map(|level| (level.to_string(), of.factor.told(level))).collect(),
    };
    Switches {
        conditions: varied.map(switch).collect(),
        models: summary.shown().map(|row| (row.to_string(), prose::row(row))).collect(),
    }
}

fn drawn(figure: &Figure) -> Result<Drawn, FigureError> {
    let mut panels = figure.panels()?;
    let mut more = Vec::new();
    if let Some(first) = figure.first().filter(|&first| first < panels.len()) {
        let shown = panels.remove(first);
        more = std::mem::replace(&mut panels, vec![shown]);
    }
    let [y_title, x_title] = figure.axis_titles().map(str::to_owned);
    let legend = figure.legend()?.into_iter();
    let legend = legend.map(|(swatch, name, competitor)| Entry { swatch, name, competitor });
    Ok(Drawn {
        id: figure.id().to_owned(),
        title: figure.title().to_owned(),
        sentence: figure.sentence().unwrap_or_default().to_owned(),
        caption: figure.caption().to_owned(),
        legend: legend.collect(),
        panels,
        more,
        least_width: figure.panel_width(),
        y_title,
        x_title,
        csv: format!("data:text/csv;base64,{}", STANDARD.encode(figure.csv()?)),
    })
}
