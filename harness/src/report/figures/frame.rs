//! What all charts share: title, legend, a grid of panels with one pair of axes, and marks on them.
//!
//! Owns every distance and size of type. Knows nothing of what is measured. A chart is 1660 pixels wide and is
//! shown at 830 in a README: type of 26 pixels is read as 13.

use plotters::backend::DrawingBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind};
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, RGBAColor, RGBColor, ShapeStyle};

use super::axis::Axis;
use super::palette::{FAINT_INK, GRID, INK, Look, Marker, PAPER};
use super::text;

/// Width of every chart, pixels.
pub(super) const WIDTH: i32 = 1660;

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

/// Where a chart is drawn.
pub(super) type Area<DB> = DrawingArea<DB, Shift>;
/// What drawing on it comes to.
pub(super) type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// What a chart says besides its marks.
#[derive(Debug, Clone)]
pub(super) struct Content {
    /// What the chart shows.
    pub(super) title: String,
    /// What a mark stands for, and what was measured.
    pub(super) subtitle: String,
    /// Name and look of each model.
    pub(super) legend: Vec<(String, Look)>,
    /// Quantity and unit of the vertical axis.
    pub(super) y_title: String,
    /// Quantity and unit of the horizontal axis.
    pub(super) x_title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// Headings of the panels, row by row.
    pub(super) panels: Vec<String>,
    pub(super) columns: usize,
    /// Height of a panel's plot, pixels.
    pub(super) panel_height: i32,
    /// Room between the axis and its tick labels, for marks, pixels.
    pub(super) feet: i32,
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
    pub(super) fn lay_out(content: Content) -> Self {
        let lines = text::wrap(&content.subtitle, TYPE, (WIDTH - 2 * MARGIN) as f32);
        let places = legend_places(&content.legend);
        let legend = places.last().map_or(0, |&(_, line)| (line + 1) * LEGEND_LINE);
        let top = MARGIN + 50 + lines.len() as i32 * LINE + 12 + legend + LINE + 14;
        let labels = content.y.ticks.iter().map(|(_, label)| text::width(label, TYPE)).fold(0.0, f32::max);
        let left = MARGIN + labels.ceil() as i32 + 14;
        Frame { content, lines, places, top, left }
    }

    /// Width and height, pixels.
    pub(super) fn size(&self) -> (u32, u32) {
        let rows = self.content.panels.len().div_ceil(self.content.columns) as i32;
        let height = self.top + rows * self.row_height() - BETWEEN + LINE + 8 + MARGIN;
        (WIDTH as u32, height as u32)
    }

    /// The panel of `panels[index]`.
    pub(super) fn panel(&self, index: usize) -> Panel {
        let content = &self.content;
        let columns = content.columns as i32;
        let width = (WIDTH - MARGIN - self.left - (columns - 1) * BETWEEN) / columns;
        let left = self.left + (index % content.columns) as i32 * (width + BETWEEN);
        let top = self.top + (index / content.columns) as i32 * self.row_height() + HEADING;
        let (x, y) = ((content.x.from, content.x.to), (content.y.from, content.y.to));
        Panel { left, right: left + width, top, bottom: top + content.panel_height, x, y }
    }

    /// Draws all but the marks.
    pub(super) fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Drawn<DB> {
        let content = &self.content;
        area.fill(&PAPER)?;
        let mut y = MARGIN;
        write(area, &content.title, TITLE, INK, (MARGIN, y), (HPos::Left, VPos::Top))?;
        y += 50;
        for line in &self.lines {
            write(area, line, TYPE, FAINT_INK, (MARGIN, y), (HPos::Left, VPos::Top))?;
            y += LINE;
        }
        y += 12;
        for ((name, look), (x, line)) in content.legend.iter().zip(&self.places) {
            let middle = y + line * LEGEND_LINE + LEGEND_LINE / 2;
            mark(area, *look, (x + 12, middle), 10)?;
            write(area, name, TYPE, INK, (x + LEGEND_SWATCH, middle), (HPos::Left, VPos::Center))?;
        }
        write(area, &content.y_title, TYPE, FAINT_INK, (MARGIN, self.top - 10), (HPos::Left, VPos::Bottom))?;
        for (index, heading) in content.panels.iter().enumerate() {
            self.draw_panel(area, index, heading)?;
        }
        let (_, height) = self.size();
        let (left, right) = (self.panel(0).left, WIDTH - MARGIN);
        let below = height as i32 - MARGIN;
        write(
            area,
            &content.x_title,
            TYPE,
            FAINT_INK,
            ((left + right) / 2, below),
            (HPos::Center, VPos::Bottom),
        )
    }

    fn draw_panel<DB: DrawingBackend>(&self, area: &Area<DB>, index: usize, heading: &str) -> Drawn<DB> {
        let (panel, Content { x: across, y: up, feet, .. }) = (self.panel(index), &self.content);
        for (at, label) in &up.ticks {
            let (_, y) = panel.at(across.from, *at);
            line(area, &[(panel.left, y), (panel.right, y)], GRID, 2)?;
            if index.is_multiple_of(self.content.columns) {
                write(area, label, TYPE, INK, (panel.left - 12, y), (HPos::Right, VPos::Center))?;
            }
        }
        let foot = panel.bottom + feet;
        let mut free_from = i32::MIN;
        for (at, label) in &across.ticks {
            let (x, _) = panel.at(*at, up.from);
            if *feet == 0 {
                line(area, &[(x, panel.bottom), (x, panel.bottom + 7)], FAINT_INK, 2)?;
            }
            // A label that would run into its neighbour is left out; its tick stays.
            let half = (text::width(label, TYPE) / 2.0).ceil() as i32;
            // Within the panel: its neighbour has a label at the same height.
            let x = x.min(panel.right + 4 - half).max(panel.left - 4 + half);
            if x - half > free_from {
                write(area, label, TYPE, INK, (x, foot + 12), (HPos::Center, VPos::Top))?;
                free_from = x + half + 6;
            }
        }
        line(area, &[(panel.left, panel.bottom), (panel.right, panel.bottom)], FAINT_INK, 2)?;
        let middle = (panel.left + panel.right) / 2;
        write(area, heading, TYPE, INK, (middle, panel.top - 14), (HPos::Center, VPos::Bottom))
    }

    fn row_height(&self) -> i32 {
        HEADING + self.content.panel_height + self.content.feet + FOOT + BETWEEN
    }
}

fn legend_places(legend: &[(String, Look)]) -> Vec<(i32, i32)> {
    let (mut x, mut line) = (MARGIN, 0);
    let place = |(name, _): &(String, Look)| {
        let width = LEGEND_SWATCH + text::width(name, TYPE).ceil() as i32;
        if x > MARGIN && x + width > WIDTH - MARGIN {
            (x, line) = (MARGIN, line + 1);
        }
        let place = (x, line);
        x += width + LEGEND_GAP;
        place
    };
    legend.iter().map(place).collect()
}

/// Writes `text` level at `at`, set at `size` pixels to the em.
pub(super) fn write<DB: DrawingBackend>(
    area: &Area<DB>,
    text: &str,
    size: f32,
    color: RGBColor,
    at: (i32, i32),
    (h, v): (HPos, VPos),
) -> Drawn<DB> {
    // plotters' sizes are 1.24 of an em.
    let style = (text::FAMILY, f64::from(size) * 1.24).into_font().color(&color).pos(Pos::new(h, v));
    area.draw(&Text::new(text.to_owned(), at, style))
}

/// A line through `points`.
pub(super) fn line<DB: DrawingBackend>(
    area: &Area<DB>,
    points: &[(i32, i32)],
    color: RGBColor,
    width: u32,
) -> Drawn<DB> {
    area.draw(&PathElement::new(points.to_vec(), color.stroke_width(width)))
}

/// A filled rectangle between two corners.
pub(super) fn bar<DB: DrawingBackend>(
    area: &Area<DB>,
    corners: [(i32, i32); 2],
    color: RGBAColor,
) -> Drawn<DB> {
    area.draw(&Rectangle::new(corners, color.filled()))
}

/// From the smallest to the largest of something, upright at `x`.
pub(super) fn whisker<DB: DrawingBackend>(
    area: &Area<DB>,
    x: i32,
    (y_min, y_max): (i32, i32),
    color: RGBColor,
) -> Drawn<DB> {
    line(area, &[(x, y_min), (x, y_max)], color, 3)?;
    for y in [y_min, y_max] {
        line(area, &[(x - 6, y), (x + 6, y)], color, 3)?;
    }
    Ok(())
}

/// A model's marker, with a rim of paper that sets it apart from the line that it lies on.
pub(super) fn mark<DB: DrawingBackend>(area: &Area<DB>, look: Look, at: (i32, i32), r: i32) -> Drawn<DB> {
    shape(area, look.marker, at, r + 3, PAPER, 3)?;
    shape(area, look.marker, at, r, look.color, 0)
}

fn shape<DB: DrawingBackend>(
    area: &Area<DB>,
    marker: Marker,
    (x, y): (i32, i32),
    r: i32,
    color: RGBColor,
    rim: u32,
) -> Drawn<DB> {
    let fill: ShapeStyle = color.filled();
    let polygon = |points: &[(i32, i32)]| {
        let points: Vec<_> = points.iter().map(|&(dx, dy)| (x + dx, y + dy)).collect();
        area.draw(&Polygon::new(points, fill))
    };
    let stroke = |from: (i32, i32), to: (i32, i32)| {
        line(area, &[(x + from.0, y + from.1), (x + to.0, y + to.1)], color, 5 + 2 * rim)
    };
    match marker {
        Marker::Circle => area.draw(&Circle::new((x, y), r, fill)),
        Marker::Square => polygon(&[(-r, -r), (r, -r), (r, r), (-r, r)]),
        Marker::TriangleUp => polygon(&[(0, -r - 3), (r + 2, r), (-r - 2, r)]),
        Marker::TriangleDown => polygon(&[(0, r + 3), (r + 2, -r), (-r - 2, -r)]),
        Marker::Diamond => polygon(&[(0, -r - 4), (r + 4, 0), (0, r + 4), (-r - 4, 0)]),
        Marker::Cross => stroke((-r, -r), (r, r)).and_then(|()| stroke((-r, r), (r, -r))),
        Marker::Plus => stroke((-r, 0), (r, 0)).and_then(|()| stroke((0, -r), (0, r))),
        Marker::Ring => {
            area.draw(&Circle::new((x, y), r, fill))?;
            area.draw(&Circle::new((x, y), (r - 4 - rim as i32).max(1), PAPER.filled()))
        }
    }
}
