//! What a backend has said beyond its answers: bytes that the next client would get for its own answer.
//!
//! Owns what is remembered of it for each backend. Rules: a backend that was once heard to do it has no connection kept for
//! later use any more. After an answer that has no body whatever its head says (to HEAD, or 204 or 304) a backend that
//! does not know this rule sends one, and perhaps a moment later: the first connections with such an answer are
//! suspect, and handed out again only when the body would have come.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Answers without a body after which a backend is trusted to know that they have none.
const WATCHED: u32 = 32;

/// What is known of one backend.
#[derive(Debug, Default)]
pub(crate) struct Surplus {
    seen: AtomicBool,
    without_body: AtomicU32,
}

impl Surplus {
    /// It has said something that nobody has asked for.
    pub(crate) fn see(&self) {
        self.seen.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }

    /// To be asked once for each answer without a body: whether more may follow it.
    pub(crate) fn may_follow_an_answer_without_body(&self) -> bool {
        // Reading first keeps the cache line shared between threads once the backend is trusted.
        self.without_body.load(Ordering::Relaxed) < WATCHED
            && self.without_body.fetch_add(1, Ordering::Relaxed) < WATCHED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_answers_without_a_body_are_suspect_and_no_others() {
        let surplus = Surplus::default();
        let suspect = (0..100).filter(|_| surplus.may_follow_an_answer_without_body()).count();
        assert_eq!(suspect, WATCHED as usize);
        assert!(!surplus.was_seen());
    }
}
