//! Operations as futures: a connection is a task, which awaits each of them, whatever the runtime.
//!
//! Owns what the accepting task and each connection's task do; the model has the runtime ([`Runtime`]) and its threads.
//! Rules: a timer is looked at only when an operation must wait; one timer serves the whole connection, and is moved only
//! where it must be, so that most operations never touch the runtime's timers; idle connections stand behind a mutex,
//! since tasks move between threads.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant;

use roundtable::proxy::{BackendId, CloseReason, Done, Op, Peer, Session};
use socket2::SockRef;

use super::{look, timed_out};
use crate::models::Server;
use crate::models::common::{abort, lock};
use crate::models::idle::{self, IdlePool, SharedIdle, is_usable};
use crate::models::listener::{AcceptError, EXHAUSTED_PAUSE};

/// What a runtime has to offer.
pub(in crate::models) trait Runtime: 'static {
    type Listener: Send + Sync;
    type Stream: AsFd + Send;
    type Timer: Future + Send;
    /// Whether a write that waits is tried again whenever its task wakes up, and not only when the socket has room.
    const RETRIES_WRITES: bool;

    /// Runs `task` on the runtime of the calling thread, or on the only one there is.
    fn spawn(task: impl Future<Output = ()> + Send + 'static);

    /// A listener of this runtime; `listener` does not block.
    fn listener(listener: TcpListener) -> io::Result<Self::Listener>;

    fn accept(
        listener: &Self::Listener,
    ) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// A timer that is ready at `at`.
    fn timer(at: Instant) -> Self::Timer;

    /// Makes it ready at `at` instead, also where it has been ready before.
    fn move_timer(timer: Pin<&mut Self::Timer>, at: Instant);

    /// A connection with NODELAY.
    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    fn read(stream: &mut Self::Stream, room: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;

    fn write(stream: &mut Self::Stream, data: &[u8]) -> impl Future<Output = io::Result<usize>> + Send;

    /// Whether the reactor has told of anything on this idle connection.
    fn has_told(stream: &Self::Stream) -> bool;
}

/// Runs [`accept`] as a task like the others, so that the calling thread has no part in the runtime; returns when that fails.
pub(in crate::models) fn serve<R: Runtime>(server: Arc<Server>) -> io::Result<()> {
    let (failed, failure) = channel();
    let listener = server.listener.try_clone()?;
    R::spawn(async move {
        let outcome = accept::<R>(server, 0, listener).await;
        // The receiver is only gone when the process ends.
        let _ = failed.send(outcome);
    });
    failure.recv().unwrap_or_else(|_| Err(io::Error::other("the accepting task has panicked")))
}

/// Accepts connections and spawns a task for each. Never returns when the listener is shut down, so that what the caller
/// keeps for its tasks stays. `worker` is the one that accepts, where workers share nothing.
pub(in crate::models) async fn accept<R: Runtime>(
    server: Arc<Server>,
    worker: usize,
    listener: TcpListener,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = R::listener(listener)?;
    let idle = idle::shared(&server.proxy, server.listeners().count())?;
    loop {
        match R::accept(&listener).await {
            Ok((client, address)) => {
                server.accepted_by(worker, address);
                R::spawn(run::<R>(Arc::clone(&server), Arc::clone(&idle), client, address));
            }
            Err(error) => match AcceptError::of(&error)? {
                AcceptError::Again => {}
                AcceptError::ShutDown => std::future::pending().await,
                AcceptError::Exhausted => {
                    R::timer(Instant::now() + EXHAUSTED_PAUSE).await;
                }
            },
        }
    }
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
    let at = session.deadline().unwrap_or(now);
    let mut timer = Alarm::<R> { timer: pin!(R::timer(at)), at: Some(at) };
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
                let found = within(&mut timer, deadline, connecting).await;
                Done::Connected(found.map(|(stream, reused)| {
                    backend = Some(stream);
                    reused
                }))
            }
            Op::Read(peer, mut buf) => {
                let outcome = match socket(peer, &mut client, &mut backend) {
                    Ok(socket) => within(&mut timer, deadline, R::read(socket, buf.spare_mut())).await,
                    Err(error) => Err(error),
                };
                Done::Transferred(outcome, buf)
            }
            Op::Write(peer, buf) => {
                let outcome = match socket(peer, &mut client, &mut backend) {
                    Ok(socket) => write_within(&mut timer, deadline, R::write(socket, buf.window())).await,
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

/// A connection's timer, and when it is ready; `None` when it has been, since not every timer is so twice.
struct Alarm<'a, R: Runtime> {
    timer: Pin<&'a mut R::Timer>,
    at: Option<Instant>,
}

impl<R: Runtime> Alarm<'_, R> {
    fn set(&mut self, at: Instant) {
        self.at = Some(at);
        R::move_timer(self.timer.as_mut(), at);
    }

    /// Ready at `deadline`, not earlier.
    fn hold_to(&mut self, deadline: Instant) {
        if self.at != Some(deadline) {
            self.set(deadline);
        }
    }

    /// Ready when `deadline` has passed. An earlier time is left until it comes: most deadlines never do.
    fn poll(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        if self.at.is_none_or(|at| at > deadline) {
            self.set(deadline);
        }
        while self.timer.as_mut().poll(context).is_ready() {
            if self.at.take() >= Some(deadline) {
                return Poll::Ready(());
            }
            self.set(deadline);
        }
        Poll::Pending
    }
}

/// Awaits `operation` until `deadline`.
async fn within<R: Runtime, T>(
    timer: &mut Alarm<'_, R>,
    deadline: Option<Instant>,
    operation: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let mut operation = pin!(operation);
    std::future::poll_fn(|context| {
        if let Poll::Ready(outcome) = operation.as_mut().poll(context) {
            return Poll::Ready(outcome);
        }
        let Some(deadline) = deadline else { return Poll::Pending };
        timer.poll(deadline, context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    })
    .await
}

/// Awaits a write until `deadline`. Where it would be tried again at each wake-up, there is none for the timer but the last,
/// and no try then: a little may fit before the kernel calls the socket writable, and would begin the time anew.
async fn write_within<R: Runtime>(
    timer: &mut Alarm<'_, R>,
    deadline: Option<Instant>,
    write: impl Future<Output = io::Result<usize>>,
) -> io::Result<usize> {
    let Some(deadline) = deadline.filter(|_| R::RETRIES_WRITES) else {
        return within(timer, deadline, write).await;
    };
    let mut write = pin!(write);
    let mut waits = false;
    std::future::poll_fn(|context| {
        if !waits && let Poll::Ready(outcome) = write.as_mut().poll(context) {
            return Poll::Ready(outcome);
        }
        timer.hold_to(deadline);
        if timer.poll(deadline, context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if std::mem::replace(&mut waits, true) { write.as_mut().poll(context) } else { Poll::Pending }
    })
    .await
}
