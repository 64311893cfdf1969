//! Figures: each model's throughput, and its CPU time a request, as a ratio to the reference model's.
//!
//! A ratio is taken within a block, between trials that met the same weather; the mark is the median of their
//! logarithms over the blocks, the whisker reaches from the smallest to the largest.

use plotters::backend::DrawingBackend;

use super::axis::Axis;
use super::frame::{Area, Content, Drawn, Frame, line, mark, whisker};
use super::palette::{self, Look};
use super::{PANELS, backends_heading, columns, left_out, legend, some_of};
use crate::data::{DIRECT, Plan};
use crate::report::summary::{Measured, Summary};
use crate::report::words;
use crate::statistics::{Spread, ratio_spread};

/// Share of a group's width within which its marks stand.
const FILLED: f64 = 0.66;

/// Which figure of a trial is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    Rate,
    Cpu,
}

/// For each model: its ratio.
type Group = Vec<(Look, Option<Spread>)>;

/// The figure's data.
#[derive(Debug)]
pub(super) struct Ratio {
    frame: Frame,
    models: usize,
    /// For each panel, for each concurrency.
    panels: Vec<Vec<Group>>,
}

impl Ratio {
    pub(super) fn of(summary: &Summary, plan: &Plan, metric: Metric) -> Option<Self> {
        let reference = summary.reference()?;
        let compared = |model: &str| model != DIRECT && model != reference;
        let backends = some_of(&summary.backends, PANELS);
        let looks: Vec<_> =
            palette::looks(summary).into_iter().filter(|(model, _)| compared(model)).collect();
        let figure = |measured: &Measured| match metric {
            Metric::Rate => measured.rate(),
            Metric::Cpu => measured.cpu_us(),
        };
        let ratio = |model, b, c| ratio_spread(&summary.log_ratios((model, reference), (b, c), figure));
        let panel = |&b: &u32| -> Vec<Vec<_>> {
            let group = |&c: &u32| looks.iter().map(|&(model, look)| (look, ratio(model, b, c))).collect();
            summary.concurrency.iter().map(group).collect()
        };
        let panels: Vec<_> = backends.iter().map(panel).collect();
        let ratios = || panels.iter().flatten().flatten().filter_map(|&(_, spread): &(Look, _)| spread);
        // The line at 1 is always in sight.
        let smallest = ratios().map(|r| r.min).reduce(f64::min)?.min(0.97);
        let largest = ratios().map(|r| r.max).reduce(f64::max)?.max(1.03);
        let (title, y_title, better) = match metric {
            Metric::Rate => (
                format!("Throughput relative to {reference}"),
                "ratio of requests per second",
                "over 1: faster",
            ),
            Metric::Cpu => (
                format!("CPU time per request relative to {reference}"),
                "ratio of the balancer's CPU time per request",
                "under 1: cheaper",
            ),
        };
        let content = Content {
            title,
            subtitle: format!(
                "Each ratio is taken within a block. Marks: median over {}; whiskers: smallest to largest block, \
                 which is no confidence interval. {}",
                words::blocks(summary),
                words::load(plan)
                    + words::empty_cells(summary)
                    + left_out(summary, &backends, &summary.concurrency)
            ),
            legend: legend(summary, &looks),
            y_title: format!("{y_title} (log scale; {better} than {reference})"),
            x_title: "concurrency (requests outstanding at any time)".into(),
            x: Axis::of_groups(&summary.concurrency),
            y: Axis::logarithmic(smallest, largest),
            panels: backends.iter().map(|&b| backends_heading(b)).collect(),
            columns: columns(backends.len()),
            panel_height: 380,
            feet: 0,
        };
        Some(Ratio { frame: Frame::lay_out(content), models: looks.len(), panels })
    }

    pub(super) fn frame(&self) -> &Frame {
        &self.frame
    }

    pub(super) fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Drawn<DB> {
        self.frame.draw(area)?;
        for (index, groups) in self.panels.iter().enumerate() {
            let panel = self.frame.panel(index);
            let (_, one) = panel.at(0.0, 0.0);
            line(area, &[(panel.left, one), (panel.right, one)], palette::INK, 3)?;
            for (group, ratios) in groups.iter().enumerate() {
                for (place, (look, spread)) in ratios.iter().enumerate() {
                    let Some(spread) = spread else { continue };
                    let offset = (place as f64 + 0.5) / self.models as f64 - 0.5;
                    let at = |ratio: f64| panel.at(group as f64 + offset * FILLED, ratio.ln());
                    let (x, low) = at(spread.min);
                    whisker(area, x, (low, at(spread.max).1), look.color)?;
                    mark(area, *look, at(spread.median), 8)?;
                }
            }
        }
        Ok(())
    }
}
