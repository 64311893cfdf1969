//! `index.html`: the report as one page that needs no script and no network, light and readable on a phone.

use askama::Template;

use crate::report::section::{Content, Document};

/// A cell with fewer bytes than this is never broken over lines.
const SHORT: usize = 24;

#[derive(Template)]
#[template(path = "index.html")]
struct Page<'a> {
    document: &'a Document,
}

/// `document` as a page. The figures are files beside it.
pub(in crate::report) fn page(document: &Document) -> Result<String, askama::Error> {
    Page { document }.render()
}
