//! Connections to backends that are kept for later use.
//!
//! Owns which one is handed out and how long one may wait. Where the pool lives (behind a mutex, or owned by one
//! thread) is the model's business, and its cost part of what is compared. Rules: the one used last goes out
//! first; one older than [`MOST_AGE`] never does; nor does one that is not silent, since what a backend says unasked would
//! be taken for the answer to the next client's request. A model with an event loop knows that from its events,
//! as of the last time that it asked for them; one that blocks has to ask the socket ([`is_silent`]), which is part of what
//! blocking costs. What comes between the look and the use, however short, is met by the retry rule.

use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use roundtable::proxy::BackendId;

/// Idle connections kept for each backend.
pub(crate) const KEPT_PER_BACKEND: usize = 64;
/// Idle for longer than this: closed.
pub(crate) const MOST_AGE: Duration = Duration::from_secs(30);

/// Whether the other side of `connection` has neither closed nor said anything.
pub(super) fn is_silent(connection: &impl AsFd) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    recv(connection.as_fd().as_raw_fd(), &mut [0], flags) == Err(Errno::EAGAIN)
}

/// Idle connections by backend.
#[derive(Debug)]
pub(super) struct IdlePool<C> {
    idle: Vec<Vec<(C, Instant)>>,
}

impl<C> IdlePool<C> {
    pub(super) fn new(backends: usize) -> Self {
        IdlePool { idle: (0..backends).map(|_| Vec::new()).collect() }
    }

    /// Keeps `connection`. Gives back one to be closed: the oldest when it is too old, or this one when enough are kept.
    pub(super) fn put(&mut self, backend: BackendId, connection: C, now: Instant) -> Option<C> {
        let idle = &mut self.idle[backend.index()];
        if idle.first().is_some_and(|(_, since)| now.saturating_duration_since(*since) > MOST_AGE) {
            idle.push((connection, now));
            return Some(idle.remove(0).0);
        }
        if idle.len() >= KEPT_PER_BACKEND {
            return Some(connection);
        }
        idle.push((connection, now));
        None
    }

    /// The connection to `backend` that was used last, to be looked at by the caller. Those too old go to `close`.
    pub(super) fn take(&mut self, backend: BackendId, now: Instant, close: impl FnMut(C)) -> Option<C> {
        let idle = &mut self.idle[backend.index()];
        if let Some((connection, since)) = idle.pop() {
            if now.saturating_duration_since(since) <= MOST_AGE {
                return Some(connection);
            }
            // Those below it have waited for longer still.
            std::iter::once(connection).chain(idle.drain(..).map(|(older, _)| older)).for_each(close);
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
        assert_eq!(pool.take(BackendId::default(), start, drop), Some(2));
    }

    #[test]
    fn stale_connections_never_go_out_and_are_all_closed() {
        let start = Instant::now();
        let mut pool = pool_with(&[1, 2], start);
        let later = start + MOST_AGE + Duration::from_millis(1);
        let mut closed = Vec::new();
        assert_eq!(pool.take(BackendId::default(), later, |c| closed.push(c)), None);
        assert_eq!(closed, [2, 1]);
    }

    #[test]
    fn a_connection_that_has_said_something_or_goodbye_is_not_silent() {
        use std::io::Write;
        use std::net::{TcpListener, TcpStream};
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pair = || {
            let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (ours, listener.accept().unwrap().0)
        };
        let (ours, mut theirs) = pair();
        assert!(is_silent(&ours));
        theirs.write_all(b"x").unwrap();
        // Blocks until it is there.
        ours.peek(&mut [0]).unwrap();
        assert!(!is_silent(&ours));
        let (ours, theirs) = pair();
        drop(theirs);
        ours.peek(&mut [0]).unwrap();
        assert!(!is_silent(&ours));
    }

    #[test]
    fn connections_that_are_never_used_again_are_closed_one_by_one() {
        let start = Instant::now();
        let mut pool = pool_with(&[1, 2], start);
        let later = start + MOST_AGE + Duration::from_millis(1);
        let surplus: Vec<_> =
            [3, 4, 5].map(|connection| pool.put(BackendId::default(), connection, later)).into();
        assert_eq!(surplus, [Some(1), Some(2), None]);
    }

    #[test]
    fn no_more_than_the_bound_are_kept() {
        let start = Instant::now();
        let all: Vec<u32> = (0..KEPT_PER_BACKEND as u32).collect();
        let mut pool = pool_with(&all, start);
        assert_eq!(pool.put(BackendId::default(), 99, start), Some(99));
    }
}
