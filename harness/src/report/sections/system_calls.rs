//! The pass of system calls: its table, per request.

use crate::plan::Connections;
use crate::probes::system_calls::{Row, SystemCalls};
use crate::report::section::{Column, Table};
use crate::report::value::Value;

/// System calls that are named in a row.
const NAMED: usize = 6;

/// A row a model and kind of connection.
pub fn table(calls: &SystemCalls) -> Table {
    let columns = vec![
        Column::words("model"),
        Column::words("connections"),
        Column::numbers("system calls / request").short("calls /\nrequest"),
        Column::numbers("of them failed").short("of them\nfailed"),
        Column::numbers("waits / request").short("waits /\nrequest"),
        Column::numbers("preemptions / request").short("preempted\n/ request"),
        Column::words("most frequent"),
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
    vec![
        row.model.as_str().into(),
        if row.connections == Connections::Close { "close" } else { "keep-alive" }.into(),
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
                connections: Connections::Keepalive,
                requests: 2000,
                calls,
                voluntary_switches: 1000,
                involuntary_switches: 20,
            };
            let calls = SystemCalls { strace: String::new(), backends: 3, concurrency: 10, rows: vec![row] };
            table(&calls).plain_row(0)
        };
        let call = |name: &str, count, errors| Call { name: name.into(), count, errors };
        assert_eq!(
            of(Some(vec![call("read", 6000, 2000), call("write", 4000, 0)])),
            ["mio", "keep-alive", "5.00", "1.00", "0.50", "0.01", "read 3.00, write 2.00"]
        );
        assert_eq!(of(None), ["mio", "keep-alive", "–", "–", "0.50", "0.01", "–"]);
    }
}
