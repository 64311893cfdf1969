//! A timer among the event queue's sources, for waits that its own timeout, of whole milliseconds, is too coarse for.
//!
//! Owns one timerfd on the monotonic clock. Rules: it only ends waits, and never
//! spins.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// The timer's events; no connection's token can be it.
pub(crate) const TIMER: Token = Token(usize::MAX);

/// A timer that ends a wait for events.
#[derive(Debug)]
pub(crate) struct Timer {
    timer: TimerFd,
}

impl Timer {
    pub(crate) fn new(registry: &Registry) -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        registry.register(&mut SourceFd(&timer.as_fd().as_raw_fd()), TIMER, Interest::READABLE)?;
        Ok(Timer { timer })
    }

    /// Ends the wait for events in `wait`; a time set earlier no longer counts. Events are edge-triggered and setting
    /// the timer begins anew, so that it need not be read.
    pub(crate) fn wake_in(&mut self, wait: Duration) -> io::Result<()> {
        // No time at all would disarm it.
        let wait = wait.max(Duration::from_nanos(1));
        Ok(self.timer.set(Expiration::OneShot(TimeSpec::from(wait)), TimerSetTimeFlags::empty())?)
    }
}

#[cfg(test)]
mod tests {
    use mio::{Events, Poll};

    use super::*;

    #[test]
    fn it_ends_a_wait_each_time_it_is_set() {
        let mut poll = Poll::new().unwrap();
        let mut timer = Timer::new(poll.registry()).unwrap();
        let mut events = Events::with_capacity(4);
        for wait in [Duration::ZERO, Duration::from_micros(200), Duration::from_millis(2)] {
            let begin = std::time::Instant::now();
            timer.wake_in(wait).unwrap();
            poll.poll(&mut events, Some(Duration::from_secs(60))).unwrap();
            assert!(begin.elapsed() >= wait);
            assert!(events.iter().map(mio::event::Event::token).eq([TIMER]));
        }
    }
}
