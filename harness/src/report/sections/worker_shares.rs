//! How evenly connections were spread over workers that share nothing.

use super::Source;
use crate::analysis::summary::CellSummary;
use crate::plan::{Accept, Cell, Connections};
use crate::report::section::{Column, Section, Table};
use crate::report::value::Value;
use crate::statistics::Spread;

pub(super) fn sections(source: &Source<'_>) -> Vec<Section> {
    let summary = &source.analysis.summary;
    let rows: Vec<_> = summary.cells.iter().filter_map(|(cell, trials)| row(cell, trials)).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    vec![
        Section::new("worker-shares", "Connections over workers that share nothing")
            .paragraph(
                "Where each worker has its own loop or runtime and its own connections, one that got more of them has more to do \
                 while another may wait. One acceptor gives them out in turn; with SO_REUSEPORT the kernel chooses by a hash, \
                 and few connections are spread as unevenly as chance has it. Those of the warm-up are counted too. A range is \
                 what was seen over the blocks.",
            )
            .table(Table::new(columns(), rows)),
    ]
}

fn columns() -> Vec<Column> {
    vec![
        Column::words("model"),
        Column::numbers("backends"),
        Column::numbers("concurrency").short("conc."),
        Column::words("connections"),
        Column::words("accepted by"),
        Column::numbers("workers"),
        Column::numbers("share of the busiest worker").short("busiest\nworker"),
        Column::numbers("if even"),
    ]
}

fn row(cell: &Cell, trials: &CellSummary) -> Option<Vec<Value>> {
    let shares: Vec<_> = trials.valid.iter().filter_map(|trial| trial.shares).collect();
    let workers = shares.first()?.workers;
    let busiest = Spread::of(&shares.iter().map(|share| share.busiest * 100.0).collect::<Vec<_>>())?;
    let condition = &cell.condition;
    let seen = match trials.valid.len() {
        1 => format!("{:.0} %", busiest.median),
        _ => format!("{:.0} % ({:.0}–{:.0})", busiest.median, busiest.min, busiest.max),
    };
    Some(vec![
        cell.competitor.to_string().into(),
        Value::count(condition.backends),
        Value::count(condition.concurrency),
        if condition.connections == Connections::Close { "close" } else { "keep-alive" }.into(),
        if condition.accept == Accept::Reuseport { "the kernel" } else { "one acceptor" }.into(),
        Value::count(u32::try_from(workers).unwrap_or(u32::MAX)),
        seen.into(),
        format!("{:.0} %", 100.0 / workers as f64).into(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::summary::Summary;
    use crate::analysis::synthetic::Run;
    use crate::record::Outcome;

    #[test]
    fn the_busiest_workers_share_stands_beside_the_even_one_and_only_where_workers_share_nothing() {
        let mut run =
            Run::new().models(&["mio", "mio-multi"]).backends(&[1]).concurrency(&[2]).blocks(3).build();
        let counts = [[7, 3], [5, 5], [0, 10]];
        let mut of_block = counts.iter();
        for trial in run.trials.iter_mut().filter(|trial| trial.cell.competitor.name == "mio-multi") {
            if let (Outcome::Measured(sample), Some(counts)) = (&mut trial.outcome, of_block.next()) {
                sample.connections_by_worker = counts.to_vec();
            }
        }
        let summary = Summary::of(&run);
        let rows: Vec<_> = summary.cells.iter().filter_map(|(cell, of)| row(cell, of)).collect();
        assert_eq!(rows.len(), 1);
        let row = Table::new(columns(), rows).plain_row(0);
        assert_eq!(row, ["mio-multi", "1", "2", "close", "one acceptor", "2", "70 % (50–100)", "50 %"]);
    }
}
