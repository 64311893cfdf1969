//! `index.html`: the report as one page that needs no script and no network, light and readable on a phone.

use askama::Template;

use crate::report::document::{Document, Part};

#[derive(Template)]
#[template(path = "index.html")]
struct Page<'a> {
    document: &'a Document,
}

/// `document` as a page. The charts are files beside it.
pub(super) fn page(document: &Document) -> Result<String, askama::Error> {
    Page { document }.render()
}
