//! A bitmap backend for plotters that draws everything at twice the size, then averages down to a PNG.
//!
//! plotters' own bitmap leaves thick lines and polygons with hard edges. Text is set by [`super::text`] where an
//! SVG viewer would set it, and lies level: nothing here is rotated. The PNG's bytes depend on nothing but the drawing.

use plotters::backend::{BitMapBackend, DrawingBackend};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind};

use super::text;

/// How much larger the drawing is than the picture.
const FACTOR: u32 = 2;

/// What was drawn, before it is averaged down.
#[derive(Debug)]
pub(super) struct Canvas {
    pixels: Vec<u8>,
    size: (u32, u32),
}

impl Canvas {
    /// An empty picture of `size` pixels.
    pub(super) fn new((width, height): (u32, u32)) -> Self {
        Canvas { pixels: vec![0; (width * height * FACTOR * FACTOR * 3) as usize], size: (width, height) }
    }

    /// The backend that draws on it.
    pub(super) fn backend(&mut self) -> Enlarged<'_> {
        let (width, height) = self.size;
        let inner = BitMapBackend::with_buffer(&mut self.pixels, (width * FACTOR, height * FACTOR));
        Enlarged { inner, size: self.size }
    }

    /// The picture as a PNG file.
    pub(super) fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.size.0, self.size.1);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Default);
        encoder.set_filter(png::FilterType::Up);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.averaged())?;
        writer.finish()?;
        Ok(file)
    }

    fn averaged(&self) -> Vec<u8> {
        let width = self.size.0 as usize;
        let stride = width * 2 * 3;
        let mut picture = Vec::with_capacity(width * self.size.1 as usize * 3);
        for rows in self.pixels.chunks_exact(stride * 2) {
            let (upper, lower) = rows.split_at(stride);
            for (a, b) in upper.chunks_exact(6).zip(lower.chunks_exact(6)) {
                for channel in 0..3 {
                    let sum = u16::from(a[channel])
                        + u16::from(a[channel + 3])
                        + u16::from(b[channel])
                        + u16::from(b[channel + 3]);
                    picture.push(((sum + 2) / 4) as u8);
                }
            }
        }
        picture
    }
}

/// plotters' bitmap, with every length multiplied.
pub(super) struct Enlarged<'a> {
    inner: BitMapBackend<'a>,
    size: (u32, u32),
}

/// A style whose strokes are as much wider as the drawing is larger.
struct Wider(BackendColor, u32);

impl Wider {
    fn of(style: &impl BackendStyle) -> Self {
        Wider(style.color(), style.stroke_width() * FACTOR)
    }
}

impl BackendStyle for Wider {
    fn color(&self) -> BackendColor {
        self.0
    }

    fn stroke_width(&self) -> u32 {
        self.1
    }
}

fn enlarged((x, y): BackendCoord) -> BackendCoord {
    (x * FACTOR as i32, y * FACTOR as i32)
}

type Drawn<'a> = Result<(), DrawingErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>>;

impl<'a> DrawingBackend for Enlarged<'a> {
    type ErrorType = <BitMapBackend<'a> as DrawingBackend>::ErrorType;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn<'a> {
        self.inner.ensure_prepared()
    }

    fn present(&mut self) -> Drawn<'a> {
        self.inner.present()
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Drawn<'a> {
        let (x, y) = enlarged(point);
        self.inner.draw_rect((x, y), (x + FACTOR as i32 - 1, y + FACTOR as i32 - 1), &color, true)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn<'a> {
        self.inner.draw_line(enlarged(from), enlarged(to), &Wider::of(style))
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn<'a> {
        self.inner.draw_rect(enlarged(upper_left), enlarged(bottom_right), &Wider::of(style), fill)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn<'a> {
        self.inner.draw_path(path.into_iter().map(enlarged), &Wider::of(style))
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn<'a> {
        self.inner.draw_circle(enlarged(center), radius * FACTOR, &Wider::of(style), fill)
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        vertices: I,
        style: &S,
    ) -> Drawn<'a> {
        self.inner.fill_polygon(vertices.into_iter().map(enlarged), &Wider::of(style))
    }

    /// Where plotters' SVG has it: its sizes are 1.24 of an em, its anchors shift the baseline.
    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Drawn<'a> {
        let em = (style.size() / 1.24) as f32 * FACTOR as f32;
        let (x, y) = enlarged(at);
        let left = match style.anchor().h_pos {
            HPos::Left => 0.0,
            HPos::Center => -0.5,
            HPos::Right => -1.0,
        };
        let down = match style.anchor().v_pos {
            VPos::Top => 0.76,
            VPos::Center => 0.26,
            VPos::Bottom => -0.26,
        };
        let mut drawn = Ok(());
        let begin = (x as f32 + left * text::width(text, em), y as f32 + down * em);
        text::cover(text, em, begin, |x, y, covered| {
            if drawn.is_ok() {
                drawn = self.inner.draw_pixel((x, y), style.color().mix(f64::from(covered)));
            }
        });
        drawn
    }
}

#[cfg(test)]
mod tests {
    use plotters::prelude::*;

    use super::*;

    fn pixel(picture: &[u8], width: usize, (x, y): (usize, usize)) -> [u8; 3] {
        let at = (y * width + x) * 3;
        [picture[at], picture[at + 1], picture[at + 2]]
    }

    #[test]
    fn a_shape_keeps_its_place_and_its_edge_is_averaged() {
        let mut canvas = Canvas::new((20, 10));
        let area = canvas.backend().into_drawing_area();
        area.fill(&WHITE).unwrap();
        area.draw(&Polygon::new(vec![(4, 2), (16, 2), (16, 8), (4, 8)], RED)).unwrap();
        area.present().unwrap();
        drop(area);
        let picture = canvas.averaged();
        assert_eq!(picture.len(), 20 * 10 * 3);
        assert_eq!(pixel(&picture, 20, (10, 5)), [255, 0, 0]);
        assert_eq!(pixel(&picture, 20, (2, 5)), [255, 255, 255]);
        assert_eq!(pixel(&picture, 20, (18, 5)), [255, 255, 255]);
    }

    #[test]
    fn the_same_drawing_is_the_same_png() {
        let draw = || {
            let mut canvas = Canvas::new((60, 30));
            let area = canvas.backend().into_drawing_area();
            area.fill(&WHITE).unwrap();
            let style = (super::text::FAMILY, 20.0).into_font().color(&BLACK);
            area.draw(&Text::new("p99", (5, 5), style)).unwrap();
            drop(area);
            canvas.png().unwrap()
        };
        let png = draw();
        assert_eq!(&png[1..4], b"PNG");
        assert_eq!(png, draw());
        let mut blank = Canvas::new((60, 30));
        blank.backend().into_drawing_area().fill(&WHITE).unwrap();
        assert_ne!(png, blank.png().unwrap(), "the text left no trace");
    }
}
