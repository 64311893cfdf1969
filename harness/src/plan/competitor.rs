//! Who is measured: no balancer at all, a model of ours, a product or a floor, perhaps once more or slowed down on purpose.
//!
//! Owns the type and the labels' grammar. A label is how a competitor stands in stored files and on command lines: `mio`;
//! `mio#2`, the same model measured once more (a replicate, or A/A pair: what differs between the two is noise);
//! `mio+10%`, the same model with so much extra CPU work for each request (a test of the measurement, not of the model);
//! `peer:nginx`, a product; `floor`, a relay that parses nothing. Rule: a label is parsed once, at the edge; everything
//! else asks the type.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of the competitor that is measured without any balancer: the ceiling.
pub const DIRECT: &str = "direct";
/// The names of the floors: what a relay costs that is no proxy.
pub const FLOORS: [&str; 2] = ["floor", "floor-uring"];
/// Largest slowdown, percent of a request's own CPU time.
pub const MOST_SLOWDOWN_PERCENT: u32 = 1000;

const REPLICATE: &str = "#2";
const PEER: &str = "peer:";

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

/// What a competitor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// No balancer: the load generator takes turns between the backends itself.
    Direct,
    /// A concurrency model of this roundtable.
    Model,
    /// Another product.
    Peer,
    /// A relay that parses nothing, and is no proxy: what the kernel alone costs.
    Floor,
}

/// One row of the tables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Competitor {
    /// What it is.
    pub kind: Kind,
    /// The model's, the product's or the floor's name; [`DIRECT`] where there is none.
    pub name: String,
    /// Extra CPU work for each request, percent of what it costs without; 0: as it is.
    pub slowdown_percent: u32,
    /// The second one of an A/A pair.
    pub replicate: bool,
}

impl Competitor {
    /// The one without a balancer.
    pub fn direct() -> Self {
        Competitor::of(DIRECT)
    }

    /// The product of that name.
    pub fn peer(name: &str) -> Self {
        Competitor { kind: Kind::Peer, name: name.to_owned(), slowdown_percent: 0, replicate: false }
    }

    /// The floor of that name.
    pub fn floor(name: &str) -> Self {
        Competitor { kind: Kind::Floor, ..Competitor::peer(name) }
    }

    /// The one with that label. A label of no known form is a model's name.
    pub fn of(label: &str) -> Self {
        let (rest, replicate) = match label.strip_suffix(REPLICATE) {
            Some(rest) => (rest, true),
            None => (label, false),
        };
        let (rest, peer) = match rest.strip_prefix(PEER) {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let slowed = rest.strip_suffix('%').and_then(|rest| {
            let (name, percent) = rest.rsplit_once('+')?;
            Some((
                name,
                percent.parse().ok().filter(|percent| (1..=MOST_SLOWDOWN_PERCENT).contains(percent))?,
            ))
        });
        let (name, slowdown_percent) = slowed.unwrap_or((rest, 0));
        let kind = match name {
            _ if peer => Kind::Peer,
            DIRECT => Kind::Direct,
            _ if FLOORS.contains(&name) => Kind::Floor,
            _ => Kind::Model,
        };
        Competitor { kind, name: name.to_owned(), slowdown_percent, replicate }
    }

    /// The second one of an A/A pair with this one.
    pub fn again(&self) -> Self {
        Competitor { replicate: true, ..self.clone() }
    }

    /// The same, neither slowed nor a replicate.
    pub fn as_it_is(&self) -> Self {
        Competitor { slowdown_percent: 0, replicate: false, ..self.clone() }
    }

    /// Measured to judge the measurement, and never ranked among the others.
    pub fn is_control(&self) -> bool {
        self.replicate || self.slowdown_percent > 0
    }

    /// No balancer at all.
    pub fn is_direct(&self) -> bool {
        self.kind == Kind::Direct
    }
}

impl fmt::Display for Competitor {
    /// The label.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == Kind::Peer {
            f.write_str(PEER)?;
        }
        f.write_str(&self.name)?;
        if self.slowdown_percent > 0 {
            write!(f, "+{}%", self.slowdown_percent)?;
        }
        f.write_str(if self.replicate { REPLICATE } else { "" })
    }
}

impl Serialize for Competitor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Competitor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Competitor::of(&String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_taken_apart_and_put_together_again() {
        for (label, kind, name, replicate, slowdown_percent) in [
            ("direct", Kind::Direct, "direct", false, 0),
            ("mio", Kind::Model, "mio", false, 0),
            ("mio#2", Kind::Model, "mio", true, 0),
            ("mio+10%", Kind::Model, "mio", false, 10),
            ("mio+5%#2", Kind::Model, "mio", true, 5),
            ("floor", Kind::Floor, "floor", false, 0),
            ("peer:nginx", Kind::Peer, "nginx", false, 0),
            ("peer:nginx#2", Kind::Peer, "nginx", true, 0),
        ] {
            let competitor = Competitor::of(label);
            assert_eq!(competitor, Competitor { kind, name: name.to_owned(), slowdown_percent, replicate });
            assert_eq!(competitor.to_string(), label);
            let json = serde_json::to_string(&competitor).unwrap();
            assert_eq!(json, format!("{label:?}"));
            assert_eq!(serde_json::from_str::<Competitor>(&json).unwrap(), competitor);
        }
    }

    #[test]
    fn a_label_of_no_known_form_is_a_name() {
        for label in ["", "mio+%", "mio+x%", "mio+0%", "mio+1001%", "mio#3", "10%"] {
            assert_eq!(Competitor::of(label).name, label);
        }
    }
}
