//! One value as it stands in a table: typed, so that each renderer writes it in its own way and a page can sort by it.
//!
//! Owns how a value is written as plain text. Knows nothing of tables, or of what is measured.

use crate::analysis::ratio::{Conclusion, Ratio};
use crate::statistics::Spread;
use crate::statistics::verdict::Judged;

/// What stands where there is nothing to say.
pub(crate) const NOTHING: &str = "–";

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Words.
    Text(String),
    /// A number.
    Number {
        /// In the unit that the column names.
        value: f64,
        /// What stands beside it.
        unit: Unit,
        /// How exactly it is written.
        digits: Digits,
    },
    /// From the smallest to the largest.
    Range {
        /// The smallest.
        low: f64,
        /// The largest.
        high: f64,
        /// How exactly either is written.
        digits: Digits,
    },
    /// A median, and the range where there is one.
    Spread {
        /// Both.
        spread: Spread,
        /// How exactly each is written.
        digits: Digits,
    },
    /// A ratio with its interval, and what is concluded, in the metric's words.
    Ratio {
        /// What was judged.
        ratio: Ratio,
        /// What is concluded; `None` where that stands in a column of its own.
        conclusion: Option<String>,
    },
    /// How far a model differs from itself, as a log-ratio.
    NoiseFloor(f64),
    /// So many of so many.
    CountOf {
        /// So many…
        count: usize,
        /// …of all of these.
        all: usize,
    },
    /// Several values in one place.
    List {
        /// The values.
        values: Vec<Value>,
        /// What stands between them.
        separator: &'static str,
    },
    /// There is none.
    Missing(Missing),
}

/// What is written beside a number. Units that a whole column shares stand in its heading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nothing.
    None,
    /// A percent sign.
    Percent,
}

/// How exactly a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digits {
    /// So many decimals.
    Decimals(usize),
    /// Four significant digits or so.
    Four,
    /// One decimal under ten, where it says something; an infinite time never came.
    Short,
    /// Three decimals, and no claim to know less than a thousandth.
    PValue,
}

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Nothing was measured, or the figure does not exist here.
    NotMeasured,
    /// Every trial was invalid.
    Invalid,
    /// The run has no A/A pair.
    Unknown,
    /// No block has a valid trial of all that are compared.
    NoData,
}

impl Value {
    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Value::Text(text.into())
    }

    /// A whole number.
    pub fn count(count: impl TryInto<u64>) -> Self {
        let value = count.try_into().unwrap_or(u64::MAX) as f64;
        Value::Number { value, unit: Unit::None, digits: Digits::Decimals(0) }
    }

    /// A number, written with four significant digits or so.
    pub fn figure(value: f64) -> Self {
        Value::Number { value, unit: Unit::None, digits: Digits::Four }
    }

    /// A number with so many decimals.
    pub fn decimal(value: f64, decimals: usize) -> Self {
        Value::Number { value, unit: Unit::None, digits: Digits::Decimals(decimals) }
    }

    /// A share, 0 to 1, as a percentage with so many decimals.
    pub fn percent(share: f64, decimals: usize) -> Self {
        Value::Number { value: share * 100.0, unit: Unit::Percent, digits: Digits::Decimals(decimals) }
    }

    /// A p-value, where there is one.
    pub fn p(p: Option<f64>) -> Self {
        Value::or_nothing(p, |value| Value::Number { value, unit: Unit::None, digits: Digits::PValue })
    }

    /// A ratio and its interval.
    pub fn ratio(ratio: &Ratio) -> Self {
        Value::Ratio { ratio: *ratio, conclusion: None }
    }

    /// A ratio, its interval and what is concluded, in the metric's words.
    pub fn concluded(ratio: &Ratio, conclusion: impl Into<String>) -> Self {
        Value::Ratio { ratio: *ratio, conclusion: Some(conclusion.into()) }
    }

    /// What `value` makes, or nothing.
    pub fn or_nothing<T>(value: Option<T>, make: impl FnOnce(T) -> Value) -> Self {
        value.map_or(Value::Missing(Missing::NotMeasured), make)
    }

    /// As others compute with it: a number as it is, nothing where it is missing, else as plain text.
    pub fn exact(&self) -> String {
        match self {
            Value::Number { value, .. } => value.to_string(),
            Value::Missing(Missing::NotMeasured) => String::new(),
            other => other.plain(),
        }
    }

    /// How a page colours it in a table of model against model: by what is concluded, and how far it is from 1.
    pub fn heat(&self) -> String {
        let Value::Ratio { ratio, .. } = self else { return String::new() };
        let side = match ratio.conclusion() {
            Conclusion::Above => "above",
            Conclusion::Below => "below",
            _ => return "heat-none".to_owned(),
        };
        let step = match ratio.judged.ratio.ln().abs() {
            far if far > 0.4 => 3,
            far if far > 0.15 => 2,
            _ => 1,
        };
        format!("heat-{side}-{step}")
    }

    /// As plain text.
    pub fn plain(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Number { value, unit, digits } => {
                let sign = if *unit == Unit::Percent { " %" } else { "" };
                format!("{}{sign}", digits.write(*value))
            }
            Value::Range { low, high, digits } => format!("{}–{}", digits.write(*low), digits.write(*high)),
            Value::Spread { spread, digits } => {
                let [least, median, most] =
                    [spread.min, spread.median, spread.max].map(|value| digits.write(value));
                if least == most { median } else { format!("{median} ({least}–{most})") }
            }
            Value::Ratio { ratio, conclusion } => {
                let ratio = with_interval(ratio);
                conclusion
                    .as_ref()
                    .map_or_else(|| ratio.clone(), |conclusion| format!("{ratio} {conclusion}"))
            }
            Value::NoiseFloor(log_ratio) => noise_floor(*log_ratio),
            Value::CountOf { count, all } => format!("{count} of {all}"),
            Value::List { values, separator } => {
                values.iter().map(Value::plain).collect::<Vec<_>>().join(separator)
            }
            Value::Missing(missing) => missing.plain().to_owned(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl Missing {
    fn plain(self) -> &'static str {
        match self {
            Missing::NotMeasured => NOTHING,
            Missing::Invalid => "invalid",
            Missing::Unknown => "unknown",
            Missing::NoData => "no data",
        }
    }
}

impl Digits {
    /// `value` as plain text.
    pub fn write(self, value: f64) -> String {
        match (self, value) {
            (Digits::Decimals(decimals), _) => format!("{value:.decimals$}"),
            (Digits::Four, v) if v >= 999.5 => format!("{v:.0}"),
            (Digits::Four, v) if v >= 99.95 => format!("{v:.1}"),
            (Digits::Four, v) if v >= 9.995 => format!("{v:.2}"),
            (Digits::Four, v) => format!("{v:.3}"),
            (Digits::Short, v) if v.is_infinite() => "never".to_owned(),
            (Digits::Short, v) if v < 10.0 && v.fract() != 0.0 => format!("{v:.1}"),
            (Digits::Short, v) => format!("{v:.0}"),
            (Digits::PValue, p) if p < 0.001 => "<0.001".into(),
            (Digits::PValue, p) => format!("{p:.3}"),
        }
    }
}

/// "1.20 (1.11–1.30)": a ratio and the interval that its verdict was made from; "≥ 1.20" where it is a bound.
pub(crate) fn with_interval(ratio: &Ratio) -> String {
    let Judged { ratio: middle, interval, .. } = ratio.judged;
    let bound = match (ratio.is_at_least(), ratio.conclusion()) {
        (true, Conclusion::Above) => "≥ ",
        (true, Conclusion::Below) => "≤ ",
        _ => "",
    };
    match interval {
        Some(interval) => format!("{bound}{middle:.2} ({:.2}–{:.2})", interval.low, interval.high),
        None => format!("{middle:.2}"),
    }
}

/// "±3.1 %": a log-ratio on either side of 1.
pub(crate) fn noise_floor(log_ratio: f64) -> String {
    format!("±{:.1} %", log_ratio.exp_m1() * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_four_digits() {
        let texts = [12_345.6, 999.96, 999.4, 99.97, 12.345, 0.1234].map(|v| Value::figure(v).plain());
        assert_eq!(texts, ["12346", "1000", "999.4", "100.0", "12.35", "0.123"]);
    }

    #[test]
    fn a_spread_has_a_range_where_its_values_are_written_differently() {
        let plain = |median, min, max| {
            let spread = Spread { min, median, max, count: 2 };
            Value::Spread { spread, digits: Digits::Short }.plain()
        };
        assert_eq!(plain(0.0, 0.0, 0.0), "0");
        assert_eq!(plain(3.26, 3.26, 3.26), "3.3");
        assert_eq!(plain(20.0, 10.0, 30.0), "20 (10–30)");
        assert_eq!(plain(1.5, 1.0, 2.0), "1.5 (1–2)");
        assert_eq!(plain(f64::INFINITY, f64::INFINITY, f64::INFINITY), "never");
        assert_eq!(plain(7.0, 5.0, f64::INFINITY), "7 (5–never)");
    }

    #[test]
    fn several_values_stand_in_one_place() {
        let values = vec![Value::figure(0.214), Value::Missing(Missing::NotMeasured)];
        assert_eq!(Value::List { values, separator: " / " }.plain(), "0.214 / –");
        assert_eq!(Value::CountOf { count: 2, all: 3 }.plain(), "2 of 3");
        assert_eq!(Value::percent(0.5, 2).plain(), "50.00 %");
        assert_eq!(
            [Some(0.0004), Some(0.04), None].map(|p| Value::p(p).plain()),
            ["<0.001", "0.040", NOTHING]
        );
    }
}
