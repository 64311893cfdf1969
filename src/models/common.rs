//! What every model does alike with an operation, whoever waits for it.
//!
//! Owns no socket and no thread.

use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use roundtable::proxy::{Done, Op};
use socket2::SockRef;

/// A panic in one connection must not take what is shared from the others: it is valid at any time.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The outcome of an operation whose time was up before it began.
pub(super) fn timed_out(op: Op) -> Done {
    match op {
        Op::Connect { .. } => Done::Connected(Err(std::io::ErrorKind::TimedOut.into())),
        Op::Read(_, buf) | Op::Write(_, buf) => {
            Done::Transferred(Err(std::io::ErrorKind::TimedOut.into()), buf)
        }
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

/// Makes the coming close a reset. If that fails it is an ordinary close.
pub(super) fn abort(socket: &impl AsFd) {
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}
