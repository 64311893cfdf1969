//! A table of texts, and its two plain forms: for a terminal and as Markdown.
//!
//! Knows nothing of what is in it. Text that came from a run may have come from a peer: it is made harmless for
//! the form that it is written in.

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table as Grid, TableStyle};

/// One rule under the headings: a line between rows would double the height of the longest table.
const RULED: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Headings and rows of equal length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Headings.
    pub columns: Vec<Column>,
    /// Cells, row by row.
    pub rows: Vec<Vec<String>>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its heading, with the unit.
    pub title: String,
    /// The heading on a terminal, where room is short; its lines are set under each other.
    pub short: Option<&'static str>,
    /// Numbers are set flush right.
    pub numeric: bool,
}

impl Column {
    /// A column of words.
    pub fn words(title: impl Into<String>) -> Self {
        Column { title: title.into(), short: None, numeric: false }
    }

    /// A column of numbers.
    pub fn numbers(title: impl Into<String>) -> Self {
        Column { title: title.into(), short: None, numeric: true }
    }

    /// With another heading on a terminal.
    pub fn short(mut self, heading: &'static str) -> Self {
        self.short = Some(heading);
        self
    }
}

impl Table {
    /// A table of a thing and its value in each row.
    pub fn of_facts(rows: Vec<(&str, String)>) -> Self {
        let columns = vec![Column::words("what"), Column::words("value")];
        Table { columns, rows: rows.into_iter().map(|(what, value)| vec![what.to_owned(), value]).collect() }
    }

    /// Lines of at most `width` columns.
    pub fn terminal(&self, width: u16) -> String {
        let mut grid = Grid::new();
        grid.load_style(RULED).set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        let cell = |text: &str, numeric| {
            let alignment = if numeric { CellAlignment::Right } else { CellAlignment::Left };
            Cell::new(text).set_alignment(alignment)
        };
        grid.set_header(self.columns.iter().map(|column| {
            let title = printable(&column.title);
            cell(column.short.unwrap_or(&title), column.numeric)
        }));
        for row in &self.rows {
            let cells = row.iter().zip(&self.columns);
            grid.add_row(cells.map(|(text, column)| cell(&printable(text), column.numeric)));
        }
        for column in grid.column_iter_mut() {
            // And one more for the rule's junction.
            column.set_padding((0, 1));
        }
        let text = grid.to_string();
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    /// A GitHub-flavoured Markdown table.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut text = line(self.columns.iter().map(|column| markdown(&column.title)).collect());
        let rule = |column: &Column| if column.numeric { "---:" } else { "---" }.to_owned();
        text.push_str(&line(self.columns.iter().map(rule).collect()));
        for row in &self.rows {
            text.push_str(&line(row.iter().map(|cell| markdown(cell)).collect()));
        }
        text
    }
}

/// `text` as one line of Markdown that means itself.
pub(super) fn markdown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '\\' | '|' | '`' | '*' | '[' | ']' => safe.extend(['\\', c]),
            c => safe.push(c),
        }
    }
    safe
}

/// `text` without the characters that move a terminal's cursor.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_a_peer_cannot_leave_its_cell() {
        let hostile = "a|b\n| <script> `x` \u{1b}[2J";
        let table = Table { columns: vec![Column::words("t")], rows: vec![vec![hostile.into()]] };
        assert_eq!(table.markdown().lines().last().unwrap(), r"| a\|b \| &lt;script> \`x\`  \[2J |");
        assert!(!table.terminal(80).contains('\u{1b}'));
    }
}
