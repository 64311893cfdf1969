//! The bootstrap over blocks: percentile and studentised intervals of a mean.
//!
//! The report uses the studentised one as a check on Student's t, which verdicts rest on (why: see
//! [`interval`](super::interval)). The random numbers come from a seed made of the comparison's own name, in streams of a
//! fixed number of resamples: the same trials give the same bytes, whatever the number of threads. Sources: Efron (1979);
//! Hall, *Theoretical Comparison of Bootstrap Confidence Intervals* (1988), on the studentised form.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::interval::moments;
use super::quantile;

/// Resamples of an interval in a report.
pub const RESAMPLES: usize = 10_000;
/// Resamples that share a stream of random numbers.
const IN_A_STREAM: usize = 500;

/// A resample: its mean, and its distance from the sample's in its own standard errors.
#[derive(Debug, Clone, Copy)]
struct Resample {
    mean: f64,
    t: f64,
}

/// Both intervals of the mean of `values` at `level`; `None` of fewer than two values, or of values without spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// Between the quantiles of the resamples' means: covers too little in small samples.
    pub percentile: (f64, f64),
    /// From the quantiles of the resamples' t.
    pub studentised: (f64, f64),
}

impl Bootstrap {
    /// Resamples `values` `resamples` times. `name` is the seed.
    pub fn of(values: &[f64], resamples: usize, level: f64, name: &str) -> Option<Self> {
        let (mean, variance) = moments(values)?;
        let error = (variance / values.len() as f64).sqrt();
        if error == 0.0 {
            return None;
        }
        let seed = seed(name);
        let drawn: Vec<Resample> = (0..resamples.div_ceil(IN_A_STREAM))
            .into_par_iter()
            .flat_map_iter(|stream| {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                rng.set_stream(stream as u64);
                let some = IN_A_STREAM.min(resamples - stream * IN_A_STREAM);
                (0..some).map(move |_| resample(values, mean, &mut rng))
            })
            .collect();
        let sorted = |figure: fn(&Resample) -> f64| {
            let mut sorted: Vec<f64> = drawn.iter().map(figure).collect();
            sorted.sort_by(f64::total_cmp);
            sorted
        };
        let (means, ts) = (sorted(|r| r.mean), sorted(|r| r.t));
        let (below, above) = ((1.0 - level) / 2.0, (1.0 + level) / 2.0);
        Some(Bootstrap {
            percentile: (quantile(&means, below)?, quantile(&means, above)?),
            studentised: (mean - quantile(&ts, above)? * error, mean - quantile(&ts, below)? * error),
        })
    }
}

fn resample(values: &[f64], centre: f64, rng: &mut ChaCha8Rng) -> Resample {
    let (mut sum, mut squares) = (0.0, 0.0);
    for _ in 0..values.len() {
        // From the centre: squares of large numbers would leave no digits for their difference.
        let value = values[rng.random_range(0..values.len())] - centre;
        sum += value;
        squares += value * value;
    }
    let count = values.len() as f64;
    let away = sum / count;
    let variance = ((squares - sum * away) / (count - 1.0)).max(0.0);
    let error = (variance / count).sqrt();
    // One value drawn every time has no spread: beyond every quantile, on its side.
    let t = if error > 1e-12 * away.abs() { away / error } else { away.signum() * f64::MAX };
    Resample { mean: centre + away, t }
}

/// FNV-1a, 64 bits: a seed that does not change with the compiler, as the standard library's hasher may.
fn seed(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [f64; 8] = [0.11, 0.05, 0.31, -0.02, 0.18, 0.09, 0.22, 0.07];

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Bootstrap::of(&VALUES, 2_200, 0.95, "mio/threads").unwrap())
        };
        assert_eq!(with(1), with(5));
        assert_ne!(with(1), Bootstrap::of(&VALUES, 2_200, 0.95, "tokio/threads").unwrap());
    }

    #[test]
    fn the_studentised_interval_is_wider_than_the_percentiles() {
        let Bootstrap { percentile, studentised } = Bootstrap::of(&VALUES, 5_000, 0.95, "x").unwrap();
        let mean = VALUES.iter().sum::<f64>() / 8.0;
        assert!(studentised.0 < percentile.0 && percentile.0 < mean, "{percentile:?} {studentised:?}");
        assert!(mean < percentile.1 && percentile.1 < studentised.1, "{percentile:?} {studentised:?}");
    }

    #[test]
    fn values_without_spread_have_no_bootstrap() {
        assert_eq!(Bootstrap::of(&[0.5; 4], 100, 0.95, "x"), None);
        assert_eq!(Bootstrap::of(&[0.5], 100, 0.95, "x"), None);
    }
}
