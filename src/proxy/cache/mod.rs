//! A shared cache (RFC 9111) between a request and its turn: what was fetched once need not be fetched again.
//!
//! Owns what was stored, what may be stored and reused, and how a stored response answers a request. Does no I/O, reads no
//! clock and spawns nothing: time is an argument, and a session asks ([`Cache::look_up`]) before it takes a turn and feeds
//! ([`Recording::feed`]) what passes. What a session does with the outcome stands in `session/cached.rs`.
//!
//! ```text
//!   request head, as a backend would get it
//!        |  Asked::read: key, directives, conditions            (asked, directives)
//!        v
//!     look_up ---- fresh ----> answer from the object           (store, freshness, answer)
//!        | stale, with a validator: the request becomes conditional (validation)
//!        | nothing: the first to ask fetches, others wait       (fetches)
//!        v
//!   response head, as the client would get it
//!        |  Draft::judge: may it     be stored, for how long     (storable, freshness)
//!        v
//!     Recording: a bounded copy of the body, stored when whole  (recording, store)
//! ```
//!
//! **What is stored.** An [`Object`]: the status line and fields as a client got them, without those of one connection, without
//! framing and `Age`; the body, whole and without its coding for transfer; the selecting fields of the request that it
//! answered (`Vary`). A body is stored when its framing says that it is whole and nothing came behind it. One that ends with
//! the connection never is: the end could be a fault. Trailer fields are not stored.
//!
//! **The key** is the route, the `Host` and the target *as the backend was told them*, after the head was judged and written
//! anew. What is not understood is refused before it gets here, so that it is never a key; and no two readings of a request
//! exist of which one could store for the other. Only GET without a body stores; GET and HEAD are answered.
//!
//! **Bounds.** Three quarters of the size are for objects, counted with their heads, keys and an allowance for the tables;
//! the rest is for bodies that are passing. What finds no room passes unstored. Objects are evicted by quick_cache's policy
//! (akin to S3-FIFO: what was asked for again outlives what was not).
//!
//! **How sessions share it.** One table behind one reader-writer lock, in every model alike: looking up takes the shared side
//! for the time of a hash probe, storing excludes others for the time of an insertion, and nobody waits for I/O under it.
//! Objects are immutable and shared by reference; an update replaces the object.
//!
//! **Concurrent misses.** The first request of a key leads; others wait in a read from their client with a short deadline,
//! which every driver can perform, and look at the fetch each time ([`Place`]). A fetch that turns out not to be storable
//! says so when its head has come, and the waiting go on by themselves; its key is remembered for a while, so that nobody
//! waits there again. Waiting is bounded by [`MOST_WAIT`]. A leader whose client leaves goes on while others wait for it.
//!
//! **Rules.** An answer that the stored response's own directives forbid is never given. Qualified `private` and `no-cache`
//! count as unqualified (RFC 9111 sections 5.2.2.4 and 5.2.2.7). Invalid freshness information is stale (section 4.2.1).

mod answer;
mod asked;
mod directives;
mod fetches;
mod freshness;
mod object;
mod recording;
mod status;
mod storable;
mod store;
mod target;
mod validation;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::config::{CacheRules, CacheSize};
use super::status::CacheStatus;
use fetches::Fetches;
use recording::Budget;
use store::Store;

pub(crate) use answer::write;
pub(crate) use asked::{Asked, Use};
pub(crate) use fetches::{Join, Lead, Place};
pub(crate) use object::Object;
pub(crate) use recording::Recording;
pub(crate) use status::{Forward, Told};
pub(crate) use storable::{Arrival, Draft, Unstorable};
pub(crate) use target::{key, on_host, references};
pub(crate) use validation::{write_conditional, write_for_all};

/// Longest time that a request waits for another one's fetch.
pub(crate) const MOST_WAIT: Duration = Duration::from_secs(5);

/// What is stored, and what is being fetched.
#[derive(Debug)]
pub(crate) struct Cache {
    store: Store,
    pub(crate) fetches: Arc<Fetches>,
    budget: Arc<Budget>,
    pub(crate) counters: Counters,
}

/// What has happened so far.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) stale: AtomicU64,
    pub(crate) validations: AtomicU64,
    pub(crate) stored: AtomicU64,
}

/// What is stored for a request.
#[derive(Debug)]
pub(crate) enum Found {
    /// It may be answered with this.
    Fresh(Arc<Object>),
    /// It may be answered with this, which is to be validated behind the answer (RFC 5861 section 3).
    WhileRevalidating(Arc<Object>),
    /// It may be answered with this although it is stale: the client has said so (`max-stale`).
    Accepted(Arc<Object>),
    /// This would have to be validated first.
    Unusable(Arc<Object>, Forward),
    /// Nothing.
    Nothing(Forward),
}

impl Cache {
    pub(crate) fn new(size: CacheSize, now: Instant) -> Self {
        let passing = size.bytes / 4;
        Cache {
            store: Store::new(size.bytes - passing),
            fetches: Arc::new(Fetches::new(now)),
            budget: Arc::new(Budget::new(passing)),
            counters: Counters::default(),
        }
    }

    /// What is stored for this request (RFC 9111 section 4).
    pub(crate) fn look_up(&self, asked: &Asked, now: Instant) -> Found {
        let Some(variants) = self.store.get(asked.key()) else { return Found::Nothing(Forward::UriMiss) };
        let Some(object) = variants.select(asked) else { return Found::Nothing(Forward::VaryMiss) };
        let object = Arc::clone(object);
        let age = object.freshness.age(now);
        let control = &asked.control;
        if object.freshness.no_cache || control.no_cache {
            let why = if control.no_cache { Forward::Request } else { Forward::Stale };
            return Found::Unusable(object, why);
        }
        if control.max_age.is_some_and(|most| age > most) {
            return Found::Unusable(object, Forward::Request);
        }
        let left = object.freshness.left(now);
        // Far below the largest number.
        if left > 0 && left >= control.min_fresh.unwrap_or(0) as i64 {
            return Found::Fresh(object);
        }
        if left > 0 {
            return Found::Unusable(object, Forward::Request);
        }
        if object.freshness.may_be_stale() && control.min_fresh.is_none() {
            let staleness = left.unsigned_abs();
            if control.max_stale.is_some_and(|most| staleness <= most) {
                return Found::Accepted(object);
            }
            if control.max_age.is_none()
                && object.freshness.while_revalidating.is_some_and(|most| staleness <= most)
            {
                return Found::WhileRevalidating(object);
            }
        }
        Found::Unusable(object, Forward::Stale)
    }

    /// A copy of a body that is about to pass, if there may be one.
    pub(crate) fn record(
        &self,
        draft: Draft,
        length: Option<u64>,
        decodes: bool,
        rules: &CacheRules,
    ) -> Result<Recording, Unstorable> {
        Recording::begin(draft, length, decodes, rules.max_object.min(self.store.most_object()), &self.budget)
    }

    /// Stores what was recorded, in place of what it replaces.
    pub(crate) fn keep(&self, asked: &Asked, object: Object) {
        if self.store.put(asked.key(), Arc::new(object)) {
            count(&self.counters.stored);
        }
    }

    /// A backend has said by a 304 with this head that `older` is good still (RFC 9111 section 4.3.4): the object that answers. None
    /// where it speaks of something else: what is stored is not what the backend has, so it goes.
    pub(crate) fn validated(
        &self,
        asked: &Asked,
        older: Arc<Object>,
        head: &[u8],
        rules: &CacheRules,
        arrival: Arrival,
    ) -> Option<Arc<Object>> {
        if !validation::speaks_of(head, &older) {
            self.invalidate(asked.key());
            return None;
        }
        count(&self.counters.validations);
        Some(self.update(asked, &older, head, rules, arrival))
    }

    /// Puts `older` with the fields of a newer head in its own place, unless it may not be stored with these: then it goes.
    fn update(
        &self,
        asked: &Asked,
        older: &Arc<Object>,
        head: &[u8],
        rules: &CacheRules,
        arrival: Arrival,
    ) -> Arc<Object> {
        let (newer, objection) = storable::updated(asked, older, head, rules, arrival);
        let newer = Arc::new(newer);
        match objection {
            None => self.store.replace(asked.key(), older, &newer),
            // Nothing of this exchange is stored, and nothing is said of what is.
            Some(Unstorable::RequestSaysNoStore) => {}
            Some(_) => self.invalidate(asked.key()),
        }
        newer
    }

    /// A HEAD was answered with this head: what is stored is updated, or goes where it has changed (RFC 9111 section 4.3.5).
    pub(crate) fn heard_of(
        &self,
        asked: &Asked,
        status: u16,
        head: &[u8],
        rules: &CacheRules,
        arrival: Arrival,
    ) {
        let Some(older) = self.store.get(asked.key()).and_then(|variants| variants.select(asked).cloned())
        else {
            return;
        };
        if status != 200 || older.status != 200 {
            return;
        }
        if validation::is_same(head, &older) {
            self.update(asked, &older, head, rules, arrival);
        } else {
            self.invalidate(asked.key());
        }
    }

    /// Removes all that is stored under `key`.
    pub(crate) fn invalidate(&self, key: &[u8]) {
        self.store.remove(key);
    }

    /// Removes everything; how many keys there were.
    pub(crate) fn purge(&self) -> usize {
        self.store.clear()
    }

    pub(crate) fn status(&self) -> CacheStatus {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheStatus {
            capacity: self.store.capacity() + self.budget.most(),
            bytes: self.store.bytes() + self.budget.used(),
            entries: self.store.entries(),
            hits: read(&self.counters.hits),
            misses: read(&self.counters.misses),
            stale: read(&self.counters.stale),
            validations: read(&self.counters.validations),
            stored: read(&self.counters.stored),
            evictions: self.store.evictions(),
        }
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The fields of a head that was written by this proxy: name and value, one line each.
fn fields(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines(head).skip(1).filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}

/// The lines of such a head without their ends, up to the empty one.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = head;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest)?;
        let line = &rest[..end.saturating_sub(1)];
        rest = &rest[end + 1..];
        (!line.is_empty()).then_some(line)
    })
}
