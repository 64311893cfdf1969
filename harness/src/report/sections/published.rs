//! The tables of 2021 beside a run.

use super::Source;
use crate::analysis::families::{Families, FamiliesCell};
use crate::analysis::metric::Metric;
use crate::analysis::published::PublishedRow;
use crate::analysis::ratio::{Conclusion, Ratio};
use crate::report::prose;
use crate::report::section::{Column, Section, Table};
use crate::report::value::Value;

pub(super) fn sections(source: &Source<'_>) -> Vec<Section> {
    let (rows, Ok(families)) = (&source.beside.published, &source.analysis.families) else {
        return Vec::new();
    };
    // What was published is a closed loop's throughput.
    if rows.is_empty() || !families.load.is_closed() {
        return Vec::new();
    }
    let pairs = pairs(rows);
    let section = Section::new("published", "Beside the tables of 2021")
        .paragraph(
            "Two groups of a course measured this in 2021, a trial a row, and concluded the opposite of each other; nothing says \
             how far such a row would repeat. Each pair of their rows stands beside this run's ratio under the same condition. By this project's rules a row is not valid that \
             counts responses other than 2xx as throughput.",
        )
        .paragraph(survival(&pairs, families))
        .table(cell_by_cell(&pairs, families));
    vec![section]
}

/// Two rows of one table that differ in the model alone.
pub(in crate::report) struct Pair<'a> {
    pub(in crate::report) table: &'a str,
    pub(in crate::report) backends: u32,
    pub(in crate::report) concurrency: u32,
    pub(in crate::report) threaded: Option<&'a PublishedRow>,
    pub(in crate::report) asynchronous: Option<&'a PublishedRow>,
}

/// Each pair of `rows`, table by table.
pub(in crate::report) fn pairs(rows: &[PublishedRow]) -> Vec<Pair<'_>> {
    let mut pairs: Vec<Pair<'_>> = Vec::new();
    for row in rows {
        let (table, backends, concurrency) = (row.table.as_str(), row.backends, row.concurrency);
        let key =
            |pair: &Pair<'_>| (pair.table, pair.backends, pair.concurrency) == (table, backends, concurrency);
        let index = pairs.iter().position(key).unwrap_or_else(|| {
            pairs.push(Pair { table, backends, concurrency, threaded: None, asynchronous: None });
            pairs.len() - 1
        });
        let side = if row.is_async { &mut pairs[index].asynchronous } else { &mut pairs[index].threaded };
        *side = Some(row);
    }
    pairs.sort_by_key(|pair| (pair.table, pair.concurrency, pair.backends));
    pairs
}

impl Pair<'_> {
    /// Which side was faster there, where both rows are valid.
    fn faster(&self) -> Result<bool, String> {
        let valid = |row: Option<&PublishedRow>, name: &str| match row {
            None => Err(format!("its {name} row is missing")),
            Some(row) if row.non_2xx > 0 => Err(format!(
                "its {name} row is not valid: {} of {} responses were not 2xx",
                row.non_2xx, row.complete_requests
            )),
            Some(row) => Ok(row.requests_per_second),
        };
        Ok(valid(self.asynchronous, "async")? > valid(self.threaded, "threaded")?)
    }

    /// This run's ratio under the same condition.
    fn here<'f>(&self, families: &'f Families) -> Option<&'f Ratio> {
        let of = |cell: &&FamiliesCell| {
            (cell.condition.backends, cell.condition.concurrency) == (self.backends, self.concurrency)
        };
        families.cells.iter().find(of)?.ratios.get(&Metric::Throughput)
    }

    /// Whether what stands there stands here, by the interval; in words.
    pub(in crate::report) fn survives(&self, families: &Families) -> String {
        let async_faster = match self.faster() {
            Err(reason) => return reason,
            Ok(async_faster) => async_faster,
        };
        let there = if async_faster { "async" } else { "threaded" };
        match self.here(families).map(Ratio::conclusion) {
            None => "was not measured here".into(),
            Some(Conclusion::Above) if async_faster => format!("survives: {there} is faster here, too"),
            Some(Conclusion::Below) if !async_faster => format!("survives: {there} is faster here, too"),
            Some(Conclusion::Above) => "does not survive: async is faster here".into(),
            Some(Conclusion::Below) => "does not survive: threaded is faster here".into(),
            Some(Conclusion::Equivalent) => "does not survive: they are equivalent here".into(),
            Some(_) => "unsettled here".into(),
        }
    }
}

fn survival(pairs: &[Pair<'_>], families: &Families) -> String {
    let said: Vec<String> = pairs.iter().map(|pair| pair.survives(families)).collect();
    let count = |begin: &str| said.iter().filter(|of| of.starts_with(begin)).count();
    let (not_valid, stands, falls) = (count("its "), count("survives"), count("does not survive"));
    format!(
        "Of {} pairs, {not_valid} cannot be compared since a row of them is not valid or missing; of what the others showed, \
         {stands} survive the interval of this run, {falls} do not, {} are unsettled or were not measured here.",
        pairs.len(),
        pairs.len() - not_valid - stands - falls
    )
}

fn cell_by_cell(pairs: &[Pair<'_>], families: &Families) -> Table {
    let columns = vec![
        Column::words("table of 2021"),
        Column::numbers("backends").keyed("backends"),
        Column::numbers("concurrency").short("conc.").keyed("concurrency"),
        Column::numbers("threaded, 2021, requests per second"),
        Column::numbers("async, 2021, requests per second"),
        Column::words("this run, async / threaded"),
        Column::words("what becomes of it"),
    ];
    let rate = |row: Option<&PublishedRow>| {
        Value::or_nothing(row, |row| match row.non_2xx {
            0 => Value::figure(row.requests_per_second),
            _ => Value::List {
                values: vec![Value::figure(row.requests_per_second), "not valid".into()],
                separator: ", ",
            },
        })
    };
    let rows = pairs.iter().map(|pair| {
        vec![
            pair.table.into(),
            Value::count(pair.backends),
            Value::count(pair.concurrency),
            rate(pair.threaded),
            rate(pair.asynchronous),
            Value::or_nothing(pair.here(families), |ratio| {
                Value::concluded(ratio, prose::verdict(Metric::Throughput, ratio))
            }),
            pair.survives(families).into(),
        ]
    });
    Table::new(columns, rows)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::analysis::synthetic::Run;

    #[test]
    fn what_was_published_survives_or_not_by_the_interval_and_an_invalid_row_says_why() {
        let stored = Run::new().backends(&[1, 5]).concurrency(&[2, 10]).blocks(8).build();
        let families = Families::of(&stored).unwrap();
        let rows = crate::analysis::published::rows(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/published"),
        );
        let rows = rows.unwrap();
        let pairs = pairs(&rows);
        assert_eq!(pairs.len(), 30);
        let table = cell_by_cell(&pairs, &families);
        let said = |table_name: &str, backends: u32, concurrency: u32| {
            let at = |pair: &Pair<'_>| {
                (pair.table, pair.backends, pair.concurrency) == (table_name, backends, concurrency)
            };
            table.plain_row(pairs.iter().position(at).unwrap()).pop().unwrap()
        };
        let invalid = "its async row is not valid: 8001 of 10000 responses were not 2xx";
        assert_eq!(said("its-2021-group2", 1, 2), invalid);
        assert_eq!(said("its-2021-group2", 5, 10), "does not survive: async is faster here");
        assert_eq!(said("its-2021-group2", 5, 5), "was not measured here");
        assert!(survival(&pairs, &families).starts_with("Of 30 pairs, 13 cannot be compared"));
    }
}
