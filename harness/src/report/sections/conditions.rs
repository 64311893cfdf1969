//! Every cell, competitor by competitor: the long table, and its short form with the run's main figures alone.
//!
//! A figure is the median over a cell's valid blocks. An invalid cell says so where its main figure would stand; rows keep the
//! plan's order, so that nothing is ranked.

use super::Source;
use crate::analysis::bottleneck::Bottlenecks;
use crate::analysis::loop_kind::Loop;
use crate::analysis::summary::{CellSummary, Summary};
use crate::analysis::trial::ValidTrial;
use crate::plan::Competitor;
use crate::report::prose;
use crate::report::section::{Column, Section, Table};
use crate::report::value::{Digits, Missing, Value};
use crate::statistics::Spread;

pub(super) fn sections(source: &Source<'_>) -> Vec<Section> {
    let (summary, bottlenecks) = (&source.analysis.summary, &source.analysis.bottlenecks);
    let what = match summary.load() {
        Loop::Closed => {
            "Time per request is the mean across all concurrent requests (ab's second figure); p50 and p99 are percentiles \
             of a request's own response time; CPU is the balancer's, user and system."
        }
        Loop::Open { .. } => {
            "Requests per second are those that were answered, over the whole schedule: the rate. p50 and p99 are \
             percentiles of the response time from when a request was due, each with its range over the blocks; CPU is the \
             balancer's, user and system."
        }
    };
    let heading = match prose::load::name_with_times(summary.load()) {
        None => "Every cell".to_owned(),
        Some(load) => format!("Every cell: {load}"),
    };
    let section = Section::new("cells", heading)
        .paragraph(format!("Each figure is the median over the cell's valid blocks. {what}"));
    vec![section.table(table(summary, bottlenecks))]
}

/// Every cell.
pub(in crate::report) fn table(summary: &Summary, bottlenecks: &Bottlenecks) -> Table {
    match summary.load() {
        // The columns of the published tables and some more.
        Loop::Closed => table_of(summary, bottlenecks, closed_loop_columns(), closed_loop_figures),
        Loop::Open { .. } => table_of(summary, bottlenecks, open_loop_columns(), open_loop_figures),
    }
}

fn table_of(
    summary: &Summary,
    bottlenecks: &Bottlenecks,
    of_the_loop: Vec<Column>,
    figures: fn(&CellSummary) -> Vec<Value>,
) -> Table {
    let mut columns = vec![Column::models()];
    columns.extend(prose::grid::columns(&summary.grid));
    columns.extend(of_the_loop);
    columns.extend([
        Column::numbers("CPU per request, µs").short("CPU µs\n/request"),
        Column::words("bound by").short("bound\nby"),
        Column::words("valid blocks").short("valid\nblocks"),
    ]);
    let rows = summary.cells_in_order().map(|(label, condition, cell)| {
        let mut row = vec![prose::row(label).into()];
        row.extend(prose::grid::values(&summary.grid, condition));
        row.extend(figures(cell));
        row.push(median(cell.spread(ValidTrial::cpu_us)));
        row.push(Value::or_nothing(bottlenecks.cell(label, condition), |limits| limits.bound.name().into()));
        row.push(blocks(cell).into());
        row
    });
    Table::new(columns, rows)
}

fn closed_loop_columns() -> Vec<Column> {
    vec![
        Column::numbers("complete requests").short("complete\nrequests"),
        Column::numbers("non-2xx").short("non-\n2xx"),
        Column::numbers("requests per second").short("requests\n/second"),
        Column::numbers("slowest–fastest block").short("slowest–\nfastest"),
        Column::numbers("time per request, ms").short("ms per\nrequest"),
        Column::numbers("p50, ms").short("p50\nms"),
        Column::numbers("p99, ms").short("p99\nms"),
    ]
}

fn closed_loop_figures(cell: &CellSummary) -> Vec<Value> {
    let whole = |spread| Value::or_nothing(spread, |spread: Spread| Value::decimal(spread.median, 0));
    vec![
        whole(cell.spread(|trial| Some(trial.completed as f64))),
        whole(cell.spread(|trial| Some(trial.non_2xx as f64))),
        rate_or_why_not(cell),
        range(cell.spread(ValidTrial::rate)),
        median(cell.spread(ValidTrial::mean_ms)),
        median(percentile(cell, 50.0)),
        median(percentile(cell, 99.0)),
    ]
}

fn open_loop_columns() -> Vec<Column> {
    vec![
        Column::numbers("requests per second").short("requests\n/second"),
        Column::numbers("p50, ms").short("p50\nms"),
        Column::numbers("p50, lowest–highest block").short("lowest–\nhighest"),
        Column::numbers("p99, ms").short("p99\nms"),
        Column::numbers("p99, lowest–highest block").short("lowest–\nhighest"),
    ]
}

fn open_loop_figures(cell: &CellSummary) -> Vec<Value> {
    let (p50, p99) = (percentile(cell, 50.0), percentile(cell, 99.0));
    vec![rate_or_why_not(cell), median(p50), range(p50), median(p99), range(p99)]
}

/// The figures that the run is made for, alone: a column for each value of one factor, a row for what the conditions
/// have else in common and each model.
pub(in crate::report) fn main_figures(summary: &Summary) -> Table {
    short(summary, summary.shown().collect(), &|cell| main_figure(summary.load(), cell))
}

/// CPU time of the balancer per request, µs, in the same shape; the direct row has none.
pub(in crate::report) fn cpu_figures(summary: &Summary) -> Table {
    let rows = summary.shown().filter(|row| !row.is_direct()).collect();
    let value = |cell: &CellSummary| {
        cell.spread(ValidTrial::cpu_us).map_or_else(|| why_not(cell), |of| median(Some(of)))
    };
    short(summary, rows, &value)
}

fn short(summary: &Summary, shown: Vec<&Competitor>, figure: &dyn Fn(&CellSummary) -> Value) -> Table {
    let across = summary.grid.columns();
    let rest = summary.grid.dimensions().iter().filter(|of| of.factor.name != across.factor.name);
    let mut columns: Vec<_> = rest.map(|of| prose::grid::column(of.factor)).collect();
    columns.push(Column::models());
    let heading = |level| Column::numbers(across.factor.phrase(level));
    columns.extend(across.levels.iter().map(heading));
    let mut rows = Vec::new();
    for of in summary.grid.along(across) {
        for &row in &shown {
            let mut values: Vec<_> = of.common.iter().map(|(_, value)| prose::grid::value(value)).collect();
            values.push(prose::row(row).into());
            values.extend(of.conditions.iter().map(|condition| {
                let Some(condition) = condition else { return Value::Missing(Missing::NotMeasured) };
                let cell = summary.cell(row, condition);
                let value = figure(cell);
                // Some of its trials were invalid: the text beside the table says so.
                let starred = cell.invalid > 0 && !cell.valid.is_empty();
                let star = || Value::List { values: vec![value.clone(), "*".into()], separator: "" };
                if starred { star() } else { value }
            }));
            rows.push(values);
        }
    }
    Table::new(columns, rows)
}

fn main_figure(load: Loop, cell: &CellSummary) -> Value {
    match load {
        Loop::Closed => rate_or_why_not(cell),
        Loop::Open { .. } if cell.valid.is_empty() => why_not(cell),
        Loop::Open { .. } => {
            let values = [50.0, 99.0].map(|of| median(percentile(cell, of))).to_vec();
            Value::List { values, separator: " / " }
        }
    }
}

/// A median over blocks of a percentile that some block's count does not support would mix two things.
fn percentile(cell: &CellSummary, percentile: f64) -> Option<Spread> {
    cell.spread_of_all(|trial| trial.percentile_ms(percentile))
}

fn median(spread: Option<Spread>) -> Value {
    Value::or_nothing(spread, |spread| Value::figure(spread.median))
}

fn range(spread: Option<Spread>) -> Value {
    Value::or_nothing(spread, |spread| Value::Range {
        low: spread.min,
        high: spread.max,
        digits: Digits::Four,
    })
}

fn rate_or_why_not(cell: &CellSummary) -> Value {
    cell.spread(ValidTrial::rate).map_or_else(|| why_not(cell), |spread| Value::figure(spread.median))
}

/// What stands for a cell that has no valid trial.
fn why_not(cell: &CellSummary) -> Value {
    Value::Missing(if cell.invalid > 0 { Missing::Invalid } else { Missing::NotMeasured })
}

fn blocks(cell: &CellSummary) -> String {
    match (cell.valid.len(), cell.invalid) {
        (0, 0) => "not run".into(),
        (valid, 0) => valid.to_string(),
        (valid, invalid) => format!("{valid}, {invalid} invalid"),
    }
}

#[cfg(test)]
mod tests;
