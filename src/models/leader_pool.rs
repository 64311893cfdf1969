//! `leader-pool`: one thread waits for all connections; workers run what can go on.
//!
//! Who waits: the poller (one epoll, one thread), for clients and backends alike; no worker ever waits for anything but
//! work. An exchange comes to a worker when its client has sent something, goes back to the poller while the backend
//! works, and comes to a worker again, perhaps another one, with the answer. Servers of this form are Apache's event MPM
//! and Tomcat, which let the worker wait for the backend, too: that holds a worker for each slow backend, and is what
//! `pool` does within limits. Where the state lives: in a boxed task that is handed from thread to thread. What bounds
//! the concurrency: the workers, for what can go on. What a waiting connection costs: a task with the poller, and a buffer
//! only while it holds something. What this form costs: two hand-overs a request, each by way of two threads.

use std::io;
use std::sync::Arc;

use super::drivers::task::Tasks;
use super::{Family, Model, Server, Workers, everywhere};

pub(super) const MODEL: Model = Model {
    name: "leader-pool",
    family: Family::Threaded,
    summary: "one thread waits for all connections, a fixed number of workers run what can go on",
    unit_of_work: "a session's operations until one would block",
    bound: "the workers",
    workers: Workers::PerProcessor(1),
    available: everywhere,
    serve,
};

fn serve(server: Arc<Server>) -> io::Result<()> {
    let workers = server.workers;
    let tasks = Arc::new(Tasks::new(server, 0)?);
    let jobs = tasks.start_workers(workers)?;
    tasks.start_poller(move |task| drop(jobs.send(task)))?;
    tasks.accept(|task| tasks.wait_for_client(task))
}
