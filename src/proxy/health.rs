//! What is known of one backend from the connections that were tried to it (passive health), and from health checks.
//!
//! Owns the rule: a failed connection attempt leaves the backend out for an interval; after it one request may try
//! it, the others only when that one got through. A failed health check leaves it out until one goes well. Times count
//! from the proxy's beginning; nobody here reads a clock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use std::{fmt, io};

use super::status::Condition;
use super::vocabulary::BackendId;

/// Somebody who wants to know when a backend is left out and when it is back. Called by whoever drives the session, and
/// only when something has changed: it must not wait. What two threads find at the same time may be told in either order.
pub trait Watcher: Send + Sync + fmt::Debug {
    /// A connection attempt has failed so, and the backend is left out from now on.
    fn left_out(&self, backend: BackendId, error: &io::Error);
    /// A connection was made again.
    fn returned(&self, backend: BackendId);
}

/// Whether a request goes to a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    In,
    /// To find out whether it accepts connections again.
    Trial,
    Out,
}

/// A backend's health.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Zero while the backend is in; else the time, in nanoseconds, from which it may be tried again.
    out_until_ns: AtomicU64,
    check_failed: AtomicBool,
}

impl Health {
    /// Whether a request may be sent there.
    pub(crate) fn is_usable(&self, now: Duration) -> bool {
        let until = self.out_until_ns.load(Ordering::Relaxed);
        (until == 0 || until <= nanoseconds(now)) && !self.check_failed.load(Ordering::Relaxed)
    }

    /// Whether a request goes there, and if the interval is over, takes the right to be the one that tries it.
    pub(crate) fn admit(&self, now: Duration, interval: Duration) -> Admission {
        let until = self.out_until_ns.load(Ordering::Relaxed);
        if until == 0 {
            return Admission::In;
        }
        let next = nanoseconds(now.saturating_add(interval)).max(1);
        let claimed = until <= nanoseconds(now)
            && self.out_until_ns.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if claimed { Admission::Trial } else { Admission::Out }
    }

    /// A connection was made. Whether the backend was left out until now.
    pub(crate) fn connected(&self) -> bool {
        // Reading first keeps the cache line shared between threads in the usual case.
        self.out_until_ns.load(Ordering::Relaxed) != 0 && self.out_until_ns.swap(0, Ordering::Relaxed) != 0
    }

    /// What health checks have found. A backend that they find well is in at once.
    pub(crate) fn checked(&self, is_up: bool) {
        self.check_failed.store(!is_up, Ordering::Relaxed);
        if is_up {
            self.connected();
        }
    }

    /// As an operator sees it.
    pub(crate) fn condition(&self, now: Duration) -> Condition {
        match self.out_until_ns.load(Ordering::Relaxed) {
            _ if self.check_failed.load(Ordering::Relaxed) => Condition::CheckFailed,
            0 => Condition::Up,
            until => Condition::LeftOut(Duration::from_nanos(until).saturating_sub(now)),
        }
    }

    /// A connection attempt failed for a reason of the backend's. Whether the backend was in until now.
    pub(crate) fn refused(&self, now: Duration, interval: Duration) -> bool {
        self.out_until_ns.swap(nanoseconds(now.saturating_add(interval)).max(1), Ordering::Relaxed) == 0
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
