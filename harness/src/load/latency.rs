//! Response times: one shape of histogram for recording, its text form in `trials.jsonl`, and which percentiles of it
//! may be told.
//!
//! Owns the bounds, the precision, the encoding (HdrHistogram V2, base64) and the rule how many requests must lie beyond a
//! percentile. Knows nothing of who records.

use std::time::Duration;

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

/// How many requests must lie beyond a percentile before it is printed. p99.9 of one trial of 10000 rests on 10
/// and is not; p99 of it rests on 100 and is.
pub const REQUESTS_BEYOND_A_PERCENTILE: u64 = 20;

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

/// A percentile of `latency`; `None` where fewer than [`REQUESTS_BEYOND_A_PERCENTILE`] requests lie beyond it.
pub fn percentile_ns(latency: &Histogram<u64>, percentile: f64) -> Option<u64> {
    let beyond = latency.len() as f64 * (1.0 - percentile / 100.0);
    // With some slack: 1 - 0.999 is not a thousandth in binary.
    (beyond + 1e-6 >= REQUESTS_BEYOND_A_PERCENTILE as f64).then(|| latency.value_at_percentile(percentile))
}

/// The same in ms.
pub fn percentile_ms(latency: &Histogram<u64>, percentile: f64) -> Option<f64> {
    percentile_ns(latency, percentile).map(|ns| ns as f64 / 1e6)
}

/// `duration` in nanoseconds; the highest number for one of centuries.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_told_where_twenty_requests_lie_beyond_it() {
        for (percentile, enough) in [(50.0, 40), (66.0, 59), (90.0, 200), (99.0, 2000), (99.9, 20_000)] {
            let mut latency = histogram();
            latency.saturating_record_n(5_000, enough - 1);
            assert_eq!(percentile_ns(&latency, percentile), None, "{percentile} of {}", enough - 1);
            latency.saturating_record(5_000);
            assert!(percentile_ns(&latency, percentile).is_some(), "{percentile} of {enough}");
        }
    }

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
