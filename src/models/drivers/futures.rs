//! Operations as futures: a connection is a task, which awaits each of them, whatever the runtime.
//!
//! Owns what one connection does; the model has the runtime ([`Runtime`]) and spawns. Rules: a timer is looked at only when
//! an operation must wait; one timer serves the whole connection, and is moved only where it must be, so that most
//! operations never touch the runtime's timers; idle connections stand behind a mutex, since tasks move between threads.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant;

use roundtable::proxy::{BackendId, CloseReason, Done, Op, Peer, Session};
use socket2::SockRef;

use super::{look, timed_out};
use crate::models::Server;
use crate::models::common::{abort, lock};
use crate::models::idle::{IdlePool, SharedIdle, is_usable};

/// What a runtime has to offer.
pub(in crate::models) trait Runtime {
    type Stream: AsFd;
    type Timer;

    /// A timer that goes off at `at`.
    fn timer(at: Instant) -> Self::Timer;

    /// Ready when `deadline` has passed. The timer may be left at an earlier time, and has to be moved then.
    fn poll_timer(timer: Pin<&mut Self::Timer>, deadline: Instant, context: &mut Context<'_>) -> Poll<()>;

    /// A connection with NODELAY.
    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    fn read(stream: &mut Self::Stream, room: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;

    fn write(stream: &mut Self::Stream, data: &[u8]) -> impl Future<Output = io::Result<usize>> + Send;

    /// Whether the reactor has told of anything on this idle connection.
    fn has_told(stream: &Self::Stream) -> bool;
}

/// Serves a client's connection to its end.
pub(in crate::models) async fn run<R: Runtime>(
    server: Arc<Server>,
    idle: SharedIdle<R::Stream>,
    mut client: R::Stream,
    address: SocketAddr,
) {
    let mut backend: Option<R::Stream> = None;
    let mut now = Instant::now();
    let (mut session, mut op) = Session::start(Arc::clone(&server.proxy), address, now);
    let mut timer = pin!(R::timer(session.deadline().unwrap_or(now)));
    loop {
        let deadline = session.deadline();
        let done = match op {
            Op::Finish(reason) => {
                if reason == CloseReason::Aborted {
                    abort(&client);
                }
                return;
            }
            // A peer that never lets an operation wait is late too.
            op if deadline.is_some_and(|deadline| deadline <= now) => timed_out(op),
            Op::Connect { backend: id, reuse } => {
                drop(backend.take());
                let connecting = connect::<R>(&server, &idle, id, reuse, now);
                let found = within::<R, _>(timer.as_mut(), deadline, connecting).await;
                Done::Connected(found.map(|(stream, reused)| {
                    backend = Some(stream);
                    reused
                }))
            }
            Op::Read(peer, mut buf) => {
                let outcome = match socket(peer, &mut client, &mut backend) {
                    Ok(socket) => {
                        within::<R, _>(timer.as_mut(), deadline, R::read(socket, buf.spare_mut())).await
                    }
                    Err(error) => Err(error),
                };
                Done::Transferred(outcome, buf)
            }
            Op::Write(peer, buf) => {
                let outcome = match socket(peer, &mut client, &mut backend) {
                    Ok(socket) => {
                        within::<R, _>(timer.as_mut(), deadline, R::write(socket, buf.window())).await
                    }
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

async fn connect<R: Runtime>(
    server: &Server,
    idle: &Mutex<IdlePool<R::Stream>>,
    backend: BackendId,
    reuse: bool,
    now: Instant,
) -> io::Result<(R::Stream, bool)> {
    let address = server.forwarded(backend);
    if reuse && let Some(stream) = take_idle::<R>(server, idle, backend, now) {
        return Ok((stream, true));
    }
    Ok((R::connect(address).await?, false))
}

fn take_idle<R: Runtime>(
    server: &Server,
    idle: &Mutex<IdlePool<R::Stream>>,
    backend: BackendId,
    now: Instant,
) -> Option<R::Stream> {
    loop {
        let kept = lock(idle).take(backend, now)?;
        let stream = kept.connection;
        // The reactor knows; the socket is asked only where it has told of something, or the connection is suspect.
        if !(kept.is_suspect || R::has_told(&stream)) || is_usable(&server.proxy, backend, &stream) {
            return Some(stream);
        }
    }
}

fn socket<'a, S>(peer: Peer, client: &'a mut S, backend: &'a mut Option<S>) -> io::Result<&'a mut S> {
    match peer {
        Peer::Client => Ok(client),
        Peer::Backend => backend.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into()),
    }
}

/// Awaits `operation` until `deadline`.
async fn within<R: Runtime, T>(
    mut timer: Pin<&mut R::Timer>,
    deadline: Option<Instant>,
    operation: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let mut operation = pin!(operation);
    std::future::poll_fn(|context| {
        if let Poll::Ready(outcome) = operation.as_mut().poll(context) {
            return Poll::Ready(outcome);
        }
        let Some(deadline) = deadline else { return Poll::Pending };
        R::poll_timer(timer.as_mut(), deadline, context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    })
    .await
}
