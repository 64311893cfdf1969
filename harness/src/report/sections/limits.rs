//! What limited each cell (closed loop), or how busy it was (open loop).

use super::Source;
use crate::analysis::bottleneck::{Bottleneck, Bottlenecks, IDLE, LITTLE, Remark, SATURATED, STOLEN};
use crate::analysis::loop_kind::Loop;
use crate::analysis::summary::{CellSummary, Summary};
use crate::plan::{Condition, Connections};
use crate::report::prose;
use crate::report::section::{Column, Section, Table};
use crate::report::value::Value;

pub(super) fn sections(source: &Source<'_>) -> Vec<Section> {
    let (summary, bottlenecks) = (&source.analysis.summary, &source.analysis.bottlenecks);
    let (heading, method) = match summary.load() {
        Loop::Closed => ("What limited each cell", closed_loop(summary)),
        Loop::Open { .. } => ("How busy each cell was", open_loop(summary)),
    };
    vec![Section::new("limits", heading).paragraph(method).table(table(summary, bottlenecks))]
}

fn table(summary: &Summary, bottlenecks: &Bottlenecks) -> Table {
    let mut columns = vec![Column::models()];
    columns.extend(prose::grid::columns(&summary.grid));
    columns.push(Column::words("bound by"));
    columns.extend(["client", "balancer", "backends", "idle", "stolen"].map(Column::numbers));
    columns.extend(match summary.load() {
        Loop::Closed => ["of direct", "X·R / c"].map(Column::numbers),
        Loop::Open { .. } => ["waited", "sent late, p99, ms"].map(Column::numbers),
    });
    columns.push(Column::words("remarks"));
    let share = |value: Option<f64>| Value::or_nothing(value, |value| Value::decimal(value, 2));
    let rows = summary.cells_in_order().filter_map(|(label, condition, cell)| {
        let limits = bottlenecks.cell(label, condition)?;
        let mut row = vec![prose::row(label).into()];
        row.extend(prose::grid::values(&summary.grid, condition));
        row.extend([
            limits.bound.name().into(),
            Value::decimal(limits.client, 2),
            share(limits.balancer),
            Value::decimal(limits.backends, 2),
            Value::percent(limits.idle, 0),
            Value::percent(limits.steal, 0),
        ]);
        row.extend(match summary.load() {
            Loop::Closed => [share(limits.of_direct), share(limits.little)],
            Loop::Open { .. } => lateness(cell),
        });
        row.push(remarks(limits).into());
        Some(row)
    });
    Table::new(columns, rows)
}

/// What a request waited before it was sent: the share that found no free connection, and p99 of the lateness.
fn lateness(cell: &CellSummary) -> [Value; 2] {
    let waited = cell.spread(|trial| Some(trial.adherence?.waited));
    let late = cell.spread_of_all(|trial| trial.adherence?.late_p99_ms);
    [
        Value::or_nothing(waited, |spread| Value::percent(spread.median, 1)),
        Value::or_nothing(late, |spread| Value::figure(spread.median)),
    ]
}

fn remarks(limits: &Bottleneck) -> String {
    let written = limits.remarks().into_iter().map(|remark| match remark {
        Remark::ConcurrencyNotHeld => "the client did not keep its concurrency".to_owned(),
        Remark::ClientInTheTimes => "part of these times may be the client's own".to_owned(),
        Remark::Plateau { share } => format!("40 ms plateau: {:.1} % of the requests", share * 100.0),
    });
    written.collect::<Vec<_>>().join("; ")
}

fn closed_loop(summary: &Summary) -> String {
    let keeps = |condition: &Condition| condition.connections == Connections::Keepalive;
    let direct = match summary.conditions().iter().filter(|condition| keeps(condition)).count() {
        0 => "",
        all if all == summary.conditions().len() => {
            " or when it reaches that share of the direct row's throughput,"
        }
        _ => " or, with persistent connections, when it reaches that share of the direct row's throughput,",
    };
    format!(
        "Client, balancer and backends: processors used, CPU time over elapsed time; idle and stolen: of {} processors' time; \
         all medians over blocks. A cell is bound by the client when {}{SATURATED} of a processor,\
         {direct} by the balancer or the backends when they used that share of the processors that they can be on, by the \
         host when at most {:.0} % was idle or at least {:.0} % stolen; else it was waiting. What the client bounds is not \
         ranked: a faster client would have shown more. X·R / c is Little's law: near 1 where the client kept c requests \
         outstanding ({} to {} pass).",
        summary.processors(),
        threads(summary),
        IDLE * 100.0,
        STOLEN * 100.0,
        LITTLE.0,
        LITTLE.1,
    )
}

/// The client's threads, as the beginning of a sentence that goes on with a share of a processor.
fn threads(summary: &Summary) -> String {
    match summary.generators(u32::MAX) {
        1 => "its one thread used at least ".to_owned(),
        several => {
            format!("its {several} load generators, of one thread each, used at least {several} times ")
        }
    }
}

fn open_loop(summary: &Summary) -> String {
    format!(
        "Client, balancer and backends: processors used, CPU time over elapsed time; idle and stolen: of {} processors' time; \
         all medians over blocks. At a rate that all sustain, nobody need be at a limit. A cell is bound by the client when \
         {}{SATURATED} of a processor (part of the response times may then be its own), by the \
         balancer or the backends when they used that share of the processors that they can be on, by the host when at most \
         {:.0} % was idle or at least {:.0} % stolen, and else by nobody. Waited: requests that came due while every \
         connection was busy. Sent late: how long after it was due a request was sent, because it waited so or because of \
         the load generator's own timer and scheduling; both are in the response times.",
        summary.processors(),
        threads(summary),
        IDLE * 100.0,
        STOLEN * 100.0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::synthetic::Run;
    use crate::record::Outcome;

    #[test]
    fn a_plateau_and_a_client_that_did_not_keep_up_are_remarked_on() {
        let models = ["direct", "mio"];
        let mut stored = Run::new().models(&models).backends(&[1]).concurrency(&[10]).blocks(3).build();
        for trial in stored.trials.iter_mut().filter(|trial| trial.cell.competitor.name == "mio") {
            if let Outcome::Measured(sample) = &mut trial.outcome {
                sample.elapsed_ns *= 2;
                let mut heaped = crate::load::latency::histogram();
                heaped.saturating_record_n(1_000_000, 9_500);
                heaped.saturating_record_n(40_000_000, 500);
                sample.latency_ns_hdr = crate::load::latency::encode(&heaped);
            }
        }
        let summary = Summary::of(&stored);
        let table = table(&summary, &Bottlenecks::of(&summary));
        let remarks = table.plain_row(1).pop().unwrap();
        assert!(remarks.contains("40 ms plateau: 5.0 % of the requests"), "{remarks}");
    }
}
