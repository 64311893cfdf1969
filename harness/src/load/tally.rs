//! The counts of a phase while they grow.
//!
//! Owns what is counted and how names are; the report that is made of it is [`super::report`]'s. Rule: counting
//! allocates nothing once every name has been met.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::failure::{Failure, Failures};
use super::latency::nanoseconds;
use crate::load::latency;

/// The counts of a phase while it runs.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) completed: u64,
    pub(crate) failed: Failures,
    pub(crate) non_2xx: u64,
    pub(crate) received_bytes: u64,
    pub(crate) body_bytes: u64,
    pub(crate) latency_ns: Histogram<u64>,
    /// From when each request was due; empty in the closed loop.
    pub(crate) since_due_ns: Histogram<u64>,
    /// From when each request was due to when it was sent; empty in the closed loop.
    pub(crate) late_ns: Histogram<u64>,
    pub(crate) per_backend: Names,
    /// Answers that a cache has given.
    pub(crate) from_cache: u64,
    pub(crate) connections_opened: u64,
    pub(crate) keep_alive_requests: u64,
    pub(crate) closed_by_client: u64,
    /// How long these were waited for, all together.
    pub(crate) close_waited: Duration,
    /// What was wrong with the first response that was none.
    pub(crate) first_malformed: Option<&'static str>,
    pub(crate) server_software: Option<String>,
    pub(crate) document_bytes: Option<u64>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Tally {
            completed: 0,
            failed: Failures::default(),
            non_2xx: 0,
            received_bytes: 0,
            body_bytes: 0,
            latency_ns: latency::histogram(),
            since_due_ns: latency::histogram(),
            late_ns: latency::histogram(),
            per_backend: Names::default(),
            from_cache: 0,
            connections_opened: 0,
            keep_alive_requests: 0,
            closed_by_client: 0,
            close_waited: Duration::ZERO,
            first_malformed: None,
            server_software: None,
            document_bytes: None,
        }
    }

    /// A request has been sent, `late` after it was due.
    pub(crate) fn sent(&mut self, late: Duration) {
        self.late_ns.saturating_record(nanoseconds(late));
    }

    /// A request was answered, `took` after it was sent and `since_due` after it was due.
    pub(crate) fn answered(&mut self, took: Duration, since_due: Option<Duration>) {
        self.latency_ns.saturating_record(nanoseconds(took));
        if let Some(since_due) = since_due {
            self.since_due_ns.saturating_record(nanoseconds(since_due));
        }
    }

    pub(crate) fn fail(&mut self, failure: Failure) {
        let failed = &mut self.failed;
        *match failure {
            Failure::Connect => &mut failed.connect,
            Failure::Receive => &mut failed.receive,
            Failure::Length => &mut failed.length,
            Failure::Content => &mut failed.content,
            Failure::Malformed => &mut failed.malformed,
            Failure::Timeout => &mut failed.timeout,
        } += 1;
    }
}

/// Counts by name, for few names: no allocation once each has been met.
#[derive(Debug, Default)]
pub(crate) struct Names {
    entries: Vec<(Vec<u8>, u64)>,
}

/// Names told apart at most; a server that makes up more does not make memory grow.
const MAX_NAMES: usize = 1024;
/// The longest name.
const MAX_NAME_BYTES: usize = 256;

impl Names {
    /// Where `name` is counted; `None` when there are too many, or it is too long.
    pub(crate) fn place(&mut self, name: &[u8]) -> Option<usize> {
        if let Some(place) = self.entries.iter().position(|(known, _)| known == name) {
            return Some(place);
        }
        if self.entries.len() == MAX_NAMES || name.len() > MAX_NAME_BYTES {
            return None;
        }
        self.entries.push((name.to_vec(), 0));
        Some(self.entries.len() - 1)
    }

    pub(crate) fn count(&mut self, place: usize) {
        if let Some((_, count)) = self.entries.get_mut(place) {
            *count += 1;
        }
    }

    /// Every name, each at its place.
    pub(crate) fn all(&self) -> Vec<String> {
        self.entries.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect()
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        let met = self.entries.iter().filter(|(_, count)| *count > 0);
        met.map(|(name, count)| (String::from_utf8_lossy(name).into_owned(), *count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_apart_and_bounded() {
        let mut names = Names::default();
        for name in ["b", "a", "b"] {
            let place = names.place(name.as_bytes()).unwrap();
            names.count(place);
        }
        assert_eq!(names.counts(), BTreeMap::from([("a".into(), 1), ("b".into(), 2)]));
        for made_up in 0..2 * MAX_NAMES {
            names.place(made_up.to_string().as_bytes());
        }
        assert_eq!(names.entries.len(), MAX_NAMES);
        assert_eq!(Names::default().place(&[b'x'; MAX_NAME_BYTES + 1]), None);
    }
}
