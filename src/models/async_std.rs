//! `async-std`: a task for each connection on async-std's global executor. The crate is discontinued, and here as a subject
//! of measurement, beside its successor `smol`.
//!
//! Who waits: whichever worker has nothing to run, in the reactor's epoll; one at a time, for all tasks. Where the state
//! lives: in the task's future, on the heap. What bounds the concurrency: memory and descriptors. What a waiting
//! connection costs: a task, an entry in the reactor, and a buffer only while it holds something. The executor and the
//! reactor are those of `smol`; async-std adds its own task (with an identity and task-locals), a second executor for each
//! thread, and its own stream. Its timers cannot be moved: the one here is the reactor's, which lies under them too.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use async_global_executor::GlobalExecutorConfig;
use async_std::io::{Read, Write};
use async_std::net::{TcpListener, TcpStream};
use smol::Timer;

use super::drivers::futures::{self, Runtime};
use super::{Family, Model, Server, Workers, everywhere};

pub(super) const MODEL: Model = Model {
    name: "async-std",
    family: Family::Async,
    summary: "a task for each connection on async-std's global executor (discontinued)",
    unit_of_work: "a task, from one await to the next",
    bound: "memory and descriptors",
    workers: Workers::PerProcessor(1),
    available: everywhere,
    serve,
};

fn serve(server: Arc<Server>) -> io::Result<()> {
    // Whoever configures the executor first decides; async-std by itself would ask an environment variable.
    let threads = server.workers;
    async_global_executor::init_with_config(
        GlobalExecutorConfig::default().with_min_threads(threads).with_max_threads(threads),
    );
    futures::serve::<AsyncStd>(server)
}

/// async-std, to the driver of futures.
struct AsyncStd;

impl Runtime for AsyncStd {
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Timer = Timer;
    const RETRIES_WRITES: bool = true;

    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        drop(async_std::task::spawn(task));
    }

    fn listener(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        Ok(listener.into())
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

    fn poll_read(
        stream: &mut TcpStream,
        context: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(stream).poll_read(context, room)
    }

    fn poll_write(stream: &mut TcpStream, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(stream).poll_write(context, data)
    }

    /// The reactor hears nothing of a socket that no task waits for.
    fn has_told(_: &TcpStream) -> bool {
        true
    }
}
