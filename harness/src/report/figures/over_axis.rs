//! Figures: one quantity along the horizontal axis, a panel for each row of conditions, a line a model.

use super::axis::{Axis, has_logarithms};
use super::frame::{Content, Frame, Panel};
use super::palette::{self, Look};
use super::shape::{Group, Mark, Shape, Tags};
use super::{Figure, Of, columns, heading, left_out, legend, named, panel_width, panels, tagged};
use crate::analysis::grid::{Grid, Row};
use crate::analysis::metric::Metric;
use crate::analysis::trial::ValidTrial;
use crate::plan::{Competitor, Condition};
use crate::report::prose;
use crate::report::section::Column;
use crate::report::value::{Digits, Value};
use crate::statistics::Spread;

/// How far the marks of neighbouring models stand apart at most, pixels: whiskers at the same place would hide
/// each other.
const APART: f64 = 24.0;

/// What a figure of this kind is of.
struct Quantity {
    title: &'static str,
    /// With its unit.
    name: &'static str,
    metric: Option<Metric>,
    /// What a reader must know of it.
    remark: &'static str,
}

/// Requests per second.
pub(super) fn throughput(of: &Of<'_>) -> Option<Figure> {
    let quantity = Quantity {
        title: "Throughput",
        name: "requests per second",
        metric: Some(Metric::Throughput),
        remark: "",
    };
    draw(of, &quantity, &of_trials(of, ValidTrial::rate))
}

/// Threads that a balancer has.
pub(super) fn threads(of: &Of<'_>) -> Option<Figure> {
    let quantity = Quantity {
        title: "Threads of the balancer",
        name: "threads at the end of the window",
        metric: None,
        remark: "A thread that served one request and has ended is not among them. ",
    };
    draw(of, &quantity, &of_trials(of, ValidTrial::threads))
}

/// How often its threads were switched.
pub(super) fn switches(of: &Of<'_>) -> Option<Figure> {
    let quantity = Quantity {
        title: "Context switches of the balancer",
        name: "context switches per request",
        metric: None,
        remark: "Both kinds: because a thread waited, and because its time was up. ",
    };
    draw(of, &quantity, &of_trials(of, ValidTrial::switches))
}

/// The most memory that it had.
pub(super) fn memory(of: &Of<'_>) -> Option<Figure> {
    let quantity = Quantity {
        title: "Peak memory of the balancer",
        name: "peak resident memory, MiB",
        metric: None,
        remark: "Since the process began. ",
    };
    let mebibytes = |trial: &ValidTrial| Some(trial.peak_memory_bytes()? / f64::from(1 << 20));
    draw(of, &quantity, &of_trials(of, mebibytes))
}

/// System calls, from the pass that counts them.
pub(super) fn system_calls(of: &Of<'_>) -> Option<Figure> {
    let calls = of.passes.system_calls.as_ref()?;
    let dimensions = of.analysis.summary.grid.dimensions();
    let value = |row: &Competitor, condition: &Condition| {
        let is_same = |other: &Condition| {
            // The pass is a closed loop of a length of its own: it is under the condition as far as the grid has it.
            dimensions.iter().all(|of| of.factor.get(other) == of.factor.get(condition))
        };
        let found = calls.rows.iter().find(|of| of.model == row.to_string() && is_same(&of.condition))?;
        Spread::of(&[found.calls_a_request()?])
    };
    let quantity = Quantity {
        title: "System calls of the balancer",
        name: "system calls per request",
        metric: None,
        remark: "From a pass of its own, traced and not timed: one count for each condition. ",
    };
    draw(of, &quantity, &value)
}

/// A value for each cell.
type Values<'a> = dyn Fn(&Competitor, &Condition) -> Option<Spread> + 'a;

fn of_trials<'a>(
    of: &Of<'a>,
    figure: impl Fn(&ValidTrial) -> Option<f64> + 'a,
) -> impl Fn(&Competitor, &Condition) -> Option<Spread> + 'a {
    let summary = &of.analysis.summary;
    move |row, condition| summary.cell(row, condition).spread(&figure)
}

fn draw(of: &Of<'_>, quantity: &Quantity, values: &Values<'_>) -> Option<Figure> {
    let Of { plan, analysis, .. } = *of;
    let summary = &analysis.summary;
    let grid = &summary.grid;
    let (across, rows) = (grid.across(), panels(grid));
    let has_value = |row: &Competitor| grid.conditions().iter().any(|of| values(row, of).is_some());
    let looks: Vec<_> = palette::looks(summary).into_iter().filter(|(row, _)| has_value(row)).collect();
    let cells = looks
        .iter()
        .flat_map(|&(row, _)| grid.conditions().iter().filter_map(move |condition| values(row, condition)));
    let largest = cells.map(|spread| spread.max).reduce(f64::max)?;
    let scale = if has_logarithms(&across.levels) { "log scale" } else { "" };
    let frame = Frame::lay_out(
        Content {
            title: prose::load::titled(
                &format!("{} by {}", quantity.title, across.factor.title),
                summary.load(),
            ),
            subtitle: format!(
                "{}Marks: median over {}; whiskers: lowest to highest block. {}",
                quantity.remark,
                prose::blocks(summary),
                prose::load::of_a_trial(plan) + prose::empty_cells(summary) + left_out(grid, &rows)
            ),
            legend: legend(summary, &looks),
            y_title: quantity.name.into(),
            x_title: prose::load::across(summary.load(), across, scale),
            y: Axis::from_zero(largest),
            x: Axis::of_levels(&across.levels),
            panels: rows.iter().map(heading).collect(),
            columns: columns(rows.len(), looks.len()),
            page_width: panel_width(280, looks.len()),
            panel_height: 400,
            feet: 0,
        },
        of.medium,
    );
    let (mut under, mut marks) = (Vec::new(), Vec::new());
    for (index, conditions) in rows.iter().enumerate() {
        let panel = frame.panel(index);
        let apart = apart(&frame, panel, looks.len());
        for (place, &(row, look)) in looks.iter().enumerate() {
            let from_middle = place as f64 - (looks.len() - 1) as f64 / 2.0;
            let shift = (from_middle * apart).round() as i32;
            let model = Model { row, look, grid, quantity, values, shift };
            let cells = model.cells(&frame, panel, conditions);
            under.extend(model.curves(&cells));
            marks.extend(cells.iter().flatten().map(|cell| model.mark(cell)));
        }
    }
    let columns = vec![
        Column::numbers(quantity.name),
        Column::numbers("lowest block"),
        Column::numbers("highest block"),
    ];
    let sentence = prose::findings::of_values(analysis, quantity.name, values);
    Some(Figure { sentence, under, ..Figure::of(grid, frame, columns, marks) })
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
    quantity: &'a Quantity,
    values: &'a Values<'a>,
    shift: i32,
}

/// One cell's place.
struct Cell<'a> {
    condition: &'a Condition,
    value: Spread,
    x: i32,
    /// Of the median, the smallest and the largest.
    y: [i32; 3],
}

impl Model<'_> {
    /// The cells of `row`, `None` where there is no valid trial.
    fn cells<'c>(&self, frame: &Frame, panel: Panel, row: &Row<'c>) -> Vec<Option<Cell<'c>>> {
        let ticks = row.conditions.iter().zip(&frame.content.x.ticks);
        let cell = |(condition, &(at, _)): (&Option<&'c Condition>, &(f64, String))| {
            let condition = (*condition)?;
            let value = (self.values)(self.row, condition)?;
            let y = [value.median, value.min, value.max].map(|value| panel.at(at, value).1);
            Some(Cell { condition, value, x: panel.at(at, 0.0).0 + self.shift, y })
        };
        ticks.map(cell).collect()
    }

    /// Lines through neighbours: nothing is drawn across what was not measured.
    fn curves(&self, cells: &[Option<Cell<'_>>]) -> Vec<Group> {
        let runs = cells.split(Option::is_none).filter(|run| run.len() > 1);
        let curve = |run: &[Option<Cell<'_>>]| {
            let points: Vec<_> = run.iter().flatten().map(|cell| (cell.x, cell.y[0])).collect();
            let first = run.iter().flatten().next()?.condition;
            let across = self.grid.across().factor;
            let mut tags = self.tags(first);
            // It stands for every value of what lies across.
            tags.condition.retain(|(factor, _)| *factor != across);
            tags.series = Some(format!("from {}", across.get(first)));
            let shapes = vec![Shape::line(points, self.look.color, 3)];
            Some(Group { class: "curve", tags: Some(tags), title: None, shapes })
        };
        runs.filter_map(curve).collect()
    }

    fn mark(&self, cell: &Cell<'_>) -> Mark {
        let Cell { condition, value, x, y: [median, low, high] } = *cell;
        let mut shapes = vec![Shape::Marker { look: self.look, at: (x, median), radius: 7 }];
        shapes.extend(Shape::whisker(x, (low, high), self.look.color));
        let spread = Value::Spread { spread: value, digits: Digits::Four };
        Mark {
            tags: self.tags(condition),
            says: format!(
                "{}: {} {}",
                named(self.row, self.grid, condition),
                spread.plain(),
                self.quantity.name
            ),
            rows: vec![[value.median, value.min, value.max].map(Value::figure).to_vec()],
            shapes,
        }
    }

    fn tags(&self, condition: &Condition) -> Tags {
        Tags {
            competitor: self.row.to_string(),
            condition: tagged(self.grid, condition),
            metric: self.quantity.metric,
            series: None,
        }
    }
}
