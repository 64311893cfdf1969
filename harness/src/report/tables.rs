//! The tables of a run: throughput in the shape of the published ones, and its short form.
//!
//! A figure is the median over a cell's valid blocks. An invalid cell says so where its rate would stand; rows
//! keep the plan's order, so that nothing is ranked.

use crate::plan::Competitor;
use crate::record::Stored;
use crate::report::bottleneck::Bottlenecks;
use crate::report::metric::Metric;
use crate::report::open_loop;
use crate::report::summary::{Measured, Summarised, Summary};
use crate::report::table::{Column, Table, printable};
use crate::report::verdicts::{self, Verdicts};
use crate::report::words;

/// Width of the terminal's table, columns.
const TERMINAL: u16 = 120;
/// Invalid trials told on the terminal; the report has them all.
const REASONS_ON_TERMINAL: usize = 10;

/// What stands where there is nothing to say.
pub(super) const NOTHING: &str = "–";
const INVALID: &str = "invalid";

/// What `roundtable run` prints at its end.
pub fn terminal(stored: &Stored) -> String {
    let summary = Summary::of(stored);
    let bottlenecks = Bottlenecks::of(&summary);
    let verdicts = Verdicts::of(&summary, &bottlenecks);
    let mut text = match summary.rate() {
        None => throughput(&summary, &bottlenecks).terminal(TERMINAL),
        Some(rate) => {
            let table = open_loop::table(&summary, &bottlenecks).terminal(TERMINAL);
            format!("{}:\n\n{table}", words::capitalised(&open_loop::load(rate)))
        }
    };
    let told = |metric| match summary.rate() {
        None => matches!(metric, Metric::Throughput | Metric::BalancerCpu),
        Some(_) => matches!(metric, Metric::P50 | Metric::P99 | Metric::BalancerCpu),
    };
    for of in verdicts.iter().filter(|of| told(of.metric)) {
        if let Some(table) = verdicts::table(of) {
            let floor = of.floor.map_or("unknown: no A/A pair".into(), words::floor);
            text.push_str(&format!(
                "\n{}, ratios with 95 % intervals; noise floor {floor}\n",
                of.metric.name()
            ));
            text.push_str(&table.terminal(TERMINAL));
        }
    }
    text.push('\n');
    let remark = format!(
        "Medians over {}. {} {}{}",
        words::blocks(&summary),
        words::load(&stored.environment.plan),
        words::strength(&summary),
        if summary.rate().is_none() { words::CLOSED_LOOP_TIMES } else { "" },
    );
    text.push_str(&words::wrapped(&remark, TERMINAL.into()));
    let mut invalid = summary.invalid.iter();
    if invalid.len() > 0 {
        text.push_str(&format!("{}:\n", words::counted(invalid.len(), "invalid trial")));
    }
    for refused in invalid.by_ref().take(REASONS_ON_TERMINAL) {
        text.push_str(&format!("  {}\n", printable(&words::refused(refused))));
    }
    if invalid.len() > 0 {
        text.push_str(&format!("  and {} more, listed in the report\n", invalid.len()));
    }
    text
}

/// Every cell, in the columns of the published tables and some more.
pub fn throughput(summary: &Summary, bottlenecks: &Bottlenecks) -> Table {
    let columns = vec![
        Column::words("model"),
        Column::numbers("HTTP servers").short("HTTP\nservers"),
        Column::numbers("concurrency").short("conc."),
        Column::numbers("complete requests").short("complete\nrequests"),
        Column::numbers("non-2xx").short("non-\n2xx"),
        Column::numbers("requests per second").short("requests\n/second"),
        Column::numbers("slowest–fastest block").short("slowest–\nfastest"),
        Column::numbers("time per request, ms").short("ms per\nrequest"),
        Column::numbers("p50, ms").short("p50\nms"),
        Column::numbers("p99, ms").short("p99\nms"),
        Column::numbers("CPU per request, µs").short("CPU µs\n/request"),
        Column::words("bound by").short("bound\nby"),
        Column::words("valid blocks").short("valid\nblocks"),
    ];
    let rows = cells(summary).map(|(model, backends, concurrency, cell)| {
        let mut row = vec![words::row(model), backends.to_string(), concurrency.to_string()];
        let completed = cell.spread(|m| Some(m.completed as f64));
        let non_2xx = cell.spread(|m| Some(m.non_2xx as f64));
        let rate = cell.spread(Measured::rate);
        row.push(completed.map_or(NOTHING.into(), |s| format!("{:.0}", s.median)));
        row.push(non_2xx.map_or(NOTHING.into(), |s| format!("{:.0}", s.median)));
        row.push(rate_or_why(cell));
        row.push(rate.map_or(NOTHING.into(), |s| format!("{}–{}", figure(s.min), figure(s.max))));
        for middle in [
            cell.spread(Measured::mean_ms),
            // A median over blocks of a percentile that some block's count does not support would mix two things.
            cell.spread_of_all(|m| m.percentile_ms(50.0)),
            cell.spread_of_all(|m| m.percentile_ms(99.0)),
            cell.spread(Measured::cpu_us),
        ] {
            row.push(middle.map_or(NOTHING.into(), |s| figure(s.median)));
        }
        let bottleneck = bottlenecks.cell(model, (backends, concurrency));
        row.push(bottleneck.map_or(NOTHING, |bottleneck| bottleneck.bound.name()).to_owned());
        row.push(blocks(cell));
        row
    });
    Table { columns, rows: rows.collect() }
}

/// Requests per second alone: a row a concurrency and model, a column a backend count.
pub fn pivot(summary: &Summary) -> Table {
    let mut columns = vec![Column::numbers("concurrency"), Column::words("model")];
    columns.extend(summary.backends.iter().map(|&b| Column::numbers(words::counted(b as usize, "server"))));
    let mut rows = Vec::new();
    for &concurrency in &summary.concurrency {
        for model in summary.models.iter().filter(|model| !model.is_control()) {
            let mut row = vec![concurrency.to_string(), words::row(model)];
            row.extend(summary.backends.iter().map(|&backends| {
                let cell = summary.cell(model, backends, concurrency);
                let mark = if cell.invalid > 0 && !cell.valid.is_empty() { "*" } else { "" };
                rate_or_why(cell) + mark
            }));
            rows.push(row);
        }
    }
    Table { columns, rows }
}

/// Four significant digits or so.
pub(super) fn figure(value: f64) -> String {
    match value {
        v if v >= 999.5 => format!("{v:.0}"),
        v if v >= 99.95 => format!("{v:.1}"),
        v if v >= 9.995 => format!("{v:.2}"),
        v => format!("{v:.3}"),
    }
}

pub(super) fn cells(summary: &Summary) -> impl Iterator<Item = (&Competitor, u32, u32, &Summarised)> {
    summary.models.iter().flat_map(move |model| {
        summary.backends.iter().flat_map(move |&backends| {
            summary.concurrency.iter().map(move |&concurrency| {
                (model, backends, concurrency, summary.cell(model, backends, concurrency))
            })
        })
    })
}

fn rate_or_why(cell: &Summarised) -> String {
    match cell.spread(Measured::rate) {
        Some(spread) => figure(spread.median),
        None => why_not(cell),
    }
}

/// What stands for a cell that has no valid trial.
pub(super) fn why_not(cell: &Summarised) -> String {
    if cell.invalid > 0 { INVALID } else { NOTHING }.into()
}

pub(super) fn blocks(cell: &Summarised) -> String {
    match (cell.valid.len(), cell.invalid) {
        (0, 0) => "not run".into(),
        (valid, 0) => valid.to_string(),
        (valid, invalid) => format!("{valid}, {invalid} invalid"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Outcome;
    use crate::report::synthetic::Run;

    fn every_cell(summary: &Summary) -> Table {
        throughput(summary, &Bottlenecks::of(summary))
    }

    fn small() -> Run {
        Run::new().models(&["direct", "threads", "mio"]).backends(&[1, 2]).concurrency(&[2]).blocks(3)
    }

    #[test]
    fn the_terminal_table() {
        let run = small().invalid("threads", 2, 2, 1);
        let run = (0..3).fold(run, |run, block| run.invalid("mio", 2, 2, block));
        insta::assert_snapshot!(terminal(&run.build()), @r"
        model       HTTP  conc.  complete  non-  requests     slowest–   ms per    p50    p99    CPU µs  bound  valid
                 servers         requests   2xx   /second      fastest  request     ms     ms  /request  by     blocks
        ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
        direct         1      2     10000     0     13845  13649–14210    0.072  0.111  0.151         –  host   3
        direct         2      2     10000     0     13522  13392–14044    0.074  0.114  0.156         –  host   3
        threads        1      2     10000     0      7235    7078–7318    0.138  0.223  0.353     106.0  host   3
        threads        2      2     10000     0      6694    6644–6744    0.149  0.242  0.377     111.4  host   2, 1 invalid
        mio            1      2     10000     0      7679    7662–8586    0.130  0.201  0.283     76.33  host   3
        mio            2      2         –     –   invalid            –        –      –      –         –  –      0, 3 invalid

        requests per second, ratios with 95 % intervals; noise floor unknown: no A/A pair
           HTTP  conc.  mio / threads
        servers
        ───────────────────────────────────────────────────
              1      2  1.10 (0.94–1.30) indistinguishable
              2      2  invalid

        CPU per request, balancer, ratios with 95 % intervals; noise floor unknown: no A/A pair
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
        insta::assert_snapshot!(terminal(&run.build()), @r"
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

        response time, p50, ratios with 95 % intervals; noise floor unknown: no A/A pair
           HTTP  conc.  mio / threads
        servers
        ───────────────────────────────────────────────────
              1      2  0.91 (0.82–1.01) indistinguishable
              2      2  invalid

        response time, p99, ratios with 95 % intervals; noise floor unknown: no A/A pair
           HTTP  conc.  mio / threads
        servers
        ───────────────────────────────────────────────────
              1      2  0.83 (0.68–1.01) indistinguishable
              2      2  invalid

        CPU per request, balancer, ratios with 95 % intervals; noise floor unknown: no A/A pair
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
        let whole = terminal(&Run::new().rate(20_000).build());
        let widest = whole.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 120, "{widest}");
    }

    #[test]
    fn the_terminal_table_of_the_whole_grid_fits_120_columns() {
        let run = Run::new().invalid("threads", 2, 5, 0);
        let text = every_cell(&Summary::of(&run.build())).terminal(TERMINAL);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 120, "{widest}");
        // No row is broken in two.
        assert_eq!(text.lines().filter(|line| line.starts_with("tokio")).count(), 15);
    }

    #[test]
    fn the_markdown_of_the_short_table() {
        let run = small().invalid("threads", 2, 2, 1);
        let run = (0..3).fold(run, |run, block| run.invalid("mio", 2, 2, block));
        insta::assert_snapshot!(pivot(&Summary::of(&run.build())).markdown(), @r"
        | concurrency | model | 1 server | 2 servers |
        | ---: | --- | ---: | ---: |
        | 2 | direct | 13845 | 13522 |
        | 2 | threads | 7235 | 6694\* |
        | 2 | mio | 7679 | invalid |
        ");
    }

    #[test]
    fn an_invalid_trial_is_never_ranked() {
        let run = (0..3).fold(small(), |run, block| run.invalid("mio", 2, 2, block)).build();
        let summary = Summary::of(&run);
        let table = every_cell(&summary);
        let row = table.rows.iter().find(|row| row[..3] == ["mio", "2", "2"]).unwrap();
        assert_eq!(row[5], "invalid");
        assert_eq!((row[11].as_str(), row[12].as_str()), (NOTHING, "0, 3 invalid"));
        let verdicts = Verdicts::of(&summary, &Bottlenecks::of(&summary));
        assert_eq!(verdicts::table(verdicts.on(Metric::Throughput).unwrap()).unwrap().rows[1][2], "invalid");
    }

    #[test]
    fn a_cell_that_was_not_run_is_told_from_an_invalid_one() {
        let mut run = small().build();
        run.trials.retain(|trial| trial.cell.competitor.name != "mio");
        let table = every_cell(&Summary::of(&run));
        let row = table.rows.iter().find(|row| row[0] == "mio").unwrap();
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
        let row = &every_cell(&Summary::of(&run)).rows[0];
        assert_eq!((row[8].as_str(), row[9].as_str()), ("1.000", NOTHING));
    }

    #[test]
    fn figures_keep_four_digits() {
        let texts = [12_345.6, 999.96, 999.4, 99.97, 12.345, 0.1234].map(figure);
        assert_eq!(texts, ["12346", "1000", "999.4", "100.0", "12.35", "0.123"]);
    }
}
