//! A factor that a plan varies, and its stored form.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Factor, Value};

/// A factor that a plan varies, with its values in their order: more than one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// Which.
    pub factor: &'static Factor,
    /// What it is, one after the other.
    pub values: Vec<Value>,
}

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
    use crate::plan::factor::BACKENDS;

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
