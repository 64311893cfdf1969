//! One figure: its marks in their frame, and what is made of it: a file as SVG and PNG, panels for a page, its data.

use std::fmt;

use super::frame::{Entry, Frame};
use super::shape::{Group, Mark, Shape};
use super::{FigureError, png, svg};
use crate::analysis::grid::Grid;
use crate::plan::Factor;
use crate::report::prose;
use crate::report::render;
use crate::report::section::{Column, FigureLink, Table};
use crate::report::value::Value;

/// Pixels of a page for each of a figure, at which its type of 26 is read as 12.
const LEAST_SCALE: f64 = 0.44;

/// A figure, with its data.
#[derive(Clone)]
pub struct Figure {
    pub(super) id: String,
    pub(super) frame: Frame,
    /// The sentence that it supports.
    pub(super) sentence: Option<String>,
    /// The factors that tell its marks apart.
    pub(super) factors: Vec<&'static Factor>,
    /// The columns of its data, after those that say what a mark stands for.
    pub(super) columns: Vec<Column>,
    /// Lines that the marks lie on.
    pub(super) under: Vec<Group>,
    pub(super) marks: Vec<Mark>,
    /// The one of many panels that a page shows first; the others on demand.
    pub(super) first: Option<usize>,
}

impl fmt::Debug for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figure").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Figure {
    /// One of these marks, which the factors of `grid` tell apart, with the columns of their data; it gets its id where it is
    /// listed.
    pub(super) fn of(grid: &Grid, frame: Frame, columns: Vec<Column>, marks: Vec<Mark>) -> Self {
        Figure {
            id: String::new(),
            frame,
            sentence: None,
            factors: grid.dimensions().iter().map(|of| of.factor).collect(),
            columns,
            under: Vec::new(),
            marks,
            first: None,
        }
    }

    /// The same where it stands beside those of other runs: its files are in `folder`.
    pub(in crate::report) fn within(mut self, folder: &str) -> Self {
        self.id = format!("{folder}/{}", self.id);
        self
    }

    /// What a section says of it, and where its files are.
    pub(in crate::report) fn link(&self) -> FigureLink {
        FigureLink {
            id: self.id().to_owned(),
            title: self.title().to_owned(),
            caption: self.caption().to_owned(),
            sentence: self.sentence().map(str::to_owned),
            size: self.size(),
        }
    }

    /// The name of its files, without the extension.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it shows.
    pub fn title(&self) -> &str {
        &self.frame.content.title
    }

    /// How to read it.
    pub fn caption(&self) -> &str {
        &self.frame.content.subtitle
    }

    /// The sentence that it supports, where there is one.
    pub fn sentence(&self) -> Option<&str> {
        self.sentence.as_deref()
    }

    /// Width and height, pixels.
    pub fn size(&self) -> (u32, u32) {
        self.frame.size()
    }

    /// The data behind its marks.
    pub fn data(&self) -> Table {
        let mut columns = vec![Column::words("model")];
        columns.extend(self.factors.iter().map(|factor| prose::grid::column(factor)));
        columns.extend(self.columns.iter().cloned());
        let rows = self.marks.iter().flat_map(|mark| {
            let mut of = vec![Value::from(mark.tags.competitor.as_str())];
            of.extend(mark.tags.condition.iter().map(|(_, value)| prose::grid::value(value)));
            mark.rows.iter().map(move |row| of.iter().chain(row).cloned().collect::<Vec<_>>())
        });
        Table::new(columns, rows)
    }

    /// The data as a CSV file.
    pub fn csv(&self) -> Result<String, FigureError> {
        render::csv::table(&self.data()).map_err(|reason| self.error(reason))
    }

    /// Each panel as a drawing of its own, for a page.
    pub(in crate::report) fn panels(&self) -> Result<Vec<String>, FigureError> {
        (0..self.frame.content.panels.len()).map(|index| self.panel(index)).collect()
    }

    fn panel(&self, index: usize) -> Result<String, FigureError> {
        let [left, top, width, height] = self.frame.region(index);
        let is_here =
            |shapes: &[Shape]| shapes.iter().any(|shape| (top..top + height).contains(&shape.at().1));
        let mut groups = vec![self.frame.axes(index)];
        groups.extend(self.under.iter().filter(|group| is_here(&group.shapes)).cloned());
        let marks: Vec<&Mark> = self.marks.iter().filter(|mark| is_here(&mark.shapes)).collect();
        groups.extend(marks.iter().map(|mark| mark.group()));
        let says: Vec<_> = marks.iter().map(|mark| mark.says.as_str()).collect();
        let heading = &self.frame.content.panels[index];
        let of = if heading.is_empty() { String::new() } else { format!(", {heading}") };
        let name = format!("{}{of}: {}", self.title(), says.join("; "));
        let view = svg::Panel { figure: &self.id, index, name: &name, view: [left, top, width, height] };
        svg::write_panel(&view, &groups).map_err(|reason| self.error(reason))
    }

    /// A swatch and a name for each entry of the legend, and the row that it stands for.
    pub(in crate::report) fn legend(&self) -> Result<Vec<(String, String, Option<String>)>, FigureError> {
        let swatch = |entry: &Entry| {
            let shapes = vec![Shape::Marker { look: entry.look, at: (14, 14), radius: 9 }];
            svg::write_swatch(28, shapes).map_err(|reason| self.error(reason))
        };
        self.frame
            .content
            .legend
            .iter()
            .map(|entry| Ok((swatch(entry)?, entry.name.clone(), entry.competitor.clone())))
            .collect()
    }

    /// What its axes show, up and across.
    pub(in crate::report) fn axis_titles(&self) -> [&str; 2] {
        [&self.frame.content.y_title, &self.frame.content.x_title]
    }

    /// Width under which the letters of a panel on a page become too small, CSS pixels.
    pub(in crate::report) fn panel_width(&self) -> u32 {
        let [_, _, width, _] = self.frame.region(0);
        (f64::from(width) * LEAST_SCALE) as u32
    }

    /// The one of many panels that a page shows first.
    pub(in crate::report) fn first(&self) -> Option<usize> {
        self.first
    }

    /// The drawing as an SVG file.
    pub fn svg(&self) -> Result<String, FigureError> {
        let mut groups = self.frame.groups();
        groups.extend(self.under.iter().cloned());
        groups.extend(self.marks.iter().map(Mark::group));
        let names = svg::Names { id: &self.id, title: self.title(), description: self.caption() };
        svg::write(&names, self.size(), &groups).map_err(|reason| self.error(reason))
    }

    /// The drawing as a PNG file.
    pub fn png(&self) -> Result<Vec<u8>, FigureError> {
        png::of(&self.svg()?).map_err(|reason| self.error(reason))
    }

    fn error(&self, reason: String) -> FigureError {
        FigureError { figure: self.id.clone(), reason }
    }
}
