//! What all figures share: title, legend, a grid of panels with one pair of axes.
//!
//! Owns every distance and size of type. Knows nothing of what is measured. A figure in a file is 1660 pixels wide and is
//! shown at 830 in a README: type of 26 pixels is read as 13. On a page each panel is a drawing of its own, so that panels
//! stand side by side or one below the other as there is room; title, legend and notes are the page's.

use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, RGBColor};

use super::axis::Axis;
use super::palette::{FAINT_INK, GRID, INK, Look, PAPER};
use super::shape::{Group, Point, Shape, Tags};
use super::text;

/// Width of every figure in a file, pixels.
const WIDTH: i32 = 1660;

/// Where a figure is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Medium {
    /// In a file of its own.
    File,
    /// On a page.
    Page,
}

const MARGIN: i32 = 28;
const TITLE: f32 = 36.0;
pub(super) const TYPE: f32 = 26.0;
pub(super) const LINE: i32 = 34;
const LEGEND_LINE: i32 = 42;
/// From the left end of a legend entry to its name, and between two entries.
const LEGEND_SWATCH: i32 = 36;
const LEGEND_GAP: i32 = 44;
/// Over a panel: its heading.
const HEADING: i32 = 42;
/// Under a panel: the marks' feet and tick labels.
const FOOT: i32 = 46;
const BETWEEN: i32 = 20;

/// What a figure says besides its marks.
#[derive(Debug, Clone)]
pub(super) struct Content {
    /// What the figure shows.
    pub(super) title: String,
    /// What a mark stands for, and what was measured.
    pub(super) subtitle: String,
    pub(super) legend: Vec<Entry>,
    /// Quantity and unit of the vertical axis.
    pub(super) y_title: String,
    /// Quantity and unit of the horizontal axis.
    pub(super) x_title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// Headings of the panels, row by row.
    pub(super) panels: Vec<String>,
    pub(super) columns: usize,
    /// Width of a panel's plot on a page, pixels; in a file panels share the width.
    pub(super) page_width: i32,
    /// Height of a panel's plot, pixels.
    pub(super) panel_height: i32,
    /// Room between the axis and its tick labels, for marks, pixels.
    pub(super) feet: i32,
}

/// One entry of a legend.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) look: Look,
    /// The row that it stands for, where it stands for one.
    pub(super) competitor: Option<String>,
}

/// Panels in rows, with everything around them, laid out once: setting text is what takes time.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) content: Content,
    /// The subtitle's lines.
    lines: Vec<String>,
    /// Left end and line of each legend entry.
    places: Vec<(i32, i32)>,
    /// Upper end of the first row of panels, headings included.
    top: i32,
    /// Left end of the first column's plots.
    left: i32,
    /// Width of all.
    width: i32,
}

/// The plot rectangle of one panel, and the way from values to pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel {
    pub(super) left: i32,
    pub(super) right: i32,
    pub(super) top: i32,
    pub(super) bottom: i32,
    x: (f64, f64),
    y: (f64, f64),
}

impl Panel {
    /// The pixel of a point in the axes' coordinates.
    pub(super) fn at(&self, x: f64, y: f64) -> (i32, i32) {
        let share = |value: f64, (from, to): (f64, f64)| (value - from) / (to - from);
        let across = f64::from(self.right - self.left) * share(x, self.x);
        let up = f64::from(self.bottom - self.top) * share(y, self.y);
        (self.left + across.round() as i32, self.bottom - up.round() as i32)
    }
}

impl Frame {
    /// Finds a place for everything in `content`.
    pub(super) fn lay_out(mut content: Content, medium: Medium) -> Self {
        let lines = text::wrap(&content.subtitle, TYPE, (WIDTH - 2 * MARGIN) as f32);
        let places = legend_places(&content.legend);
        let legend = places.last().map_or(0, |&(_, line)| (line + 1) * LEGEND_LINE);
        let top = MARGIN + 50 + lines.len() as i32 * LINE + 12 + legend + LINE + 14;
        let labels = content.y.ticks.iter().map(|(_, label)| text::width(label, TYPE)).fold(0.0, f32::max);
        let left = MARGIN + labels.ceil() as i32 + 14;
        let width = match medium {
            Medium::File => WIDTH,
            Medium::Page => {
                content.columns = 1;
                left + content.page_width + MARGIN
            }
        };
        Frame { content, lines, places, top, left, width }
    }

    /// What a drawing of one panel alone shows: its left upper corner, its width and height.
    pub(super) fn region(&self, index: usize) -> [i32; 4] {
        let panel = self.panel(index);
        let top = panel.top - HEADING;
        let left = MARGIN - 8;
        [left, top, panel.right + 10 - left, panel.bottom + self.content.feet + FOOT - top]
    }

    /// Width and height, pixels.
    pub(super) fn size(&self) -> (u32, u32) {
        let rows = self.content.panels.len().div_ceil(self.content.columns) as i32;
        let height = self.top + rows * self.row_height() - BETWEEN + LINE + 8 + MARGIN;
        (self.width as u32, height as u32)
    }

    /// The panel of `panels[index]`.
    pub(super) fn panel(&self, index: usize) -> Panel {
        let content = &self.content;
        let columns = content.columns as i32;
        let width = (self.width - MARGIN - self.left - (columns - 1) * BETWEEN) / columns;
        let left = self.left + (index % content.columns) as i32 * (width + BETWEEN);
        let top = self.top + (index / content.columns) as i32 * self.row_height() + HEADING;
        let (x, y) = ((content.x.from, content.x.to), (content.y.from, content.y.to));
        Panel { left, right: left + width, top, bottom: top + content.panel_height, x, y }
    }

    /// All but the marks.
    pub(super) fn groups(&self) -> Vec<Group> {
        let mut groups = vec![self.heading()];
        groups.extend(self.legend());
        groups.extend((0..self.content.panels.len()).map(|index| self.axes(index)));
        groups
    }

    /// The paper, the titles of figure and axes.
    fn heading(&self) -> Group {
        let (content, (width, height)) = (&self.content, self.size());
        let paper = Shape::Bar { corners: [(0, 0), (width as i32, height as i32)], color: PAPER.to_rgba() };
        let mut shapes = vec![paper];
        let mut y = MARGIN;
        shapes.push(write(&content.title, TITLE, INK, (MARGIN, y), (HPos::Left, VPos::Top)));
        y += 50;
        for line in &self.lines {
            shapes.push(write(line, TYPE, FAINT_INK, (MARGIN, y), (HPos::Left, VPos::Top)));
            y += LINE;
        }
        let over = (MARGIN, self.top - 10);
        shapes.push(write(&content.y_title, TYPE, FAINT_INK, over, (HPos::Left, VPos::Bottom)));
        let below = ((self.panel(0).left + self.width - MARGIN) / 2, height as i32 - MARGIN);
        shapes.push(write(&content.x_title, TYPE, FAINT_INK, below, (HPos::Center, VPos::Bottom)));
        Group { class: "frame", shapes, ..Group::default() }
    }

    fn legend(&self) -> impl Iterator<Item = Group> {
        let top = MARGIN + 50 + self.lines.len() as i32 * LINE + 12;
        self.content.legend.iter().zip(&self.places).map(move |(entry, (x, line))| {
            let middle = top + line * LEGEND_LINE + LEGEND_LINE / 2;
            let at = (x + LEGEND_SWATCH, middle);
            let shapes = vec![
                Shape::Marker { look: entry.look, at: (x + 12, middle), radius: 10 },
                write(&entry.name, TYPE, INK, at, (HPos::Left, VPos::Center)),
            ];
            let tags = entry.competitor.clone().map(|competitor| Tags {
                competitor,
                condition: Vec::new(),
                metric: None,
                series: None,
            });
            Group { class: "legend", tags, shapes, ..Group::default() }
        })
    }

    /// Grid, ticks and heading of one panel.
    pub(super) fn axes(&self, index: usize) -> Group {
        let (panel, Content { x: across, y: up, feet, .. }) = (self.panel(index), &self.content);
        let mut shapes = Vec::new();
        for (at, label) in &up.ticks {
            let (_, y) = panel.at(across.from, *at);
            shapes.push(Shape::line([(panel.left, y), (panel.right, y)], GRID, 2));
            if index.is_multiple_of(self.content.columns) {
                let at = (panel.left - 12, y);
                shapes.push(write(label, TYPE, INK, at, (HPos::Right, VPos::Center)));
            }
        }
        let foot = panel.bottom + feet;
        let mut free_from = i32::MIN;
        for (at, label) in &across.ticks {
            let (x, _) = panel.at(*at, up.from);
            if *feet == 0 {
                shapes.push(Shape::line([(x, panel.bottom), (x, panel.bottom + 7)], FAINT_INK, 2));
            }
            // A label that would run into its neighbour is left out; its tick stays.
            let half = (text::width(label, TYPE) / 2.0).ceil() as i32;
            // Within the panel: its neighbour has a label at the same height.
            let x = x.min(panel.right + 4 - half).max(panel.left - 4 + half);
            if x - half > free_from {
                shapes.push(write(label, TYPE, INK, (x, foot + 12), (HPos::Center, VPos::Top)));
                free_from = x + half + 6;
            }
        }
        shapes.push(Shape::line([(panel.left, panel.bottom), (panel.right, panel.bottom)], FAINT_INK, 2));
        let over = ((panel.left + panel.right) / 2, panel.top - 14);
        shapes.push(write(&self.content.panels[index], TYPE, INK, over, (HPos::Center, VPos::Bottom)));
        Group { class: "axes", shapes, ..Group::default() }
    }

    fn row_height(&self) -> i32 {
        HEADING + self.content.panel_height + self.content.feet + FOOT + BETWEEN
    }
}

fn legend_places(legend: &[Entry]) -> Vec<(i32, i32)> {
    let (mut x, mut line) = (MARGIN, 0);
    let place = |entry: &Entry| {
        let width = LEGEND_SWATCH + text::width(&entry.name, TYPE).ceil() as i32;
        if x > MARGIN && x + width > WIDTH - MARGIN {
            (x, line) = (MARGIN, line + 1);
        }
        let place = (x, line);
        x += width + LEGEND_GAP;
        place
    };
    legend.iter().map(place).collect()
}

/// `text` level at `at`, set at `em` pixels.
pub(super) fn write(text: &str, em: f32, color: RGBColor, at: Point, anchor: (HPos, VPos)) -> Shape {
    Shape::Text { text: text.to_owned(), em, color, at, anchor }
}
