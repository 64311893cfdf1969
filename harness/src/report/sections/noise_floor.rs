//! The noise floor, and how far verdicts may be trusted.

use super::Source;
use crate::analysis::verdicts::Verdicts;
use crate::report::prose;
use crate::report::section::{Column, Section, Table};
use crate::report::value::{Missing, Value};
use crate::statistics::bootstrap::RESAMPLES;
use crate::text::grouped;

pub(super) fn sections(source: &Source<'_>) -> Vec<Section> {
    let rows = &source.analysis.summary.competitors;
    let again: Vec<_> = rows.iter().filter(|row| row.replicate).map(prose::row).collect();
    let pair = if again.is_empty() {
        "This run has no such row: verdicts rest on the intervals alone.".to_owned()
    } else {
        format!("Here: {}.", again.join(", "))
    };
    let section = Section::new("noise-floor", "A/A: the noise floor").paragraph(format!(
        "A row called again is the same model under a second name, in every block: what differs between the two is \
         noise. {pair} The noise floor is the largest geometric-mean ratio of any such cell, or what their pooled \
         spread lets expect of one cell in 95 % of cases, whichever is further from 1. One in twenty of their intervals \
         (each of one comparison alone) is expected to leave out 1; after correction, one run in twenty has any A/A comparison \
         of a metric with a difference. The last column is a second \
         opinion on the models' intervals: the studentised bootstrap over blocks, {} resamples.",
        grouped(&RESAMPLES.to_string())
    ));
    vec![section.table(table(&source.analysis.verdicts))]
}

/// A row a metric.
fn table(verdicts: &Verdicts) -> Table {
    let columns = vec![
        Column::words("metric"),
        Column::numbers("noise floor"),
        Column::numbers("A/A: comparisons"),
        Column::numbers("of these without a difference"),
        Column::numbers("their intervals without 1"),
        Column::numbers("furthest from 1"),
        Column::numbers("models: intervals that the bootstrap confirms"),
    ];
    let rows = verdicts.iter().map(|of| {
        let tally = of.aa_tally();
        let (count, all) = of.confirmed_by_bootstrap();
        vec![
            of.metric.name().into(),
            of.floor.map_or(Value::Missing(Missing::Unknown), Value::NoiseFloor),
            Value::count(tally.comparisons),
            Value::count(tally.without_difference),
            Value::count(tally.intervals_without_one),
            Value::or_nothing(tally.furthest, |ratio| Value::decimal(ratio, 3)),
            Value::CountOf { count, all },
        ]
    });
    Table::new(columns, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Analysis;
    use crate::analysis::synthetic::Run;
    use crate::report::render::markdown;

    fn of(models: &[&str]) -> Table {
        let run = Run::new().models(models).backends(&[1, 2]).concurrency(&[10]).blocks(8);
        table(&Analysis::of(&run.build()).verdicts)
    }

    #[test]
    fn without_a_pair_the_floor_is_unknown_and_said_to_be() {
        let table = of(&["threads", "mio"]);
        assert!((0..table.rows.len()).all(|row| table.plain_row(row)[1..3] == ["unknown", "0"]));
    }

    #[test]
    fn how_a_model_differs_from_itself() {
        insta::assert_snapshot!(markdown::table(&of(&["direct", "threads", "mio", "threads#2"])), @r"
        | metric | noise floor | A/A: comparisons | of these without a difference | their intervals without 1 | furthest from 1 | models: intervals that the bootstrap confirms |
        | --- | ---: | ---: | ---: | ---: | ---: | ---: |
        | requests per second | ±4.8 % | 2 | 2 | 0 | 0.989 | 2 of 2 |
        | CPU per request, balancer | ±1.6 % | 2 | 2 | 0 | 0.985 | 2 of 2 |
        | CPU per request, all roles | ±1.1 % | 2 | 1 | 1 | 0.989 | 2 of 2 |
        | response time, p50 | ±4.9 % | 2 | 2 | 0 | 1.008 | 2 of 2 |
        | response time, p99 | ±5.8 % | 2 | 2 | 0 | 1.026 | 2 of 2 |
        ");
    }
}
