//! Which values an axis shows: ranges, ticks and how a number is written on them.
//!
//! Knows nothing of pixels or models.

use crate::plan::Value;
use crate::text::grouped;

/// One axis: a range, linear in the coordinate that is drawn, and the ticks in that coordinate.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From zero to somewhat over `largest`, about five round steps.
    pub(super) fn from_zero(largest: f64) -> Self {
        let largest = if largest.is_finite() && largest > 0.0 { largest } else { 1.0 };
        let step = round_step(largest / 5.0);
        let steps = (largest * 1.04 / step).ceil();
        let ticks = (0..=steps as u32).map(|i| f64::from(i) * step);
        Axis { from: 0.0, to: steps * step, ticks: ticks.map(|v| (v, number(v, step))).collect() }
    }

    /// From zero to `end` and no further, with round steps.
    pub(super) fn until(end: f64) -> Self {
        let end = if end.is_finite() && end > 0.0 { end } else { 1.0 };
        let step = round_step(end / 8.0);
        let ticks = (0..=(end / step + 1e-9) as u32).map(|i| f64::from(i) * step);
        Axis { from: 0.0, to: end, ticks: ticks.map(|v| (v, number(v, step))).collect() }
    }

    /// Logarithmic, from `smallest` to `largest` (both positive), in coordinates of ln.
    pub(super) fn logarithmic(smallest: f64, largest: f64) -> Self {
        let pad = ((largest / smallest).ln() * 0.06).max(0.01);
        let (from, to) = (smallest.ln() - pad, largest.ln() + pad);
        let ticks = log_ticks(from.exp(), to.exp());
        Axis { from, to, ticks: ticks.into_iter().map(|v| (v.ln(), trimmed(v))).collect() }
    }

    /// A tick for each of `levels`: at ln of them where they are numbers over zero, with half a step of room on either
    /// side; else a place each.
    pub(super) fn of_levels(levels: &[Value]) -> Self {
        let Some(at) = logarithms(levels) else { return Axis::of_groups(levels) };
        let (first, last) = (at.first().copied().unwrap_or(0.0), at.last().copied().unwrap_or(0.0));
        let room = if last > first { (last - first) * 0.16 } else { 1.0 };
        let ticks = at.into_iter().zip(levels).map(|(at, value)| (at, value.to_string())).collect();
        Axis { from: first - room, to: last + room, ticks }
    }

    /// A place of width 1 for each of `levels`: 0, 1, 2, …
    pub(super) fn of_groups(levels: &[Value]) -> Self {
        let ticks = levels.iter().enumerate().map(|(i, value)| (i as f64, value.to_string())).collect();
        Axis { from: -0.5, to: levels.len().max(1) as f64 - 0.5, ticks }
    }
}

/// Whether [`Axis::of_levels`] is logarithmic.
pub(super) fn has_logarithms(levels: &[Value]) -> bool {
    logarithms(levels).is_some()
}

fn logarithms(levels: &[Value]) -> Option<Vec<f64>> {
    let logarithm = |level: &Value| match level {
        Value::Number(number) if *number > 0 => Some((*number as f64).ln()),
        _ => None,
    };
    levels.iter().map(logarithm).collect()
}

/// The smallest of 1, 2, 2.5, 5, 10 times a power of ten that is at least `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0].into_iter().map(|m| m * power).find(|&step| step >= rough * 0.999);
    step.unwrap_or(10.0 * power)
}

/// The most round values between `from` and `to` that are enough to read by, and not more than fit.
fn log_ticks(from: f64, to: f64) -> Vec<f64> {
    const DECADES: [&[f64]; 6] = [
        &[1.0],
        &[1.0, 2.0, 5.0],
        &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
        &[1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.7, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
        &[1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
        &[
            1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0, 2.2, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0,
            6.5, 7.0, 7.5, 8.0, 8.5, 9.0, 9.5,
        ],
    ];
    let within = |mantissas: &[f64]| -> Vec<f64> {
        let decades = (from.log10().floor() as i32)..=(to.log10().floor() as i32);
        let all = decades.flat_map(|decade| mantissas.iter().map(move |m| m * 10f64.powi(decade)));
        all.filter(|value| (from..=to).contains(value)).collect()
    };
    let candidates = DECADES.map(within);
    let fits = |ticks: &Vec<f64>| (4..=9).contains(&ticks.len());
    let chosen = candidates.iter().find(|ticks| fits(ticks));
    chosen.or_else(|| candidates.iter().rev().find(|ticks| ticks.len() <= 9)).cloned().unwrap_or_default()
}

/// `value` with as many decimals as `step` needs, thousands set apart.
fn number(value: f64, step: f64) -> String {
    let decimals = (0..6usize).find(|&d| (step * 10f64.powi(d as i32)).fract().abs() < 1e-6).unwrap_or(6);
    grouped(&format!("{value:.decimals$}"))
}

/// Without trailing zeros.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.4}");
    grouped(text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn an_axis_from_zero_has_round_steps_and_covers_the_largest() {
        let axis = Axis::from_zero(21_000.0);
        assert_eq!(labels(&axis), ["0", "5,000", "10,000", "15,000", "20,000", "25,000"]);
        assert_eq!(labels(&Axis::from_zero(0.9)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&Axis::from_zero(0.0)).first(), Some(&"0.0"));
    }

    #[test]
    fn an_axis_of_time_ends_with_the_time() {
        let axis = Axis::until(7.1);
        assert_eq!((labels(&axis), axis.to), (vec!["0", "1", "2", "3", "4", "5", "6", "7"], 7.1));
        assert_eq!(labels(&Axis::until(3.4)), ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"]);
        assert_eq!(labels(&Axis::until(63.0)), ["0", "10", "20", "30", "40", "50", "60"]);
    }

    #[test]
    fn a_narrow_ratio_axis_still_has_ticks() {
        assert_eq!(labels(&Axis::logarithmic(0.93, 1.12)), ["0.95", "1", "1.05", "1.1"]);
        assert_eq!(labels(&Axis::logarithmic(0.5, 5.0)), ["0.5", "1", "2", "5"]);
    }

    proptest! {
        #[test]
        fn every_tick_is_within_its_axis(low in 1e-3..1e3f64, factor in 1.0..1e4f64) {
            for axis in [Axis::logarithmic(low, low * factor), Axis::from_zero(low * factor), Axis::until(low)] {
                prop_assert!(axis.to > axis.from && axis.ticks.len() <= 12);
                for (at, _) in &axis.ticks {
                    prop_assert!(*at >= axis.from - 1e-9 && *at <= axis.to + 1e-9);
                }
            }
        }
    }
}
