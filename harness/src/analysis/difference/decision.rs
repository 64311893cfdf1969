//! How a change stands to the margin, and what all changes come to.

use serde::Serialize;

use super::{Change, LostCell};
use crate::analysis::metric::Metric;
use crate::analysis::ratio::{Bound, Ratio};
use crate::statistics::verdict::more_blocks;

/// How a change stands to the margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Its interval leaves out a change for the worse of the margin's size.
    NoRegression,
    /// Its interval shows a change for the worse, and does not leave out one of the margin's size.
    Regression,
    /// Neither.
    Undecided {
        /// About how many more blocks of either run would decide it, where that is a number that anyone would run.
        more_blocks: Option<u32>,
    },
    /// The client was the limit in both runs: the figure says nothing of the model.
    ClientBound,
}

/// What two runs come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every figure that decides excludes a regression of the margin's size.
    NoRegression,
    /// Something got worse, by the margin or by what does not exclude it.
    Regression,
    /// Not enough was measured to say either.
    CannotTell,
}

impl Decision {
    /// Of `ratio` in `metric`, where `margin`, a log-ratio, for the worse is a regression.
    pub(super) fn of(metric: Metric, ratio: &Ratio, margin: f64) -> Self {
        if ratio.bound == Bound::Unknown {
            return Decision::ClientBound;
        }
        let judged = &ratio.judged;
        let Some(interval) = judged.interval else {
            return Decision::Undecided { more_blocks: judged.more_blocks };
        };
        let (low, high) = (interval.low.ln(), interval.high.ln());
        // For the worse is up.
        let (worse, low, high, unsure) = if metric.less_is_better() {
            (judged.ratio.ln(), low, high, Bound::AtLeast)
        } else {
            (-judged.ratio.ln(), -high, -low, Bound::AtMost)
        };
        // Where the truth may be worse than what was measured, nothing is excluded; where it may be better, nothing shown.
        let (may_be_worse, may_be_better) =
            (ratio.bound == unsure, ratio.bound != unsure && ratio.bound != Bound::Exact);
        if high < margin && !may_be_worse {
            return Decision::NoRegression;
        }
        if low >= 0.0 && !may_be_better {
            return Decision::Regression;
        }
        let half = high - worse;
        Decision::Undecided { more_blocks: more_blocks(judged.blocks, half, worse.max(margin - worse)) }
    }
}

/// What `changes` come to, and about how many more blocks would decide those that are undecided.
pub(super) fn outcome(changes: &[Change], lost: &[LostCell], margin: f64) -> (Outcome, Option<u32>) {
    let deciding = || changes.iter().filter(|change| change.decides);
    let beyond = |change: &Change| {
        let interval = change.ratio.judged.interval;
        let (low, high) = interval.map_or((0.0, 0.0), |interval| (interval.low.ln(), interval.high.ln()));
        let least = if change.metric.less_is_better() { low } else { -high };
        change.decision == Decision::Regression && least >= margin
    };
    let missing = deciding().filter_map(|change| match change.decision {
        Decision::Undecided { more_blocks } => Some(more_blocks),
        _ => None,
    });
    let missing: Vec<Option<u32>> = missing.collect();
    // All of them must be decided.
    let more = missing.iter().copied().collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
    if deciding().any(|change| change.decision == Decision::Regression) || changes.iter().any(beyond) {
        return (Outcome::Regression, more);
    }
    let known = deciding().any(|change| change.decision == Decision::NoRegression);
    let all = known && missing.is_empty() && lost.is_empty();
    (if all { Outcome::NoRegression } else { Outcome::CannotTell }, more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::interval::Interval;
    use crate::statistics::verdict::{Judged, Verdict};

    const MARGIN: f64 = 0.095_31;

    fn decision(metric: Metric, [low, ratio, high]: [f64; 3], bound: Bound) -> Decision {
        let interval = Some(Interval { low, high });
        let judged = Judged {
            ratio,
            interval,
            plain: interval,
            blocks: 10,
            p: Some(0.5),
            p_holm: Some(0.5),
            margin: 0.05,
            verdict: Verdict::Unsettled,
            more_blocks: None,
        };
        Decision::of(metric, &Ratio { judged, bound }, MARGIN)
    }

    #[test]
    fn green_is_only_what_excludes_a_regression_of_the_margins_size() {
        let cpu = |ends| decision(Metric::BalancerCpu, ends, Bound::Exact);
        assert_eq!(cpu([0.95, 1.0, 1.05]), Decision::NoRegression);
        assert_eq!(cpu([1.02, 1.05, 1.08]), Decision::NoRegression);
        assert_eq!(cpu([1.02, 1.08, 1.14]), Decision::Regression);
        assert_eq!(cpu([1.13, 1.2, 1.27]), Decision::Regression);
        // Half as wide would exclude it: four times the blocks, less the ten that there are, and some more.
        let Decision::Undecided { more_blocks: Some(more) } = cpu([0.83, 1.0, 1.2]) else {
            panic!("undecided")
        };
        assert!((25..35).contains(&more), "{more}");
    }

    #[test]
    fn fewer_requests_a_second_are_worse_and_a_limited_client_hides_what_it_can_hide() {
        let rate = |ends, bound| decision(Metric::Throughput, ends, bound);
        assert_eq!(rate([0.80, 0.84, 0.88], Bound::Exact), Decision::Regression);
        assert_eq!(rate([0.96, 1.0, 1.04], Bound::Exact), Decision::NoRegression);
        // NEW could do more than was seen: no regression stays none, but what looks like one may be none.
        assert_eq!(rate([0.96, 1.0, 1.04], Bound::AtLeast), Decision::NoRegression);
        assert!(matches!(rate([0.80, 0.84, 0.88], Bound::AtLeast), Decision::Undecided { .. }));
        // BASE could.
        assert!(matches!(rate([0.96, 1.0, 1.04], Bound::AtMost), Decision::Undecided { .. }));
        assert_eq!(rate([0.80, 0.84, 0.88], Bound::AtMost), Decision::Regression);
        assert_eq!(rate([0.80, 0.84, 0.88], Bound::Unknown), Decision::ClientBound);
    }
}
