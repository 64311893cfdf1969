//! Figures: each model's throughput, response time or CPU time a request, as a ratio to the reference model's.
//!
//! A ratio is taken within a block, between trials that met the same state of the machine; the mark is their geometric mean
//! over the blocks, the whisker the interval of its verdict.

use super::axis::Axis;
use super::frame::{Content, Frame};
use super::palette::{self, Look};
use super::shape::{Group, Mark, Shape, Tags};
use super::{Figure, Of, columns, heading, left_out, legend, named, panel_width, panels, tagged};
use crate::analysis::grid::Grid;
use crate::analysis::metric::Metric;
use crate::analysis::ratio::{Bound, Ratio};
use crate::analysis::verdicts::OfMetric;
use crate::plan::{Competitor, Condition};
use crate::report::prose;
use crate::report::section::Column;
use crate::report::value::{Value, noise_floor};

/// Share of a group's width within which its marks stand.
const FILLED: f64 = 0.66;
/// A whisker reaches no further than by this factor: two blocks may have an interval that dwarfs everything else.
const FURTHEST: f64 = 10.0;

pub(super) fn figure(of: &Of<'_>, metric: Metric) -> Option<Figure> {
    let Of { plan, analysis, medium, .. } = *of;
    let summary = &analysis.summary;
    let verdicts = analysis.verdicts.on(metric)?;
    let reference = summary.reference()?;
    let grid = &summary.grid;
    let (across, rows) = (grid.across(), panels(grid));
    let is_compared = |row: &Competitor| !row.is_direct() && row != reference;
    let looks: Vec<_> = palette::looks(summary).into_iter().filter(|(row, _)| is_compared(row)).collect();
    let whiskers = || {
        let drawn = || rows.iter().flat_map(|row| row.conditions.iter().flatten());
        let shown =
            verdicts.models.iter().filter(move |of| drawn().any(|condition| **condition == of.condition));
        shown.filter_map(|of| of.ratio).map(|ratio| whisker(&ratio))
    };
    // The line at 1 is always in sight.
    let smallest = whiskers().map(|(low, _)| low).reduce(f64::min)?.min(0.97);
    let largest = whiskers().map(|(_, high)| high).reduce(f64::max)?.max(1.03);
    let words = Words::of(metric);
    let frame = Frame::lay_out(
        Content {
            title: prose::load::titled(&format!("{} relative to {reference}", words.title), summary.load()),
            subtitle: format!(
                "Each ratio is taken within a block. Marks: geometric mean over {}; whiskers: the interval that its verdict \
                 was made from (all hold together in at least 90 % of runs).{} {}",
                prose::blocks(summary),
                remarks(verdicts),
                prose::load::of_a_trial(plan) + prose::empty_cells(summary) + left_out(grid, &rows)
            ),
            legend: legend(summary, &looks),
            y_title: format!("{} (log scale; {} than {reference})", words.axis, words.better),
            x_title: prose::load::across(summary.load(), across, ""),
            x: Axis::of_groups(&across.levels),
            y: Axis::logarithmic(smallest, largest),
            panels: rows.iter().map(heading).collect(),
            columns: columns(rows.len(), looks.len()),
            page_width: panel_width(300, looks.len()),
            panel_height: 380,
            feet: 0,
        },
        medium,
    );
    let (mut under, mut marks) = (Vec::new(), Vec::new());
    for (index, of) in rows.iter().enumerate() {
        let panel = frame.panel(index);
        let (_, one) = panel.at(0.0, 0.0);
        let shapes = vec![Shape::line([(panel.left, one), (panel.right, one)], palette::INK, 3)];
        under.push(Group { class: "reference", shapes, ..Group::default() });
        for (group, condition) in of.conditions.iter().enumerate() {
            let &Some(condition) = condition else { continue };
            for (place, &(row, look)) in looks.iter().enumerate() {
                let found = verdicts.models.iter().find(|of| of.row == *row && of.condition == *condition);
                let Some(ratio) = found.and_then(|of| of.ratio) else { continue };
                let offset = (place as f64 + 0.5) / looks.len() as f64 - 0.5;
                let at = |ratio: f64| panel.at(group as f64 + offset * FILLED, ratio.ln());
                marks.push(mark((row, look), (grid, condition), metric, &ratio, at));
            }
        }
    }
    let columns = vec![
        Column::numbers(format!("{} / {reference}", metric.name())),
        Column::numbers("low end of the interval"),
        Column::numbers("high end"),
        Column::words("verdict"),
    ];
    let sentence = prose::findings::of_models(analysis, metric);
    Some(Figure { sentence, under, ..Figure::of(grid, frame, columns, marks) })
}

fn mark(
    (row, look): (&Competitor, Look),
    (grid, condition): (&Grid, &Condition),
    metric: Metric,
    ratio: &Ratio,
    at: impl Fn(f64) -> (i32, i32),
) -> Mark {
    let (low, high) = whisker(ratio);
    let (x, y) = at(ratio.judged.ratio);
    let mut shapes = Shape::whisker(x, (at(low).1, at(high).1), look.color).to_vec();
    shapes.push(Shape::Marker { look, at: (x, y), radius: 8 });
    let word = prose::verdict(metric, ratio);
    let interval = ratio.judged.interval;
    Mark {
        tags: Tags {
            competitor: row.to_string(),
            condition: tagged(grid, condition),
            metric: Some(metric),
            series: None,
        },
        says: format!("{}: {}", named(row, grid, condition), Value::concluded(ratio, word.as_str()).plain()),
        rows: vec![vec![
            Value::figure(ratio.judged.ratio),
            Value::or_nothing(interval, |interval| Value::figure(interval.low)),
            Value::or_nothing(interval, |interval| Value::figure(interval.high)),
            word.into(),
        ]],
        shapes,
    }
}

/// From where to where the whisker of a ratio is drawn.
fn whisker(ratio: &Ratio) -> (f64, f64) {
    let middle = ratio.judged.ratio;
    let (low, high) =
        ratio.judged.interval.map_or((middle, middle), |interval| (interval.low, interval.high));
    (low.max(middle / FURTHEST), high.min(middle * FURTHEST))
}

fn remarks(verdicts: &OfMetric) -> String {
    let floor = verdicts.floor.map_or(String::new(), |floor| {
        format!(" A model differed from itself by up to {}: the noise floor.", noise_floor(floor))
    });
    let client_bound = if verdicts.models.iter().any(|comparison| comparison.bound != Bound::Exact) {
        " Some of these were limited by the client, and are bounds or nothing: the tables say which."
    } else {
        ""
    };
    floor + client_bound
}

/// What a figure of ratios is called.
struct Words {
    title: &'static str,
    axis: &'static str,
    better: &'static str,
}

impl Words {
    fn of(metric: Metric) -> Self {
        let (title, axis, better) = match metric {
            Metric::Throughput => ("Throughput", "ratio of requests per second", "over 1: faster"),
            Metric::P50 => ("Median response time", "ratio of the p50 response time", "under 1: quicker"),
            Metric::P99 => ("p99 response time", "ratio of the p99 response time", "under 1: quicker"),
            Metric::BalancerCpu => {
                ("CPU time per request", "ratio of the balancer's CPU time per request", "under 1: cheaper")
            }
            Metric::AllCpu => (
                "CPU time per request, all roles,",
                "ratio of all roles' CPU time per request",
                "under 1: cheaper",
            ),
        };
        Words { title, axis, better }
    }
}
