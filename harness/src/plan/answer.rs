//! What a run was made to answer: its question, and how the answer is to be read off its trials.
//!
//! Owns the typed form, as scenario files write it and as it is stored with a run's plan, so that a report can be made again
//! without the file; computing an answer is [`crate::analysis::answers`]' affair.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::factor::{Factor, Value};

/// What a run was made to answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purpose {
    /// The scenario's name; absent where none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// Which of its runs, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// What is asked.
    pub question: String,
    /// How the answer is read off the trials.
    #[serde(default)]
    pub answers: Vec<Answer>,
    /// Ids of the figures that show it.
    #[serde(default)]
    pub figures: Vec<String>,
}

/// One way to read an answer off a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// How each row's figures change along a factor, and where it falls behind or breaks.
    Along {
        /// The factor.
        factor: FactorName,
    },
    /// How each row's throughput grows with a number of things, beside the ideal: twice as many, twice as much.
    SpeedUp {
        /// The factor that counts them.
        factor: FactorName,
    },
    /// The highest rate at which each row keeps a promise of response times, and what it does beyond.
    Promise {
        /// The promise.
        promise: Promise,
    },
    /// Response times beside those of the M/M/c queue (Erlang's C formula), where one backend is that.
    Queue,
    /// A public claim, put to the test.
    Claim(Box<Claim>),
}

/// A factor by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactorName(pub &'static Factor);

impl Serialize for FactorName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.name.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FactorName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let unknown = || serde::de::Error::custom(super::factor::unknown(&name));
        Factor::named(&name).map(FactorName).ok_or_else(unknown)
    }
}

/// A claim that somebody made in public, and the comparison that speaks for or against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Claim {
    /// What is claimed.
    pub statement: String,
    /// Where.
    pub source: String,
    /// The row that it is about.
    pub model: String,
    /// The row that it is compared to; the same one, where `factor` says in what the two differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
    /// The factor in which the compared conditions differ, instead of the row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub across: Option<Across>,
    /// Where alone it is looked at: factors and their values; everywhere where none is named.
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    pub place: Vec<Place>,
    /// In which figure.
    pub metric: ClaimMetric,
    /// What the claim has the ratio be.
    pub expects: Expectation,
    /// What the measurement cannot say of it.
    pub limits: String,
}

/// One condition against another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Across {
    /// In which factor they differ.
    pub factor: FactorName,
    /// What it is in the one…
    pub from: Value,
    /// …and in the other, whose ratio to the first is taken.
    pub to: Value,
}

/// A factor and what it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The factor.
    pub factor: FactorName,
    /// Its values.
    pub values: Vec<Value>,
}

/// A figure that claims are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimMetric {
    /// Requests per second.
    Throughput,
    /// CPU time of the balancer per request.
    Cpu,
    /// Median response time.
    P50,
    /// 99th percentile of the response time.
    P99,
}

/// What a claim has a ratio be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// Over 1.
    Above,
    /// Under 1.
    Below,
    /// 1, within the margin that is called equivalent.
    Equivalent,
    /// 1 or under it: what is claimed is that nothing is gained.
    NotAbove,
    /// 1 or over it.
    NotBelow,
}

/// A promise of response times: so many percent of all within so long, as in `p99<10ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// Percentile, in tenths of a percent: 999 is p99.9.
    pub per_mille: u32,
    /// Within so long, microseconds.
    pub within_us: u64,
}

/// A promise that is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no promise of response times; write a percentile from p50 to p99.9 and a time, as in p99<10ms"
)]
pub struct NoPromise(String);

impl Promise {
    /// The percentile, 50 to 99.9.
    pub fn percentile(self) -> f64 {
        f64::from(self.per_mille) / 10.0
    }

    /// The time, ms.
    pub fn within_ms(self) -> f64 {
        self.within_us as f64 / 1e3
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = humantime::format_duration(std::time::Duration::from_micros(self.within_us));
        write!(f, "p{}<{}", self.percentile(), within.to_string().replace(' ', ""))
    }
}

impl FromStr for Promise {
    type Err = NoPromise;

    fn from_str(text: &str) -> Result<Self, NoPromise> {
        let none = || NoPromise(text.to_owned());
        let (percentile, within) = text.trim().split_once('<').ok_or_else(none)?;
        let percentile: f64 =
            percentile.trim().strip_prefix('p').and_then(|digits| digits.parse().ok()).ok_or_else(none)?;
        let per_mille = (percentile * 10.0).round();
        let is_whole = (percentile * 10.0 - per_mille).abs() < 1e-9;
        if !is_whole || !(500.0..=999.0).contains(&per_mille) {
            return Err(none());
        }
        let within = humantime::parse_duration(within.trim()).map_err(|_| none())?;
        let within_us = u64::try_from(within.as_micros()).ok().filter(|us| *us > 0).ok_or_else(none)?;
        Ok(Promise { per_mille: per_mille as u32, within_us })
    }
}

impl Serialize for Promise {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_string().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Promise {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_a_percentile_and_a_time_and_is_read_back_the_same() {
        let promise: Promise = " p99 < 10ms".parse().unwrap();
        assert_eq!((promise.percentile(), promise.within_ms()), (99.0, 10.0));
        for text in ["p99<10ms", "p99.9<1s500ms", "p50<250us"] {
            assert_eq!(text.parse::<Promise>().unwrap().to_string(), text);
        }
        for text in ["", "p99", "99<10ms", "p99<10", "p101<1s", "p49<1s", "p99.95<1s", "p99<0s", "pNaN<1s"] {
            let told = text.parse::<Promise>().unwrap_err().to_string();
            assert!(told.ends_with("as in p99<10ms"), "{text}: {told}");
        }
    }

    #[test]
    fn what_a_run_answers_survives_its_stored_form() {
        let claim = Claim {
            statement: "x".into(),
            source: "https://example.org".into(),
            model: "mio".into(),
            with: None,
            across: Some(Across {
                factor: FactorName(&super::super::factor::BACKENDS),
                from: Value::Number(1),
                to: Value::Number(3),
            }),
            place: vec![Place {
                factor: FactorName(&super::super::factor::CONCURRENCY),
                values: vec![Value::Number(2)],
            }],
            metric: ClaimMetric::Cpu,
            expects: Expectation::Equivalent,
            limits: "y".into(),
        };
        let purpose = Purpose {
            scenario: Some("mine".into()),
            run: None,
            question: "why?".into(),
            answers: vec![
                Answer::Along { factor: FactorName(&super::super::factor::CONCURRENCY) },
                Answer::Promise { promise: "p99<10ms".parse().unwrap() },
                Answer::Claim(Box::new(claim)),
            ],
            figures: vec!["cpu".into()],
        };
        let text = serde_json::to_string(&purpose).unwrap();
        assert_eq!(serde_json::from_str::<Purpose>(&text).unwrap(), purpose, "{text}");
    }
}
