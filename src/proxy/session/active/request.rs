//! The client's half of an exchange: a head, then as much of the body as one buffer holds.

use std::io;
use std::time::Instant;

use super::exchange::Exchange;
use super::{Active, Paused, State};
use crate::proxy::body::Body;
use crate::proxy::buf::{LARGE, SMALL};
use crate::proxy::error::Error;
use crate::proxy::head::{self, Context, RequestHead};
use crate::proxy::session::idle::ReadingHead;
use crate::proxy::session::{CloseReason, Op, Peer};

impl Active {
    /// Waits for the next request on a persistent connection, or begins with what was pipelined.
    pub(super) fn await_request(&mut self, now: Instant) -> Op {
        self.exchange = Exchange::none();
        self.head = ReadingHead::until(now + self.proxy.limits.header_timeout);
        if self.inbox.is_empty() {
            if self.inbox.capacity() != SMALL {
                self.proxy.pool.give(std::mem::replace(&mut self.inbox, self.proxy.pool.small()));
            }
            self.inbox.clear();
            self.head.is_idle = true;
            self.within(self.proxy.limits.idle_timeout, now);
            return self.read_client(State::ReadHead);
        }
        self.read_head(now)
    }

    pub(super) fn on_head_bytes(&mut self, result: io::Result<usize>, now: Instant) -> Op {
        match result {
            Ok(0) if self.inbox.is_empty() => self.finish(CloseReason::Idle),
            Ok(0) => match self.judge_rest() {
                Some(fault) => self.refuse(fault, now),
                None => self.finish(CloseReason::ClientGone),
            },
            Ok(count) => {
                if self.head.is_idle {
                    self.head = ReadingHead::until(now + self.proxy.limits.header_timeout);
                }
                self.inbox.commit(count);
                self.read_head(now)
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                if self.inbox.is_empty() {
                    self.finish(CloseReason::Idle)
                } else {
                    let fault = self.judge_rest().unwrap_or(Error::RequestTimeout);
                    self.refuse(fault, now)
                }
            }
            Err(_) => self.finish(CloseReason::ClientGone),
        }
    }

    fn read_head(&mut self, now: Instant) -> Op {
        self.deadline = Some(self.head.deadline);
        let limits = &self.proxy.limits;
        let thresholds = [limits.request_line_bytes + 2, limits.head_bytes];
        if !is_worth_parsing(self.inbox.window(), self.head.parsed, &thresholds) {
            return self.read_client(State::ReadHead);
        }
        match self.parse_head() {
            Ok(None) => self.read_client(State::ReadHead),
            Ok(Some(head)) => {
                self.inbox.advance(head.length);
                self.begin(head, now)
            }
            Err(error) => self.refuse(error, now),
        }
    }

    /// Leaves the rewritten head in the outbox when the head is whole.
    fn parse_head(&mut self) -> Result<Option<RequestHead>, Error> {
        self.head.parsed = self.inbox.len();
        let mut outbox = self.proxy.pool.large();
        let context = Context {
            client: self.client.as_str(),
            authority: &self.proxy.authority,
            routes: &self.proxy.routes,
        };
        let notes = self.notes.as_deref_mut();
        let read = head::request(self.inbox.window_mut(), &self.proxy.limits, context, notes, &mut outbox);
        match read {
            Ok(Some(_)) => self.outbox = outbox,
            _ => self.proxy.pool.give(outbox),
        }
        read
    }

    /// No more is coming: what was not worth parsing yet is judged, so that it counts as if it had come at once.
    fn judge_rest(&mut self) -> Option<Error> {
        if self.head.parsed == self.inbox.len() { None } else { self.parse_head().err() }
    }

    /// A whole head is in hand: the exchange begins. This is the place between a request and its turn: what needs no backend
    /// is answered here, and takes none.
    fn begin(&mut self, head: RequestHead, now: Instant) -> Op {
        self.proxy.enter();
        self.exchange = Exchange::begin(head.request, self.proxy.limits.body_timeout);
        self.exchange.account.open(now);
        if let Some(reply) = head.reply {
            return self.answer_here(&reply, now);
        }
        if self.proxy.cache.is_some()
            && let Some(op) = self.ask_cache(now)
        {
            return op;
        }
        if self.exchange.asked.expects_continue && self.exchange.asked.framing.has_body() {
            self.answer = self.proxy.pool.large();
            // The buffer is empty and larger than this.
            let _ = self.answer.push(b"HTTP/1.1 100 Continue\r\n\r\n");
            self.within(self.proxy.limits.write_timeout, now);
            return self.write_continue();
        }
        self.gather(now)
    }

    fn write_continue(&mut self) -> Op {
        self.state = State::SendContinue;
        Op::Write(Peer::Client, std::mem::take(&mut self.answer))
    }

    pub(super) fn on_continue_sent(&mut self, result: io::Result<usize>, now: Instant) -> Op {
        match result {
            Ok(count) if count > 0 => {
                self.answer.advance(count);
                if self.answer.is_empty() {
                    self.proxy.pool.give(std::mem::take(&mut self.answer));
                    self.gather(now)
                } else {
                    self.write_continue()
                }
            }
            _ => self.finish(CloseReason::ClientGone),
        }
    }

    /// Moves body from the inbox to the outbox until the request is whole or the outbox is full. What is in hand goes at
    /// once to a backend that judges heads.
    pub(super) fn gather(&mut self, now: Instant) -> Op {
        if let Err(error) = self.scan_upload() {
            return self.refuse(error, now);
        }
        if self.exchange.streaming {
            let fitting = self.inbox.len().min(self.outbox.room());
            let fits = self.outbox.push(&self.inbox.window()[..fitting]);
            debug_assert!(fits, "no more than there is room for");
            self.inbox.advance(fitting);
            if !self.inbox.is_empty() {
                return self.take_turn(now);
            }
            self.end_of_window();
        }
        if self.exchange.upload.is_done()
            || self.outbox.room() == 0
            || self.proxy.judges_heads(self.exchange.asked.route)
        {
            return self.take_turn(now);
        }
        self.read_body(State::ReadBody, now)
    }

    /// Decides which of the inbox's bytes are this request's body; sets `streaming` while its window is body.
    fn scan_upload(&mut self) -> Result<(), Error> {
        if self.exchange.upload.is_done() || self.inbox.is_empty() {
            return Ok(());
        }
        let scanned = self.exchange.upload.scan(self.inbox.window_mut());
        // A size that is over the limit comes before whatever is wrong behind it.
        if self.exchange.upload.unannounced_bytes() > self.proxy.limits.body_bytes {
            return Err(Error::BodyTooLarge);
        }
        let scanned = scanned.map_err(Error::Malformed)?;
        self.inbox.split(scanned.kept, scanned.used);
        self.exchange.streaming = true;
        Ok(())
    }

    /// All body in the inbox has been moved on: what is left is half a line of framing, or the next request.
    pub(super) fn end_of_window(&mut self) {
        self.exchange.streaming = false;
        self.inbox.take_held();
    }

    /// Reads more of the body, into a large buffer when more than a little is to come.
    pub(super) fn read_body(&mut self, state: State, now: Instant) -> Op {
        let little = matches!(self.exchange.upload, Body::Length(left) if left <= self.inbox.room() as u64);
        if !little && self.inbox.capacity() < LARGE {
            let mut larger = self.proxy.pool.large();
            let moved = larger.push(self.inbox.window());
            debug_assert!(moved, "a large buffer holds what a small one held");
            self.proxy.pool.give(std::mem::replace(&mut self.inbox, larger));
        }
        self.wait(self.exchange.client_patience, now);
        if state == State::StreamRead {
            self.look_before_long(now);
        }
        self.read_client(state)
    }

    pub(super) fn on_body_bytes(&mut self, result: io::Result<usize>, now: Instant) -> Op {
        match self.take_body_bytes(result, now) {
            Ok(()) => self.gather(now),
            Err(Some(error)) => self.refuse(error, now),
            Err(None) => self.finish(CloseReason::ClientGone),
        }
    }

    /// The body's next bytes, while the beginning is on its way to a backend already.
    pub(super) fn on_stream_bytes(&mut self, result: io::Result<usize>, now: Instant) -> Op {
        if matches!(&result, Err(error) if error.kind() == io::ErrorKind::TimedOut) {
            self.client_moved(0, self.proxy.limits.body_timeout, now);
            return self.look(Paused::Upload);
        }
        match self.take_body_bytes(result, now).and_then(|()| self.scan_upload().map_err(Some)) {
            Ok(()) => {
                if self.inbox.is_empty() {
                    self.end_of_window();
                }
                self.send(now)
            }
            Err(Some(error)) => self.refuse(error, now),
            Err(None) => self.finish(CloseReason::ClientGone),
        }
    }

    /// `Err(None)`: the client is gone, nobody is left to be told.
    fn take_body_bytes(&mut self, result: io::Result<usize>, now: Instant) -> Result<(), Option<Error>> {
        match result {
            Ok(0) => Err(Some(Error::Malformed("the request body ends before its framing says"))),
            Ok(count) => {
                self.client_moved(count, self.proxy.limits.body_timeout, now);
                self.inbox.commit(count);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Some(Error::RequestTimeout)),
            Err(_) => Err(None),
        }
    }
}

/// Whether a head that was parsed in vain at length `parsed` is parsed again: while it is short (noise is noticed at
/// once), when a line has ended, when its length has doubled (dripped bytes cost no quadratic time), or when a limit was
/// reached.
pub(super) fn is_worth_parsing(window: &[u8], parsed: usize, thresholds: &[usize]) -> bool {
    let length = window.len();
    length <= SMALL
        || length >= 2 * parsed
        || memchr::memchr(b'\n', &window[parsed.min(length)..]).is_some()
        // A forgiven empty line shifts the limits by two bytes.
        || thresholds.iter().any(|threshold| length >= *threshold && parsed < threshold + 4)
}
