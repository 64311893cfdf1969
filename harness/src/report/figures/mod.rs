//! The figures: which there are, and how each becomes an SVG and a PNG.
//!
//! A figure is one file and one line of `FIGURES`. It yields *marks*: shapes with tags (competitor, condition, metric), what
//! they say in words, and the data behind them; and the sentence that it supports. `palette` owns colours and markers,
//! `frame` distances and type, `svg` is the one writer, and `png` is made from what it wrote.

mod axis;
mod cpu;
mod frame;
mod latency;
mod palette;
mod png;
mod ratio;
mod shape;
mod svg;
mod text;
mod throughput;
mod timeline;

use std::fmt;

use rayon::prelude::*;
use thiserror::Error;

use self::frame::{Entry, Frame};
use self::palette::Look;
use self::shape::{Group, Mark};
use crate::analysis::Analysis;
use crate::analysis::faults::FaultRun;
use crate::analysis::grid::{Grid, Row};
use crate::analysis::loop_kind::Loop;
use crate::analysis::metric::Metric;
use crate::analysis::summary::Summary;
use crate::plan::{self, Competitor, Condition, Factor, Family, Plan};
use crate::record::Stored;
use crate::report::prose;
use crate::report::render;
use crate::report::section::{Column, FigureLink, Table};
use crate::report::value::Value;

/// A figure that could not be drawn: a fault of roundtable.
#[derive(Debug, Error)]
#[error("the figure {figure} could not be drawn ({reason}); please report this with the run's folder")]
pub struct FigureError {
    figure: String,
    reason: String,
}

/// One kind of figure.
struct Kind {
    /// The name of its files.
    id: &'static str,
    /// The metric that it is about.
    metric: Metric,
    /// The loops of which it says something.
    of: fn(Loop) -> bool,
    /// The figure; `None` where no valid trial has what it shows.
    make: fn(&Plan, &Analysis) -> Option<Figure>,
}

/// Every kind of figure of a run.
#[rustfmt::skip]
const FIGURES: [Kind; 7] = [
    Kind { id: "throughput", metric: Metric::Throughput, of: Loop::is_closed, make: throughput::figure },
    Kind { id: "throughput-ratio", metric: Metric::Throughput, of: Loop::is_closed, make: |p, a| ratio::figure(p, a, Metric::Throughput) },
    Kind { id: "cpu", metric: Metric::BalancerCpu, of: |_| true, make: cpu::figure },
    Kind { id: "cpu-ratio", metric: Metric::BalancerCpu, of: |_| true, make: |p, a| ratio::figure(p, a, Metric::BalancerCpu) },
    Kind { id: "latency", metric: Metric::P50, of: |_| true, make: latency::figure },
    Kind { id: "p50-ratio", metric: Metric::P50, of: |load| !load.is_closed(), make: |p, a| ratio::figure(p, a, Metric::P50) },
    Kind { id: "p99-ratio", metric: Metric::P99, of: |load| !load.is_closed(), make: |p, a| ratio::figure(p, a, Metric::P99) },
];

/// What the ids of timelines begin with.
pub const TIMELINE: &str = "timeline-";

/// Backend counts that a figure with a panel for each shows at most.
const PANELS: usize = 12;

/// Every figure that a run has data for, those of the metrics that it was made for first.
pub fn of_run(stored: &Stored, analysis: &Analysis) -> Vec<Figure> {
    let load = analysis.summary.load();
    let rank = |metric: Metric| load.main_metrics().iter().position(|main| *main == metric);
    let mut kinds: Vec<&Kind> = FIGURES.iter().filter(|kind| (kind.of)(load)).collect();
    kinds.sort_by_key(|kind| rank(kind.metric).unwrap_or(usize::MAX));
    let make = |kind: &&Kind| {
        Some(Figure { id: kind.id.into(), ..(kind.make)(&stored.environment.plan, analysis)? })
    };
    kinds.par_iter().filter_map(make).collect()
}

/// The timeline of each model in a fault run that has a valid trial.
pub fn of_faults(run: FaultRun<'_>) -> Vec<Figure> {
    timeline::figures(run)
}

/// The ids of all figures of a run that there can be.
pub fn ids() -> impl Iterator<Item = &'static str> {
    FIGURES.iter().map(|kind| kind.id)
}

/// A figure, with its data.
#[derive(Clone)]
pub struct Figure {
    id: String,
    frame: Frame,
    /// The sentence that it supports.
    sentence: Option<String>,
    /// The factors that tell its marks apart.
    factors: Vec<&'static Factor>,
    /// The columns of its data, after those that say what a mark stands for.
    columns: Vec<Column>,
    /// Lines that the marks lie on.
    under: Vec<Group>,
    marks: Vec<Mark>,
}

impl fmt::Debug for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figure").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Figure {
    /// What a section says of it, and where its files are.
    pub(super) fn link(&self) -> FigureLink {
        FigureLink {
            id: self.id().to_owned(),
            title: self.title().to_owned(),
            caption: self.caption().to_owned(),
            sentence: self.sentence().map(str::to_owned),
            size: self.size(),
        }
    }

    /// The name of its files, without the extension.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it shows.
    pub fn title(&self) -> &str {
        &self.frame.content.title
    }

    /// How to read it.
    pub fn caption(&self) -> &str {
        &self.frame.content.subtitle
    }

    /// The sentence that it supports, where there is one.
    pub fn sentence(&self) -> Option<&str> {
        self.sentence.as_deref()
    }

    /// Width and height, pixels.
    pub fn size(&self) -> (u32, u32) {
        self.frame.size()
    }

    /// The data behind its marks.
    pub fn data(&self) -> Table {
        let mut columns = vec![Column::words("model")];
        columns.extend(self.factors.iter().map(|factor| prose::grid::column(factor)));
        columns.extend(self.columns.iter().cloned());
        let rows = self.marks.iter().flat_map(|mark| {
            let mut of = vec![Value::from(mark.tags.competitor.as_str())];
            of.extend(mark.tags.condition.iter().map(|(_, value)| prose::grid::value(value)));
            mark.rows.iter().map(move |row| of.iter().chain(row).cloned().collect::<Vec<_>>())
        });
        Table::new(columns, rows)
    }

    /// The data as a CSV file.
    pub fn csv(&self) -> Result<String, FigureError> {
        render::csv::table(&self.data()).map_err(|reason| self.error(reason))
    }

    /// The drawing as an SVG file.
    pub fn svg(&self) -> Result<String, FigureError> {
        let mut groups = self.frame.groups();
        groups.extend(self.under.iter().cloned());
        groups.extend(self.marks.iter().map(|mark| Group {
            class: "mark",
            tags: Some(mark.tags.clone()),
            title: Some(mark.says.clone()),
            shapes: mark.shapes.clone(),
        }));
        let names = svg::Names { id: &self.id, title: self.title(), description: self.caption() };
        svg::write(&names, self.size(), &groups).map_err(|reason| self.error(reason))
    }

    /// The drawing as a PNG file.
    pub fn png(&self) -> Result<Vec<u8>, FigureError> {
        png::of(&self.svg()?).map_err(|reason| self.error(reason))
    }

    fn error(&self, reason: String) -> FigureError {
        FigureError { figure: self.id.clone(), reason }
    }
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

/// Panels side by side.
fn columns(panels: usize) -> usize {
    match panels {
        0..=6 => panels.max(1),
        // In rows as even as can be.
        more => more.div_ceil(more.div_ceil(6)),
    }
}

/// What stands over a panel.
fn heading(row: &Row<'_>) -> String {
    prose::grid::phrase(row.common.iter().cloned())
}

/// "mio, 2 backends, concurrency 10": what a mark stands for, in words.
fn named(row: &Competitor, grid: &Grid, condition: &Condition) -> String {
    format!("{}, {}", prose::row(row), prose::grid::named(grid, condition))
}

/// The factors of `grid`, with what they are in `condition`.
fn tagged(grid: &Grid, condition: &Condition) -> Vec<(&'static Factor, plan::Value)> {
    grid.dimensions().iter().map(|of| (of.factor, of.factor.get(condition))).collect()
}

/// The factors of `grid`.
fn factors(grid: &Grid) -> Vec<&'static Factor> {
    grid.dimensions().iter().map(|of| of.factor).collect()
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
        for figure in of_run(&run, &Analysis::of(&run)) {
            assert!(figure.size().1 < 8_000, "{}: {:?}", figure.id(), figure.size());
            assert!(figure.caption().contains("Not every cell is drawn"), "{}", figure.id());
        }
    }

    #[test]
    fn every_mark_of_every_figure_has_an_id_of_its_own_a_title_and_data() {
        for run in [Run::new().blocks(2), Run::new().blocks(2).rate(2000)] {
            let stored = run.models(&["direct", "threads", "mio"]).backends(&[1, 2]).build();
            let figures = of_run(&stored, &Analysis::of(&stored));
            assert_eq!(figures.len(), 5);
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
