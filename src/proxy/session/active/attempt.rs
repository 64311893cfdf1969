//! Getting a request to a backend: whose turn, the connection, sending, and what is tried when that fails.
//!
//! The retry rule, whole: a failed connection attempt goes on with the next backend, for any method. A connection that
//! broke before the first byte of an answer: a reused one is replaced by a fresh one to the same backend, a
//! fresh one by one to another backend, once; both only if the request is still whole in its buffer, and idempotent or
//! not sent at all. Nothing is retried once a byte of an answer has come.

use std::io;
use std::time::Instant;

use nix::errno::Errno;

use super::exchange::{Attempts, Connection};
use super::{Active, Paused, State};
use crate::proxy::error::Error;
use crate::proxy::rotation::{NoTurn, Turn};
use crate::proxy::session::{Op, Peer};
use crate::proxy::vocabulary::BackendId;

impl Active {
    /// The request is whole, or fills its buffer: it takes its turn.
    pub(super) fn take_turn(&mut self, now: Instant) -> Op {
        self.exchange.attempts = Attempts::default();
        match self.proxy.take_turn(self.exchange.asked.route, now) {
            Ok(Turn { backend, reuse }) => self.connect(backend, reuse, now),
            Err(NoTurn::Full) => self.refuse(Error::Busy, now),
            Err(NoTurn::Disabled) => self.refuse(Error::Unavailable, now),
        }
    }

    /// Connects to `backend`, of which this session has a slot.
    fn connect(&mut self, backend: BackendId, reuse: bool, now: Instant) -> Op {
        self.exchange.connection = Connection::to(backend);
        self.exchange.account.forwarded();
        self.state = State::Connecting;
        self.within(self.proxy.limits.connect_timeout, now);
        Op::Connect { backend, reuse }
    }

    pub(super) fn on_connected(&mut self, result: io::Result<bool>, now: Instant) -> Op {
        match result {
            Ok(reused) => {
                self.exchange.connection.is_open = true;
                self.exchange.connection.is_reused = reused;
                if !reused {
                    self.proxy.connected(self.exchange.connection.backend);
                }
                self.exchange.backend_patience = self.proxy.limits.backend_timeout;
                self.looked(now);
                self.send(now)
            }
            Err(error) if is_exhaustion(&error) => self.refuse(Error::Exhausted, now),
            Err(error) => {
                self.exchange.attempts.timed_out |= error.kind() == io::ErrorKind::TimedOut;
                self.proxy.refused(self.exchange.connection.backend, &error, now);
                match self.next_backend(now) {
                    Some(next) => self.connect(next, true, now),
                    None if self.exchange.attempts.timed_out => self.refuse(Error::GatewayTimeout, now),
                    None => self.refuse(Error::Unavailable, now),
                }
            }
        }
    }

    fn next_backend(&mut self, now: Instant) -> Option<BackendId> {
        self.exchange.attempts.tried.add(self.exchange.connection.backend);
        let next = self.proxy.turn_after(
            self.exchange.asked.route,
            self.exchange.connection.backend,
            self.exchange.attempts.tried,
            now,
        )?;
        self.give_slot();
        Some(next)
    }

    /// Sends what is in hand, reads what is missing, and turns to the answer when there is no more. However busy both
    /// sides are, they are looked at now and then: the backend may have answered.
    pub(super) fn send(&mut self, now: Instant) -> Op {
        if self.is_sent() {
            return self.await_answer(now);
        }
        if self.is_time_to_look(now) { self.look(Paused::Upload) } else { self.go_on_sending(now) }
    }

    /// Whether nothing of the request is left to be sent.
    pub(super) fn is_sent(&self) -> bool {
        self.outbox.is_empty() && !self.exchange.streaming && self.exchange.upload.is_done()
    }

    /// Whether the client is waited for, and not the backend, while a request is on its way.
    fn waits_for_body(&self) -> bool {
        self.outbox.is_empty() && !self.exchange.streaming
    }

    pub(super) fn go_on_sending(&mut self, now: Instant) -> Op {
        if self.waits_for_body() {
            return self.read_body(State::StreamRead, now);
        }
        self.wait_for_backend(now);
        self.look_before_long(now);
        if self.outbox.is_empty() {
            self.state = State::StreamWrite;
            return Op::Write(Peer::Backend, std::mem::take(&mut self.inbox));
        }
        self.state = State::SendRequest;
        Op::Write(Peer::Backend, std::mem::take(&mut self.outbox))
    }

    /// Both sides were looked at, and neither has anything to say.
    pub(super) fn on_silence(&mut self, now: Instant) -> Op {
        let (patience, fault) = if self.waits_for_body() {
            (self.exchange.client_patience, Error::RequestTimeout)
        } else {
            (self.exchange.backend_patience, Error::GatewayTimeout)
        };
        if patience.is_zero() { self.refuse(fault, now) } else { self.go_on_sending(now) }
    }

    pub(super) fn on_request_sent(&mut self, result: io::Result<usize>, now: Instant) -> Op {
        match result {
            Ok(count) if count > 0 => {
                self.exchange.connection.has_sent = true;
                self.backend_moved(count, now);
                self.exchange.account.wrote_to_backend(count);
                self.outbox.advance(count);
                self.send(now)
            }
            other => self.on_send_failed(other, now),
        }
    }

    pub(super) fn on_body_streamed(&mut self, result: io::Result<usize>, now: Instant) -> Op {
        match result {
            Ok(count) if count > 0 => {
                self.exchange.streamed = true;
                self.backend_moved(count, now);
                self.exchange.account.wrote_to_backend(count);
                self.inbox.advance(count);
                if self.inbox.is_empty() {
                    self.end_of_window();
                }
                self.send(now)
            }
            other => self.on_send_failed(other, now),
        }
    }

    fn on_send_failed(&mut self, result: io::Result<usize>, now: Instant) -> Op {
        match result {
            // It may have answered without reading on.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                self.backend_moved(0, now);
                self.look(Paused::Upload)
            }
            _ if !self.exchange.connection.has_sent => self.on_no_answer(now),
            // A backend that refuses an upload answers first and hangs up then: the answer may be there to be read.
            _ => self.await_answer(now),
        }
    }

    /// The connection broke before the first byte of an answer.
    pub(super) fn on_no_answer(&mut self, now: Instant) -> Op {
        let whole = self.exchange.upload.is_done() && !self.exchange.streaming && !self.exchange.streamed;
        if whole && (self.exchange.asked.idempotent || !self.exchange.connection.has_sent) {
            if self.exchange.connection.is_reused {
                self.outbox.rewind();
                return self.connect(self.exchange.connection.backend, false, now);
            }
            if !std::mem::replace(&mut self.exchange.attempts.retried, true)
                && let Some(next) = self.next_backend(now)
            {
                self.blame_backend();
                self.outbox.rewind();
                return self.connect(next, true, now);
            }
        }
        self.refuse(Error::BadGateway("it closed the connection without one"), now)
    }
}

/// Whether a connection attempt failed for want of something on this machine: no fault of the backend's.
fn is_exhaustion(error: &io::Error) -> bool {
    error.raw_os_error().map(Errno::from_raw).is_some_and(|errno| {
        matches!(
            errno,
            Errno::EMFILE
                | Errno::ENFILE
                | Errno::EADDRNOTAVAIL
                | Errno::ENOBUFS
                | Errno::ENOMEM
                | Errno::ENOSPC
        )
    })
}
