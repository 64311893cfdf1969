//! A directory without an `index.html`, as a page that lists it.
//!
//! Rules: no name can be more than text in it (escaped by the template, encoded in links); links are relative, so that
//! they hold behind a proxy that takes a prefix off.

use std::path::Path;

use askama::Template;

use crate::files::path::{Target, encoded};
use crate::files::root::{Entries, Entry, MAX_ENTRIES};

#[derive(Template)]
#[template(path = "listing.html")]
struct Page<'a> {
    path: &'a str,
    is_root: bool,
    rows: &'a [Row],
    /// How many are listed where there are more.
    cut_at: Option<usize>,
    server: &'a str,
}

struct Row {
    link: String,
    name: String,
    /// With a space between thousands; empty for a directory.
    size: String,
}

/// The page of the directory `target` with `entries`, from `server`.
pub(super) fn page(target: &Target, entries: &Entries, server: &str) -> Result<String, askama::Error> {
    let rows: Vec<Row> = entries.entries.iter().map(Row::of).collect();
    let cut_at = entries.cut.then_some(MAX_ENTRIES);
    Page { path: &target.shown(), is_root: target.is_root(), rows: &rows, cut_at, server }.render()
}

impl Row {
    fn of(entry: &Entry) -> Self {
        let slash = if entry.size.is_none() { "/" } else { "" };
        Row {
            link: format!("./{}{slash}", encoded(entry.name.as_encoded_bytes())),
            name: format!("{}{slash}", Path::new(&entry.name).display()),
            size: entry.size.map(grouped).unwrap_or_default(),
        }
    }
}

/// `number` in groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn listed(target: &str, entries: Vec<(&[u8], Option<u64>)>, cut: bool) -> String {
        let entries = entries.into_iter();
        let entries =
            entries.map(|(name, size)| Entry { name: OsString::from_vec(name.to_vec()), size }).collect();
        page(&Target::parse(target.as_bytes()).unwrap(), &Entries { entries, cut }, "one").unwrap()
    }

    #[test]
    fn a_name_is_text_and_nothing_else() {
        let page = listed("/<i>&/", vec![(b"<script>\"&'.html", Some(1)), (b"a:b c\xff", None)], false);
        assert!(!page.contains("<script") && !page.contains("<i>"), "{page}");
        assert!(page.contains("href=\"./%3Cscript%3E%22%26%27.html\""), "{page}");
        assert!(page.contains("href=\"./a%3Ab%20c%FF/\""), "{page}");
        assert!(page.contains("a:b c\u{fffd}/"), "{page}");
    }

    #[test]
    fn sizes_are_told_to_the_byte() {
        let page = listed("/", vec![(b"a", Some(1_234_567)), (b"b", Some(0)), (b"c", Some(999))], false);
        for size in [">1\u{202f}234\u{202f}567<", ">0<", ">999<"] {
            assert!(page.contains(size), "{page}");
        }
    }

    #[test]
    fn an_empty_directory_says_so() {
        assert!(listed("/", vec![], false).contains("There are no files here."));
        assert!(!listed("/", vec![(b"a", None)], false).contains("There are no files here."));
    }

    #[test]
    fn the_way_up_ends_at_the_root() {
        assert!(!listed("/", vec![], false).contains("href=\"../\""));
        assert!(listed("/a/", vec![], false).contains("href=\"../\""));
    }

    #[test]
    fn a_listing_that_is_cut_says_so() {
        assert!(listed("/", vec![(b"a", None)], true).contains("5000"));
        assert!(!listed("/", vec![(b"a", None)], false).contains("5000"));
    }
}
