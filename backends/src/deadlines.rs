//! Deadlines that lie the same time ahead, so that a queue keeps them in order: no heap, no timer wheel.
//!
//! Rule: an entry is not taken back when its connection goes; whoever takes it out compares the generation.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Which connection a deadline is about: its slot, and the how-many-th connection in all it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id {
    pub(crate) slot: usize,
    pub(crate) generation: u64,
}

/// A queue of deadlines.
#[derive(Debug)]
pub(crate) struct Deadlines {
    ahead: Duration,
    queue: VecDeque<(Instant, Id)>,
}

impl Deadlines {
    /// An empty queue of deadlines that lie `ahead` of the time at which they are set.
    pub(crate) fn new(ahead: Duration) -> Self {
        Deadlines { ahead, queue: VecDeque::new() }
    }

    pub(crate) fn set(&mut self, id: Id, now: Instant) {
        self.queue.push_back((now + self.ahead, id));
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.front().map(|(deadline, _)| *deadline)
    }

    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<Id> {
        match self.queue.front() {
            Some((deadline, _)) if *deadline <= now => self.queue.pop_front().map(|(_, id)| id),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_expire_in_the_order_in_which_they_were_set() {
        let begin = Instant::now();
        let mut deadlines = Deadlines::new(Duration::from_millis(10));
        let id = |slot| Id { slot, generation: 0 };
        deadlines.set(id(1), begin);
        deadlines.set(id(2), begin + Duration::from_millis(5));
        assert_eq!(deadlines.next(), Some(begin + Duration::from_millis(10)));
        assert_eq!(deadlines.pop_expired(begin + Duration::from_millis(9)), None);
        assert_eq!(deadlines.pop_expired(begin + Duration::from_millis(12)), Some(id(1)));
        assert_eq!(deadlines.pop_expired(begin + Duration::from_millis(12)), None);
        assert_eq!(deadlines.pop_expired(begin + Duration::from_millis(15)), Some(id(2)));
    }
}
