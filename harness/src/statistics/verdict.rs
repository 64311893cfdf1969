//! What may be said of a comparison: above, below, indistinguishable, or nothing at all.
//!
//! A verdict takes both: (1) p of Student's t on the log-ratios is at most [`LEVEL`] after Holm's correction for all
//! comparisons that are judged together, so that the chance of *any* false verdict among them is at most that; (2) the
//! geometric-mean ratio is beyond the noise floor: the model measured against itself in the same run (A/A) did not
//! differ from itself by as much. An interval cannot see what all blocks share (an order, a layout, a warm cache); the
//! floor can. Sources: Holm (1979); on A/A, Kohavi, Tang & Xu, *Trustworthy Online Controlled Experiments* (2020), ch. 19.

use serde::Serialize;

use super::holm;
use super::interval::{Estimate, Interval, moments, quantile};

/// Chance of any false verdict among the comparisons that are judged together.
pub const LEVEL: f64 = 0.05;
/// Level of each interval that is shown; these are of one comparison each, without correction.
pub const CONFIDENCE: f64 = 0.95;

/// What may be said of a ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is over 1.
    Above,
    /// It is under 1.
    Below,
    /// Chance, or the noise floor, could have done it.
    Indistinguishable,
}

/// One comparison, judged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Judged {
    /// Geometric mean of the ratios.
    pub ratio: f64,
    /// Its 95 % interval; absent of a single block.
    pub interval: Option<Interval>,
    /// Ratios that it rests on (of two samples: the smaller one's size).
    pub blocks: usize,
    /// Student's t, two-sided, uncorrected; 1 of a single block.
    pub p: f64,
    /// The same after Holm's correction.
    pub p_holm: f64,
    /// What may be said.
    pub verdict: Verdict,
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
    /// From a log-ratio for each block; `None` of none.
    pub fn paired(log_ratios: &[f64]) -> Option<Self> {
        let mean = mean(log_ratios)?;
        Some(Compared { mean, estimate: Estimate::of(log_ratios), blocks: log_ratios.len() })
    }

    /// From the logarithms of two independent samples.
    pub fn unpaired(new: &[f64], base: &[f64]) -> Option<Self> {
        let mean = mean(new)? - mean(base)?;
        let blocks = new.len().min(base.len());
        Some(Compared { mean, estimate: Estimate::of_difference(new, base), blocks })
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Judges `comparisons` together, in the order given, each with the noise floor (a log-ratio, positive) that it must
/// pass, where one is known. What is `None` stays so and costs no correction.
pub fn judge(comparisons: &[(Option<Compared>, Option<f64>)]) -> Vec<Option<Judged>> {
    judge_among(comparisons, 1)
}

/// The same, of one of `families` that share [`LEVEL`] between them (Bonferroni).
pub fn judge_among(comparisons: &[(Option<Compared>, Option<f64>)], families: usize) -> Vec<Option<Judged>> {
    let p_of = |compared: &Compared| compared.estimate.map(|estimate| estimate.p());
    let tested: Vec<f64> = comparisons.iter().filter_map(|(compared, _)| p_of(compared.as_ref()?)).collect();
    let mut corrected = holm(&tested).into_iter().map(|p| (p * families as f64).min(1.0));
    comparisons
        .iter()
        .map(|(compared, floor)| {
            let compared = (*compared)?;
            let p = p_of(&compared).unwrap_or(1.0);
            let p_holm = compared.estimate.and_then(|_| corrected.next()).unwrap_or(1.0);
            let beyond_noise = floor.is_none_or(|floor| compared.mean.abs() > floor);
            let verdict = match compared.mean {
                _ if p_holm > LEVEL || !beyond_noise => Verdict::Indistinguishable,
                mean if mean > 0.0 => Verdict::Above,
                _ => Verdict::Below,
            };
            Some(Judged {
                ratio: compared.mean.exp(),
                interval: compared.estimate.map(|estimate| estimate.interval(CONFIDENCE)),
                blocks: compared.blocks,
                p,
                p_holm,
                verdict,
            })
        })
        .collect()
}

/// How far a model differs from itself, from the log-ratios of every A/A cell, block by block. As a log-ratio; `None`
/// where no cell has two blocks.
///
/// The larger of two: the largest mean of any cell, which is what was seen; and the half-width that the spread of all cells
/// together lets expect of a single one (95 %, Student's t on the pooled variance), which keeps a lucky draw of one or
/// two cells from passing for silence.
pub fn noise_floor(cells: &[Vec<f64>]) -> Option<f64> {
    let known: Vec<_> = cells.iter().filter_map(|cell| Some((cell.len() as f64, moments(cell)?))).collect();
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
    use super::*;

    fn paired(values: &[f64]) -> Option<Compared> {
        Compared::paired(values)
    }

    #[test]
    fn a_large_steady_ratio_is_a_verdict_on_its_side() {
        let judged = judge(&[
            (paired(&[0.20, 0.21, 0.19, 0.20, 0.22]), None),
            (paired(&[-0.20, -0.21, -0.19, -0.20, -0.22]), None),
            (paired(&[0.2, -0.2, 0.1, -0.1, 0.05]), None),
        ]);
        let verdicts: Vec<_> = judged.iter().map(|judged| judged.unwrap().verdict).collect();
        assert_eq!(verdicts, [Verdict::Above, Verdict::Below, Verdict::Indistinguishable]);
        assert!((judged[0].unwrap().ratio - 0.204_f64.exp()).abs() < 1e-12);
    }

    #[test]
    fn a_steady_ratio_within_the_noise_floor_is_indistinguishable() {
        let steady = paired(&[0.020, 0.021, 0.019, 0.020, 0.022]);
        assert_eq!(judge(&[(steady, Some(0.05))])[0].unwrap().verdict, Verdict::Indistinguishable);
        assert_eq!(judge(&[(steady, Some(0.01))])[0].unwrap().verdict, Verdict::Above);
    }

    #[test]
    fn a_verdict_that_stands_alone_may_fall_among_many() {
        let barely = paired(&[0.02, 0.10, 0.05, 0.09, 0.03]);
        assert_eq!(judge(&[(barely, None)])[0].unwrap().verdict, Verdict::Above);
        let nothing = (paired(&[0.1, -0.1, 0.05, -0.05]), None);
        let mut many = vec![nothing; 40];
        many.push((barely, None));
        assert_eq!(judge(&many)[40].unwrap().verdict, Verdict::Indistinguishable);
    }

    #[test]
    fn families_that_share_the_level_have_their_part_of_it_each() {
        let barely = [(paired(&[0.02, 0.10, 0.05, 0.09, 0.03]), None)];
        let (alone, shared) = (judge(&barely)[0].unwrap(), judge_among(&barely, 3)[0].unwrap());
        assert!((shared.p_holm - 3.0 * alone.p_holm).abs() < 1e-12);
        assert_eq!((alone.verdict, shared.verdict), (Verdict::Above, Verdict::Indistinguishable));
    }

    #[test]
    fn one_block_has_a_ratio_and_no_verdict_and_none_has_nothing() {
        let judged = judge(&[(paired(&[0.7]), None), (paired(&[]), None)]);
        let one = judged[0].unwrap();
        assert_eq!((one.interval, one.verdict, one.p_holm), (None, Verdict::Indistinguishable, 1.0));
        assert_eq!(judged[1], None);
    }

    #[test]
    fn the_floor_is_at_least_the_largest_difference_of_a_model_from_itself() {
        assert_eq!(noise_floor(&[]), None);
        assert_eq!(noise_floor(&[vec![0.1]]), None);
        let biased = vec![0.100, 0.101, 0.099];
        assert!((noise_floor(&[biased, vec![0.001, -0.001, 0.0]]).unwrap() - 0.1).abs() < 1e-12);
        // A mean of exactly zero is luck: two blocks at ±0.1 let expect 12.7 standard errors.
        assert!((noise_floor(&[vec![0.1, -0.1]]).unwrap() - 12.706_2 * 0.1).abs() < 1e-4);
    }
}
