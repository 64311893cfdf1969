//! Figure: requests per second by concurrency, a panel a backend count, a line a model.

use plotters::backend::DrawingBackend;

use super::axis::Axis;
use super::frame::{Area, Drawn, Frame, Panel, line, mark, whisker};
use super::palette::{self, Look};
use super::{backends_heading, columns, legend};
use crate::data::Plan;
use crate::report::summary::{Measured, Summary};
use crate::report::words;
use crate::statistics::Spread;

/// How far the marks of neighbouring models stand apart, pixels: whiskers at the same place would hide each other.
const APART: i32 = 8;

/// The figure's data.
#[derive(Debug)]
pub(super) struct Throughput {
    frame: Frame,
    /// For each panel, for each model: its spread at each concurrency, at ln(concurrency).
    panels: Vec<Vec<(Look, Vec<(f64, Option<Spread>)>)>>,
}

impl Throughput {
    pub(super) fn of(summary: &Summary, plan: &Plan) -> Option<Self> {
        let looks = palette::looks(summary);
        let largest =
            summary.cells.values().filter_map(|cell| Some(cell.spread(Measured::rate)?.max)).reduce(f64::max)?;
        let x = Axis::of_counts(&summary.concurrency);
        let spread = |model: &str, backends, (concurrency, at): (u32, f64)| {
            (at, summary.cell(model, backends, concurrency).spread(Measured::rate))
        };
        let places = || summary.concurrency.iter().zip(&x.ticks).map(|(&c, &(at, _))| (c, at));
        let panel = |&backends: &u32| -> Vec<_> {
            looks
                .iter()
                .map(|&(model, look)| (look, places().map(|at| spread(model, backends, at)).collect()))
                .collect()
        };
        let panels = summary.backends.iter().map(panel).collect();
        let frame = Frame {
            title: "Throughput by concurrency".into(),
            subtitle: format!(
                "Marks: median over {}; whiskers: slowest to fastest block. {}",
                words::blocks(summary),
                words::load(plan)
            ),
            legend: legend(summary, &looks),
            y_title: "requests per second".into(),
            x_title: "concurrency (requests outstanding at any time, log scale)".into(),
            y: Axis::from_zero(largest),
            x,
            panels: summary.backends.iter().map(|&b| backends_heading(b)).collect(),
            columns: columns(summary.backends.len()),
            panel_height: 460,
            feet: 0,
        };
        Some(Throughput { frame, panels })
    }

    pub(super) fn frame(&self) -> &Frame {
        &self.frame
    }

    pub(super) fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Drawn<DB> {
        self.frame.draw(area)?;
        for (index, models) in self.panels.iter().enumerate() {
            let panel = self.frame.panel(index);
            for (place, (look, spreads)) in models.iter().enumerate() {
                let shift = APART * (2 * place as i32 - models.len() as i32 + 1) / 2;
                draw_model(area, panel, *look, spreads, shift)?;
            }
        }
        Ok(())
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
        let (px, low) = at(x, spread.min);
        whisker(area, px, (low, at(x, spread.max).1), look.color)?;
        mark(area, look, at(x, spread.median), 8)?;
    }
    Ok(())
}
