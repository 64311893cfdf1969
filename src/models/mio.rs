//! `mio`: one thread, one event loop, all connections.
//!
//! Who waits: the loop's one `epoll_wait`, for everybody. Where the state lives: in the loop, which shares nothing and locks
//! nothing. What bounds the concurrency: one processor, memory and descriptors. What a waiting connection costs: an entry
//! in the loop's slab and one small buffer.

use std::io;
use std::sync::Arc;

use super::drivers::event_loop::EventLoop;
use super::{Family, Model, Server, Workers, everywhere};

pub(super) const MODEL: Model = Model {
    name: "mio",
    family: Family::Async,
    summary: "one event loop on one thread, readiness by epoll",
    unit_of_work: "a session's operations until one would block",
    bound: "one processor, memory and descriptors",
    workers: Workers::One,
    available: everywhere,
    serve,
};

fn serve(server: Arc<Server>) -> io::Result<()> {
    EventLoop::accepting(Arc::clone(&server), 0, &server.listener)?.run()
}
