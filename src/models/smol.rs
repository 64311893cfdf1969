//! `smol`: a task for each connection on smol's executor, whose threads share one reactor.
//!
//! Who waits: whichever worker has nothing to run, in the reactor's epoll; one at a time, for all tasks. Where the state
//! lives: in the task's future, on the heap. What bounds the concurrency: memory and descriptors. What a waiting
//! connection costs: a task, an entry in the reactor, and a buffer only while it holds something. The reactor arms a socket
//! anew for each wait (one-shot: a system call), and knows nothing of sockets that nobody waits for, so an idle backend
//! connection is asked before it is used. Beside the workers, the crate `async-io` has a thread of its own, which drives
//! the reactor when no worker does.

use std::future::{Future, pending};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::catch_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Instant;

use smol::io::{AsyncRead, AsyncWrite};
use smol::{Async, Executor, Timer};

use super::drivers::futures::{self, Runtime};
use super::{Family, Model, Server, Workers, everywhere};

pub(super) const MODEL: Model = Model {
    name: "smol",
    family: Family::Async,
    summary: "a task for each connection on smol's multi-threaded executor",
    unit_of_work: "a task, from one await to the next",
    bound: "memory and descriptors",
    workers: Workers::PerProcessor(1),
    available: everywhere,
    serve,
};

/// One for the process: tasks are spawned from tasks.
static EXECUTOR: Executor<'static> = Executor::new();

fn serve(server: Arc<Server>) -> io::Result<()> {
    for number in 0..server.workers {
        thread::Builder::new().name(format!("worker {number}")).spawn(work)?;
    }
    futures::serve::<Smol>(server)
}

fn work() {
    loop {
        // A panic has ended its task alone; this thread goes on with the others.
        let _ = catch_unwind(|| smol::block_on(EXECUTOR.run(pending::<()>())));
    }
}

/// smol, to the driver of futures.
struct Smol;

impl Runtime for Smol {
    type Listener = Async<TcpListener>;
    type Stream = Async<TcpStream>;
    type Timer = Timer;
    const RETRIES_WRITES: bool = true;

    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        EXECUTOR.spawn(task).detach();
    }

    fn listener(listener: TcpListener) -> io::Result<Async<TcpListener>> {
        Async::new(listener)
    }

    async fn accept(listener: &Async<TcpListener>) -> io::Result<(Async<TcpStream>, SocketAddr)> {
        listener.accept().await
    }

    fn timer(at: Instant) -> Timer {
        Timer::at(at)
    }

    fn move_timer(timer: Pin<&mut Timer>, at: Instant) {
        timer.get_mut().set_at(at);
    }

    async fn connect(address: SocketAddr) -> io::Result<Async<TcpStream>> {
        let stream = Async::<TcpStream>::connect(address).await?;
        stream.get_ref().set_nodelay(true)?;
        Ok(stream)
    }

    fn poll_read(
        stream: &mut Async<TcpStream>,
        context: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(stream).poll_read(context, room)
    }

    fn poll_write(
        stream: &mut Async<TcpStream>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(stream).poll_write(context, data)
    }

    /// The reactor hears nothing of a socket that no task waits for.
    fn has_told(_: &Async<TcpStream>) -> bool {
        true
    }
}
