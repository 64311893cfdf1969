//! `tokio`: a task for each connection on tokio's multi-threaded runtime.
//!
//! Who waits: the runtime's epoll, for all tasks. Where the state lives: in the task's future, on the heap. What bounds
//! the concurrency: memory and descriptors. What a waiting connection costs: a task, a slot in the reactor and
//! a buffer only while it holds something. The pool of idle backend connections stands behind a mutex, since tasks move
//! between threads.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep_until};

use super::drivers::futures::{self, Runtime};
use super::{Family, Model, Server, Workers, everywhere};

pub(super) const MODEL: Model = Model {
    name: "tokio",
    family: Family::Async,
    summary: "a task for each connection on tokio's multi-threaded runtime",
    unit_of_work: "a task, from one await to the next",
    bound: "memory and descriptors",
    workers: Workers::PerProcessor(1),
    available: everywhere,
    serve,
};

fn serve(server: Arc<Server>) -> io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(server.workers).enable_all().build()?;
    let _context = runtime.enter();
    futures::serve::<Tokio>(server)
}

/// tokio, to the driver of futures.
pub(super) struct Tokio;

impl Runtime for Tokio {
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Timer = Sleep;
    const RETRIES_WRITES: bool = false;

    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        drop(tokio::spawn(task));
    }

    fn listener(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        TcpListener::from_std(listener)
    }

    async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        listener.accept().await
    }

    fn timer(at: Instant) -> Sleep {
        sleep_until(at.into())
    }

    fn move_timer(timer: Pin<&mut Sleep>, at: Instant) {
        timer.reset(at.into());
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
        let mut room = ReadBuf::new(room);
        Pin::new(stream).poll_read(context, &mut room).map_ok(|()| room.filled().len())
    }

    fn poll_write(stream: &mut TcpStream, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(stream).poll_write(context, data)
    }

    /// A read of nothing only asks the reactor.
    fn has_told(stream: &TcpStream) -> bool {
        !matches!(stream.try_read(&mut []), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}
