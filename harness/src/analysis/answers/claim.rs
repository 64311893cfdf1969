//! Public claims, put to the test: a claim has a ratio lie on one side of 1 or at it, and the trials say whether it does.
//!
//! The ratio is taken over all conditions that the claim is about, as pairs of models are over the whole grid, and the claims
//! of a run share the level between them. Rule: *confirmed* and *refuted* are said of what was measured here, by the
//! interval; everything else is *neither*, with what is missing.

use super::Basis;
use super::along::between;
use crate::analysis::metric::Metric;
use crate::analysis::ratio::{Bound, Conclusion, Ratio, judge_together};
use crate::analysis::whole_grid::{OfCondition, Sample, Variation};
use crate::plan::answer::{Claim, ClaimMetric, Expectation};
use crate::plan::{Competitor, Condition};
use crate::statistics::moderation::Prior;

/// A claim and what came of it.
#[derive(Debug, Clone)]
pub struct Tested {
    /// The claim.
    pub claim: Claim,
    /// In which figure.
    pub metric: Metric,
    /// The ratio that it is about; absent where nothing was measured of it.
    pub ratio: Option<Ratio>,
    /// How that varies between conditions.
    pub variation: Option<Variation>,
    /// What may be said.
    pub outcome: Outcome,
}

/// What may be said of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It holds here.
    Confirmed,
    /// Its opposite holds here.
    Refuted,
    /// Neither: nothing was measured of it.
    NotMeasured,
    /// Neither: the blocks are too few for any verdict.
    TooFewBlocks,
    /// Neither: the interval holds both.
    Unsettled {
        /// About how many more blocks would settle it, where anybody would run so many.
        more_blocks: Option<u32>,
    },
    /// Neither: the load generator was the limit.
    ClientBound,
}

/// Each of `claims`, judged beside the others.
pub(super) fn test(claims: &[&Claim], basis: &Basis<'_>) -> Vec<Tested> {
    let samples: Vec<(Metric, Sample<'_>)> = claims
        .iter()
        .map(|claim| {
            let metric = metric(claim.metric);
            (metric, Sample::over(of_conditions(claim, metric, basis)))
        })
        .collect();
    let tested = claims.iter().zip(&samples).map(|(claim, (metric, sample))| {
        let alike = samples.iter().filter(|(other, _)| other == metric);
        let prior = Prior::of(&alike.filter_map(|(_, of)| of.moments()).collect::<Vec<_>>());
        let candidate = sample.candidate(&prior, basis.floor_overall(*metric));
        let ratio = judge_together(&[candidate], claims.len())[0];
        let variation = sample.variation(&prior, basis.floor_of_a_condition(*metric));
        let outcome = outcome(claim.expects, ratio.as_ref());
        Tested { claim: (*claim).clone(), metric: *metric, ratio, variation, outcome }
    });
    tested.collect()
}

fn metric(metric: ClaimMetric) -> Metric {
    match metric {
        ClaimMetric::Throughput => Metric::Throughput,
        ClaimMetric::Cpu => Metric::BalancerCpu,
        ClaimMetric::P50 => Metric::P50,
        ClaimMetric::P99 => Metric::P99,
    }
}

fn outcome(expects: Expectation, ratio: Option<&Ratio>) -> Outcome {
    let Some(ratio) = ratio else { return Outcome::NotMeasured };
    let expected: &[Conclusion] = match expects {
        Expectation::Above => &[Conclusion::Above],
        Expectation::Below => &[Conclusion::Below],
        Expectation::Equivalent => &[Conclusion::Equivalent],
        Expectation::NotAbove => &[Conclusion::Below, Conclusion::Equivalent],
        Expectation::NotBelow => &[Conclusion::Above, Conclusion::Equivalent],
    };
    match ratio.conclusion() {
        conclusion if expected.contains(&conclusion) => Outcome::Confirmed,
        Conclusion::Above | Conclusion::Below | Conclusion::Equivalent => Outcome::Refuted,
        Conclusion::Unsettled => Outcome::Unsettled { more_blocks: ratio.judged.more_blocks },
        Conclusion::TooFewBlocks => Outcome::TooFewBlocks,
        Conclusion::ClientBound => Outcome::ClientBound,
    }
}

/// Whether `claim` is about `condition`.
fn is_about(claim: &Claim, condition: &Condition) -> bool {
    claim.place.iter().all(|place| place.values.contains(&place.factor.0.get(condition)))
}

fn of_conditions<'a>(claim: &Claim, metric: Metric, basis: &Basis<'a>) -> Vec<OfCondition<'a>> {
    let summary = basis.summary;
    let model = Competitor::of(&claim.model);
    let about = summary.conditions().iter().filter(|condition| is_about(claim, condition));
    let Some(across) = &claim.across else {
        let with = claim.with.as_deref().map_or_else(|| model.clone(), Competitor::of);
        let of = |condition: &'a Condition| OfCondition {
            condition,
            by_block: summary.log_ratios_by_block((&model, &with), condition, |trial| metric.of(trial)),
            bound: basis.bottlenecks.bound(metric, [&model, &with], condition),
        };
        return about.map(of).collect();
    };
    let factor = across.factor.0;
    let of = |to: &'a Condition| {
        let mut from = to.clone();
        factor.set(&mut from, &across.from).ok()?;
        let limited =
            [to, &from].map(|condition| basis.bottlenecks.is_client_bound(metric, &model, condition));
        Some(OfCondition {
            condition: to,
            by_block: between(summary, &model, [to, &from], metric),
            bound: Bound::of(limited, metric.less_is_better()),
        })
    };
    about.filter(|condition| factor.get(condition) == across.to).filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Analysis;
    use crate::analysis::answers::Answered;
    use crate::analysis::synthetic::Run;
    use crate::plan::answer::{Across, Answer, FactorName, Place};
    use crate::plan::{Purpose, Value, factor};

    fn claim(model: &str, with: &str, expects: Expectation) -> Claim {
        Claim {
            statement: "x".into(),
            source: "https://example.org".into(),
            model: model.into(),
            with: Some(with.into()),
            across: None,
            place: vec![],
            metric: ClaimMetric::Cpu,
            expects,
            limits: String::new(),
        }
    }

    fn tested(claims: Vec<Claim>, blocks: u32) -> Vec<Tested> {
        let run = Run::new().models(&["direct", "threads", "pool", "mio", "threads#2"]).blocks(blocks);
        let mut stored = run.backends(&[1, 3]).concurrency(&[2, 10]).build();
        stored.environment.plan.purpose = Some(Purpose {
            scenario: Some("claims".into()),
            run: None,
            question: "is it so?".into(),
            answers: claims.into_iter().map(|claim| Answer::Claim(Box::new(claim))).collect(),
            figures: vec![],
        });
        match Analysis::of(&stored).answers.pop() {
            Some(Answered::Claims(tested)) => tested,
            other => panic!("{other:?}"),
        }
    }

    fn outcomes(claims: Vec<Claim>, blocks: u32) -> Vec<Outcome> {
        tested(claims, blocks).iter().map(|of| of.outcome).collect()
    }

    #[test]
    fn a_claim_is_confirmed_or_refuted_by_its_interval_and_else_neither() {
        let claims = || {
            vec![
                claim("mio", "threads", Expectation::Below),
                claim("mio", "threads", Expectation::Above),
                claim("mio", "threads", Expectation::Equivalent),
                claim("threads", "mio", Expectation::Above),
                claim("uring", "mio", Expectation::Below),
            ]
        };
        assert_eq!(
            outcomes(claims(), 8),
            [
                Outcome::Confirmed,
                Outcome::Refuted,
                Outcome::Refuted,
                Outcome::Confirmed,
                Outcome::NotMeasured
            ]
        );
        assert_eq!(outcomes(claims(), 2)[0], Outcome::TooFewBlocks);
    }

    #[test]
    fn that_nothing_is_gained_holds_where_something_is_lost() {
        let claims = vec![
            claim("mio", "threads", Expectation::NotAbove),
            claim("mio", "threads", Expectation::NotBelow),
            claim("threads", "mio", Expectation::NotBelow),
        ];
        assert_eq!(outcomes(claims, 8), [Outcome::Confirmed, Outcome::Refuted, Outcome::Confirmed]);
    }

    #[test]
    fn a_claim_may_be_about_one_row_under_two_values_of_a_factor_and_about_some_conditions_alone() {
        let across = Claim {
            with: None,
            across: Some(Across {
                factor: FactorName(&factor::CONCURRENCY),
                from: Value::Number(2),
                to: Value::Number(10),
            }),
            place: vec![Place { factor: FactorName(&factor::BACKENDS), values: vec![Value::Number(1)] }],
            metric: ClaimMetric::Throughput,
            ..claim("mio", "", Expectation::Above)
        };
        let of = &tested(vec![across], 8)[0];
        assert_eq!(of.outcome, Outcome::Confirmed);
        let variation = of.variation.as_ref().unwrap();
        assert_eq!(variation.conditions.len(), 1);
        assert!((of.ratio.unwrap().judged.ratio - 1.35).abs() < 0.06, "{of:?}");
    }
}
