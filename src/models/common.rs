//! What models need that stands nowhere else: a lock that outlives panics, and a close that is a reset.

use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;

/// A panic in one connection must not take what is shared from the others: it is valid at any time.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the coming close a reset. If that fails it is an ordinary close.
pub(super) fn abort(socket: &impl AsFd) {
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}
