//! What a report consists of, once for all of its forms: sections of prose, findings, tables and figures.
//!
//! Knows neither what is measured nor how any of it is written: that is [`super::sections`]' and [`super::render`]'s.

use super::value::Value;
use crate::analysis::findings::Finding;

/// A report.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its title.
    pub title: String,
    /// The command that makes it again.
    pub command: String,
    /// What a reader must know in the first ten seconds; `None` where there is nothing to find.
    pub lead: Option<Lead>,
    /// Its sections, in the order in which they are read.
    pub sections: Vec<Section>,
}

/// What stands at the head of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lead {
    /// What was measured, in one line.
    pub measured: String,
    /// What was found, in one sentence.
    pub found: String,
    /// How sure that is, and where it holds.
    pub sure: String,
}

/// One part of a report.
#[derive(Debug, Clone)]
pub struct Section {
    /// A name for links, its own in the report.
    pub id: String,
    /// What stands over it; the first section of a report has none.
    pub heading: Option<String>,
    /// What is in it, in order.
    pub content: Vec<Content>,
}

/// One piece of a section.
#[derive(Debug, Clone)]
pub enum Content {
    /// What stands over a part of the section.
    Heading(String),
    /// Prose.
    Paragraph(String),
    /// A document that tells more.
    Link {
        /// What it is.
        text: String,
        /// Where it is, from the folder of this document.
        target: String,
    },
    /// Something that a reader must not overlook.
    Warning(String),
    /// What was found, in sentences, and the findings behind them.
    Findings {
        /// The sentences, the most general first.
        sentences: Vec<String>,
        /// What it was written from.
        findings: Vec<Finding>,
        /// Other documents may quote it by this name.
        quotable: Option<&'static str>,
    },
    /// A list.
    List(Vec<String>),
    /// A table.
    Table(Table),
    /// A figure, drawn in files beside the report.
    Figure(FigureLink),
}

/// Where a figure is, and what it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FigureLink {
    /// The names of its files, without the extension.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// The sentence that it supports.
    pub sentence: Option<String>,
    /// Width and height, pixels.
    pub size: (u32, u32),
}

/// Columns of a comparison that a table has at most, besides those that say of what it is.
pub const MOST_COLUMNS: usize = 7;

/// The key of a column that names rows of the run.
pub const COMPETITOR: &str = "competitor";

/// Headings and rows of equal length.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Other documents may quote it by this name.
    pub quotable: Option<&'static str>,
    /// What each column is compared with each row: a page colours it.
    pub is_heat_map: bool,
    /// Headings.
    pub columns: Vec<Column>,
    /// Values, row by row.
    pub rows: Vec<Vec<Value>>,
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
    /// What a page's switches call what stands in it: the name of a factor, or [`COMPETITOR`].
    pub key: Option<&'static str>,
}

impl Section {
    /// An empty one.
    pub fn new(id: impl Into<String>, heading: impl Into<String>) -> Self {
        Section { id: id.into(), heading: Some(heading.into()), content: Vec::new() }
    }

    /// The one that a report begins with.
    pub fn opening() -> Self {
        Section { id: "summary".into(), heading: None, content: Vec::new() }
    }

    /// With a paragraph at its end.
    pub fn paragraph(self, text: impl Into<String>) -> Self {
        self.with([Content::Paragraph(text.into())])
    }

    /// With a table at its end.
    pub fn table(self, table: Table) -> Self {
        self.with([Content::Table(table)])
    }

    /// With `tables` at its end, one after the other.
    pub fn tables(self, tables: impl IntoIterator<Item = Table>) -> Self {
        self.with(tables.into_iter().map(Content::Table))
    }

    /// With `content` at its end.
    pub fn with(mut self, content: impl IntoIterator<Item = Content>) -> Self {
        self.content.extend(content);
        self
    }
}

impl Table {
    /// A table of these columns and rows.
    pub fn new(columns: Vec<Column>, rows: impl IntoIterator<Item = Vec<Value>>) -> Self {
        Table { quotable: None, is_heat_map: false, columns, rows: rows.into_iter().collect() }
    }

    /// A table of a thing and its value in each row.
    pub fn of_facts(rows: Vec<(&str, String)>) -> Self {
        let columns = vec![Column::words("what"), Column::words("value")];
        Table::new(columns, rows.into_iter().map(|(what, value)| vec![what.into(), value.into()]))
    }

    /// Whether a page lets its reader sort it.
    pub fn sorts(&self) -> bool {
        self.rows.len() > 2 && !self.is_heat_map
    }

    /// Whether a page's switches leave out rows of it.
    pub fn is_keyed(&self) -> bool {
        self.columns.iter().any(|column| column.key.is_some())
    }

    /// One that a page colours, of rows against columns.
    pub fn as_heat_map(mut self) -> Self {
        self.is_heat_map = true;
        self
    }

    /// One that other documents may quote by `name`.
    pub fn quoted_as(mut self, name: &'static str) -> Self {
        self.quotable = Some(name);
        self
    }

    /// The same in several tables, as even as can be, where it has more than `most` columns besides the first `leading`, which
    /// stand in each: a sheet of paper and a screen hold no more. A row that has nothing in a part is left out of it.
    pub fn in_parts(self, leading: usize, most: usize) -> Vec<Table> {
        let others = self.columns.len().saturating_sub(leading);
        if others <= most {
            return vec![self];
        }
        let size = others.div_ceil(others.div_ceil(most.max(1)));
        let part = |from: usize| {
            let places: Vec<usize> = (0..leading).chain(from..self.columns.len().min(from + size)).collect();
            let has_something = |row: &&Vec<Value>| {
                places[leading..].iter().any(|place| !matches!(row[*place], Value::Missing(_)))
            };
            let rows = self.rows.iter().filter(has_something);
            Table {
                quotable: None,
                is_heat_map: self.is_heat_map,
                columns: places.iter().map(|place| self.columns[*place].clone()).collect(),
                rows: rows.map(|row| places.iter().map(|place| row[*place].clone()).collect()).collect(),
            }
        };
        (leading..self.columns.len()).step_by(size).map(part).collect()
    }

    /// Row `index` as plain text.
    #[cfg(test)]
    pub(crate) fn plain_row(&self, index: usize) -> Vec<String> {
        self.rows[index].iter().map(Value::plain).collect()
    }
}

impl Column {
    /// A column of words.
    pub fn words(title: impl Into<String>) -> Self {
        Column { title: title.into(), short: None, numeric: false, key: None }
    }

    /// A column of the names of a run's rows.
    pub fn models() -> Self {
        Column::words("model").keyed(COMPETITOR)
    }

    /// A column of numbers.
    pub fn numbers(title: impl Into<String>) -> Self {
        Column { title: title.into(), short: None, numeric: true, key: None }
    }

    /// With what a page's switches call what stands in it.
    pub fn keyed(mut self, key: &'static str) -> Self {
        self.key = Some(key);
        self
    }

    /// With another heading on a terminal.
    pub fn short(mut self, heading: &'static str) -> Self {
        self.short = Some(heading);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::value::Missing;

    #[test]
    fn a_wide_table_is_told_in_parts_that_repeat_what_they_are_of_and_leave_out_empty_rows() {
        let columns = ["model", "a", "b", "c"].map(Column::words).to_vec();
        let nothing = || Value::Missing(Missing::NotMeasured);
        let rows = vec![
            vec!["one".into(), "1".into(), nothing(), nothing()],
            vec!["two".into(), "2".into(), nothing(), "4".into()],
        ];
        let table = Table::new(columns, rows);
        assert_eq!(table.clone().in_parts(1, 3), std::slice::from_ref(&table));
        let parts = table.in_parts(1, 2);
        let headings = |part: &Table| part.columns.iter().map(|of| of.title.clone()).collect::<Vec<_>>();
        assert_eq!(
            parts.iter().map(headings).collect::<Vec<_>>(),
            [vec!["model", "a", "b"], vec!["model", "c"]]
        );
        assert_eq!((parts[0].rows.len(), parts[1].plain_row(0)), (2, vec!["two".to_owned(), "4".to_owned()]));
    }
}
