//! The factors: every field of a [`Condition`] with its name, its bounds and how it is read and set.
//!
//! The one list from which the command line, the checks of a plan, what `--resume` and `compare` call a mismatch, and the
//! provenance, the columns and the axes of a report are made. A new factor is a field of [`Condition`] and an entry in `list`.

mod axis;
mod list;
mod value;

use roundtable_backends::ServiceTime;

use super::PlanError;
use super::condition::Condition;

pub use axis::Axis;
pub use list::*;
pub use value::Value;

/// Values in one list.
const MOST_VALUES: usize = 256;

/// What may be varied between trials.
#[derive(Debug)]
pub struct Factor {
    /// As on the command line (`--body-bytes`) and in stored axes.
    pub name: &'static str,
    /// As in a sentence, or as the name of a fact.
    pub title: &'static str,
    /// At the head of a column, with the unit of what stands there: the published tables' word where they have one.
    pub heading: &'static str,
    /// The same where room is short; its lines are set under each other.
    pub short_heading: &'static str,
    /// What a number of it counts; empty where the title says so.
    pub unit: &'static str,
    /// What stands for its value in a usage line.
    pub placeholder: &'static str,
    /// What it is, for `--help`.
    pub help: &'static str,
    /// A number of it as part of a sentence, or as a heading of its own: "3 backends".
    phrase: fn(u64) -> String,
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
    /// A duration from the first to the second, milliseconds, or the word for not being set, with what that means.
    Time { least_ms: u64, most_ms: u64, unset: (&'static str, &'static str) },
    /// How long a request is worked on, or the word for no time, with what that means.
    ServiceTime { none: (&'static str, &'static str) },
    /// An amount of memory from the first to the second, MiB, or the word for none, with what that means.
    Memory { least_mib: u64, most_mib: u64, none: (&'static str, &'static str) },
    /// A fault script, or the word for none.
    Script,
}

/// What is told where `name` is none.
pub(crate) fn unknown(name: &str) -> String {
    let known: Vec<_> = FACTORS.iter().map(|factor| factor.name).collect();
    format!("there is no factor {name:?}; the factors are {}", known.join(", "))
}

impl PartialEq for Factor {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Factor {}

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
            (Values::Time { unset: (word, _), .. }, Value::Word(given)) if word == given => true,
            (Values::Time { least_ms, most_ms, .. }, Value::Word(given)) => {
                value::duration_ms(given).is_some_and(|ms| (least_ms..=most_ms).contains(&ms))
            }
            (Values::ServiceTime { none: (word, _) }, Value::Word(given)) => {
                word == given || given.parse::<ServiceTime>().is_ok()
            }
            (Values::Memory { none: (word, _), .. }, Value::Word(given)) if word == given => true,
            (Values::Memory { least_mib, most_mib, .. }, Value::Word(given)) => {
                value::memory_mib(given).is_some_and(|mib| (least_mib..=most_mib).contains(&mib))
            }
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

    /// Whether it has a size: a number, a time, or an amount of memory.
    pub fn is_quantity(&self) -> bool {
        !matches!(self.values, Values::Words(_) | Values::Script)
    }

    /// The values that `text` names: a list, where ranges may stand for their numbers; of scripts, which have commas of
    /// their own, one.
    pub fn parse(&self, text: &str) -> Result<Vec<Value>, PlanError> {
        if matches!(self.values, Values::Script) {
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
            Values::Whole { least, most, unset } => {
                let or = unset.map_or(String::new(), |(word, _)| format!(", or {word}"));
                format!("give whole numbers from {least} to {most}{or}, as in 2,5 or 2-5")
            }
            Values::Time { least_ms, most_ms, unset: (word, _) } => {
                let [least, most] = [least_ms, most_ms].map(value::of_ms);
                format!("give durations from {least} to {most}, or {word}, as in 500ms or 2s")
            }
            Values::ServiceTime { none: (word, _) } => format!(
                "give 0s to 1h, as in 10ms, or exp:10ms for an exponential one of that mean, or {word}"
            ),
            Values::Memory { least_mib, most_mib, none: (word, _) } => {
                let [least, most] = [least_mib, most_mib].map(value::of_mib);
                format!("give {least} to {most}, or {word}, as in 64MiB or 1GiB")
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
        match self.meaning(value) {
            Some(meaning) => meaning.to_owned(),
            None => match (value, self.unit) {
                (_, "") => value.to_string(),
                (Value::Number(number), unit) => format!("{number} {unit}"),
                (Value::Word(word), unit) => format!("{unit} {word}"),
            },
        }
    }

    /// `value` as part of a sentence, or as a heading of its own: "3 backends", "persistent connections".
    pub fn phrase(&self, value: &Value) -> String {
        match (self.meaning(value), value) {
            (Some(meaning), _) => meaning.to_owned(),
            (None, Value::Number(number)) => (self.phrase)(*number),
            (None, Value::Word(word)) if self.unit.is_empty() => word.clone(),
            (None, Value::Word(word)) => format!("{} {word}", self.unit),
        }
    }

    /// What a word among its values stands for.
    fn meaning(&self, value: &Value) -> Option<&'static str> {
        match (self.values, value) {
            (Values::Words(words), Value::Word(given)) => {
                words.iter().find(|(word, _)| word == given).map(|(_, meaning)| *meaning)
            }
            (
                Values::Whole { unset: Some((word, meaning)), .. }
                | Values::Time { unset: (word, meaning), .. }
                | Values::ServiceTime { none: (word, meaning) }
                | Values::Memory { none: (word, meaning), .. },
                Value::Word(given),
            ) if word == given => Some(meaning),
            _ => None,
        }
    }
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
                told(text).ends_with("give whole numbers from 1 to 64, as in 2,5 or 2-5"),
                "{text}: {}",
                told(text)
            );
        }
        assert_eq!(CONCURRENCY.parse("1-300"), Err(PlanError::TooMany));
    }

    #[test]
    fn every_factor_but_a_script_takes_a_list() {
        let texts = |factor: &Factor, text: &str| -> Vec<String> {
            factor.parse(text).unwrap().iter().map(ToString::to_string).collect()
        };
        assert_eq!(texts(&CONNECTIONS, "keepalive, close,close"), ["keepalive", "close"]);
        assert_eq!(texts(&BODY_BYTES, "0,65536"), ["0", "65536"]);
        assert_eq!(texts(&WORKERS, "default,1-2"), ["default", "1", "2"]);
        assert_eq!(texts(&FAULT, "refuse@1s,restore@2s"), ["refuse@1s,restore@2s"]);
    }

    #[test]
    fn a_value_reads_as_a_part_of_a_sentence() {
        let phrase = |factor: &Factor, text: &str| factor.phrase(&factor.parse(text).unwrap()[0]);
        assert_eq!(phrase(&BACKENDS, "1"), "1 backend");
        assert_eq!(phrase(&CONCURRENCY, "10"), "concurrency 10");
        assert_eq!(phrase(&CONNECTIONS, "keepalive"), "persistent connections");
        assert_eq!(phrase(&BODY_BYTES, "0"), "bodies of 0 bytes");
        assert_eq!(phrase(&WORKERS, "default"), "each model's own number");
    }

    #[test]
    fn each_factor_reads_and_sets_its_own_field_alone() {
        for factor in FACTORS {
            let other = match factor.values {
                Values::Whole { most, .. } => Value::Number(most),
                Values::Words(words) => Value::word(words[1].0),
                Values::Time { .. } => Value::word("2s"),
                Values::ServiceTime { .. } => Value::word("exp:5ms"),
                Values::Memory { .. } => Value::word("64MiB"),
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
        // What is as it was before there was such a field is not stored.
        let unusual = Condition {
            arrivals: super::super::Arrivals::Poisson,
            delay: ServiceTime::Fixed(std::time::Duration::from_millis(1)),
            at_a_time: Some(1),
            hit_ratio_percent: Some(50),
            cache_mib: Some(64),
            upload_bytes: 1,
            backlog: Some(1),
            duration_ms: Some(1000),
            ..Condition::default()
        };
        let stored = serde_json::to_value(unusual).unwrap();
        let fields: Vec<_> = stored
            .as_object()
            .unwrap()
            .keys()
            .map(|name| {
                let units = ["_ms", "_mib", "_percent"];
                let name = units.iter().fold(name.as_str(), |name, unit| name.trim_end_matches(unit));
                name.replace('_', "-")
            })
            .collect();
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
            none.contains(
                "--workers cannot be 0: give whole numbers from 1 to 1024, or default, as in 2,5 or 2-5"
            ),
            "{none}"
        );
        assert_eq!(condition, Condition::default());
    }
}
