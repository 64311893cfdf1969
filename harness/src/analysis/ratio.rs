//! One ratio, judged: what every comparison of this crate comes to, whoever is compared.
//!
//! Rule: where the client was the limit of one side, that side can only be better than it looks, and the ratio is a bound: a
//! difference on the far side of it is a finding ("at least"), and nothing else is. Where the client was the limit of both,
//! the ratio keeps its interval, has no verdict, and is in nobody's correction.

use serde::Serialize;

use crate::statistics::verdict::{Compared, Judged, Verdict, judge_among};

/// How the true ratio stands to the one that was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// It is the one that was measured, as well as that is known.
    Exact,
    /// It is that or more.
    AtLeast,
    /// It is that or less.
    AtMost,
    /// It may be anything: the client was the limit on both sides.
    Unknown,
}

/// A ratio before it is judged beside others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// The ratio; `None` where no block has both sides.
    pub(super) compared: Option<Compared>,
    /// The noise floor that it must pass, a log-ratio, where one is known.
    pub(super) floor: Option<f64>,
    /// How the true ratio stands to it.
    pub(super) bound: Bound,
}

/// A ratio, its interval, and what may be concluded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// The ratio, its intervals and p-values.
    #[serde(flatten)]
    pub judged: Judged,
    /// How the true ratio stands to it.
    pub bound: Bound,
}

/// What may be said of a ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// It is over 1.
    Above,
    /// It is under 1.
    Below,
    /// It is within the margin.
    Equivalent,
    /// Too little data to say any of these.
    Unsettled,
    /// Fewer blocks than say anything about spread.
    TooFewBlocks,
    /// The client was the limit, and hides it.
    ClientBound,
}

impl Conclusion {
    /// All of them.
    pub const ALL: [Conclusion; 6] = [
        Conclusion::Above,
        Conclusion::Below,
        Conclusion::Equivalent,
        Conclusion::Unsettled,
        Conclusion::TooFewBlocks,
        Conclusion::ClientBound,
    ];

    /// Whether it says how the two compare.
    pub fn is_settled(self) -> bool {
        matches!(self, Conclusion::Above | Conclusion::Below | Conclusion::Equivalent)
    }
}

impl Bound {
    /// Of a ratio whose own side, and whose other side, the client limited: such a side would have been higher, or lower
    /// where `less_is_better`.
    pub(super) fn of([own, other]: [bool; 2], less_is_better: bool) -> Self {
        match (own, other) {
            (false, false) => Bound::Exact,
            (true, true) => Bound::Unknown,
            (own, _) if own != less_is_better => Bound::AtLeast,
            _ => Bound::AtMost,
        }
    }

    /// That of a mean of ratios with either bound.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Bound::Exact, bound) | (bound, Bound::Exact) => bound,
            (a, b) if a == b => a,
            _ => Bound::Unknown,
        }
    }
}

impl Ratio {
    /// What may be said.
    pub fn conclusion(&self) -> Conclusion {
        match (self.judged.verdict, self.bound) {
            (_, Bound::Unknown) => Conclusion::ClientBound,
            (Verdict::TooFewBlocks, _) => Conclusion::TooFewBlocks,
            (Verdict::Above, Bound::Exact | Bound::AtLeast) => Conclusion::Above,
            (Verdict::Below, Bound::Exact | Bound::AtMost) => Conclusion::Below,
            (Verdict::Equivalent, Bound::Exact) => Conclusion::Equivalent,
            (Verdict::Unsettled, Bound::Exact) => Conclusion::Unsettled,
            _ => Conclusion::ClientBound,
        }
    }

    /// Whether the difference is at least what was measured, and not just that.
    pub fn is_at_least(&self) -> bool {
        self.bound != Bound::Exact && self.conclusion().is_settled()
    }
}

/// Judges `candidates` together, in the order given; with other families of comparisons, so many in all, they share the
/// level.
pub(super) fn judge_together(candidates: &[Candidate], families: usize) -> Vec<Option<Ratio>> {
    let hidden = |candidate: &Candidate| candidate.bound == Bound::Unknown;
    let ranked: Vec<_> = candidates.iter().map(|c| (c.compared.filter(|_| !hidden(c)), c.floor)).collect();
    let judged = judge_among(&ranked, families);
    let each = candidates.iter().zip(judged).map(|(candidate, judged)| {
        let Candidate { compared, floor, bound } = *candidate;
        let judged = if hidden(candidate) { judge_among(&[(compared, floor)], 1)[0] } else { judged };
        Some(Ratio { judged: judged?, bound })
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAR: [f64; 4] = [0.2, 0.21, 0.19, 0.2];

    fn candidate(log_ratios: &[f64], bound: Bound) -> Candidate {
        Candidate { compared: Compared::paired(log_ratios), floor: None, bound }
    }

    #[test]
    fn what_the_client_hid_has_an_interval_no_verdict_and_costs_the_others_nothing() {
        let alone = judge_together(&[candidate(&CLEAR, Bound::Exact)], 1)[0].unwrap();
        let beside = judge_together(&[candidate(&CLEAR, Bound::Exact), candidate(&CLEAR, Bound::Unknown)], 1);
        assert_eq!(beside[0].unwrap(), alone);
        let hidden = beside[1].unwrap();
        assert!(hidden.judged.interval.is_some());
        assert_eq!(hidden.conclusion(), Conclusion::ClientBound);
        assert_eq!(alone.conclusion(), Conclusion::Above);
    }

    #[test]
    fn a_side_that_the_client_limited_makes_a_bound_and_only_what_lies_beyond_it_is_a_finding() {
        let of = |bound, sign: f64| {
            let values = CLEAR.map(|value| sign * value);
            judge_together(&[candidate(&values, bound)], 1)[0].unwrap()
        };
        for (bound, sign, expected) in [
            (Bound::AtLeast, 1.0, Conclusion::Above),
            (Bound::AtLeast, -1.0, Conclusion::ClientBound),
            (Bound::AtMost, -1.0, Conclusion::Below),
            (Bound::AtMost, 1.0, Conclusion::ClientBound),
        ] {
            let ratio = of(bound, sign);
            assert_eq!((ratio.conclusion(), ratio.is_at_least()), (expected, expected.is_settled()));
        }
        // More requests a second would have been served by the limited side, and each in less time.
        assert_eq!(Bound::of([true, false], false), Bound::AtLeast);
        assert_eq!(Bound::of([false, true], false), Bound::AtMost);
        assert_eq!(Bound::of([true, false], true), Bound::AtMost);
        assert_eq!(Bound::of([true, true], false), Bound::Unknown);
        assert_eq!(Bound::AtLeast.and(Bound::AtMost), Bound::Unknown);
        assert_eq!(Bound::AtLeast.and(Bound::Exact), Bound::AtLeast);
    }

    #[test]
    fn what_has_no_common_block_has_no_ratio() {
        assert_eq!(
            judge_together(&[candidate(&[], Bound::Exact), candidate(&[], Bound::Unknown)], 1),
            [None, None]
        );
    }
}
