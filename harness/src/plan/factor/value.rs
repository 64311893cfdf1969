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
    /// Numbers first, then words; words that are durations or amounts of memory by their size.
    fn cmp(&self, other: &Self) -> Ordering {
        // No factor has both durations and amounts of memory.
        let size =
            |word: &str| length(word).map(|length| length.as_nanos()).or(memory_mib(word).map(u128::from));
        match (self, other) {
            (Value::Number(a), Value::Number(b)) => a.cmp(b),
            (Value::Number(_), Value::Word(_)) => Ordering::Less,
            (Value::Word(_), Value::Number(_)) => Ordering::Greater,
            (Value::Word(a), Value::Word(b)) => (size(a), a).cmp(&(size(b), b)),
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

/// An amount of memory of whole MiB.
pub(super) fn memory_mib(word: &str) -> Option<u64> {
    let (digits, mib) = match (word.strip_suffix("MiB"), word.strip_suffix("GiB")) {
        (Some(digits), _) => (digits, 1),
        (_, Some(digits)) => (digits, 1024),
        _ => return None,
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(mib)
}

/// So many MiB, as they are written.
pub(super) fn of_mib(mib: u64) -> String {
    if mib > 0 && mib.is_multiple_of(1024) { format!("{}GiB", mib / 1024) } else { format!("{mib}MiB") }
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
        let mut sizes = ["1GiB", "none", "64MiB", "2048MiB"].map(Value::word);
        sizes.sort();
        assert_eq!(sizes.map(|value| value.to_string()), ["none", "64MiB", "1GiB", "2048MiB"]);
    }

    #[test]
    fn an_amount_of_memory_is_read_as_it_is_written_and_nothing_else_is() {
        for (text, mib) in [("1MiB", 1), ("64MiB", 64), ("1GiB", 1024), ("3GiB", 3072)] {
            assert_eq!((memory_mib(text), of_mib(mib)), (Some(mib), text.to_owned()));
        }
        for text in [
            "",
            "MiB",
            "64",
            "64MB",
            "-1MiB",
            "+1MiB",
            "1.5GiB",
            "1 MiB",
            "99999999999999999999GiB",
            "18446744073709551615GiB",
        ] {
            assert_eq!(memory_mib(text), None, "{text}");
        }
    }
}
