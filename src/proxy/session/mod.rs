//! One client connection as a state machine with exactly one operation outstanding.
//!
//! Owns the contract with the drivers ([`Op`], [`Done`]) and the dispatch; what is done with a request stands in
//! `request`, with connections to backends in `attempt`, with a response in `response`, with refusals in `ending`, how long
//! anybody is waited for in `waiting`, what the cache has to do with it in `cached`, and what is counted and told of it in
//! `accounts`. What belongs to one exchange is one value, in `exchange`.
//!
//! ```text
//!            +--------------------------- next request ---------------------------+
//!            v                                                                    |
//!  start -> head -> body, up to a buffer -> Connect -> send -> await answer -> relay -> Release
//!            |          |                    ^  |       ^  |         |            |
//!            |          |        next backend+--+       |  +-- rest -+ interim    | cut
//!            v          v                               |      of the body        v
//!           refuse: answer -> HalfClose -> discard      +- retry             Finish
//! ```
//!
//! Rules: a request goes to a backend when it is whole or fills a buffer, so that slow clients hold no backend and
//! most requests can be sent again (to a hidden group when its head is whole); bytes go one way at a time, but an answer
//! that comes during an upload is noticed and ends it; after any byte of a response has gone to the client nothing is
//! ever retried.

mod accounts;
mod attempt;
mod cached;
mod ending;
mod exchange;
mod request;
mod response;
mod waiting;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::buf::Buf;
use super::observer::Notes;
use super::shared::Proxy;
use super::vocabulary::BackendId;
use exchange::Exchange;

/// The two ends of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Who connected.
    Client,
    /// Whom the session connected to.
    Backend,
}

/// What the driver does next. A buffer in it comes back in the [`Done`], whatever happened.
#[derive(Debug)]
pub enum Op {
    /// Close the connection to a backend, if there is one, and have one to `backend`: an idle one where `reuse` allows
    /// it and there is one, else a new one. Answer: [`Done::Connected`].
    Connect {
        /// Whom to connect to; [`Proxy::address`] tells where.
        backend: BackendId,
        /// Whether an idle connection will do.
        reuse: bool,
    },
    /// Read once into the buffer's [`spare_mut`](Buf::spare_mut). Answer: [`Done::Transferred`]; zero is the end.
    Read(Peer, Buf),
    /// Write once from the buffer's [`window`](Buf::window). Answer: [`Done::Transferred`].
    Write(Peer, Buf),
    /// Keep the connection to the backend for later use. Answer: [`Done::Complete`].
    Release {
        /// Whose connection it is.
        backend: BackendId,
        /// More than the answer may still come on it: it is not to be handed out before that would have shown, and
        /// the socket itself is to be asked then.
        is_suspect: bool,
    },
    /// Close the connection to the backend. Answer: [`Done::Complete`].
    Discard,
    /// Tell at once what can be seen of both sides. Answer: [`Done::Looked`].
    Look,
    /// Send the client the end of the stream, and keep reading. Answer: [`Done::Complete`].
    HalfClose,
    /// Close everything. There is no answer.
    Finish(CloseReason),
}

/// What came of an [`Op`].
#[derive(Debug)]
pub enum Done {
    /// Whether there is a connection, and if so, whether it was an idle one.
    Connected(io::Result<bool>),
    /// How many bytes were read or written; [`io::ErrorKind::TimedOut`] when the deadline passed.
    Transferred(io::Result<usize>, Buf),
    /// What was seen of both sides.
    Looked {
        /// The client has reset its connection, and not merely sent its end: nothing that is sent there arrives.
        client_is_gone: bool,
        /// Something can be read from the backend in hand: bytes, its end or an error.
        backend_has_spoken: bool,
    },
    /// It was done.
    Complete,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// Everything that was asked was answered.
    Complete,
    /// The client closed its side between requests, or was idle for too long.
    Idle,
    /// The client went away in the middle of something.
    ClientGone,
    /// A response broke off; its framing tells the client.
    Truncated,
    /// A response broke off that ends with the connection: close with a reset, so that the client can tell.
    Aborted,
    /// The driver answered an operation with something else than its outcome.
    DriverFault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    ReadHead,
    /// Waiting for another one's fetch.
    AwaitFetch,
    SendContinue,
    ReadBody,
    Connecting,
    SendRequest,
    StreamRead,
    StreamWrite,
    ReadAnswer,
    /// A pause in a wait, in which both sides are looked at.
    Looking(Paused),
    SendInterim,
    SendHead,
    RelayRead,
    RelayWrite,
    Releasing,
    RefuseDiscard,
    RefuseWrite,
    HalfClose,
    Linger,
    Finished,
}

/// What goes on after a look at both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paused {
    /// Sending the request: the backend may have answered already.
    Upload,
    /// Waiting for the answer's head.
    Answer,
    /// Waiting for more of its body.
    Relay,
}

/// The head that is being read, or waited for.
#[derive(Debug)]
struct ReadingHead {
    /// When it must be whole.
    deadline: Instant,
    /// Length of the inbox when it was last parsed in vain.
    parsed: usize,
    /// Nothing of it has come: the deadline begins with its first byte.
    is_idle: bool,
}

impl ReadingHead {
    fn until(deadline: Instant) -> Self {
        ReadingHead { deadline, parsed: 0, is_idle: false }
    }
}

/// One client connection.
#[derive(Debug)]
pub struct Session {
    proxy: Arc<Proxy>,
    address: SocketAddr,
    client: ClientName,
    /// The last step's time.
    now: Instant,
    state: State,
    deadline: Option<Instant>,
    /// When the wait in hand is over for good; [`Op::Look`] interrupts it before.
    wait_until: Instant,
    /// While a request is on its way: when both sides are looked at again, however busy they are.
    next_look: Instant,
    /// From the client: the head and body being read, and what was pipelined behind them.
    inbox: Buf,
    /// To a backend: kept whole until it answers, to be sent again.
    outbox: Buf,
    /// From a backend.
    answer: Buf,
    /// To the client: the head of a response with what comes of its body at once, or a refusal.
    reply: Buf,
    head: ReadingHead,
    exchange: Exchange,
    /// Taken while somebody wants to know.
    notes: Option<Box<Notes>>,
}

impl Session {
    /// A session for a client that has just connected, and its first operation.
    pub fn start(proxy: Arc<Proxy>, client: SocketAddr, now: Instant) -> (Self, Op) {
        let head = ReadingHead::until(now + proxy.limits.header_timeout);
        let takes_notes = proxy.observer.is_some() || proxy.routes.map_locations();
        let mut session = Session {
            address: client,
            client: ClientName::new(client),
            now,
            state: State::ReadHead,
            deadline: Some(head.deadline),
            wait_until: now,
            next_look: now,
            inbox: proxy.pool.small(),
            outbox: Buf::default(),
            answer: Buf::default(),
            reply: Buf::default(),
            head,
            exchange: Exchange::none(),
            notes: takes_notes.then(Box::default),
            proxy,
        };
        let op = session.read_client(State::ReadHead);
        (session, op)
    }

    /// A read into `buf` has to wait: its memory goes back to the pool meanwhile, unless it holds something. For drivers that
    /// can wait without it; before they try again they [`lend`](Self::lend) it some.
    pub fn reclaim(&self, buf: &mut Buf) {
        self.proxy.pool.reclaim(buf);
    }

    /// Gives `buf` memory again, if it was reclaimed.
    pub fn lend(&self, buf: &mut Buf) {
        self.proxy.pool.lend(buf);
    }

    /// Takes the outcome of the operation in hand and names the next one. `now` is the time of the outcome.
    pub fn step(&mut self, mut done: Done, now: Instant) -> Op {
        self.now = now;
        if let Done::Transferred(_, buf) = &mut done {
            // It may have been late while it waited.
            self.proxy.pool.lend(buf);
        }
        match (self.state, done) {
            (State::ReadHead, Done::Transferred(result, buf)) => {
                self.inbox = buf;
                self.on_head_bytes(result, now)
            }
            (State::AwaitFetch, Done::Transferred(result, buf)) => {
                self.inbox = buf;
                self.on_fetch_awaited(result, now)
            }
            (State::SendContinue, Done::Transferred(result, buf)) => {
                self.answer = buf;
                self.on_continue_sent(result, now)
            }
            (State::ReadBody, Done::Transferred(result, buf)) => {
                self.inbox = buf;
                self.on_body_bytes(result, now)
            }
            (State::Connecting, Done::Connected(result)) => self.on_connected(result, now),
            (State::SendRequest, Done::Transferred(result, buf)) => {
                self.outbox = buf;
                self.on_request_sent(result, now)
            }
            (State::StreamWrite, Done::Transferred(result, buf)) => {
                self.inbox = buf;
                self.on_body_streamed(result, now)
            }
            (State::StreamRead, Done::Transferred(result, buf)) => {
                self.inbox = buf;
                self.on_stream_bytes(result, now)
            }
            (State::ReadAnswer, Done::Transferred(result, buf)) => {
                self.answer = buf;
                self.on_answer_bytes(result, now)
            }
            (State::Looking(paused), Done::Looked { client_is_gone, backend_has_spoken }) => {
                self.on_looked(paused, client_is_gone, backend_has_spoken, now)
            }
            (State::SendInterim, Done::Transferred(result, buf)) => {
                self.reply = buf;
                self.on_interim_sent(result, now)
            }
            (State::SendHead, Done::Transferred(result, buf)) => {
                self.reply = buf;
                self.on_relayed(result, State::SendHead, now)
            }
            (State::RelayWrite, Done::Transferred(result, buf)) => {
                self.answer = buf;
                self.on_relayed(result, State::RelayWrite, now)
            }
            (State::RelayRead, Done::Transferred(result, buf)) => {
                self.answer = buf;
                self.on_relay_bytes(result, now)
            }
            (State::Releasing, Done::Complete) => self.relay(now),
            (State::RefuseDiscard, Done::Complete) => self.write_refusal(now),
            (State::RefuseWrite, Done::Transferred(result, buf)) => {
                self.reply = buf;
                self.on_refusal_sent(result, now)
            }
            (State::HalfClose, Done::Complete) => self.linger_read(),
            (State::Linger, Done::Transferred(result, buf)) => {
                self.inbox = buf;
                self.on_lingering_bytes(result)
            }
            _ => self.finish(CloseReason::DriverFault),
        }
    }

    /// When the operation in hand has failed with [`io::ErrorKind::TimedOut`]; `None` if it does not wait.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn within(&mut self, timeout: Duration, now: Instant) {
        self.deadline = Some(now + timeout);
    }

    /// Reads from the client, with room made for it.
    fn read_client(&mut self, state: State) -> Op {
        self.state = state;
        let mut inbox = std::mem::take(&mut self.inbox);
        if inbox.room() == 0 {
            inbox.compact();
            if inbox.room() == 0 {
                let mut larger = self.proxy.pool.large();
                let moved = larger.push(inbox.window());
                debug_assert!(moved, "a large buffer is refused before it is full");
                self.proxy.pool.give(std::mem::replace(&mut inbox, larger));
            }
        }
        Op::Read(Peer::Client, inbox)
    }

    fn finish(&mut self, reason: CloseReason) -> Op {
        self.report(false);
        self.state = State::Finished;
        self.deadline = None;
        Op::Finish(reason)
    }

    /// The exchange is over, one way or the other.
    fn leave(&mut self) {
        if std::mem::take(&mut self.exchange.is_counted) {
            self.proxy.leave();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.leave();
        self.give_slot();
        for buf in [&mut self.inbox, &mut self.outbox, &mut self.answer, &mut self.reply] {
            self.proxy.pool.give(std::mem::take(buf));
        }
    }
}

/// The client's address in text, without its port.
#[derive(Debug, Clone, Copy)]
struct ClientName {
    text: [u8; 45],
    length: usize,
}

impl ClientName {
    fn new(client: SocketAddr) -> Self {
        let mut text = [0; 45];
        let mut rest = text.as_mut_slice();
        // The longest address has 45 characters, so this cannot fail.
        let _ = write!(rest, "{}", client.ip().to_canonical());
        let length = 45 - rest.len();
        ClientName { text, length }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length]).unwrap_or("unknown")
    }
}
