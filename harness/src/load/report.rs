//! What a load measured: the counts while they grow, and the report that is made of them.
//!
//! Rules: `completed + failed = requests`; a response that is not 2xx but whole is completed and counted as non-2xx
//! beside; integers carry their units; the JSON form is read back by the harness with the same type.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::verify::Mismatch;
use crate::load::latency;

/// The result of one timed window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadReport {
    /// Where the requests went, in turn.
    pub urls: Vec<String>,
    /// Requests outstanding at any time; in the open loop, at most.
    pub concurrency: u32,
    /// Whether connections were persistent.
    pub keep_alive: bool,
    /// Requests of the window: all were sent, or tried to be.
    pub requests: u64,
    /// Responses that came whole and, if 2xx, with the right body.
    pub completed: u64,
    /// The others, by what went wrong.
    pub failed: Failures,
    /// Completed responses whose status was not 2xx.
    pub non_2xx: u64,
    /// From just before the first request to the end of the last response, nanoseconds.
    pub elapsed_ns: u64,
    /// Bytes received: heads and bodies, framing and failed responses included.
    pub received_bytes: u64,
    /// Bytes of bodies among them.
    pub body_bytes: u64,
    /// Time of each completed response in nanoseconds: an HdrHistogram, V2 serialisation, base64. From just before
    /// the connect (close) or the write (keep-alive) to the last byte of the response. In both loops it leaves out the
    /// wait before that: the closed loop has none to tell (coordinated omission), the open loop's is in `open_loop`.
    pub latency_ns_hdr: String,
    /// Completed responses by the name in their `X-Backend` field; those without one are not in it.
    pub per_backend: BTreeMap<String, u64>,
    /// Connections that were opened in the window.
    pub connections_opened: u64,
    /// Completed requests whose connection stayed open for another (`ab`'s keep-alive requests).
    pub keep_alive_requests: u64,
    /// Connections that the server announced to close, or was asked to, and did not within a bounded wait.
    pub closed_by_client: u64,
    /// `Server` field of the first response.
    pub server_software: Option<String>,
    /// Length of the body of the first completed response, bytes.
    pub document_bytes: u64,
    /// Requests sent before the window.
    pub warmup_requests: u64,
    /// Of these, how many failed or were not answered with 2xx.
    pub warmup_failed: u64,
    /// What only the open loop has to tell; absent when the loop was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_loop: Option<OpenLoop>,
}

/// A window at a fixed rate: how its schedule was kept, and the times from when each request was due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenLoop {
    /// Requests per second that were due, evenly spaced.
    pub rate: u64,
    /// Completed requests per thousand seconds. The window counts until the last response, and at least for
    /// `requests / rate`.
    pub achieved_milli_per_s: u64,
    /// Whether the rate was kept: at least 99 % of it achieved, and no backlog that grew to the end. Latencies at a
    /// rate that was not are as long as the window lets them become, and say nothing about the server.
    pub sustained: bool,
    /// Whether in the last quarter of the schedule no request found a free connection when it came due, and they
    /// waited longer than those of the quarter before.
    pub backlog_grew: bool,
    /// Requests that came due while every connection was busy.
    pub waited: u64,
    /// The longest time from when a request was due to when it was sent, nanoseconds.
    pub behind_ns: u64,
    /// Time of each completed response from when its request was due to its last byte, nanoseconds, in the form of
    /// `latency_ns_hdr`.
    pub latency_ns_hdr: String,
    /// How much later than due each request was sent, nanoseconds, in the same form: timer and scheduler where it did
    /// not wait for a connection. Failed requests are in it.
    pub late_ns_hdr: String,
}

impl OpenLoop {
    /// Completed requests per second.
    pub fn achieved_per_second(&self) -> f64 {
        self.achieved_milli_per_s as f64 / 1e3
    }
}

impl LoadReport {
    /// Every request of window and warm-up was answered with 2xx and the right body.
    pub fn is_clean(&self) -> bool {
        self.completed == self.requests && self.non_2xx == 0 && self.warmup_failed == 0
    }

    /// Requests per second over the window.
    pub fn requests_per_second(&self) -> f64 {
        self.completed as f64 * 1e9 / self.elapsed_ns.max(1) as f64
    }
}

/// Requests that failed, by what went wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// No connection.
    pub connect: u64,
    /// The stream was cut or reset before the response was whole.
    pub receive: u64,
    /// A body of another length than it should have, or bytes after it.
    pub length: u64,
    /// A body of the right length with wrong bytes.
    pub content: u64,
    /// Not an HTTP/1 response.
    pub malformed: u64,
    /// No whole response in time.
    pub timeout: u64,
}

impl Failures {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.connect + self.receive + self.length + self.content + self.malformed + self.timeout
    }
}

/// What went wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No connection.
    Connect,
    /// The stream was cut or reset before the response was whole.
    Receive,
    /// A body of another length than it should have, or bytes after it.
    Length,
    /// A body of the right length with wrong bytes.
    Content,
    /// Not an HTTP/1 response.
    Malformed,
    /// No whole response in time.
    Timeout,
}

impl From<Mismatch> for Failure {
    fn from(mismatch: Mismatch) -> Self {
        match mismatch {
            Mismatch::Length => Failure::Length,
            Mismatch::Content => Failure::Content,
        }
    }
}

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
    pub(crate) connections_opened: u64,
    pub(crate) keep_alive_requests: u64,
    pub(crate) closed_by_client: u64,
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
            connections_opened: 0,
            keep_alive_requests: 0,
            closed_by_client: 0,
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

/// `duration` in nanoseconds; the highest number for one of centuries.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
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
