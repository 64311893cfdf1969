//! What a factor can be in a condition: a number, or a word of its own.

use std::fmt;

use serde::{Deserialize, Serialize};

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
