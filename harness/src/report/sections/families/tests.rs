//! What is said of the families of a made-up run.

use super::*;
use crate::analysis::synthetic::Run;
use crate::record::Outcome;
use crate::report::render::terminal;

fn small() -> Run {
    Run::new().backends(&[1, 2]).concurrency(&[10])
}

#[test]
fn of_one_block_nothing_can_be_told() {
    let families = Families::of(&small().blocks(1).build()).unwrap();
    insta::assert_snapshot!(sentence(&families), @"Async served more requests per second than threaded in none of 2 cells, fewer in none, no verdict in 2 (one block); it used less CPU time of the balancer per request in none of 2 cells, more in none, no verdict in 2 (one block): this holds for these models on this testbed under this load, and for the means of the families.");
}

#[test]
fn a_cell_that_the_client_bounded_is_counted_apart() {
    let mut stored = small().blocks(8).build();
    for trial in
        stored.trials.iter_mut().filter(|t| t.cell.competitor.name == "mio" && t.cell.condition.backends == 1)
    {
        if let Outcome::Measured(sample) = &mut trial.outcome {
            sample.client.system_ns = sample.elapsed_ns;
        }
    }
    let families = Families::of(&stored).unwrap();
    insta::assert_snapshot!(sentence(&families), @"Async served more requests per second than threaded in 2 of 2 cells (ratios 1.18 to 1.20, at least so where the client was the limit), fewer in none; it used less CPU time of the balancer per request in 2 of 2 cells (ratio 0.84), more in none: this holds for these models on this testbed under this load, and for the means of the families.");
}

#[test]
fn the_table_and_the_sentence_of_a_closed_loop() {
    let families = Families::of(&small().blocks(8).build()).unwrap();
    insta::assert_snapshot!(terminal::table(&table(&families), 120), @r"
    backends  conc.  blocks   requests/second       p  verdict            CPU/request       p  verdict
                               async/threaded                          async/threaded
    ─────────────────────────────────────────────────────────────────────────────────────────────────────────
           1     10       8  1.20 (1.15–1.25)  <0.001  async faster  0.84 (0.81–0.87)  <0.001  async cheaper
           2     10       8  1.18 (1.13–1.23)  <0.001  async faster  0.84 (0.83–0.86)  <0.001  async cheaper
    ");
    insta::assert_snapshot!(sentence(&families), @"Async served more requests per second than threaded in 2 of 2 cells (ratios 1.18 to 1.20), fewer in none; it used less CPU time of the balancer per request in 2 of 2 cells (ratio 0.84), more in none: this holds for these models on this testbed under this load, and for the means of the families.");
}

#[test]
fn a_cell_without_a_whole_block_has_no_data() {
    let run = (0..6).fold(small().blocks(6), |run, block| run.invalid("mio", 1, 10, block));
    let families = Families::of(&run.build()).unwrap();
    assert_eq!(table(&families).plain_row(0)[5], "no data");
}

#[test]
fn the_table_and_the_sentence_of_an_open_loop_are_of_response_times() {
    let families = Families::of(&small().rate(2000).blocks(8).build()).unwrap();
    insta::assert_snapshot!(terminal::table(&table(&families), 120), @r"
    backends  conc.  blocks  p50                       p99                       CPU/request
                             async/threaded            async/threaded            async/threaded
    ──────────────────────────────────────────────────────────────────────────────────────────────────────
           1     10       8  0.84 (0.80–0.87) quicker  0.77 (0.74–0.79) quicker  0.84 (0.81–0.87) cheaper
           2     10       8  0.84 (0.81–0.88) quicker  0.80 (0.78–0.83) quicker  0.84 (0.83–0.86) cheaper
    ");
    insta::assert_snapshot!(sentence(&families), @"Open loop at 2,000 requests per second, latency from the intended send time: async had a shorter p50 response time than threaded in 2 of 2 cells (ratio 0.84), a longer one in none; it had a shorter p99 in 2 of 2 cells (ratios 0.77 to 0.80), a longer one in none; it used less CPU time of the balancer per request in 2 of 2 cells (ratio 0.84), more in none: this holds for these models on this testbed under this load, and for the means of the families.");
    insta::assert_snapshot!(method(&families), @"Threaded: threads, pool; async: mio, tokio. Each ratio is of the families' geometric means within a block: the geometric mean over blocks, and in brackets the interval that its verdict was made from (those of all cells hold together in at least 90 % of runs; none is narrower than the noise floor). Tests: Student's t on the logarithms, after Holm's correction for the number of cells; a verdict at 5 % and beyond the noise floor (a model against itself): unknown for p50, unknown for p99, unknown for CPU. Open loop at 2,000 requests per second, latency from the intended send time, the same for all: throughput is not compared.");
}

#[test]
fn too_few_requests_for_a_percentile_are_said_to_be_too_few() {
    let mut stored = small().rate(2000).blocks(3).build();
    for trial in &mut stored.trials {
        if let Outcome::Measured(sample) = &mut trial.outcome
            && let Some(open) = &mut sample.open_loop
        {
            let mut few = crate::load::latency::histogram();
            few.saturating_record_n(1_000_000, 30);
            open.latency_ns_hdr = crate::load::latency::encode(&few);
        }
    }
    let sentence = sentence(&Families::of(&stored).unwrap());
    assert!(
        sentence.contains(
            "async cannot be compared in its p50 response time (too few requests a trial); it cannot"
        ),
        "{sentence}"
    );
    assert!(sentence.contains("it used less CPU time"), "{sentence}");
}
