//! A client connection with work in hand: its state, and the step from the outcome of one operation to the next one.
//!
//! Owns the dispatch and what all steps need: deadlines, reading from the client, the end. What is done with a request stands
//! in `request`, with connections to backends in `attempt`, with a response in `response`, with refusals in `ending`, how
//! long anybody is waited for in `waiting`, what the cache has to do with it in `cached`, and what is counted and told of it in
//! `accounts`. What belongs to one exchange is one value, in `exchange`. Rule: what it has of the proxy's (buffers, a place in the count of exchanges, a slot at a
//! backend) goes back when it becomes idle and when its session is dropped ([`Active::give_back`]).

mod accounts;
mod attempt;
mod cached;
mod ending;
mod exchange;
mod request;
mod response;
mod waiting;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::idle::{ClientName, Idle, ReadingHead};
use super::{CloseReason, Done, Op, Peer};
use crate::proxy::buf::{Buf, Pool};
use crate::proxy::observer::Notes;
use crate::proxy::shared::Proxy;
use exchange::Exchange;

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

/// A client connection with a request in hand, or that has just had one.
#[derive(Debug)]
pub(super) struct Active {
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

impl Active {
    /// One for a client that has just connected, and its first operation.
    pub(super) fn start(proxy: Arc<Proxy>, client: SocketAddr, now: Instant) -> (Self, Op) {
        let takes_notes = proxy.observer.is_some() || proxy.routes.map_locations();
        let deadline = now + proxy.limits.header_timeout;
        let idle = Idle {
            address: client,
            client: ClientName::new(client),
            deadline,
            head: ReadingHead::until(deadline),
            notes: takes_notes.then(Box::default),
            proxy,
        };
        let mut active = Active::of(idle, now);
        active.inbox = active.proxy.pool.small();
        let op = active.read_client(State::ReadHead);
        (active, op)
    }

    /// The connection that was `idle`, which waits for its read.
    pub(super) fn of(idle: Idle, now: Instant) -> Self {
        Active {
            proxy: idle.proxy,
            address: idle.address,
            client: idle.client,
            now,
            state: State::ReadHead,
            deadline: Some(idle.deadline),
            wait_until: now,
            next_look: now,
            inbox: Buf::default(),
            outbox: Buf::default(),
            answer: Buf::default(),
            reply: Buf::default(),
            head: idle.head,
            exchange: Exchange::none(),
            notes: idle.notes,
        }
    }

    /// Whether it waits for a client that has sent nothing yet.
    pub(super) fn awaits_request(&self) -> bool {
        self.state == State::ReadHead
    }

    /// What has to be kept of it while it waits for a request. The buffer of its read is the driver's.
    pub(super) fn into_idle(mut self) -> Idle {
        self.give_back();
        Idle {
            deadline: self.deadline.unwrap_or(self.head.deadline),
            proxy: self.proxy,
            address: self.address,
            client: self.client,
            head: self.head,
            notes: self.notes,
        }
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.proxy.pool
    }

    /// Takes the outcome of the operation in hand and names the next one. `now` is the time of the outcome.
    pub(super) fn step(&mut self, mut done: Done, now: Instant) -> Op {
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

    /// When the operation in hand has failed with [`TimedOut`](std::io::ErrorKind::TimedOut); `None` if it does not wait.
    pub(super) fn deadline(&self) -> Option<Instant> {
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

    /// Whatever it has of the proxy's goes back there.
    pub(super) fn give_back(&mut self) {
        self.leave();
        self.give_slot();
        for buf in [&mut self.inbox, &mut self.outbox, &mut self.answer, &mut self.reply] {
            self.proxy.pool.give(std::mem::take(buf));
        }
    }
}
