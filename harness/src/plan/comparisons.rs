//! Who is compared with whom.
//!
//! The only place that decides it: the stopping rule of `--precision`, verdicts, tables and charts all ask here, so that
//! nothing is waited for that nobody is shown.

use super::competitor::{Competitor, Kind};

/// The model that others are compared with unless it is not measured.
pub const REFERENCE: &str = "threads";

/// A competitor, and the one that its figures are divided by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Whose ratio it is.
    pub competitor: Competitor,
    /// What it is a ratio to.
    pub with: Competitor,
}

/// Every pair among some competitors. Those of a kind are judged together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparisons {
    /// Each model or product to the reference.
    pub models: Vec<Pair>,
    /// Each replicate to its original: what differs is noise.
    pub replicates: Vec<Pair>,
    /// Each slowed one to itself as it is.
    pub slowdowns: Vec<Pair>,
}

/// The competitor that the others' ratios are taken to: [`REFERENCE`], else the first model that is no control, else the
/// first product.
pub fn reference(competitors: &[Competitor]) -> Option<&Competitor> {
    let ranked = || ranked(competitors);
    let models = || ranked().filter(|competitor| competitor.kind == Kind::Model);
    let usual = models().find(|competitor| competitor.name == REFERENCE);
    usual.or_else(|| models().next()).or_else(|| ranked().next())
}

/// The competitors that are ranked: not the direct one, nor those that control the measurement.
pub fn ranked(competitors: &[Competitor]) -> impl Iterator<Item = &Competitor> {
    competitors.iter().filter(|competitor| !competitor.is_direct() && !competitor.is_control())
}

impl Comparisons {
    /// Those of `competitors`.
    pub fn among(competitors: &[Competitor]) -> Self {
        let reference = reference(competitors);
        let to_reference = |competitor: &Competitor| {
            let with = reference.filter(|&reference| reference != competitor)?.clone();
            Some(Pair { competitor: competitor.clone(), with })
        };
        let controls = |is_one: fn(&Competitor) -> bool, original: fn(&Competitor) -> Competitor| {
            let pair = move |competitor: &Competitor| {
                let with = original(competitor);
                competitors.contains(&with).then(|| Pair { competitor: competitor.clone(), with })
            };
            competitors.iter().filter(move |competitor| is_one(competitor)).filter_map(pair).collect()
        };
        Comparisons {
            models: ranked(competitors).filter_map(to_reference).collect(),
            replicates: controls(|c| c.replicate, |c| Competitor { replicate: false, ..c.clone() }),
            slowdowns: controls(
                |c| !c.replicate && c.slowdown_percent > 0,
                |c| Competitor { slowdown_percent: 0, ..c.clone() },
            ),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Pair> {
        self.models.iter().chain(&self.replicates).chain(&self.slowdowns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[Pair]) -> Vec<(String, String)> {
        pairs.iter().map(|pair| (pair.competitor.to_string(), pair.with.to_string())).collect()
    }

    fn among(labels: &[&str]) -> Comparisons {
        Comparisons::among(&labels.iter().map(|label| Competitor::of(label)).collect::<Vec<_>>())
    }

    fn pair(competitor: &str, with: &str) -> (String, String) {
        (competitor.to_owned(), with.to_owned())
    }

    #[test]
    fn models_and_products_are_compared_with_the_reference_and_controls_with_their_originals() {
        let of =
            among(&["direct", "mio", "threads", "peer:nginx", "mio#2", "mio+10%", "mio+10%#2", "pool+3%"]);
        assert_eq!(labels(&of.models), [pair("mio", "threads"), pair("peer:nginx", "threads")]);
        assert_eq!(labels(&of.replicates), [pair("mio#2", "mio"), pair("mio+10%#2", "mio+10%")]);
        assert_eq!(labels(&of.slowdowns), [pair("mio+10%", "mio")]);
        assert_eq!(of.iter().count(), 5);
    }

    #[test]
    fn without_the_usual_reference_the_first_model_is_it_and_alone_it_has_nobody() {
        assert_eq!(labels(&among(&["direct", "pool", "mio"]).models), [pair("mio", "pool")]);
        assert_eq!(labels(&among(&["threads#2", "pool", "mio"]).models), [pair("mio", "pool")]);
        assert_eq!(labels(&among(&["direct", "floor", "mio"]).models), [pair("floor", "mio")]);
        assert_eq!(
            labels(&among(&["direct", "peer:nginx", "peer:haproxy"]).models),
            [pair("peer:haproxy", "peer:nginx")]
        );
        assert_eq!(among(&["direct", "mio"]), Comparisons::default());
        assert_eq!(among(&["threads#2", "mio+10%"]), Comparisons::default());
    }
}
