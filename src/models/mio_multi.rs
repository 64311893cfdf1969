//! `mio-multi`: an event loop for each processor, each with its own connections.
//!
//! Who waits: each worker's `epoll_wait`, for the connections of that worker. Where the state lives: in the worker's loop
//! (that of `mio`), which shares nothing with the others, not even idle backend connections: each worker keeps its own.
//! What bounds the concurrency: the workers, memory and descriptors. What a waiting connection costs: an entry in
//! a loop's slab and one small buffer. A connection stays with its worker: nothing evens out what clients do to one of them.
//!
//! Connections come from one acceptor, a thread of its own, to the workers in turn; with `--accept reuseport` each worker has
//! a listener of its own and the kernel chooses (`spread`).

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use super::drivers::event_loop::EventLoop;
use super::spread::{Thread, hand_out, until_one_ends};
use super::{Family, Model, Server, Workers, everywhere};

pub(super) const MODEL: Model = Model {
    name: "mio-multi",
    family: Family::Async,
    summary: "an event loop on each of several threads, which share no connections",
    unit_of_work: "a session's operations until one would block",
    bound: "the workers, memory and descriptors",
    workers: Workers::EventLoops,
    available: everywhere,
    serve,
};

fn serve(server: Arc<Server>) -> io::Result<()> {
    if server.further_listeners.is_empty() {
        with_one_acceptor(server)
    } else {
        with_a_listener_each(&server)
    }
}

fn with_a_listener_each(server: &Arc<Server>) -> io::Result<()> {
    let mut threads: Vec<Thread> = Vec::new();
    for (worker, listener) in server.listeners().enumerate() {
        let looping = EventLoop::accepting(Arc::clone(server), worker, listener)?;
        threads.push(Box::new(|| looping.run()));
    }
    until_one_ends(threads)
}

fn with_one_acceptor(server: Arc<Server>) -> io::Result<()> {
    let mut threads: Vec<Thread> = Vec::new();
    let mut inboxes = Vec::new();
    for worker in 0..server.workers {
        let (looping, inbox) = EventLoop::with_inbox(Arc::clone(&server), worker)?;
        threads.push(Box::new(|| looping.run()));
        inboxes.push(move |client: TcpStream, address: SocketAddr| inbox.put(client, address));
    }
    threads.push(Box::new(move || hand_out(&server, &inboxes)));
    until_one_ends(threads)
}
