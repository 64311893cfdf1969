//! Tables for a terminal: text that came from a peer or a file moves no cursor.

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table as Grid, TableStyle};

use crate::report::section::{Column, Table};
use crate::report::value::Value;
use crate::text::{printable, wrapped};

/// One rule under the headings: a line between rows would double the height of the longest table.
const RULED: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// `table` in lines of at most `width` columns; as a list where that would break numbers or words.
pub fn table(table: &Table, width: u16) -> String {
    if least_width(table) > usize::from(width) {
        return list(table, width);
    }
    let mut grid = Grid::new();
    grid.load_style(RULED).set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    let cell = |text: &str, numeric| {
        let alignment = if numeric { CellAlignment::Right } else { CellAlignment::Left };
        Cell::new(text).set_alignment(alignment)
    };
    grid.set_header(table.columns.iter().map(|column| {
        let title = printable(&column.title);
        cell(column.short.unwrap_or(&title), column.numeric)
    }));
    for row in &table.rows {
        let cells = row.iter().zip(&table.columns);
        grid.add_row(cells.map(|(value, column)| cell(&printable(&value.plain()), column.numeric)));
    }
    for column in grid.column_iter_mut() {
        // And one more for the rule's junction.
        column.set_padding((0, 1));
    }
    let text = grid.to_string();
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Columns without which a word of a cell or of a heading would be broken.
fn least_width(table: &Table) -> usize {
    let longest = |text: &str| text.split_whitespace().map(|word| word.chars().count()).max().unwrap_or(0);
    let of_column = |(place, column): (usize, &Column)| {
        let cells = table.rows.iter().filter_map(|row| row.get(place)).map(|value| longest(&value.plain()));
        let heading = longest(column.short.unwrap_or(&column.title));
        // And one between this column and the next.
        cells.chain([heading]).max().unwrap_or(0) + 1
    };
    table.columns.iter().enumerate().map(of_column).sum()
}

/// A row after the other, each value behind its heading.
fn list(table: &Table, width: u16) -> String {
    let item = |row: &Vec<Value>| {
        let of = |(column, value): (&Column, &Value)| {
            let heading = column.short.map_or_else(|| column.title.clone(), |short| short.replace('\n', " "));
            format!("{heading}: {}", value.plain())
        };
        let values: Vec<_> = table.columns.iter().zip(row).map(of).collect();
        let lines = wrapped(&printable(&values.join("; ")), usize::from(width.saturating_sub(2)).max(20));
        let lines = lines.lines().enumerate();
        lines
            .map(|(index, line)| format!("{} {line}\n", if index == 0 { "-" } else { " " }))
            .collect::<String>()
    };
    table.rows.iter().map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_table_would_break_its_numbers_it_is_a_list() {
        let columns =
            vec![Column::words("model"), Column::numbers("requests per second").short("requests\n/second")];
        let of = Table::new(columns, [vec!["threads".into(), Value::figure(23160.0)]]);
        assert!(table(&of, 40).contains("threads     23160"), "{}", table(&of, 40));
        assert_eq!(table(&of, 16), "- model: threads;\n  requests /second:\n  23160\n");
    }

    #[test]
    fn text_from_a_peer_cannot_move_the_cursor() {
        let hostile = Table::new(vec![Column::words("t")], [vec!["a\u{1b}[2J".into()]]);
        assert!(!table(&hostile, 80).contains('\u{1b}'));
    }
}
