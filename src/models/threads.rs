//! `threads`: a std thread for each connection.
//!
//! Who waits: the connection's own thread, in the system call. Where the state lives: on that thread's
//! stack. What bounds the concurrency: memory and the kernel's limit on threads. What a waiting
//! connection costs: a thread (its stack's touched pages and a kernel task) and one small buffer.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread;

use super::blocking::{Connection, SharedIdle};
use super::idle::IdlePool;
use super::listener::{AcceptError, EXHAUSTED_PAUSE};
use super::{Family, Model, Server, Workers};

pub(super) const MODEL: Model = Model {
    name: "threads",
    family: Family::Threaded,
    summary: "a std thread for each connection, blocking system calls",
    unit_of_work: "a connection, for its whole life",
    bound: "memory and the kernel's limit on threads",
    workers: Workers::PerConnection,
    serve,
};

/// A session needs little stack; ten thousand of them must fit.
const STACK_BYTES: usize = 256 * 1024;

fn serve(server: Arc<Server>) -> io::Result<()> {
    let idle: SharedIdle = Arc::new(Mutex::new(IdlePool::new(server.proxy.backend_count())));
    loop {
        let (client, address) = match server.listener.accept() {
            Ok(accepted) => accepted,
            Err(error) => match AcceptError::of(&error)? {
                AcceptError::Again => continue,
                AcceptError::ShutDown => return Ok(()),
                AcceptError::Exhausted => {
                    thread::sleep(EXHAUSTED_PAUSE);
                    continue;
                }
            },
        };
        server.accepted(address);
        let (server, idle) = (Arc::clone(&server), Arc::clone(&idle));
        let spawned = thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn(move || Connection::new(&server, &idle, client, address).run());
        if spawned.is_err() {
            // No thread to be had: that connection is closed, as it would be without a descriptor.
            thread::sleep(EXHAUSTED_PAUSE);
        }
    }
}
