//! What is printed at the end of a run, whole.

use super::*;
use crate::analysis::synthetic::Run;

fn small() -> Run {
    Run::new().models(&["direct", "threads", "mio"]).backends(&[1, 2]).concurrency(&[2]).blocks(3)
}

#[test]
fn the_terminal_table() {
    let run = small().invalid("threads", 2, 2, 1);
    let run = (0..3).fold(run, |run, block| run.invalid("mio", 2, 2, block));
    insta::assert_snapshot!(of_run(&run.build(), 120), @r"
    model       HTTP  conc.  complete  non-  requests     slowest–   ms per    p50    p99    CPU µs  bound  valid
             servers         requests   2xx   /second      fastest  request     ms     ms  /request  by     blocks
    ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    direct         1      2     10000     0     13845  13649–14210    0.072  0.111  0.151         –  host   3
    direct         2      2     10000     0     13522  13392–14044    0.074  0.114  0.156         –  host   3
    threads        1      2     10000     0      7235    7078–7318    0.138  0.223  0.353     106.0  host   3
    threads        2      2     10000     0      6694    6644–6744    0.149  0.242  0.377     111.4  host   2, 1 invalid
    mio            1      2     10000     0      7679    7662–8586    0.130  0.201  0.283     76.33  host   3
    mio            2      2         –     –   invalid            –        –      –      –         –  –      0, 3 invalid

    requests per second, ratios with 95 % intervals; noise floor unknown: this run has no model measured twice (A/A)
       HTTP  conc.  mio / threads
    servers
    ───────────────────────────────────────────
          1      2  1.10 (0.94–1.30) unsettled
          2      2  invalid

    CPU per request, balancer, ratios with 95 % intervals; noise floor unknown: this run has no model measured twice (A/A)
       HTTP  conc.  mio / threads
    servers
    ─────────────────────────────────────────
          1      2  0.72 (0.67–0.77) cheaper
          2      2  invalid

    Medians over 2 to 3 blocks. Closed loop, 10,000 requests a trial, a new connection for each request. A range is what was
    seen over the blocks; only ratios have confidence intervals. p50 and p99 are a closed loop's, which leave out the wait
    that it avoids: for latencies, `roundtable run --rate auto`.
    4 invalid trials:
      mio, 2 servers, concurrency 2, block 1, attempt 1: 3 of 10000 responses were not 2xx
      threads, 2 servers, concurrency 2, block 2, attempt 1: 3 of 10000 responses were not 2xx
      mio, 2 servers, concurrency 2, block 2, attempt 1: 3 of 10000 responses were not 2xx
      mio, 2 servers, concurrency 2, block 3, attempt 1: 3 of 10000 responses were not 2xx
    ");
}

#[test]
fn the_terminal_table_of_an_open_loop() {
    let run = small().rate(2000).invalid("threads", 2, 2, 1);
    let run = (0..3).fold(run, |run, block| run.invalid("mio", 2, 2, block));
    insta::assert_snapshot!(of_run(&run.build(), 120), @r"
    Open loop at 2,000 requests per second, latency from the intended send time:

    model       HTTP  conc.  requests    p50      lowest–    p99      lowest–    CPU µs  bound   valid
             servers          /second     ms      highest     ms      highest  /request  by      blocks
    ──────────────────────────────────────────────────────────────────────────────────────────────────────────
    direct         1      2      2000  0.211  0.209–0.212  0.251  0.250–0.258         –  nobody  3
    direct         2      2      2000  0.214  0.209–0.216  0.257  0.253–0.264         –  nobody  3
    threads        1      2      2000  0.324  0.318–0.330  0.454  0.452–0.467     106.0  nobody  3
    threads        2      2      2000  0.342  0.340–0.344  0.477  0.464–0.490     111.4  nobody  2, 1 invalid
    mio            1      2      2000  0.301  0.282–0.302  0.383  0.354–0.400     76.33  nobody  3
    mio            2      2   invalid      –            –      –            –         –  –       0, 3 invalid

    response time, p50, ratios with 95 % intervals; noise floor unknown: this run has no model measured twice (A/A)
       HTTP  conc.  mio / threads
    servers
    ───────────────────────────────────────────
          1      2  0.91 (0.82–1.01) unsettled
          2      2  invalid

    response time, p99, ratios with 95 % intervals; noise floor unknown: this run has no model measured twice (A/A)
       HTTP  conc.  mio / threads
    servers
    ───────────────────────────────────────────
          1      2  0.83 (0.68–1.01) unsettled
          2      2  invalid

    CPU per request, balancer, ratios with 95 % intervals; noise floor unknown: this run has no model measured twice (A/A)
       HTTP  conc.  mio / threads
    servers
    ─────────────────────────────────────────
          1      2  0.72 (0.67–0.77) cheaper
          2      2  invalid

    Medians over 2 to 3 blocks. Open loop at 2,000 requests per second, latency from the intended send time; 10,000 requests
    a trial, a new connection for each request. A range is what was seen over the blocks; only ratios have confidence
    intervals.
    4 invalid trials:
      mio, 2 servers, concurrency 2, block 1, attempt 1: 3 of 10000 responses were not 2xx
      threads, 2 servers, concurrency 2, block 2, attempt 1: 3 of 10000 responses were not 2xx
      mio, 2 servers, concurrency 2, block 2, attempt 1: 3 of 10000 responses were not 2xx
      mio, 2 servers, concurrency 2, block 3, attempt 1: 3 of 10000 responses were not 2xx
    ");
    let whole = of_run(&Run::new().rate(20_000).build(), 80);
    let widest = whole.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= 80, "{widest}");
}
