//! The factors: every field of a [`Condition`] with its name, its bounds and how it is read and set.
//!
//! The one list from which the command line, the checks of a plan, what `--resume` and `compare` call a mismatch, and the
//! provenance in a report are made. A new factor is a field of [`Condition`] and an entry here.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::PlanError;
use super::condition::{Accept, Condition, Connections, Layout};
use super::fault::{Draft, FaultError, Faults};
use crate::load::MAX_RATE;

/// Values in one list.
const MOST_VALUES: usize = 256;

/// What may be varied between trials.
#[derive(Debug)]
pub struct Factor {
    /// As on the command line (`--body-bytes`) and in stored axes.
    pub name: &'static str,
    /// As in a sentence or at the head of a column.
    pub title: &'static str,
    /// What a number of it counts; empty where the title says so.
    pub unit: &'static str,
    /// What stands for its value in a usage line.
    pub placeholder: &'static str,
    /// What it is, for `--help`.
    pub help: &'static str,
    /// Whether a report can show several of its values side by side.
    pub is_axis: bool,
    values: Values,
    get: fn(&Condition) -> Value,
    /// The value was checked before: `None` where a field cannot hold it all the same.
    set: fn(&mut Condition, &Value) -> Option<()>,
}

/// What a factor may be.
#[derive(Debug, Clone, Copy)]
enum Values {
    /// A whole number, or the word for not being set, with what that means.
    Whole { least: u64, most: u64, unset: Option<(&'static str, &'static str)> },
    /// One of some words, each with what it means.
    Words(&'static [(&'static str, &'static str)]),
    /// A fault script, or the word for none.
    Script,
}

/// A factor's value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A number of its unit.
    Number(u64),
    /// A word of its own.
    Word(String),
}

impl Value {
    fn word(text: &str) -> Value {
        Value::Word(text.to_owned())
    }

    fn number(&self) -> Option<u64> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Word(_) => None,
        }
    }

    fn whole<T: TryFrom<u64>>(&self) -> Option<T> {
        T::try_from(self.number()?).ok()
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Value {
        Value::Number(number.into())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => number.fmt(f),
            Value::Word(word) => f.write_str(word),
        }
    }
}

const CLOSED: &str = "closed";
const DEFAULT: &str = "default";
const NONE: &str = "none";

/// Number of backend servers.
pub static BACKENDS: Factor = Factor {
    name: "backends",
    title: "backends",
    unit: "",
    placeholder: "LIST",
    help: "How many backends stand behind the balancer, as in 1-5 or 1,3,5 [default: 1-5]",
    is_axis: true,
    values: Values::Whole { least: 1, most: 64, unset: None },
    get: |c| c.backends.into(),
    set: |c, value| value.whole().map(|backends| c.backends = backends),
};

/// Requests outstanding.
pub static CONCURRENCY: Factor = Factor {
    name: "concurrency",
    title: "concurrency",
    unit: "",
    placeholder: "LIST",
    help: "How many requests are outstanding at any time (with --rate: at most), as in 2,5,10 [default: 2,5,10]",
    is_axis: true,
    values: Values::Whole { least: 1, most: 20_000, unset: None },
    get: |c| c.concurrency.into(),
    set: |c, value| value.whole().map(|concurrency| c.concurrency = concurrency),
};

/// Requests per second of the open loop.
pub static RATE: Factor = Factor {
    name: "rate",
    title: "rate",
    unit: "per second",
    placeholder: "R|auto",
    help: "Open loop: so many requests per second are due, evenly spaced, whatever became of those before, and latency \
           counts from when each was due. For latencies; throughput is then the rate. auto looks for a rate that every row \
           sustains at every condition, before the first trial: about two seconds for each row and condition \
           [default: closed loop]",
    is_axis: false,
    values: Values::Whole { least: 1, most: MAX_RATE, unset: Some((CLOSED, "a closed loop")) },
    get: |c| c.rate.map_or(Value::word(CLOSED), Value::Number),
    set: |c, value| {
        c.rate = value.number();
        Some(())
    },
};

/// Requests of the timed window.
pub static REQUESTS: Factor = Factor {
    name: "requests",
    title: "requests a trial",
    unit: "",
    placeholder: "N",
    help: "Requests that are timed in each trial [default: 10000; with --quick 4000; with --rate one second's, at least \
           2000 so that a p99 is known, at most 30 s; with --rate and --quick half a second's, at least 2000, at most 15 s]",
    is_axis: false,
    values: Values::Whole { least: 1, most: MOST_REQUESTS, unset: None },
    get: |c| Value::Number(c.requests),
    set: |c, value| value.number().map(|requests| c.requests = requests),
};

/// Requests before the timed window.
pub static WARMUP: Factor = Factor {
    name: "warmup",
    title: "warm-up requests",
    unit: "",
    placeholder: "N",
    help: "Requests that are sent before and discarded [default: 10 for each connection of the largest concurrency, and \
           at least a twentieth of --requests; with --rate at most ten seconds of it]",
    is_axis: false,
    values: Values::Whole { least: 0, most: MOST_REQUESTS, unset: None },
    get: |c| Value::Number(c.warmup),
    set: |c, value| value.number().map(|warmup| c.warmup = warmup),
};

/// How the client uses connections.
pub static CONNECTIONS: Factor = Factor {
    name: "connections",
    title: "connections",
    unit: "",
    placeholder: "close|keepalive",
    help: "One request on each client connection (close) or many (keepalive) [default: close]",
    is_axis: false,
    values: Values::Words(&[
        ("close", "a new connection for each request"),
        ("keepalive", "persistent connections"),
    ]),
    get: |c| {
        Value::word(match c.connections {
            Connections::Close => "close",
            Connections::Keepalive => "keepalive",
        })
    },
    set: |c, value| {
        c.connections = match value {
            Value::Word(word) if word == "close" => Connections::Close,
            Value::Word(word) if word == "keepalive" => Connections::Keepalive,
            _ => return None,
        };
        Some(())
    },
};

/// Length of each response body.
pub static BODY_BYTES: Factor = Factor {
    name: "body-bytes",
    title: "bytes a body",
    unit: "",
    placeholder: "N",
    help: "Length of each response body, bytes [default: 1024]",
    is_axis: false,
    values: Values::Whole { least: 0, most: 64 << 20, unset: None },
    get: |c| Value::Number(c.body_bytes),
    set: |c, value| value.number().map(|bytes| c.body_bytes = bytes),
};

/// Which processors the roles may use.
pub static LAYOUT: Factor = Factor {
    name: "layout",
    title: "layout",
    unit: "",
    placeholder: "shared|pinned",
    help: "Let all processes use all processors (shared), or give the balancer one to itself (pinned) [default: shared]",
    is_axis: false,
    values: Values::Words(&[
        ("shared", "every process may use every processor"),
        ("pinned", "the balancer has one processor, client and backends have the others"),
    ]),
    get: |c| {
        Value::word(match c.layout {
            Layout::Shared => "shared",
            Layout::Pinned => "pinned",
        })
    },
    set: |c, value| {
        c.layout = match value {
            Value::Word(word) if word == "shared" => Layout::Shared,
            Value::Word(word) if word == "pinned" => Layout::Pinned,
            _ => return None,
        };
        Some(())
    },
};

/// Worker threads of the models that have a fixed number of them.
pub static WORKERS: Factor = Factor {
    name: "workers",
    title: "workers",
    unit: "",
    placeholder: "N",
    help: "Worker threads of the models that have a fixed number of them; the others are measured without [default: each model's own]",
    is_axis: false,
    values: Values::Whole { least: 1, most: 1024, unset: Some((DEFAULT, "each model's own number")) },
    get: |c| c.workers.map_or(Value::word(DEFAULT), Value::from),
    set: |c, value| {
        c.workers = match value {
            Value::Number(_) => Some(value.whole()?),
            Value::Word(_) => None,
        };
        Some(())
    },
};

/// Who accepts connections.
pub static ACCEPT: Factor = Factor {
    name: "accept",
    title: "who accepts",
    unit: "",
    placeholder: "single|reuseport",
    help: "Where a model's workers share nothing: let one thread accept for all of them, in turn (single), or each worker for \
           itself, as the kernel chooses (reuseport) [default: single]",
    is_axis: false,
    values: Values::Words(&[
        ("single", "where workers share nothing, one thread accepts for all, in turn"),
        ("reuseport", "where workers share nothing, each accepts for itself, as the kernel chooses"),
    ]),
    get: |c| {
        Value::word(match c.accept {
            Accept::Single => "single",
            Accept::Reuseport => "reuseport",
        })
    },
    set: |c, value| {
        c.accept = match value {
            Value::Word(word) if word == "single" => Accept::Single,
            Value::Word(word) if word == "reuseport" => Accept::Reuseport,
            _ => return None,
        };
        Some(())
    },
};

/// What befalls the backends.
pub static FAULT: Factor = Factor {
    name: "fault",
    title: "faults",
    unit: "",
    placeholder: "SCRIPT",
    help: "Let faults befall a backend while a load goes on at a fixed rate, and see how clients fare under each model, as in \
           kill-backend@2s,restore@4s; there are kill-backend, slow-backend and refuse, and refuse=1@2s is of the first \
           backend instead of the last; three times with 3 backends at 500 requests per second, unless --blocks, --backends \
           and --rate say otherwise",
    is_axis: false,
    values: Values::Script,
    get: |c| c.fault.as_ref().map_or(Value::word(NONE), |faults| Value::word(&faults.script.to_string())),
    set: |c, value| {
        c.fault = match value {
            Value::Word(word) if word == NONE => None,
            value => Some(Faults::of(draft(value).ok()?.over(c.backends).ok()?)),
        };
        Some(())
    },
};

fn draft(value: &Value) -> Result<Draft, FaultError> {
    value.to_string().parse()
}

const MOST_REQUESTS: u64 = 100_000_000;

/// All of them; axes are crossed in this order, the first one outermost.
pub static FACTORS: [&Factor; 11] = [
    &BACKENDS,
    &CONCURRENCY,
    &RATE,
    &REQUESTS,
    &WARMUP,
    &CONNECTIONS,
    &BODY_BYTES,
    &LAYOUT,
    &WORKERS,
    &ACCEPT,
    &FAULT,
];

impl Factor {
    /// The one of that name.
    pub fn named(name: &str) -> Option<&'static Factor> {
        FACTORS.into_iter().find(|factor| factor.name == name)
    }

    /// Its place in [`FACTORS`].
    pub(super) fn place(&self) -> usize {
        FACTORS.iter().position(|factor| factor.name == self.name).unwrap_or(FACTORS.len())
    }

    /// What it is in `condition`.
    pub fn get(&self, condition: &Condition) -> Value {
        (self.get)(condition)
    }

    /// Sets it in `condition`, or says why it cannot be that.
    pub fn set(&self, condition: &mut Condition, value: &Value) -> Result<(), PlanError> {
        self.check(value)?;
        if matches!(self.values, Values::Script) && *value != Value::word(NONE) {
            // Which backends there are is known here alone.
            draft(value)?.over(condition.backends)?;
        }
        (self.set)(condition, value).ok_or_else(|| self.refusal(value))
    }

    /// What `value` comes to where everything else is as in `condition`.
    pub fn meant(&self, condition: &Condition, value: &Value) -> Result<Value, PlanError> {
        let mut condition = condition.clone();
        self.set(&mut condition, value)?;
        Ok(self.get(&condition))
    }

    /// Whether it may be `value`.
    pub fn check(&self, value: &Value) -> Result<(), PlanError> {
        let is_one = match (self.values, value) {
            (Values::Script, Value::Word(word)) if word == NONE => true,
            (Values::Script, value) => return Ok(draft(value).map(|_| ())?),
            (Values::Whole { least, most, .. }, Value::Number(number)) => (least..=most).contains(number),
            (Values::Whole { unset: Some((word, _)), .. }, Value::Word(given)) => word == given,
            (Values::Words(words), Value::Word(given)) => words.iter().any(|(word, _)| word == given),
            _ => false,
        };
        if is_one { Ok(()) } else { Err(self.refusal(value)) }
    }

    fn refusal(&self, value: &Value) -> PlanError {
        PlanError::NoValue { factor: self.name, value: value.to_string(), remedy: self.remedy() }
    }

    /// Whether its values are numbers, or at least can be.
    pub fn is_number(&self) -> bool {
        matches!(self.values, Values::Whole { .. })
    }

    /// The values that `text` names: of an axis a list, where ranges may stand for their numbers; else one.
    pub fn parse(&self, text: &str) -> Result<Vec<Value>, PlanError> {
        if !self.is_axis {
            return Ok(vec![self.one(text.trim())?]);
        }
        let mut values = Vec::new();
        for part in text.split(',') {
            // A number that begins with its sign is no range.
            let range =
                part.trim().split_once('-').filter(|(first, _)| self.is_number() && !first.is_empty());
            let run = match range {
                None => vec![self.one(part.trim())?],
                Some((first, last)) => self.range(first, last)?,
            };
            for value in run {
                if !values.contains(&value) {
                    values.push(value);
                }
                if values.len() > MOST_VALUES {
                    return Err(PlanError::TooMany);
                }
            }
        }
        Ok(values)
    }

    fn one(&self, text: &str) -> Result<Value, PlanError> {
        let value = match (self.values, text.parse()) {
            (Values::Whole { .. }, Ok(number)) => Value::Number(number),
            _ => Value::word(text),
        };
        self.check(&value).map(|()| value)
    }

    /// The numbers from `first` to `last`.
    fn range(&self, first: &str, last: &str) -> Result<Vec<Value>, PlanError> {
        let number = |text: &str| match self.one(text.trim())? {
            Value::Number(number) => Ok(number),
            word @ Value::Word(_) => Err(self.refusal(&word)),
        };
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(PlanError::Backwards(first, last));
        }
        if last - first >= MOST_VALUES as u64 {
            return Err(PlanError::TooMany);
        }
        Ok((first..=last).map(Value::Number).collect())
    }

    /// What it may be, as an order.
    fn remedy(&self) -> String {
        match self.values {
            Values::Whole { least, most, .. } if self.is_axis => {
                format!("give numbers from {least} to {most}, as in 1-5 or 2,5,10")
            }
            Values::Whole { least, most, unset } => {
                let or = unset.map_or(String::new(), |(word, _)| format!(", or {word}"));
                format!("give a whole number from {least} to {most}{or}")
            }
            Values::Script => format!("give events, as in kill-backend@2s,restore@4s, or {NONE}"),
            Values::Words(words) => {
                let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                format!("possible values: {}", words.join(", "))
            }
        }
    }

    /// `value` as a reader is told it.
    pub fn told(&self, value: &Value) -> String {
        let meaning = match (self.values, value) {
            (Values::Words(words), Value::Word(given)) => {
                words.iter().find(|(word, _)| word == given).map(|(_, meaning)| *meaning)
            }
            (Values::Whole { unset: Some((word, meaning)), .. }, Value::Word(given)) if word == given => {
                Some(meaning)
            }
            _ => None,
        };
        match meaning {
            Some(meaning) => meaning.to_owned(),
            None if self.unit.is_empty() => value.to_string(),
            None => format!("{value} {}", self.unit),
        }
    }
}

/// A factor that a plan varies, with its values in their order: more than one.
#[derive(Debug, Clone)]
pub struct Axis {
    /// Which.
    pub factor: &'static Factor,
    /// What it is, one after the other.
    pub values: Vec<Value>,
}

impl PartialEq for Axis {
    fn eq(&self, other: &Self) -> bool {
        self.factor.name == other.factor.name && self.values == other.values
    }
}

impl Eq for Axis {}

impl Serialize for Axis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Stored { factor: self.factor.name.to_owned(), values: self.values.clone() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Axis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Stored { factor, values } = Stored::deserialize(deserializer)?;
        let known = Factor::named(&factor);
        let unknown = || serde::de::Error::custom(format!("this roundtable has no factor {factor:?}"));
        Ok(Axis { factor: known.ok_or_else(unknown)?, values })
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    factor: String,
    values: Vec<Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> Result<Vec<u64>, PlanError> {
        BACKENDS.parse(text).map(|values| values.iter().filter_map(Value::number).collect())
    }

    #[test]
    fn ranges_and_lists_mix_and_each_value_counts_once() {
        assert_eq!(numbers("1-5"), Ok(vec![1, 2, 3, 4, 5]));
        assert_eq!(numbers("1,3,5"), Ok(vec![1, 3, 5]));
        assert_eq!(numbers(" 10 , 2-3,3"), Ok(vec![10, 2, 3]));
        assert_eq!(numbers("7-7"), Ok(vec![7]));
    }

    #[test]
    fn what_is_no_list_is_refused_in_words() {
        let told = |text: &str| numbers(text).unwrap_err().to_string();
        assert_eq!(numbers("5-1"), Err(PlanError::Backwards(5, 1)));
        for text in
            ["", "1,", "x", "-1", "1,-2", "1-2-3", "1.5", "99999999999999999999", "0", "1-65", "0-4294967295"]
        {
            assert!(
                told(text).ends_with("give numbers from 1 to 64, as in 1-5 or 2,5,10"),
                "{text}: {}",
                told(text)
            );
        }
        assert_eq!(CONCURRENCY.parse("1-300"), Err(PlanError::TooMany));
    }

    #[test]
    fn each_factor_reads_and_sets_its_own_field_alone() {
        for factor in FACTORS {
            let other = match factor.values {
                Values::Whole { most, .. } => Value::Number(most),
                Values::Words(words) => Value::word(words[1].0),
                Values::Script => Value::word("refuse=2@1s,restore=2@3s"),
            };
            let mut condition = Condition::default();
            factor.set(&mut condition, &other).unwrap();
            for read in FACTORS {
                let expected =
                    if read.name == factor.name { other.clone() } else { read.get(&Condition::default()) };
                assert_eq!(read.get(&condition), expected, "{} after {} was set", read.name, factor.name);
            }
            // What it was before is a value that can be written, and set again.
            let before = factor.get(&Condition::default());
            assert_eq!(
                factor.parse(&before.to_string()).unwrap(),
                std::slice::from_ref(&before),
                "{}",
                factor.name
            );
            factor.set(&mut condition, &before).unwrap();
            assert_eq!(condition, Condition::default());
        }
    }

    #[test]
    fn every_field_of_a_condition_has_a_factor() {
        let stored = serde_json::to_value(Condition::default()).unwrap();
        let fields: Vec<_> = stored.as_object().unwrap().keys().map(|name| name.replace('_', "-")).collect();
        assert_eq!(fields.len(), FACTORS.len());
        assert!(fields.iter().all(|name| Factor::named(name).is_some()), "{fields:?}");
    }

    #[test]
    fn a_value_that_a_factor_cannot_be_is_told_with_those_that_it_can() {
        let mut condition = Condition::default();
        let open = CONNECTIONS.set(&mut condition, &Value::word("open")).unwrap_err().to_string();
        assert!(open.contains("possible values: close, keepalive"), "{open}");
        let none = WORKERS.set(&mut condition, &Value::Number(0)).unwrap_err().to_string();
        assert!(
            none.contains("--workers cannot be 0: give a whole number from 1 to 1024, or default"),
            "{none}"
        );
        assert_eq!(condition, Condition::default());
    }

    #[test]
    fn an_axis_survives_its_json_form_and_an_unknown_factor_is_told() {
        let axis = Axis { factor: &BACKENDS, values: vec![Value::Number(1), Value::Number(5)] };
        let text = serde_json::to_string(&axis).unwrap();
        assert_eq!(text, r#"{"factor":"backends","values":[1,5]}"#);
        assert_eq!(serde_json::from_str::<Axis>(&text).unwrap(), axis);
        let unknown = serde_json::from_str::<Axis>(r#"{"factor":"weather","values":[1]}"#).unwrap_err();
        assert!(unknown.to_string().contains("no factor \"weather\""), "{unknown}");
    }
}
