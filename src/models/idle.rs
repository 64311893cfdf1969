//! Connections to backends that are kept for later use.
//!
//! Owns which one is handed out, how long one may wait and how many may. Where the pool lives ([behind a mutex](shared), or
//! owned by one thread) is the model's business, and its cost part of what is compared. Rules: whatever load has needed is kept,
//! up to a share of the process's descriptors ([`most_kept`]), since a smaller number would make a busy balancer close
//! connections and open others for nothing; the one used last goes out first, so that those that the load no longer needs grow
//! old; one older than [`MOST_AGE`] never goes out, and is closed at the next [sweep](IdlePool::expire), also where nobody asks
//! for anything any more; nor does one go out that is not silent, since what a backend says unasked would
//! be taken for the answer to the next client's request. A model with an event loop knows that from its events,
//! as of the last time that it asked for them; one that blocks has to ask the socket ([`Sound::of`]), which is part of
//! what blocking costs. One that is suspect (its answer had no body, and a broken backend may still send one) is kept back
//! for [`SETTLES`], and every model asks the socket then.
//!
//! What remains: bytes that come after the look, however shortly, are read as the beginning of the next answer. The
//! retry rule does not help there. A backend that was heard once is given no second chance: none of its connections is kept
//! ([`Proxy::spoke_unasked`]).

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{MsgFlags, recv};
use roundtable::proxy::{BackendId, Proxy};

use super::common::lock;

/// Idle connections kept at most, however many descriptors there are: some 30 MB of the kernel's memory.
pub(crate) const MOST_KEPT: usize = 8192;
/// The share of the process's descriptors that idle connections may have: one in so many.
pub(crate) const DESCRIPTOR_SHARE: usize = 4;
/// Idle for longer than this: never used again, and closed at the next sweep.
pub(crate) const MOST_AGE: Duration = Duration::from_secs(30);
/// How often those that are too old are looked for.
pub(super) const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How long a suspect connection is kept back.
pub(crate) const SETTLES: Duration = Duration::from_millis(100);
/// The sweeping thread calls nothing deep.
const SWEEPER_STACK_BYTES: usize = 64 * 1024;

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

    fn is_old(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) > MOST_AGE
    }
}

/// Idle connections by backend.
#[derive(Debug)]
pub(super) struct IdlePool<C> {
    /// Of each backend, in the order in which they came.
    idle: Vec<VecDeque<Kept<C>>>,
    /// Of all backends.
    count: usize,
    most: usize,
}

/// A pool that threads share, and the thread that sweeps it.
pub(super) type SharedIdle<C> = Arc<Mutex<IdlePool<C>>>;

/// A pool for `proxy`, one of so many in this process, that is swept as long as somebody has it.
pub(super) fn shared<C: Send + 'static>(proxy: &Proxy, pools: usize) -> io::Result<SharedIdle<C>> {
    let pool = Arc::new(Mutex::new(IdlePool::new(proxy.backend_count(), most_kept() / pools.max(1))));
    let swept = Arc::downgrade(&pool);
    let sweep = move || {
        loop {
            thread::sleep(SWEEP_INTERVAL);
            let Some(pool) = swept.upgrade() else { return };
            let old = lock(&pool).expire(Instant::now());
            // Closing them needs no lock.
            drop(old);
        }
    };
    thread::Builder::new().name("idle sweep".into()).stack_size(SWEEPER_STACK_BYTES).spawn(sweep)?;
    Ok(pool)
}

/// How many idle connections this process keeps, in all its pools together.
pub(super) fn most_kept() -> usize {
    let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    usize::try_from(descriptors)
        .map_or(MOST_KEPT, |descriptors| MOST_KEPT.min(descriptors / DESCRIPTOR_SHARE))
}

impl<C> IdlePool<C> {
    pub(super) fn new(backends: usize, most: usize) -> Self {
        IdlePool { idle: (0..backends).map(|_| VecDeque::new()).collect(), count: 0, most }
    }

    /// Keeps `connection`, or gives it back to be closed when enough are kept.
    pub(super) fn put(
        &mut self,
        backend: BackendId,
        connection: C,
        is_suspect: bool,
        now: Instant,
    ) -> Option<C> {
        if self.count >= self.most {
            return Some(connection);
        }
        self.count += 1;
        self.idle[backend.index()].push_back(Kept { connection, is_suspect, since: now });
        None
    }

    /// The connection to `backend` that was used last, to be looked at by the caller.
    pub(super) fn take(&mut self, backend: BackendId, now: Instant) -> Option<Kept<C>> {
        let idle = &mut self.idle[backend.index()];
        let last = idle.iter().rposition(|kept| kept.is_ready(now))?;
        // Those before it have waited for longer still, and all are the sweep's.
        if idle[last].is_old(now) {
            return None;
        }
        self.count -= 1;
        idle.remove(last)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes out those that are too old, to be closed. To be called every [`SWEEP_INTERVAL`].
    pub(super) fn expire(&mut self, now: Instant) -> Vec<C> {
        let mut old = Vec::new();
        for idle in &mut self.idle {
            let count = idle.partition_point(|kept| kept.is_old(now));
            old.extend(idle.drain(..count).map(|kept| kept.connection));
        }
        self.count -= old.len();
        old
    }
}

impl<C: PartialEq> IdlePool<C> {
    /// Forgets one connection that was found closed.
    pub(super) fn remove(&mut self, backend: BackendId, connection: &C) {
        let idle = &mut self.idle[backend.index()];
        // From the oldest on: these are the ones that backends close.
        if let Some(at) = idle.iter().position(|kept| kept.connection == *connection) {
            idle.remove(at);
            self.count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pool that keeps three.
    fn pool_with(connections: &[u32], since: Instant) -> IdlePool<u32> {
        let mut pool = IdlePool::new(1, 3);
        for connection in connections {
            assert_eq!(pool.put(BackendId::default(), *connection, false, since), None);
        }
        pool
    }

    fn taken(pool: &mut IdlePool<u32>, now: Instant) -> Option<u32> {
        pool.take(BackendId::default(), now).map(|kept| kept.connection)
    }

    #[test]
    fn a_suspect_connection_is_kept_back_until_it_would_have_spoken() {
        let start = Instant::now();
        let mut pool = pool_with(&[1, 2], start);
        assert_eq!(pool.put(BackendId::default(), 3, true, start), None);
        assert_eq!(taken(&mut pool, start), Some(2), "the last one of those that are not suspect");
        let kept = pool.take(BackendId::default(), start + SETTLES).unwrap();
        assert_eq!((kept.connection, kept.is_suspect), (3, true));
        assert_eq!(pool.put(BackendId::default(), 3, true, start), None);
        pool.take(BackendId::default(), start);
        assert_eq!(taken(&mut pool, start), None, "nothing else is left");
    }

    #[test]
    fn the_connection_used_last_goes_out_first() {
        let start = Instant::now();
        let mut pool = pool_with(&[1, 2], start);
        assert_eq!(taken(&mut pool, start), Some(2));
    }

    #[test]
    fn stale_connections_never_go_out_and_are_closed_by_the_sweep() {
        let start = Instant::now();
        let mut pool = pool_with(&[1, 2], start);
        let later = start + MOST_AGE + Duration::from_millis(1);
        assert_eq!(taken(&mut pool, later), None);
        assert_eq!(pool.put(BackendId::default(), 4, false, later), None);
        assert_eq!(pool.expire(later), [1, 2]);
        assert_eq!(taken(&mut pool, later), Some(4));
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
    fn a_connection_that_was_found_closed_is_forgotten() {
        let start = Instant::now();
        let mut pool = pool_with(&[1, 2, 3], start);
        pool.remove(BackendId::default(), &2);
        assert_eq!([(); 3].map(|()| taken(&mut pool, start)), [Some(3), Some(1), None]);
    }

    #[test]
    fn no_more_than_the_bound_are_kept_in_all() {
        let start = Instant::now();
        let mut pool = pool_with(&[1, 2, 3], start);
        assert_eq!(pool.put(BackendId::default(), 4, false, start), Some(4));
        // One that was forgotten, taken or closed leaves its place to another.
        pool.remove(BackendId::default(), &1);
        assert_eq!(pool.put(BackendId::default(), 4, false, start), None);
        assert_eq!(taken(&mut pool, start), Some(4));
        assert_eq!(pool.put(BackendId::default(), 5, false, start), None);
        assert_eq!(pool.put(BackendId::default(), 6, false, start), Some(6));
        assert_eq!(pool.expire(start + MOST_AGE * 2).len(), 3);
        assert_eq!(pool.put(BackendId::default(), 6, false, start), None);
    }
}
