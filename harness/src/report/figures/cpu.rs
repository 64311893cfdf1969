//! Figure: the balancer's CPU time a request, user and system stacked, a bar a model.

use plotters::style::Color;

use super::axis::Axis;
use super::frame::{Content, Frame, Panel};
use super::palette::{self, Look};
use super::shape::{Mark, Shape, Tags};
use super::{Figure, Of, columns, heading, left_out, legend, named, panel_width, panels, tagged};
use crate::analysis::grid::Grid;
use crate::analysis::metric::Metric;
use crate::analysis::summary::Summary;
use crate::analysis::trial::ValidTrial;
use crate::plan::{Competitor, Condition};
use crate::report::prose;
use crate::report::section::Column;
use crate::report::value::{Digits, Value};
use crate::statistics::Spread;

/// How much of a model's colour its user time has.
const USER_TINT: f64 = 0.38;
/// Share of a group's width that its bars fill.
const FILLED: f64 = 0.84;

/// One bar, µs.
#[derive(Debug, Clone, Copy)]
struct Stack {
    user: f64,
    system: f64,
    total: Spread,
}

pub(super) fn figure(of: &Of<'_>) -> Option<Figure> {
    let Of { plan, analysis, medium, .. } = *of;
    let summary = &analysis.summary;
    let grid = &summary.grid;
    let (across, rows) = (grid.across(), panels(grid));
    let looks: Vec<_> = palette::looks(summary).into_iter().filter(|(row, _)| !row.is_direct()).collect();
    let shown = || {
        let conditions = rows.iter().flat_map(|row| row.conditions.iter().copied().flatten());
        conditions.flat_map(|condition| looks.iter().map(move |&(row, _)| (row, condition)))
    };
    let highest = shown()
        .filter_map(|(row, condition)| Stack::of(summary, row, condition))
        .map(|stack| stack.total.max.max(stack.user + stack.system))
        .reduce(f64::max)?;
    let frame = Frame::lay_out(
        Content {
            title: prose::load::titled("CPU time of the balancer per request", summary.load()),
            subtitle: format!(
                "Pale: user mode; full colour: kernel; each a median over {}. Whiskers: smallest to largest sum in a \
             block. The time of client and backends is not in it. {}",
                prose::blocks(summary),
                prose::load::of_a_trial(plan) + prose::empty_cells(summary) + left_out(grid, &rows)
            ),
            legend: legend(summary, &looks),
            y_title: "CPU time per request (µs, user + system)".into(),
            x_title: prose::load::across(summary.load(), across, ""),
            x: Axis::of_groups(&across.levels),
            y: Axis::from_zero(highest),
            panels: rows.iter().map(heading).collect(),
            columns: columns(rows.len(), looks.len()),
            page_width: panel_width(300, looks.len()),
            panel_height: 420,
            feet: 24,
        },
        medium,
    );
    let mut marks = Vec::new();
    for (index, of) in rows.iter().enumerate() {
        for (group, condition) in of.conditions.iter().enumerate() {
            let &Some(condition) = condition else { continue };
            for (place, &(row, look)) in looks.iter().enumerate() {
                let Some(stack) = Stack::of(summary, row, condition) else { continue };
                let width = FILLED / looks.len() as f64;
                let left = group as f64 - FILLED / 2.0 + place as f64 * width;
                marks.push(stack.mark(
                    (row, look),
                    (grid, condition),
                    frame.panel(index),
                    (left, left + width),
                ));
            }
        }
    }
    let columns = vec![
        Column::numbers("user, µs per request"),
        Column::numbers("kernel, µs per request"),
        Column::numbers("sum, µs per request"),
        Column::numbers("smallest sum of a block"),
        Column::numbers("largest sum of a block"),
    ];
    let sentence = prose::findings::of_medians(analysis, Metric::BalancerCpu);
    Some(Figure { sentence, ..Figure::of(grid, frame, columns, marks) })
}

impl Stack {
    fn of(summary: &Summary, row: &Competitor, condition: &Condition) -> Option<Self> {
        let cell = summary.cell(row, condition);
        Some(Stack {
            user: cell.spread(|trial| trial.user_us)?.median,
            system: cell.spread(|trial| trial.system_us)?.median,
            total: cell.spread(ValidTrial::cpu_us)?,
        })
    }

    /// The bar of a row from one x of `panel` to another.
    fn mark(
        &self,
        (row, look): (&Competitor, Look),
        (grid, condition): (&Grid, &Condition),
        panel: Panel,
        (from, to): (f64, f64),
    ) -> Mark {
        let (left, base) = panel.at(from, 0.0);
        let (right, between) = panel.at(to, self.user);
        // A gap of paper between neighbours; a bar however thin is still drawn.
        let (right, middle) = ((right - 3).max(left + 2), (left + right - 3) / 2);
        let (_, top) = panel.at(from, self.user + self.system);
        let mut shapes = vec![
            Shape::Bar { corners: [(left, between), (right, base)], color: look.color.mix(USER_TINT) },
            Shape::Bar { corners: [(left, top), (right, between)], color: look.color.to_rgba() },
        ];
        let (low, high) = (panel.at(0.0, self.total.min).1, panel.at(0.0, self.total.max).1);
        shapes.extend(Shape::whisker(middle, (low, high), palette::INK));
        let radius = 7.min((right - left) / 2).max(3);
        shapes.push(Shape::Marker { look, at: (middle, base + 16), radius });
        let Spread { median, min, max, .. } = self.total;
        let [user, system] = [self.user, self.system].map(|us| Value::figure(us).plain());
        let total = Value::Spread { spread: self.total, digits: Digits::Four };
        Mark {
            tags: Tags {
                competitor: row.to_string(),
                condition: tagged(grid, condition),
                metric: Some(Metric::BalancerCpu),
                series: None,
            },
            says: format!(
                "{}: {} µs of CPU per request; user {user}, kernel {system}",
                named(row, grid, condition),
                total.plain()
            ),
            rows: vec![[self.user, self.system, median, min, max].map(Value::figure).to_vec()],
            shapes,
        }
    }
}
