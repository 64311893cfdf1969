//! What can keep a load from being driven, and what to do about it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use humantime::format_duration;
use thiserror::Error;

use super::bounds::{LEAST_TIMEOUT, MAX_DURATION, MAX_RATE, MOST_TIMEOUT};
use super::latency::LatencyError;

/// Why no load was driven, or why it was given up.
#[derive(Debug, Error)]
pub enum LoadError {
    /// Nothing to aim at.
    #[error("there is no URL to load; give at least one, as in http://127.0.0.1:18000/")]
    NoUrl,
    /// Not a URL that this generator can read.
    #[error("cannot read the URL {url:?} ({reason}); write it as http://host:port/path")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Nobody can tell where the address ends and the port begins.
    #[error("the IPv6 address of {url:?} has no brackets; write {bracketed}")]
    NoBrackets {
        /// As it was given.
        url: String,
        /// Host and port as they should be.
        bracketed: String,
    },
    /// `https://`.
    #[error("{url:?} asks for TLS, which is not measured here; use an http:// URL")]
    Https {
        /// As it was given.
        url: String,
    },
    /// The host has no address.
    #[error("cannot resolve the host of {url:?} ({reason}); check its spelling, or give an address")]
    Unresolvable {
        /// As it was given.
        url: String,
        /// The resolver's reason.
        reason: io::Error,
    },
    /// Not this machine, and nobody said that this is meant.
    #[error(
        "{url:?} is at {address}, which is not this machine; load only servers that are yours, and say so with --allow-remote"
    )]
    Remote {
        /// As it was given.
        url: String,
        /// What it resolves to.
        address: SocketAddr,
    },
    /// Neither a number of requests nor a duration.
    #[error("nothing says when the load is to end; give a number of requests (-n), a duration (-z) or both")]
    NoEnd,
    /// No requests.
    #[error("cannot send 0 requests; ask for at least 1")]
    NoRequests,
    /// Nobody to send them.
    #[error("a concurrency of 0 sends nothing; ask for at least 1")]
    NoConcurrency,
    /// As `ab`.
    #[error(
        "a concurrency of {concurrency} is more than the {requests} requests; lower it, or ask for more requests"
    )]
    ConcurrencyAboveRequests {
        /// As it was given.
        concurrency: u32,
        /// As it was given.
        requests: u64,
    },
    /// A thread that would have nothing to do.
    #[error(
        "{threads} threads are more than a concurrency of {concurrency}: some would send nothing; ask for fewer, or for a higher \
         concurrency"
    )]
    ThreadsAboveConcurrency {
        /// As it was given.
        threads: u32,
        /// As it was given.
        concurrency: u32,
    },
    /// The system starts no more threads.
    #[error("cannot start {threads} threads ({reason}); ask for fewer, or raise the limit on threads")]
    Threads {
        /// How many there were to be.
        threads: usize,
        /// The system's reason.
        reason: io::Error,
    },
    /// What each request became is told by one thread.
    #[error("requests are recorded one by one by a single thread; leave --threads out")]
    ThreadsThatRecord,
    /// What the threads measured cannot be put together.
    #[error(
        "the threads' reports do not fit together ({0}); this is a fault of roundtable: leave --threads out"
    )]
    Merge(LatencyError),
    /// Beyond any use.
    #[error("{asked} is more than the {limit} {what} allowed; ask for fewer")]
    TooMany {
        /// As it was given.
        asked: u64,
        /// The most that is allowed.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
    /// No rate, or one that cannot be kept.
    #[error("a rate of {asked} requests per second is not between 1 and {MAX_RATE}; choose another")]
    Rate {
        /// As it was given.
        asked: u64,
    },
    /// Surges that do not follow one another.
    #[error(
        "a surge begins before the one before it has ended; give them in order, as in --surge 3@2s-4s --surge 2@5s-6s"
    )]
    Surges,
    /// No or too much patience.
    #[error(
        "a timeout of {} is out of bounds; give {} to {}",
        format_duration(*.asked), format_duration(LEAST_TIMEOUT), format_duration(MOST_TIMEOUT)
    )]
    Timeout {
        /// As it was given.
        asked: Duration,
    },
    /// No or too long a window.
    #[error(
        "a duration of {asked:?} is not between 1 ms and {} days; choose another",
        MAX_DURATION.as_secs() / (24 * 3600)
    )]
    Duration {
        /// As it was given.
        asked: Duration,
    },
    /// More than all requests.
    #[error("{asked} percent of the requests cannot repeat; give 0 to 100")]
    HitRatio {
        /// As it was given.
        asked: u32,
    },
    /// No body that can be sent.
    #[error("cannot send this request body ({reason}); send a shorter one, or none, or another method")]
    Data {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not a name and a password.
    #[error("cannot send these credentials ({reason}); write them as user:password")]
    Auth {
        /// What is wrong with them.
        reason: &'static str,
    },
    /// No method, or one that this generator cannot follow.
    #[error("{method:?} is no method that can be driven here; use GET, HEAD or another token but CONNECT")]
    Method {
        /// As it was given.
        method: String,
    },
    /// Not a field, or one that the generator must set itself.
    #[error("cannot send the header {field:?} ({reason}); write it as 'Name: value'")]
    Field {
        /// As it was given.
        field: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The process may not hold that many connections.
    #[error(
        "{needed} descriptors are needed and only {limit} allowed; lower the concurrency, or raise the hard limit (ulimit -Hn)"
    )]
    Descriptors {
        /// For the connections asked for.
        needed: u64,
        /// The hard limit.
        limit: u64,
    },
    /// The event loop itself failed.
    #[error(
        "the kernel's event queue failed ({0}); look at the limits on open files and memory, then start again"
    )]
    Poll(io::Error),
    /// Somebody wanted to stop.
    #[error("interrupted by a signal; let it run to its end for a whole report")]
    Interrupted,
    /// Nobody answers any more, or ever did.
    #[error(
        "gave up after {failures} failures in a row at {address} ({reason}), with {completed} responses before; {}",
        remedy(.reason)
    )]
    GaveUp {
        /// Connects that failed and responses that did not come, one after the other.
        failures: u64,
        /// Where the last one was.
        address: SocketAddr,
        /// What the last one was.
        reason: io::Error,
        /// Responses that were complete before.
        completed: u64,
    },
}

impl LoadError {
    /// Whether the caller asked for what no machine could do.
    pub fn is_usage(&self) -> bool {
        match self {
            LoadError::NoUrl
            | LoadError::NoEnd
            | LoadError::Duration { .. }
            | LoadError::HitRatio { .. }
            | LoadError::Data { .. }
            | LoadError::Auth { .. }
            | LoadError::Url { .. }
            | LoadError::NoBrackets { .. }
            | LoadError::Https { .. }
            | LoadError::Remote { .. }
            | LoadError::NoRequests
            | LoadError::NoConcurrency
            | LoadError::ConcurrencyAboveRequests { .. }
            | LoadError::ThreadsAboveConcurrency { .. }
            | LoadError::ThreadsThatRecord
            | LoadError::TooMany { .. }
            | LoadError::Rate { .. }
            | LoadError::Surges
            | LoadError::Timeout { .. }
            | LoadError::Method { .. }
            | LoadError::Field { .. } => true,
            LoadError::Unresolvable { .. }
            | LoadError::Descriptors { .. }
            | LoadError::Poll(_)
            | LoadError::Merge(_)
            | LoadError::Threads { .. }
            | LoadError::Interrupted
            | LoadError::GaveUp { .. } => false,
        }
    }
}

fn remedy(reason: &io::Error) -> &'static str {
    match reason.kind() {
        io::ErrorKind::ConnectionRefused => "start a server there, or correct the URL",
        io::ErrorKind::AddrNotAvailable => {
            "wait a minute until the kernel has ephemeral ports again, or use keep-alive"
        }
        io::ErrorKind::TimedOut => "check that the server still answers, or allow more with --timeout",
        _ => "check the server",
    }
}
