//! The copy of a body that is passing.
//!
//! Owns its bounds: one body's, and that of all bodies that are passing at the same time. Rule: it becomes an object only when
//! the caller says that the body is whole; dropped before, it leaves nothing behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::object::Object;
use super::storable::{Draft, Unstorable};
use crate::proxy::chunk::{ChunkScanner, Output};

/// Room is taken in steps of at least so many bytes.
const STEP: usize = 16 * 1024;

/// Room for all bodies that are passing.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    most: usize,
}

impl Budget {
    pub(super) fn new(most: usize) -> Self {
        Budget { used: AtomicUsize::new(0), most }
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.most;
        if !fits {
            self.give(bytes);
        }
        fits
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A body that is being copied.
#[derive(Debug)]
pub(crate) struct Recording {
    draft: Draft,
    body: Vec<u8>,
    /// Takes the coding off that the client gets the body in.
    decoder: Option<ChunkScanner>,
    /// Bytes that the body may have.
    most: usize,
    reserved: Reserved,
}

/// Room that is taken of a budget.
#[derive(Debug)]
struct Reserved {
    bytes: usize,
    budget: Arc<Budget>,
}

impl Reserved {
    fn add(&mut self, bytes: usize) -> bool {
        let fits = self.budget.take(bytes);
        if fits {
            self.bytes += bytes;
        }
        fits
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.give(self.bytes);
    }
}

impl Recording {
    /// One of a body of `length` bytes, if that is known; `decodes`: it passes in chunks.
    pub(super) fn begin(
        draft: Draft,
        length: Option<u64>,
        decodes: bool,
        most: usize,
        budget: &Arc<Budget>,
    ) -> Result<Self, Unstorable> {
        let expected = length.map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
        if expected.saturating_add(draft.weight()) > most {
            return Err(Unstorable::TooLarge);
        }
        let first = expected.min(STEP);
        let mut reserved = Reserved { bytes: 0, budget: Arc::clone(budget) };
        if !reserved.add(first) {
            return Err(Unstorable::NoRoom);
        }
        Ok(Recording {
            most: most - draft.weight(),
            draft,
            body: Vec::with_capacity(first),
            decoder: decodes.then(|| ChunkScanner::new(Output::Data)),
            reserved,
        })
    }

    /// Takes in what passes, as the client gets it: whole lines of framing, and data. False: it cannot be stored.
    #[must_use]
    pub(crate) fn feed(&mut self, passing: &[u8]) -> bool {
        let length = self.body.len();
        let reserved = self.reserved.bytes;
        if length + passing.len() > reserved {
            let step = (length + passing.len() - reserved).max(STEP).max(reserved);
            if !self.reserved.add(step) {
                return false;
            }
            self.body.reserve_exact(step);
        }
        self.body.extend_from_slice(passing);
        if let Some(decoder) = &mut self.decoder {
            // It was scanned before, so that it ends where a line or data does and cannot be malformed.
            match decoder.scan(&mut self.body[length..]) {
                Ok(scanned) if scanned.used == passing.len() => self.body.truncate(length + scanned.kept),
                _ => return false,
            }
        }
        self.body.len() <= self.most
    }

    /// The body is whole.
    pub(crate) fn finish(self) -> Object {
        let mut body = self.body;
        body.shrink_to_fit();
        self.draft.object(Arc::new(body))
    }
}
