//! One report of several loads that went on at the same time.
//!
//! Owns what is added up and what is not. Rules: counts are sums, and histograms are merged bucket by bucket, so that
//! percentiles are those of all requests (they are never averaged); the window is the longest of all, each by its own clock; a
//! rate was sustained where every part of it was.

use hdrhistogram::Histogram;

use super::latency::{self, LatencyError};
use super::report::{LoadReport, OpenLoop, percentiles};

impl LoadReport {
    /// Of all of `parts`, which began together; empty where there is none.
    ///
    /// # Errors
    /// A histogram that is none.
    pub fn merged(parts: &[LoadReport]) -> Result<LoadReport, LatencyError> {
        let Some((first, others)) = parts.split_first() else { return Ok(LoadReport::default()) };
        let latency_ns = together(parts.iter().map(|part| part.latency_ns_hdr.as_str()))?;
        let mut whole = first.clone();
        for part in others {
            // Every field by name, so that a new one cannot be left out unseen.
            let LoadReport {
                incomplete,
                urls,
                concurrency,
                keep_alive: _,
                requests,
                completed,
                failed,
                first_malformed,
                non_2xx,
                elapsed_ns,
                received_bytes,
                body_bytes,
                latency_ns_hdr: _,
                percentiles: _,
                per_backend,
                from_cache,
                connections_opened,
                keep_alive_requests,
                closed_by_client,
                close_waited_ns,
                server_software: _,
                document_bytes: _,
                warmup_requests,
                warmup_failed,
                unsent,
                open_loop: _,
            } = part;
            whole.incomplete = whole.incomplete.take().or_else(|| incomplete.clone());
            for url in urls {
                if !whole.urls.contains(url) {
                    whole.urls.push(url.clone());
                }
            }
            whole.concurrency += concurrency;
            whole.requests += requests;
            whole.completed += completed;
            whole.failed.add(failed);
            whole.first_malformed = whole.first_malformed.take().or_else(|| first_malformed.clone());
            whole.non_2xx += non_2xx;
            whole.elapsed_ns = whole.elapsed_ns.max(*elapsed_ns);
            whole.received_bytes += received_bytes;
            whole.body_bytes += body_bytes;
            for (name, count) in per_backend {
                *whole.per_backend.entry(name.clone()).or_default() += count;
            }
            whole.from_cache += from_cache;
            whole.connections_opened += connections_opened;
            whole.keep_alive_requests += keep_alive_requests;
            whole.closed_by_client += closed_by_client;
            whole.close_waited_ns += close_waited_ns;
            whole.warmup_requests += warmup_requests;
            whole.warmup_failed += warmup_failed;
            whole.unsent += unsent;
        }
        if let Some(incomplete) = &mut whole.incomplete {
            incomplete.unanswered =
                parts.iter().filter_map(|part| Some(part.incomplete.as_ref()?.unanswered)).sum();
        }
        let open: Option<Vec<&OpenLoop>> = parts.iter().map(|part| part.open_loop.as_ref()).collect();
        let mut since_due_ns = None;
        whole.open_loop = None;
        if let Some(open) = open {
            let due = together(open.iter().map(|part| part.latency_ns_hdr.as_str()))?;
            let late = together(open.iter().map(|part| part.late_ns_hdr.as_str()))?;
            whole.open_loop = Some(OpenLoop {
                rate: open.iter().map(|part| part.rate).max().unwrap_or_default(),
                achieved_milli_per_s: open.iter().map(|part| part.achieved_milli_per_s).sum(),
                sustained: open.iter().all(|part| part.sustained),
                backlog_grew: open.iter().any(|part| part.backlog_grew),
                waited: open.iter().map(|part| part.waited).sum(),
                behind_ns: open.iter().map(|part| part.behind_ns).max().unwrap_or_default(),
                latency_ns_hdr: latency::encode(&due),
                late_ns_hdr: latency::encode(&late),
            });
            since_due_ns = Some(due);
        }
        whole.latency_ns_hdr = latency::encode(&latency_ns);
        whole.percentiles = percentiles(&latency_ns, since_due_ns.as_ref());
        Ok(whole)
    }
}

/// All times of several histograms in one.
fn together<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Histogram<u64>, LatencyError> {
    let mut all = latency::histogram();
    for text in texts {
        let one = latency::decode(text)?;
        all.add(&one).map_err(|error| LatencyError::Form(error.to_string()))?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::load::Failures;

    /// A load of some requests that took `ns`, to one backend.
    fn part(requests: u64, ns: u64, backend: &str) -> LoadReport {
        let mut times = latency::histogram();
        times.saturating_record_n(ns, requests);
        LoadReport {
            urls: vec![format!("http://{backend}/")],
            concurrency: 3,
            requests: requests + 1,
            completed: requests,
            failed: Failures { receive: 1, ..Failures::default() },
            elapsed_ns: requests * ns,
            latency_ns_hdr: latency::encode(&times),
            per_backend: [(backend.to_owned(), requests)].into(),
            ..LoadReport::default()
        }
    }

    #[test]
    fn percentiles_are_those_of_all_requests_and_counts_are_added_up() {
        // The median of each part is 1 ms or 9 ms; that of all is not between them.
        let whole = LoadReport::merged(&[part(900, 1_000_000, "b1"), part(100, 9_000_000, "b2")]).unwrap();
        assert_eq!((whole.requests, whole.completed, whole.failed.receive), (1002, 1000, 2));
        assert_eq!((whole.concurrency, whole.elapsed_ns), (6, 900_000_000));
        assert_eq!(whole.per_backend, [("b1".to_owned(), 900), ("b2".to_owned(), 100)].into());
        assert_eq!(whole.urls, ["http://b1/", "http://b2/"]);
        let at = |percent| {
            let found = whole.percentiles.iter().find(|known| known.percent == percent);
            found.unwrap().from_sent_ns / 100_000
        };
        assert_eq!((at(50), at(90), at(95)), (10, 10, 90));
        let mut all = latency::histogram();
        all.saturating_record_n(1_000_000, 900);
        all.saturating_record_n(9_000_000, 100);
        assert_eq!(latency::decode(&whole.latency_ns_hdr).unwrap(), all);
    }

    #[test]
    fn a_rate_is_sustained_where_every_part_of_it_is() {
        let open = |sustained| LoadReport {
            open_loop: Some(OpenLoop {
                sustained,
                achieved_milli_per_s: 1_000_000,
                behind_ns: 7,
                waited: 2,
                ..fixtures::open_loop(2000, 10)
            }),
            ..part(10, 5_000, "b")
        };
        let whole = LoadReport::merged(&[open(true), open(true)]).unwrap().open_loop.unwrap();
        assert_eq!((whole.rate, whole.achieved_milli_per_s), (2000, 2_000_000));
        assert_eq!((whole.sustained, whole.waited, whole.behind_ns), (true, 4, 7));
        assert_eq!(latency::decode(&whole.latency_ns_hdr).unwrap().len(), 20);
        assert!(LoadReport::merged(&[open(true), open(false)]).unwrap().missed_its_rate());
    }

    #[test]
    fn a_histogram_that_is_none_is_refused() {
        let broken = LoadReport { latency_ns_hdr: "%".into(), ..part(1, 1, "b") };
        assert!(LoadReport::merged(&[part(1, 1, "b"), broken]).is_err());
    }
}
