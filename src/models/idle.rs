//! Connections to backends that are kept for later use.
//!
//! Owns which one is handed out and how long one may wait. Where the pool lives (behind a mutex, or owned by one
//! thread) is the model's business, and its cost part of what is compared. Rules: the one used last goes out
//! first; one older than [`MOST_AGE`] never does; nor does one that is not silent, since what a backend says unasked would
//! be taken for the answer to the next client's request. A model with an event loop knows that from its events,
//! as of the last time that it asked for them; one that blocks has to ask the socket ([`Sound::of`]), which is part of
//! what blocking costs. One that is suspect (its answer had no body, and a broken backend may still send one) is kept back
//! for [`SETTLES`], and every model asks the socket then.
//!
//! What remains: bytes that come after the look, however shortly, are read as the beginning of the next answer. The
//! retry rule does not help there. A backend that was heard once is given no second chance: none of its connections is kept
//! ([`Proxy::spoke_unasked`]).

use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use roundtable::proxy::{BackendId, Proxy};

/// Idle connections kept for each backend.
pub(crate) const KEPT_PER_BACKEND: usize = 64;
/// Idle for longer than this: closed.
pub(crate) const MOST_AGE: Duration = Duration::from_secs(30);
/// How long a suspect connection is kept back.
pub(crate) const SETTLES: Duration = Duration::from_millis(100);

/// What an idle connection has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sound {
    /// Nothing, as it should be.
    Silent,
    /// Its end.
    Ended,
    /// Bytes that nobody has asked for.
    Speaks,
}

impl Sound {
    /// Asks the socket.
    pub(super) fn of(connection: &impl AsFd) -> Self {
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        match recv(connection.as_fd().as_raw_fd(), &mut [0], flags) {
            Err(Errno::EAGAIN) => Sound::Silent,
            Ok(1..) => Sound::Speaks,
            Ok(0) | Err(_) => Sound::Ended,
        }
    }
}

/// Whether an idle connection to `backend` can be used. Asks the socket, and tells the proxy if it should not have spoken.
pub(super) fn is_usable(proxy: &Proxy, backend: BackendId, connection: &impl AsFd) -> bool {
    let sound = Sound::of(connection);
    if sound == Sound::Speaks {
        proxy.spoke_unasked(backend);
    }
    sound == Sound::Silent
}

/// A connection that is kept.
#[derive(Debug)]
pub(super) struct Kept<C> {
    pub(super) connection: C,
    /// Its last answer may have had no end yet.
    pub(super) is_suspect: bool,
    since: Instant,
}

impl<C> Kept<C> {
    fn is_ready(&self, now: Instant) -> bool {
        !self.is_suspect || now.saturating_duration_since(self.since) >= SETTLES
    }
}

/// Idle connections by backend.
#[derive(Debug)]
pub(super) struct IdlePool<C> {
    /// Of each backend, in the order in which they came.
    idle: Vec<Vec<Kept<C>>>,
}

impl<C> IdlePool<C> {
    pub(super) fn new(backends: usize) -> Self {
        IdlePool { idle: (0..backends).map(|_| Vec::new()).collect() }
    }

    /// Keeps `connection`. Gives back one to be closed: the oldest when it is too old, or this one when enough are kept.
    pub(super) fn put(
        &mut self,
        backend: BackendId,
        connection: C,
        is_suspect: bool,
        now: Instant,
    ) -> Option<C> {
        let idle = &mut self.idle[backend.index()];
        let kept = Kept { connection, is_suspect, since: now };
        if idle.first().is_some_and(|first| now.saturating_duration_since(first.since) > MOST_AGE) {
            idle.push(kept);
            return Some(idle.remove(0).connection);
        }
        if idle.len() >= KEPT_PER_BACKEND {
            return Some(kept.connection);
        }
        idle.push(kept);
        None
    }

    /// The connection to `backend` that was used last, to be looked at by the caller. Those too old go to `close`.
    pub(super) fn take(&mut self, backend: BackendId, now: Instant, close: impl FnMut(C)) -> Option<Kept<C>> {
        let idle = &mut self.idle[backend.index()];
        let last = idle.iter().rposition(|kept| kept.is_ready(now))?;
        let kept = idle.remove(last);
        if now.saturating_duration_since(kept.since) <= MOST_AGE {
            return Some(kept);
        }
        // Those before it have waited for longer still.
        std::iter::once(kept).chain(idle.drain(..last)).map(|kept| kept.connection).for_each(close);
        None
    }
}

impl<C: PartialEq> IdlePool<C> {
    /// Forgets one connection that was found closed.
    pub(super) fn remove(&mut self, backend: BackendId, connection: &C) {
        self.idle[backend.index()].retain(|kept| kept.connection != *connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool_with(connections: &[u32], since: Instant) -> IdlePool<u32> {
        let mut pool = IdlePool::new(1);
        for connection in connections {
            assert_eq!(pool.put(BackendId::default(), *connection, false, since), None);
        }
        pool
    }

    fn taken(pool: &mut IdlePool<u32>, now: Instant) -> Option<u32> {
        pool.take(BackendId::default(), now, drop).map(|kept| kept.connection)
    }

    #[test]
    fn a_suspect_connection_is_kept_back_until_it_would_have_spoken() {
        let start = Instant::now();
        let mut pool = pool_with(&[1, 2], start);
        assert_eq!(pool.put(BackendId::default(), 3, true, start), None);
        assert_eq!(taken(&mut pool, start), Some(2), "the last one of those that are not suspect");
        let kept = pool.take(BackendId::default(), start + SETTLES, drop).unwrap();
        assert_eq!((kept.connection, kept.is_suspect), (3, true));
        assert_eq!(pool.put(BackendId::default(), 3, true, start), None);
        pool.take(BackendId::default(), start, drop);
        assert_eq!(taken(&mut pool, start), None, "nothing else is left");
    }

    #[test]
    fn the_connection_used_last_goes_out_first() {
        let start = Instant::now();
        let mut pool = pool_with(&[1, 2], start);
        assert_eq!(taken(&mut pool, start), Some(2));
    }

    #[test]
    fn stale_connections_never_go_out_and_are_all_closed() {
        let start = Instant::now();
        let mut pool = pool_with(&[1, 2], start);
        let later = start + MOST_AGE + Duration::from_millis(1);
        let mut closed = Vec::new();
        assert!(pool.take(BackendId::default(), later, |c| closed.push(c)).is_none());
        assert_eq!(closed, [2, 1]);
    }

    #[test]
    fn a_socket_tells_what_an_idle_connection_has_to_say() {
        use std::io::Write;
        use std::net::{TcpListener, TcpStream};
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pair = || {
            let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (ours, listener.accept().unwrap().0)
        };
        let (ours, mut theirs) = pair();
        assert_eq!(Sound::of(&ours), Sound::Silent);
        theirs.write_all(b"x").unwrap();
        // Blocks until it is there.
        ours.peek(&mut [0]).unwrap();
        assert_eq!(Sound::of(&ours), Sound::Speaks);
        let (ours, theirs) = pair();
        drop(theirs);
        ours.peek(&mut [0]).unwrap();
        assert_eq!(Sound::of(&ours), Sound::Ended);
    }

    #[test]
    fn connections_that_are_never_used_again_are_closed_one_by_one() {
        let start = Instant::now();
        let mut pool = pool_with(&[1, 2], start);
        let later = start + MOST_AGE + Duration::from_millis(1);
        let surplus: Vec<_> =
            [3, 4, 5].map(|connection| pool.put(BackendId::default(), connection, false, later)).into();
        assert_eq!(surplus, [Some(1), Some(2), None]);
    }

    #[test]
    fn no_more_than_the_bound_are_kept() {
        let start = Instant::now();
        let all: Vec<u32> = (0..KEPT_PER_BACKEND as u32).collect();
        let mut pool = pool_with(&all, start);
        assert_eq!(pool.put(BackendId::default(), 99, false, start), Some(99));
    }
}
