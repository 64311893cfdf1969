//! The one typeface of the figures: its file, its width, its wrapping.
//!
//! The font ships with the crate, so that neither a system font nor fontconfig is asked for. In an SVG the viewer sets
//! the text: Arial and Liberation Sans have the same widths.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont};

/// What the SVG names.
pub(super) const FAMILY: &str = "Liberation Sans, Arial, Helvetica, sans-serif";

/// The font, as a file.
pub(super) const FONT_FILE: &[u8] = include_bytes!("../../../assets/LiberationSans-Regular.ttf");

static FONT: LazyLock<FontRef<'static>> =
    LazyLock::new(|| FontRef::try_from_slice(FONT_FILE).expect("the font in assets/ is a TrueType font"));

/// The width of `text` set at `size` pixels to the em.
pub(super) fn width(text: &str, size: f32) -> f32 {
    let font = FONT.as_scaled(scale(size));
    advances(text, size).last().map_or(0.0, |(x, c)| x + font.h_advance(font.glyph_id(c)))
}

/// `text` in lines of at most `room` pixels; a word that is longer has a line of its own.
pub(super) fn wrap(text: &str, size: f32, room: f32) -> Vec<String> {
    let space = width(" ", size);
    let mut lines: Vec<(String, f32)> = Vec::new();
    for word in text.split_whitespace() {
        let word_width = width(word, size);
        match lines.last_mut() {
            Some((line, taken)) if *taken + space + word_width <= room => {
                line.push(' ');
                line.push_str(word);
                *taken += space + word_width;
            }
            _ => lines.push((word.to_owned(), word_width)),
        }
    }
    lines.into_iter().map(|(line, _)| line).collect()
}

/// Where each character begins, pixels from the first.
fn advances(text: &str, size: f32) -> impl Iterator<Item = (f32, char)> {
    let font = FONT.as_scaled(scale(size));
    let mut x = 0.0;
    let mut previous = None;
    text.chars().map(move |c| {
        let glyph = font.glyph_id(c);
        if let Some(previous) = previous.replace(glyph) {
            x += font.kern(previous, glyph);
        }
        let begins = x;
        x += font.h_advance(glyph);
        (begins, c)
    })
}

/// `ab_glyph` scales by the height from ascent to descent, CSS by the em.
fn scale(size: f32) -> PxScale {
    PxScale::from(size * FONT.height_unscaled() / FONT.units_per_em().unwrap_or(2048.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_arial() {
        // Arial's advance widths in 1/2048 em: A 1366, digit 1139.
        assert!((width("A", 2048.0) - 1366.0).abs() < 0.5);
        assert!((width("00", 2048.0) - 2278.0).abs() < 0.5);
        assert_eq!(width("", 20.0), 0.0);
    }

    #[test]
    fn wrapped_lines_fit_and_hold_every_word() {
        let text = "the trial, not the request, is the sample of this experiment";
        let lines = wrap(text, 20.0, 200.0);
        assert!(lines.len() > 2 && lines.iter().all(|line| width(line, 20.0) <= 200.0));
        assert_eq!(lines.join(" "), text);
    }

    #[test]
    fn every_character_of_the_charts_is_in_the_font() {
        for c in "µ×–−·≥…/%".chars() {
            assert_ne!(FONT.glyph_id(c).0, 0, "{c}");
        }
    }
}
