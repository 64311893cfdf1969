//! `report.md`: GitHub-flavoured Markdown. Text that came from a peer or a file means itself and no markup.

use crate::report::section::{Column, Content, Document, FigureLink, Lead, Table};
use crate::text::printable;

/// `document` as Markdown.
pub(in crate::report) fn document(document: &Document) -> String {
    let mut text = format!("# {}\n", escaped(&document.title));
    // A comment must not hold two hyphens.
    let command = escaped(&document.command).replace("--", "- -");
    text.push_str(&format!("\n<!-- Made by `{command}`. Do not edit: make it again. -->\n"));
    if let Some(Lead { measured, found, sure }) = &document.lead {
        text.push_str(&format!("\n{}\n\n**{}**\n\n{}\n", escaped(measured), escaped(found), escaped(sure)));
    }
    for section in &document.sections {
        if let Some(heading) = &section.heading {
            text.push_str(&format!("\n## {}\n", escaped(heading)));
        }
        for piece in &section.content {
            text.push('\n');
            text.push_str(&content(piece, &command));
        }
    }
    text
}

/// What other documents may quote of `document`: each piece's name and its Markdown.
pub(in crate::report) fn quotable(document: &Document) -> Vec<(&'static str, String)> {
    let pieces = document.sections.iter().flat_map(|section| &section.content);
    pieces.filter_map(|piece| Some((name(piece)?, bare(piece)))).collect()
}

/// What other documents may quote a piece by.
fn name(content: &Content) -> Option<&'static str> {
    match content {
        Content::Table(table) => table.quotable,
        Content::Findings { quotable, .. } => *quotable,
        _ => None,
    }
}

fn content(content: &Content, command: &str) -> String {
    match name(content) {
        None => bare(content),
        Some(name) => format!("{}\n{}{END}\n", begin(name, command), bare(content)),
    }
}

/// The line before a quotation.
pub(in crate::report) fn begin(name: &str, command: &str) -> String {
    format!("<!-- BEGIN: {name} ({command}) -->")
}

/// The line after it.
pub(in crate::report) const END: &str = "<!-- END -->";

fn bare(content: &Content) -> String {
    match content {
        Content::Heading(text) => format!("### {}\n", escaped(text)),
        Content::Paragraph(text) => format!("{}\n", escaped(text)),
        Content::Link { text, target } => format!("[{}]({})\n", escaped(text), target_of(target)),
        Content::Findings { sentences, .. } => match sentences.as_slice() {
            [one] => format!("{}\n", escaped(one)),
            several => several.iter().map(|sentence| format!("- {}\n", escaped(sentence))).collect(),
        },
        Content::Warning(text) => format!("> **Note:** {}\n", escaped(text)),
        Content::List(items) => items.iter().map(|item| format!("- {}\n", escaped(item))).collect(),
        Content::Table(of) => table(of),
        Content::Figure(FigureLink { id, title, caption, sentence, .. }) => {
            let picture = format!("![{}. {}]({id}.png)\n", escaped(title), escaped(caption));
            sentence.iter().fold(picture, |text, sentence| format!("{text}\n{}\n", escaped(sentence)))
        }
    }
}

/// `table` alone.
pub fn table(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(table.columns.iter().map(|column| escaped(&column.title)).collect());
    let rule = |column: &Column| if column.numeric { "---:" } else { "---" }.to_owned();
    text.push_str(&line(table.columns.iter().map(rule).collect()));
    for row in &table.rows {
        text.push_str(&line(row.iter().map(|value| escaped(&value.plain())).collect()));
    }
    text
}

/// `text` as one line of Markdown that means itself.
fn escaped(text: &str) -> String {
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

/// `target` as what stands between the parentheses of a link: nothing in it ends the link.
fn target_of(target: &str) -> String {
    let encoded = |c: char| match c {
        '(' => "%28".to_owned(),
        ')' => "%29".to_owned(),
        '<' => "%3C".to_owned(),
        '>' => "%3E".to_owned(),
        c if c.is_whitespace() || c.is_control() => "%20".to_owned(),
        c => c.to_string(),
    };
    target.chars().map(encoded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_ends_where_it_is_to() {
        let link = Content::Link { text: "more [of] it".into(), target: "a b/(c)/index.html".into() };
        assert_eq!(bare(&link), "[more \\[of\\] it](a%20b/%28c%29/index.html)\n");
    }

    #[test]
    fn text_from_a_peer_cannot_leave_its_cell() {
        let hostile = "a|b\n| <script> `x` \u{1b}[2J";
        let of = Table::new(vec![Column::words("t")], [vec![hostile.into()]]);
        assert_eq!(table(&of).lines().last().unwrap(), r"| a\|b \| &lt;script> \`x\`  \[2J |");
    }
}
