//! `rayon`: connections as tasks of a rayon pool of its own, on whose threads the exchanges block.
//!
//! Who waits: a rayon thread waits for a backend's answer, in the system call, once for each request and for at most ten
//! milliseconds, and only while another thread of the pool does not; what would wait longer goes to the poller (one epoll,
//! one thread), which spawns it again when it can go on (all of this as in `pool`: `drivers::task`). Where the state lives: in a
//! boxed task. What bounds the concurrency: the threads of the pool, for exchanges that are being worked on. What a
//! waiting connection costs: a task with the poller, and a buffer only while it holds something.
//!
//! What blocking does to rayon: its threads are meant to compute. One that waits in a system call is idle, and rayon neither
//! sees that nor starts another. With its own default, a thread for each processor, as many slow backends would stop it;
//! so this pool has as many threads as `pool` has, one of which never waits. Nor does stealing help: a pool's own queues come
//! before what is spawned from outside, so that a connection that gave way to the others by spawning itself again, on a
//! thread of the pool, would go on before them, for ever where there is one thread. So every task is spawned from outside,
//! into the one queue that is served in order, and no thread ever has anything to steal.

use std::io;
use std::sync::Arc;

use ::rayon::{ThreadPool, ThreadPoolBuilder};

use super::drivers::task::{Task, Tasks};
use super::{Family, Model, Server, Workers, everywhere};

pub(super) const MODEL: Model = Model {
    name: "rayon",
    family: Family::Threaded,
    summary: "connections as tasks of a rayon pool, on whose threads the exchanges block",
    unit_of_work: "a session's operations until one waits for the client, or too long for a backend",
    bound: "the workers",
    workers: Workers::PerProcessor(4),
    available: everywhere,
    serve,
};

fn serve(server: Arc<Server>) -> io::Result<()> {
    let workers = server.workers;
    let tasks = Arc::new(Tasks::new(server, workers.saturating_sub(1))?);
    let pool = ThreadPoolBuilder::new()
        .num_threads(workers)
        .thread_name(|number| format!("worker {number}"))
        .build()
        .map_err(io::Error::other)?;
    let pool = Arc::new(pool);
    let (resuming, resumed) = (Arc::clone(&pool), Arc::clone(&tasks));
    tasks.start_poller(move |task| spawn(&resuming, &resumed, task))?;
    tasks.accept(|task| spawn(&pool, &tasks, task))
}

/// To be called outside the pool.
fn spawn(pool: &ThreadPool, tasks: &Arc<Tasks>, task: Box<Task>) {
    let tasks = Arc::clone(tasks);
    pool.spawn_fifo(move || tasks.work(task, |task| tasks.resume_later(task)));
}
