//! Response times: one shape of histogram for recording, and its text form in `trials.jsonl`.
//!
//! Owns the bounds, the precision and the encoding (HdrHistogram V2, base64). Knows nothing of who records.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use thiserror::Error;

/// Shortest time told apart, nanoseconds.
const LOWEST_NS: u64 = 1_000;
/// Longest time recorded as it is, nanoseconds; a longer one counts as this long.
const HIGHEST_NS: u64 = 120_000_000_000;
/// Significant decimal digits kept.
const DIGITS: u8 = 3;

/// A stored histogram that cannot be read back.
#[derive(Debug, Error)]
pub enum LatencyError {
    /// The text is not base64.
    #[error(
        "a stored latency histogram is not base64 ({0}); the trials file was altered: run the cell again"
    )]
    Base64(#[from] base64::DecodeError),
    /// The bytes are not a V2 histogram.
    #[error(
        "a stored latency histogram is not in HdrHistogram's V2 form ({0}); the trials file was altered: run the cell again"
    )]
    Form(String),
}

/// An empty histogram of nanoseconds. Record with `saturating_record`.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, DIGITS).expect("the bounds above are valid")
}

/// The text form of `histogram`.
pub fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2Serializer::new().serialize(histogram, &mut bytes).expect("writing to memory cannot fail");
    STANDARD.encode(bytes)
}

/// The histogram behind `text`.
pub fn decode(text: &str) -> Result<Histogram<u64>, LatencyError> {
    let bytes = STANDARD.decode(text)?;
    Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| LatencyError::Form(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_survives_its_text_form() {
        let mut before = histogram();
        for ns in [1_500, 80_000, 2_000_000_000] {
            before.saturating_record(ns);
        }
        assert_eq!(decode(&encode(&before)).unwrap(), before);
    }

    #[test]
    fn text_that_is_no_histogram_is_refused() {
        assert!(matches!(decode("%%%"), Err(LatencyError::Base64(_))));
        assert!(matches!(decode("AAAA"), Err(LatencyError::Form(_))));
    }
}
