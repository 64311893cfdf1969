//! Statistics of few blocks: medians, paired log-ratios, the exact sign test, Holm's correction.
//!
//! Pure functions of numbers; knows nothing of trials or files. Rules: nothing is dropped as an outlier, and
//! an answer that the numbers do not support is `None`, never a default.

use std::cmp::Ordering;

/// Middle and extent of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Smallest value.
    pub min: f64,
    /// Middle value; the mean of the two middle ones where their number is even.
    pub median: f64,
    /// Largest value.
    pub max: f64,
    /// How many values.
    pub count: usize,
}

impl Spread {
    /// The spread of `values`; `None` when there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        Some(Spread {
            min: *sorted.first()?,
            median: middle(&sorted)?,
            max: *sorted.last()?,
            count: sorted.len(),
        })
    }
}

/// The middle value, or the mean of the two middle ones.
pub fn median(values: &[f64]) -> Option<f64> {
    middle(&sorted(values))
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn middle(sorted: &[f64]) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let (below, above) = (sorted[last / 2], sorted[last.div_ceil(2)]);
    Some(below + (above - below) * 0.5)
}

/// Geometric mean; `None` when there is nothing to average or a value is not positive.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() || !values.iter().all(|&value| value > 0.0) {
        return None;
    }
    Some((values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp())
}

/// The natural logarithm of `value / reference` for each pair, a pair a block. A pair that has no logarithm
/// (zero, negative, not a number) is left out: it came from no valid trial.
pub fn log_ratios(pairs: &[(f64, f64)]) -> Vec<f64> {
    pairs
        .iter()
        .map(|(value, reference)| (value / reference).ln())
        .filter(|ratio| ratio.is_finite())
        .collect()
}

/// The ratios behind log-ratios, as a spread. The median is taken of the logarithms, so that a ratio and its
/// inverse have inverse medians.
pub fn ratio_spread(log_ratios: &[f64]) -> Option<Spread> {
    let logs = Spread::of(log_ratios)?;
    Some(Spread { min: logs.min.exp(), median: logs.median.exp(), max: logs.max.exp(), count: logs.count })
}

/// Exact two-sided sign test of "the median of `differences` is zero": twice the smaller binomial tail, at
/// most 1. Zeros say nothing and are left out (Dixon & Mood, 1946). 1 when nothing is left.
pub fn sign_test(differences: &[f64]) -> f64 {
    let count = |sign| differences.iter().filter(|d| d.partial_cmp(&&0.0) == Some(sign)).count();
    let (less, greater) = (count(Ordering::Less), count(Ordering::Greater));
    let n = less + greater;
    let tail: f64 = binomial_halves(n).take(less.min(greater) + 1).sum();
    (2.0 * tail).min(1.0)
}

/// The probabilities of 0, 1, 2, … heads in `n` tosses of a fair coin.
fn binomial_halves(n: usize) -> impl Iterator<Item = f64> {
    // In logarithms: 0.5^n alone is zero for n over 1074.
    (0..=n).scan(n as f64 * 0.5_f64.ln(), move |log, k| {
        let probability = log.exp();
        *log += ((n - k) as f64 / (k + 1) as f64).ln();
        Some(probability)
    })
}

/// Holm's step-down adjustment of p-values (Holm, 1979): below `alpha` afterwards exactly where his procedure
/// rejects, which keeps the chance of any false verdict at `alpha`. In the order given.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut floor = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        floor = floor.max((p_values.len() - rank) as f64 * p_values[index]).min(1.0);
        adjusted[index] = floor;
    }
    adjusted
}

/// The fewest blocks with which a sign test could ever reach `alpha` after Holm's correction for `tests`
/// comparisons: all differences on one side, in the comparison that is judged first.
pub fn fewest_blocks_for_a_verdict(tests: usize, alpha: f64) -> usize {
    (1..=1024).find(|&n| sign_test(&vec![1.0; n]) * tests.max(1) as f64 <= alpha).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(1.0)
    }

    #[test]
    fn the_median_of_an_even_number_is_the_mean_of_the_middle_two() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn the_geometric_mean_of_2_and_8_is_4() {
        assert!(close(geometric_mean(&[2.0, 8.0]).unwrap(), 4.0));
        assert_eq!(geometric_mean(&[2.0, 0.0]), None);
        assert_eq!(geometric_mean(&[]), None);
    }

    #[test]
    fn sign_test_of_k_blocks_on_one_side_is_two_to_the_one_minus_k() {
        assert!(close(sign_test(&[1.0; 5]), 0.0625));
        assert!(close(sign_test(&[-1.0; 6]), 0.03125));
        assert!(close(sign_test(&[2.0; 10]), 2.0 / 1024.0));
    }

    #[test]
    fn sign_test_of_one_against_seven() {
        // 2 · (C(8,0) + C(8,1)) / 2^8 = 18 / 256.
        assert!(close(sign_test(&[-1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), 18.0 / 256.0));
    }

    #[test]
    fn sign_test_ignores_ties_and_is_1_without_evidence() {
        assert!(close(sign_test(&[0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), 0.03125));
        assert_eq!(sign_test(&[]), 1.0);
        assert_eq!(sign_test(&[1.0, -1.0]), 1.0);
    }

    #[test]
    fn holm_agrees_with_r() {
        // p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm").
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (got, truth) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!(close(*got, truth), "{adjusted:?}");
        }
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn one_comparison_needs_six_blocks_and_fifteen_need_ten() {
        assert_eq!(fewest_blocks_for_a_verdict(1, 0.05), 6);
        assert_eq!(fewest_blocks_for_a_verdict(15, 0.05), 10);
    }

    #[test]
    fn a_ratio_is_taken_within_its_block() {
        let logs = log_ratios(&[(200.0, 100.0), (100.0, 200.0), (300.0, 100.0), (1.0, 0.0)]);
        let spread = ratio_spread(&logs).unwrap();
        assert_eq!(spread.count, 3);
        assert!(close(spread.min, 0.5) && close(spread.median, 2.0) && close(spread.max, 3.0));
    }

    proptest! {
        #[test]
        fn a_spread_is_ordered_and_within_the_sample(values in prop::collection::vec(-1e9..1e9f64, 1..40)) {
            let spread = Spread::of(&values).unwrap();
            prop_assert!(spread.min <= spread.median && spread.median <= spread.max);
            prop_assert!(values.contains(&spread.min) && values.contains(&spread.max));
            let below = values.iter().filter(|&&v| v < spread.median).count();
            let above = values.iter().filter(|&&v| v > spread.median).count();
            prop_assert!(below * 2 <= values.len() && above * 2 <= values.len());
        }

        #[test]
        fn swapping_sides_inverts_a_ratio_and_keeps_the_test(
            pairs in prop::collection::vec((1.0..1e6f64, 1.0..1e6f64), 1..30)
        ) {
            let swapped: Vec<_> = pairs.iter().map(|&(a, b)| (b, a)).collect();
            let (there, back) = (log_ratios(&pairs), log_ratios(&swapped));
            let (a, b) = (ratio_spread(&there).unwrap(), ratio_spread(&back).unwrap());
            prop_assert!((a.median * b.median - 1.0).abs() < 1e-9);
            prop_assert!((a.min * b.max - 1.0).abs() < 1e-9);
            prop_assert!((sign_test(&there) - sign_test(&back)).abs() < 1e-12);
        }

        #[test]
        fn the_sign_test_is_a_probability(values in prop::collection::vec(-1.0..1.0f64, 0..2000)) {
            let p = sign_test(&values);
            prop_assert!(p > 0.0 && p <= 1.0, "{p}");
        }

        #[test]
        fn holm_never_lowers_a_p_value_nor_swaps_two(ps in prop::collection::vec(0.0..1.0f64, 1..40)) {
            let adjusted = holm(&ps);
            for i in 0..ps.len() {
                prop_assert!(adjusted[i] >= ps[i] && adjusted[i] <= 1.0);
                for j in 0..ps.len() {
                    prop_assert!(ps[i] > ps[j] || adjusted[i] <= adjusted[j]);
                }
            }
        }
    }
}
