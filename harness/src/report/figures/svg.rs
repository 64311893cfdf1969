//! The one writer of figures: groups of shapes become an SVG with ids, classes and titles.
//!
//! A backend for plotters, so that shapes are its elements. The viewer sets the text in a font that it has
//! ([`text::FAMILY`]); the bytes depend on nothing but the groups.

use std::io;

use plotters::backend::DrawingBackend;
use plotters::drawing::IntoDrawingArea;
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind};
use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};

use super::shape::{Group, Shape, Tags};
use super::text;
use crate::plan::{Factor, Value};

type Done = Result<(), DrawingErrorKind<io::Error>>;
type Xml = Writer<Vec<u8>>;
/// Names and values of an element's attributes.
type Attributes = Vec<(&'static str, String)>;

/// What a figure is called, for readers who do not see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    pub(super) description: &'a str,
}

/// `groups` as an SVG file of `size` pixels; or plotters' complaint.
pub(super) fn write(names: &Names<'_>, size: (u32, u32), groups: &[Group]) -> Result<String, String> {
    let mut xml = Writer::new(Vec::new());
    write_all(&mut xml, names, size, groups)?;
    String::from_utf8(xml.into_inner()).map_err(|error| error.to_string())
}

/// One panel of a figure, as a part of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel<'a> {
    pub(super) figure: &'a str,
    pub(super) index: usize,
    /// What a reader who does not see it is told.
    pub(super) name: &'a str,
    /// What is shown of the figure: left, top, width, height.
    pub(super) view: [i32; 4],
}

/// `groups` as an element of a page. It has no colours of its own there: the page's styles have.
pub(super) fn write_panel(panel: &Panel<'_>, groups: &[Group]) -> Result<String, String> {
    let [left, top, width, height] = panel.view;
    let root = [
        ("class", "panel".to_owned()),
        ("role", "img".to_owned()),
        ("aria-label", panel.name.to_owned()),
        ("viewBox", format!("{left} {top} {width} {height}")),
    ];
    let figure = format!("{}-{}", panel.figure, panel.index);
    let extent = ((left + width) as u32, (top + height) as u32);
    element(&root, |xml| groups.iter().try_for_each(|group| write_group(xml, &figure, extent, group)))
}

/// A marker alone, in a square of `side` pixels.
pub(super) fn write_swatch(side: u32, shapes: Vec<Shape>) -> Result<String, String> {
    let root = [("aria-hidden", "true".to_owned()), ("viewBox", format!("0 0 {side} {side}"))];
    let group = Group { class: "swatch", shapes, ..Group::default() };
    element(&root, |xml| write_group(xml, "", (side, side), &group))
}

fn element(
    root: &[(&'static str, String)],
    content: impl FnOnce(&mut Xml) -> Result<(), String>,
) -> Result<String, String> {
    let said = |error: io::Error| error.to_string();
    let mut xml = Writer::new(Vec::new());
    start(&mut xml, "svg", root).map_err(said)?;
    content(&mut xml)?;
    end(&mut xml, "svg").map_err(said)?;
    String::from_utf8(xml.into_inner()).map_err(|error| error.to_string())
}

fn write_group(xml: &mut Xml, figure: &str, size: (u32, u32), group: &Group) -> Result<(), String> {
    let said = |error: io::Error| error.to_string();
    start(xml, "g", &attributes(figure, group)).map_err(said)?;
    if let Some(title) = &group.title {
        with_text(xml, "title", &[], title).map_err(said)?;
    }
    let area = Svg { xml: &mut *xml, size }.into_drawing_area();
    group.shapes.iter().try_for_each(|shape| shape.draw(&area)).map_err(|error| error.to_string())?;
    drop(area);
    end(xml, "g").map_err(said)
}

fn write_all(xml: &mut Xml, names: &Names<'_>, size: (u32, u32), groups: &[Group]) -> Result<(), String> {
    let said = |error: io::Error| error.to_string();
    let (width, height) = size;
    let root = vec![
        ("xmlns", "http://www.w3.org/2000/svg".to_owned()),
        ("id", names.id.to_owned()),
        ("role", "img".to_owned()),
        ("aria-labelledby", format!("{0}-title {0}-desc", names.id)),
        ("viewBox", format!("0 0 {width} {height}")),
        ("width", width.to_string()),
        ("height", height.to_string()),
        ("font-family", text::FAMILY.to_owned()),
    ];
    start(xml, "svg", &root).map_err(said)?;
    for (element, suffix, content) in [("title", "title", names.title), ("desc", "desc", names.description)] {
        let id = vec![("id", format!("{}-{suffix}", names.id))];
        with_text(xml, element, &id, content).map_err(said)?;
    }
    for group in groups {
        // A line a group: a change to a figure is a change to some lines of its file.
        xml.get_mut().push(b'\n');
        write_group(xml, names.id, size, group)?;
    }
    end(xml, "svg").map_err(said)?;
    xml.get_mut().push(b'\n');
    Ok(())
}

/// The class of a group, and what it stands for.
fn attributes(figure: &str, group: &Group) -> Vec<(String, String)> {
    let mut attributes = vec![("class".to_owned(), group.class.to_owned())];
    if let Some(tags) = &group.tags {
        attributes.push(("id".to_owned(), id(figure, group.class, tags)));
        attributes.push(("data-competitor".to_owned(), tags.competitor.clone()));
        let of_condition =
            |(factor, value): &(&Factor, Value)| (format!("data-{}", factor.name), value.to_string());
        attributes.extend(tags.condition.iter().map(of_condition));
        attributes.extend(tags.metric.map(|metric| ("data-metric".to_owned(), metric.name().to_owned())));
        attributes.extend(tags.series.clone().map(|series| ("data-series".to_owned(), series)));
    }
    attributes
}

fn start(xml: &mut Xml, element: &str, attributes: &[(impl AsRef<str>, String)]) -> io::Result<()> {
    let attributes = attributes.iter().map(|(name, value)| (name.as_ref(), value.as_str()));
    xml.write_event(Event::Start(BytesStart::new(element).with_attributes(attributes)))
}

fn end(xml: &mut Xml, element: &str) -> io::Result<()> {
    xml.write_event(Event::End(BytesEnd::new(element)))
}

fn with_text(
    xml: &mut Xml,
    element: &str,
    attributes: &[(&'static str, String)],
    text: &str,
) -> io::Result<()> {
    start(xml, element, attributes)?;
    xml.write_event(Event::Text(BytesText::new(text)))?;
    end(xml, element)
}

/// An id that no other mark of a page has: characters that an id cannot have become underscores.
fn id(figure: &str, class: &str, tags: &Tags) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name = |text: &str| text.chars().map(safe).collect::<String>();
    let values: Vec<_> = tags.condition.iter().map(|(_, value)| name(&value.to_string())).collect();
    let condition = if values.is_empty() { String::new() } else { format!("-{}", values.join("x")) };
    let series = tags.series.as_ref().map_or(String::new(), |series| format!("-{}", name(series)));
    format!("{figure}-{class}-{}{condition}{series}", name(&tags.competitor))
}

/// Writes one element for each thing that is drawn.
struct Svg<'a> {
    xml: &'a mut Xml,
    size: (u32, u32),
}

impl Svg<'_> {
    fn empty(&mut self, element: &str, attributes: Attributes) -> Done {
        let attributes = attributes.iter().map(|(name, value)| (*name, value.as_str()));
        let element = BytesStart::new(element).with_attributes(attributes);
        self.xml.write_event(Event::Empty(element)).map_err(DrawingErrorKind::DrawingError)
    }
}

fn hex(color: BackendColor) -> String {
    let (r, g, b) = color.rgb;
    format!("#{r:02X}{g:02X}{b:02X}")
}

fn fill(color: BackendColor) -> Attributes {
    let mut attributes = vec![("fill", hex(color))];
    if color.alpha < 1.0 {
        attributes.push(("fill-opacity", color.alpha.to_string()));
    }
    attributes
}

fn stroke(style: &impl BackendStyle) -> Attributes {
    let mut attributes = vec![
        ("fill", "none".to_owned()),
        ("stroke", hex(style.color())),
        ("stroke-width", style.stroke_width().to_string()),
    ];
    if style.color().alpha < 1.0 {
        attributes.push(("stroke-opacity", style.color().alpha.to_string()));
    }
    attributes
}

fn paint(style: &impl BackendStyle, filled: bool) -> Attributes {
    if filled { fill(style.color()) } else { stroke(style) }
}

/// Whole numbers, by their names.
fn numbers<const N: usize>(of: [(&'static str, i32); N]) -> Attributes {
    of.into_iter().map(|(name, value)| (name, value.to_string())).collect()
}

fn points(path: impl IntoIterator<Item = BackendCoord>) -> Attributes {
    let points: Vec<_> = path.into_iter().map(|(x, y)| format!("{x},{y}")).collect();
    vec![("points", points.join(" "))]
}

impl DrawingBackend for Svg<'_> {
    type ErrorType = io::Error;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Done {
        Ok(())
    }

    fn present(&mut self) -> Done {
        Ok(())
    }

    fn draw_pixel(&mut self, at: BackendCoord, color: BackendColor) -> Done {
        self.draw_rect(at, (at.0 + 1, at.1 + 1), &color, true)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Done {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (left, top): BackendCoord,
        (right, bottom): BackendCoord,
        style: &S,
        filled: bool,
    ) -> Done {
        let (width, height) = ((right - left).max(0), (bottom - top).max(0));
        let mut attributes = numbers([("x", left), ("y", top), ("width", width), ("height", height)]);
        attributes.extend(paint(style, filled));
        self.empty("rect", attributes)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Done {
        let mut attributes = points(path);
        attributes.extend(stroke(style));
        self.empty("polyline", attributes)
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        (x, y): BackendCoord,
        radius: u32,
        style: &S,
        filled: bool,
    ) -> Done {
        let mut attributes = numbers([("cx", x), ("cy", y)]);
        attributes.push(("r", radius.to_string()));
        attributes.extend(paint(style, filled));
        self.empty("circle", attributes)
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        vertices: I,
        style: &S,
    ) -> Done {
        let mut attributes = points(vertices);
        attributes.extend(fill(style.color()));
        self.empty("polygon", attributes)
    }

    /// Level text: nothing here is rotated.
    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, (x, y): BackendCoord) -> Done {
        // plotters' sizes are 1.24 of an em.
        let (em, anchor) = (style.size() / 1.24, style.anchor());
        // From the anchor down to the baseline, em.
        let down = match anchor.v_pos {
            VPos::Top => 0.76,
            VPos::Center => 0.26,
            VPos::Bottom => -0.26,
        };
        let mut attributes = numbers([("x", x)]);
        attributes.push(("y", format!("{:.1}", f64::from(y) + down * em)));
        attributes.push(("font-size", format!("{em:.0}")));
        match anchor.h_pos {
            HPos::Left => {}
            HPos::Center => attributes.push(("text-anchor", "middle".to_owned())),
            HPos::Right => attributes.push(("text-anchor", "end".to_owned())),
        }
        attributes.extend(fill(style.color()));
        with_text(self.xml, "text", &attributes, text).map_err(DrawingErrorKind::DrawingError)
    }

    /// As it is set, so that plotters asks no font of the system.
    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<io::Error>> {
        let em = (style.size() / 1.24) as f32;
        Ok((text::width(text, em).ceil() as u32, em.ceil() as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::metric::Metric;
    use crate::plan::factor;
    use crate::report::figures::palette::INK;
    use crate::report::figures::shape::Shape;

    fn svg(groups: &[Group]) -> String {
        let names = Names { id: "cpu", title: "CPU & time", description: "less is better" };
        write(&names, (60, 30), groups).unwrap()
    }

    fn text(text: &str) -> Shape {
        let anchor = (HPos::Right, VPos::Top);
        Shape::Text { text: text.into(), em: 20.0, color: INK, at: (5, 5), anchor }
    }

    #[test]
    fn a_mark_can_be_found_by_what_it_stands_for() {
        let tags = Tags {
            competitor: "mio+10%".into(),
            condition: vec![(&factor::BACKENDS, 2_u32.into()), (&factor::CONCURRENCY, 10_u32.into())],
            metric: Some(Metric::P99),
            series: None,
        };
        let shapes = vec![Shape::line([(1, 2), (3, 4)], INK, 3)];
        let svg = svg(&[Group { class: "mark", tags: Some(tags), title: Some("1 < 2".into()), shapes }]);
        for part in [
            r#"<title id="cpu-title">CPU &amp; time</title><desc id="cpu-desc">less is better</desc>"#,
            r#"<g class="mark" id="cpu-mark-mio_10_-2x10" data-competitor="mio+10%" data-backends="2" data-concurrency="10" data-metric="response time, p99"><title>1 &lt; 2</title>"#,
            r##"<polyline points="1,2 3,4" fill="none" stroke="#222222" stroke-width="3"/></g>"##,
        ] {
            assert!(svg.contains(part), "{part} is not in {svg}");
        }
    }

    #[test]
    fn text_is_set_at_its_anchor_and_means_itself() {
        let svg = svg(&[Group { class: "frame", shapes: vec![text("<b>&")], ..Group::default() }]);
        let set =
            r##"<text x="5" y="20.2" font-size="20" text-anchor="end" fill="#222222">&lt;b&gt;&amp;</text>"##;
        assert!(svg.contains(set), "{svg}");
        assert!(svg.contains(r#"font-family="Liberation Sans, Arial, Helvetica, sans-serif""#));
    }
}
