//! The tables of 2021 beside a run.

use crate::analysis::families::Families;
use crate::analysis::metric::Metric;
use crate::analysis::published::Published;
use crate::analysis::ratio::Conclusion;
use crate::report::section::{Column, Table};
use crate::report::value::NOTHING;
use crate::report::value::Value;
use crate::statistics::Spread;

/// The published verdicts beside those of `families`.
pub fn table(published: &[Published], families: &Families) -> Table {
    let columns = vec![
        Column::words("table of 2021"),
        Column::numbers("concurrency").short("conc."),
        Column::words("faster there (server counts)"),
        Column::numbers("ignored"),
        Column::words("this run, async / threaded"),
    ];
    let rows = published.iter().map(|one| {
        vec![
            one.table.as_str().into(),
            Value::count(one.concurrency),
            faster(one).into(),
            Value::count(one.ignored),
            this_run(families, one.concurrency).into(),
        ]
    });
    Table::new(columns, rows)
}

/// What the table leaves out, in words.
pub fn remark(published: &[Published]) -> String {
    let ignored: u32 = published.iter().map(|one| one.ignored).sum();
    format!(
        "Ignored: pairs of which a row has responses other than 2xx (they counted errors as throughput) or is missing, \
         {ignored} in all. Each published row is one trial: nothing says how far it would repeat."
    )
}

fn faster(published: &Published) -> String {
    let compared = published.threaded_faster + published.async_faster;
    match (published.threaded_faster, published.async_faster) {
        (0, 0) => "cannot be said".into(),
        (threaded, 0) => format!("threaded ({threaded} of {compared})"),
        (0, asynchronous) => format!("async ({asynchronous} of {compared})"),
        (threaded, asynchronous) if threaded > asynchronous => {
            format!("threaded ({threaded} of {compared}), else async")
        }
        (threaded, asynchronous) if asynchronous > threaded => {
            format!("async ({asynchronous} of {compared}), else threaded")
        }
        (each, _) => format!("each in {each} of {compared}"),
    }
}

fn this_run(families: &Families, concurrency: u32) -> String {
    let cells = families.cells.iter().filter(|cell| cell.condition.concurrency == concurrency);
    let ratios: Vec<_> = cells.filter_map(|cell| cell.ratios.get(&Metric::Throughput)).collect();
    let Some(range) = Spread::of(&ratios.iter().map(|ratio| ratio.judged.ratio).collect::<Vec<_>>()) else {
        return NOTHING.into();
    };
    let with = |conclusion| ratios.iter().filter(|ratio| ratio.conclusion() == conclusion).count();
    let all = ratios.len();
    let verdict = match (with(Conclusion::Above), with(Conclusion::Below)) {
        (0, 0) if with(Conclusion::ClientBound) == all => "client-bound".into(),
        (0, 0) => "cannot tell".into(),
        (faster, 0) => format!("faster in {faster} of {all}"),
        (0, slower) => format!("slower in {slower} of {all}"),
        (faster, slower) => format!("faster in {faster}, slower in {slower} of {all}"),
    };
    format!("{:.2}–{:.2}, {verdict}", range.min, range.max)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::analysis::published::read;
    use crate::analysis::synthetic::Run;
    use crate::report::render::terminal;

    fn committed() -> Vec<Published> {
        read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/published")).unwrap()
    }

    #[test]
    fn the_published_tables_beside_a_run() {
        let stored = Run::new().backends(&[1, 2]).concurrency(&[2, 10]).blocks(8).build();
        let families = Families::of(&stored).unwrap();
        insta::assert_snapshot!(terminal::table(&table(&committed(), &families), 120), @r"
        table of 2021    conc.  faster there (server counts)  ignored  this run, async / threaded
        ───────────────────────────────────────────────────────────────────────────────────────────
        its-2021-group2      2  cannot be said                      5  1.05–1.06, faster in 2 of 2
        its-2021-group2      5  async (1 of 1)                      4  –
        its-2021-group2     10  threaded (1 of 1)                   4  1.18–1.20, faster in 2 of 2
        its-2021-group7      2  async (5 of 5)                      0  1.05–1.06, faster in 2 of 2
        its-2021-group7      5  threaded (5 of 5)                   0  –
        its-2021-group7     10  threaded (5 of 5)                   0  1.18–1.20, faster in 2 of 2
        ");
        insta::assert_snapshot!(remark(&committed()), @r"
        Ignored: pairs of which a row has responses other than 2xx (they counted errors as throughput) or is missing, 13 in all. Each published row is one trial: nothing says how far it would repeat.
        ");
    }

    #[test]
    fn a_table_whose_rows_all_count_errors_says_nothing() {
        let none =
            Published { table: "t".into(), concurrency: 2, threaded_faster: 0, async_faster: 0, ignored: 2 };
        assert_eq!(faster(&none), "cannot be said");
    }
}
