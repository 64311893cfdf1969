//! What a load measured, and how that is told.
//!
//! Rules: `completed + failed = requests`; a response that is not 2xx but whole is completed and counted as non-2xx
//! beside; integers carry their units; the JSON form is read back by the harness with the same type; a load that was
//! broken off is told by the same report, which says so.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::LoadConfig;
use super::failure::Failures;
use super::latency::nanoseconds;
use super::pace::Pace;
use super::tally::Tally;
use crate::load::latency;

/// The percentiles that `ab` prints, but for the longest request.
const PERCENTS: [u32; 8] = [50, 66, 75, 80, 90, 95, 98, 99];

/// The result of one timed window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoadReport {
    /// Why this is not the whole of what was asked for; absent when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<Incomplete>,
    /// Where the requests went, in turn.
    pub urls: Vec<String>,
    /// Requests outstanding at any time; in the open loop, at most.
    pub concurrency: u32,
    /// Whether connections were persistent.
    pub keep_alive: bool,
    /// Requests of the window that were answered or failed: all that were sent, unless the report is incomplete.
    pub requests: u64,
    /// Responses that came whole and, if 2xx, with the right body.
    pub completed: u64,
    /// The others, by what went wrong.
    pub failed: Failures,
    /// What was wrong with the first response that was malformed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_malformed: Option<String>,
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
    /// The percentiles of these times that enough requests lie beyond, and the longest (100).
    #[serde(default)]
    pub percentiles: Vec<Percentile>,
    /// Completed responses by the name in their `X-Backend` field; those without one, and those from a cache, are not in it.
    pub per_backend: BTreeMap<String, u64>,
    /// Completed responses that a cache gave, and no backend, as their `Cache-Status` field says (RFC 9211).
    #[serde(default)]
    pub from_cache: u64,
    /// Connections that were opened in the window.
    pub connections_opened: u64,
    /// Completed requests whose connection stayed open for another (`ab`'s keep-alive requests).
    pub keep_alive_requests: u64,
    /// Connections that the server announced to close, or was asked to, and did not within a bounded wait.
    pub closed_by_client: u64,
    /// How long these were waited for, all together, nanoseconds.
    #[serde(default)]
    pub close_waited_ns: u64,
    /// `Server` field of the first response.
    pub server_software: Option<String>,
    /// Length of the body of the first completed response, bytes.
    pub document_bytes: u64,
    /// Requests sent before the window.
    pub warmup_requests: u64,
    /// Of these, how many failed or were not answered with 2xx.
    pub warmup_failed: u64,
    /// Requests that were due at a fixed rate within the duration and were not sent, for want of a free connection.
    #[serde(default)]
    pub unsent: u64,
    /// What only the open loop has to tell; absent when the loop was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_loop: Option<OpenLoop>,
}

/// Why a report does not hold all that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Incomplete {
    /// In words, with what to do about it.
    pub reason: String,
    /// Requests that had been sent, with neither a response nor a failure yet. They are counted nowhere else.
    pub unanswered: u64,
}

/// How long the fastest so many percent of the completed responses took at most, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Percentile {
    /// So many percent; 100: all.
    pub percent: u32,
    /// From when the request was sent.
    pub from_sent_ns: u64,
    /// From when it was due; absent in the closed loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_due_ns: Option<u64>,
}

/// A window at a fixed rate: how its schedule was kept, and the times from when each request was due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenLoop {
    /// Requests per second that were due, evenly spaced.
    pub rate: u64,
    /// Completed requests per thousand seconds. The window counts until the last response, and at least for
    /// `requests / rate`.
    pub achieved_milli_per_s: u64,
    /// Whether the rate was kept: at least 99 % of it achieved, no backlog that grew to the end, and none that was left
    /// when the duration was over. Latencies at a
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
    fn of(rate: u64, tally: &Tally, pace: &Pace, elapsed: Duration) -> Self {
        let kept = pace.kept(tally.completed, elapsed);
        OpenLoop {
            rate,
            achieved_milli_per_s: kept.achieved_milli_per_s,
            sustained: kept.sustained,
            backlog_grew: kept.backlog_grew,
            waited: kept.waited,
            behind_ns: nanoseconds(kept.behind),
            latency_ns_hdr: latency::encode(&tally.since_due_ns),
            late_ns_hdr: latency::encode(&tally.late_ns),
        }
    }

    /// Completed requests per second.
    pub fn achieved_per_second(&self) -> f64 {
        self.achieved_milli_per_s as f64 / 1e3
    }
}

/// A report as `load --json` prints it: with what a reader would otherwise have to compute.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "roundtable load")]
pub struct Told<'a> {
    /// The report.
    #[serde(flatten)]
    pub report: &'a LoadReport,
    /// Completed requests per second over the window.
    pub requests_per_second: f64,
    /// Some of `percentiles`, milliseconds, by their names; one that too few requests lie beyond is absent. In the open loop
    /// from when each request was due, in the closed one from when it was sent.
    pub response_time_ms: BTreeMap<String, f64>,
}

impl LoadReport {
    /// As `load --json` prints it.
    pub fn told(&self) -> Told<'_> {
        let name = |percent: u32| if percent == 100 { "max".to_owned() } else { format!("p{percent}") };
        let ms = |of: &Percentile| of.from_due_ns.unwrap_or(of.from_sent_ns) as f64 / 1e6;
        Told {
            report: self,
            requests_per_second: self.requests_per_second(),
            response_time_ms: self.percentiles.iter().map(|of| (name(of.percent), ms(of))).collect(),
        }
    }

    /// The report of a window of `config` that took `elapsed`.
    pub(crate) fn of(config: &LoadConfig, tally: &Tally, pace: &Pace, elapsed: Duration) -> Self {
        LoadReport {
            incomplete: None,
            urls: config.urls.clone(),
            concurrency: config.concurrency,
            keep_alive: config.keep_alive,
            requests: tally.completed + tally.failed.total(),
            completed: tally.completed,
            failed: tally.failed,
            first_malformed: tally.first_malformed.map(str::to_owned),
            non_2xx: tally.non_2xx,
            elapsed_ns: nanoseconds(elapsed),
            received_bytes: tally.received_bytes,
            body_bytes: tally.body_bytes,
            latency_ns_hdr: latency::encode(&tally.latency_ns),
            percentiles: percentiles(&tally.latency_ns, pace.is_open().then_some(&tally.since_due_ns)),
            per_backend: tally.per_backend.counts(),
            from_cache: tally.from_cache,
            connections_opened: tally.connections_opened,
            keep_alive_requests: tally.keep_alive_requests,
            closed_by_client: tally.closed_by_client,
            close_waited_ns: nanoseconds(tally.close_waited),
            server_software: tally.server_software.clone().filter(|name| !name.is_empty()),
            document_bytes: tally.document_bytes.unwrap_or(0),
            warmup_requests: 0,
            warmup_failed: 0,
            unsent: pace.unsent(),
            open_loop: config.rate.map(|rate| OpenLoop::of(rate, tally, pace, elapsed)),
        }
    }

    /// The share of all connections' time that went by waiting for servers to close, 0 to 1.
    pub fn close_waited_share(&self) -> f64 {
        let all = self.elapsed_ns as f64 * f64::from(self.concurrency);
        if all > 0.0 { (self.close_waited_ns as f64 / all).min(1.0) } else { 0.0 }
    }

    /// A rate was asked for and not sustained.
    pub fn missed_its_rate(&self) -> bool {
        self.open_loop.as_ref().is_some_and(|open| !open.sustained)
    }

    /// Every request of window and warm-up was sent, and answered with 2xx and the right body.
    pub fn is_clean(&self) -> bool {
        self.incomplete.is_none()
            && self.completed == self.requests
            && self.non_2xx == 0
            && self.warmup_failed == 0
    }

    /// Requests per second over the window.
    pub fn requests_per_second(&self) -> f64 {
        self.completed as f64 * 1e9 / self.elapsed_ns.max(1) as f64
    }
}

/// What may be told of the times, in the order of [`PERCENTS`], and the longest.
pub(super) fn percentiles(from_sent: &Histogram<u64>, from_due: Option<&Histogram<u64>>) -> Vec<Percentile> {
    let mut told: Vec<_> = PERCENTS
        .iter()
        .filter_map(|&percent| {
            let at = |times| latency::percentile_ns(times, percent.into());
            let from_due_ns = from_due.and_then(at);
            Some(Percentile { percent, from_sent_ns: at(from_sent)?, from_due_ns })
        })
        .collect();
    if !from_sent.is_empty() {
        told.push(Percentile {
            percent: 100,
            from_sent_ns: from_sent.max(),
            from_due_ns: from_due.map(Histogram::max),
        });
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percents(requests: u64) -> Vec<u32> {
        let mut times = latency::histogram();
        times.saturating_record_n(7_000, requests);
        let told = percentiles(&times, Some(&times));
        assert!(told.iter().all(|p| p.from_due_ns == Some(p.from_sent_ns)), "{told:?}");
        told.iter().map(|percentile| percentile.percent).collect()
    }

    #[test]
    fn what_is_printed_as_json_has_rates_and_percentiles_as_numbers() {
        let at = |percent, from_sent_ns, from_due_ns| Percentile { percent, from_sent_ns, from_due_ns };
        let report = LoadReport {
            completed: 500,
            elapsed_ns: 250_000_000,
            percentiles: vec![
                at(50, 1_500_000, None),
                at(99, 2_000_000, Some(4_000_000)),
                at(100, 9_000_000, None),
            ],
            ..LoadReport::default()
        };
        let told = serde_json::to_value(report.told()).unwrap();
        assert_eq!(told["requests_per_second"], 2000.0);
        assert_eq!(told["response_time_ms"], serde_json::json!({"p50": 1.5, "p99": 4.0, "max": 9.0}));
        assert_eq!(told["completed"], 500);
    }

    #[test]
    fn percentiles_are_told_where_enough_requests_lie_beyond_them_and_the_longest_always() {
        assert_eq!(percents(0), [0_u32; 0]);
        assert_eq!(percents(1), [100]);
        assert_eq!(percents(39), [100]);
        assert_eq!(percents(40), [50, 100]);
        assert_eq!(percents(1000), [50, 66, 75, 80, 90, 95, 98, 100]);
        assert_eq!(percents(2000), [50, 66, 75, 80, 90, 95, 98, 99, 100]);
    }
}
