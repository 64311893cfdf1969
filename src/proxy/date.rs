//! The field `Date` of a response that has none (RFC 9110 section 6.6.1).
//!
//! Owns the field's text. Rules: the core reads no clock, so it has to be told the time, once a second, and the text is made
//! only then; until it is told, it is a recipient without a clock and adds nothing.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use httpdate::fmt_http_date;

/// The beginning of the year 10000, which the format has no room for.
const END_OF_FORMAT: Duration = Duration::from_secs(253_402_300_800);

/// What time it is.
#[derive(Debug)]
pub(crate) struct Date {
    /// The whole line with its CRLF; empty while the time is not known.
    field: ArcSwap<String>,
    /// Since the epoch; 0 while the time is not known.
    seconds: AtomicU64,
}

impl Date {
    pub(crate) fn unknown() -> Self {
        Date { field: ArcSwap::from_pointee(String::new()), seconds: AtomicU64::new(0) }
    }

    /// It is `now`.
    pub(crate) fn tell(&self, now: SystemTime) {
        // A clock that shows neither can only be wrong.
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let can_be_written = now >= SystemTime::UNIX_EPOCH && since < END_OF_FORMAT;
        self.seconds.store(if can_be_written { since.as_secs() } else { 0 }, Ordering::Relaxed);
        let field = if can_be_written { format!("Date: {}\r\n", fmt_http_date(now)) } else { String::new() };
        self.field.store(Arc::new(field));
    }

    /// Seconds since the epoch.
    pub(crate) fn seconds(&self) -> Option<u64> {
        Some(self.seconds.load(Ordering::Relaxed)).filter(|seconds| *seconds > 0)
    }

    /// The line to be added to a head.
    pub(crate) fn field(&self) -> impl Deref<Target = Arc<String>> {
        self.field.load()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_added_while_the_time_is_not_known_or_cannot_be_written() {
        let date = Date::unknown();
        assert_eq!(date.field().as_str(), "");
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        date.tell(at(784_111_777));
        assert_eq!(date.field().as_str(), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        for impossible in [at(253_402_300_800), SystemTime::UNIX_EPOCH - Duration::from_secs(1)] {
            date.tell(at(784_111_777));
            date.tell(impossible);
            assert_eq!(date.field().as_str(), "");
        }
    }
}
