//! What all sessions of one balancer share: configuration, the rotation, free buffers, and whether it is draining.
//!
//! Owns no connection. Everything here is read-only or atomic: no session ever waits for another one here.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::buf::Pool;
use super::error::Error;
use super::limits::Limits;
use super::rotation::{BackendId, Rotation};

/// What the operator decides.
#[derive(Debug, Clone)]
pub struct Config {
    /// The backends in the order of their turns.
    pub backends: Vec<SocketAddr>,
    /// The `Host` that a backend is told when a client of HTTP/1.0 names none: the address listened at.
    pub authority: String,
    /// Limits and timeouts.
    pub limits: Limits,
}

/// The shared half of a balancer.
#[derive(Debug)]
pub struct Proxy {
    pub(crate) limits: Limits,
    pub(crate) rotation: Rotation,
    pub(crate) pool: Pool,
    pub(crate) authority: String,
    beginning: Instant,
    draining: AtomicBool,
    in_flight: AtomicUsize,
}

impl Proxy {
    /// A balancer that begins at `now`. Refuses a configuration that cannot work.
    pub fn new(config: Config, now: Instant) -> Result<Self, Error> {
        config.limits.validate()?;
        Ok(Proxy {
            rotation: Rotation::new(&config.backends, config.limits.retry_interval)?,
            limits: config.limits,
            pool: Pool::new(),
            authority: config.authority,
            beginning: now,
            draining: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
        })
    }

    /// Limits and timeouts in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Where a driver connects to for `backend`.
    pub fn address(&self, backend: BackendId) -> SocketAddr {
        self.rotation.address(backend)
    }

    /// Number of backends.
    pub fn backend_count(&self) -> usize {
        self.rotation.len()
    }

    /// From now on every response says `Connection: close` and is the last one of its connection.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Exchanges that have a whole request and have not sent their whole response.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// `now` in the time that backends' health is kept in.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.beginning)
    }
}
