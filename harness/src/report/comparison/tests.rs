//! Families of a made-up run, and what is said of them.

use super::*;
use crate::report::synthetic::Run;

fn small() -> Run {
    Run::new().backends(&[1, 2]).concurrency(&[10])
}

#[test]
fn a_ratio_is_of_geometric_means_within_the_block() {
    let stored = small().blocks(1).build();
    let summary = Summary::of(&stored);
    let rate = |model| summary.cell(&Competitor::of(model), 1, 10).valid[0].rate;
    let truth = ((rate("mio") * rate("tokio")) / (rate("threads") * rate("pool"))).sqrt();
    let cell = &Comparison::of(&stored).unwrap().cells[0];
    assert!((cell.throughput.unwrap().judged.ratio - truth).abs() < 1e-12);
}

#[test]
fn one_block_cannot_tell_however_large_the_difference() {
    let comparison = Comparison::of(&small().blocks(1).build()).unwrap();
    for cell in &comparison.cells {
        assert_eq!(cell.throughput.unwrap().verdict(), Verdict::CannotTell);
    }
    insta::assert_snapshot!(comparison.sentence(), @"Async served more requests per second than threaded in none of 2 cells, fewer in none, in 2 this run cannot tell (ratios 1.12 to 1.16); it used less CPU time of the balancer per request in none of 2 cells, more in none, in 2 this run cannot tell (ratios 0.83 to 0.84): this holds for these models on this machine under this load, and for the means of the families.");
}

#[test]
fn a_cell_that_the_client_bounded_has_no_rank_in_throughput_and_one_in_cpu() {
    let mut stored = small().blocks(8).build();
    for trial in
        stored.trials.iter_mut().filter(|t| t.cell.competitor.name == "mio" && t.cell.condition.backends == 1)
    {
        if let crate::record::Outcome::Measured(sample) = &mut trial.outcome {
            sample.client.system_ns = sample.elapsed_ns;
        }
    }
    let comparison = Comparison::of(&stored).unwrap();
    assert_eq!(comparison.cells[0].throughput.unwrap().verdict(), Verdict::ClientBound);
    assert_eq!(comparison.cells[0].cpu.unwrap().verdict(), Verdict::Lower);
    assert_eq!(comparison.cells[1].throughput.unwrap().verdict(), Verdict::Higher);
    insta::assert_snapshot!(comparison.sentence(), @"Async served more requests per second than threaded in 1 of 2 cells (ratio 1.18), fewer in none, and 1 without a rank because the client was the limit there (ratio 1.20); it used less CPU time of the balancer per request in 2 of 2 cells (ratio 0.84), more in none: this holds for these models on this machine under this load, and for the means of the families.");
}

#[test]
fn eight_blocks_that_agree_in_two_cells_are_a_verdict() {
    let comparison = Comparison::of(&small().blocks(8).build()).unwrap();
    insta::assert_snapshot!(comparison.table().terminal(120), @r"
       HTTP  conc.  blocks   requests/second       p  verdict            CPU/request       p  verdict
    servers                   async/threaded                          async/threaded
    ────────────────────────────────────────────────────────────────────────────────────────────────────────
          1     10       8  1.20 (1.16–1.24)  <0.001  async faster  0.84 (0.81–0.86)  <0.001  async cheaper
          2     10       8  1.18 (1.14–1.22)  <0.001  async faster  0.84 (0.83–0.85)  <0.001  async cheaper
    ");
    insta::assert_snapshot!(comparison.sentence(), @"Async served more requests per second than threaded in 2 of 2 cells (ratios 1.18 to 1.20), fewer in none; it used less CPU time of the balancer per request in 2 of 2 cells (ratio 0.84), more in none: this holds for these models on this machine under this load, and for the means of the families.");
}

#[test]
fn a_block_that_lacks_one_model_is_left_out_of_its_cell_only() {
    let stored = small().blocks(8).invalid("tokio", 1, 10, 3).build();
    let blocks: Vec<_> = Comparison::of(&stored).unwrap().cells.iter().map(|cell| cell.blocks).collect();
    assert_eq!(blocks, [7, 8]);
}

#[test]
fn a_cell_without_a_whole_block_has_no_verdict_and_costs_no_comparison() {
    let run = (0..6).fold(small().blocks(6), |run, block| run.invalid("mio", 1, 10, block));
    let comparison = Comparison::of(&run.build()).unwrap();
    assert_eq!(comparison.cells[0].throughput, None);
    assert_eq!(comparison.cells[1].throughput.unwrap().verdict(), Verdict::Higher);
    assert_eq!(comparison.table().rows[0][5], "no data");
}

#[test]
fn one_family_alone_is_refused_with_a_remedy() {
    let error =
        |models: &[&str]| Comparison::of(&small().models(models).blocks(1).build()).unwrap_err().to_string();
    assert!(error(&["direct", "threads", "pool"]).contains("only threaded models (threads, pool)"));
    assert!(error(&["mio"]).contains("only async models (mio)"));
    assert!(error(&["direct"]).contains("neither") && error(&["direct"]).contains("--models"));
}

#[test]
fn a_run_without_a_whole_block_is_refused_with_a_remedy() {
    let mut stored = small().blocks(1).build();
    stored.trials.retain(|trial| trial.cell.competitor.name != "pool");
    let error = Comparison::of(&stored).unwrap_err();
    assert!(matches!(error, ComparisonError::NothingPaired { .. }));
    assert!(error.to_string().contains("--resume"));
}

#[test]
fn a_run_whose_trials_are_all_invalid_for_good_is_not_sent_back_to_be_resumed() {
    let mut stored = small().blocks(1).build();
    for trial in &mut stored.trials {
        trial.attempt = crate::plan::schedule::MOST_ATTEMPTS;
        trial.outcome = crate::record::Outcome::Invalid {
            reasons: vec![crate::record::Reason::Words("steal".to_owned())],
        };
    }
    let told = Comparison::of(&stored).unwrap_err().to_string();
    assert!(!told.contains("--resume") && told.ends_with("mend the cause, then begin a new run"), "{told}");
}

#[test]
fn of_an_open_loop_response_times_are_compared_and_throughput_is_not() {
    let stored = small().rate(2000).blocks(8).build();
    let comparison = Comparison::of(&stored).unwrap();
    assert!(comparison.cells.iter().all(|cell| cell.throughput.is_none() && cell.blocks == 8));
    insta::assert_snapshot!(comparison.table().terminal(120), @r"
       HTTP  conc.  blocks  p50                       p99                       CPU/request
    servers                 async/threaded            async/threaded            async/threaded
    ─────────────────────────────────────────────────────────────────────────────────────────────────────
          1     10       8  0.84 (0.81–0.87) quicker  0.77 (0.75–0.79) quicker  0.84 (0.81–0.86) cheaper
          2     10       8  0.84 (0.82–0.87) quicker  0.80 (0.78–0.83) quicker  0.84 (0.83–0.85) cheaper
    ");
    insta::assert_snapshot!(comparison.sentence(), @"Open loop at 2,000 requests per second, latency from the intended send time: async had a shorter p50 response time than threaded in 2 of 2 cells (ratio 0.84), a longer one in none; it had a shorter p99 in 2 of 2 cells (ratios 0.77 to 0.80), a longer one in none; it used less CPU time of the balancer per request in 2 of 2 cells (ratio 0.84), more in none: this holds for these models on this machine under this load, and for the means of the families.");
    insta::assert_snapshot!(comparison.method(), @"Threaded: threads, pool; async: mio, tokio. Each ratio is of the families' geometric means within a block: the geometric mean over blocks, and in brackets its 95 % interval. Tests: Student's t on the logarithms, after Holm's correction for the number of cells; a verdict at 5 % and beyond the noise floor (a model against itself): unknown for p50, unknown for p99, unknown for CPU. Open loop at 2,000 requests per second, latency from the intended send time, the same for all: throughput is not compared.");
}

#[test]
fn a_client_at_its_limit_does_not_take_an_open_loops_rank_away() {
    let mut stored = small().rate(2000).blocks(8).build();
    for trial in &mut stored.trials {
        if let crate::record::Outcome::Measured(sample) = &mut trial.outcome {
            sample.client.system_ns = sample.elapsed_ns;
        }
    }
    let comparison = Comparison::of(&stored).unwrap();
    assert!(comparison.cells.iter().all(|cell| cell.p50.unwrap().verdict() != Verdict::ClientBound));
}

#[test]
fn too_few_requests_for_a_percentile_are_told_and_cpu_time_is_compared_all_the_same() {
    let mut stored = small().rate(2000).blocks(3).build();
    for trial in &mut stored.trials {
        if let crate::record::Outcome::Measured(sample) = &mut trial.outcome
            && let Some(open) = &mut sample.open_loop
        {
            let mut few = crate::load::latency::histogram();
            few.saturating_record_n(1_000_000, 30);
            open.latency_ns_hdr = crate::load::latency::encode(&few);
        }
    }
    let sentence = Comparison::of(&stored).unwrap().sentence();
    assert!(
        sentence.contains(
            "async cannot be compared in its p50 response time (too few requests a trial); it cannot"
        ),
        "{sentence}"
    );
    assert!(sentence.contains("it used less CPU time"), "{sentence}");
}
