//! Figure: requests per second by concurrency, a panel a backend count, a line a model.

use plotters::backend::DrawingBackend;

use super::axis::Axis;
use super::frame::{Area, Content, Drawn, Frame, Panel, line, mark, whisker};
use super::palette::{self, Look};
use super::{PANELS, backends_heading, columns, left_out, legend, some_of};
use crate::plan::{Competitor, Plan};
use crate::report::summary::{Measured, Summary};
use crate::report::words;
use crate::statistics::Spread;

/// How far the marks of neighbouring models stand apart at most, pixels: whiskers at the same place would hide
/// each other.
const APART: f64 = 24.0;

/// At the logarithm of each concurrency: the rate.
type Curve = Vec<(f64, Option<Spread>)>;

/// The figure's data.
#[derive(Debug)]
pub(super) struct Throughput {
    frame: Frame,
    /// For each panel, for each model.
    panels: Vec<Vec<(Look, Curve)>>,
}

impl Throughput {
    pub(super) fn of(summary: &Summary, plan: &Plan) -> Option<Self> {
        let backends = some_of(&summary.backends, PANELS);
        let looks = palette::looks(summary);
        let rates = looks.iter().flat_map(|&(model, _)| {
            summary
                .places()
                .into_iter()
                .filter_map(move |(b, c)| summary.cell(model, b, c).spread(Measured::rate))
        });
        let largest = rates.map(|spread| spread.max).reduce(f64::max)?;
        let x = Axis::of_counts(&summary.concurrency);
        let spread = |model: &Competitor, backends, (concurrency, at): (u32, f64)| {
            (at, summary.cell(model, backends, concurrency).spread(Measured::rate))
        };
        let places = || summary.concurrency.iter().zip(&x.ticks).map(|(&c, &(at, _))| (c, at));
        let panel = |&backends: &u32| -> Vec<_> {
            looks
                .iter()
                .map(|&(model, look)| (look, places().map(|at| spread(model, backends, at)).collect()))
                .collect()
        };
        let panels = backends.iter().map(panel).collect();
        let content = Content {
            title: "Throughput by concurrency".into(),
            subtitle: format!(
                "Marks: median over {}; whiskers: slowest to fastest block. {}",
                words::blocks(summary),
                words::load(plan)
                    + words::empty_cells(summary)
                    + left_out(summary, &backends, &summary.concurrency)
            ),
            legend: legend(summary, &looks),
            y_title: "requests per second".into(),
            x_title: "concurrency (requests outstanding at any time, log scale)".into(),
            y: Axis::from_zero(largest),
            x,
            panels: backends.iter().map(|&b| backends_heading(b)).collect(),
            columns: columns(backends.len()),
            panel_height: 540,
            feet: 0,
        };
        Some(Throughput { frame: Frame::lay_out(content), panels })
    }

    pub(super) fn frame(&self) -> &Frame {
        &self.frame
    }

    pub(super) fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Drawn<DB> {
        self.frame.draw(area)?;
        for (index, models) in self.panels.iter().enumerate() {
            let panel = self.frame.panel(index);
            let apart = self.apart(panel, models.len());
            for (place, (look, spreads)) in models.iter().enumerate() {
                let from_middle = place as f64 - (models.len() - 1) as f64 / 2.0;
                draw_model(area, panel, *look, spreads, (from_middle * apart).round() as i32)?;
            }
        }
        Ok(())
    }

    /// Less than [`APART`] where the models of one concurrency would reach into those of the next.
    fn apart(&self, panel: Panel, models: usize) -> f64 {
        let at: Vec<_> = self.frame.content.x.ticks.iter().map(|&(x, _)| panel.at(x, 0.0).0).collect();
        let narrowest = at.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(panel.right - panel.left);
        APART.min(0.7 * f64::from(narrowest) / models as f64)
    }
}

fn draw_model<DB: DrawingBackend>(
    area: &Area<DB>,
    panel: Panel,
    look: Look,
    spreads: &[(f64, Option<Spread>)],
    shift: i32,
) -> Drawn<DB> {
    let at = |x: f64, y: f64| {
        let (px, py) = panel.at(x, y);
        (px + shift, py)
    };
    // A cell without a valid trial interrupts the line: nothing is drawn across what was not measured.
    for run in spreads.split(|(_, spread)| spread.is_none()) {
        let points: Vec<_> = run.iter().filter_map(|&(x, s)| Some(at(x, s?.median))).collect();
        if points.len() > 1 {
            line(area, &points, look.color, 3)?;
        }
    }
    for (x, spread) in spreads.iter().filter_map(|&(x, spread)| Some((x, spread?))) {
        mark(area, look, at(x, spread.median), 7)?;
        let (px, low) = at(x, spread.min);
        whisker(area, px, (low, at(x, spread.max).1), look.color)?;
    }
    Ok(())
}
