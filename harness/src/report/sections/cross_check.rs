//! The cross-check of the load generator with other tools: its table.

use super::Source;
use crate::probes::cross_check::CrossCheck;
use crate::report::section::{Column, Content, Section, Table};
use crate::report::value::Value;

pub(super) fn sections(source: &Source<'_>) -> Vec<Section> {
    source.beside.passes.cross_check.iter().map(section).collect()
}

fn section(check: &CrossCheck) -> Section {
    let missing = check.missing.iter().map(|missing| Content::Warning(format!("Left out: {missing}.")));
    let versions = (!check.versions.is_empty()).then(|| format!("Tools: {}.", check.versions.join("; ")));
    Section::new("cross-check", "The load generator beside others")
        .paragraph(
            "Requests per second by roundtable's load over those by another tool, measured in pairs, one right after the other, \
             each at a fresh balancer; near 1 where they agree. The tools differ in what they do (ab speaks HTTP/1.0, wrk sends \
             for a time, neither compares bodies), so their figures stand here alone.",
        )
        .with(missing)
        .table(table(check))
        .with(versions.map(Content::Paragraph))
}

/// A row a condition, model and tool.
fn table(check: &CrossCheck) -> Table {
    let columns = vec![
        Column::words("model"),
        Column::numbers("backends"),
        Column::numbers("concurrency").short("conc."),
        Column::words("tool"),
        Column::numbers("pairs"),
        Column::numbers("failed pairs").short("failed"),
        Column::numbers("load / tool, median"),
        Column::numbers("lowest"),
        Column::numbers("highest"),
    ];
    let rows = check.agreements().into_iter().map(|agreement| {
        let of = |at: usize| Value::or_nothing(agreement.ratio, |ratio| Value::decimal(ratio[at], 3));
        vec![
            agreement.model.as_str().into(),
            Value::count(agreement.condition.backends),
            Value::count(agreement.condition.concurrency),
            agreement.tool.name().into(),
            Value::count(agreement.pairs),
            Value::count(agreement.failed_pairs),
            of(1),
            of(0),
            of(2),
        ]
    });
    Table::new(columns, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Condition;
    use crate::probes::cross_check::Pair;
    use crate::probes::cross_check::Tool;

    fn of(pairs: &[(f64, f64)]) -> Table {
        let pair = |&(ours, theirs): &(f64, f64)| Pair {
            model: "mio".into(),
            condition: Condition::default(),
            tool: Tool::Wrk,
            ours_first: true,
            ours_per_second: ours,
            theirs_per_second: theirs,
            failures: 0,
        };
        table(&CrossCheck {
            versions: Vec::new(),
            missing: Vec::new(),
            pairs: pairs.iter().map(pair).collect(),
        })
    }

    #[test]
    fn a_row_has_the_median_and_the_range_of_the_ratios() {
        let table = of(&[(100.0, 50.0), (100.0, 100.0), (110.0, 100.0)]);
        assert_eq!(table.plain_row(0), ["mio", "3", "10", "wrk -t1", "3", "0", "1.100", "1.000", "2.000"]);
    }

    #[test]
    fn pairs_that_all_failed_have_no_ratio() {
        assert_eq!(of(&[(1.0, 0.0)]).plain_row(0)[6], "–");
    }
}
