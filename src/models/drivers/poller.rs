//! A poller: tasks that wait for a socket, and the thread that resumes them.
//!
//! Owns one epoll, used one-shot (a socket that was told of is silent until it is armed again, so that a task is only
//! ever in one place), and the look at deadlines. Knows nothing of what a task does.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use slab::Slab;

use crate::models::common::lock;

/// How often deadlines are looked at, and so the precision of every timeout of a client.
const TICK: Duration = Duration::from_millis(100);
/// Events taken from the kernel at a time.
const EVENTS: usize = 256;
/// No task's key.
const NOTIFIER: u64 = u64::MAX;

/// What can wait here.
pub(in crate::models) trait Waiting {
    /// When it goes on even if nothing has happened.
    fn deadline(&self) -> Option<Instant>;
}

/// The poller, shared by its thread and those that make tasks wait.
pub(in crate::models) struct Poller<T> {
    epoll: Epoll,
    waiting: Mutex<Slab<T>>,
    /// Those that wait for their next turn alone.
    gave_way: Mutex<Vec<T>>,
    /// Tells of these.
    notifier: EventFd,
}

impl<T: Waiting> Poller<T> {
    pub(in crate::models) fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let notifier = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        epoll.add(&notifier, EpollEvent::new(EpollFlags::EPOLLIN, NOTIFIER))?;
        Ok(Poller { epoll, waiting: Mutex::new(Slab::new()), gave_way: Mutex::new(Vec::new()), notifier })
    }

    /// `task` is resumed at once, by the poller's thread.
    pub(in crate::models) fn give_way(&self, task: T) -> io::Result<()> {
        lock(&self.gave_way).push(task);
        self.notifier.write(1)?;
        Ok(())
    }

    /// `task` waits for `interest` on its socket. On failure the task is dropped.
    pub(in crate::models) fn wait(
        &self,
        task: T,
        interest: EpollFlags,
        was_known: bool,
        socket: impl Fn(&T) -> BorrowedFd<'_>,
    ) -> io::Result<()> {
        // Held until the socket is armed: whoever is told of the event finds the task, and its socket is open.
        let mut waiting = lock(&self.waiting);
        let key = waiting.insert(task);
        // Not EPOLLRDHUP: the end of what is read shows as EPOLLIN, and one who waits to write must wait for that alone.
        let flags = interest | EpollFlags::EPOLLONESHOT;
        let mut event = EpollEvent::new(flags, key as u64);
        let armed = if was_known {
            self.epoll.modify(socket(&waiting[key]), &mut event)
        } else {
            self.epoll.add(socket(&waiting[key]), event)
        };
        if armed.is_err() {
            drop(waiting.remove(key));
        }
        Ok(armed?)
    }

    /// Gives each task that can go on to `resume`, for ever.
    pub(in crate::models) fn run(&self, resume: impl Fn(T)) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); EVENTS];
        let tick = EpollTimeout::try_from(TICK).unwrap_or(EpollTimeout::NONE);
        let mut next_look = Instant::now() + TICK;
        loop {
            let count = match self.epoll.wait(&mut events, tick) {
                Err(Errno::EINTR) => continue,
                outcome => outcome?,
            };
            for event in &events[..count] {
                if event.data() == NOTIFIER {
                    // The count is of no interest; what is read is not told of again.
                    let _ = self.notifier.read();
                    std::mem::take(&mut *lock(&self.gave_way)).into_iter().for_each(&resume);
                    continue;
                }
                // An event of a task that has gone on because of its deadline finds nobody, or somebody who then
                // finds nothing to do and waits again.
                let task = lock(&self.waiting).try_remove(event.data() as usize);
                task.into_iter().for_each(&resume);
            }
            let now = Instant::now();
            if now >= next_look {
                next_look = now + TICK;
                self.late(now).into_iter().for_each(&resume);
            }
        }
    }

    fn late(&self, now: Instant) -> Vec<T> {
        let mut waiting = lock(&self.waiting);
        let late: Vec<usize> = waiting
            .iter()
            .filter(|(_, task)| task.deadline().is_some_and(|deadline| deadline <= now))
            .map(|(key, _)| key)
            .collect();
        late.into_iter().map(|key| waiting.remove(key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use super::*;

    struct Task(&'static str, UnixStream);

    impl Waiting for Task {
        fn deadline(&self) -> Option<Instant> {
            None
        }
    }

    #[test]
    fn a_task_that_gave_way_is_resumed_though_its_socket_is_silent() {
        let poller = Arc::new(Poller::new().unwrap());
        let (resumed, resumes) = channel();
        let running = Arc::clone(&poller);
        std::thread::spawn(move || running.run(|task: Task| drop(resumed.send(task))));
        let (silent, _other) = UnixStream::pair().unwrap();
        poller.give_way(Task("silent", silent)).unwrap();
        assert_eq!(resumes.recv().unwrap().0, "silent");
    }

    #[test]
    fn the_end_of_what_is_read_does_not_wake_one_that_waits_to_write() {
        let (mut full, mut half_closed) = UnixStream::pair().unwrap();
        full.set_nonblocking(true).unwrap();
        while full.write(&[0; 4096]).is_ok() {}
        half_closed.shutdown(std::net::Shutdown::Write).unwrap();
        let (ready, _other) = UnixStream::pair().unwrap();
        let poller = Arc::new(Poller::new().unwrap());
        for task in [Task("full", full), Task("ready", ready)] {
            poller.wait(task, EpollFlags::EPOLLOUT, false, |task| task.1.as_fd()).unwrap();
        }
        let (resumed, resumes) = channel();
        std::thread::spawn(move || poller.run(|task: Task| drop(resumed.send(task))));
        // Both were looked at in one go, the full one first.
        assert_eq!(resumes.recv().unwrap().0, "ready");
        std::thread::spawn(move || half_closed.read_to_end(&mut Vec::new()));
        assert_eq!(resumes.recv().unwrap().0, "full");
    }
}
