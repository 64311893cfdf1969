//! A table of ratios and verdicts for each metric; and what was found of slowdowns that were injected on purpose.

use super::Source;
use crate::analysis::grid::Grid;
use crate::analysis::ratio::Bound;
use crate::analysis::verdicts::{Comparison, OfMetric};
use crate::report::prose;
use crate::report::section::{Column, Content, MOST_COLUMNS, Section, Table};
use crate::report::value::{Missing, Value};

pub(super) fn sections(source: &Source<'_>) -> Vec<Section> {
    let (load, grid) = (source.analysis.summary.load(), &source.analysis.summary.grid);
    let section = |of: &OfMetric| {
        let floor = format!("Noise floor: {}.", prose::noise_floor(of));
        let client_bound = if of.models.iter().any(|comparison| comparison.bound != Bound::Exact) {
            " ≥ and ≤: the client was the limit of the better side, and the difference is at least that. Client-bound: it \
             was the limit of both, or of the side that looks worse."
        } else {
            ""
        };
        let heading = format!("Ratios of {}{}", of.metric.name(), prose::load::remark_on(of.metric, load));
        let section = Section::new(format!("ratios-{}", slug(of.metric.name())), heading).paragraph(format!(
            "Geometric mean of the ratios within each block, in brackets the interval that the verdict was made from (all \
             of the table hold together in at least 90 % of runs), then the verdict. {floor}{client_bound}"
        ));
        Some(section.tables(table(grid, of)?.in_parts(grid.dimensions().len(), MOST_COLUMNS)))
    };
    source.analysis.verdicts.iter().filter_map(section).collect()
}

/// `name` as a part of an id.
fn slug(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

pub(super) fn slowdowns(source: &Source<'_>) -> Vec<Section> {
    let tables: Vec<_> = source
        .analysis
        .verdicts
        .iter()
        .filter_map(|of| Some((of.metric, by_condition(&source.analysis.summary.grid, of, &of.slowdowns)?)))
        .collect();
    if tables.is_empty() {
        return Vec::new();
    }
    let section = Section::new("slowdowns", "Injected slowdowns").paragraph(
        "A model that was made to burn more CPU time for each request, compared with itself: what this run finds of a \
         difference that is known to be there. Both are adjusted for how fast the machine was during a trial, by what its \
         client and backends paid for a request. No competitor.",
    );
    let each = tables.into_iter().flat_map(|(metric, table)| {
        let leading = source.analysis.summary.grid.dimensions().len();
        let parts = table.in_parts(leading, MOST_COLUMNS).into_iter().map(Content::Table);
        std::iter::once(Content::Paragraph(format!("{}:", metric.name()))).chain(parts)
    });
    vec![section.with(each)]
}

/// Each model to the reference: a row a condition, a column a model. `None` where there is no pair.
pub(in crate::report) fn table(grid: &Grid, of: &OfMetric) -> Option<Table> {
    by_condition(grid, of, &of.models)
}

fn by_condition(grid: &Grid, of: &OfMetric, comparisons: &[Comparison]) -> Option<Table> {
    comparisons.iter().find(|comparison| comparison.ratio.is_some())?;
    let mut pairs: Vec<_> = comparisons.iter().map(|c| (&c.row, &c.with)).collect();
    pairs.dedup();
    let mut columns = prose::grid::columns(grid);
    columns.extend(
        pairs.iter().map(|(row, with)| Column::words(format!("{} / {}", prose::row(row), prose::row(with)))),
    );
    let rows = grid.conditions().iter().map(|condition| {
        let mut row = prose::grid::values(grid, condition);
        row.extend(pairs.iter().map(|pair| {
            let found = comparisons.iter().find(|c| c.condition == *condition && (&c.row, &c.with) == *pair);
            Value::or_nothing(found, |comparison| value(of, comparison))
        }));
        row
    });
    Some(Table::new(columns, rows))
}

/// The ratio, its interval, the verdict.
fn value(of: &OfMetric, comparison: &Comparison) -> Value {
    match comparison.ratio {
        None => Value::Missing(Missing::Invalid),
        Some(ratio) => Value::concluded(&ratio, prose::verdict(of.metric, &ratio)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Analysis;
    use crate::analysis::metric::Metric;
    use crate::analysis::synthetic::Run;
    use crate::report::render::markdown;

    fn run(models: &[&str]) -> Run {
        Run::new().models(models).backends(&[1, 2]).concurrency(&[10]).blocks(8)
    }

    fn made(run: &Run, metric: Metric, make: impl Fn(&Grid, &OfMetric) -> Option<Table>) -> Table {
        let analysis = Analysis::of(&run.build());
        make(&analysis.summary.grid, analysis.verdicts.on(metric).unwrap()).unwrap()
    }

    #[test]
    fn the_ratios_with_their_verdicts() {
        let throughput = made(&run(&["direct", "threads", "mio", "threads#2"]), Metric::Throughput, table);
        insta::assert_snapshot!(markdown::table(&throughput), @r"
        | backends | concurrency | mio / threads |
        | ---: | ---: | --- |
        | 1 | 10 | 1.35 (1.28–1.43) faster |
        | 2 | 10 | 1.33 (1.26–1.41) faster |
        ");
    }

    #[test]
    fn a_pair_without_a_common_valid_block_is_invalid() {
        let run = (0..8).fold(run(&["threads", "mio"]), |run, block| run.invalid("mio", 1, 10, block));
        let table = made(&run, Metric::Throughput, table);
        assert_eq!(table.plain_row(0)[2], "invalid");
        assert_ne!(table.plain_row(1)[2], "invalid");
    }

    #[test]
    fn a_slowed_model_is_named_by_what_was_added() {
        let slowdowns = |grid: &Grid, of: &OfMetric| by_condition(grid, of, &of.slowdowns);
        let table = made(&run(&["threads", "mio", "mio+10%"]), Metric::BalancerCpu, slowdowns);
        assert_eq!(table.columns[2].title, "mio +10 % CPU / mio");
    }
}
