//! `tokio`: a task for each connection on tokio's multi-threaded runtime.
//!
//! Who waits: the runtime's epoll, for all tasks. Where the state lives: in the task's future, on the heap. What bounds
//! the concurrency: memory and descriptors. What a waiting connection costs: a task, a slot in the reactor and
//! one small buffer. The pool of idle backend connections stands behind a mutex, since tasks move between threads.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep, sleep_until};

use super::drivers::futures::{Runtime, run};
use super::idle::IdlePool;
use super::listener::{AcceptError, EXHAUSTED_PAUSE};
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
    // The accepting loop is a task like the others: the calling thread has no part in the reactor.
    let accepting = runtime.spawn(accept(server));
    runtime.block_on(accepting).unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

async fn accept(server: Arc<Server>) -> io::Result<()> {
    server.listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(server.listener.try_clone()?)?;
    let idle = Arc::new(Mutex::new(IdlePool::new(server.proxy.backend_count())));
    loop {
        match listener.accept().await {
            Ok((client, address)) => {
                server.accepted(address);
                tokio::spawn(run::<Tokio>(Arc::clone(&server), Arc::clone(&idle), client, address));
            }
            Err(error) => match AcceptError::of(&error)? {
                AcceptError::Again => {}
                // The tasks live in the runtime, which lives in this function's caller.
                AcceptError::ShutDown => std::future::pending().await,
                AcceptError::Exhausted => sleep(EXHAUSTED_PAUSE).await,
            },
        }
    }
}

/// tokio, to the driver of futures.
struct Tokio;

impl Runtime for Tokio {
    type Stream = TcpStream;
    type Timer = Sleep;

    fn timer(at: Instant) -> Sleep {
        sleep_until(at.into())
    }

    fn poll_timer(mut timer: Pin<&mut Sleep>, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let deadline = deadline.into();
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(context).is_ready() {
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
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

    /// A read of nothing only asks the reactor.
    fn has_told(stream: &TcpStream) -> bool {
        !matches!(stream.try_read(&mut []), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}
