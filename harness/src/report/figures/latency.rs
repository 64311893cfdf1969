//! Figure: response time by percentile, a panel a cell, a curve a model, pooled over blocks.
//!
//! The horizontal axis is HdrHistogram's: logarithmic in 1 / (1 − p), so that each nine has the same room. A curve
//! ends where fewer requests than [`REQUESTS_BEYOND_A_PERCENTILE`] lie beyond it.

use hdrhistogram::Histogram;
use rayon::prelude::*;

use super::axis::Axis;
use super::frame::{Content, Frame, Panel};
use super::palette::{self, Look};
use super::shape::{Mark, Shape, Tags};
use super::{Figure, Of, columns, left_out, legend, named, short, some_of, tagged};
use crate::analysis::grid::{Grid, Row};
use crate::analysis::metric::Metric;
use crate::analysis::summary::Summary;
use crate::load::latency::{REQUESTS_BEYOND_A_PERCENTILE, percentile_ms};
use crate::plan::{Competitor, Condition, Plan};
use crate::report::prose;
use crate::report::section::Column;
use crate::report::value::Value;

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
/// Panels in a row, and rows of them, that are drawn at most.
const PANELS_A_SIDE: usize = 6;

/// (nines, milliseconds)
type Curve = Vec<(f64, f64)>;

/// The response times of one model under one condition.
struct Times<'a> {
    row: &'a Competitor,
    look: Look,
    curve: Curve,
    /// The percentiles with a tick, as far as the count supports them: name, milliseconds.
    percentiles: Vec<(&'static str, f64)>,
}

impl<'a> Times<'a> {
    fn of(row: &'a Competitor, look: Look, latency: &Histogram<u64>) -> Self {
        let known = |&(nines, name): &(f64, &'static str)| {
            Some((name, percentile_ms(latency, 100.0 * (1.0 - 10f64.powf(-nines)))?))
        };
        let percentiles = TICKS.iter().filter_map(known).collect();
        Times { row, look, curve: curve(latency), percentiles }
    }
}

/// Every model's curve under one condition; `None` fills a row of panels up.
type Curves<'a> = Option<(&'a Condition, Vec<Times<'a>>)>;

pub(super) fn figure<'a>(of: &Of<'a>) -> Option<Figure> {
    let Of { plan, analysis, medium, .. } = *of;
    let summary = &analysis.summary;
    let looks = palette::looks(summary);
    let grid = &summary.grid;
    let rows = thinned(grid);
    let columns = columns(rows.len(), 1);
    let curves = |condition: Option<&'a Condition>| -> Curves<'a> {
        let condition = condition?;
        let of =
            |&(row, look): &(_, Look)| Some(Times::of(row, look, &summary.cell(row, condition).pooled()?));
        Some((condition, looks.iter().filter_map(of).collect()))
    };
    let panels: Vec<_> = in_rows(&rows, columns).into_par_iter().map(curves).collect();
    let points = || panels.iter().flatten().flat_map(|(_, times)| times).flat_map(|times| &times.curve);
    let longest = points().map(|&(nines, _)| nines).reduce(f64::max)?;
    let (fastest, slowest) =
        (points().map(|&(_, ms)| ms).reduce(f64::min)?, points().map(|&(_, ms)| ms).reduce(f64::max)?);
    let to = longest.max(1.0) + 0.12;
    let ticks = TICKS.iter().filter(|(nines, _)| *nines <= to);
    let heading = |curves: &Curves<'_>| {
        curves.as_ref().map_or_else(String::new, |(condition, _)| short(grid, condition))
    };
    let frame = Frame::lay_out(
        Content {
            title: prose::load::titled("Response time by percentile", summary.load()),
            subtitle: subtitle(plan, summary) + left_out(grid, &rows),
            legend: legend(summary, &looks),
            y_title: "response time (ms, log scale)".into(),
            x_title: "percentile of requests (log scale in 1 / (1 − p))".into(),
            x: Axis {
                from: MEDIAN - 0.1,
                to,
                ticks: ticks.map(|&(nines, label)| (nines, label.into())).collect(),
            },
            y: Axis::logarithmic(fastest, slowest),
            panels: panels.iter().map(heading).collect(),
            columns,
            page_width: 560,
            panel_height: 270,
            feet: 0,
        },
        medium,
    );
    let mut marks = Vec::new();
    for (index, (condition, curves)) in
        panels.iter().enumerate().filter_map(|(i, of)| Some((i, of.as_ref()?)))
    {
        for (place, times) in curves.iter().enumerate() {
            // No two models' markers at the same percentile: the last would hide the rest.
            let first = MEDIAN + STEP * 4.0 + place as f64 / curves.len() as f64;
            marks.extend(mark(times, (grid, condition), frame.panel(index), first));
        }
    }
    let columns = vec![Column::numbers("percentile"), Column::numbers("response time, ms")];
    let sentence = prose::findings::of_models(analysis, Metric::P50);
    // The busiest condition: the last of the row and the column.
    let first = panels.iter().rposition(Option::is_some);
    Some(Figure { sentence, first, ..Figure::of(grid, frame, columns, marks) })
}

fn subtitle(plan: &Plan, summary: &Summary) -> String {
    format!(
        "All valid trials of a cell pooled; a curve ends where fewer than \
         {REQUESTS_BEYOND_A_PERCENTILE} requests lie beyond it. {} {}",
        prose::load::times_in_a_figure(summary.load()),
        prose::load::of_a_trial(plan)
    )
}

/// Not more panels than can be read.
fn thinned(grid: &Grid) -> Vec<Row<'_>> {
    let rows = some_of(&grid.along(grid.across()), PANELS_A_SIDE);
    let thinned =
        |Row { common, conditions }| Row { common, conditions: some_of(&conditions, PANELS_A_SIDE) };
    rows.into_iter().map(thinned).collect()
}

/// Conditions row by row: those that have the same on the horizontal axis of other charts stand side by side.
fn in_rows<'a>(rows: &[Row<'a>], columns: usize) -> Vec<Option<&'a Condition>> {
    let mut conditions = Vec::new();
    for place in 0..rows.first().map_or(0, |row| row.conditions.len()) {
        for some in rows.chunks(columns) {
            conditions.extend((0..columns).map(|i| some.get(i)?.conditions[place]));
        }
    }
    while conditions.last() == Some(&None) {
        conditions.pop();
    }
    conditions
}

/// A curve, with a marker a nine from `first` on; `None` where it has no point.
fn mark(times: &Times<'_>, (grid, condition): (&Grid, &Condition), panel: Panel, first: f64) -> Option<Mark> {
    let Times { row, look, curve, percentiles } = times;
    let look = *look;
    let at = |(nines, ms): (f64, f64)| panel.at(nines, ms.ln());
    curve.first()?;
    let mut shapes = Vec::new();
    if curve.len() > 1 {
        let points: Vec<_> = curve.iter().copied().map(at).collect();
        shapes.push(Shape::line(points, look.color, 3));
    }
    let marked = (0..NINES).filter_map(|nine| nearest(curve, first + f64::from(nine)));
    shapes.extend(marked.map(|point| Shape::Marker { look, at: at(point), radius: 6 }));
    let says: Vec<_> =
        percentiles.iter().map(|(name, ms)| format!("p{name} {} ms", Value::figure(*ms).plain())).collect();
    Some(Mark {
        tags: Tags {
            competitor: row.to_string(),
            condition: tagged(grid, condition),
            metric: Some(Metric::P50),
            series: None,
        },
        says: format!("{}: {}", named(row, grid, condition), says.join(", ")),
        rows: percentiles.iter().map(|&(name, ms)| vec![name.into(), Value::figure(ms)]).collect(),
        shapes,
    })
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
