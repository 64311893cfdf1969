//! Figure: requests per second by concurrency, a panel a backend count, a line a model.

use super::axis::{Axis, has_logarithms};
use super::frame::{Content, Frame, Panel};
use super::palette::{self, Look};
use super::shape::{Group, Mark, Shape, Tags};
use super::{Figure, columns, factors, heading, left_out, legend, named, panels, tagged};
use crate::analysis::Analysis;
use crate::analysis::grid::{Grid, Row};
use crate::analysis::metric::Metric;
use crate::analysis::summary::Summary;
use crate::analysis::trial::ValidTrial;
use crate::plan::{Competitor, Condition, Plan};
use crate::report::prose;
use crate::report::section::Column;
use crate::report::value::{Digits, Value};
use crate::statistics::Spread;

/// How far the marks of neighbouring models stand apart at most, pixels: whiskers at the same place would hide
/// each other.
const APART: f64 = 24.0;

pub(super) fn figure(plan: &Plan, analysis: &Analysis) -> Option<Figure> {
    let summary = &analysis.summary;
    let grid = &summary.grid;
    let (across, rows) = (grid.across(), panels(grid));
    let looks = palette::looks(summary);
    let cells = looks.iter().flat_map(|&(row, _)| {
        let rate = move |condition| summary.cell(row, condition).spread(ValidTrial::rate);
        summary.conditions().iter().filter_map(rate)
    });
    let largest = cells.map(|spread| spread.max).reduce(f64::max)?;
    let scale = if has_logarithms(&across.levels) { "log scale" } else { "" };
    let frame = Frame::lay_out(Content {
        title: format!("Throughput by {}", across.factor.title),
        subtitle: format!(
            "Marks: median over {}; whiskers: slowest to fastest block. {}",
            prose::blocks(summary),
            prose::load::of_a_trial(plan) + prose::empty_cells(summary) + left_out(grid, &rows)
        ),
        legend: legend(summary, &looks),
        y_title: "requests per second".into(),
        x_title: prose::load::across(summary.load(), across, scale),
        y: Axis::from_zero(largest),
        x: Axis::of_levels(&across.levels),
        panels: rows.iter().map(heading).collect(),
        columns: columns(rows.len()),
        panel_height: 540,
        feet: 0,
    });
    let (mut under, mut marks) = (Vec::new(), Vec::new());
    for (index, conditions) in rows.iter().enumerate() {
        let panel = frame.panel(index);
        let apart = apart(&frame, panel, looks.len());
        for (place, &(row, look)) in looks.iter().enumerate() {
            let from_middle = place as f64 - (looks.len() - 1) as f64 / 2.0;
            let model = Model { row, look, grid, shift: (from_middle * apart).round() as i32 };
            let cells = model.cells(summary, &frame, panel, conditions);
            under.extend(model.curves(&cells));
            marks.extend(cells.iter().flatten().map(|cell| model.mark(cell)));
        }
    }
    let columns = vec![
        Column::numbers("requests per second"),
        Column::numbers("slowest block"),
        Column::numbers("fastest block"),
    ];
    let sentence = prose::findings::of_medians(analysis, Metric::Throughput);
    Some(Figure { id: String::new(), frame, sentence, factors: factors(grid), columns, under, marks })
}

/// Less than [`APART`] where the models of one concurrency would reach into those of the next.
fn apart(frame: &Frame, panel: Panel, models: usize) -> f64 {
    let at: Vec<_> = frame.content.x.ticks.iter().map(|&(x, _)| panel.at(x, 0.0).0).collect();
    let narrowest = at.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(panel.right - panel.left);
    APART.min(0.7 * f64::from(narrowest) / models as f64)
}

/// One model, and how far from the middle it stands, pixels.
struct Model<'a> {
    row: &'a Competitor,
    look: Look,
    grid: &'a Grid,
    shift: i32,
}

/// One cell's place.
struct Cell<'a> {
    condition: &'a Condition,
    rate: Spread,
    x: i32,
    /// Of the median, the smallest and the largest rate.
    y: [i32; 3],
}

impl Model<'_> {
    /// The cells of `row`, `None` where there is no valid trial.
    fn cells<'c>(
        &self,
        summary: &Summary,
        frame: &Frame,
        panel: Panel,
        row: &Row<'c>,
    ) -> Vec<Option<Cell<'c>>> {
        let ticks = row.conditions.iter().zip(&frame.content.x.ticks);
        let cell = |(condition, &(at, _)): (&Option<&'c Condition>, &(f64, String))| {
            let condition = (*condition)?;
            let rate = summary.cell(self.row, condition).spread(ValidTrial::rate)?;
            let y = [rate.median, rate.min, rate.max].map(|rate| panel.at(at, rate).1);
            Some(Cell { condition, rate, x: panel.at(at, 0.0).0 + self.shift, y })
        };
        ticks.map(cell).collect()
    }

    /// Lines through neighbours: nothing is drawn across what was not measured.
    fn curves(&self, cells: &[Option<Cell<'_>>]) -> Vec<Group> {
        let runs = cells.split(Option::is_none).filter(|run| run.len() > 1);
        let curve = |run: &[Option<Cell<'_>>]| {
            let points: Vec<_> = run.iter().flatten().map(|cell| (cell.x, cell.y[0])).collect();
            let tags = self.tags(run.iter().flatten().next()?.condition);
            let shapes = vec![Shape::line(points, self.look.color, 3)];
            Some(Group { class: "curve", tags: Some(tags), title: None, shapes })
        };
        runs.filter_map(curve).collect()
    }

    fn mark(&self, cell: &Cell<'_>) -> Mark {
        let Cell { condition, rate, x, y: [median, low, high] } = *cell;
        let mut shapes = vec![Shape::Marker { look: self.look, at: (x, median), radius: 7 }];
        shapes.extend(Shape::whisker(x, (low, high), self.look.color));
        let spread = Value::Spread { spread: rate, digits: Digits::Four };
        Mark {
            tags: self.tags(condition),
            says: format!(
                "{}: {} requests per second",
                named(self.row, self.grid, condition),
                spread.plain()
            ),
            rows: vec![[rate.median, rate.min, rate.max].map(Value::figure).to_vec()],
            shapes,
        }
    }

    fn tags(&self, condition: &Condition) -> Tags {
        Tags {
            competitor: self.row.to_string(),
            condition: tagged(self.grid, condition),
            metric: Some(Metric::Throughput),
            series: None,
        }
    }
}
