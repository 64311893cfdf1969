//! Active health checks: backends are asked at intervals, whether or not clients come.
//!
//! Owns the question, the count of successes and failures that it takes, and a thread for each backend that is
//! checked. The same under every model, and outside of it: a check never waits for a client or the other way round.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use roundtable::proxy::{BackendId, Proxy};

use crate::outages::Reporter;

/// A checking thread calls nothing deep.
const STACK_BYTES: usize = 128 * 1024;
/// An answer's head that is longer is none.
const MOST_HEAD: usize = 16 * 1024;
/// A check at shorter intervals would be a load of its own: a hundred a second for each backend are enough.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
/// No answer can be there sooner.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);
/// Longest interval and longest timeout.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// How backends are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    /// What is asked for; 2xx and 3xx are good answers.
    pub(crate) path: String,
    /// From the end of a check to the beginning of the next.
    pub(crate) interval: Duration,
    /// For connecting and answering together.
    pub(crate) timeout: Duration,
    /// Failures in a row that take a backend out.
    pub(crate) fall: u32,
    /// Successes in a row that take it in again.
    pub(crate) rise: u32,
}

impl Check {
    /// With the usual times: every 2 s, 1 s long, out after three failures, in after two successes.
    pub(crate) fn of(path: String) -> Self {
        Check { path, interval: Duration::from_secs(2), timeout: Duration::from_secs(1), fall: 3, rise: 2 }
    }

    /// Refuses what cannot be asked.
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        ensure!(
            self.path.starts_with('/') && self.path.bytes().all(|byte| byte.is_ascii_graphic()),
            "'{}' cannot be asked for by a health check; begin with '/', without spaces",
            self.path
        );
        for (name, time, shortest) in
            [("interval", self.interval, SHORTEST_INTERVAL), ("timeout", self.timeout, SHORTEST_TIMEOUT)]
        {
            ensure!(
                (shortest..=LONGEST).contains(&time),
                "the health check's {name} must be at least {}ms and at most an hour; write such as \"2s\"",
                shortest.as_millis()
            );
        }
        ensure!(
            self.fall > 0 && self.rise > 0,
            "a health check must fail or succeed at least once to change anything"
        );
        Ok(())
    }
}

/// Checks each of these from now on, and reports what has changed to `outages`.
pub(crate) fn start(
    proxy: &Arc<Proxy>,
    outages: &Reporter,
    checked: Vec<(BackendId, Check)>,
) -> io::Result<()> {
    for (backend, check) in checked {
        let (proxy, outages) = (Arc::clone(proxy), outages.clone());
        thread::Builder::new().name("health check".into()).stack_size(STACK_BYTES).spawn(move || {
            let mut record = Record::new(check.fall, check.rise);
            loop {
                let outcome = ask(proxy.address(backend), proxy.name(backend), &check);
                if let Some(is_up) = record.add(outcome.is_ok()) {
                    proxy.checked(backend, is_up);
                    outages.checked(backend, outcome.err());
                }
                thread::sleep(check.interval);
            }
        })?;
    }
    Ok(())
}

/// What checks have shown so far.
#[derive(Debug)]
struct Record {
    fall: u32,
    rise: u32,
    is_up: bool,
    /// Outcomes in a row that speak against `is_up`.
    against: u32,
}

impl Record {
    /// A backend is taken for well until checks say otherwise.
    fn new(fall: u32, rise: u32) -> Self {
        Record { fall, rise, is_up: true, against: 0 }
    }

    /// Whether the backend is up, if that has changed.
    fn add(&mut self, went_well: bool) -> Option<bool> {
        if went_well == self.is_up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        if self.against < if self.is_up { self.fall } else { self.rise } {
            return None;
        }
        self.against = 0;
        self.is_up = went_well;
        Some(went_well)
    }
}

/// Why a check failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Io(io::Error),
    Status(u16),
    NotHttp,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Io(error) => write!(f, "{error}"),
            Failure::Status(status) => write!(f, "status {status}"),
            Failure::NotHttp => f.write_str("its answer is not HTTP"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Io(error)
    }
}

fn ask(address: SocketAddr, host: &str, check: &Check) -> Result<(), Failure> {
    let deadline = Instant::now() + check.timeout;
    let left = || {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::Error::from(io::ErrorKind::TimedOut)) } else { Ok(left) }
    };
    let mut stream = TcpStream::connect_timeout(&address, left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    let path = &check.path;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: roundtable\r\nConnection: close\r\n\r\n"
    )?;
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    loop {
        stream.set_read_timeout(Some(left()?))?;
        let count = match stream.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            outcome => outcome?,
        };
        head.extend_from_slice(&piece[..count]);
        if let Some(status) = status_of(&head)? {
            return if (200..400).contains(&status) { Ok(()) } else { Err(Failure::Status(status)) };
        }
        if count == 0 || head.len() > MOST_HEAD {
            return Err(Failure::NotHttp);
        }
    }
}

/// The status of a response whose head may not be whole.
fn status_of(head: &[u8]) -> Result<Option<u16>, Failure> {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut response = httparse::Response::new(&mut fields);
    match response.parse(head) {
        Ok(status) if status.is_complete() => Ok(response.code),
        Ok(_) => Ok(None),
        Err(_) => Err(Failure::NotHttp),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn it_takes_failures_and_successes_in_a_row_to_change_anything() {
        let mut record = Record::new(3, 2);
        let outcomes = [false, false, true, false, false, false, false, true, false, true, true, true];
        let changes: Vec<_> = outcomes.into_iter().map(|well| record.add(well)).collect();
        let mut expected = [None; 12];
        expected[5] = Some(false);
        expected[10] = Some(true);
        assert_eq!(changes, expected);
    }

    #[test]
    fn only_a_good_answer_in_time_is_a_success() {
        let check = Check { timeout: Duration::from_millis(300), ..Check::of("/health".into()) };
        for (answer, told) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", None),
            ("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", None),
            ("HTTP/1.0 200 OK\r\n\r\nhi", None),
            ("HTTP/1.1 500 Internal Server Error\r\n\r\n", Some("status 500")),
            ("SSH-2.0\r\n", Some("not HTTP")),
            ("HTTP/1.1 200 OK\r\n", Some("not HTTP")),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                    request.push(byte[0]);
                }
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8(request).unwrap()
            });
            let outcome = ask(address, "a:1", &check);
            assert!(server.join().unwrap().starts_with("GET /health HTTP/1.1\r\nHost: a:1\r\n"));
            match told {
                None => assert!(outcome.is_ok(), "{answer:?}: {outcome:?}"),
                Some(told) => assert!(outcome.unwrap_err().to_string().contains(told), "{answer:?}"),
            }
        }
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(ask(silent.local_addr().unwrap(), "a:1", &check).is_err());
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        Check::of("/".into()).validate().unwrap();
        for check in [
            Check::of("x".into()),
            Check::of("/a b".into()),
            Check { interval: Duration::ZERO, ..Check::of("/".into()) },
            Check { interval: Duration::from_nanos(1), ..Check::of("/".into()) },
            Check { timeout: Duration::from_nanos(1), ..Check::of("/".into()) },
            Check { timeout: LONGEST * 2, ..Check::of("/".into()) },
            Check { fall: 0, ..Check::of("/".into()) },
        ] {
            assert!(check.validate().is_err(), "{check:?}");
        }
    }
}
