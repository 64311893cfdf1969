//! Figures: each model's throughput, response time or CPU time a request, as a ratio to the reference model's.
//!
//! A ratio is taken within a block, between trials that met the same weather; the mark is their geometric mean over the
//! blocks, the whisker its 95 % interval.

use plotters::backend::DrawingBackend;

use super::axis::Axis;
use super::frame::{Area, Content, Drawn, Frame, line, mark, whisker};
use super::palette::{self, Look};
use super::{PANELS, backends_heading, columns, left_out, legend, some_of};
use crate::plan::{Competitor, Plan};
use crate::report::metric::Metric;
use crate::report::summary::Summary;
use crate::report::verdicts::OfMetric;
use crate::report::words;
use crate::statistics::verdict::Judged;

/// Share of a group's width within which its marks stand.
const FILLED: f64 = 0.66;
/// A whisker reaches no further than by this factor: two blocks may have an interval that dwarfs everything else.
const FURTHEST: f64 = 10.0;

/// A mark and its whisker, ratios.
#[derive(Debug, Clone, Copy)]
struct Point {
    ratio: f64,
    low: f64,
    high: f64,
}

/// For each model: its ratio.
type Group = Vec<(Look, Option<Point>)>;

/// The figure's data.
#[derive(Debug)]
pub(super) struct Ratio {
    frame: Frame,
    models: usize,
    /// For each panel, for each concurrency.
    panels: Vec<Vec<Group>>,
}

impl Ratio {
    pub(super) fn of(summary: &Summary, plan: &Plan, verdicts: &OfMetric) -> Option<Self> {
        let reference = summary.reference()?;
        let compared = |model: &Competitor| !model.is_direct() && model != reference;
        let backends = some_of(&summary.backends, PANELS);
        let looks: Vec<_> =
            palette::looks(summary).into_iter().filter(|(model, _)| compared(model)).collect();
        let point = |model: &Competitor, place| {
            let comparison = verdicts.models.iter().find(|c| c.row == *model && c.place == place)?;
            let Judged { ratio, interval, .. } = comparison.judged?;
            let (low, high) = interval.map_or((ratio, ratio), |interval| (interval.low, interval.high));
            Some(Point { ratio, low: low.max(ratio / FURTHEST), high: high.min(ratio * FURTHEST) })
        };
        let panel = |&b: &u32| -> Vec<Group> {
            let group = |&c: &u32| looks.iter().map(|&(model, look)| (look, point(model, (b, c)))).collect();
            summary.concurrency.iter().map(group).collect()
        };
        let panels: Vec<_> = backends.iter().map(panel).collect();
        let points = || panels.iter().flatten().flatten().filter_map(|&(_, point): &(Look, _)| point);
        // The line at 1 is always in sight.
        let smallest = points().map(|p| p.low).reduce(f64::min)?.min(0.97);
        let largest = points().map(|p| p.high).reduce(f64::max)?.max(1.03);
        let (title, y_title, better) = match verdicts.metric {
            Metric::Throughput => (
                format!("Throughput relative to {reference}"),
                "ratio of requests per second",
                "over 1: faster",
            ),
            Metric::P50 => (
                format!("Median response time relative to {reference}"),
                "ratio of the p50 response time",
                "under 1: quicker",
            ),
            Metric::P99 => (
                format!("p99 response time relative to {reference}"),
                "ratio of the p99 response time",
                "under 1: quicker",
            ),
            Metric::BalancerCpu | Metric::AllCpu => (
                format!("CPU time per request relative to {reference}"),
                "ratio of the balancer's CPU time per request",
                "under 1: cheaper",
            ),
        };
        let floor = verdicts.floor.map_or(String::new(), |floor| {
            format!(" A model differed from itself by up to {}: the noise floor.", words::floor(floor))
        });
        let capped = if verdicts.models.iter().any(|comparison| comparison.capped) {
            " Some of these were limited by the client, and are not ranked: the tables say which."
        } else {
            ""
        };
        let content = Content {
            title: words::titled(&title, plan),
            subtitle: format!(
                "Each ratio is taken within a block. Marks: geometric mean over {}; whiskers: 95 % confidence interval of \
                 that one ratio (Student's t on the logarithms).{floor}{capped} {}",
                words::blocks(summary),
                words::load(plan)
                    + words::empty_cells(summary)
                    + left_out(summary, &backends, &summary.concurrency)
            ),
            legend: legend(summary, &looks),
            y_title: format!("{y_title} (log scale; {better} than {reference})"),
            x_title: format!("concurrency ({})", words::concurrency(plan)),
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
                for (place, (look, point)) in ratios.iter().enumerate() {
                    let Some(Point { ratio, low, high }) = *point else { continue };
                    let offset = (place as f64 + 0.5) / self.models as f64 - 0.5;
                    let at = |ratio: f64| panel.at(group as f64 + offset * FILLED, ratio.ln());
                    let (x, low) = at(low);
                    whisker(area, x, (low, at(high).1), look.color)?;
                    mark(area, *look, at(ratio), 8)?;
                }
            }
        }
        Ok(())
    }
}
