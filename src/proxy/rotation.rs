//! Whose turn it is: strict round robin over the backends that are not left out.
//!
//! Owns the turn and the order in which one request tries backends. Whether a backend is left out is
//! `health`'s knowledge. Rule: while no backend is left out, any n consecutive turns reach each of n backends once,
//! whichever threads take them (one atomic addition a request).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::error::Error;
use super::health::{Admission, Health};

/// Most backends of one balancer: a request remembers those that it has tried in the bits of one word.
pub const MOST_BACKENDS: usize = 128;

/// Index of a backend in the order in which the operator named them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendId(usize);

impl BackendId {
    /// Its place, from 0.
    pub fn index(self) -> usize {
        self.0
    }
}

/// The backends that one request has tried in vain.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tried(u128);

impl Tried {
    pub(crate) fn add(&mut self, backend: BackendId) {
        self.0 |= 1 << backend.0;
    }

    fn has(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
    }
}

#[derive(Debug)]
struct Backend {
    address: SocketAddr,
    health: Health,
}

/// The backends and the turn.
#[derive(Debug)]
pub(crate) struct Rotation {
    backends: Vec<Backend>,
    turn: AtomicUsize,
    retry_interval: Duration,
}

impl Rotation {
    pub(crate) fn new(addresses: &[SocketAddr], retry_interval: Duration) -> Result<Self, Error> {
        if addresses.is_empty() || addresses.len() > MOST_BACKENDS {
            return Err(Error::Config(format!(
                "a balancer needs between 1 and {MOST_BACKENDS} backends, not {}",
                addresses.len()
            )));
        }
        let backends =
            addresses.iter().map(|address| Backend { address: *address, health: Health::default() });
        Ok(Rotation { backends: backends.collect(), turn: AtomicUsize::new(0), retry_interval })
    }

    pub(crate) fn address(&self, backend: BackendId) -> SocketAddr {
        self.backends[backend.0].address
    }

    pub(crate) fn len(&self) -> usize {
        self.backends.len()
    }

    /// The backend that a new request goes to, and whether an idle connection to it will do. `now` counts from the
    /// proxy's beginning.
    pub(crate) fn take_turn(&self, now: Duration) -> (BackendId, bool) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.backends.len();
        let is_usable = |index: &usize| self.backends[*index].health.is_usable(now);
        let usable = (0..count).filter(is_usable).count();
        if usable == 0 {
            // With none left, one is tried anyway, so that recovery is noticed.
            return (BackendId(turn % count), true);
        }
        // Those left out give their turns to all others alike, not to their neighbour. Another thread may have changed
        // a backend's health since the count.
        let nth = (0..count).filter(is_usable).nth(turn % usable).unwrap_or(turn % count);
        match self.backends[nth].health.admit(now, self.retry_interval) {
            Admission::In => (BackendId(nth), true),
            // An old connection that still works would not tell whether new ones do, and leave it out for ever.
            Admission::Trial => (BackendId(nth), false),
            // Another request is trying that one already: no stampede.
            Admission::Out => {
                (self.after(BackendId(nth), Tried::default(), now).unwrap_or(BackendId(nth)), true)
            }
        }
    }

    /// The backend that a request goes to when `last` has failed it: the next usable one that it has not tried, or
    /// else none.
    pub(crate) fn after(&self, last: BackendId, tried: Tried, now: Duration) -> Option<BackendId> {
        let count = self.backends.len();
        (1..count)
            .map(|step| (last.0 + step) % count)
            .find(|index| !tried.has(*index) && self.backends[*index].health.is_usable(now))
            .map(BackendId)
    }

    pub(crate) fn connected(&self, backend: BackendId) {
        self.backends[backend.0].health.connected();
    }

    pub(crate) fn refused(&self, backend: BackendId, now: Duration) {
        self.backends[backend.0].health.refused(now, self.retry_interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);

    fn rotation(count: u16) -> Rotation {
        let addresses: Vec<SocketAddr> = (1..=count).map(|port| ([127, 0, 0, 1], port).into()).collect();
        Rotation::new(&addresses, INTERVAL).unwrap()
    }

    fn turns(rotation: &Rotation, count: usize, now: Duration) -> Vec<usize> {
        (0..count).map(|_| rotation.take_turn(now).0.index()).collect()
    }

    #[test]
    fn turns_are_taken_in_order() {
        assert_eq!(turns(&rotation(3), 7, Duration::ZERO), [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn a_refusing_backend_is_left_out_and_the_others_share_its_turns_alike() {
        let rotation = rotation(3);
        rotation.refused(BackendId(1), Duration::ZERO);
        let turns = turns(&rotation, 100, Duration::from_millis(10));
        assert!(!turns.contains(&1));
        assert_eq!(turns.iter().filter(|index| **index == 0).count(), 50);
    }

    #[test]
    fn one_request_tries_a_refusing_backend_when_the_interval_is_over() {
        let rotation = rotation(2);
        rotation.refused(BackendId(1), Duration::ZERO);
        let turns = turns(&rotation, 10, INTERVAL);
        assert_eq!(turns.iter().filter(|index| **index == 1).count(), 1);
    }

    #[test]
    fn whether_a_backend_accepts_again_is_not_judged_by_an_old_connection() {
        let rotation = rotation(2);
        rotation.refused(BackendId(1), Duration::ZERO);
        let turns: Vec<_> = (0..4).map(|_| rotation.take_turn(INTERVAL)).collect();
        assert_eq!(turns.iter().filter(|turn| **turn == (BackendId(1), false)).count(), 1);
        assert_eq!(turns.iter().filter(|turn| **turn == (BackendId(0), true)).count(), 3);
    }

    #[test]
    fn a_backend_that_accepts_again_is_back_in_turn() {
        let rotation = rotation(2);
        rotation.refused(BackendId(1), Duration::ZERO);
        rotation.connected(BackendId(1));
        assert_eq!(turns(&rotation, 4, Duration::ZERO), [0, 1, 0, 1]);
    }

    #[test]
    fn with_all_left_out_one_is_tried_anyway() {
        let rotation = rotation(2);
        rotation.refused(BackendId(0), Duration::ZERO);
        rotation.refused(BackendId(1), Duration::ZERO);
        assert_eq!(turns(&rotation, 2, Duration::ZERO), [0, 1]);
    }

    #[test]
    fn the_next_one_is_never_one_that_was_tried() {
        let rotation = rotation(3);
        let mut tried = Tried::default();
        tried.add(BackendId(2));
        tried.add(BackendId(0));
        assert_eq!(rotation.after(BackendId(0), tried, Duration::ZERO), Some(BackendId(1)));
        tried.add(BackendId(1));
        assert_eq!(rotation.after(BackendId(1), tried, Duration::ZERO), None);
    }

    #[test]
    fn turns_are_equal_when_many_threads_take_them() {
        let rotation = rotation(5);
        let counts: Vec<AtomicUsize> = (0..5).map(|_| AtomicUsize::new(0)).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        counts[rotation.take_turn(Duration::ZERO).0.index()].fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 800));
    }
}
