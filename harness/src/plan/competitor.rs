//! What a row of the tables measures: a model, perhaps under a second name, perhaps handicapped.
//!
//! Owns the labels' grammar. A label is what stands in [`Cell::model`](crate::plan::Cell::model): `mio`; `mio#2`, the
//! same model measured once more under another name (A/A: what differs between the two is noise); `mio+10%`, the same
//! model with so much extra CPU work for each request (a test of the measurement, not of the model).

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of the row that is measured without any balancer: the ceiling.
pub const DIRECT: &str = "direct";

/// Whether a model waits in threads or in an event loop; `None` is the direct row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// A thread waits for each connection (or each one in hand).
    Threaded,
    /// An event loop waits for all of them.
    Async,
    /// No balancer at all.
    None,
}

/// Largest handicap, percent of a request's own CPU time.
pub const MOST_HANDICAP_PERCENT: u32 = 1000;

const TWIN: &str = "#2";

/// A label, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row {
    /// The model's name on the command line.
    pub model: String,
    /// The second one of an A/A pair.
    pub twin: bool,
    /// Extra CPU work for each request, percent of what it costs without.
    pub handicap_percent: u32,
}

impl Row {
    /// The row with that label. A label of no known form is a model's name.
    pub fn of(label: &str) -> Row {
        let (rest, twin) = match label.strip_suffix(TWIN) {
            Some(rest) => (rest, true),
            None => (label, false),
        };
        let handicap = rest.strip_suffix('%').and_then(|rest| {
            let (model, percent) = rest.rsplit_once('+')?;
            Some((
                model,
                percent.parse().ok().filter(|percent| (1..=MOST_HANDICAP_PERCENT).contains(percent))?,
            ))
        });
        let (model, handicap_percent) = handicap.unwrap_or((rest, 0));
        Row { model: model.to_owned(), twin, handicap_percent }
    }

    /// The second row of an A/A pair with this one.
    pub fn again(&self) -> Row {
        Row { twin: true, ..self.clone() }
    }

    /// Measured to judge the measurement, and never ranked among the models.
    pub fn is_control(&self) -> bool {
        self.twin || self.handicap_percent > 0
    }

    /// No balancer at all.
    pub fn is_direct(&self) -> bool {
        self.model == DIRECT
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.model)?;
        if self.handicap_percent > 0 {
            write!(f, "+{}%", self.handicap_percent)?;
        }
        f.write_str(if self.twin { TWIN } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_taken_apart_and_put_together_again() {
        for (label, model, twin, handicap_percent) in [
            ("mio", "mio", false, 0),
            ("mio#2", "mio", true, 0),
            ("mio+10%", "mio", false, 10),
            ("mio+5%#2", "mio", true, 5),
        ] {
            let row = Row::of(label);
            assert_eq!(row, Row { model: model.to_owned(), twin, handicap_percent });
            assert_eq!(row.to_string(), label);
        }
    }

    #[test]
    fn a_label_of_no_known_form_is_a_name() {
        for label in ["", "mio+%", "mio+x%", "mio+0%", "mio+1001%", "mio#3", "10%"] {
            assert_eq!(Row::of(label).model, label);
        }
    }
}
