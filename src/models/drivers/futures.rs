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
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Poll};
use std::time::Instant;

use roundtable::proxy::{BackendId, Buf, CloseReason, Done, Op, Peer, Session};
use socket2::SockRef;

use super::{look, timed_out};
use crate::models::Server;
use crate::models::common::{abort, lock};
use crate::models::idle::{self, SharedIdle, is_usable};
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

    /// Reads once, or has the task woken up when there is something to be read.
    fn poll_read(
        stream: &mut Self::Stream,
        context: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<io::Result<usize>>;

    /// Writes once, or has the task woken up when there is room.
    fn poll_write(
        stream: &mut Self::Stream,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>>;

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
pub(in crate::models) fn run<R: Runtime>(
    server: Arc<Server>,
    idle: SharedIdle<R::Stream>,
    client: R::Stream,
    address: SocketAddr,
) -> impl Future<Output = ()> {
    let (session, mut op) = Session::start(Arc::clone(&server.proxy), address, Instant::now());
    let mut connection = Connection::<R> { server, idle, client, backend: None, session };
    // What it has stays where it is: a future has room for each place that a value is moved to.
    async move {
        let mut now = Instant::now();
        let at = connection.session.deadline().unwrap_or(now);
        let mut timer = Alarm::<R> { timer: pin!(R::timer(at)), at: Some(at) };
        loop {
            let deadline = connection.session.deadline();
            let is_late = deadline.is_some_and(|deadline| deadline <= now);
            let done = match &mut op {
                Op::Finish(reason) => {
                    if *reason == CloseReason::Aborted {
                        abort(&connection.client);
                    }
                    return;
                }
                // A peer that never lets an operation wait is late too.
                op if is_late => timed_out(std::mem::replace(op, Op::Discard)),
                &mut Op::Connect { backend: id, reuse } => {
                    let address = connection.server.forwarded(id);
                    let reused = connection.take_idle(id, reuse, now);
                    let outcome = if reused {
                        Ok(())
                    } else {
                        // On the heap, so that not every task has room for it.
                        let mut connecting = Box::pin(R::connect(address));
                        let connected =
                            timer.within(deadline, move |context| connecting.as_mut().poll(context)).await;
                        connected.map(|stream| connection.backend = Some(stream))
                    };
                    Done::Connected(outcome.map(|()| reused))
                }
                Op::Read(peer, buf) => {
                    let outcome =
                        timer.within(deadline, |context| connection.poll_read(*peer, context, buf)).await;
                    Done::Transferred(outcome, std::mem::take(buf))
                }
                Op::Write(peer, buf) if R::RETRIES_WRITES => {
                    let write =
                        |context: &mut Context<'_>| connection.poll_write(*peer, context, buf.window());
                    let outcome = timer.retried_within(deadline, write).await;
                    Done::Transferred(outcome, std::mem::take(buf))
                }
                Op::Write(peer, buf) => {
                    let write =
                        |context: &mut Context<'_>| connection.poll_write(*peer, context, buf.window());
                    let outcome = timer.within(deadline, write).await;
                    Done::Transferred(outcome, std::mem::take(buf))
                }
                &mut Op::Release { backend: id, is_suspect } => {
                    if let Some(stream) = connection.backend.take() {
                        drop(lock(&connection.idle).put(id, stream, is_suspect, now));
                    }
                    Done::Complete
                }
                Op::Discard => {
                    connection.backend = None;
                    Done::Complete
                }
                Op::Look => look(&connection.client, connection.backend.as_ref()),
                Op::HalfClose => {
                    // It fails when the client is gone, which the next read tells.
                    let _ = SockRef::from(&connection.client).shutdown(Shutdown::Write);
                    Done::Complete
                }
            };
            now = Instant::now();
            op = connection.session.step(done, now);
        }
    }
}

/// A client's connection and what it holds.
struct Connection<R: Runtime> {
    server: Arc<Server>,
    idle: SharedIdle<R::Stream>,
    client: R::Stream,
    backend: Option<R::Stream>,
    session: Session,
}

impl<R: Runtime> Connection<R> {
    /// Reads once. Waits without the buffer's memory.
    fn poll_read(&mut self, peer: Peer, context: &mut Context<'_>, buf: &mut Buf) -> Poll<io::Result<usize>> {
        self.session.lend(buf);
        let outcome = R::poll_read(self.socket(peer)?, context, buf.spare_mut());
        if outcome.is_pending() {
            self.session.reclaim(buf);
        }
        outcome
    }

    fn poll_write(&mut self, peer: Peer, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        R::poll_write(self.socket(peer)?, context, data)
    }

    fn socket(&mut self, peer: Peer) -> io::Result<&mut R::Stream> {
        match peer {
            Peer::Client => Ok(&mut self.client),
            Peer::Backend => self.backend.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into()),
        }
    }

    /// Closes the backend in hand, and has an idle one to `backend` if there is one and it may.
    fn take_idle(&mut self, backend: BackendId, reuse: bool, now: Instant) -> bool {
        self.backend = if reuse { self.usable_idle(backend, now) } else { None };
        self.backend.is_some()
    }

    fn usable_idle(&self, backend: BackendId, now: Instant) -> Option<R::Stream> {
        loop {
            // The look at it needs no lock, which the condition of a `while let` would hold.
            let kept = lock(&self.idle).take(backend, now)?;
            let stream = kept.connection;
            // The reactor knows; the socket is asked only where it has told of something, or the connection is suspect.
            if !(kept.is_suspect || R::has_told(&stream)) || is_usable(&self.server.proxy, backend, &stream) {
                return Some(stream);
            }
        }
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

    /// Awaits `operation` until `deadline`. A function that is called again and again, and no future: what it works on is the
    /// caller's, of which a task has room for one.
    fn within<T>(
        &mut self,
        deadline: Option<Instant>,
        mut operation: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> impl Future<Output = io::Result<T>> {
        std::future::poll_fn(move |context| {
            if let Poll::Ready(outcome) = operation(context) {
                return Poll::Ready(outcome);
            }
            let Some(deadline) = deadline else { return Poll::Pending };
            self.poll(deadline, context).map(|()| Err(io::ErrorKind::TimedOut.into()))
        })
    }

    /// The same for a write, where a runtime does not tell what has woken the task up: it is tried at first and then at each
    /// wake-up, of which the timer causes only the one when the time is over, and nothing is tried then. A little may fit before
    /// the kernel calls the socket writable, and would begin the time anew.
    fn retried_within<T>(
        &mut self,
        deadline: Option<Instant>,
        mut write: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> impl Future<Output = io::Result<T>> {
        let mut waits = false;
        std::future::poll_fn(move |context| {
            if !waits && let Poll::Ready(outcome) = write(context) {
                return Poll::Ready(outcome);
            }
            if let Some(deadline) = deadline {
                self.hold_to(deadline);
                if self.poll(deadline, context).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
            if std::mem::replace(&mut waits, true) { write(context) } else { Poll::Pending }
        })
    }
}
