//! Connections to backends that are kept for later use.
//!
//! Owns which one is handed out and how long one may wait. Where the pool lives (behind a mutex, or owned by one
//! thread) is the model's business, and its cost part of what is compared. Rules: the one used last goes out
//! first; one that has waited for less than [`TRUSTED`] is handed out as it is, an older one only when the model's
//! probe finds it silent and open, one older than [`MOST_AGE`] never.

use std::time::{Duration, Instant};

use roundtable::proxy::BackendId;

/// Idle connections kept for each backend.
pub(crate) const KEPT_PER_BACKEND: usize = 64;
/// Idle for less than this: trusted without a look.
pub(crate) const TRUSTED: Duration = Duration::from_secs(1);
/// Idle for longer than this: closed.
pub(crate) const MOST_AGE: Duration = Duration::from_secs(30);

/// Idle connections by backend.
#[derive(Debug)]
pub(super) struct IdlePool<C> {
    idle: Vec<Vec<(C, Instant)>>,
}

impl<C> IdlePool<C> {
    pub(super) fn new(backends: usize) -> Self {
        IdlePool { idle: (0..backends).map(|_| Vec::new()).collect() }
    }

    /// Keeps `connection`, or gives it back to be closed when enough are kept.
    pub(super) fn put(&mut self, backend: BackendId, connection: C, now: Instant) -> Option<C> {
        let idle = &mut self.idle[backend.index()];
        if idle.len() >= KEPT_PER_BACKEND {
            return Some(connection);
        }
        idle.push((connection, now));
        None
    }

    /// An idle connection to `backend` that can be used. Those found unusable go to `close`.
    pub(super) fn take(
        &mut self,
        backend: BackendId,
        now: Instant,
        mut is_open: impl FnMut(&C) -> bool,
        mut close: impl FnMut(C),
    ) -> Option<C> {
        while let Some((connection, since)) = self.idle[backend.index()].pop() {
            let age = now.saturating_duration_since(since);
            if age < TRUSTED || (age <= MOST_AGE && is_open(&connection)) {
                return Some(connection);
            }
            close(connection);
        }
        None
    }
}

impl<C: PartialEq> IdlePool<C> {
    /// Forgets one connection that was found closed.
    pub(super) fn remove(&mut self, backend: BackendId, connection: &C) {
        self.idle[backend.index()].retain(|(idle, _)| idle != connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool_with(connections: &[u32], since: Instant) -> IdlePool<u32> {
        let mut pool = IdlePool::new(1);
        for connection in connections {
            assert_eq!(pool.put(BackendId::default(), *connection, since), None);
        }
        pool
    }

    #[test]
    fn the_connection_used_last_goes_out_first() {
        let start = Instant::now();
        let mut pool = pool_with(&[1, 2], start);
        assert_eq!(pool.take(BackendId::default(), start, |_| false, drop), Some(2));
    }

    #[test]
    fn an_older_connection_goes_out_only_when_the_probe_finds_it_open() {
        let start = Instant::now();
        let mut pool = pool_with(&[1, 2], start);
        let mut closed = Vec::new();
        let taken = pool.take(BackendId::default(), start + TRUSTED, |c| *c == 1, |c| closed.push(c));
        assert_eq!((taken, closed), (Some(1), vec![2]));
    }

    #[test]
    fn a_stale_connection_never_goes_out() {
        let start = Instant::now();
        let mut pool = pool_with(&[1], start);
        let later = start + MOST_AGE + Duration::from_millis(1);
        assert_eq!(pool.take(BackendId::default(), later, |_| true, drop), None);
    }

    #[test]
    fn no_more_than_the_bound_are_kept() {
        let start = Instant::now();
        let all: Vec<u32> = (0..KEPT_PER_BACKEND as u32).collect();
        let mut pool = pool_with(&all, start);
        assert_eq!(pool.put(BackendId::default(), 99, start), Some(99));
    }
}
