//! Operations given to a completion queue: each is handed over with its buffer, and its outcome comes later.
//!
//! Owns how an [`Op`] becomes submissions ([`Queue`]) and what comes back a [`Done`], and what has been received on a connection
//! that nobody has asked for yet ([`Inbound`]). Connections are listened to all the time (a multishot receive), so that an
//! idle one needs no buffer and no call; therefore bytes may come before the session reads. Rules: what comes goes straight
//! into the session's buffer where that is awaited; else it is kept. A side that has sent more than [`BULK`] since it was last
//! written to is listened to no more: it is read from once for each read of the session, into the session's own buffer, so
//! that what is kept stays bounded. Writing to it begins a new message, and it is listened to again.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use nix::errno::Errno;
use roundtable::proxy::{BackendId, Buf, CloseReason, Done, Op, Peer, Session};

use super::timed_out;

/// Bytes of one message that are received without having been asked for. The kernel may deliver some more before it hears
/// that it should stop.
const BULK: usize = 32 * 1024;

/// A client's connection, the one to a backend if there is one, and the session that they serve. Nothing waits here.
pub(in crate::models) trait Queue {
    fn session(&mut self) -> &mut Session;

    /// The time at which completions were last taken.
    fn now(&self) -> std::time::Instant;

    /// Closes the backend in hand and has one to `backend`: an idle one (`true`), or a new one, which is on its way (`false`).
    fn connect(&mut self, backend: BackendId, reuse: bool) -> io::Result<bool>;

    /// What has come from there.
    fn inbound(&mut self, peer: Peer) -> Option<&mut Inbound>;

    /// Sees to it that what comes from there is received: into the buffer, where it is in bulk, or else into the
    /// kernel's own. What is awaited then.
    fn receive(&mut self, peer: Peer, buf: Buf) -> Awaited;

    fn send(&mut self, peer: Peer, buf: Buf);

    /// Keeps the backend in hand for later use.
    fn release(&mut self, backend: BackendId, is_suspect: bool);

    /// Closes the backend in hand.
    fn discard(&mut self);

    /// Performs [`Op::Look`].
    fn look(&self) -> Done;

    /// Sends the client the end of the stream.
    fn half_close(&self) -> io::Result<()>;

    /// Makes the coming close of the client's connection a reset.
    fn abort(&self);
}

/// What a session waits for.
#[derive(Debug)]
pub(in crate::models) enum Awaited {
    /// Bytes from there, for this buffer.
    Bytes(Peer, Buf),
    /// An operation that the kernel has in hand, with the session's buffer.
    Completion,
    /// Nothing: this is the outcome.
    Outcome(Done),
}

impl Awaited {
    /// Whether the session can go on.
    pub(in crate::models) fn is_over(&self) -> bool {
        matches!(self, Awaited::Outcome(_))
    }

    /// `inbound`, which is `from` there, has changed: what it has is taken, if that is awaited.
    pub(in crate::models) fn take(&mut self, from: Peer, inbound: &mut Inbound) {
        if let Awaited::Bytes(peer, buf) = self
            && *peer == from
            && let Some(outcome) = inbound.take(buf.spare_mut())
        {
            *self = Awaited::Outcome(Done::Transferred(outcome, std::mem::take(buf)));
        }
    }

    /// These bytes have come `from` there: they go into the buffer that is waiting for them, and the rest into `inbound`.
    pub(in crate::models) fn deliver(&mut self, from: Peer, bytes: &[u8], inbound: &mut Inbound) {
        inbound.streak += bytes.len();
        match self {
            // Whoever waits for bytes has found nothing there before.
            Awaited::Bytes(peer, buf) if *peer == from => {
                let room = buf.spare_mut();
                let count = bytes.len().min(room.len());
                room[..count].copy_from_slice(&bytes[..count]);
                inbound.keep(&bytes[count..]);
                *self = Awaited::Outcome(Done::Transferred(Ok(count), std::mem::take(buf)));
            }
            _ => inbound.keep(bytes),
        }
    }

    /// Gives the buffer memory for what has come `from` there, if that is awaited.
    pub(in crate::models) fn lend(&mut self, from: Peer, session: &Session) {
        if let Awaited::Bytes(peer, buf) = self
            && *peer == from
        {
            session.lend(buf);
        }
    }

    /// The session's time is over: `true` when the kernel has to be asked for the operation.
    pub(in crate::models) fn end_late(&mut self) -> bool {
        match self {
            Awaited::Bytes(_, buf) => {
                let outcome = Err(ErrorKind::TimedOut.into());
                *self = Awaited::Outcome(Done::Transferred(outcome, std::mem::take(buf)));
                false
            }
            Awaited::Completion => true,
            Awaited::Outcome(_) => false,
        }
    }
}

/// What ended a turn.
pub(in crate::models) enum Turn {
    /// The session is over: the connections are to be closed.
    Ended,
    /// It waits.
    Waits(Awaited),
}

/// Performs `op` and those that follow, until one has to be waited for.
pub(in crate::models) fn take_turn(queue: &mut impl Queue, mut op: Op) -> Turn {
    // Bytes that were kept bound how long this goes on: everything else goes through the kernel.
    loop {
        if let Op::Finish(reason) = op {
            if reason == CloseReason::Aborted {
                queue.abort();
            }
            return Turn::Ended;
        }
        let now = queue.now();
        let is_late = queue.session().deadline().is_some_and(|deadline| deadline <= now);
        let awaited = if is_late {
            if matches!(op, Op::Connect { .. }) {
                queue.discard();
            }
            Awaited::Outcome(timed_out(op))
        } else {
            submit(queue, op)
        };
        match awaited {
            Awaited::Outcome(done) => op = queue.session().step(done, now),
            mut awaited => {
                if let Awaited::Bytes(_, buf) = &mut awaited {
                    queue.session().reclaim(buf);
                }
                return Turn::Waits(awaited);
            }
        }
    }
}

fn submit(queue: &mut impl Queue, op: Op) -> Awaited {
    Awaited::Outcome(match op {
        Op::Connect { backend, reuse } => match queue.connect(backend, reuse) {
            Ok(true) => Done::Connected(Ok(true)),
            Ok(false) => return Awaited::Completion,
            Err(error) => {
                queue.discard();
                Done::Connected(Err(error))
            }
        },
        Op::Read(peer, mut buf) => match queue.inbound(peer).map(|inbound| inbound.take(buf.spare_mut())) {
            None => Done::Transferred(Err(ErrorKind::NotConnected.into()), buf),
            Some(Some(outcome)) => Done::Transferred(outcome, buf),
            Some(None) => return queue.receive(peer, buf),
        },
        Op::Write(peer, buf) => match queue.inbound(peer) {
            None => Done::Transferred(Err(ErrorKind::NotConnected.into()), buf),
            Some(inbound) => {
                inbound.begin_message();
                queue.send(peer, buf);
                return Awaited::Completion;
            }
        },
        Op::Release { backend, is_suspect } => {
            queue.release(backend, is_suspect);
            Done::Complete
        }
        Op::Discard => {
            queue.discard();
            Done::Complete
        }
        Op::Look => queue.look(),
        Op::HalfClose => {
            // It fails when the client is gone, which the next read tells.
            let _ = queue.half_close();
            Done::Complete
        }
        Op::Finish(_) => Done::Complete,
    })
}

/// The outcome of an operation that the kernel has performed, or was asked to end because its time was over.
pub(in crate::models) fn outcome<T>(result: io::Result<T>) -> io::Result<T> {
    match result {
        Err(error) if is_cancelled(&error) => Err(ErrorKind::TimedOut.into()),
        result => result,
    }
}

/// Whether an operation was ended on request.
pub(in crate::models) fn is_cancelled(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::ECANCELED as i32)
}

/// What has been received on a connection.
#[derive(Debug, Default)]
pub(in crate::models) struct Inbound {
    /// What nobody has asked for yet, in its order.
    kept: VecDeque<Box<[u8]>>,
    kept_bytes: usize,
    /// Bytes of the first of it that have been taken.
    taken: usize,
    /// What comes after it.
    end: Option<End>,
    /// Bytes received since the other side was last written to.
    streak: usize,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Stream,
    Error(i32),
}

impl Inbound {
    /// Whether nothing has come that was not taken, not even the end.
    pub(in crate::models) fn is_silent(&self) -> bool {
        self.kept.is_empty() && self.end.is_none()
    }

    /// Whether bytes have come that were not taken.
    pub(in crate::models) fn has_bytes(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Whether no more comes behind what has come.
    pub(in crate::models) fn is_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Whether it has failed.
    pub(in crate::models) fn is_broken(&self) -> bool {
        matches!(self.end, Some(End::Error(_)))
    }

    /// Whether the other side sends more than should be received without having been asked for.
    pub(in crate::models) fn is_bulk(&self) -> bool {
        self.streak.max(self.kept_bytes) > BULK
    }

    /// What comes from here on is another message.
    pub(in crate::models) fn begin_message(&mut self) {
        self.streak = 0;
    }

    /// The other side has sent its end, or the connection has failed.
    pub(in crate::models) fn end(&mut self, outcome: io::Result<()>) {
        self.end = Some(match outcome {
            Ok(()) => End::Stream,
            Err(error) => End::Error(error.raw_os_error().unwrap_or(Errno::EIO as i32)),
        });
    }

    fn keep(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.kept.push_back(bytes.into());
            self.kept_bytes += bytes.len();
        }
    }

    /// Fills `room` from what was kept; `None` where there is nothing to tell.
    fn take(&mut self, room: &mut [u8]) -> Option<io::Result<usize>> {
        let mut filled = 0;
        while let Some(first) = self.kept.front()
            && filled < room.len()
        {
            let rest = &first[self.taken..];
            let count = rest.len().min(room.len() - filled);
            room[filled..filled + count].copy_from_slice(&rest[..count]);
            filled += count;
            self.taken += count;
            if self.taken == first.len() {
                self.kept.pop_front();
                self.taken = 0;
            }
        }
        self.kept_bytes -= filled;
        if self.kept.is_empty() {
            // A connection that waits holds no memory for what once came.
            self.kept = VecDeque::new();
        }
        match self.end {
            _ if filled > 0 => Some(Ok(filled)),
            None => None,
            Some(End::Stream) => Some(Ok(0)),
            Some(End::Error(errno)) => Some(Err(io::Error::from_raw_os_error(errno))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader with room for so many bytes.
    fn reader(room: usize) -> Awaited {
        Awaited::Bytes(Peer::Client, Buf::with_capacity(room))
    }

    fn taken(awaited: &Awaited) -> Option<&io::Result<usize>> {
        match awaited {
            Awaited::Outcome(Done::Transferred(outcome, _)) => Some(outcome),
            _ => None,
        }
    }

    #[test]
    fn what_there_is_no_room_for_is_kept_in_its_order() {
        let mut inbound = Inbound::default();
        reader(4).deliver(Peer::Client, b"abcdef", &mut inbound);
        Awaited::Completion.deliver(Peer::Client, b"ghi", &mut inbound);
        let mut room = [0; 4];
        assert!(matches!(inbound.take(&mut room), Some(Ok(4))));
        assert_eq!(&room, b"efgh");
        assert!(matches!(inbound.take(&mut room), Some(Ok(1))));
        assert_eq!(room[0], b'i');
        assert!(inbound.take(&mut room).is_none() && inbound.is_silent());
    }

    #[test]
    fn the_end_comes_behind_all_that_was_kept_and_is_told_again() {
        let mut inbound = Inbound::default();
        Awaited::Completion.deliver(Peer::Client, b"a", &mut inbound);
        inbound.end(Ok(()));
        for expected in [1, 0, 0] {
            let mut awaited = reader(8);
            awaited.take(Peer::Client, &mut inbound);
            assert_eq!(taken(&awaited).map(|outcome| outcome.as_ref().ok()), Some(Some(&expected)));
        }
    }

    #[test]
    fn bytes_of_one_side_do_not_end_a_wait_for_the_other() {
        let mut inbound = Inbound::default();
        let mut awaited = reader(8);
        awaited.deliver(Peer::Backend, b"abc", &mut inbound);
        assert!(!awaited.is_over() && inbound.has_bytes());
        awaited.take(Peer::Backend, &mut inbound);
        assert!(!awaited.is_over());
    }

    #[test]
    fn a_long_message_is_bulk_until_the_next_one_begins_and_it_was_taken() {
        let mut inbound = Inbound::default();
        Awaited::Completion.deliver(Peer::Client, &[0; BULK], &mut inbound);
        assert!(!inbound.is_bulk());
        Awaited::Completion.deliver(Peer::Client, &[0], &mut inbound);
        assert!(inbound.is_bulk());
        inbound.begin_message();
        assert!(inbound.is_bulk(), "nobody has taken it yet");
        inbound.take(&mut [0; BULK]);
        assert!(!inbound.is_bulk());
    }
}
