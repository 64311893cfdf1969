//! A stored response, and the variants of one key.
//!
//! Owns their form and the choice between variants (RFC 9111 section 4.1). Rule: an object never changes; an update is another
//! one that shares the body.

use std::sync::Arc;

use super::asked::Asked;
use super::fields;
use super::freshness::Freshness;

/// Most variants of one key: the oldest go first.
const MOST_VARIANTS: usize = 32;
/// What an object takes in the tables and in its own parts, bytes, rounded up.
const OVERHEAD: usize = 256;

/// A stored response.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) status: u16,
    /// The status line and the fields, without those of one connection, `Content-Length` and `Age`; no empty line.
    pub(super) head: Box<[u8]>,
    pub(super) body: Arc<Vec<u8>>,
    /// The fields that select it, with what the request had in them.
    pub(super) vary: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub(crate) freshness: Freshness,
}

impl Object {
    /// Bytes of memory.
    pub(super) fn weight(&self) -> usize {
        let vary: usize =
            self.vary.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len) + 64).sum();
        OVERHEAD + self.head.len() + self.body.capacity() + vary
    }

    /// The first field of that name.
    pub(super) fn field(&self, name: &str) -> Option<&[u8]> {
        fields(&self.head).find(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// Whether it answers a request with these fields.
    fn is_selected_by(&self, asked: &Asked) -> bool {
        self.vary.iter().all(|(name, value)| asked.values(name) == *value)
    }

    /// Whether a backend can be asked if it has changed.
    pub(super) fn has_validator(&self) -> bool {
        self.field("etag").is_some() || self.field("last-modified").is_some()
    }
}

/// What is stored under one key, the newest first.
#[derive(Debug, Default)]
pub(super) struct Variants {
    objects: Vec<Arc<Object>>,
    weight: usize,
}

impl Variants {
    fn new(key: usize, objects: Vec<Arc<Object>>) -> Self {
        let weight = key + objects.iter().map(|object| object.weight()).sum::<usize>();
        Variants { objects, weight }
    }

    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// The newest one that this request selects.
    pub(super) fn select(&self, asked: &Asked) -> Option<&Arc<Object>> {
        self.objects.iter().find(|object| object.is_selected_by(asked))
    }

    /// The same with `newer`, which takes the place of those for the same requests, within `most` bytes.
    pub(super) fn with(&self, key: usize, newer: Arc<Object>, most: usize) -> Variants {
        let mut left = most.saturating_sub(key + newer.weight());
        let mut objects = vec![newer];
        for older in self.objects.iter().filter(|older| older.vary != objects[0].vary).collect::<Vec<_>>() {
            let weight = older.weight();
            if objects.len() < MOST_VARIANTS && weight <= left {
                left -= weight;
                objects.push(Arc::clone(older));
            }
        }
        Variants::new(key, objects)
    }

    /// The same with `newer` in the place of `older`; `None` where that is not there any more.
    pub(super) fn replacing(&self, key: usize, older: &Arc<Object>, newer: &Arc<Object>) -> Option<Variants> {
        let at = self.objects.iter().position(|object| Arc::ptr_eq(object, older))?;
        let mut objects = self.objects.clone();
        objects[at] = Arc::clone(newer);
        Some(Variants::new(key, objects))
    }
}
