//! Puts tables and findings of a report into another document, between the markers that name them.
//!
//! A marker is a line `<!-- BEGIN: NAME (COMMAND) -->`; what stands from it to the next line `<!-- END -->` is replaced by the
//! report's piece of that name. Rules: markers of other commands stay as they are; a name that the report does not have is an
//! error, and so is a marker without an end.

use thiserror::Error;

use super::render::markdown::{END, begin, quotable};
use super::section::Document;

/// Why nothing was spliced.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SpliceError {
    /// The document has no marker of this report.
    #[error("there is no marker of this report; write the lines `{marker}` and `{END}` where it shall stand")]
    NoMarker {
        /// A marker that would do.
        marker: String,
    },
    /// A marker names what the report does not have.
    #[error("line {line}: the report has no {name:?}; it has {known}")]
    Unknown {
        /// 1-based.
        line: usize,
        /// What is asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A marker has no end.
    #[error("line {line}: the marker has no end; write the line `{END}` below it")]
    Endless {
        /// 1-based.
        line: usize,
    },
}

/// `text` with the pieces of `report` in it.
pub(super) fn splice(text: &str, report: &Document) -> Result<String, SpliceError> {
    let pieces = quotable(report);
    let end_of_marker = format!(" ({}) -->", report.command);
    let mut spliced = String::with_capacity(text.len());
    let mut found = false;
    let mut lines = text.split_inclusive('\n').enumerate();
    while let Some((index, line)) = lines.next() {
        spliced.push_str(line);
        let named =
            line.trim_end().strip_prefix("<!-- BEGIN: ").and_then(|rest| rest.strip_suffix(&end_of_marker));
        let Some(name) = named else { continue };
        let Some((_, piece)) = pieces.iter().find(|(known, _)| *known == name) else {
            let known = pieces.iter().map(|(name, _)| format!("{name:?}")).collect::<Vec<_>>().join(", ");
            return Err(SpliceError::Unknown { line: index + 1, name: name.to_owned(), known });
        };
        spliced.push_str(piece);
        let end = lines.by_ref().map(|(_, line)| line).find(|line| line.trim_end() == END);
        spliced.push_str(end.ok_or(SpliceError::Endless { line: index + 1 })?);
        found = true;
    }
    if found {
        Ok(spliced)
    } else {
        let name = pieces.first().map_or("NAME", |(name, _)| name);
        Err(SpliceError::NoMarker { marker: begin(name, &report.command) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::section::{Column, Section, Table};

    fn report() -> Document {
        let table = Table::new(vec![Column::words("t")], [vec!["1".into()]]).quoted_as("rates");
        Document {
            title: "t".into(),
            command: "roundtable report r".into(),
            lead: None,
            sections: vec![Section::opening().table(table)],
        }
    }

    #[test]
    fn what_stands_between_the_markers_is_replaced_and_nothing_else() {
        let text = "a\n<!-- BEGIN: rates (roundtable report r) -->\nold\nold\n<!-- END -->\nb\n\
                    <!-- BEGIN: rates (roundtable report other) -->\nkept\n<!-- END -->\n";
        let spliced = splice(text, &report()).unwrap();
        assert_eq!(spliced, text.replace("old\nold\n", "| t |\n| --- |\n| 1 |\n"));
        assert_eq!(splice(&spliced, &report()).unwrap(), spliced);
    }

    #[test]
    fn what_cannot_be_spliced_is_told_with_what_to_write() {
        let of = |text: &str| splice(text, &report()).unwrap_err().to_string();
        assert!(of("nothing\n").contains("write the lines `<!-- BEGIN: rates (roundtable report r) -->`"));
        assert!(of("<!-- BEGIN: x (roundtable report r) -->\n<!-- END -->\n").contains("it has \"rates\""));
        assert!(
            of("\n<!-- BEGIN: rates (roundtable report r) -->\n")
                .starts_with("line 2: the marker has no end")
        );
    }
}
