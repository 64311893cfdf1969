//! What may be said of a comparison: above, below, equivalent, unsettled, or that there are too few blocks.
//!
//! One interval carries the verdict. It is Bonferroni's: 1 − [`LEVEL`] / m for each of m comparisons that are judged together,
//! so that all of them hold their truths with a chance of 95 %; and it reaches at least as far as the noise floor, how far a
//! model differed from itself in the same run (A/A), because no interval sees what all blocks share (an order, a layout, a
//! warm cache). *Above* and *below*: it leaves out 1. Holm's step-down procedure, which keeps the chance of any false verdict at
//! 5 % too, may settle a side that Bonferroni leaves open: there the interval is cut at 1, so that interval and verdict never
//! contradict each other. So no verdict is false in at least 95 % of runs, and all printed intervals hold their truths in at
//! least 90 %. *Equivalent*: it lies within the margin to either side of 1, which is no narrower than twice the floor
//! (two one-sided tests) and never wider than [`WIDEST_MARGIN`]: where noise reaches that far, too little is known to call
//! anything alike. *Unsettled*: neither; about how many more blocks would do is said beside it. Fewer than
//! [`LEAST_BLOCKS`] blocks say nothing of spread, and have neither interval nor p.
//!
//! Sources: Holm (1979); Schuirmann, *A Comparison of the Two One-Sided Tests Procedure …* (1987); on A/A, Kohavi, Tang & Xu,
//! *Trustworthy Online Controlled Experiments* (2020), ch. 19.

use serde::Serialize;

use super::holm;
use super::interval::{Estimate, Interval, moments, quantile};

/// Chance of any false verdict among the comparisons that are judged together.
pub const LEVEL: f64 = 0.05;
/// Level of an interval of one comparison alone.
pub const CONFIDENCE: f64 = 0.95;
/// Blocks that it takes to say anything about spread.
pub const LEAST_BLOCKS: usize = 3;
/// Within so much of 1, a share, two models are equivalent, unless noise alone reaches further.
pub const MARGIN: f64 = 0.05;
/// However far noise reaches, nothing further from 1 than this is called equivalent: the bound (0.80 to 1.25) within which two
/// medicines are (US FDA, *Statistical Approaches to Establishing Bioequivalence*, 2001).
pub const WIDEST_MARGIN: f64 = 0.25;
/// More blocks than this are not proposed.
const MOST_PROPOSED: f64 = 1000.0;

/// What may be said of a ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is over 1.
    Above,
    /// It is under 1.
    Below,
    /// It is within the margin.
    Equivalent,
    /// Nothing yet: the interval holds 1 and reaches out of the margin.
    Unsettled,
    /// There are fewer blocks than [`LEAST_BLOCKS`].
    TooFewBlocks,
}

/// One comparison, judged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Judged {
    /// Geometric mean of the ratios.
    pub ratio: f64,
    /// The simultaneous interval that the verdict was made from; absent of too few blocks.
    pub interval: Option<Interval>,
    /// The 95 % interval of this comparison alone.
    pub plain: Option<Interval>,
    /// Ratios that it rests on (of two samples: the smaller one's size).
    pub blocks: usize,
    /// Two-sided, of this comparison alone; absent of too few blocks.
    pub p: Option<f64>,
    /// The same after Holm's correction.
    pub p_holm: Option<f64>,
    /// Within which distance of 1 it would be equivalent, a log-ratio.
    pub margin: f64,
    /// What may be said.
    pub verdict: Verdict,
    /// About how many more blocks would settle it, where it is unsettled and a number that anyone would run.
    pub more_blocks: Option<u32>,
}

/// A comparison before it is judged beside others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compared {
    /// Mean log-ratio.
    pub mean: f64,
    /// How well it is known, where it is known at all.
    pub estimate: Option<Estimate>,
    /// Ratios that it rests on.
    pub blocks: usize,
}

impl Compared {
    /// From a log-ratio for each block alone; `None` of none.
    pub fn paired(log_ratios: &[f64]) -> Option<Self> {
        let mean = mean(log_ratios)?;
        Some(Compared { mean, estimate: Estimate::of(log_ratios), blocks: log_ratios.len() })
    }

    /// What is known of it, where its blocks are enough to say so.
    fn known(&self) -> Option<Estimate> {
        self.estimate.filter(|_| self.blocks >= LEAST_BLOCKS)
    }
}

/// The mean of `values`; `None` of none.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Within which distance of 1 two models are equivalent where noise reaches as far as `floor`, both log-ratios.
pub fn margin(floor: Option<f64>) -> f64 {
    (2.0 * floor.unwrap_or(0.0)).clamp(MARGIN.ln_1p(), WIDEST_MARGIN.ln_1p())
}

/// Judges `comparisons` together, in the order given, each with the noise floor (a log-ratio, positive) that it must
/// pass, where one is known. What is `None` stays so and costs no correction.
pub fn judge(comparisons: &[(Option<Compared>, Option<f64>)]) -> Vec<Option<Judged>> {
    judge_among(comparisons, 1)
}

/// The same, of one of `families` that share [`LEVEL`] between them (Bonferroni).
pub fn judge_among(comparisons: &[(Option<Compared>, Option<f64>)], families: usize) -> Vec<Option<Judged>> {
    let known = |compared: &Option<Compared>| compared.and_then(|compared| compared.known());
    let tested: Vec<f64> = comparisons.iter().filter_map(|(of, _)| known(of)).map(|of| of.p()).collect();
    let together = (tested.len() * families).max(1) as f64;
    let mut corrected = holm(&tested).into_iter().map(|p| (p * families as f64).min(1.0));
    let judged = comparisons.iter().map(|&(compared, floor)| {
        let compared = compared?;
        let margin = margin(floor);
        let Some(estimate) = compared.known() else { return Some(too_few(&compared, margin)) };
        let p_holm = corrected.next().unwrap_or(1.0);
        Some(judged(&compared, &estimate, p_holm, together, (floor.unwrap_or(0.0), margin)))
    });
    judged.collect()
}

fn too_few(compared: &Compared, margin: f64) -> Judged {
    Judged {
        ratio: compared.mean.exp(),
        interval: None,
        plain: None,
        blocks: compared.blocks,
        p: None,
        p_holm: None,
        margin,
        verdict: Verdict::TooFewBlocks,
        more_blocks: u32::try_from(LEAST_BLOCKS.saturating_sub(compared.blocks).max(1)).ok(),
    }
}

fn judged(
    compared: &Compared,
    estimate: &Estimate,
    p_holm: f64,
    together: f64,
    (floor, margin): (f64, f64),
) -> Judged {
    let mean = compared.mean;
    let half = estimate.half_width(1.0 - LEVEL / together).max(floor);
    let (mut low, mut high) = (mean - half, mean + half);
    let settled = p_holm <= LEVEL && mean.abs() > floor;
    let verdict = match mean {
        mean if settled && mean > 0.0 => Verdict::Above,
        _ if settled => Verdict::Below,
        _ if low > -margin && high < margin => Verdict::Equivalent,
        _ => Verdict::Unsettled,
    };
    match verdict {
        Verdict::Above => low = low.max(0.0),
        Verdict::Below => high = high.min(0.0),
        _ => {}
    }
    let is_open = verdict == Verdict::Unsettled;
    Judged {
        ratio: mean.exp(),
        interval: Some(Interval { low: low.exp(), high: high.exp() }),
        plain: Some(estimate.interval(CONFIDENCE)),
        blocks: compared.blocks,
        p: Some(estimate.p()),
        p_holm: Some(p_holm),
        margin,
        verdict,
        more_blocks: is_open
            .then(|| more_blocks(compared.blocks, half, mean.abs().max(margin - mean.abs())))
            .flatten(),
    }
}

/// How many more blocks than `blocks` make an interval that reaches as far as `half` reach no further than `target`, about:
/// it narrows with the root of their number.
pub fn more_blocks(blocks: usize, half: f64, target: f64) -> Option<u32> {
    let needed = blocks as f64 * (half / target).powi(2);
    let more = (needed - blocks as f64).ceil().max(1.0);
    (more <= MOST_PROPOSED).then_some(more as u32)
}

/// How far a model differs from itself, from the log-ratios of every A/A cell, block by block. As a log-ratio; `None`
/// where no cell has [`LEAST_BLOCKS`] blocks.
///
/// The larger of two: the largest mean of any cell, which is what was seen; and the half-width that the spread of all cells
/// together lets expect of a single one (95 %, Student's t on the pooled variance), which keeps a lucky draw of one or
/// two cells from passing for silence.
pub fn noise_floor(cells: &[Vec<f64>]) -> Option<f64> {
    let enough = cells.iter().filter(|cell| cell.len() >= LEAST_BLOCKS);
    let known: Vec<_> = enough.filter_map(|cell| Some((cell.len() as f64, moments(cell)?))).collect();
    if known.is_empty() {
        return None;
    }
    let largest = known.iter().map(|(_, (mean, _))| mean.abs()).fold(0.0, f64::max);
    let degrees: f64 = known.iter().map(|(count, _)| count - 1.0).sum();
    let squared_error =
        known.iter().map(|(count, (_, variance))| variance / count).sum::<f64>() / known.len() as f64;
    Some(largest.max(quantile((1.0 + CONFIDENCE) / 2.0, degrees) * squared_error.sqrt()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn paired(values: &[f64]) -> Option<Compared> {
        Compared::paired(values)
    }

    fn alone(values: &[f64], floor: Option<f64>) -> Judged {
        judge(&[(paired(values), floor)])[0].unwrap()
    }

    #[test]
    fn a_large_steady_ratio_is_a_verdict_on_its_side() {
        let judged = judge(&[
            (paired(&[0.20, 0.21, 0.19, 0.20, 0.22]), None),
            (paired(&[-0.20, -0.21, -0.19, -0.20, -0.22]), None),
            (paired(&[0.2, -0.2, 0.1, -0.1, 0.05]), None),
        ]);
        let verdicts: Vec<_> = judged.iter().map(|judged| judged.unwrap().verdict).collect();
        assert_eq!(verdicts, [Verdict::Above, Verdict::Below, Verdict::Unsettled]);
        assert!((judged[0].unwrap().ratio - 0.204_f64.exp()).abs() < 1e-12);
    }

    #[test]
    fn a_steady_ratio_within_the_noise_floor_is_no_difference_and_its_interval_says_so() {
        let steady = [0.020, 0.021, 0.019, 0.020, 0.022];
        let within = alone(&steady, Some(0.05));
        assert_eq!(within.verdict, Verdict::Equivalent);
        assert!(within.interval.unwrap().low < 1.0 && within.plain.unwrap().low > 1.0);
        assert_eq!(alone(&steady, Some(0.01)).verdict, Verdict::Above);
    }

    #[test]
    fn what_lies_within_the_margin_is_equivalent_and_what_reaches_out_of_it_unsettled() {
        let near = alone(&[0.004, -0.005, 0.003, -0.002, 0.001], None);
        assert_eq!((near.verdict, near.more_blocks), (Verdict::Equivalent, None));
        let wide = alone(&[0.08, -0.09, 0.07, -0.05, 0.06], None);
        assert_eq!(wide.verdict, Verdict::Unsettled);
        assert!(wide.more_blocks.is_some_and(|more| (5..200).contains(&more)), "{wide:?}");
        // The margin is no narrower than what noise does.
        assert!((alone(&[0.004, -0.005, 0.003, -0.002, 0.001], Some(0.1)).margin - 0.2).abs() < 1e-12);
    }

    #[test]
    fn where_noise_reaches_far_nothing_is_called_equivalent() {
        let near = [0.004, -0.005, 0.003, -0.002, 0.001];
        // Noise of ±20 % leaves room for it within 25 %; noise of ±60 % does not.
        assert_eq!(alone(&near, Some(0.18)).verdict, Verdict::Equivalent);
        let lost = alone(&near, Some(0.47));
        assert_eq!(lost.verdict, Verdict::Unsettled);
        assert!((lost.margin - WIDEST_MARGIN.ln_1p()).abs() < 1e-12);
    }

    #[test]
    fn a_verdict_that_stands_alone_may_fall_among_many() {
        let barely = paired(&[0.02, 0.10, 0.05, 0.09, 0.03]);
        assert_eq!(judge(&[(barely, None)])[0].unwrap().verdict, Verdict::Above);
        let nothing = (paired(&[0.1, -0.1, 0.05, -0.05]), None);
        let mut many = vec![nothing; 40];
        many.push((barely, None));
        let judged = judge(&many)[40].unwrap();
        assert_eq!(judged.verdict, Verdict::Unsettled);
        assert!(judged.interval.unwrap().low < 1.0 && judged.plain.unwrap().low > 1.0);
    }

    #[test]
    fn where_a_later_step_settles_a_side_the_interval_ends_at_1() {
        let clear = (paired(&[0.50, 0.51, 0.49, 0.50, 0.52]), None);
        let barely = (paired(&[0.02, 0.10, 0.05, 0.09, 0.03]), None);
        let mut many = vec![clear; 40];
        many.push(barely);
        let judged = judge(&many)[40].unwrap();
        assert_eq!((judged.verdict, judged.interval.unwrap().low), (Verdict::Above, 1.0));
    }

    #[test]
    fn families_that_share_the_level_have_their_part_of_it_each() {
        let barely = [(paired(&[0.02, 0.10, 0.05, 0.09, 0.03]), None)];
        let (alone, shared) = (judge(&barely)[0].unwrap(), judge_among(&barely, 3)[0].unwrap());
        assert!((shared.p_holm.unwrap() - 3.0 * alone.p_holm.unwrap()).abs() < 1e-12);
        assert_eq!((alone.verdict, shared.verdict), (Verdict::Above, Verdict::Unsettled));
    }

    #[test]
    fn one_block_and_two_have_a_ratio_and_no_verdict_and_none_has_nothing() {
        let judged = judge(&[(paired(&[0.7]), None), (paired(&[0.7, 0.71]), None), (paired(&[]), None)]);
        for (judged, more) in judged[..2].iter().map(|judged| judged.unwrap()).zip([2, 1]) {
            assert_eq!((judged.interval, judged.p_holm, judged.verdict), (None, None, Verdict::TooFewBlocks));
            assert_eq!(judged.more_blocks, Some(more));
        }
        assert_eq!(judged[2], None);
    }

    #[test]
    fn the_floor_is_at_least_the_largest_difference_of_a_model_from_itself() {
        assert_eq!(noise_floor(&[]), None);
        assert_eq!(noise_floor(&[vec![0.1], vec![0.1, 0.2]]), None);
        let biased = vec![0.100, 0.101, 0.099];
        assert!((noise_floor(&[biased, vec![0.001, -0.001, 0.0]]).unwrap() - 0.1).abs() < 1e-12);
        // A mean of exactly zero is luck: three blocks at ±0.1 and 0 let expect 4.3 standard errors.
        assert!((noise_floor(&[vec![0.1, 0.0, -0.1]]).unwrap() - 4.302_65 * 0.1 / 3f64.sqrt()).abs() < 1e-4);
    }

    proptest! {
        #[test]
        fn an_interval_leaves_out_1_exactly_where_there_is_a_side(
            samples in prop::collection::vec(prop::collection::vec(-0.3..0.4f64, 3..8), 1..12), floor in 0.0..0.1f64
        ) {
            let all: Vec<_> = samples.iter().map(|values| (paired(values), Some(floor))).collect();
            for judged in judge(&all).into_iter().flatten() {
                let Interval { low, high } = judged.interval.unwrap();
                let expected = match judged.verdict {
                    Verdict::Above => low >= 1.0,
                    Verdict::Below => high <= 1.0,
                    Verdict::Equivalent => low < 1.0 && high > 1.0 && high.ln() < judged.margin,
                    _ => low < 1.0 && high > 1.0,
                };
                prop_assert!(expected, "{judged:?}");
            }
        }
    }
}
