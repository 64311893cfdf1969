//! The backend's half of an exchange: its head, interim ones before it, and the body on its way to the client.

use std::io::{self, Write};
use std::time::Instant;

use super::request::is_worth_parsing;
use super::{Active, Paused, State};
use crate::proxy::body::{Body, Framing};
use crate::proxy::buf::{LARGE, LONG};
use crate::proxy::chunk::Output;
use crate::proxy::error::Error;
use crate::proxy::head::{self, Answer, Response};
use crate::proxy::limits::ADDED;
use crate::proxy::location::LocationMap;
use crate::proxy::session::{CloseReason, Op, Peer};

/// Room for a chunk's size line before data: eight digits and CRLF.
const CHUNK_HEAD: usize = 10;
/// Room for the line end behind data.
const CHUNK_TAIL: usize = 2;
/// The chunk that ends a body.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// Interim responses that one request may get.
const MOST_INTERIMS: u32 = 16;

impl Active {
    /// The request is sent, or as much of it as could be before the backend spoke or hung up: waits for the first byte
    /// of an answer. The request stays in the outbox until it comes.
    pub(super) fn await_answer(&mut self, now: Instant) -> Op {
        self.prepare_for_answer();
        self.await_head(now)
    }

    fn prepare_for_answer(&mut self) {
        if self.answer.capacity() == 0 {
            self.answer = self.proxy.pool.large();
        }
        // The rewritten head and all body that comes with it fit into the reply together.
        self.answer.clear_between(0, ADDED);
        self.exchange.parsed = 0;
    }

    /// A head, interim or final, has its time as a whole, however it is dripped.
    fn await_head(&mut self, now: Instant) -> Op {
        self.wait(self.proxy.limits.backend_timeout, now);
        self.read_backend(State::ReadAnswer, now)
    }

    pub(super) fn read_backend(&mut self, state: State, now: Instant) -> Op {
        self.state = state;
        self.look_in_a_while(now);
        Op::Read(Peer::Backend, std::mem::take(&mut self.answer))
    }

    /// Whether a read has come to nothing before the time for it was up.
    fn may_go_on(&self, result: &io::Result<usize>, now: Instant) -> bool {
        now < self.wait_until && matches!(result, Err(error) if error.kind() == io::ErrorKind::TimedOut)
    }

    pub(super) fn on_answer_bytes(&mut self, result: io::Result<usize>, now: Instant) -> Op {
        let fresh = self.answer.is_empty() && self.exchange.interims == 0;
        match result {
            result if self.may_go_on(&result, now) => self.look(Paused::Answer),
            Ok(count) if count > 0 => {
                self.exchange.account.read_from_backend(count);
                self.answer.commit(count);
                self.read_answer(now)
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                let fault = self.judge_rest_of_answer().unwrap_or(Error::GatewayTimeout);
                self.refuse(fault, now)
            }
            _ if fresh => self.on_no_answer(now),
            _ => {
                let fault = self.judge_rest_of_answer();
                self.refuse(fault.unwrap_or(Error::BadGateway("it broke off in its head")), now)
            }
        }
    }

    /// No more is coming: what was not worth parsing yet is judged, so that it counts as if it had come at once.
    fn judge_rest_of_answer(&mut self) -> Option<Error> {
        if self.exchange.parsed == self.answer.len() {
            return None;
        }
        self.prepare_reply();
        let (window, proxy) = (self.answer.window(), &self.proxy);
        head::response(window, &proxy.limits, &self.exchange.asked, false, None, &proxy.date, &mut self.reply)
            .err()
    }

    /// A head for the client can be written: nothing is sent again from here on, and a request that is sent leaves its
    /// buffer to it.
    fn prepare_reply(&mut self) {
        if self.reply.capacity() > 0 {
            return;
        }
        self.reply = if self.is_sent() && self.outbox.capacity() > 0 {
            std::mem::take(&mut self.outbox)
        } else {
            self.proxy.pool.large()
        };
        self.reply.clear();
    }

    fn read_answer(&mut self, now: Instant) -> Op {
        self.prepare_reply();
        let request_is_sent = self.is_sent();
        loop {
            let limits = &self.proxy.limits;
            if !is_worth_parsing(self.answer.window(), self.exchange.parsed, &[limits.head_bytes]) {
                return self.read_more_head(now);
            }
            self.exchange.parsed = self.answer.len();
            let persistent = self.exchange.asked.persistent && request_is_sent && !self.proxy.is_draining();
            let backend = self.proxy.backend(self.exchange.connection.backend);
            let locations = match &self.notes {
                Some(notes) if self.proxy.routes.maps_location(self.exchange.asked.route) => {
                    Some(LocationMap {
                        taken_off: self.proxy.routes.taken_off(self.exchange.asked.route),
                        backend: [backend.name.as_bytes(), backend.authority.as_bytes()],
                        host: &notes.host,
                    })
                }
                _ => None,
            };
            let (window, date, reply) = (self.answer.window(), &self.proxy.date, &mut self.reply);
            match head::response(
                window,
                limits,
                &self.exchange.asked,
                persistent,
                locations.as_ref(),
                date,
                reply,
            ) {
                Ok(None) => return self.read_more_head(now),
                Ok(Some((Answer::Interim, length))) => {
                    self.answer.advance(length);
                    self.exchange.parsed = 0;
                    self.exchange.interims += 1;
                    if self.exchange.interims > MOST_INTERIMS {
                        return self.refuse(Error::BadGateway("it sends interim responses without end"), now);
                    }
                    if self.exchange.asked.is_1_1 && !self.is_unheard() {
                        self.within(self.proxy.limits.write_timeout, now);
                        return self.write_reply(State::SendInterim);
                    }
                    // HTTP/1.0 knows no interim responses.
                    self.end_interim(now);
                }
                Ok(Some((Answer::Final(response), length))) => {
                    self.answer.advance(length);
                    self.exchange.request_is_sent = request_is_sent;
                    return self.begin_relay(response, now);
                }
                Err(error) => return self.refuse(error, now),
            }
        }
    }

    /// An interim response is dealt with: the next head has its own time.
    fn end_interim(&mut self, now: Instant) {
        self.reply.clear();
        self.wait(self.proxy.limits.backend_timeout, now);
    }

    fn read_more_head(&mut self, now: Instant) -> Op {
        if self.answer.is_empty() && !self.is_sent() {
            // Between interim responses and the final one there is time for the rest of the request.
            self.looked(now);
            return self.go_on_sending(now);
        }
        if self.answer.room() == 0 {
            self.answer.compact();
        }
        self.read_backend(State::ReadAnswer, now)
    }

    pub(super) fn on_interim_sent(&mut self, result: io::Result<usize>, now: Instant) -> Op {
        match result {
            Ok(count) if count > 0 => {
                self.reply.advance(count);
                if !self.reply.is_empty() {
                    return self.write_reply(State::SendInterim);
                }
                self.end_interim(now);
                self.read_answer(now)
            }
            _ => self.finish(CloseReason::ClientGone),
        }
    }

    /// The final head is written; what came of the body with it goes out in the same write.
    fn begin_relay(&mut self, response: Response, now: Instant) -> Op {
        self.exchange.response = response;
        self.exchange.client_patience = self.proxy.limits.write_timeout;
        self.exchange.backend_patience = self.proxy.limits.backend_timeout;
        if self.exchange.caching.is_some()
            && let Some(op) = self.judge_response(now)
        {
            return op;
        }
        if !self.is_unheard() {
            self.answers(response.status, self.reply.len());
        }
        let output = match (self.exchange.asked.is_1_1, response.names_fields) {
            (false, _) => Output::Data,
            (true, true) => Output::ChunkedWithoutTrailer,
            (true, false) => Output::Chunked,
        };
        self.exchange.download = Body::new(response.framing, output);
        self.exchange.encodes = response.framing == Framing::UntilClose && self.exchange.asked.is_1_1;
        if let Err(error) = self.scan_download() {
            return self.refuse(Error::BadGateway(error), now);
        }
        if self.reply.push(self.answer.window()) {
            self.answer.advance(self.answer.len());
        }
        self.relay(now)
    }

    /// Decides which of the received bytes are the body's and what of them the client gets. Every piece of a body passes here,
    /// once, in its order.
    fn scan_download(&mut self) -> Result<(), &'static str> {
        let scanned = self.exchange.download.scan(self.answer.window_mut())?;
        let has_surplus = self.exchange.download.is_done() && scanned.used < self.answer.len();
        if has_surplus {
            // More than was promised: what follows cannot be told from the next response.
            self.exchange.response.persistent = false;
            self.proxy.spoke_unasked(self.exchange.connection.backend);
        }
        self.answer.split(scanned.kept, scanned.used);
        if self.exchange.caching.is_some() {
            self.feed_cache(has_surplus);
        }
        if self.exchange.encodes && !self.answer.is_empty() {
            let mut size = [0; CHUNK_HEAD];
            let mut rest = size.as_mut_slice();
            // A buffer's length has fewer digits than there is room for.
            let _ = write!(rest, "{:x}\r\n", self.answer.len());
            let length = CHUNK_HEAD - rest.len();
            self.answer.wrap(&size[..length], b"\r\n");
        }
        Ok(())
    }

    /// Passes the body on: gives the backend back as soon as it has sent all, then writes, then reads.
    pub(super) fn relay(&mut self, now: Instant) -> Op {
        if self.is_unheard() {
            self.drop_unheard(now);
        }
        if self.exchange.download.is_done() && std::mem::take(&mut self.exchange.connection.is_open) {
            self.state = State::Releasing;
            self.deadline = None;
            self.give_slot();
            return self.release_or_discard();
        }
        if !self.reply.is_empty() {
            self.wait(self.exchange.client_patience, now);
            return self.write_reply(State::SendHead);
        }
        if !self.answer.is_empty() {
            self.wait(self.exchange.client_patience, now);
            self.state = State::RelayWrite;
            return Op::Write(Peer::Client, std::mem::take(&mut self.answer));
        }
        if self.exchange.download.is_done() {
            if !self.refill_from_stored() {
                return self.end_exchange(now);
            }
            self.wait(self.exchange.client_patience, now);
            return self.write_reply(State::SendHead);
        }
        // Half a line of framing stays, moved to the front; all else has been passed on.
        self.answer.take_held();
        self.answer.compact();
        self.answer.unlimit();
        if self.exchange.fills_buffer {
            self.read_longer_pieces();
        }
        if self.exchange.encodes {
            self.answer.clear_between(CHUNK_HEAD, CHUNK_TAIL);
        }
        self.wait_for_backend(now);
        self.read_backend(State::RelayRead, now)
    }

    /// The backend sends faster than the buffer takes: a longer one needs fewer calls for the rest of the body.
    fn read_longer_pieces(&mut self) {
        let is_short = matches!(self.exchange.download, Body::Length(left) if left <= LARGE as u64);
        if !is_short && self.answer.capacity() < LONG {
            let mut longer = self.proxy.pool.long();
            let moved = longer.push(self.answer.window());
            debug_assert!(moved, "a long buffer holds what a large one held");
            self.proxy.pool.give(std::mem::replace(&mut self.answer, longer));
        }
    }

    fn release_or_discard(&self) -> Op {
        let surplus = &self.proxy.backend(self.exchange.connection.backend).surplus;
        if !self.exchange.response.persistent || !self.exchange.request_is_sent || surplus.was_seen() {
            return Op::Discard;
        }
        let has_no_body = self.exchange.asked.is_head || matches!(self.exchange.response.status, 204 | 304);
        Op::Release {
            backend: self.exchange.connection.backend,
            is_suspect: has_no_body && surplus.may_follow_an_answer_without_body(),
        }
    }

    fn write_reply(&mut self, state: State) -> Op {
        self.state = state;
        Op::Write(Peer::Client, std::mem::take(&mut self.reply))
    }

    pub(super) fn on_relayed(&mut self, result: io::Result<usize>, from: State, now: Instant) -> Op {
        match result {
            Ok(count) if count > 0 => {
                self.exchange.account.wrote_to_client(count);
                self.client_moved(count, self.proxy.limits.write_timeout, now);
                if from == State::SendHead {
                    self.reply.advance(count);
                } else {
                    self.answer.advance(count);
                }
                self.relay(now)
            }
            _ if self.goes_on_unheard(now) => self.relay(now),
            _ => self.finish(CloseReason::ClientGone),
        }
    }

    pub(super) fn on_relay_bytes(&mut self, result: io::Result<usize>, now: Instant) -> Op {
        match result {
            result if self.may_go_on(&result, now) => self.look(Paused::Relay),
            Ok(count) if count > 0 => {
                self.backend_moved(count, now);
                self.exchange.account.read_from_backend(count);
                self.answer.commit(count);
                self.exchange.fills_buffer = self.answer.room() == 0;
                match self.scan_download() {
                    Ok(()) => self.relay(now),
                    Err(_) => self.cut(),
                }
            }
            Ok(_) if self.exchange.response.framing == Framing::UntilClose => {
                self.exchange.download = Body::Length(0);
                self.answer.clear();
                if self.exchange.encodes {
                    // The buffer is empty and larger than this.
                    let _ = self.answer.push(LAST_CHUNK);
                }
                self.relay(now)
            }
            _ => self.cut(),
        }
    }

    /// The body broke off. What has gone out cannot be taken back, so the client is made to notice.
    fn cut(&mut self) -> Op {
        self.blame_backend();
        let told_by_framing =
            self.exchange.asked.is_1_1 || matches!(self.exchange.response.framing, Framing::Length(_));
        self.finish(if told_by_framing { CloseReason::Truncated } else { CloseReason::Aborted })
    }

    pub(super) fn end_exchange(&mut self, now: Instant) -> Op {
        if self.exchange.caching.is_some()
            && let Some(op) = self.end_with_cache(now)
        {
            return op;
        }
        self.leave();
        self.report(true);
        for buf in [&mut self.outbox, &mut self.answer, &mut self.reply] {
            self.proxy.pool.give(std::mem::take(buf));
        }
        if self.exchange.response.client_persists && !self.proxy.is_draining() {
            return self.await_request(now);
        }
        if self.exchange.request_is_sent && self.inbox.is_empty() {
            return self.finish(CloseReason::Complete);
        }
        // Closing with unread bytes would reset the connection and could destroy the response on its way.
        self.half_close(now)
    }
}
