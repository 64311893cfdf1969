//! Which colour and which marker stand for a model: the same in every chart of every run.
//!
//! Colours are Okabe & Ito's (2008), the two palest of them darkened so that they stand out on paper, then some of Tol's
//! muted scheme (2021), all told apart under the common colour blindnesses; the marker tells models apart without any
//! colour. Threaded models are cool, async ones warm. A model without a look of its own takes a spare one, of its family
//! if it can. Products are dark, and take theirs in order.

use plotters::style::RGBColor;

use crate::analysis::summary::Summary;
use crate::plan::{Competitor, FLOORS, Family, Kind};

/// Text and axes.
pub(super) const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
/// Text of second rank.
pub(super) const FAINT_INK: RGBColor = RGBColor(0x55, 0x55, 0x55);
/// Grid lines.
pub(super) const GRID: RGBColor = RGBColor(0xE2, 0xE2, 0xE2);
/// A band of noise.
pub(super) const BAND: RGBColor = RGBColor(0xE9, 0xEB, 0xEE);
/// Less than before, or than another.
pub(super) const COOL: RGBColor = RGBColor(0x00, 0x72, 0xB2);
/// More than that.
pub(super) const WARM: RGBColor = RGBColor(0xB3, 0x45, 0x0A);
/// The page.
pub(super) const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);

/// How a model is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) color: RGBColor,
    pub(super) marker: Marker,
}

/// The shape of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    Circle,
    Square,
    TriangleUp,
    TriangleDown,
    Diamond,
    Cross,
    Plus,
    Ring,
}

const WITHOUT_BALANCER: Look = Look { color: RGBColor(0x77, 0x77, 0x77), marker: Marker::Cross };

/// Of the floors, in the order of their names.
const FLOOR: [Look; FLOORS.len()] = [
    Look { color: RGBColor(0x00, 0x00, 0x00), marker: Marker::Cross },
    Look { color: RGBColor(0x44, 0x44, 0x44), marker: Marker::Plus },
];

/// Tol's dark scheme (2021), for products.
const PRODUCTS: [Look; 7] = [
    Look { color: RGBColor(0x22, 0x22, 0x55), marker: Marker::Diamond },
    Look { color: RGBColor(0x66, 0x33, 0x33), marker: Marker::TriangleDown },
    Look { color: RGBColor(0x22, 0x55, 0x55), marker: Marker::Square },
    Look { color: RGBColor(0x66, 0x66, 0x33), marker: Marker::TriangleUp },
    Look { color: RGBColor(0x22, 0x55, 0x22), marker: Marker::Circle },
    Look { color: RGBColor(0x55, 0x55, 0x55), marker: Marker::Plus },
    Look { color: RGBColor(0x00, 0x33, 0x44), marker: Marker::Ring },
];

const THREADED: [(&str, Look); 5] = [
    ("threads", Look { color: RGBColor(0x00, 0x72, 0xB2), marker: Marker::Circle }),
    ("pool", Look { color: RGBColor(0x2F, 0x8A, 0xC4), marker: Marker::Square }),
    ("rayon", Look { color: RGBColor(0x00, 0x9E, 0x73), marker: Marker::TriangleDown }),
    ("leader-pool", Look { color: RGBColor(0x33, 0x22, 0x88), marker: Marker::Plus }),
    ("", Look { color: RGBColor(0x11, 0x77, 0x33), marker: Marker::Ring }),
];

const ASYNC: [(&str, Look); 8] = [
    ("mio", Look { color: RGBColor(0xD5, 0x5E, 0x00), marker: Marker::TriangleUp }),
    ("tokio", Look { color: RGBColor(0xB8, 0x7A, 0x00), marker: Marker::Diamond }),
    ("smol", Look { color: RGBColor(0xCC, 0x79, 0xA7), marker: Marker::Plus }),
    ("async-std", Look { color: RGBColor(0x88, 0x22, 0x55), marker: Marker::Square }),
    ("mio-multi", Look { color: RGBColor(0xCC, 0x66, 0x77), marker: Marker::TriangleDown }),
    ("tokio-current", Look { color: RGBColor(0x6B, 0x8E, 0x23), marker: Marker::Circle }),
    ("coroutines", Look { color: RGBColor(0xAA, 0x44, 0x99), marker: Marker::Cross }),
    ("uring", Look { color: RGBColor(0x99, 0x99, 0x33), marker: Marker::Ring }),
];

/// Colours of figures that a page's own take the place of, by the names of its variables.
const OF_THE_PAGE: [(RGBColor, &str); 5] =
    [(PAPER, "paper"), (INK, "ink"), (FAINT_INK, "soft"), (GRID, "rule"), (BAND, "band")];

/// Colours that are too dark on a dark page, and what stands for each there.
const ON_DARK: [(RGBColor, RGBColor); 18] = [
    (COOL, RGBColor(0x4D, 0xA6, 0xE8)),
    (WARM, RGBColor(0xFF, 0x9E, 0x64)),
    (RGBColor(0xD5, 0x5E, 0x00), RGBColor(0xFF, 0x85, 0x3D)),
    (RGBColor(0x2F, 0x8A, 0xC4), RGBColor(0x8C, 0xD0, 0xF7)),
    (RGBColor(0xB8, 0x7A, 0x00), RGBColor(0xF2, 0xB8, 0x3A)),
    (RGBColor(0x77, 0x77, 0x77), RGBColor(0x9A, 0xA1, 0xA9)),
    (RGBColor(0x33, 0x22, 0x88), RGBColor(0x9D, 0x8D, 0xF0)),
    (RGBColor(0x11, 0x77, 0x33), RGBColor(0x4F, 0xBF, 0x74)),
    (RGBColor(0x88, 0x22, 0x55), RGBColor(0xD9, 0x6A, 0xA3)),
    (RGBColor(0xAA, 0x44, 0x99), RGBColor(0xD9, 0x7F, 0xC9)),
    (RGBColor(0x00, 0x00, 0x00), RGBColor(0xFF, 0xFF, 0xFF)),
    (RGBColor(0x44, 0x44, 0x44), RGBColor(0xC8, 0xCC, 0xD0)),
    (RGBColor(0x22, 0x22, 0x55), RGBColor(0x93, 0x93, 0xE6)),
    (RGBColor(0x66, 0x33, 0x33), RGBColor(0xD6, 0x8C, 0x8C)),
    (RGBColor(0x22, 0x55, 0x55), RGBColor(0x6F, 0xC4, 0xC4)),
    (RGBColor(0x66, 0x66, 0x33), RGBColor(0xC8, 0xC8, 0x7A)),
    (RGBColor(0x22, 0x55, 0x22), RGBColor(0x7F, 0xC9, 0x7F)),
    (RGBColor(0x00, 0x33, 0x44), RGBColor(0x5F, 0xB4, 0xD4)),
];

/// Styles under which figures in a page have its colours, light and dark: what stands in their attributes gives way.
pub(super) fn styles() -> String {
    let hex = |RGBColor(r, g, b): RGBColor| format!("#{r:02X}{g:02X}{b:02X}");
    let rule = |from: RGBColor, to: &str| {
        let from = hex(from);
        format!("svg [fill=\"{from}\"] {{ fill: {to}; }} svg [stroke=\"{from}\"] {{ stroke: {to}; }}\n")
    };
    let own = OF_THE_PAGE.iter().map(|&(from, name)| rule(from, &format!("var(--{name})")));
    let dark: String = ON_DARK.iter().map(|&(from, to)| rule(from, &hex(to))).collect();
    own.collect::<String>() + &format!("@media screen and (prefers-color-scheme: dark) {{\n{dark}}}\n")
}

/// The looks of `summary`'s models and the direct row, in its order; rows that control the measurement are not drawn.
pub(super) fn looks(summary: &Summary) -> Vec<(&Competitor, Look)> {
    let rows: Vec<&Competitor> = summary.shown().collect();
    let mut taken: Vec<Look> = rows.iter().filter_map(|row| own_look(row)).collect();
    let look = |model: &Competitor| -> Look {
        if let Some(look) = own_look(model) {
            return look;
        }
        let (own, other) = match summary.family(model) {
            Family::Threaded => (THREADED.as_slice(), ASYNC.as_slice()),
            Family::Async | Family::None => (ASYNC.as_slice(), THREADED.as_slice()),
        };
        // Only spare looks, so that a model's look does not depend on which others run; past the last one looks
        // repeat, and the order of the legend tells them apart.
        let mut spare = own.iter().chain(other).filter(|(name, _)| name.is_empty()).map(|&(_, look)| look);
        let look = spare.find(|look| !taken.contains(look)).unwrap_or(own[taken.len() % own.len()].1);
        taken.push(look);
        look
    };
    let mut look = look;
    let mut products = PRODUCTS.into_iter().cycle();
    let mut of = |row: &Competitor| match row.kind {
        Kind::Peer => products.next().unwrap_or(WITHOUT_BALANCER),
        Kind::Direct | Kind::Model | Kind::Floor => look(row),
    };
    rows.into_iter().map(|row| (row, of(row))).collect()
}

fn own_look(model: &Competitor) -> Option<Look> {
    match model.kind {
        Kind::Direct => return Some(WITHOUT_BALANCER),
        Kind::Floor => {
            return FLOORS.iter().zip(FLOOR).find(|(name, _)| **name == model.name).map(|(_, look)| look);
        }
        Kind::Model => {}
        // Whatever its name: one that is called like a model is not the model.
        Kind::Peer => return None,
    }
    THREADED.iter().chain(&ASYNC).find(|(name, _)| *name == model.name).map(|&(_, look)| look)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::synthetic::Run;

    fn look_of(models: &[&str], model: &str) -> Look {
        let summary = Summary::of(&Run::new().blocks(0).models(models).build());
        looks(&summary).into_iter().find(|(row, _)| row.name == model).unwrap().1
    }

    #[test]
    fn a_model_keeps_its_look_whatever_runs_beside_it() {
        assert_eq!(look_of(&["direct", "threads", "mio"], "mio"), look_of(&["tokio", "mio", "new"], "mio"));
    }

    #[test]
    fn no_two_of_the_known_models_look_alike_in_colour_or_in_grey() {
        let models = THREADED.iter().chain(&ASYNC).map(|&(_, look)| look);
        let all: Vec<_> = models.chain(PRODUCTS).chain(FLOOR).chain([WITHOUT_BALANCER]).collect();
        for (i, a) in all.iter().enumerate() {
            for b in &all[i + 1..] {
                assert_ne!(a.color, b.color);
            }
        }
        let four = ["threads", "pool", "mio", "tokio"].map(|m| own_look(&Competitor::of(m)).unwrap().marker);
        for (i, marker) in four.iter().enumerate() {
            assert!(!four[i + 1..].contains(marker) && *marker != WITHOUT_BALANCER.marker);
        }
    }

    #[test]
    fn three_unknown_models_still_differ_and_more_do_not_fail() {
        let models: Vec<String> = (0..20).map(|i| format!("new-{i}")).collect();
        let names: Vec<&str> = models.iter().map(String::as_str).collect();
        let summary = Summary::of(&Run::new().blocks(0).models(&names).build());
        let looks: Vec<_> = looks(&summary).into_iter().map(|(_, look)| look).collect();
        assert_eq!(looks.len(), 20);
        for i in 0..3 {
            assert!(!looks[i + 1..3].contains(&looks[i]));
        }
    }

    #[test]
    fn an_unknown_model_takes_a_spare_look() {
        let models = ["mio", "first", "second"];
        let (first, second) = (look_of(&models, "first"), look_of(&models, "second"));
        assert_ne!(first, second);
        assert_ne!(first, look_of(&models, "mio"));
    }
}
