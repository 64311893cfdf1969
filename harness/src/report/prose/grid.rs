//! Conditions in tables, in headings and in sentences: each factor by its own name and unit.

use crate::analysis::grid::{Dimension, Grid};
use crate::plan::{self, Condition, Factor, Plan};
use crate::report::section::Column;
use crate::report::value::Value;
use crate::text::{grouped, listed};

/// A column for each factor of `grid`.
pub(in crate::report) fn columns(grid: &Grid) -> Vec<Column> {
    grid.dimensions().iter().map(|of| column(of.factor)).collect()
}

/// A column of the values of `factor`.
pub(in crate::report) fn column(factor: &Factor) -> Column {
    let column = if factor.is_number() { Column::numbers } else { Column::words };
    let column = column(factor.heading).keyed(factor.name);
    if factor.short_heading == factor.heading { column } else { column.short(factor.short_heading) }
}

/// What stands in these columns of `condition`.
pub(in crate::report) fn values(grid: &Grid, condition: &Condition) -> Vec<Value> {
    grid.dimensions().iter().map(|of| value(&of.factor.get(condition))).collect()
}

/// One value, as it stands in a column of its factor.
pub(in crate::report) fn value(value: &plan::Value) -> Value {
    match value {
        plan::Value::Number(number) => Value::count(*number),
        plan::Value::Word(word) => word.as_str().into(),
    }
}

/// "2 backends, concurrency 10": the factors of `grid` in `condition`.
pub(in crate::report) fn named(grid: &Grid, condition: &Condition) -> String {
    phrase(grid.dimensions().iter().map(|of| (of.factor, of.factor.get(condition))))
}

/// The same, of these factors and values.
pub(in crate::report) fn phrase(of: impl IntoIterator<Item = (&'static Factor, plan::Value)>) -> String {
    let phrases = of.into_iter().map(|(factor, value)| factor.phrase(&value));
    phrases.collect::<Vec<_>>().join(", ")
}

/// What lies across a chart: the factor, and in brackets what a reader should know of it.
pub(in crate::report) fn axis_title(across: &Dimension, remarks: &[&str]) -> String {
    let unit = across.factor.unit;
    let remarks: Vec<_> =
        std::iter::once(unit).chain(remarks.iter().copied()).filter(|of| !of.is_empty()).collect();
    let title = across.factor.title;
    if remarks.is_empty() { title.to_owned() } else { format!("{title} ({})", remarks.join(", ")) }
}

/// What `factor` is in `plan`, as part of a sentence: "1, 2 or 3", "persistent connections".
pub(in crate::report) fn of_plan(plan: &Plan, factor: &Factor) -> String {
    written(plan, factor, str::to_owned)
}

/// The same, with commas between the thousands of numbers.
pub(in crate::report) fn of_plan_grouped(plan: &Plan, factor: &Factor) -> String {
    written(plan, factor, grouped)
}

fn written(plan: &Plan, factor: &Factor, digits: fn(&str) -> String) -> String {
    let told = |value: &plan::Value| match value {
        plan::Value::Number(number) => digits(&number.to_string()),
        word @ plan::Value::Word(_) => factor.told(word),
    };
    listed(&plan.values(factor).iter().map(told).collect::<Vec<_>>())
}
