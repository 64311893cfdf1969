//! What a factor can be in a condition: a number, or a word of its own.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use roundtable_backends::ServiceTime;

use serde::{Deserialize, Serialize};

/// A factor's value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A number of its unit.
    Number(u64),
    /// A word of its own.
    Word(String),
}

impl Value {
    pub(super) fn word(text: &str) -> Value {
        Value::Word(text.to_owned())
    }

    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Word(_) => None,
        }
    }

    pub(super) fn whole<T: TryFrom<u64>>(&self) -> Option<T> {
        T::try_from(self.number()?).ok()
    }
}

impl Ord for Value {
    /// Numbers first, then words; words that are durations by their length.
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Value::Number(a), Value::Number(b)) => a.cmp(b),
            (Value::Number(_), Value::Word(_)) => Ordering::Less,
            (Value::Word(_), Value::Number(_)) => Ordering::Greater,
            (Value::Word(a), Value::Word(b)) => (length(a), a).cmp(&(length(b), b)),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How long a word is as a duration, or as a mean of one; `None` of any other word.
fn length(word: &str) -> Option<Duration> {
    word.parse::<ServiceTime>().ok().map(ServiceTime::mean)
}

/// A duration of whole milliseconds.
pub(super) fn duration_ms(word: &str) -> Option<u64> {
    let duration = humantime::parse_duration(word).ok()?;
    let ms = u64::try_from(duration.as_millis()).ok()?;
    (Duration::from_millis(ms) == duration).then_some(ms)
}

/// So many milliseconds, as they are written.
pub(super) fn of_ms(ms: u64) -> String {
    humantime::format_duration(Duration::from_millis(ms)).to_string().replace(' ', "")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_stand_in_the_order_of_their_length() {
        let mut values: Vec<Value> = ["100ms", "none", "2s", "exp:10ms", "1ms"]
            .map(Value::word)
            .into_iter()
            .chain([Value::Number(7)])
            .collect();
        values.sort();
        let texts: Vec<_> = values.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["7", "none", "1ms", "exp:10ms", "100ms", "2s"]);
    }
}
