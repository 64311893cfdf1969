//! Connections of the models whose workers share nothing: who accepts them, and how many each worker got.
//!
//! Owns the two ways to spread connections ([`Accept`](roundtable_harness::plan::Accept)). With one acceptor, a thread
//! of its own accepts, and the workers get the connections in turn: evenly, for a hand-over each. With a listener for
//! each worker, all of them at the same address (SO_REUSEPORT), the kernel chooses by a hash of the addresses and
//! ports: no hand-over, and as even as chance has it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use super::Server;
use super::listener::{AcceptError, EXHAUSTED_PAUSE};

/// Connections that each worker got.
#[derive(Debug)]
pub(crate) struct Spread(Vec<AtomicU64>);

impl Spread {
    pub(super) fn over(workers: usize) -> Self {
        Spread((0..workers).map(|_| AtomicU64::new(0)).collect())
    }

    pub(super) fn count(&self, worker: usize) {
        if let Some(count) = self.0.get(worker) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts, by worker.
    pub(crate) fn counts(&self) -> Vec<u64> {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

/// What a thread of such a model does.
pub(super) type Thread = Box<dyn FnOnce() -> io::Result<()> + Send>;

/// Runs these, each on a thread of its own. How the first one ended that did.
pub(super) fn until_one_ends(threads: Vec<Thread>) -> io::Result<()> {
    let (ended, outcome) = channel();
    for (number, thread) in threads.into_iter().enumerate() {
        let ended = ended.clone();
        let name = format!("worker {number}");
        // The receiver is gone when another one has ended before.
        thread::Builder::new().name(name).spawn(move || drop(ended.send(thread())))?;
    }
    drop(ended);
    outcome.recv().unwrap_or_else(|_| Err(io::Error::other("every thread has panicked")))
}

/// Accepts by blocking and gives the connections, which do not block, to `workers` in turn, until the listener is shut down.
pub(super) fn hand_out(
    server: &Server,
    workers: &[impl Fn(TcpStream, SocketAddr) -> io::Result<()>],
) -> io::Result<()> {
    // mio's call makes a connection that does not block; this listener does, so that the call waits.
    let listener = mio::net::TcpListener::from_std(server.listener.try_clone()?);
    let mut turns = workers.iter().cycle();
    loop {
        match listener.accept() {
            Ok((client, address)) => {
                if let Some(give) = turns.next() {
                    give(OwnedFd::from(client).into(), address)?;
                }
            }
            Err(error) => match AcceptError::of(&error)? {
                AcceptError::Again => {}
                AcceptError::ShutDown => return Ok(()),
                AcceptError::Exhausted => thread::sleep(EXHAUSTED_PAUSE),
            },
        }
    }
}
