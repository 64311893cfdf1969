//! One ratio, judged: what every comparison of this crate comes to, whoever is compared.
//!
//! Rule: a ratio for which the client may have been the limit keeps its interval, has no verdict, and is in nobody's
//! correction.

use serde::Serialize;

use crate::statistics::verdict::{Compared, Judged, Verdict, judge_among};

/// A ratio before it is judged beside others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// The ratio; `None` where no block has both sides.
    pub(super) compared: Option<Compared>,
    /// The noise floor that it must pass, a log-ratio, where one is known.
    pub(super) floor: Option<f64>,
    /// The client, not the balancer, may have set either side.
    pub(super) client_bound: bool,
}

/// A ratio, its interval, and what may be concluded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// The ratio, its interval and p-values.
    #[serde(flatten)]
    pub judged: Judged,
    /// The client was the limit on one side at least: no rank, whatever `verdict` says.
    pub client_bound: bool,
}

/// What may be said of a ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// It is over 1.
    Above,
    /// It is under 1.
    Below,
    /// Chance or noise could have done it.
    Indistinguishable,
    /// The client was the limit.
    ClientBound,
}

impl Conclusion {
    /// All of them.
    pub const ALL: [Conclusion; 4] =
        [Conclusion::Above, Conclusion::Below, Conclusion::Indistinguishable, Conclusion::ClientBound];
}

impl Ratio {
    /// What may be said.
    pub fn conclusion(&self) -> Conclusion {
        match self.judged.verdict {
            _ if self.client_bound => Conclusion::ClientBound,
            Verdict::Above => Conclusion::Above,
            Verdict::Below => Conclusion::Below,
            Verdict::Indistinguishable => Conclusion::Indistinguishable,
        }
    }
}

/// Judges `candidates` together, in the order given; with other families of comparisons, so many in all, they share the
/// level.
pub(super) fn judge_together(candidates: &[Candidate], families: usize) -> Vec<Option<Ratio>> {
    let ranked: Vec<_> =
        candidates.iter().map(|c| (c.compared.filter(|_| !c.client_bound), c.floor)).collect();
    let judged = judge_among(&ranked, families);
    let each = candidates.iter().zip(judged).map(|(candidate, judged)| {
        let Candidate { compared, floor, client_bound } = *candidate;
        let judged = if client_bound { judge_among(&[(compared, floor)], 1)[0] } else { judged };
        Some(Ratio { judged: judged?, client_bound })
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(log_ratios: &[f64], client_bound: bool) -> Candidate {
        Candidate { compared: Compared::paired(log_ratios), floor: None, client_bound }
    }

    #[test]
    fn what_the_client_bounded_has_an_interval_no_verdict_and_costs_the_others_nothing() {
        let clear = [0.2, 0.21, 0.19, 0.2];
        let alone = judge_together(&[candidate(&clear, false)], 1)[0].unwrap();
        let beside = judge_together(&[candidate(&clear, false), candidate(&clear, true)], 1);
        assert_eq!(beside[0].unwrap(), alone);
        let bounded = beside[1].unwrap();
        assert!(bounded.judged.interval.is_some());
        assert_eq!(bounded.conclusion(), Conclusion::ClientBound);
        assert_eq!(alone.conclusion(), Conclusion::Above);
    }

    #[test]
    fn what_has_no_common_block_has_no_ratio() {
        assert_eq!(judge_together(&[candidate(&[], false), candidate(&[], true)], 1), [None, None]);
    }
}
