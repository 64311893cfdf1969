//! The table of what is stored, bounded in bytes.
//!
//! Owns the bound, the eviction and the exclusion of those who store. Rule: looking up takes the table's shared lock for the
//! time of a hash probe; whoever stores reads, changes and puts back under a lock of their own, so that no variant is lost.

use std::hash::RandomState;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use super::object::{Object, Variants};

/// What an object is taken to weigh on average, bytes: only a hint for the tables' first sizes.
const USUAL_WEIGHT: usize = 4096;

type Key = Box<[u8]>;
type Table = Cache<Key, Arc<Variants>, ByBytes, RandomState, Evictions>;

/// What is stored.
#[derive(Debug)]
pub(super) struct Store {
    table: Table,
    capacity: usize,
    /// Held while something is changed.
    changing: Mutex<()>,
    evicted: Arc<AtomicU64>,
}

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<Key, Arc<Variants>> for ByBytes {
    fn weight(&self, _: &Key, variants: &Arc<Variants>) -> u64 {
        variants.weight() as u64
    }
}

/// Counts what goes for want of room.
#[derive(Debug, Clone)]
struct Evictions(Arc<AtomicU64>);

impl Lifecycle<Key, Arc<Variants>> for Evictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: Key, _: Arc<Variants>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Store {
    pub(super) fn new(capacity: usize) -> Self {
        let evicted = Arc::new(AtomicU64::new(0));
        let options = OptionsBuilder::new()
            .shards(1)
            .estimated_items_capacity(capacity / USUAL_WEIGHT + 1)
            .weight_capacity(capacity as u64)
            .build()
            .expect("both capacities are set");
        let table =
            Cache::with_options(options, ByBytes, RandomState::new(), Evictions(Arc::clone(&evicted)));
        Store { table, capacity, changing: Mutex::new(()), evicted }
    }

    /// The largest object that can be stored at all, bytes: an object must not drive out most of the others.
    pub(super) fn most_object(&self) -> usize {
        self.capacity / 4
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Arc<Variants>> {
        self.table.get(key)
    }

    /// Stores `object`; whether there was room for it.
    pub(super) fn put(&self, key: &[u8], object: Arc<Object>) -> bool {
        if key.len() + object.weight() > self.capacity / 2 {
            return false;
        }
        let _alone = self.alone();
        let older = self.table.peek(key).unwrap_or_default();
        let variants = older.with(key.len(), object, self.capacity / 2);
        self.table.insert(key.into(), Arc::new(variants));
        true
    }

    /// Puts `newer` into the place of `older`, if that is still there.
    pub(super) fn replace(&self, key: &[u8], older: &Arc<Object>, newer: &Arc<Object>) {
        let _alone = self.alone();
        let Some(variants) = self.table.peek(key) else { return };
        if let Some(variants) = variants.replacing(key.len(), older, newer) {
            self.table.insert(key.into(), Arc::new(variants));
        }
    }

    pub(super) fn remove(&self, key: &[u8]) {
        let _alone = self.alone();
        self.table.remove(key);
    }

    /// Removes everything; how many keys there were.
    pub(super) fn clear(&self) -> usize {
        let _alone = self.alone();
        let entries = self.table.len();
        self.table.clear();
        entries
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.table.weight()).unwrap_or(usize::MAX)
    }

    pub(super) fn entries(&self) -> usize {
        self.table.len()
    }

    pub(super) fn evictions(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    fn alone(&self) -> impl Drop + use<'_> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
