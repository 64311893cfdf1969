//! What holds over all conditions: what was found, in sentences, and each model against each.

use super::Source;
use crate::analysis::whole_grid::WholeGrid;
use crate::plan::Competitor;
use crate::report::prose;
use crate::report::section::{Column, Content, MOST_COLUMNS, Section, Table};
use crate::report::value::{Missing, Value};

pub(super) fn sections(source: &Source<'_>) -> Vec<Section> {
    let analysis = source.analysis;
    let sentences = prose::claims::of_run(analysis);
    if sentences.is_empty() {
        return Vec::new();
    }
    let findings = Content::Findings { sentences, findings: analysis.findings(), quotable: Some("findings") };
    let rows: Vec<&Competitor> = analysis.summary.balancers().collect();
    let maps = analysis.whole_grid.iter().filter(|_| rows.len() > 1).flat_map(|of| {
        let said = format!(
            "{}, the row's model over the column's, over all conditions: geometric mean, in brackets the interval that the verdict \
             was made from, and the verdict. Grey: not settled.",
            crate::text::capitalised(of.metric.name())
        );
        let parts = map(of, &rows).in_parts(1, MOST_COLUMNS).into_iter().map(Content::Table);
        std::iter::once(Content::Paragraph(said)).chain(parts)
    });
    let mut section = Section::new("findings", "What was found").with([findings]);
    if let Some(reference) = analysis.summary.reference().filter(|_| rows.len() > 1) {
        section = section
            .paragraph(format!(
                "Each row over {}, over all conditions: geometric mean, in brackets the interval that the verdict was made \
                 from, and the verdict. ≥ and ≤: the load generator was the limit of the better side.",
                prose::row(reference)
            ))
            .table(to_reference(source, reference, &rows).quoted_as("over all conditions"));
    }
    vec![section.with(maps)]
}

/// Each row over the reference model, in every metric that the run was made for, the best in the first of them first.
fn to_reference(source: &Source<'_>, reference: &Competitor, rows: &[&Competitor]) -> Table {
    let grids = &source.analysis.whole_grid;
    let mut columns = vec![Column::models()];
    columns.extend(grids.iter().map(|of| Column::words(of.metric.name())));
    let order: Vec<&Competitor> = grids.first().map_or(Vec::new(), |of| of.tiers.iter().flatten().collect());
    let unordered = rows.iter().copied().filter(|row| !order.contains(row));
    let each = order.iter().copied().chain(unordered);
    let values = each.filter(|row| rows.contains(row)).map(|row| {
        let mut values: Vec<Value> = vec![prose::row(row).into()];
        values.extend(grids.iter().map(|of| {
            let pair = of.to_reference(reference).find(|pair| pair.row == *row);
            match pair {
                None if row == reference => "1".into(),
                None => Value::Missing(Missing::NoData),
                Some(pair) => Value::concluded(&pair.ratio, prose::verdict(of.metric, &pair.ratio)),
            }
        }));
        values
    });
    Table::new(columns, values.collect::<Vec<_>>())
}

/// Each model over each of those before it.
fn map(of: &WholeGrid, rows: &[&Competitor]) -> Table {
    let Some((_, columns)) = rows.split_last() else { return Table::new(Vec::new(), []) };
    let mut headings = vec![Column::words("model")];
    headings.extend(columns.iter().map(|column| Column::words(format!("over {}", prose::row(column)))));
    let value = |row: &Competitor, column: &Competitor| {
        let found = of.pairs.iter().find(|pair| pair.row == *row && pair.with == *column);
        found.map_or(Value::Missing(Missing::NotMeasured), |pair| {
            Value::concluded(&pair.ratio, prose::verdict(of.metric, &pair.ratio))
        })
    };
    let rows = rows.iter().skip(1).map(|row| {
        let mut values = vec![prose::row(row).into()];
        values.extend(columns.iter().map(|column| value(row, column)));
        values
    });
    Table::new(headings, rows).as_heat_map()
}
