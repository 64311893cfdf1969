//! How an operation that a session names is performed, each way once: a model adds who performs it, and when.
//!
//! Owns the translation of [`Op`] into calls on sockets ([`Sockets`]) and of what came of them into [`Done`]. Below it:
//! `blocking` waits in the system call; `readiness` never does, and says what it would wait for (`event_loop` waits for that, for
//! many; a `task` is handed to a `poller`, which does); `futures` awaits; `completion` hands operations over to a kernel
//! that performs them by itself. Rules: an operation whose deadline has passed is not tried; a read that waits holds no
//! memory that nothing is in; a connection gives way after [`OPS_IN_TURN`] operations, so that none
//! can keep a thread to itself.

pub(super) mod blocking;
pub(super) mod completion;
pub(super) mod event_loop;
pub(super) mod futures;
pub(super) mod poller;
pub(super) mod readiness;
pub(super) mod task;

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use roundtable::proxy::{BackendId, CloseReason, Done, Op, Peer, Session};

/// Operations that a connection performs before others have their turn.
const OPS_IN_TURN: u32 = 64;

/// A client's connection, the one to a backend if there is one, and the session that they serve. Calls that would wait
/// either wait until the session's deadline and say [`ErrorKind::TimedOut`] then, or say [`ErrorKind::WouldBlock`] at once.
pub(super) trait Sockets {
    fn session(&mut self) -> &mut Session;

    /// The time that counts from here on: as exact as this model has it.
    fn now(&mut self) -> Instant;

    /// Closes the backend in hand and has one to `backend`; whether it was an idle one. One that is on its way says
    /// [`ErrorKind::WouldBlock`] and is asked for again by the same call.
    fn connect(&mut self, backend: BackendId, reuse: bool) -> io::Result<bool>;

    fn read(&mut self, peer: Peer, room: &mut [u8]) -> io::Result<usize>;

    fn write(&mut self, peer: Peer, data: &[u8]) -> io::Result<usize>;

    /// Keeps the backend in hand for later use.
    fn release(&mut self, backend: BackendId, is_suspect: bool);

    /// Closes the backend in hand.
    fn discard(&mut self);

    /// Performs [`Op::Look`], by [`look`].
    fn look(&self) -> Done;

    /// Sends the client the end of the stream.
    fn half_close(&self) -> io::Result<()>;

    /// Makes the coming close of the client's connection a reset.
    fn abort(&self);
}

/// What ended a turn.
pub(super) enum Turn {
    /// The session is over: the connections are to be closed.
    Ended,
    /// This operation would wait.
    Waits(Op),
    /// There were enough; this one is next.
    GaveWay(Op),
}

/// What an operation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interest {
    Readable(Peer),
    Writable(Peer),
}

impl Interest {
    /// Of an operation that would wait.
    pub(super) fn of(op: &Op) -> Self {
        match op {
            Op::Read(peer, _) => Interest::Readable(*peer),
            Op::Write(peer, _) => Interest::Writable(*peer),
            // No other operation waits.
            _ => Interest::Writable(Peer::Backend),
        }
    }
}

/// Performs `op` and those that follow, until one would wait.
pub(super) fn take_turn(sockets: &mut impl Sockets, mut op: Op) -> Turn {
    let mut now = sockets.now();
    for _ in 0..OPS_IN_TURN {
        if let Op::Finish(reason) = op {
            if reason == CloseReason::Aborted {
                sockets.abort();
            }
            return Turn::Ended;
        }
        let is_late = sockets.session().deadline().is_some_and(|deadline| deadline <= now);
        let done = if is_late {
            if matches!(op, Op::Connect { .. }) {
                sockets.discard();
            }
            timed_out(op)
        } else {
            match perform(sockets, op) {
                Ok(done) => done,
                Err(op) => return Turn::Waits(op),
            }
        };
        now = sockets.now();
        op = sockets.session().step(done, now);
    }
    Turn::GaveWay(op)
}

/// `Err`: it would wait.
fn perform(sockets: &mut impl Sockets, op: Op) -> Result<Done, Op> {
    let would_wait = |error: &io::Error| error.kind() == ErrorKind::WouldBlock;
    Ok(match op {
        Op::Connect { backend, reuse } => match sockets.connect(backend, reuse) {
            Err(error) if would_wait(&error) => return Err(op),
            Err(error) => {
                sockets.discard();
                Done::Connected(Err(error))
            }
            connected => Done::Connected(connected),
        },
        Op::Read(peer, mut buf) => {
            sockets.session().lend(&mut buf);
            match sockets.read(peer, buf.spare_mut()) {
                Err(error) if would_wait(&error) => {
                    sockets.session().reclaim(&mut buf);
                    return Err(Op::Read(peer, buf));
                }
                outcome => Done::Transferred(outcome, buf),
            }
        }
        Op::Write(peer, buf) => match sockets.write(peer, buf.window()) {
            Err(error) if would_wait(&error) => return Err(Op::Write(peer, buf)),
            outcome => Done::Transferred(outcome, buf),
        },
        Op::Release { backend, is_suspect } => {
            sockets.release(backend, is_suspect);
            Done::Complete
        }
        Op::Discard => {
            sockets.discard();
            Done::Complete
        }
        Op::Look => sockets.look(),
        Op::HalfClose => {
            // It fails when the client is gone, which the next read tells.
            let _ = sockets.half_close();
            Done::Complete
        }
        Op::Finish(_) => Done::Complete,
    })
}

/// The outcome of an operation whose time was up before it began.
fn timed_out(op: Op) -> Done {
    match op {
        Op::Connect { .. } => Done::Connected(Err(ErrorKind::TimedOut.into())),
        Op::Read(_, buf) | Op::Write(_, buf) => Done::Transferred(Err(ErrorKind::TimedOut.into()), buf),
        Op::Look => Done::Looked { client_is_gone: false, backend_has_spoken: false },
        Op::Release { .. } | Op::Discard | Op::HalfClose | Op::Finish(_) => Done::Complete,
    }
}

/// Performs [`Op::Look`].
pub(super) fn look(client: &impl AsFd, backend: Option<&impl AsFd>) -> Done {
    // Of the client nothing is asked for: errors and the end of both directions are told without being asked for. One
    // that has only sent its end may still be reading.
    let client = PollFd::new(client.as_fd(), PollFlags::empty());
    let backend = backend.map(|backend| PollFd::new(backend.as_fd(), PollFlags::POLLIN));
    let mut sides: Vec<PollFd<'_>> = std::iter::once(client).chain(backend).collect();
    let has_told = poll(&mut sides, PollTimeout::ZERO).is_ok_and(|told| told > 0);
    let has_event = |side: Option<&PollFd<'_>>| has_told && side.and_then(PollFd::any).unwrap_or(false);
    Done::Looked { client_is_gone: has_event(sides.first()), backend_has_spoken: has_event(sides.get(1)) }
}
