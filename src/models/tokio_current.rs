//! `tokio-current`: a single-threaded tokio runtime for each processor, each with its own connections.
//!
//! Who waits: each runtime's epoll, for its own tasks. Where the state lives: in the task's future, on the heap; a task never
//! leaves its thread, and idle backend connections stay with it too: each runtime keeps its own. What bounds the
//! concurrency: the workers, memory and descriptors. What a waiting connection costs: a task, a slot in the reactor and
//! a buffer only while it holds something. A connection stays with its worker: nothing evens out what clients do to one of
//! them.
//!
//! What is shared all the same: the proxy (turns, health, counts) by every model, and the driver's mutex around idle
//! connections, which only the thread that sweeps them takes beside the worker. Connections come from one acceptor, a
//! thread of its own, to the workers in turn; with `--accept reuseport` each worker has a listener of its own and the
//! kernel chooses (`spread`).

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::drivers::futures;
use super::idle;
use super::spread::{Thread, hand_out, until_one_ends};
use super::tokio::Tokio;
use super::{Family, Model, Server, Workers, everywhere};

pub(super) const MODEL: Model = Model {
    name: "tokio-current",
    family: Family::Async,
    summary: "a single-threaded tokio runtime on each of several threads, which share no connections",
    unit_of_work: "a task, from one await to the next",
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

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn with_a_listener_each(server: &Arc<Server>) -> io::Result<()> {
    let mut threads: Vec<Thread> = Vec::new();
    for (worker, listener) in server.listeners().enumerate() {
        let (runtime, server, listener) = (runtime()?, Arc::clone(server), listener.try_clone()?);
        threads.push(Box::new(move || runtime.block_on(futures::accept::<Tokio>(server, worker, listener))));
    }
    until_one_ends(threads)
}

fn with_one_acceptor(server: Arc<Server>) -> io::Result<()> {
    let mut threads: Vec<Thread> = Vec::new();
    let mut inboxes = Vec::new();
    for worker in 0..server.workers {
        let (sender, inbox) = unbounded_channel();
        let (runtime, server) = (runtime()?, Arc::clone(&server));
        threads.push(Box::new(move || runtime.block_on(receive(server, worker, inbox))));
        inboxes.push(move |client: TcpStream, address: SocketAddr| {
            sender.send((client, address)).map_err(io::Error::other)
        });
    }
    threads.push(Box::new(move || hand_out(&server, &inboxes)));
    until_one_ends(threads)
}

/// Spawns a task for each connection that comes.
async fn receive(
    server: Arc<Server>,
    worker: usize,
    mut inbox: UnboundedReceiver<(TcpStream, SocketAddr)>,
) -> io::Result<()> {
    let idle = idle::shared(&server.proxy, server.workers)?;
    while let Some((client, address)) = inbox.recv().await {
        // It fails where the kernel has no memory left to watch one more socket: that ends this connection alone.
        let Ok(client) = tokio::net::TcpStream::from_std(client) else { continue };
        server.accepted_by(worker, address);
        tokio::spawn(futures::run::<Tokio>(Arc::clone(&server), Arc::clone(&idle), client, address));
    }
    // No more come; the tasks live in this runtime.
    std::future::pending().await
}
