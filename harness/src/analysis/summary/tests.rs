//! What a summary of stored trials must hold.

use super::*;
use crate::analysis::synthetic::Run;
use crate::load::latency::percentile_ms;
use crate::record::{Outcome, Sample};

/// One backend, concurrency 2.
fn first(summary: &Summary) -> &Condition {
    &summary.conditions()[0]
}

fn of(label: &str) -> Competitor {
    Competitor::of(label)
}

#[test]
fn a_figure_is_the_median_over_valid_blocks() {
    let stored = Run::new().blocks(3).models(&["direct", "threads"]).build();
    let summary = Summary::of(&stored);
    let cell = summary.cell(&of("threads"), first(&summary));
    let mut rates: Vec<_> = cell.valid.iter().map(|m| m.rate).collect();
    rates.sort_by(f64::total_cmp);
    assert_eq!(cell.spread(ValidTrial::rate).unwrap().median, rates[1]);
    assert_eq!(cell.valid.len(), 3);
}

#[test]
fn an_invalid_trial_is_counted_and_enters_no_figure() {
    let run = Run::new().blocks(3);
    let clean = Summary::of(&run.build());
    let summary = Summary::of(&run.invalid("threads", 1, 2, 1).build());
    let (before, after) =
        (clean.cell(&of("threads"), first(&clean)), summary.cell(&of("threads"), first(&summary)));
    assert_eq!((after.valid.len(), after.invalid), (2, 1));
    assert_eq!(after.valid[0].rate, before.valid[0].rate);
    assert!(after.in_block(1).is_none());
    assert_eq!(summary.invalid.len(), 1);
    assert_eq!(summary.invalid[0].block, 1);
}

#[test]
fn a_cell_run_again_after_an_invalid_trial_has_both() {
    let mut stored = Run::new().blocks(1).build();
    let mut again = stored.trials[0].clone();
    stored.trials[0].outcome = Outcome::Invalid { reasons: vec![Reason::Words("1 of 10000 failed".into())] };
    again.attempt = 2;
    stored.trials.push(again);
    let summary = Summary::of(&stored);
    let cell = summary.cell(&of("direct"), first(&summary));
    assert_eq!((cell.valid.len(), cell.invalid), (1, 1));
}

#[test]
fn an_altered_record_is_invalid_not_a_number() {
    let mut stored = Run::new().blocks(1).build();
    for (index, alter) in [
        (0, (|s: &mut Sample| s.latency_ns_hdr = "AAAA".into()) as fn(&mut Sample)),
        (1, |s: &mut Sample| s.elapsed_ns = 0),
        (2, |s: &mut Sample| s.completed = 0),
    ] {
        if let Outcome::Measured(sample) = &mut stored.trials[index].outcome {
            alter(sample);
        }
    }
    let summary = Summary::of(&stored);
    assert_eq!(summary.invalid.len(), 3);
    assert!(summary.invalid[0].reasons[0].to_string().contains("V2 form"), "{:?}", summary.invalid[0]);
}

#[test]
fn p99_9_needs_more_than_one_trial_of_10000() {
    let stored = Run::new().blocks(2).build();
    let summary = Summary::of(&stored);
    let cell = summary.cell(&of("threads"), first(&summary));
    assert!(cell.valid[0].percentile_ms(99.0).is_some());
    assert!(cell.valid[0].percentile_ms(99.9).is_none());
    assert!(percentile_ms(&cell.pooled().unwrap(), 99.9).is_some());
    assert!(percentile_ms(&cell.pooled().unwrap(), 99.99).is_none());
}

#[test]
fn the_reference_is_threads_else_the_first_balancer() {
    let of = |models: &[&str]| {
        Summary::of(&Run::new().blocks(1).models(models).build()).reference().map(ToString::to_string)
    };
    assert_eq!(of(&["direct", "mio", "threads"]).as_deref(), Some("threads"));
    assert_eq!(of(&["direct", "mio", "tokio"]).as_deref(), Some("mio"));
    assert_eq!(of(&["direct"]), None);
}

#[test]
fn ratios_pair_only_blocks_that_both_have() {
    let stored = Run::new().blocks(4).invalid("mio", 1, 2, 0).invalid("threads", 1, 2, 3).build();
    let summary = Summary::of(&stored);
    let ratios = summary.log_ratios((&of("mio"), &of("threads")), first(&summary), ValidTrial::rate);
    assert_eq!(ratios.len(), 2);
    let cell = |model| summary.cell(&of(model), first(&summary)).in_block(1).unwrap().rate;
    assert_eq!(ratios[0], (cell("mio") / cell("threads")).ln());
}
