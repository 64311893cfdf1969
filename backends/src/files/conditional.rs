//! What tells one state of a file from another, and the requests that depend on it (RFC 9110 §8.8 and §13).
//!
//! Rules: the tag is made of size and time of modification, down to the nanosecond, so that equal servers behind one
//! balancer give equal files equal tags; a file that was modified within the last second might change again
//! within the resolution of its clock, so its validators are weak until then; a date that cannot be read is as if it
//! were not there, a tag that cannot be read is none of ours.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use memchr::memchr;

use crate::files::date::{http_date, parse};
use crate::request::Kept;

/// How old a state must be before it is taken as told apart from every other.
const SETTLED: Duration = Duration::from_secs(1);

/// What identifies the present state of a file.
#[derive(Debug)]
pub(super) struct Validators {
    /// Between the quotes.
    opaque: String,
    strong: bool,
    /// In whole seconds; `None` when the file's date has no form in HTTP.
    modified: Option<SystemTime>,
}

/// What the conditions of a request lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Proceed,
    NotModified,
    PreconditionFailed,
}

impl Validators {
    /// Those of a file of `size` bytes that was modified `seconds` and `nanoseconds` after 1970.
    pub(super) fn new(seconds: i64, nanoseconds: i64, size: u64, now: SystemTime) -> Self {
        let exactly = u64::try_from(seconds).ok().and_then(|seconds| {
            let nanoseconds = u64::try_from(nanoseconds).unwrap_or_default();
            UNIX_EPOCH
                .checked_add(Duration::from_secs(seconds))?
                .checked_add(Duration::from_nanos(nanoseconds))
        });
        let age = exactly.map(|exactly| now.duration_since(exactly).unwrap_or_default());
        Validators {
            opaque: format!("{seconds:x}-{nanoseconds:x}-{size:x}"),
            // Without a date it is from before 1970: old enough.
            strong: age.is_none_or(|age| age >= SETTLED),
            // A date in the future says nothing that a client could hold on to (§8.8.2.1).
            modified: exactly.map(|exactly| whole_seconds(exactly.min(now))),
        }
    }

    /// The value of the `ETag` field.
    pub(super) fn etag(&self) -> String {
        format!("{}\"{}\"", if self.strong { "" } else { "W/" }, self.opaque)
    }

    /// The value of the `Last-Modified` field.
    pub(super) fn last_modified(&self) -> Option<String> {
        self.modified.and_then(http_date)
    }

    /// Evaluates the conditions of a GET or HEAD in the order of §13.2.2.
    pub(super) fn evaluate(&self, asked: &Kept) -> Verdict {
        if let Some(list) = &asked.if_match {
            if !self.listed(list, Comparison::Strong) {
                return Verdict::PreconditionFailed;
            }
        } else if let (Some(date), Some(modified)) = (date(asked.if_unmodified_since.as_ref()), self.modified)
            && modified > date
        {
            return Verdict::PreconditionFailed;
        }
        if let Some(list) = &asked.if_none_match {
            if self.listed(list, Comparison::Weak) {
                return Verdict::NotModified;
            }
        } else if let (Some(date), Some(modified)) = (date(asked.if_modified_since.as_ref()), self.modified)
            && modified <= date
        {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }

    /// Whether `If-Range` lets a part be sent: its strong validator is that of the present state (§13.1.5).
    pub(super) fn allow_part(&self, if_range: &[u8]) -> bool {
        let tag = if_range.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        let same = match tag {
            Some(opaque) => opaque == self.opaque.as_bytes(),
            None => self.modified.is_some() && parse(if_range) == self.modified,
        };
        self.strong && same
    }

    /// Whether `list`, or `*`, has the tag of the present state. What is malformed ends the list.
    fn listed(&self, mut list: &[u8], comparison: Comparison) -> bool {
        if list == b"*" {
            return true;
        }
        loop {
            while let [b' ' | b'\t' | b',', rest @ ..] = list {
                list = rest;
            }
            let (weak, tag) = list.strip_prefix(b"W/").map_or((false, list), |tag| (true, tag));
            let Some(tag) = tag.strip_prefix(b"\"") else { return false };
            let Some(end) = memchr(b'"', tag) else { return false };
            let comparable = comparison == Comparison::Weak || (self.strong && !weak);
            if comparable && tag[..end] == *self.opaque.as_bytes() {
                return true;
            }
            list = &tag[end + 1..];
        }
    }
}

/// How tags are compared (§8.8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

fn date(field: Option<&Vec<u8>>) -> Option<SystemTime> {
    field.and_then(|value| parse(value))
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1994-11-06 08:49:37.5
    const MODIFIED: i64 = 784_111_777;
    const HALF: i64 = 500_000_000;
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn after(milliseconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(784_111_777) + Duration::from_millis(500 + milliseconds)
    }

    fn settled() -> Validators {
        Validators::new(MODIFIED, HALF, 10, after(1000))
    }

    fn verdict(field: fn(&mut Kept) -> &mut Option<Vec<u8>>, value: &str) -> Verdict {
        let mut asked = Kept::default();
        *field(&mut asked) = Some(value.into());
        settled().evaluate(&asked)
    }

    #[test]
    fn the_tag_tells_size_and_time_apart() {
        let tag =
            |seconds, nanoseconds, size| Validators::new(seconds, nanoseconds, size, after(5000)).etag();
        assert_eq!(tag(MODIFIED, HALF, 10), "\"2ebc98a1-1dcd6500-a\"");
        for other in [(MODIFIED + 1, HALF, 10), (MODIFIED, HALF + 1, 10), (MODIFIED, HALF, 11), (-1, 0, 10)] {
            assert_ne!(tag(other.0, other.1, other.2), tag(MODIFIED, HALF, 10));
        }
    }

    #[test]
    fn validators_are_weak_for_a_second() {
        assert_eq!(settled().etag(), "\"2ebc98a1-1dcd6500-a\"");
        let fresh = Validators::new(MODIFIED, HALF, 10, after(999));
        assert_eq!(fresh.etag(), "W/\"2ebc98a1-1dcd6500-a\"");
        assert!(!fresh.allow_part(b"\"2ebc98a1-1dcd6500-a\"") && !fresh.allow_part(DATE.as_bytes()));
        let asked = Kept { if_match: Some(b"\"2ebc98a1-1dcd6500-a\"".to_vec()), ..Kept::default() };
        assert_eq!(fresh.evaluate(&asked), Verdict::PreconditionFailed);
        let asked = Kept { if_none_match: Some(b"\"2ebc98a1-1dcd6500-a\"".to_vec()), ..Kept::default() };
        assert_eq!(fresh.evaluate(&asked), Verdict::NotModified);
    }

    #[test]
    fn no_date_of_a_file_is_beyond_reason() {
        assert_eq!(settled().last_modified().unwrap(), DATE);
        let future = Validators::new(i64::MAX, 0, 0, after(0));
        assert!(future.last_modified().is_none_or(|date| date == DATE));
        let future = Validators::new(MODIFIED + 1000, 0, 0, after(0));
        assert_eq!(future.last_modified().unwrap(), DATE);
        assert!(future.etag().starts_with("W/"));
        assert_eq!(Validators::new(i64::MIN, 0, 0, after(0)).last_modified(), None);
        assert_eq!(Validators::new(-1, 0, 0, after(0)).last_modified(), None);
    }

    #[test]
    fn if_none_match_compares_weakly_with_each_of_its_list() {
        for list in [
            "*",
            "\"2ebc98a1-1dcd6500-a\"",
            "W/\"2ebc98a1-1dcd6500-a\"",
            "\"x\", W/\"2ebc98a1-1dcd6500-a\"",
            ", \"a,b\",\t\"2ebc98a1-1dcd6500-a\"",
        ] {
            assert_eq!(verdict(|kept| &mut kept.if_none_match, list), Verdict::NotModified, "{list}");
        }
        for list in [
            "",
            "\"x\"",
            "2ebc98a1-1dcd6500-a",
            "\"2ebc98a1-1dcd6500-a",
            "\"x\", *",
            "w/\"2ebc98a1-1dcd6500-a\"",
        ] {
            assert_eq!(verdict(|kept| &mut kept.if_none_match, list), Verdict::Proceed, "{list}");
        }
    }

    #[test]
    fn if_match_compares_strongly() {
        for list in ["*", "\"2ebc98a1-1dcd6500-a\"", "W/\"x\", \"2ebc98a1-1dcd6500-a\""] {
            assert_eq!(verdict(|kept| &mut kept.if_match, list), Verdict::Proceed, "{list}");
        }
        for list in ["", "\"x\"", "W/\"2ebc98a1-1dcd6500-a\"", "nonsense"] {
            assert_eq!(verdict(|kept| &mut kept.if_match, list), Verdict::PreconditionFailed, "{list}");
        }
    }

    #[test]
    fn if_modified_since_compares_whole_seconds() {
        for (date, expected) in [
            (BEFORE, Verdict::Proceed),
            (DATE, Verdict::NotModified),
            (AFTER, Verdict::NotModified),
            ("never", Verdict::Proceed),
        ] {
            assert_eq!(verdict(|kept| &mut kept.if_modified_since, date), expected, "{date}");
        }
    }

    #[test]
    fn if_unmodified_since_is_the_reverse() {
        for (date, expected) in [
            (BEFORE, Verdict::PreconditionFailed),
            (DATE, Verdict::Proceed),
            (AFTER, Verdict::Proceed),
            ("never", Verdict::Proceed),
        ] {
            assert_eq!(verdict(|kept| &mut kept.if_unmodified_since, date), expected, "{date}");
        }
    }

    #[test]
    fn tags_go_before_dates() {
        let other = Some(b"\"other\"".to_vec());
        let asked = Kept { if_none_match: other, if_modified_since: Some(AFTER.into()), ..Kept::default() };
        assert_eq!(settled().evaluate(&asked), Verdict::Proceed);
        let own = Some(settled().etag().into_bytes());
        let asked = Kept { if_match: own, if_unmodified_since: Some(BEFORE.into()), ..Kept::default() };
        assert_eq!(settled().evaluate(&asked), Verdict::Proceed);
    }

    #[test]
    fn if_range_wants_the_very_same_state() {
        for same in ["\"2ebc98a1-1dcd6500-a\"", DATE] {
            assert!(settled().allow_part(same.as_bytes()), "{same}");
        }
        for other in
            ["", "*", "\"x\"", "W/\"2ebc98a1-1dcd6500-a\"", BEFORE, AFTER, "2ebc98a1-1dcd6500-a", "\""]
        {
            assert!(!settled().allow_part(other.as_bytes()), "{other}");
        }
    }
}
