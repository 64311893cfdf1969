//! Which keys are being fetched, so that concurrent misses for one wait for the first (collapsed forwarding).
//!
//! Owns who leads and what became of it; who waits, and how, is the session's business. Rules: a fetch is over when its leader
//! says so or is dropped, so that nobody waits for one that has ended in whatever way; a key whose answer could not be stored is
//! remembered for [`REMEMBERED`] seconds, by a fingerprint in a table of fixed size, and nobody waits at it: two keys with the
//! same fingerprint cost a wait that could have been, nothing else.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// How long it is remembered that a key's answer could not be stored, seconds.
const REMEMBERED: u64 = 10;
/// Fingerprints that are remembered.
const FINGERPRINTS: usize = 1024;

/// All fetches that go on.
#[derive(Debug)]
pub(crate) struct Fetches {
    going_on: Mutex<HashMap<Box<[u8]>, Arc<Fetch>>>,
    hasher: RandomState,
    /// Of keys whose answers were not storable: the upper half of the hash, and when it was, in seconds.
    refused: Box<[AtomicU64]>,
    beginning: Instant,
}

/// A fetch that others can wait for.
#[derive(Debug, Default)]
pub(crate) struct Fetch {
    is_over: AtomicBool,
    waiting: AtomicUsize,
}

/// Whoever has this fetches for all that wait; dropped, nobody has to wait any more.
#[derive(Debug)]
pub(crate) struct Lead {
    fetches: Arc<Fetches>,
    fetch: Arc<Fetch>,
    key: Box<[u8]>,
}

/// A place among those who wait for a fetch.
#[derive(Debug)]
pub(crate) struct Place {
    fetch: Arc<Fetch>,
}

/// What a request is to do about its key.
#[derive(Debug)]
pub(crate) enum Join {
    /// It is the first.
    Leads(Lead),
    /// Another one fetches.
    Waits(Place),
    /// What comes is not going to be storable, as far as is known.
    GoesAlone,
}

impl Fetches {
    pub(super) fn new(beginning: Instant) -> Self {
        Fetches {
            going_on: Mutex::default(),
            hasher: RandomState::new(),
            refused: (0..FINGERPRINTS).map(|_| AtomicU64::new(0)).collect(),
            beginning,
        }
    }

    /// Joins the fetch of `key`, or begins it.
    pub(crate) fn join(self: &Arc<Self>, key: &[u8], now: Instant) -> Join {
        if self.was_refused(key, now) {
            return Join::GoesAlone;
        }
        let mut going_on = self.lock();
        if let Some(fetch) = going_on.get(key) {
            fetch.waiting.fetch_add(1, Ordering::Relaxed);
            return Join::Waits(Place { fetch: Arc::clone(fetch) });
        }
        let (key, fetch) = (Box::<[u8]>::from(key), Arc::new(Fetch::default()));
        going_on.insert(key.clone(), Arc::clone(&fetch));
        Join::Leads(Lead { fetches: Arc::clone(self), fetch, key })
    }

    /// Remembers that the answer for `key` could not be stored.
    pub(crate) fn refuse(&self, key: &[u8], now: Instant) {
        let (slot, fingerprint) = self.fingerprint(key);
        slot.store(fingerprint | self.seconds(now), Ordering::Relaxed);
    }

    fn was_refused(&self, key: &[u8], now: Instant) -> bool {
        let (slot, fingerprint) = self.fingerprint(key);
        let seen = slot.load(Ordering::Relaxed);
        let since = self.seconds(now).saturating_sub(seen & u64::from(u32::MAX));
        seen & !u64::from(u32::MAX) == fingerprint && since < REMEMBERED
    }

    fn fingerprint(&self, key: &[u8]) -> (&AtomicU64, u64) {
        let hash = self.hasher.hash_one(key);
        // The upper half, never zero, which an empty slot has.
        (&self.refused[hash as usize % FINGERPRINTS], (hash | 1 << 32) & !u64::from(u32::MAX))
    }

    fn seconds(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.beginning).as_secs() & u64::from(u32::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<[u8]>, Arc<Fetch>>> {
        self.going_on.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lead {
    /// Whether anybody waits.
    pub(crate) fn is_awaited(&self) -> bool {
        self.fetch.waiting.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.fetches.lock().remove(&self.key);
        self.fetch.is_over.store(true, Ordering::Release);
    }
}

impl Place {
    /// Nobody fetches any more: either it is stored, or it is not going to be.
    pub(crate) fn is_over(&self) -> bool {
        self.fetch.is_over.load(Ordering::Acquire)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.fetch.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test has no driver that would tell it the time")]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_first_leads_and_others_wait_until_it_is_over() {
        let now = Instant::now();
        let fetches = Arc::new(Fetches::new(now));
        let Join::Leads(lead) = fetches.join(b"a", now) else { panic!("nobody leads yet") };
        assert!(!lead.is_awaited() && matches!(fetches.join(b"b", now), Join::Leads(_)));
        let Join::Waits(place) = fetches.join(b"a", now) else { panic!("somebody leads") };
        assert!(lead.is_awaited() && !place.is_over());
        drop(lead);
        assert!(place.is_over() && matches!(fetches.join(b"a", now), Join::Leads(_)));
    }

    #[test]
    fn nobody_waits_where_the_last_answer_could_not_be_stored() {
        let now = Instant::now();
        let fetches = Arc::new(Fetches::new(now));
        assert!(matches!(fetches.join(b"a", now), Join::Leads(_)));
        fetches.refuse(b"a", now);
        assert!(matches!(fetches.join(b"a", now + Duration::from_secs(9)), Join::GoesAlone));
        assert!(matches!(fetches.join(b"a", now + Duration::from_secs(10)), Join::Leads(_)));
    }
}
