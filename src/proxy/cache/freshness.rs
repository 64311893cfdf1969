//! How long a stored response may be reused, and how old it is (RFC 9111 section 4.2).
//!
//! Owns the arithmetic of age. Rules: seconds, saturating; the wall clock is asked for the distance to `Date` alone, once, when a
//! response comes, so that a clock that is set changes nothing about what is stored.

use std::time::{Duration, Instant, SystemTime};

use super::directives::ResponseControl;
use crate::proxy::config::Heuristics;

/// Seconds since the epoch, as far as the balancer knows them.
pub(crate) type WallTime = Option<u64>;

/// How fresh an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Freshness {
    /// Seconds.
    pub(super) lifetime: u64,
    /// `corrected_initial_age`, seconds.
    pub(super) initial_age: u64,
    pub(super) received: Instant,
    pub(super) no_cache: bool,
    /// `must-revalidate`, `proxy-revalidate` or `s-maxage`.
    pub(super) must_revalidate: bool,
    pub(super) while_revalidating: Option<u64>,
    pub(super) if_error: Option<u64>,
}

impl Freshness {
    /// `current_age` in whole seconds.
    pub(crate) fn age(&self, now: Instant) -> u64 {
        self.initial_age.saturating_add(now.saturating_duration_since(self.received).as_secs())
    }

    /// Seconds that are left of the lifetime; what is not fresh has none or fewer.
    pub(crate) fn left(&self, now: Instant) -> i64 {
        // Both are far below the largest number.
        self.lifetime.min(1 << 40) as i64 - self.age(now).min(1 << 40) as i64
    }

    /// Whether it may be reused when it is stale, by whatever permission (section 4.2.4).
    pub(crate) fn may_be_stale(&self) -> bool {
        !self.must_revalidate && !self.no_cache
    }

    /// Whether it may stand in for an error now (RFC 5861 section 4).
    pub(crate) fn may_stand_in(&self, now: Instant) -> bool {
        let staleness = self.left(now).min(0).unsigned_abs();
        self.may_be_stale() && self.if_error.is_some_and(|most| staleness <= most)
    }
}

/// What a response's head says about time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    pub(super) date: Option<u64>,
    pub(super) age: Option<u64>,
    /// `Some(None)`: it is there and is no date, that is, in the past (section 5.3).
    pub(super) expires: Option<Option<u64>>,
    pub(super) last_modified: Option<u64>,
}

impl Times {
    /// Section 4.2.3.
    pub(super) fn initial_age(&self, wall: WallTime, delay: Duration) -> u64 {
        let apparent = match (wall, self.date) {
            (Some(now), Some(date)) => now.saturating_sub(date),
            _ => 0,
        };
        apparent.max(self.age.unwrap_or(0).saturating_add(delay.as_secs()))
    }

    /// The lifetime that was given (section 4.2.1). `targeted`: by a field that makes `Expires` count for nothing.
    pub(super) fn explicit_lifetime(
        &self,
        control: &ResponseControl,
        targeted: bool,
        wall: WallTime,
    ) -> Option<u64> {
        if let Some(seconds) = control.shared_max_age.or(control.max_age) {
            return Some(seconds);
        }
        match self.expires.filter(|_| !targeted)? {
            Some(expires) => Some(self.date.or(wall).map_or(0, |date| expires.saturating_sub(date))),
            None => Some(0),
        }
    }

    /// A share of the time since the last change (section 4.2.2).
    pub(super) fn heuristic_lifetime(&self, heuristics: &Heuristics, wall: WallTime) -> Option<u64> {
        let since = self.date.or(wall)?.saturating_sub(self.last_modified?);
        Some((since / 100 * u64::from(heuristics.percent)).min(heuristics.most.as_secs()))
    }
}

/// A date in any of HTTP's three forms (RFC 9110 section 5.6.7), with letters of any case.
pub(super) fn date(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let parsed = httpdate::parse_http_date(text).or_else(|_| httpdate::parse_http_date(&in_usual_case(text)));
    parsed.ok()?.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// `thu, 18 AUG` as `Thu, 18 Aug`, and the zone in capitals.
fn in_usual_case(text: &str) -> String {
    let mut usual = String::with_capacity(text.len());
    let mut begins = true;
    for character in text.chars() {
        usual.push(if begins { character.to_ascii_uppercase() } else { character.to_ascii_lowercase() });
        begins = !character.is_ascii_alphabetic();
    }
    match usual.strip_suffix("Gmt") {
        Some(rest) => format!("{rest}GMT"),
        None => usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_three_forms_and_any_case_and_in_no_other() {
        for text in [
            "Thu, 18 Aug 2050 02:01:18 GMT",
            "thu, 18 AUG 2050 02:01:18 gMt",
            "Thursday, 18-Aug-50 02:01:18 GMT",
            "Thu Aug 18 02:01:18 2050",
        ] {
            assert_eq!(date(text.as_bytes()), Some(2_544_400_878), "{text}");
        }
        for text in [
            "",
            "0",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "2050-08-18",
        ] {
            assert_eq!(date(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn an_age_is_the_larger_of_what_was_said_and_what_the_clock_says() {
        let times = Times { date: Some(1000), age: Some(30), ..Times::default() };
        assert_eq!(times.initial_age(Some(1010), Duration::from_secs(5)), 35);
        assert_eq!(times.initial_age(Some(1100), Duration::ZERO), 100);
        assert_eq!(times.initial_age(Some(900), Duration::ZERO), 30, "a date in the future is no age");
        assert_eq!(times.initial_age(None, Duration::ZERO), 30);
    }
}
