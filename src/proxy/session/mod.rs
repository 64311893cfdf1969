//! One client connection as a state machine with exactly one operation outstanding.
//!
//! Owns the contract with the drivers ([`Op`], [`Done`]) and the two forms of a connection: one that waits for a request is
//! the few bytes of `idle`, since a balancer may have ten thousand of them, and one with work in hand is `active`, which
//! has the dispatch.
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

mod active;
mod idle;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::buf::Buf;
use super::shared::Proxy;
use super::vocabulary::BackendId;
use active::Active;
use idle::Idle;

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

/// One client connection.
#[derive(Debug)]
pub struct Session {
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// Nothing of a request is in hand.
    Idle(Idle),
    /// On the heap, so that a driver's room for a connection is that of an idle one.
    Active(Box<Active>),
    /// On its way from one form to the other.
    Between,
}

impl Session {
    /// A session for a client that has just connected, and its first operation.
    pub fn start(proxy: Arc<Proxy>, client: SocketAddr, now: Instant) -> (Self, Op) {
        let (active, op) = Active::start(proxy, client, now);
        (Session { form: Form::Active(Box::new(active)) }, op)
    }

    /// A read into `buf` has to wait: its memory goes back to the pool meanwhile, unless it holds something, and where a
    /// request is waited for, the session's own with it. For drivers that can wait without the buffer; before they try
    /// again they [`lend`](Self::lend) it some.
    pub fn reclaim(&mut self, buf: &mut Buf) {
        match &self.form {
            Form::Idle(idle) => idle.pool().reclaim(buf),
            Form::Active(active) => {
                active.pool().reclaim(buf);
                if buf.capacity() == 0 && active.awaits_request() {
                    self.become_idle();
                }
            }
            Form::Between => {}
        }
    }

    fn become_idle(&mut self) {
        if let Form::Active(active) = std::mem::replace(&mut self.form, Form::Between) {
            self.form = Form::Idle(active.into_idle());
        }
    }

    /// Gives `buf` memory again, if it was reclaimed.
    pub fn lend(&self, buf: &mut Buf) {
        match &self.form {
            Form::Idle(idle) => idle.pool().lend(buf),
            Form::Active(active) => active.pool().lend(buf),
            Form::Between => {}
        }
    }

    /// Takes the outcome of the operation in hand and names the next one. `now` is the time of the outcome.
    pub fn step(&mut self, done: Done, now: Instant) -> Op {
        if let Form::Idle(_) = self.form
            && let Form::Idle(idle) = std::mem::replace(&mut self.form, Form::Between)
        {
            self.form = Form::Active(Box::new(Active::of(idle, now)));
        }
        match &mut self.form {
            Form::Active(active) => active.step(done, now),
            Form::Idle(_) | Form::Between => Op::Finish(CloseReason::DriverFault),
        }
    }

    /// When the operation in hand has failed with [`io::ErrorKind::TimedOut`]; `None` if it does not wait.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.form {
            Form::Idle(idle) => Some(idle.deadline),
            Form::Active(active) => active.deadline(),
            Form::Between => None,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Form::Active(active) = &mut self.form {
            active.give_back();
        }
    }
}
