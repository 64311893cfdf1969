//! What load to drive, and which loads are refused before anything is sent.

use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::bounds::{
    LEAST_DURATION, LEAST_TIMEOUT, MAX_CONCURRENCY, MAX_DATA_BYTES, MAX_DURATION, MAX_RATE, MAX_REQUESTS,
    MOST_TIMEOUT,
};
use super::error::LoadError;
use super::mix::ALL;
use super::part::Part;
use super::surge::Surge;

/// Descriptors beside the connections: standard streams, event queue, whatever the process has open.
const SPARE_DESCRIPTORS: u64 = 32;

/// What load to drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadConfig {
    /// Request i goes to URL i modulo their number.
    pub urls: Vec<String>,
    /// Requests in the timed window; `None`: as many as its duration lets through.
    pub requests: Option<u64>,
    /// How long requests are sent in the timed window; those that are then in hand are waited for. `None`: until all
    /// requests are. With both, whichever comes first.
    pub duration: Option<Duration>,
    /// Requests outstanding at any time; with a rate, at most.
    pub concurrency: u32,
    /// Requests per second that are due (open loop), in the warm-up too; `None`: each slot's next request follows its
    /// last response (closed loop).
    pub rate: Option<u64>,
    /// The open loop's requests come as those of a Poisson process; else evenly spaced.
    pub poisson: bool,
    /// When more is due than the open loop's rate, in order.
    pub surges: Vec<Surge>,
    /// Of the open loop's schedule, the part that this load drives; its requests and connections are its own already.
    pub part: Part,
    /// Persistent connections; else each request has one of its own.
    pub keep_alive: bool,
    /// Requests before the timed window, verified but not counted; fewer where they would take longer than its duration.
    pub warmup: u64,
    /// How long one response may take, from its request's beginning.
    pub timeout: Duration,
    /// Further request fields, each as `Name: value`.
    pub fields: Vec<String>,
    /// Request method.
    pub method: String,
    /// Body of each request.
    pub data: Option<Vec<u8>>,
    /// `user:password` of basic authentication.
    pub auth: Option<String>,
    /// So many percent of the requests repeat: they ask for a URL as it is, which a cache may have. The others ask for it with a
    /// query that nobody has asked for before. `None`: all ask for URLs as they are.
    pub hit_ratio: Option<u32>,
    /// What the body of each 2xx response must be; the first one's body when absent.
    pub expected_body: Option<Vec<u8>>,
    /// Whether a target may be another machine.
    pub allow_remote: bool,
    /// Whether what became of each request of the window is kept, one by one.
    pub record: bool,
}

impl Default for LoadConfig {
    /// One GET at a time, thirty seconds each, to nowhere.
    fn default() -> Self {
        LoadConfig {
            urls: Vec::new(),
            requests: Some(1),
            duration: None,
            concurrency: 1,
            rate: None,
            poisson: false,
            surges: Vec::new(),
            part: Part::WHOLE,
            keep_alive: false,
            warmup: 0,
            timeout: Duration::from_secs(30),
            fields: Vec::new(),
            method: "GET".to_owned(),
            data: None,
            auth: None,
            hit_ratio: None,
            expected_body: None,
            allow_remote: false,
            record: false,
        }
    }
}

impl LoadConfig {
    /// Refuses counts that make no sense.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let (requests, concurrency) = (self.requests, self.concurrency);
        let too_many = |asked, limit, what| Err(LoadError::TooMany { asked, limit, what });
        if self.urls.is_empty() {
            return Err(LoadError::NoUrl);
        }
        if requests.is_none() && self.duration.is_none() {
            return Err(LoadError::NoEnd);
        }
        if requests == Some(0) {
            return Err(LoadError::NoRequests);
        }
        if concurrency == 0 {
            return Err(LoadError::NoConcurrency);
        }
        let most = requests.unwrap_or_default().max(self.warmup);
        if most > MAX_REQUESTS {
            return too_many(most, MAX_REQUESTS, "requests");
        }
        if let Some(requests) = requests.filter(|&requests| u64::from(concurrency) > requests) {
            return Err(LoadError::ConcurrencyAboveRequests { concurrency, requests });
        }
        if concurrency > MAX_CONCURRENCY {
            return too_many(concurrency.into(), MAX_CONCURRENCY.into(), "concurrent requests");
        }
        if let Some(rate) = self.rate.filter(|rate| !(1..=MAX_RATE).contains(rate)) {
            return Err(LoadError::Rate { asked: rate });
        }
        let follow = |pair: &[Surge]| pair[0].until.is_some_and(|until| until <= pair[1].from);
        if !self.surges.windows(2).all(follow) {
            return Err(LoadError::Surges);
        }
        if !(LEAST_TIMEOUT..=MOST_TIMEOUT).contains(&self.timeout) {
            return Err(LoadError::Timeout { asked: self.timeout });
        }
        if let Some(asked) = self.duration.filter(|asked| !(LEAST_DURATION..=MAX_DURATION).contains(asked)) {
            return Err(LoadError::Duration { asked });
        }
        if let Some(asked) = self.hit_ratio.filter(|&percent| percent > ALL) {
            return Err(LoadError::HitRatio { asked });
        }
        if self.data.as_ref().is_some_and(|data| data.len() > MAX_DATA_BYTES) {
            return Err(LoadError::Data { reason: "it is longer than 64 MiB" });
        }
        Ok(())
    }

    /// Connections that are open at once.
    pub(crate) fn connections(&self) -> u64 {
        let each = if self.keep_alive { self.urls.len() as u64 } else { 1 };
        u64::from(self.concurrency) * each
    }
}

/// Raises this process's descriptor limit to what `connections` need, if it is lower.
pub(crate) fn allow_descriptors(connections: u64) -> Result<(), LoadError> {
    let needed = connections + SPARE_DESCRIPTORS;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|errno| LoadError::Poll(errno.into()))?;
    if needed <= soft {
        return Ok(());
    }
    let refused = LoadError::Descriptors { needed, limit: hard };
    if needed > hard {
        return Err(refused);
    }
    setrlimit(Resource::RLIMIT_NOFILE, needed, hard).map_err(|_| refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(requests: u64, concurrency: u32) -> LoadConfig {
        LoadConfig {
            urls: vec!["http://127.0.0.1/".into()],
            requests: Some(requests),
            concurrency,
            ..LoadConfig::default()
        }
    }

    #[test]
    fn counts_that_make_no_sense_are_refused() {
        assert!(config(1, 1).check().is_ok());
        assert!(matches!(LoadConfig::default().check(), Err(LoadError::NoUrl)));
        assert!(matches!(config(0, 1).check(), Err(LoadError::NoRequests)));
        assert!(matches!(config(1, 0).check(), Err(LoadError::NoConcurrency)));
        assert!(matches!(config(1, 2).check(), Err(LoadError::ConcurrencyAboveRequests { .. })));
        assert!(matches!(config(u64::MAX, 1).check(), Err(LoadError::TooMany { .. })));
        assert!(matches!(config(30_000, 20_001).check(), Err(LoadError::TooMany { .. })));
        for rate in [0, MAX_RATE + 1] {
            let paced = LoadConfig { rate: Some(rate), ..config(1, 1) };
            assert!(matches!(paced.check(), Err(LoadError::Rate { .. })));
        }
        for (first, second) in [("3@2s-3s", "2@1s-2s"), ("3@1s-", "2@2s-3s"), ("3@1s-3s", "2@2s-4s")] {
            let surges = [first, second].map(|text| text.parse().unwrap()).to_vec();
            let surging = LoadConfig { rate: Some(10), surges, ..config(1, 1) };
            assert!(matches!(surging.check(), Err(LoadError::Surges)));
        }
        for timeout in [Duration::ZERO, Duration::MAX] {
            let impatient = LoadConfig { timeout, ..config(1, 1) };
            assert!(matches!(impatient.check(), Err(LoadError::Timeout { .. })));
            let lasting = LoadConfig { duration: Some(timeout), ..config(1, 1) };
            assert!(matches!(lasting.check(), Err(LoadError::Duration { .. })));
        }
        let unlikely = LoadConfig { hit_ratio: Some(101), ..config(1, 1) };
        assert!(matches!(unlikely.check(), Err(LoadError::HitRatio { .. })));
        let endless = LoadConfig { requests: None, ..config(1, 1) };
        assert!(matches!(endless.check(), Err(LoadError::NoEnd)));
        let long = LoadConfig { data: Some(vec![0; MAX_DATA_BYTES + 1]), ..config(1, 1) };
        assert!(matches!(long.check(), Err(LoadError::Data { .. })));
    }

    #[test]
    fn a_duration_needs_no_number_of_requests() {
        let lasting = LoadConfig { duration: Some(MAX_DURATION), concurrency: 10, ..config(1, 1) };
        assert!(matches!(lasting.check(), Err(LoadError::ConcurrencyAboveRequests { .. })));
        assert!(LoadConfig { requests: None, ..lasting }.check().is_ok());
    }

    #[test]
    fn keep_alive_holds_a_connection_for_each_url() {
        let mut config = config(10, 5);
        config.urls = vec!["http://127.0.0.1/".into(); 3];
        assert_eq!(config.connections(), 5);
        config.keep_alive = true;
        assert_eq!(config.connections(), 15);
    }

    #[test]
    fn more_descriptors_than_the_hard_limit_are_refused() {
        assert!(matches!(allow_descriptors(1 << 40), Err(LoadError::Descriptors { .. })));
        allow_descriptors(1).unwrap();
    }
}
