//! A figure's SVG as a PNG, set in the font that ships with the crate: no system font is asked for, so the bytes depend on
//! nothing but the SVG.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb::Database};

use super::text;

static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_font_data(text::FONT_FILE.to_vec());
    Arc::new(fonts)
});

/// `svg` at its own size; or what is wrong with it.
pub(super) fn of(svg: &str) -> Result<Vec<u8>, String> {
    let options = Options { fontdb: Arc::clone(&FONTS), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|error| error.to_string())?;
    let size = tree.size().to_int_size();
    let mut picture = Pixmap::new(size.width(), size.height()).ok_or_else(|| "it has no size".to_owned())?;
    picture.fill(Color::WHITE);
    resvg::render(&tree, Transform::identity(), &mut picture.as_mut());
    picture.encode_png().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(content: &str) -> Vec<u8> {
        let head = r#"<svg xmlns="http://www.w3.org/2000/svg" width="60" height="30" font-family="Liberation Sans">"#;
        of(&format!("{head}{content}</svg>")).unwrap()
    }

    #[test]
    fn text_leaves_its_trace_and_the_same_svg_is_the_same_png() {
        let written = picture(r#"<text x="5" y="20" font-size="20">p99</text>"#);
        assert_eq!(&written[1..4], b"PNG");
        assert_eq!(written, picture(r#"<text x="5" y="20" font-size="20">p99</text>"#));
        assert_ne!(written, picture(""), "the text left no trace");
    }

    #[test]
    fn a_shape_keeps_its_place() {
        let png = picture(r#"<rect x="10" y="5" width="20" height="10" fill="red"/>"#);
        let pixmap = Pixmap::decode_png(&png).unwrap();
        let at = |x, y| pixmap.pixel(x, y).map(|c| [c.red(), c.green(), c.blue()]);
        assert_eq!(at(15, 10), Some([255, 0, 0]));
        assert_eq!(at(5, 10), Some([255, 255, 255]));
    }

    #[test]
    fn what_is_no_svg_is_said_to_be_none() {
        assert!(of("<p>").is_err());
    }
}
