//! The page, and the pages that say why not.
//!
//! Owns how figures are written for a reader; `templates/manager.js` writes them in the same way when it refreshes them, which
//! a test in a browser compares. Rule: the template escapes everything but our own style and script.

use std::fmt;

use askama::Template;
use hyper::StatusCode;
use roundtable::proxy::MOST_WEIGHT;

use super::figures::{BackendFigures, Figures, Health, ModeName, PolicyName};

pub(super) const STYLE: &str = include_str!("../../templates/manager.css");
pub(super) const SCRIPT: &str = include_str!("../../templates/manager.js");

/// The manager's page.
#[derive(Template)]
#[template(path = "manager.html")]
pub(super) struct Page<'a> {
    pub(super) figures: &'a Figures,
    /// Who has logged in; none is that nobody has to.
    pub(super) user: Option<&'a str>,
    pub(super) nonce: &'a str,
    /// Where the JSON is, as a relative reference.
    pub(super) json: &'a str,
    pub(super) style: &'static str,
    pub(super) script: &'static str,
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct Refusal<'a> {
    title: &'a str,
    message: &'a str,
    style: &'static str,
}

impl Page<'_> {
    pub(super) fn text(&self) -> askama::Result<String> {
        self.render()
    }
}

/// A page that says why not.
pub(super) fn refusal(status: StatusCode, message: &str) -> String {
    let title = status.canonical_reason().unwrap_or("Refused");
    // It does not fail; if it did, the status says enough.
    Refusal { title, message, style: STYLE }.render().unwrap_or_default()
}

impl PolicyName {
    fn text(self) -> &'static str {
        match self {
            PolicyName::RoundRobin => "round robin",
            PolicyName::LeastBusy => "least busy",
        }
    }
}

impl BackendFigures {
    /// Its class in the style sheet, which gives it its colour and its shape.
    fn state(&self) -> &'static str {
        match (self.mode, self.health) {
            (ModeName::Disabled, _) => "disabled",
            (_, Health::CheckFailed) => "failed",
            (_, Health::LeftOut) => "out",
            (ModeName::Draining, _) => "draining",
            (ModeName::Enabled, Health::Up) => "up",
        }
    }

    fn state_text(&self) -> String {
        let health = match (self.health, self.left_out_ms.unwrap_or(0)) {
            (Health::Up, _) => None,
            (Health::LeftOut, 0) => Some("left out, tried next".to_owned()),
            (Health::LeftOut, rest) => Some(format!("left out for {}", Span(rest.div_ceil(1000)))),
            (Health::CheckFailed, _) => Some("health check failed".to_owned()),
        };
        let mode = match self.mode {
            ModeName::Enabled => None,
            ModeName::Draining => Some("draining"),
            ModeName::Disabled => Some("disabled"),
        };
        match (mode, health) {
            (None, None) => "up".to_owned(),
            (Some(mode), None) => mode.to_owned(),
            (None, Some(health)) => health,
            (Some(mode), Some(health)) => format!("{mode}; {health}"),
        }
    }

    fn in_hand(&self) -> String {
        match self.most_connections {
            Some(most) => format!("{} of {}", Count(self.in_use.into()), Count(most.into())),
            None => Count(self.in_use.into()).to_string(),
        }
    }

    fn shows_address(&self) -> bool {
        self.address.to_string() != self.name
    }
}

/// A number with its digits in groups of three.
struct Count(u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.char_indices() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                // A narrow space at which no line breaks.
                f.write_str("\u{202f}")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// Bytes in a unit that keeps them short.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1_000 {
            return write!(f, "{} B", self.0);
        }
        // Half a tenth is rounded up, in whole numbers, as the script does.
        let tenths = |unit: u64| self.0.saturating_add(unit / 20) / (unit / 10);
        let [kilo, mega, giga, tera] = [1_000, 1_000_000, 1_000_000_000, 1_000_000_000_000];
        let (tenths, name) = if tenths(kilo) < 10_000 {
            (tenths(kilo), "kB")
        } else if tenths(mega) < 10_000 {
            (tenths(mega), "MB")
        } else if tenths(giga) < 10_000 {
            (tenths(giga), "GB")
        } else {
            (tenths(tera), "TB")
        };
        write!(f, "{}.{} {name}", Count(tenths / 10), tenths % 10)
    }
}

/// Seconds as its two largest units.
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, hours, minutes) = (self.0 / 86_400, self.0 / 3_600 % 24, self.0 / 60 % 60);
        match self.0 {
            0..60 => write!(f, "{} s", self.0),
            60..3_600 => write!(f, "{minutes} min {} s", self.0 % 60),
            3_600..86_400 => write!(f, "{hours} h {minutes} min"),
            _ => write!(f, "{days} d {hours} h"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::sample;
    use super::*;

    fn page(user: Option<&str>) -> String {
        let figures = sample();
        let page =
            Page { figures: &figures, user, nonce: "0a1b", json: "./m/status.json", style: "", script: "" };
        page.text().unwrap()
    }

    #[test]
    fn the_page_stays_as_it_is() {
        insta::assert_snapshot!(page(Some("anna")));
    }

    #[test]
    fn names_are_escaped_wherever_they_stand() {
        let page = page(Some(r#"<b onload="x">"#));
        assert!(!page.contains("<script>alert") && !page.contains("<b onload"), "{page}");
        assert!(page.contains("&#60;script&#62;alert(&#34;1&#34;)"), "{page}");
        let refusal = refusal(StatusCode::BAD_REQUEST, "<i>'\"");
        assert!(refusal.contains("Bad Request") && !refusal.contains("<i>"), "{refusal}");
    }

    #[test]
    fn a_manager_without_users_says_so() {
        assert!(page(None).contains("--manager-users") && !page(Some("anna")).contains("--manager-users"));
    }

    #[test]
    fn style_and_script_cannot_end_their_elements() {
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("</") && !text.contains("<!--") && !text.contains('\r'));
        }
    }

    #[test]
    fn numbers_are_short_and_exact() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (1_049, "1.0 kB"),
            (1_050, "1.1 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (1_250_000, "1.3 MB"),
            (999_999_999, "1.0 GB"),
            (12_345_678_901_234, "12.3 TB"),
            (u64::MAX, "18\u{202f}446\u{202f}744.0 TB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text, "{bytes}");
        }
        for (count, text) in
            [(0, "0"), (999, "999"), (1_000, "1\u{202f}000"), (1_234_567, "1\u{202f}234\u{202f}567")]
        {
            assert_eq!(Count(count).to_string(), text);
        }
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min 0 s"),
            (3_599, "59 min 59 s"),
            (3_600, "1 h 0 min"),
            (90_061, "1 d 1 h"),
        ] {
            assert_eq!(Span(seconds).to_string(), text);
        }
    }
}
