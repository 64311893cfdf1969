//! One connection of the load generator: from connect to the last byte, with as few system calls as there can be.
//!
//! Owns the order of connecting, sending, receiving and closing; the engine decides which request comes when. Rules:
//! a request is written at once, without waiting for room, even while the connect is under way (on loopback it has
//! mostly succeeded by then); a short read has emptied the socket, so that no second read is tried, and when the
//! kernel had reported the end of the stream before it, that end is met; room for writing is watched only where a
//! write was short; a response is heard while its request is still being sent, and ends the connection if it is whole
//! before that.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::answer::Answer;
use super::failure::Failure;
use super::record::{End, Recorder};
use super::response::{Fault, Progress};
use super::tally::Tally;
use super::target::Target;
use super::verify::Reference;

/// What the connections of one engine share.
pub(crate) struct Shared {
    pub(crate) registry: Registry,
    pub(crate) keep_alive: bool,
    /// The method is HEAD.
    pub(crate) head_only: bool,
    /// Where all connections read into, one after the other.
    pub(crate) buffer: Box<[u8]>,
    pub(crate) tally: Tally,
    pub(crate) recorder: Option<Recorder>,
    /// The last reading of the clock.
    pub(crate) clock: Instant,
    /// Connects that failed and responses that did not come, one after the other.
    pub(crate) barren: u64,
    /// The last failure that the kernel gave a reason for.
    pub(crate) last_error: Option<io::Error>,
}

impl Shared {
    fn now(&mut self) -> Instant {
        self.clock = Instant::now();
        self.clock
    }
}

/// Whether the slot of a connection may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Step {
    /// The request in hand is not done.
    Wait,
    /// It is done, one way or the other, and has been counted.
    Free,
}

/// What a connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// There is none.
    Closed,
    /// It is open, and waits for a request.
    Idle,
    /// The request is on its way; the connect may be, too.
    Sending,
    /// The response is awaited.
    Receiving,
    /// The response was whole; the server's close is awaited.
    Closing,
}

/// One connection, and those that come after it in its place.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) state: State,
    /// When the request in hand began, or, while closing, when the response ended.
    pub(crate) since: Instant,
    stream: Option<TcpStream>,
    /// When the request in hand was to begin, in the open loop.
    due: Option<Instant>,
    /// Tells events of this connection from late ones of the one before.
    generation: u32,
    /// Its connect is not known to have succeeded.
    connecting: bool,
    /// The request in hand, where it is not its target's.
    own_request: Vec<u8>,
    sent: usize,
    /// The server takes no more of the request; what it has answered can still be read.
    refused: bool,
    /// Time of the response in hand, once it is whole.
    took: Duration,
    /// The same from when it was due.
    since_due: Option<Duration>,
    writing_watched: bool,
    answer: Answer,
}

impl Connection {
    pub(crate) fn new(now: Instant) -> Self {
        Connection {
            state: State::Closed,
            since: now,
            stream: None,
            due: None,
            generation: 0,
            connecting: false,
            own_request: Vec::new(),
            sent: 0,
            refused: false,
            took: Duration::ZERO,
            since_due: None,
            writing_watched: false,
            answer: Answer::new(),
        }
    }

    /// Sends the request of `target`, which was `due` then, over the open connection if there is one: the one that nobody has
    /// sent before of the number `fresh`, if that is given. The connection stands at `place`.
    pub(crate) fn send(
        &mut self,
        place: usize,
        due: Option<Instant>,
        fresh: Option<u64>,
        target: &Target,
        reference: &mut Reference,
        shared: &mut Shared,
    ) -> Step {
        self.since = shared.now();
        self.due = due;
        if let Some(due) = due {
            shared.tally.sent(self.since.saturating_duration_since(due));
        }
        match fresh {
            Some(number) => target.write_fresh(number, &mut self.own_request),
            None => self.own_request.clear(),
        }
        self.sent = 0;
        self.refused = false;
        self.answer.begin(shared.head_only, reference);
        self.state = State::Sending;
        if self.stream.is_some() {
            return self.write(place, target, reference, shared);
        }
        let stream = TcpStream::connect(target.address).and_then(|stream| {
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        match stream {
            Ok(stream) => self.stream = Some(stream),
            Err(error) => return self.fail(Failure::Connect, Some(error), shared),
        }
        self.generation = self.generation.wrapping_add(1);
        self.connecting = true;
        self.writing_watched = false;
        let step = self.write(place, target, reference, shared);
        if step == Step::Wait && !self.writing_watched {
            return self.watch(place, Interest::READABLE, shared);
        }
        step
    }

    /// Goes on after the kernel reported something.
    pub(crate) fn ready(
        &mut self,
        event: &Event,
        place: usize,
        target: &Target,
        reference: &mut Reference,
        shared: &mut Shared,
    ) -> Step {
        if generation_of(event.token()) != self.generation {
            return Step::Wait;
        }
        match self.state {
            State::Closed => return Step::Wait,
            State::Idle => {
                // Closed, or spoken out of turn: in both cases another is opened when it is needed.
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.close();
                }
                return Step::Wait;
            }
            State::Sending => {
                let step = self.write(place, target, reference, shared);
                if step == Step::Free || !event.is_readable() {
                    return step;
                }
            }
            State::Receiving | State::Closing => {}
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.receive(event.is_read_closed(), event.is_error(), reference, shared)
        } else {
            Step::Wait
        }
    }

    /// The response did not come in time.
    pub(crate) fn time_out(&mut self, shared: &mut Shared) -> Step {
        self.fail(Failure::Timeout, Some(ErrorKind::TimedOut.into()), shared)
    }

    /// The server did not close in time after a whole response; it was `waited` for.
    pub(crate) fn close_upon(&mut self, waited: Duration, shared: &mut Shared) -> Step {
        shared.tally.closed_by_client += 1;
        shared.tally.close_waited += waited;
        self.leave(shared)
    }

    /// The load is broken off: whether the request in hand was answered.
    pub(crate) fn abandon(&mut self, shared: &mut Shared) -> bool {
        let answered = self.state == State::Closing;
        if answered {
            self.settle(shared);
        }
        self.close();
        answered
    }

    /// Drops the connection, if there is one.
    pub(crate) fn close(&mut self) {
        self.stream = None;
        self.state = State::Closed;
    }

    fn write(
        &mut self,
        place: usize,
        target: &Target,
        reference: &mut Reference,
        shared: &mut Shared,
    ) -> Step {
        loop {
            let request = if self.own_request.is_empty() { &target.request } else { &self.own_request };
            if self.sent == request.len() {
                break;
            }
            let Some(stream) = &mut self.stream else { return Step::Wait };
            match stream.write(&request[self.sent..]) {
                Ok(bytes) => {
                    self.sent += bytes;
                    shared.tally.connections_opened += u64::from(self.connecting);
                    self.connecting = false;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    if self.writing_watched {
                        return Step::Wait;
                    }
                    return self.watch(place, Interest::READABLE | Interest::WRITABLE, shared);
                }
                // A server that had accepted. It may have answered before it had enough.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                    self.refused = true;
                    return self.receive(true, true, reference, shared);
                }
                Err(error) => {
                    let failure = if self.connecting { Failure::Connect } else { Failure::Receive };
                    return self.fail(failure, Some(error), shared);
                }
            }
        }
        self.state = State::Receiving;
        Step::Wait
    }

    /// Has the kernel report `interest`, from now on.
    fn watch(&mut self, place: usize, interest: Interest, shared: &mut Shared) -> Step {
        let Some(stream) = &mut self.stream else { return Step::Wait };
        let token = token(place, self.generation);
        let watched = match shared.registry.register(stream, token, interest) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                shared.registry.reregister(stream, token, interest)
            }
            done => done,
        };
        if let Err(error) = watched {
            return self.fail(Failure::Connect, Some(error), shared);
        }
        self.writing_watched = interest.is_writable();
        Step::Wait
    }

    fn receive(
        &mut self,
        read_closed: bool,
        reset: bool,
        reference: &mut Reference,
        shared: &mut Shared,
    ) -> Step {
        loop {
            let Some(stream) = &mut self.stream else { return Step::Wait };
            let bytes = match stream.read(&mut shared.buffer) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Step::Wait,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) if self.state == State::Closing => return self.leave(shared),
                Err(error) => return self.fail(Failure::Receive, Some(error), shared),
            };
            shared.tally.received_bytes += bytes as u64;
            let emptied = bytes < shared.buffer.len();
            if self.state == State::Closing {
                if bytes == 0 {
                    return self.leave(shared);
                }
                return self.fail(Failure::Length, None, shared);
            }
            let progress = if bytes == 0 {
                // The end after a reset says nothing about where the body ends.
                if self.refused { Err(Fault::Cut) } else { self.answer.end() }
            } else {
                self.answer.read(&shared.buffer[..bytes], reference, &mut shared.tally)
            };
            match progress {
                Ok(Progress::Partial) if emptied && !read_closed => return Step::Wait,
                Ok(Progress::Partial) => {}
                Ok(Progress::Complete { used }) if used < bytes => {
                    return self.fail(Failure::Length, None, shared);
                }
                Ok(Progress::Complete { .. }) => {
                    let ended = bytes == 0 || (emptied && read_closed && !reset);
                    let step = self.complete(read_closed, ended, reference, shared);
                    if self.state != State::Closing || !read_closed {
                        return step;
                    }
                }
                Err(Fault::Cut) => return self.fail(Failure::Receive, None, shared),
                Err(Fault::Malformed(reason)) => {
                    shared.tally.first_malformed.get_or_insert(reason);
                    return self.fail(Failure::Malformed, Some(io::Error::other(reason)), shared);
                }
            }
        }
    }

    /// The response is whole: is it right, and does the connection end with it? `ended` when the stream has ended, too.
    fn complete(
        &mut self,
        read_closed: bool,
        ended: bool,
        reference: &mut Reference,
        shared: &mut Shared,
    ) -> Step {
        let took = shared.now().saturating_duration_since(self.since);
        shared.barren = 0;
        if let Err(failure) = self.answer.verify(reference) {
            return self.fail(failure, None, shared);
        }
        self.took = took;
        self.since_due = self.due.map(|due| shared.clock.saturating_duration_since(due));
        if self.state == State::Sending {
            // An early response. The rest of the request would be taken for the next one.
            return self.leave(shared);
        }
        if shared.keep_alive && self.answer.is_persistent() && !read_closed {
            self.settle(shared);
            shared.tally.keep_alive_requests += 1;
            self.state = State::Idle;
            return Step::Free;
        }
        if ended {
            return self.leave(shared);
        }
        self.state = State::Closing;
        self.since = shared.clock;
        Step::Wait
    }

    /// The response in hand is whole, and nothing came after it.
    fn settle(&mut self, shared: &mut Shared) {
        if let Some(recorder) = &mut shared.recorder {
            // While closing, `since` is when the response ended.
            let ended = if self.state == State::Closing { self.since } else { shared.clock };
            let sent = ended.checked_sub(self.took).unwrap_or(ended);
            recorder.ended(self.due, sent, ended, self.answer.backend(), End::Status(self.answer.status()));
        }
        let tally = &mut shared.tally;
        tally.completed += 1;
        tally.non_2xx += u64::from(!self.answer.is_2xx());
        tally.answered(self.took, self.since_due);
        tally.document_bytes.get_or_insert(self.answer.body_bytes());
        if let Some(place) = self.answer.backend() {
            tally.per_backend.count(place);
        }
        tally.from_cache += u64::from(self.answer.is_from_cache());
    }

    fn leave(&mut self, shared: &mut Shared) -> Step {
        self.settle(shared);
        self.close();
        Step::Free
    }

    fn fail(&mut self, failure: Failure, error: Option<io::Error>, shared: &mut Shared) -> Step {
        shared.tally.fail(failure);
        if shared.recorder.is_some() {
            let now = shared.now();
            if let Some(recorder) = &mut shared.recorder {
                recorder.ended(self.due, self.since, now, self.answer.backend(), End::Failed(failure));
            }
        }
        if matches!(failure, Failure::Connect | Failure::Timeout) {
            shared.barren += 1;
            shared.last_error = error;
        } else {
            shared.barren = 0;
        }
        self.close();
        Step::Free
    }
}

/// A token that names a connection's place and which connection in that place it is.
fn token(place: usize, generation: u32) -> Token {
    Token(place | (generation as usize) << 32)
}

/// The place in a token.
pub(crate) fn place_of(token: Token) -> usize {
    token.0 & 0xffff_ffff
}

fn generation_of(token: Token) -> u32 {
    u32::try_from(token.0 >> 32).unwrap_or_default()
}
