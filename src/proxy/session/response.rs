//! The backend's half of an exchange: its head, interim ones before it, and the body on its way to the client.

use std::io::{self, Write};
use std::time::Instant;

use super::request::is_worth_parsing;
use super::{CloseReason, Op, Peer, Session, State};
use crate::proxy::body::{Body, Framing};
use crate::proxy::chunk::Output;
use crate::proxy::error::Error;
use crate::proxy::head::{self, Answer, Response};
use crate::proxy::limits::ADDED;

/// Room for a chunk's size line before data: eight digits and CRLF.
const CHUNK_HEAD: usize = 10;
/// Room for the line end behind data.
const CHUNK_TAIL: usize = 2;
/// The chunk that ends a body.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// Interim responses that one request may get.
const MOST_INTERIMS: u32 = 16;

impl Session {
    /// Waits for the first byte of an answer. The request stays in the outbox until it comes.
    pub(super) fn await_answer(&mut self, now: Instant) -> Op {
        if self.answer.capacity() == 0 {
            self.answer = self.proxy.pool.large();
        }
        // The rewritten head and all body that comes with it fit into the outbox together.
        self.answer.clear_between(0, ADDED);
        self.parsed = 0;
        self.interims = 0;
        self.read_backend(State::ReadAnswer, now)
    }

    fn read_backend(&mut self, state: State, now: Instant) -> Op {
        self.state = state;
        self.within(self.proxy.limits.backend_timeout, now);
        Op::Read(Peer::Backend, std::mem::take(&mut self.answer))
    }

    pub(super) fn on_answer_bytes(&mut self, result: io::Result<usize>, now: Instant) -> Op {
        let fresh = self.answer.is_empty() && self.interims == 0;
        match result {
            Ok(count) if count > 0 => {
                if fresh {
                    // From here on nothing is sent again.
                    self.request_is_sent = self.upload.is_done() && !self.streaming && self.outbox.is_empty();
                    self.outbox.clear();
                }
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
        if self.parsed == self.answer.len() {
            return None;
        }
        head::response(self.answer.window(), &self.proxy.limits, &self.asked, false, &mut self.outbox).err()
    }

    fn read_answer(&mut self, now: Instant) -> Op {
        loop {
            let limits = &self.proxy.limits;
            if !is_worth_parsing(self.answer.window(), self.parsed, &[limits.head_bytes]) {
                return self.read_more_head(now);
            }
            self.parsed = self.answer.len();
            let persistent = self.asked.persistent && self.request_is_sent && !self.proxy.is_draining();
            let window = self.answer.window();
            match head::response(window, limits, &self.asked, persistent, &mut self.outbox) {
                Ok(None) => return self.read_more_head(now),
                Ok(Some((Answer::Interim, length))) => {
                    self.answer.advance(length);
                    self.parsed = 0;
                    self.interims += 1;
                    if self.interims > MOST_INTERIMS {
                        return self.refuse(Error::BadGateway("it sends interim responses without end"), now);
                    }
                    if self.asked.is_1_1 {
                        self.within(self.proxy.limits.write_timeout, now);
                        return self.write_outbox(State::SendInterim);
                    }
                    // HTTP/1.0 knows no interim responses.
                    self.outbox.clear();
                }
                Ok(Some((Answer::Final(response), length))) => {
                    self.answer.advance(length);
                    return self.begin_relay(response, now);
                }
                Err(error) => return self.refuse(error, now),
            }
        }
    }

    fn read_more_head(&mut self, now: Instant) -> Op {
        if self.answer.room() == 0 {
            self.answer.compact();
        }
        self.read_backend(State::ReadAnswer, now)
    }

    pub(super) fn on_interim_sent(&mut self, result: io::Result<usize>, now: Instant) -> Op {
        match result {
            Ok(count) if count > 0 => {
                self.outbox.advance(count);
                if !self.outbox.is_empty() {
                    return self.write_outbox(State::SendInterim);
                }
                self.outbox.clear();
                self.read_answer(now)
            }
            _ => self.finish(CloseReason::ClientGone),
        }
    }

    /// The final head is written; what came of the body with it goes out in the same write.
    fn begin_relay(&mut self, response: Response, now: Instant) -> Op {
        self.response = response;
        let output = match (self.asked.is_1_1, response.names_fields) {
            (false, _) => Output::Data,
            (true, true) => Output::ChunkedWithoutTrailer,
            (true, false) => Output::Chunked,
        };
        self.download = Body::new(response.framing, output);
        self.encodes = response.framing == Framing::UntilClose && self.asked.is_1_1;
        if let Err(error) = self.scan_download() {
            return self.refuse(Error::BadGateway(error), now);
        }
        if self.outbox.push(self.answer.window()) {
            self.answer.advance(self.answer.len());
        }
        self.relay(now)
    }

    /// Decides which of the received bytes are the body's and what of them the client gets.
    fn scan_download(&mut self) -> Result<(), &'static str> {
        let scanned = self.download.scan(self.answer.window_mut())?;
        if self.download.is_done() && scanned.used < self.answer.len() {
            // More than was promised: what follows cannot be told from the next response.
            self.response.persistent = false;
        }
        self.answer.split(scanned.kept, scanned.used);
        if self.encodes && !self.answer.is_empty() {
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
        if self.download.is_done() && std::mem::take(&mut self.connected) {
            self.state = State::Releasing;
            self.deadline = None;
            let reusable = self.response.persistent && self.request_is_sent;
            return if reusable { Op::Release(self.backend) } else { Op::Discard };
        }
        self.within(self.proxy.limits.write_timeout, now);
        if !self.outbox.is_empty() {
            return self.write_outbox(State::SendHead);
        }
        if !self.answer.is_empty() {
            self.state = State::RelayWrite;
            return Op::Write(Peer::Client, std::mem::take(&mut self.answer));
        }
        if self.download.is_done() {
            return self.end_exchange(now);
        }
        if self.encodes {
            self.answer.clear_between(CHUNK_HEAD, CHUNK_TAIL);
        } else {
            // Half a line of framing stays, moved to the front; all else has been passed on.
            self.answer.take_held();
            self.answer.compact();
            self.answer.unlimit();
        }
        self.read_backend(State::RelayRead, now)
    }

    fn write_outbox(&mut self, state: State) -> Op {
        self.state = state;
        Op::Write(Peer::Client, std::mem::take(&mut self.outbox))
    }

    pub(super) fn on_relayed(&mut self, result: io::Result<usize>, from: State, now: Instant) -> Op {
        match result {
            Ok(count) if count > 0 => {
                if from == State::SendHead {
                    self.outbox.advance(count);
                } else {
                    self.answer.advance(count);
                }
                self.relay(now)
            }
            _ => self.finish(CloseReason::ClientGone),
        }
    }

    pub(super) fn on_relay_bytes(&mut self, result: io::Result<usize>, now: Instant) -> Op {
        match result {
            Ok(count) if count > 0 => {
                self.answer.commit(count);
                match self.scan_download() {
                    Ok(()) => self.relay(now),
                    Err(_) => self.cut(),
                }
            }
            Ok(_) if self.response.framing == Framing::UntilClose => {
                self.download = Body::Length(0);
                self.answer.clear();
                if self.encodes {
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
        let told_by_framing = self.asked.is_1_1 || matches!(self.response.framing, Framing::Length(_));
        self.finish(if told_by_framing { CloseReason::Truncated } else { CloseReason::Aborted })
    }

    fn end_exchange(&mut self, now: Instant) -> Op {
        self.leave();
        self.proxy.pool.give(std::mem::take(&mut self.outbox));
        self.proxy.pool.give(std::mem::take(&mut self.answer));
        if self.response.client_persists && !self.proxy.is_draining() {
            return self.await_request(now);
        }
        if self.request_is_sent && self.inbox.is_empty() {
            return self.finish(CloseReason::Complete);
        }
        // Closing with unread bytes would reset the connection and could destroy the response on its way.
        self.half_close(now)
    }
}
