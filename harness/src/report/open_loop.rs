//! What a run at a fixed rate shows: response times from when each request was due, in place of throughput.
//!
//! Owns how a trial kept its rate, the tables of response times and the words for the open loop; verdicts and charts are
//! where the closed loop's are. Rule: throughput is the rate, and nothing is said of it but whether it was sustained.

use crate::load::OpenLoop;
use crate::load::latency;
use crate::load::latency::percentile_ms;
use crate::plan::Connections;
use crate::report::bottleneck::Bottlenecks;
use crate::report::summary::{Measured, Summarised, Summary};
use crate::report::table::{Column, Table};
use crate::report::tables::{NOTHING, blocks, cells, figure, why_not};
use crate::report::words;

/// How a trial kept its rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kept {
    /// Requests per second that were due.
    pub rate: u64,
    /// Requests per second that were answered, over the whole schedule.
    pub achieved: f64,
    /// Share of the requests that came due while every connection was busy, 0 to 1.
    pub waited: f64,
    /// p99 of how long after it was due a request was sent, ms, where the count supports it.
    pub late_p99_ms: Option<f64>,
}

impl Kept {
    /// Of a window in which `completed` requests were answered; or why its times say nothing.
    pub(super) fn of(open: &OpenLoop, completed: u64) -> Result<Self, String> {
        if !open.sustained {
            return Err(format!("the rate of {} per second was not sustained", open.rate));
        }
        let late = latency::decode(&open.late_ns_hdr).map_err(|error| error.to_string())?;
        Ok(Kept {
            rate: open.rate,
            achieved: open.achieved_per_second(),
            waited: open.waited as f64 / completed.max(1) as f64,
            late_p99_ms: percentile_ms(&late, 99.0),
        })
    }
}

/// Every cell's response times.
pub(super) fn table(summary: &Summary, bottlenecks: &Bottlenecks) -> Table {
    let columns = vec![
        Column::words("model"),
        Column::numbers("HTTP servers").short("HTTP\nservers"),
        Column::numbers("concurrency").short("conc."),
        Column::numbers("requests per second").short("requests\n/second"),
        Column::numbers("p50, ms").short("p50\nms"),
        Column::numbers("p50, lowest–highest block").short("lowest–\nhighest"),
        Column::numbers("p99, ms").short("p99\nms"),
        Column::numbers("p99, lowest–highest block").short("lowest–\nhighest"),
        Column::numbers("CPU per request, µs").short("CPU µs\n/request"),
        Column::words("bound by").short("bound\nby"),
        Column::words("valid blocks").short("valid\nblocks"),
    ];
    let rows = cells(summary).map(|(model, backends, concurrency, cell)| {
        let mut row = vec![words::row(model), backends.to_string(), concurrency.to_string()];
        row.push(cell.spread(Measured::rate).map_or_else(|| why_not(cell), |s| figure(s.median)));
        for percentile in [50.0, 99.0] {
            // A median over blocks of a percentile that some block's count does not support would mix two things.
            let spread = cell.spread_of_all(|m| m.percentile_ms(percentile));
            row.push(spread.map_or(NOTHING.into(), |s| figure(s.median)));
            row.push(spread.map_or(NOTHING.into(), |s| format!("{}–{}", figure(s.min), figure(s.max))));
        }
        row.push(cell.spread(Measured::cpu_us).map_or(NOTHING.into(), |s| figure(s.median)));
        let bottleneck = bottlenecks.cell(model, (backends, concurrency));
        row.push(bottleneck.map_or(NOTHING, |bottleneck| bottleneck.bound.name()).to_owned());
        row.push(blocks(cell));
        row
    });
    Table { columns, rows: rows.collect() }
}

/// p50 and p99 alone: a row a concurrency and model, a column a backend count.
pub(super) fn pivot(summary: &Summary) -> Table {
    let mut columns = vec![Column::numbers("concurrency"), Column::words("model")];
    columns.extend(summary.backends.iter().map(|&b| Column::numbers(words::counted(b as usize, "server"))));
    let mut rows = Vec::new();
    for &concurrency in &summary.concurrency {
        for model in summary.models.iter().filter(|model| !model.is_control()) {
            let mut row = vec![concurrency.to_string(), words::row(model)];
            row.extend(summary.backends.iter().map(|&backends| {
                let cell = summary.cell(model, backends, concurrency);
                let mark = if cell.invalid > 0 && !cell.valid.is_empty() { "*" } else { "" };
                both_percentiles(cell) + mark
            }));
            rows.push(row);
        }
    }
    Table { columns, rows }
}

/// "0.214 / 1.93": medians over blocks.
fn both_percentiles(cell: &Summarised) -> String {
    if cell.valid.is_empty() {
        return why_not(cell);
    }
    let middle = |percentile| {
        let spread = cell.spread_of_all(|m| m.percentile_ms(percentile));
        spread.map_or(NOTHING.into(), |s| figure(s.median))
    };
    format!("{} / {}", middle(50.0), middle(99.0))
}

/// What a request waited before it was sent: the share that found no free connection, and p99 of the lateness.
pub(super) fn lateness(cell: &Summarised) -> [String; 2] {
    let waited = cell.spread(|m| Some(m.kept?.waited));
    let late = cell.spread_of_all(|m| m.kept?.late_p99_ms);
    [
        waited.map_or(NOTHING.into(), |s| format!("{:.1} %", s.median * 100.0)),
        late.map_or(NOTHING.into(), |s| figure(s.median)),
    ]
}

/// "open loop at 2,000 requests per second, latency from the intended send time".
pub(super) fn load(rate: u64) -> String {
    format!("{}, latency from the intended send time", at(rate))
}

/// "open loop at 2,000 requests per second".
pub(super) fn at(rate: u64) -> String {
    format!("open loop at {} requests per second", words::grouped(&rate.to_string()))
}

/// How the load was driven, as the end of a sentence.
pub(super) fn driven(summary: &Summary, rate: u64) -> String {
    format!(
        "sent {} requests per second, evenly spaced, each when it was due, whatever had become of those before it: an open \
         loop, as wrk2 has it. It had at most {} requests outstanding (concurrency), {}; one that came due while as many \
         were outstanding waited for its turn",
        words::grouped(&rate.to_string()),
        words::listed(&summary.concurrency),
        words::connections(summary.connections()),
    )
}

/// What the response times are.
pub(super) fn times(beyond: u64) -> String {
    format!(
        "The response time counts from when a request was due, its intended send time, to the last byte of its answer. When \
         the system stalls, the wait of every request that came due meanwhile is in it: the wait that a closed loop leaves \
         out (coordinated omission). What the load generator itself was late is in it too. Evenly spaced requests are milder \
         than the bursts of many independent users. A percentile is printed only where at least {beyond} requests lie beyond \
         it: per trial in the tables, pooled over blocks in the curves."
    )
}

/// What becomes of throughput.
pub(super) const THROUGHPUT: &str = "The rate is the same for every row, so throughput is the rate and is not compared: what \
    may differ is response time and CPU time. A rate counts as sustained when at least 99 % of it were answered and no \
    backlog grew to the end. A trial in which it was not is left out although it was slow, so that a cell with such trials among \
    its invalid ones was slower at times than its figures say. CPU time per request at a part of what a model can serve includes falling asleep and waking up, \
    which a saturated model does less often.";

/// What the direct row tells.
pub(super) fn direct(connections: Connections) -> &'static str {
    match connections {
        Connections::Keepalive => {
            "Its times are what client, servers and machine need at this rate without a balancer."
        }
        Connections::Close => {
            "Its times are what client, servers and machine need at this rate without a balancer; but its servers meet a new \
             connection with every request, while a balancer keeps its connections to them, so a model can be quicker."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Competitor;
    use crate::record::Outcome;
    use crate::record::in_words;
    use crate::report::synthetic::{Run, recondition};

    fn run() -> Run {
        let models = ["direct", "threads", "mio", "threads#2"];
        Run::new().models(&models).backends(&[1, 2]).concurrency(&[10]).blocks(8).rate(2000)
    }

    #[test]
    fn a_rate_that_was_not_sustained_is_never_ranked_whatever_the_file_says() {
        let mut stored = run().build();
        for trial in stored.trials.iter_mut().filter(|trial| trial.cell.competitor.name == "mio") {
            let Outcome::Measured(sample) = &mut trial.outcome else { continue };
            if let Some(open) = &mut sample.open_loop {
                open.sustained = false;
            }
        }
        let summary = Summary::of(&stored);
        assert_eq!(summary.cell(&Competitor::of("mio"), 1, 10).valid.len(), 0);
        assert_eq!(pivot(&summary).rows[2][1..], ["mio", "invalid", "invalid"]);
        assert_eq!(in_words(&summary.invalid[0].reasons), "the rate of 2000 per second was not sustained");
    }

    #[test]
    fn a_trial_of_another_loop_than_the_plans_enters_no_figure() {
        let mut closed = run().build();
        recondition(&mut closed, |condition| condition.rate = None);
        let mut other = run().build();
        recondition(&mut other, |condition| condition.rate = Some(1000));
        for stored in [closed, other] {
            let summary = Summary::of(&stored);
            assert_eq!(summary.valid().count(), 0);
            assert!(
                summary.invalid[0].reasons[0].to_string().contains("another rate than the plan"),
                "{:?}",
                summary.invalid[0]
            );
        }
    }

    #[test]
    fn the_response_times_are_those_from_when_each_request_was_due() {
        let stored = run().build();
        let Outcome::Measured(sample) = &stored.trials[0].outcome else { panic!("measured") };
        let since_due = latency::decode(&sample.open_loop.as_ref().unwrap().latency_ns_hdr).unwrap();
        let since_sent = latency::decode(&sample.latency_ns_hdr).unwrap();
        let summary = Summary::of(&stored);
        let measured = &summary.cell(&Competitor::direct(), 1, 10).valid[0];
        assert_eq!(measured.percentile_ms(50.0), percentile_ms(&since_due, 50.0));
        assert_ne!(measured.percentile_ms(50.0), percentile_ms(&since_sent, 50.0));
        assert_eq!(measured.rate(), Some(2000.0));
    }
}
