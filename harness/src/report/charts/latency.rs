//! Figure: response time by percentile, a panel a cell, a curve a model, pooled over blocks.
//!
//! The horizontal axis is HdrHistogram's: logarithmic in 1 / (1 − p), so that each nine has the same room. A curve
//! ends where fewer requests than [`REQUESTS_BEYOND_A_PERCENTILE`] lie beyond it.

use hdrhistogram::Histogram;
use plotters::backend::DrawingBackend;
use rayon::prelude::*;

use super::axis::Axis;
use super::frame::{Area, Content, Drawn, Frame, line, mark};
use super::palette::{self, Look};
use super::{backends_heading, columns, left_out, legend, some_of};
use crate::load::latency::REQUESTS_BEYOND_A_PERCENTILE;
use crate::plan::{Competitor, Plan};
use crate::report::summary::Summary;
use crate::report::words;

/// The median, where the curves begin, in nines: log10 of 1 / (1 − 0.5).
const MEDIAN: f64 = std::f64::consts::LOG10_2;
/// Between two points of a curve, in nines.
const STEP: f64 = 0.02;
/// Percentiles with a tick, and their place in nines.
const TICKS: [(f64, &str); 7] = [
    (MEDIAN, "50"),
    (1.0, "90"),
    (2.0, "99"),
    (3.0, "99.9"),
    (4.0, "99.99"),
    (5.0, "99.999"),
    (6.0, "99.9999"),
];

/// The nines of the last tick.
const NINES: u8 = 6;
/// Backend counts, and concurrencies, that are drawn at most.
const PANELS_A_SIDE: usize = 6;

/// (nines, milliseconds)
type Curve = Vec<(f64, f64)>;

/// The figure's data.
#[derive(Debug)]
pub(super) struct Latency {
    frame: Frame,
    panels: Vec<Vec<(Look, Curve)>>,
}

impl Latency {
    pub(super) fn of(summary: &Summary, plan: &Plan) -> Option<Self> {
        let looks = palette::looks(summary);
        let (shown_backends, shown_concurrency) =
            (some_of(&summary.backends, PANELS_A_SIDE), some_of(&summary.concurrency, PANELS_A_SIDE));
        let columns = columns(shown_backends.len());
        let mut cells = Vec::new();
        // Row by row: a concurrency's panels stand side by side.
        for &concurrency in &shown_concurrency {
            for backends in shown_backends.chunks(columns) {
                cells.extend((0..columns).map(|i| backends.get(i).map(|&b| (b, concurrency))));
            }
        }
        while cells.last() == Some(&None) {
            cells.pop();
        }
        let curves = |cell: &Option<(u32, u32)>| -> Vec<(Look, Curve)> {
            let Some((backends, concurrency)) = *cell else { return Vec::new() };
            let of = |model: &Competitor| summary.cell(model, backends, concurrency).pooled();
            looks.iter().filter_map(|&(model, look)| Some((look, curve(&of(model)?)))).collect()
        };
        let panels: Vec<_> = cells.par_iter().map(curves).collect();
        let points = || panels.iter().flatten().flat_map(|(_, curve)| curve);
        let longest = points().map(|&(nines, _)| nines).reduce(f64::max)?;
        let (fastest, slowest) =
            (points().map(|&(_, ms)| ms).reduce(f64::min)?, points().map(|&(_, ms)| ms).reduce(f64::max)?);
        let to = longest.max(1.0) + 0.12;
        let ticks = TICKS.iter().filter(|(nines, _)| *nines <= to);
        let heading = |cell: &Option<(u32, u32)>| {
            cell.map_or_else(String::new, |(b, c)| format!("{}, c = {c}", backends_heading(b)))
        };
        let content = Content {
            title: words::titled("Response time by percentile", plan),
            subtitle: format!(
                "All valid trials of a cell pooled; a curve ends where fewer than \
                 {REQUESTS_BEYOND_A_PERCENTILE} requests lie beyond it. {} {}",
                match plan.base.rate {
                    None =>
                        "Closed-loop times: they leave out the wait of requests that a stalled loop did not send \
                             (coordinated omission).",
                    Some(_) =>
                        "Times from the intended send time: whatever a request waited since it was due is in them.",
                },
                words::load(plan) + left_out(summary, &shown_backends, &shown_concurrency)
            ),
            legend: legend(summary, &looks),
            y_title: "response time (ms, log scale)".into(),
            x_title: "percentile of requests (log scale in 1 / (1 − p))".into(),
            x: Axis {
                from: MEDIAN - 0.1,
                to,
                ticks: ticks.map(|&(nines, label)| (nines, label.into())).collect(),
            },
            y: Axis::logarithmic(fastest, slowest),
            panels: cells.iter().map(heading).collect(),
            columns,
            panel_height: 270,
            feet: 0,
        };
        Some(Latency { frame: Frame::lay_out(content), panels })
    }

    pub(super) fn frame(&self) -> &Frame {
        &self.frame
    }

    pub(super) fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Drawn<DB> {
        self.frame.draw(area)?;
        for (index, curves) in self.panels.iter().enumerate() {
            let panel = self.frame.panel(index);
            for (place, (look, curve)) in curves.iter().enumerate() {
                let points: Vec<_> = curve.iter().map(|&(nines, ms)| panel.at(nines, ms.ln())).collect();
                if points.len() > 1 {
                    line(area, &points, look.color, 3)?;
                }
                // One marker a nine, no two models' at the same place: at the same place the last would hide the rest.
                let first = MEDIAN + STEP * 4.0 + place as f64 / curves.len() as f64;
                let marked = (0..NINES).filter_map(|nine| nearest(curve, first + f64::from(nine)));
                for (nines, ms) in marked {
                    mark(area, *look, panel.at(nines, ms.ln()), 6)?;
                }
            }
        }
        Ok(())
    }
}

fn nearest(curve: &Curve, nines: f64) -> Option<(f64, f64)> {
    curve.iter().copied().find(|(at, _)| (at - nines).abs() < STEP / 2.0 + 1e-9)
}

/// From the median as far as the count supports.
fn curve(latency: &Histogram<u64>) -> Curve {
    let count = latency.len() as f64;
    let end = (count / REQUESTS_BEYOND_A_PERCENTILE as f64).log10();
    let mut steps = (0..)
        .map(|i| MEDIAN + f64::from(i) * STEP)
        .take_while(|nines| *nines <= end + 1e-9)
        .map(|nines| (nines, (count * (1.0 - 10f64.powf(-nines))).ceil()))
        .peekable();
    let mut curve = Curve::new();
    let mut passed = 0;
    // One pass: a histogram has some thirty thousand buckets, and a query walks them all.
    for bucket in latency.iter_recorded() {
        passed += bucket.count_since_last_iteration();
        while let Some((nines, _)) = steps.next_if(|&(_, rank)| rank <= passed as f64) {
            curve.push((nines, bucket.value_iterated_to() as f64 / 1e6));
        }
    }
    curve
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::latency::histogram;

    #[test]
    fn a_curve_agrees_with_the_histogram_and_ends_where_the_count_does() {
        let mut latency = histogram();
        for i in 1..=10_000u64 {
            latency.saturating_record(i * 1_000);
        }
        let curve = curve(&latency);
        assert!((curve[0].1 - 5.0).abs() < 0.01, "median {:?}", curve[0]);
        let (_, p99) = nearest(&curve, 2.0).unwrap();
        assert!((p99 - 9.9).abs() < 0.02, "p99 {p99}");
        let (last, _) = *curve.last().unwrap();
        let beyond = 10_000.0 * 10f64.powf(-last);
        assert!((20.0..22.0).contains(&beyond), "{beyond} requests beyond the last point");
    }

    #[test]
    fn too_few_requests_make_no_curve() {
        let mut latency = histogram();
        latency.saturating_record_n(1_000_000, 30);
        assert!(curve(&latency).is_empty());
    }
}
