//! The conditions of a run, and the factors in which they differ: what rows, columns and axes of charts are made from.
//!
//! Backends and concurrency always belong to a grid, as they do in the published tables; of the other factors those that a
//! run varies. Whoever looks a cell up does so by its whole condition.

use crate::plan::{Condition, FACTORS, Factor, Plan, Value, factor};
use crate::record::Stored;

/// A factor, with the values that it has in a run, ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct Dimension {
    /// Which.
    pub factor: &'static Factor,
    /// Each of its values, once.
    pub levels: Vec<Value>,
}

/// The conditions of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    dimensions: Vec<Dimension>,
    conditions: Vec<Condition>,
}

/// Conditions that differ in one factor alone.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// The factors that they have in common, as far as they belong to the grid, each with its value.
    pub common: Vec<(&'static Factor, Value)>,
    /// For each level of the other factor, the condition; `None` where the run has none such.
    pub conditions: Vec<Option<&'a Condition>>,
}

impl Dimension {
    /// Whether it has several levels.
    fn varies(&self) -> bool {
        self.levels.len() > 1
    }
}

impl Grid {
    /// That of what `stored` was to measure, and of whatever else it has a trial of.
    pub(super) fn of(stored: &Stored) -> Self {
        let measured = stored.trials.iter().map(|trial| &trial.cell.condition);
        Grid::among(stored.environment.plan.conditions().iter().chain(measured))
    }

    /// That of `plan`.
    pub fn of_plan(plan: &Plan) -> Self {
        Grid::among(&plan.conditions())
    }

    fn among<'a>(conditions: impl IntoIterator<Item = &'a Condition>) -> Self {
        let mut distinct: Vec<&Condition> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        distinct.extend(conditions.into_iter().filter(|condition| seen.insert(*condition)));
        distinct.sort_by_cached_key(|condition| FACTORS.map(|factor| factor.get(condition)));
        let dimension = |factor: &'static Factor| {
            let mut levels: Vec<_> = distinct.iter().map(|condition| factor.get(condition)).collect();
            levels.sort_unstable();
            levels.dedup();
            Dimension { factor, levels }
        };
        let always = [factor::BACKENDS.name, factor::CONCURRENCY.name];
        let belongs = |of: &Dimension| of.varies() || always.contains(&of.factor.name);
        let dimensions = FACTORS.into_iter().map(dimension).filter(belongs).collect();
        Grid { dimensions, conditions: distinct.into_iter().cloned().collect() }
    }

    /// The factors that belong to it, the outermost first.
    pub fn dimensions(&self) -> &[Dimension] {
        &self.dimensions
    }

    /// Every condition, in the order of the tables.
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// The values of `factor`.
    pub fn levels(&self, factor: &Factor) -> Vec<Value> {
        let mut levels: Vec<_> = self.conditions.iter().map(|condition| factor.get(condition)).collect();
        levels.sort_unstable();
        levels.dedup();
        levels
    }

    /// What lies on the horizontal axis of a chart: concurrency where it varies, else the innermost number that does, else
    /// the innermost word; concurrency where nothing varies.
    pub fn across(&self) -> &Dimension {
        let varying = || self.dimensions.iter().filter(|of| of.varies());
        let is_concurrency = |of: &&Dimension| of.factor.name == factor::CONCURRENCY.name;
        let chosen = varying().find(is_concurrency);
        let chosen = chosen.or_else(|| varying().rfind(|of| of.factor.is_number()));
        let chosen = chosen.or_else(|| varying().next_back());
        chosen.or_else(|| self.dimensions.iter().find(is_concurrency)).unwrap_or(&self.dimensions[0])
    }

    /// What the columns of a short table are: the outermost factor that varies.
    pub fn columns(&self) -> &Dimension {
        self.dimensions.iter().find(|of| of.varies()).unwrap_or(&self.dimensions[0])
    }

    /// The conditions, row by row along `dimension`, one of this grid's.
    pub fn along(&self, dimension: &Dimension) -> Vec<Row<'_>> {
        let others = || self.dimensions.iter().filter(|of| of.factor.name != dimension.factor.name);
        let mut rows: Vec<Row<'_>> = Vec::new();
        for condition in &self.conditions {
            let common: Vec<_> = others().map(|of| of.factor.get(condition)).collect();
            let own = dimension.factor.get(condition);
            let Some(place) = dimension.levels.iter().position(|level| *level == own) else { continue };
            let is_same = |row: &Row<'_>| row.common.iter().map(|(_, value)| value).eq(&common);
            let index = rows.iter().position(is_same).unwrap_or_else(|| {
                let common = others().map(|of| of.factor).zip(common.clone()).collect();
                rows.push(Row { common, conditions: vec![None; dimension.levels.len()] });
                rows.len() - 1
            });
            rows[index].conditions[place] = Some(condition);
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::plan::Length;

    fn over(factors: &[(&'static Factor, &str)]) -> Grid {
        let plan = factors.iter().fold(fixtures::plan(Length::Blocks(1)), |plan, (factor, values)| {
            plan.over(factor, &factor.parse(values).unwrap()).unwrap()
        });
        Grid::of_plan(&plan)
    }

    fn names(grid: &Grid) -> Vec<&str> {
        grid.dimensions().iter().map(|of| of.factor.name).collect()
    }

    #[test]
    fn backends_and_concurrency_always_belong_to_a_grid_and_what_is_varied_besides() {
        let plain = over(&[]);
        assert_eq!((names(&plain), plain.conditions().len()), (vec!["backends", "concurrency"], 4));
        assert_eq!((plain.across().factor.name, plain.columns().factor.name), ("concurrency", "backends"));
        let one = over(&[(&factor::BACKENDS, "3"), (&factor::CONCURRENCY, "5")]);
        assert_eq!(names(&one), ["backends", "concurrency"]);
        assert_eq!((one.across().factor.name, one.columns().factor.name), ("concurrency", "backends"));
        let wide = over(&[(&factor::CONNECTIONS, "keepalive,close")]);
        assert_eq!(
            (names(&wide), wide.conditions().len()),
            (vec!["backends", "concurrency", "connections"], 8)
        );
    }

    #[test]
    fn a_chart_lies_along_a_number_that_varies_and_along_a_word_where_none_does() {
        let at_one = [(&factor::BACKENDS, "3"), (&factor::CONCURRENCY, "5")];
        let bodies = over(
            &[&at_one[..], &[(&factor::BODY_BYTES, "0,65536"), (&factor::LAYOUT, "shared,pinned")]].concat(),
        );
        assert_eq!(bodies.across().factor.name, "body-bytes");
        let layouts = over(&[&at_one[..], &[(&factor::LAYOUT, "shared,pinned")]].concat());
        assert_eq!((layouts.across().factor.name, layouts.columns().factor.name), ("layout", "layout"));
    }

    #[test]
    fn a_row_holds_the_conditions_that_differ_in_one_factor_alone() {
        let grid = over(&[(&factor::BODY_BYTES, "0,16")]);
        let rows = grid.along(grid.across());
        assert_eq!(rows.len(), 4);
        for row in &rows {
            let concurrency: Vec<_> = row.conditions.iter().flatten().map(|of| of.concurrency).collect();
            assert_eq!(concurrency, [2, 5]);
            assert_eq!(
                row.common.iter().map(|(factor, _)| factor.name).collect::<Vec<_>>(),
                ["backends", "body-bytes"]
            );
        }
    }
}
