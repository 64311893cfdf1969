//! Endings other than a backend's response: the balancer's own, and the close that does not destroy a refusal.
//!
//! A socket that is closed with unread bytes in it is reset, and the reset can overtake the answer (RFC 9112 section
//! 9.6). So: answer, send the end of the stream, read and discard until the client closes too or a total deadline.

use std::io;
use std::time::Instant;

use super::{Active, State};
use crate::proxy::error::Error;
use crate::proxy::reply::{Connection, Reply};
use crate::proxy::session::{CloseReason, Op, Peer};

impl Active {
    /// Answers with the error's status. The backend in hand, if any, is let go first.
    pub(super) fn refuse(&mut self, error: Error, now: Instant) -> Op {
        self.blame_backend_for(&error);
        if self.exchange.caching.is_some()
            && let Some(op) = self.refuse_with_cache(&error, now)
        {
            return op;
        }
        self.answer_here(&Reply::Refusal(error), now)
    }

    /// Answers for the balancer itself, and closes unless another request can follow.
    pub(super) fn answer_here(&mut self, reply: &Reply, now: Instant) -> Op {
        if self.reply.capacity() == 0 {
            self.reply = match std::mem::take(&mut self.outbox) {
                unused if unused.capacity() == 0 => self.proxy.pool.large(),
                outbox => outbox,
            };
        }
        self.reply.clear();
        // A head that was refused may be one of a HEAD request nevertheless.
        let is_head = self.exchange.asked.is_head
            || (!self.exchange.is_counted && begins_with_head(self.inbox.window()));
        if !self.exchange.is_counted
            && let Some(notes) = &mut self.notes
        {
            notes.note_refused(self.inbox.window(), self.proxy.limits.request_line_bytes);
        }
        self.exchange.response.client_persists = reply.leaves_connection() && self.has_read_request();
        let connection = match (self.exchange.response.client_persists, self.exchange.asked.is_1_1) {
            (false, _) => Connection::Closes,
            (true, true) => Connection::Lasts,
            (true, false) => Connection::LastsFor1_0,
        };
        let response = reply.response(is_head, connection, &self.proxy.date);
        self.answers(reply.code(), response.find("\r\n\r\n").map_or(0, |end| end + 4));
        self.give_slot();
        let fits = self.reply.push(response.as_bytes());
        debug_assert!(fits, "a refusal is shorter than a buffer");
        if std::mem::take(&mut self.exchange.connection.is_open) {
            self.state = State::RefuseDiscard;
            self.deadline = None;
            return Op::Discard;
        }
        self.write_refusal(now)
    }

    /// What is next from the client is another request, and it would be answered here.
    fn has_read_request(&self) -> bool {
        let is_whole = self.exchange.is_counted && self.exchange.upload.is_done() && !self.exchange.streaming;
        is_whole && self.exchange.asked.persistent && !self.proxy.is_draining()
    }

    pub(super) fn write_refusal(&mut self, now: Instant) -> Op {
        self.state = State::RefuseWrite;
        self.within(self.proxy.limits.write_timeout, now);
        Op::Write(Peer::Client, std::mem::take(&mut self.reply))
    }

    pub(super) fn on_refusal_sent(&mut self, result: io::Result<usize>, now: Instant) -> Op {
        match result {
            Ok(count) if count > 0 => {
                self.exchange.account.wrote_to_client(count);
                self.reply.advance(count);
                if !self.reply.is_empty() {
                    return self.write_refusal(now);
                }
                if self.exchange.response.client_persists {
                    return self.end_exchange(now);
                }
                self.report(true);
                self.half_close(now)
            }
            _ => self.finish(CloseReason::ClientGone),
        }
    }

    pub(super) fn half_close(&mut self, now: Instant) -> Op {
        self.leave();
        self.state = State::HalfClose;
        self.within(self.proxy.limits.linger_timeout, now);
        Op::HalfClose
    }

    pub(super) fn linger_read(&mut self) -> Op {
        self.inbox.clear();
        self.read_client(State::Linger)
    }

    pub(super) fn on_lingering_bytes(&mut self, result: io::Result<usize>) -> Op {
        match result {
            Ok(count) if count > 0 => self.linger_read(),
            _ => self.finish(CloseReason::Complete),
        }
    }
}

fn begins_with_head(request: &[u8]) -> bool {
    request.strip_prefix(b"\r\n").unwrap_or(request).starts_with(b"HEAD ")
}
