//! Tables for a terminal: text that came from a peer or a file moves no cursor.

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table as Grid, TableStyle};

use crate::report::section::Table;
use crate::text::printable;

/// One rule under the headings: a line between rows would double the height of the longest table.
const RULED: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// `table` in lines of at most `width` columns.
pub fn table(table: &Table, width: u16) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::section::Column;

    #[test]
    fn text_from_a_peer_cannot_move_the_cursor() {
        let hostile = Table::new(vec![Column::words("t")], [vec!["a\u{1b}[2J".into()]]);
        assert!(!table(&hostile, 80).contains('\u{1b}'));
    }
}
