//! What a figure is drawn from: shapes in pixels, gathered in groups that carry names and tags.
//!
//! The shapes are drawn by plotters' elements on whatever backend they are given; a *mark* is the group of shapes that stands
//! for one value, or one curve, of one competitor.

use plotters::backend::DrawingBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind};
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, RGBAColor, RGBColor, ShapeStyle};

use super::palette::{Look, Marker, PAPER};
use super::text;
use crate::analysis::metric::Metric;
use crate::plan::{self, Factor};
use crate::report::value::Value;

/// Where shapes are drawn.
pub(super) type Area<DB> = DrawingArea<DB, Shift>;
/// What drawing there comes to.
pub(super) type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;
/// A pixel.
pub(super) type Point = (i32, i32);

/// One shape, in pixels.
#[derive(Clone)]
pub(super) enum Shape {
    /// A line through points.
    Line { points: Vec<Point>, color: RGBColor, width: u32 },
    /// A filled rectangle between two corners.
    Bar { corners: [Point; 2], color: RGBAColor },
    /// A marker, with a rim of paper that sets it apart from the line that it lies on.
    Marker { look: Look, at: Point, radius: i32 },
    /// Level text, set at so many pixels to the em.
    Text { text: String, em: f32, color: RGBColor, at: Point, anchor: (HPos, VPos) },
}

/// Shapes that belong together.
#[derive(Clone, Default)]
pub(super) struct Group {
    /// What kind of thing they are, for a page that styles them.
    pub(super) class: &'static str,
    /// What they stand for, where they stand for something measured.
    pub(super) tags: Option<Tags>,
    /// What a reader who points at them is told.
    pub(super) title: Option<String>,
    pub(super) shapes: Vec<Shape>,
}

/// What a mark stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tags {
    /// The label of the row.
    pub(super) competitor: String,
    /// The factors of the run's grid, with their values; nothing of a whole fault run, or in a legend.
    pub(super) condition: Vec<(&'static Factor, plan::Value)>,
    /// `None`: in a legend.
    pub(super) metric: Option<Metric>,
    /// Which of several series of one competitor; `None` where there is one.
    pub(super) series: Option<String>,
}

/// The shapes that stand for one value, or one curve.
#[derive(Clone)]
pub(super) struct Mark {
    pub(super) tags: Tags,
    /// What it shows, in words: the value, with its unit and range.
    pub(super) says: String,
    /// The data behind it, a row for each value, in the figure's columns.
    pub(super) rows: Vec<Vec<Value>>,
    pub(super) shapes: Vec<Shape>,
}

impl Mark {
    /// Its shapes, with what they stand for and say.
    pub(super) fn group(&self) -> Group {
        Group {
            class: "mark",
            tags: Some(self.tags.clone()),
            title: Some(self.says.clone()),
            shapes: self.shapes.clone(),
        }
    }
}

impl Shape {
    /// A point of it.
    pub(super) fn at(&self) -> Point {
        match self {
            Shape::Line { points, .. } => points.first().copied().unwrap_or_default(),
            Shape::Bar { corners, .. } => corners[0],
            Shape::Marker { at, .. } | Shape::Text { at, .. } => *at,
        }
    }

    /// A line through `points`.
    pub(super) fn line(points: impl Into<Vec<Point>>, color: RGBColor, width: u32) -> Self {
        Shape::Line { points: points.into(), color, width }
    }

    /// From the smallest to the largest of something, upright at `x`.
    pub(super) fn whisker(x: i32, (low, high): (i32, i32), color: RGBColor) -> [Self; 3] {
        let foot = |y| Shape::line([(x - 6, y), (x + 6, y)], color, 3);
        [Shape::line([(x, low), (x, high)], color, 3), foot(low), foot(high)]
    }

    /// Draws it.
    pub(super) fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Drawn<DB> {
        match self {
            Shape::Line { points, color, width } => {
                area.draw(&PathElement::new(points.clone(), color.stroke_width(*width)))
            }
            Shape::Bar { corners, color } => area.draw(&Rectangle::new(*corners, color.filled())),
            Shape::Marker { look, at, radius } => {
                draw_marker(area, look.marker, *at, radius + 3, PAPER, 3)?;
                draw_marker(area, look.marker, *at, *radius, look.color, 0)
            }
            Shape::Text { text, em, color, at, anchor: (h, v) } => {
                // plotters' sizes are 1.24 of an em.
                let font = (text::FAMILY, f64::from(*em) * 1.24).into_font();
                area.draw(&Text::new(text.clone(), *at, font.color(color).pos(Pos::new(*h, *v))))
            }
        }
    }
}

fn draw_marker<DB: DrawingBackend>(
    area: &Area<DB>,
    marker: Marker,
    (x, y): Point,
    r: i32,
    color: RGBColor,
    rim: u32,
) -> Drawn<DB> {
    let fill: ShapeStyle = color.filled();
    let polygon = |points: &[Point]| {
        let points: Vec<_> = points.iter().map(|&(dx, dy)| (x + dx, y + dy)).collect();
        area.draw(&Polygon::new(points, fill))
    };
    let stroke = |from: Point, to: Point| {
        let points = vec![(x + from.0, y + from.1), (x + to.0, y + to.1)];
        area.draw(&PathElement::new(points, color.stroke_width(5 + 2 * rim)))
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
