//! The pass of system calls: its table, per request.

use super::Source;
use crate::plan::{Condition, Connections};
use crate::probes::system_calls::{Row, SystemCalls};
use crate::report::section::{Column, Content, Section, Table};
use crate::report::value::Value;

/// System calls that are named in a row.
const NAMED: usize = 6;

pub(super) fn sections(source: &Source<'_>) -> Vec<Section> {
    source.beside.passes.system_calls.iter().map(section).collect()
}

fn section(calls: &SystemCalls) -> Section {
    let is_traced = calls.rows.iter().any(|row| row.calls.is_some());
    let untraced = (!is_traced).then(|| format!("No system calls were counted: {}.", calls.strace));
    Section::new("system-calls", "System calls and context switches")
        .paragraph(
            "From a pass of its own that is not timed: system calls of a balancer that strace was attached to, which makes it \
             many times slower; context switches of one that ran without it. Neither depends much on how busy the machine was. \
             A failed call is mostly one that found nothing to do yet (EAGAIN).",
        )
        .with(untraced.map(Content::Warning))
        .table(table(calls))
}

/// A row a condition and model.
fn table(calls: &SystemCalls) -> Table {
    let columns = vec![
        Column::words("model"),
        Column::numbers("backends"),
        Column::numbers("concurrency").short("conc."),
        Column::words("connections"),
        Column::numbers("system calls per request").short("calls /\nrequest"),
        Column::numbers("failed calls per request").short("failed /\nrequest"),
        Column::numbers("waits per request").short("waits /\nrequest"),
        Column::numbers("preemptions per request").short("preempted\n/ request"),
        Column::words("most frequent calls per request").short("most frequent"),
    ];
    Table::new(columns, calls.rows.iter().map(row))
}

fn row(row: &Row) -> Vec<Value> {
    let calls = row.calls.as_deref();
    let failed = calls.map(|calls| row.of_each(calls.iter().map(|call| call.errors).sum()));
    let frequent = calls.map(|calls| {
        let named = calls.iter().take(NAMED);
        let named = named.map(|call| format!("{} {:.2}", call.name, row.of_each(call.count)));
        named.collect::<Vec<_>>().join(", ")
    });
    let decimal = |value| Value::decimal(value, 2);
    let Condition { backends, concurrency, connections, .. } = row.condition;
    vec![
        row.model.as_str().into(),
        Value::count(backends),
        Value::count(concurrency),
        if connections == Connections::Close { "close" } else { "keep-alive" }.into(),
        Value::or_nothing(row.calls_a_request(), decimal),
        Value::or_nothing(failed, decimal),
        decimal(row.of_each(row.voluntary_switches)),
        decimal(row.of_each(row.involuntary_switches)),
        Value::or_nothing(frequent, Value::Text),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::system_calls::Call;

    #[test]
    fn a_row_is_per_request_and_without_strace_only_its_switches_are_known() {
        let of = |calls: Option<Vec<Call>>| {
            let row = Row {
                model: "mio".into(),
                condition: Condition { connections: Connections::Keepalive, ..Condition::default() },
                requests: 2000,
                calls,
                voluntary_switches: 1000,
                involuntary_switches: 20,
            };
            let calls = SystemCalls { strace: String::new(), rows: vec![row] };
            table(&calls).plain_row(0)
        };
        let call = |name: &str, count, errors| Call { name: name.into(), count, errors };
        assert_eq!(
            of(Some(vec![call("read", 6000, 2000), call("write", 4000, 0)])),
            ["mio", "3", "10", "keep-alive", "5.00", "1.00", "0.50", "0.01", "read 3.00, write 2.00"]
        );
        assert_eq!(of(None), ["mio", "3", "10", "keep-alive", "–", "–", "0.50", "0.01", "–"]);
    }
}
