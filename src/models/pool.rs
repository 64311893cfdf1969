//! `pool`: a fixed number of workers, fed by a crossbeam channel.
//!
//! Who waits: a worker waits for a backend's answer, in the system call, once for each request and for at most ten
//! milliseconds, and only while another worker does not (`drivers::task`); it never waits for a client. What would
//! wait longer goes to the poller (one epoll, one thread) and comes back through the channel when it can go on, at the
//! end of the queue. So no client and no backend, however slow, and no number of them can keep the workers from the
//! others: one of these is always at work. A pool of one worker never waits in a call. Where the state lives: in a boxed
//! task that is handed from thread to thread. What bounds the concurrency: the number of workers, for exchanges that
//! are being worked on. What a waiting connection costs: a task with the poller, and a buffer only while it holds
//! something.
//!
//! System calls of a request with keep-alive, where nothing waits long: four reads and writes, the look at the idle
//! connection (`idle`), one `epoll_ctl` that arms the client's socket again, a share of the poller's `epoll_wait`, and about
//! one `futex`. That last is the hand-over: a worker that finds no work sleeps in one, and who sends it some wakes it with
//! another; where there is work left, there is neither. The channel yields the processor (`sched_yield`) before it sleeps.

use std::io;
use std::sync::Arc;

use super::drivers::task::{Task, Tasks};
use super::{Family, Model, Server, Workers, everywhere};

pub(super) const MODEL: Model = Model {
    name: "pool",
    family: Family::Threaded,
    summary: "a fixed number of worker threads fed by a crossbeam channel",
    unit_of_work: "a session's operations until one waits for the client, or too long for a backend",
    bound: "the workers",
    workers: Workers::PerProcessor(4),
    available: everywhere,
    serve,
};

fn serve(server: Arc<Server>) -> io::Result<()> {
    let workers = server.workers;
    let tasks = Arc::new(Tasks::new(server, workers.saturating_sub(1))?);
    let jobs = tasks.start_workers(workers)?;
    let resumed = jobs.clone();
    tasks.start_poller(move |task| drop(resumed.send(task)))?;
    tasks.accept(|task: Box<Task>| drop(jobs.send(task)))
}
