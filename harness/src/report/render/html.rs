//! `index.html`: the report as one page that needs no script, no network and no file beside it.
//!
//! Owns the form of the page alone; the script and the styles are files beside the template.

use askama::Template;

use crate::report::figures::{FOREST, styles};
use crate::report::section::{Content, Document};

/// A cell with fewer bytes than this is never broken over lines.
const SHORT: usize = 34;
/// The section that the switches stand in.
const CHARTS: &str = "charts";
const STYLE: &str = include_str!("../../../templates/report.css");
const SCRIPT: &str = include_str!("../../../templates/report.js");

/// A figure, panel by panel.
#[derive(Debug, Clone)]
pub(in crate::report) struct Drawn {
    pub(in crate::report) id: String,
    pub(in crate::report) title: String,
    pub(in crate::report) sentence: String,
    pub(in crate::report) caption: String,
    pub(in crate::report) legend: Vec<Entry>,
    /// The panels that are shown, as elements.
    pub(in crate::report) panels: Vec<String>,
    /// Those that are shown on demand.
    pub(in crate::report) more: Vec<String>,
    /// Width under which a panel's letters become too small, CSS pixels.
    pub(in crate::report) least_width: u32,
    pub(in crate::report) y_title: String,
    pub(in crate::report) x_title: String,
    /// Its data, as the target of a link.
    pub(in crate::report) csv: String,
}

/// An entry of a legend.
#[derive(Debug, Clone)]
pub(in crate::report) struct Entry {
    /// An element.
    pub(in crate::report) swatch: String,
    pub(in crate::report) name: String,
    /// The row that it stands for, where it stands for one.
    pub(in crate::report) competitor: Option<String>,
}

/// What a reader may choose to see.
#[derive(Debug, Clone, Default)]
pub(in crate::report) struct Switches {
    pub(in crate::report) conditions: Vec<Switch>,
    /// Label and name of each.
    pub(in crate::report) models: Vec<(String, String)>,
}

/// A factor, and its values: each as the page knows it, and as it is told.
#[derive(Debug, Clone)]
pub(in crate::report) struct Switch {
    pub(in crate::report) name: String,
    pub(in crate::report) title: String,
    pub(in crate::report) levels: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "index.html")]
struct Page<'a> {
    document: &'a Document,
    figures: Vec<Drawn>,
    switches: Switches,
    colours: String,
}

/// `text` in parts, each with whether it is code, which prose sets in backticks.
fn parts(text: &str) -> Vec<(bool, &str)> {
    if text.matches('`').count() % 2 == 1 {
        return vec![(false, text)];
    }
    text.split('`').enumerate().map(|(index, part)| (index % 2 == 1, part)).collect()
}

impl Page<'_> {
    fn drawn(&self, id: &str) -> Option<&Drawn> {
        self.figures.iter().find(|figure| figure.id == id)
    }
}

/// `document` as a page, with its figures.
pub(in crate::report) fn page(
    document: &Document,
    figures: Vec<Drawn>,
    switches: Switches,
) -> Result<String, askama::Error> {
    Page { document, figures, switches, colours: styles() }.render()
}
