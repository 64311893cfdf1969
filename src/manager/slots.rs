//! How many connections of one kind there can be: a further one takes the place of the oldest.
//!
//! So whoever stalls keeps nobody out: the oldest is the one that has stalled longest. Rule: whoever has lost their slot is
//! told at once, and closes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The slots of one kind.
#[derive(Debug)]
pub(super) struct Slots {
    most: usize,
    /// What each holder is told by, the oldest first.
    held: Mutex<VecDeque<Arc<Notify>>>,
}

/// A slot; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    lost: Arc<Notify>,
}

impl Slots {
    /// So many at a time.
    pub(super) fn new(most: usize) -> Arc<Slots> {
        Arc::new(Slots { most, held: Mutex::default() })
    }

    /// A slot for whoever is to be told by `lost` when another one needs it.
    pub(super) fn take(self: &Arc<Self>, lost: &Arc<Notify>) -> Slot {
        let mut held = self.held();
        held.push_back(Arc::clone(lost));
        if held.len() > self.most
            && let Some(oldest) = held.pop_front()
        {
            oldest.notify_one();
        }
        Slot { slots: Arc::clone(self), lost: Arc::clone(lost) }
    }

    fn held(&self) -> MutexGuard<'_, VecDeque<Arc<Notify>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.held().retain(|other| !Arc::ptr_eq(other, &self.lost));
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn is_told(lost: &Arc<Notify>) -> bool {
        pin!(lost.notified()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn one_more_than_there_are_slots_takes_the_oldest_ones() {
        let slots = Slots::new(2);
        let told: Vec<Arc<Notify>> = (0..4).map(|_| Arc::default()).collect();
        let mut held: Vec<Slot> = told[..2].iter().map(|lost| slots.take(lost)).collect();
        assert!(!is_told(&told[0]));
        held.push(slots.take(&told[2]));
        assert_eq!([0, 1, 2].map(|number| is_told(&told[number])), [true, false, false]);
        drop(held.remove(1));
        held.push(slots.take(&told[3]));
        assert_eq!([1, 2, 3].map(|number| is_told(&told[number])), [false; 3]);
        drop(held);
        assert!(slots.held().is_empty());
    }
}
