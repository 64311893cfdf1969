//! How long a peer is waited for, and the looks at both sides that interrupt a wait.
//!
//! Owns the arithmetic of patience. A body may pause for as long as its timeout, and must on the whole keep up the least
//! rate: the time that was waited is taken off the peer's patience, each byte gives it some back, and it never grows over
//! the timeout. So a drip ends soon after the timeout, and a fast sender may pause for the whole of it. Time in which
//! the other side was waited for is never charged.
//!
//! Rules: only one operation is outstanding, so what happens at the other side meanwhile is seen by looking. A client that
//! is gone frees its backend within a second; an answer that comes while its request is still being sent is relayed
//! within half a second. Drivers may notice deadlines up to 100 ms late.

use std::time::{Duration, Instant};

use super::{Active, Paused, State};
use crate::proxy::session::{CloseReason, Op};

/// How often a wait for an answer is interrupted by a look at whether the client is still there.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// The same while a request is on its way. An answer may come just after a look, and the next may be put off for the
/// length of one wait.
const UPLOAD_LOOK_INTERVAL: Duration = Duration::from_millis(150);

impl Active {
    /// The operation that comes next may take so long.
    pub(super) fn wait(&mut self, patience: Duration, now: Instant) {
        self.wait_until = now + patience;
        self.deadline = Some(self.wait_until);
    }

    /// The same for the backend in hand, in the middle of a body.
    pub(super) fn wait_for_backend(&mut self, now: Instant) {
        self.wait(self.exchange.backend_patience, now);
    }

    /// The backend has taken or sent so many bytes of a body.
    pub(super) fn backend_moved(&mut self, bytes: usize, now: Instant) {
        let limits = &self.proxy.limits;
        self.exchange.backend_patience =
            self.patience_after(bytes, limits.backend_rate, limits.backend_timeout, now);
    }

    /// The client has taken or sent so many bytes of a body, of which `timeout` is the longest pause.
    pub(super) fn client_moved(&mut self, bytes: usize, timeout: Duration, now: Instant) {
        self.exchange.client_patience =
            self.patience_after(bytes, self.proxy.limits.client_rate, timeout, now);
    }

    /// What is left of the wait in hand and what `bytes` are worth, up to `timeout`. Without a rate any byte is worth
    /// the whole timeout.
    fn patience_after(&self, bytes: usize, rate: u64, timeout: Duration, now: Instant) -> Duration {
        let left = self.wait_until.saturating_duration_since(now);
        let earned = match (bytes, rate) {
            (0, _) => Duration::ZERO,
            (_, 0) => timeout,
            (bytes, rate) => Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / rate),
        };
        left.saturating_add(earned).min(timeout)
    }

    /// The wait in hand is interrupted for a look, if it lasts.
    pub(super) fn look_in_a_while(&mut self, now: Instant) {
        self.deadline = Some(self.wait_until.min(now + LOOK_INTERVAL));
    }

    /// The same while a request is on its way.
    pub(super) fn look_before_long(&mut self, now: Instant) {
        self.deadline = Some(self.wait_until.min(now + UPLOAD_LOOK_INTERVAL));
    }

    /// Both sides were looked at, or there was no need to.
    pub(super) fn looked(&mut self, now: Instant) {
        self.next_look = now + UPLOAD_LOOK_INTERVAL;
    }

    pub(super) fn is_time_to_look(&self, now: Instant) -> bool {
        now >= self.next_look
    }

    pub(super) fn look(&mut self, paused: Paused) -> Op {
        self.state = State::Looking(paused);
        self.deadline = None;
        Op::Look
    }

    pub(super) fn on_looked(
        &mut self,
        paused: Paused,
        client_is_gone: bool,
        backend_has_spoken: bool,
        now: Instant,
    ) -> Op {
        if client_is_gone && !self.goes_on_unheard(now) {
            return self.finish(CloseReason::ClientGone);
        }
        match paused {
            Paused::Upload if backend_has_spoken => self.await_answer(now),
            Paused::Upload => {
                self.looked(now);
                self.on_silence(now)
            }
            Paused::Answer => self.read_backend(State::ReadAnswer, now),
            Paused::Relay => self.read_backend(State::RelayRead, now),
        }
    }
}
