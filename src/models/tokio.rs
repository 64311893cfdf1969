//! `tokio`: a task for each connection on tokio's multi-threaded runtime.
//!
//! Who waits: the runtime's epoll, for all tasks. Where the state lives: in the task's future, on the heap. What bounds
//! the concurrency: memory and descriptors. What a waiting connection costs: a task, a slot in the reactor and
//! one small buffer. The pool of idle backend connections stands behind a mutex, since tasks move between threads.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Instant;

use roundtable::proxy::{BackendId, CloseReason, Done, Op, Peer, Session};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep, sleep_until};

use super::common::{abort, lock, look, timed_out};
use super::idle::{IdlePool, is_usable};
use super::listener::{AcceptError, EXHAUSTED_PAUSE};
use super::{Family, Model, Server, Workers};

pub(super) const MODEL: Model = Model {
    name: "tokio",
    family: Family::Async,
    summary: "a task for each connection on tokio's multi-threaded runtime",
    unit_of_work: "a task, from one await to the next",
    bound: "memory and descriptors",
    workers: Workers::PerProcessor(1),
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
                tokio::spawn(run(Arc::clone(&server), Arc::clone(&idle), client, address));
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

async fn run(
    server: Arc<Server>,
    idle: Arc<Mutex<IdlePool<TcpStream>>>,
    mut client: TcpStream,
    address: SocketAddr,
) {
    let mut backend: Option<TcpStream> = None;
    let mut now = Instant::now();
    let (mut session, mut op) = Session::start(Arc::clone(&server.proxy), address, now);
    let mut timer = pin!(sleep_until(session.deadline().unwrap_or(now).into()));
    loop {
        let deadline = session.deadline();
        let done = match op {
            Op::Finish(reason) => {
                if reason == CloseReason::Aborted {
                    abort(&client);
                }
                return;
            }
            // A timer is looked at only when an operation must wait: a peer that never lets one wait is late too.
            op if deadline.is_some_and(|deadline| deadline <= now) => timed_out(op),
            Op::Connect { backend: id, reuse } => {
                drop(backend.take());
                let found = within(timer.as_mut(), deadline, connect(&server, &idle, id, reuse, now)).await;
                Done::Connected(found.map(|(stream, reused)| {
                    backend = Some(stream);
                    reused
                }))
            }
            Op::Read(peer, mut buf) => {
                let outcome = match socket(peer, &mut client, &mut backend) {
                    Ok(socket) => within(timer.as_mut(), deadline, socket.read(buf.spare_mut())).await,
                    Err(error) => Err(error),
                };
                Done::Transferred(outcome, buf)
            }
            Op::Write(peer, buf) => {
                let outcome = match socket(peer, &mut client, &mut backend) {
                    Ok(socket) => within(timer.as_mut(), deadline, socket.write(buf.window())).await,
                    Err(error) => Err(error),
                };
                Done::Transferred(outcome, buf)
            }
            Op::Release { backend: id, is_suspect } => {
                if let Some(stream) = backend.take() {
                    drop(lock(&idle).put(id, stream, is_suspect, now));
                }
                Done::Complete
            }
            Op::Discard => {
                backend = None;
                Done::Complete
            }
            Op::Look => look(&client, backend.as_ref()),
            Op::HalfClose => {
                // It fails when the client is gone, which the next read tells.
                let _ = SockRef::from(&client).shutdown(Shutdown::Write);
                Done::Complete
            }
        };
        now = Instant::now();
        op = session.step(done, now);
    }
}

async fn connect(
    server: &Server,
    idle: &Mutex<IdlePool<TcpStream>>,
    backend: BackendId,
    reuse: bool,
    now: Instant,
) -> io::Result<(TcpStream, bool)> {
    let address = server.forwarded(backend);
    if reuse && let Some(stream) = take_idle(server, idle, backend, now) {
        return Ok((stream, true));
    }
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok((stream, false))
}

fn take_idle(
    server: &Server,
    idle: &Mutex<IdlePool<TcpStream>>,
    backend: BackendId,
    now: Instant,
) -> Option<TcpStream> {
    loop {
        let kept = lock(idle).take(backend, now, drop)?;
        let stream = kept.connection;
        // The reactor knows; the socket is asked only where it has told of something, or the connection is suspect.
        let has_told =
            || !matches!(stream.try_read(&mut []), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        if !(kept.is_suspect || has_told()) || is_usable(&server.proxy, backend, &stream) {
            return Some(stream);
        }
    }
}

fn socket<'a>(
    peer: Peer,
    client: &'a mut TcpStream,
    backend: &'a mut Option<TcpStream>,
) -> io::Result<&'a mut TcpStream> {
    match peer {
        Peer::Client => Ok(client),
        Peer::Backend => backend.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into()),
    }
}

/// Awaits `operation` until `deadline`. One timer serves the whole connection: it is moved only when it goes off
/// and the deadline in force is later, or when the deadline comes earlier, so that most operations never touch the
/// runtime's timer wheel.
async fn within<T>(
    mut timer: Pin<&mut Sleep>,
    deadline: Option<Instant>,
    operation: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let mut operation = pin!(operation);
    std::future::poll_fn(|context| {
        if let Poll::Ready(outcome) = operation.as_mut().poll(context) {
            return Poll::Ready(outcome);
        }
        let Some(deadline) = deadline.map(tokio::time::Instant::from_std) else { return Poll::Pending };
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(context).is_ready() {
            if timer.deadline() >= deadline {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    })
    .await
}
