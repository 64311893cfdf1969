//! Facts about the tables of every cell.

use super::*;
use crate::analysis::synthetic::Run;
use crate::record::{Outcome, Stored};
use crate::report::render::{markdown, terminal};
use crate::report::value::NOTHING;

fn every_cell(stored: &Stored) -> Table {
    let summary = Summary::of(stored);
    table(&summary, &Bottlenecks::of(&summary))
}

fn small() -> Run {
    Run::new().models(&["direct", "threads", "mio"]).backends(&[1, 2]).concurrency(&[2]).blocks(3)
}

fn row_of(table: &Table, start: [&str; 3]) -> Vec<String> {
    (0..table.rows.len()).map(|row| table.plain_row(row)).find(|row| row[..3] == start).unwrap()
}

#[test]
fn the_table_of_the_whole_grid_fits_120_columns() {
    let run = Run::new().invalid("threads", 2, 5, 0);
    let text = terminal::table(&every_cell(&run.build()), 120);
    let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= 120, "{widest}");
    // No row is broken in two.
    assert_eq!(text.lines().filter(|line| line.starts_with("tokio")).count(), 15);
}

#[test]
fn the_markdown_of_the_short_table() {
    let run = small().invalid("threads", 2, 2, 1);
    let run = (0..3).fold(run, |run, block| run.invalid("mio", 2, 2, block));
    insta::assert_snapshot!(markdown::table(&main_figures(&Summary::of(&run.build()))), @r"
    | concurrency | model | 1 backend | 2 backends |
    | ---: | --- | ---: | ---: |
    | 2 | direct | 13845 | 13522 |
    | 2 | threads | 7235 | 6694\* |
    | 2 | mio | 7679 | invalid |
    ");
}

#[test]
fn an_invalid_trial_is_never_ranked() {
    let run = (0..3).fold(small(), |run, block| run.invalid("mio", 2, 2, block)).build();
    let row = row_of(&every_cell(&run), ["mio", "2", "2"]);
    assert_eq!(row[5], "invalid");
    assert_eq!((row[11].as_str(), row[12].as_str()), (NOTHING, "0, 3 invalid"));
}

#[test]
fn a_cell_whose_rate_was_not_sustained_is_invalid_in_the_short_table() {
    let mut stored = small().rate(2000).build();
    for trial in stored.trials.iter_mut().filter(|trial| trial.cell.competitor.name == "mio") {
        let Outcome::Measured(sample) = &mut trial.outcome else { continue };
        sample.open_loop.as_mut().unwrap().sustained = false;
    }
    assert_eq!(main_figures(&Summary::of(&stored)).plain_row(2)[1..], ["mio", "invalid", "invalid"]);
}

#[test]
fn a_cell_that_was_not_run_is_told_from_an_invalid_one() {
    let mut run = small().build();
    run.trials.retain(|trial| trial.cell.competitor.name != "mio");
    let row = row_of(&every_cell(&run), ["mio", "1", "2"]);
    assert_eq!((row[5].as_str(), row[12].as_str()), (NOTHING, "not run"));
}

#[test]
fn p99_is_left_out_where_the_count_does_not_support_it() {
    let mut run = small().build();
    for trial in &mut run.trials {
        if let Outcome::Measured(sample) = &mut trial.outcome {
            let mut few = crate::load::latency::histogram();
            few.saturating_record_n(1_000_000, 1_000);
            sample.latency_ns_hdr = crate::load::latency::encode(&few);
        }
    }
    let row = every_cell(&run).plain_row(0);
    assert_eq!((row[8].as_str(), row[9].as_str()), ("1.000", NOTHING));
}
