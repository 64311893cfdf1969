//! The figures: which there are, and how each becomes an SVG and a PNG.
//!
//! A figure is one file and one line of `FIGURES`. It yields *marks*: shapes with tags (competitor, condition, metric), what
//! they say in words, and the data behind them; and the sentence that it supports. `palette` owns colours and markers,
//! `frame` distances and type, `svg` is the one writer, and `png` is made from what it wrote.

mod axis;
mod cpu;
mod figure;
mod forest;
mod frame;
mod latency;
mod over_axis;
mod palette;
mod png;
mod ratio;
mod shape;
mod svg;
mod text;
mod timeline;

use rayon::prelude::*;
use thiserror::Error;

pub use self::figure::Figure;
use self::frame::Entry;
pub(super) use self::frame::Medium;
use self::palette::Look;
use crate::analysis::Analysis;
use crate::analysis::difference::Difference;
use crate::analysis::faults::FaultRun;
use crate::analysis::grid::{Dimension, Grid, Row};
use crate::analysis::loop_kind::Loop;
use crate::analysis::metric::Metric;
use crate::analysis::summary::Summary;
use crate::plan::{self, Competitor, Condition, Factor, Family, Plan, factor};
use crate::probes::Passes;
use crate::record::Stored;
use crate::report::prose;

/// A figure that could not be drawn: a fault of roundtable.
#[derive(Debug, Error)]
#[error("the figure {figure} could not be drawn ({reason}); please report this with the run's folder")]
pub struct FigureError {
    figure: String,
    reason: String,
}

/// What a figure is made from, and where it will be shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) plan: &'a Plan,
    pub(super) analysis: &'a Analysis,
    pub(super) passes: &'a Passes,
    pub(super) medium: Medium,
}

/// One kind of figure.
struct Kind {
    /// The name of its files.
    id: &'static str,
    /// The metric that it is about, where it is about one.
    metric: Option<Metric>,
    /// The loops of which it says something.
    of: fn(Loop) -> bool,
    /// The figure; `None` where no valid trial has what it shows.
    make: fn(&Of<'_>) -> Option<Figure>,
}

impl Kind {
    fn figure(&self, of: &Of<'_>) -> Option<Figure> {
        Some(Figure { id: self.id.into(), ..(self.make)(of)? })
    }
}

/// Every kind of figure of a run.
#[rustfmt::skip]
const FIGURES: [Kind; 13] = [
    Kind { id: FOREST, metric: None, of: |_| true, make: forest::figure },
    Kind { id: "throughput", metric: Some(Metric::Throughput), of: Loop::is_closed, make: over_axis::throughput },
    Kind { id: "throughput-ratio", metric: Some(Metric::Throughput), of: Loop::is_closed, make: |of| ratio::figure(of, Metric::Throughput) },
    Kind { id: "cpu", metric: Some(Metric::BalancerCpu), of: |_| true, make: cpu::figure },
    Kind { id: "cpu-ratio", metric: Some(Metric::BalancerCpu), of: |_| true, make: |of| ratio::figure(of, Metric::BalancerCpu) },
    Kind { id: "latency", metric: Some(Metric::P50), of: |_| true, make: latency::figure },
    Kind { id: "p50-ratio", metric: Some(Metric::P50), of: |load| !load.is_closed(), make: |of| ratio::figure(of, Metric::P50) },
    Kind { id: "p99-ratio", metric: Some(Metric::P99), of: |load| !load.is_closed(), make: |of| ratio::figure(of, Metric::P99) },
    Kind { id: "memory", metric: None, of: |_| true, make: over_axis::memory },
    Kind { id: "threads", metric: None, of: |_| true, make: over_axis::threads },
    Kind { id: "switches", metric: None, of: |_| true, make: over_axis::switches },
    Kind { id: "system-calls", metric: None, of: |_| true, make: over_axis::system_calls },
    Kind { id: "aa", metric: None, of: |_| true, make: forest::same_again },
];

/// The styles that let figures follow a page's theme.
pub(super) fn styles() -> String {
    palette::styles()
}

/// The figure that stands at the head of a report.
pub(super) const FOREST: &str = "forest";

/// What the ids of timelines begin with.
pub const TIMELINE: &str = "timeline-";

/// Backend counts that a figure with a panel for each shows at most.
const PANELS: usize = 12;

/// Every figure that a run has data for, those of the metrics that it was made for first.
pub(super) fn of_run(stored: &Stored, analysis: &Analysis, passes: &Passes, medium: Medium) -> Vec<Figure> {
    let load = analysis.summary.load();
    let metrics = load.main_metrics();
    let rank = |kind: &&Kind| match kind.metric {
        Some(metric) => metrics.iter().position(|main| *main == metric).unwrap_or(metrics.len()),
        None if kind.id == FOREST => 0,
        None => metrics.len() + 1,
    };
    let mut kinds: Vec<&Kind> = FIGURES.iter().filter(|kind| (kind.of)(load)).collect();
    kinds.sort_by_key(rank);
    let of = Of { plan: &stored.environment.plan, analysis, passes, medium };
    kinds.par_iter().filter_map(|kind| kind.figure(&of)).collect()
}

/// The one that stands at the head of a run's report, where there is one.
pub(super) fn forest(stored: &Stored, analysis: &Analysis, medium: Medium) -> Vec<Figure> {
    let passes = &Passes::default();
    let of = Of { plan: &stored.environment.plan, analysis, passes, medium };
    FIGURES.iter().filter(|kind| kind.id == FOREST).filter_map(|kind| kind.figure(&of)).collect()
}

/// The timeline of each model in a fault run that has a valid trial.
pub(super) fn of_faults(run: FaultRun<'_>, medium: Medium) -> Vec<Figure> {
    timeline::figures(run, medium)
}

/// What decides between two runs.
pub(super) fn of_difference(difference: &Difference, medium: Medium) -> Vec<Figure> {
    forest::change(difference, medium).into_iter().collect()
}

/// The ids of all figures of a run that there can be.
pub fn ids() -> impl Iterator<Item = &'static str> {
    FIGURES.iter().map(|kind| kind.id)
}

/// At most `limit` of `all`, spread evenly, the first and the last among them: a plan may be larger than a picture.
fn some_of<T: Clone>(all: &[T], limit: usize) -> Vec<T> {
    if all.len() <= limit {
        return all.to_vec();
    }
    (0..limit).map(|i| all[i * (all.len() - 1) / (limit - 1)].clone()).collect()
}

/// The panels of a figure: a row of conditions along its horizontal axis each.
fn panels(grid: &Grid) -> Vec<Row<'_>> {
    some_of(&grid.along(grid.across()), PANELS)
}

/// A remark on what [`some_of`] left out of `grid`.
fn left_out(grid: &Grid, drawn: &[Row<'_>]) -> &'static str {
    let drawn: usize = drawn.iter().map(|row| row.conditions.iter().flatten().count()).sum();
    if grid.conditions().len() == drawn { "" } else { " Not every cell is drawn: the tables have all." }
}

/// Rows of a run from which on a panel takes more room.
const MANY: usize = 9;

/// Panels side by side, each with marks of so many rows of the run: in rows as even as can be.
fn columns(panels: usize, marks: usize) -> usize {
    let most = if marks < MANY { 6 } else { 2 };
    panels.div_ceil(panels.div_ceil(most).max(1)).max(1)
}

/// Width of such a panel on a page, pixels, where few take `usual`.
fn panel_width(usual: i32, marks: usize) -> i32 {
    if marks < MANY { usual } else { 2 * usual }
}

/// What stands over a panel.
fn heading(row: &Row<'_>) -> String {
    prose::grid::phrase(row.common.iter().cloned())
}

/// "2 backends, c = 10": a condition where room is short.
fn short(grid: &Grid, condition: &Condition) -> String {
    let of = |of: &Dimension| match of.factor.get(condition) {
        value if *of.factor == factor::CONCURRENCY => format!("c = {value}"),
        value => of.factor.phrase(&value),
    };
    grid.dimensions().iter().map(of).collect::<Vec<_>>().join(", ")
}

/// "mio, 2 backends, concurrency 10": what a mark stands for, in words.
fn named(row: &Competitor, grid: &Grid, condition: &Condition) -> String {
    format!("{}, {}", prose::row(row), prose::grid::named(grid, condition))
}

/// The factors of `grid`, with what they are in `condition`.
fn tagged(grid: &Grid, condition: &Condition) -> Vec<(&'static Factor, plan::Value)> {
    grid.dimensions().iter().map(|of| (of.factor, of.factor.get(condition))).collect()
}

fn legend(summary: &Summary, looks: &[(&Competitor, Look)]) -> Vec<Entry> {
    let name = |model: &Competitor| match summary.family(model) {
        _ if model.is_direct() => format!("{model} (no balancer)"),
        _ if model.kind != plan::Kind::Model => prose::row(model),
        Family::Threaded => format!("{model} (threaded)"),
        Family::Async => format!("{model} (async)"),
        Family::None => model.to_string(),
    };
    let entry = |&(model, look): &(&Competitor, Look)| Entry {
        name: name(model),
        look,
        competitor: Some(model.to_string()),
    };
    looks.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::synthetic::Run;
    use crate::fixtures;
    use crate::plan::factor;

    #[test]
    fn a_large_plan_is_thinned_out_and_says_so() {
        let many: Vec<u32> = (1..=100).collect();
        assert_eq!(some_of(&many, 6), [1, 20, 40, 60, 80, 100]);
        let mut run = Run::new().models(&["mio", "tokio"]).concurrency(&[2]).blocks(1).build();
        let plan = fixtures::over(run.environment.plan, &factor::BACKENDS, &many[..64]);
        run.environment.plan = fixtures::over(plan, &factor::CONCURRENCY, &many);
        for figure in of_run(&run, &Analysis::of(&run), &Passes::default(), Medium::File) {
            assert!(figure.size().1 < 8_000, "{}: {:?}", figure.id(), figure.size());
            assert!(figure.caption().contains("Not every cell is drawn"), "{}", figure.id());
        }
    }

    #[test]
    fn every_mark_of_every_figure_has_an_id_of_its_own_a_title_and_data() {
        for run in [Run::new().blocks(2), Run::new().blocks(2).rate(2000)] {
            let stored = run.models(&["direct", "threads", "mio"]).backends(&[1, 2]).build();
            let figures = of_run(&stored, &Analysis::of(&stored), &Passes::default(), Medium::File);
            assert_eq!(figures.len(), 9);
            for figure in figures {
                let svg = figure.svg().unwrap();
                let mut ids: Vec<_> =
                    svg.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
                let count = ids.len();
                ids.sort_unstable();
                ids.dedup();
                assert_eq!(ids.len(), count, "{}", figure.id());
                assert!(!figure.marks.is_empty());
                assert_eq!(svg.matches("<g class=\"mark\"").count(), figure.marks.len());
                let data = figure.data();
                assert!(data.rows.len() >= figure.marks.len(), "{}", figure.id());
                assert!(data.rows.iter().all(|row| row.len() == data.columns.len()), "{}", figure.id());
                assert!(figure.marks.iter().all(|mark| mark.says.contains(", concurrency ")));
            }
        }
    }
}
