//! One backend: where it is, whether it may be used, and what has passed between it and the balancer.
//!
//! Owns the slots (exchanges in hand, up to the bound) and the counters. Whose turn it is stands in `rotation`, what is
//! known of its health in `health`. Rule: a slot that was taken is given back exactly once, by the session that took it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::config::Member;
use super::health::Health;
use super::surplus::Surplus;
use super::vocabulary::Mode;

const MODES: [Mode; 3] = [Mode::Enabled, Mode::Draining, Mode::Disabled];

/// A backend's state, shared by all sessions.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// The address in text.
    pub(crate) authority: String,
    pub(crate) health: Health,
    pub(crate) counters: Counters,
    pub(crate) surplus: Surplus,
    most_connections: Option<u32>,
    weight: AtomicU32,
    mode: AtomicU8,
    in_use: AtomicU32,
}

/// What has passed so far.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Requests that went there, each attempt counted.
    pub(crate) turns: AtomicU64,
    /// Connection attempts that failed.
    pub(crate) refusals: AtomicU64,
    /// Exchanges that ended without a whole answer, for the backend's fault.
    pub(crate) errors: AtomicU64,
    /// Bytes written to it.
    pub(crate) bytes_to: AtomicU64,
    /// Bytes read from it.
    pub(crate) bytes_from: AtomicU64,
}

/// Adds one, or more.
pub(crate) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

impl Backend {
    pub(crate) fn new(member: Member) -> Self {
        Backend {
            name: member.name,
            address: member.address,
            authority: member.address.to_string(),
            health: Health::default(),
            counters: Counters::default(),
            surplus: Surplus::default(),
            most_connections: member.most_connections,
            weight: AtomicU32::new(member.weight),
            mode: AtomicU8::new(0),
            in_use: AtomicU32::new(0),
        }
    }

    pub(crate) fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    pub(crate) fn set_weight(&self, weight: u32) {
        self.weight.store(weight, Ordering::Relaxed);
    }

    pub(crate) fn mode(&self) -> Mode {
        MODES[usize::from(self.mode.load(Ordering::Relaxed)) % MODES.len()]
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::Relaxed);
    }

    pub(crate) fn most_connections(&self) -> Option<u32> {
        self.most_connections
    }

    /// Exchanges in hand.
    pub(crate) fn in_use(&self) -> u32 {
        self.in_use.load(Ordering::Relaxed)
    }

    /// Whether one more exchange is allowed.
    pub(crate) fn has_room(&self) -> bool {
        self.most_connections.is_none_or(|most| self.in_use() < most)
    }

    /// Whether a request may go there: it is not left out, and has room.
    pub(crate) fn can_serve(&self, now: Duration) -> bool {
        self.has_room() && self.health.is_usable(now)
    }

    /// Takes a slot, and with it a turn. False when it has become full.
    pub(crate) fn take_slot(&self) -> bool {
        let taken = match self.most_connections {
            None => {
                self.in_use.fetch_add(1, Ordering::Relaxed);
                true
            }
            Some(most) => self
                .in_use
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| (used < most).then_some(used + 1))
                .is_ok(),
        };
        if taken {
            count(&self.counters.turns, 1);
        }
        taken
    }

    /// Gives a slot back.
    pub(crate) fn give_slot(&self) {
        self.in_use.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_slots_are_given_than_there_are_however_many_threads_ask() {
        let member = Member { most_connections: Some(7), ..Member::at(([127, 0, 0, 1], 1).into()) };
        let backend = Backend::new(member);
        let taken = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        taken.fetch_add(u32::from(backend.take_slot()), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!((taken.into_inner(), backend.in_use()), (7, 7));
        assert!(!backend.has_room());
        backend.give_slot();
        assert!(backend.has_room());
    }

    #[test]
    fn modes_are_kept() {
        let backend = Backend::new(Member::at(([127, 0, 0, 1], 1).into()));
        for mode in MODES {
            backend.set_mode(mode);
            assert_eq!(backend.mode(), mode);
        }
    }
}
