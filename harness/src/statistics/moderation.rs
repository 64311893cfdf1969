//! What many comparisons together know of spread: moderated variances.
//!
//! Five blocks know little of their own variance; the other comparisons of the same figure know how large such variances are,
//! and how much they differ. Their distribution, a scaled inverse χ², is estimated from the logarithms of the sample
//! variances; each variance is then drawn towards it, and has the degrees of freedom of both. Source: Smyth, *Linear Models
//! and Empirical Bayes Methods for Assessing Differential Expression in Microarray Experiments* (2004), sections 6.1 and 6.2;
//! the cap on the degrees of freedom is that of his limma.
//!
//! Blocks that resemble the ones before them know less than their number says. Their correlation, too, is estimated from all
//! comparisons together, and where it is beyond chance, every variance of a mean is inflated for it (an autoregression of
//! order 1: Box, Jenkins & Reinsel, *Time Series Analysis*, ch. 2). Its estimate is by moments: of few blocks, products of
//! deviations from their own mean are far smaller than the correlation is, and that is allowed for exactly.

use statrs::function::gamma::digamma;

use super::interval::{Estimate, moments};

/// Fewer variances than this say nothing of how variances are distributed.
const LEAST_VARIANCES: usize = 3;

/// A correlation of successive blocks is taken for real where it is over so many of its standard errors.
const BEYOND_CHANCE: f64 = 2.0;
/// No larger one is corrected for: beyond it, blocks say next to nothing.
const MOST_CORRELATION: f64 = 0.9;
/// Steps of the search for it: to a thousandth.
const HALVINGS: u32 = 10;

/// One comparison's values, block by block, reduced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// How many values.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Their unbiased variance.
    pub variance: f64,
    /// Sum of the products of successive deviations from the mean.
    lagged: f64,
}

/// What a group of comparisons knows of the variance of any of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// The variance that is expected; `None` where too few variances are known.
    expected: Option<f64>,
    /// The degrees of freedom that this knowledge is worth; infinite where all variances are alike.
    degrees: f64,
    /// Degrees of freedom of all variances together: no estimate has more.
    most_degrees: f64,
    /// Correlation of successive blocks; 0 where chance could have made it.
    correlation: f64,
}

impl Moments {
    /// Of `values`, in the order of their blocks; `None` of fewer than two.
    pub fn of(values: &[f64]) -> Option<Self> {
        let (mean, variance) = moments(values)?;
        let lagged = values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
        Some(Moments { count: values.len(), mean, variance, lagged })
    }

    /// Degrees of freedom of the variance.
    fn degrees(&self) -> f64 {
        self.count as f64 - 1.0
    }
}

impl Prior {
    /// Of comparisons in the same figure.
    pub fn of<'a>(known: impl IntoIterator<Item = &'a Moments>) -> Self {
        let known: Vec<_> = known.into_iter().copied().collect();
        // Values without any spread have no logarithm of it, and are no sample of a measurement.
        let spread: Vec<_> = known.iter().filter(|of| of.variance > 0.0).collect();
        let most_degrees = spread.iter().map(|of| of.degrees()).sum();
        let correlation = correlation(&known);
        if spread.len() < LEAST_VARIANCES {
            return Prior { expected: None, degrees: 0.0, most_degrees, correlation };
        }
        let halves = || spread.iter().map(|of| of.degrees() / 2.0);
        let logarithms: Vec<f64> = spread
            .iter()
            .zip(halves())
            .map(|(of, half)| of.variance.ln() - digamma(half) + half.ln())
            .collect();
        let count = spread.len() as f64;
        let mean = logarithms.iter().sum::<f64>() / count;
        let seen = logarithms.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let by_chance = halves().map(trigamma).sum::<f64>() / count;
        let degrees = if seen > by_chance { 2.0 * inverse_trigamma(seen - by_chance) } else { f64::INFINITY };
        let half = degrees / 2.0;
        let shift = if half.is_finite() { digamma(half) - half.ln() } else { 0.0 };
        Prior { expected: Some((mean + shift).exp()), degrees, most_degrees, correlation }
    }

    /// The mean of `of`, with what is known of its spread from itself and from the others.
    pub fn estimate(&self, of: &Moments) -> Estimate {
        let own = of.degrees();
        let (variance, degrees) = match self.expected {
            None => (of.variance, own),
            Some(expected) if self.degrees.is_infinite() => (expected, self.most_degrees),
            Some(expected) => {
                let both = self.degrees + own;
                let variance = (self.degrees * expected + own * of.variance) / both;
                (variance, both.min(self.most_degrees))
            }
        };
        let count = of.count as f64;
        let variance = variance * inflation(self.correlation, of.count);
        Estimate { mean: of.mean, standard_error: (variance / count).sqrt(), degrees }
    }
}

/// Correlation of successive values, of all samples together: the one under which their lagged products are as large beside
/// their squares as they were seen to be; 0 where chance could have made it.
fn correlation(samples: &[Moments]) -> f64 {
    let samples: Vec<_> = samples.iter().filter(|of| of.count > 2 && of.variance > 0.0).collect();
    let squares = |of: &Moments| of.degrees() * of.variance;
    // How far what was seen is above what a correlation of `rho` lets expect.
    let above = |rho: f64| -> f64 {
        samples.iter().map(|of| of.lagged - squares(of) * expected_lagged(rho, of.count)).sum()
    };
    let all: f64 = samples.iter().map(|of| squares(of)).sum();
    let pairs: f64 = samples.iter().map(|of| of.degrees()).sum();
    if samples.is_empty() || above(0.0) * pairs.sqrt() < BEYOND_CHANCE * all {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, MOST_CORRELATION);
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        if above(middle) > 0.0 { low = middle } else { high = middle }
    }
    low
}

/// Of `count` values of an autoregression of order 1, the sum of the products of successive deviations from their mean, as a
/// share of the sum of the squared deviations: expected value over expected value.
fn expected_lagged(rho: f64, count: usize) -> f64 {
    let n = count as f64;
    let of_mean = variance_of_mean(rho, count) / n;
    // Of the first value, as of the last, with the mean.
    let with_mean = (0..count).map(|lag| rho.powi(lag as i32)).sum::<f64>() / n;
    ((n - 1.0) * rho - (n + 1.0) * of_mean + 2.0 * with_mean) / (n * (1.0 - of_mean))
}

/// The variance of the mean of `count` values, as a multiple of what it is of independent ones.
fn variance_of_mean(rho: f64, count: usize) -> f64 {
    let n = count as f64;
    1.0 + 2.0 * (1..count).map(|lag| (1.0 - lag as f64 / n) * rho.powi(lag as i32)).sum::<f64>()
}

/// By how much the variance of the mean of `count` such values is larger than their sample variance lets expect.
fn inflation(correlation: f64, count: usize) -> f64 {
    if correlation <= 0.0 || count < 2 {
        return 1.0;
    }
    let (of_mean, n) = (variance_of_mean(correlation, count), count as f64);
    of_mean * (n - 1.0) / (n - of_mean)
}

/// The second derivative of the logarithm of the gamma function, of a positive number: recurrence, then the asymptotic
/// series (Abramowitz & Stegun 6.4.6 and 6.4.12).
fn trigamma(x: f64) -> f64 {
    let (mut x, mut sum) = (x, 0.0);
    while x < 10.0 {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = 1.0 / 6.0 - square * (1.0 / 30.0 - square * (1.0 / 42.0 - square / 30.0));
    sum + 1.0 / x + square / 2.0 + square / x * series
}

/// Where trigamma is `y`, by bisection: it falls from infinity to 0.
fn inverse_trigamma(y: f64) -> f64 {
    let (mut low, mut high) = (1e-6_f64, 1e8_f64);
    for _ in 0..200 {
        let middle = (low * high).sqrt();
        if trigamma(middle) > y { low = middle } else { high = middle }
    }
    (low * high).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6 * b.abs().max(1.0)
    }

    #[test]
    fn trigamma_agrees_with_a_table_and_with_its_inverse() {
        let pi = std::f64::consts::PI;
        assert!(near(trigamma(1.0), pi * pi / 6.0));
        assert!(near(trigamma(0.5), pi * pi / 2.0));
        assert!(near(trigamma(10.0), 0.105_166_335_68));
        for x in [0.3, 1.0, 4.5, 100.0] {
            assert!(near(inverse_trigamma(trigamma(x)), x), "{x}");
        }
    }

    fn sample(mean: f64, swings: &[f64]) -> Moments {
        Moments::of(&swings.iter().map(|swing| mean + swing).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_variance_is_drawn_towards_the_others_and_gains_their_degrees() {
        let quiet = sample(0.0, &[0.010, -0.012, 0.004, -0.002]);
        let usual = sample(0.0, &[0.10, -0.09, 0.05, -0.06]);
        let loud = sample(0.0, &[0.5, -0.6, 0.3, -0.2]);
        let all = [quiet, usual, usual, usual, loud];
        let prior = Prior::of(&all);
        let alone = Prior::of(&[quiet]);
        assert!(prior.estimate(&quiet).standard_error > alone.estimate(&quiet).standard_error);
        assert!(prior.estimate(&loud).standard_error < alone.estimate(&loud).standard_error);
        assert!(prior.estimate(&usual).degrees > alone.estimate(&usual).degrees);
        assert_eq!(alone.estimate(&quiet).degrees, 3.0);
    }

    #[test]
    fn no_estimate_has_more_degrees_than_all_samples_together() {
        let of = sample(0.0, &[0.10, -0.09, 0.05, -0.06]);
        let prior = Prior::of(&[of, of, of]);
        assert!(prior.degrees.is_infinite());
        let estimate = prior.estimate(&of);
        assert_eq!(estimate.degrees, 9.0);
    }

    #[test]
    fn two_variances_or_none_with_spread_change_nothing() {
        let of = sample(0.0, &[0.10, -0.09, 0.05, -0.06]);
        assert_eq!(Prior::of(&[of, of]).estimate(&of), Prior::of(&[of]).estimate(&of));
        let still = sample(0.2, &[0.0; 4]);
        let estimate = Prior::of(&[still; 5]).estimate(&still);
        assert_eq!((estimate.mean, estimate.standard_error), (0.2, 0.0));
        assert_eq!(Moments::of(&[0.1]), None);
    }

    #[test]
    fn what_is_expected_of_a_correlation_agrees_with_independent_blocks_and_with_a_sum_by_hand() {
        // Independent: each product has the share -1/n of a variance, and there are n - 1 of each.
        for count in [2, 5, 20] {
            assert!(near(expected_lagged(0.0, count), -1.0 / count as f64), "{count}");
        }
        // Two values: their deviations are d and -d, whatever the correlation.
        assert!(near(expected_lagged(0.7, 2), -0.5));
        // Three, 0.5: variances 1, covariances 0.5, 0.25 and those with the mean 7/12, 2/3, 7/12; of the mean 11/18.
        let products = 2.0 * (0.5 - 7.0 / 12.0 - 2.0 / 3.0 + 11.0 / 18.0);
        assert!(near(expected_lagged(0.5, 3), products / (3.0 * (1.0 - 11.0 / 18.0))));
        assert!(
            (1..80).all(
                |i| expected_lagged(0.01 * f64::from(i + 1), 5) > expected_lagged(0.01 * f64::from(i), 5)
            )
        );
    }

    #[test]
    fn blocks_that_resemble_each_other_are_taken_for_fewer() {
        let drifting = sample(0.0, &[0.10, 0.11, 0.09, 0.05, 0.01, -0.06, -0.09, -0.10, -0.11, 0.0]);
        let swinging = sample(0.0, &[0.10, -0.11, 0.09, -0.05, 0.01, -0.06, 0.09, -0.10, 0.11, -0.08]);
        assert!(Prior::of(&[drifting; 4]).correlation > 0.5);
        // Two of three blocks do not tell.
        let few = sample(0.0, &[0.10, 0.09, -0.05]);
        assert_eq!(Prior::of(&[few; 2]).correlation, 0.0);
        assert_eq!(Prior::of(&[swinging; 4]).correlation, 0.0);
        // An autoregression of 0.5 over two values: their mean varies by (1 + 0.5) / 2, their difference by 1 - 0.5.
        assert!(near(inflation(0.5, 2), 3.0));
    }
}
