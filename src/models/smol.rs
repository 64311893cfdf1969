//! `smol`: a task for each connection on smol's executor, whose threads share one reactor.
//!
//! Who waits: whichever worker has nothing to run, in the reactor's epoll; one at a time, for all tasks. Where the state
//! lives: in the task's future, on the heap. What bounds the concurrency: memory and descriptors. What a waiting
//! connection costs: a task, an entry in the reactor and one small buffer. The reactor arms a socket anew for each wait
//! (one-shot: a system call), and knows nothing of sockets that nobody waits for, so an idle backend connection is
//! asked before it is used. Beside the workers, the crate `async-io` has a thread of its own, which drives the
//! reactor when no worker does.

use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};
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
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Timer = Timer;
    const RETRIES_WRITES: bool = true;

    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        EXECUTOR.spawn(task).detach();
    }

    fn listener(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        Ok(Async::new(listener)?.into())
    }

    async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        listener.accept().await
    }

    fn timer(at: Instant) -> Timer {
        Timer::at(at)
    }

    fn move_timer(timer: Pin<&mut Timer>, at: Instant) {
        timer.get_mut().set_at(at);
    }

    async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn read(stream: &mut TcpStream, room: &mut [u8]) -> io::Result<usize> {
        stream.read(room).await
    }

    async fn write(stream: &mut TcpStream, data: &[u8]) -> io::Result<usize> {
        stream.write(data).await
    }

    /// The reactor hears nothing of a socket that no task waits for.
    fn has_told(_: &TcpStream) -> bool {
        true
    }
}
