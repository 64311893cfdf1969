//! `pool`: a fixed number of workers, fed by a crossbeam channel.
//!
//! Who waits: a worker waits for a backend's answer, in the system call, once for each request and for at most [`SLICE`],
//! and only while another worker does not ([`Shared::begin_wait`]); it never waits for a client. What would wait
//! longer goes to the waiting room (one epoll, one thread) and comes back through the channel when it can go on, at the
//! end of the queue. So no client and no backend, however slow, and no number of them can keep the workers from the
//! others: one of these is always at work. A pool of one worker never waits in a call. Where the state lives: in a boxed [`Task`] that is handed from thread to thread. What bounds the
//! concurrency: the number of workers, for exchanges that are being worked on. What a waiting connection costs: a
//! task in the waiting room and one small buffer.
//!
//! A task gives way after [`OPS_IN_TURN`] operations, so that none can keep a worker to itself.

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, unbounded};
use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;
use nix::sys::socket::{MsgFlags, recv, send};
use roundtable::proxy::{BackendId, CloseReason, Done, Op, Peer, Session};
use socket2::{Domain, Protocol, Socket, Type};

use super::common::{abort, lock, look, timed_out};
use super::idle::{IdlePool, is_usable};
use super::listener::{AcceptError, EXHAUSTED_PAUSE};
use super::waiting::{Waiting, WaitingRoom};
use super::{Family, Model, Server, Workers};

pub(super) const MODEL: Model = Model {
    name: "pool",
    family: Family::Threaded,
    summary: "a fixed number of worker threads fed by a crossbeam channel",
    unit_of_work: "a session's operations until one waits for the client, or too long for a backend",
    bound: "the workers",
    workers: Workers::PerProcessor(4),
    serve,
};

/// How long a worker waits for a backend before it takes up other work.
const SLICE: Duration = Duration::from_millis(10);
/// Operations that a task performs before others have their turn.
const OPS_IN_TURN: u32 = 64;

/// A client connection, what it holds, and what it is about to do.
struct Task {
    session: Session,
    op: Op,
    client: TcpStream,
    backend: Option<BackendStream>,
    /// epoll knows the client's socket.
    client_is_known: bool,
    /// The last thing done was to write to the client: it cannot have sent the next request yet.
    just_answered: bool,
    /// A worker has waited for this backend since something was sent to it.
    was_waited_for: bool,
}

/// A connection to a backend.
struct BackendStream {
    stream: TcpStream,
    /// Its connection attempt is not over; the socket does not block yet.
    connecting: bool,
    /// epoll knows it.
    is_known: bool,
}

/// What the workers share.
struct Shared {
    server: Arc<Server>,
    jobs: Sender<Box<Task>>,
    idle: Mutex<IdlePool<BackendStream>>,
    waiting: WaitingRoom<Box<Task>>,
    /// Workers that wait for a backend in the system call.
    waiters: AtomicUsize,
}

impl Shared {
    /// Whether one more worker may wait in a system call: one must be left that does not. If so, [`Self::end_wait`] is due.
    fn begin_wait(&self) -> bool {
        let may_wait = self.waiters.fetch_add(1, Ordering::Relaxed) + 1 < self.server.workers;
        if !may_wait {
            self.end_wait();
        }
        may_wait
    }

    fn end_wait(&self) {
        self.waiters.fetch_sub(1, Ordering::Relaxed);
    }

    fn take_idle(&self, backend: BackendId, now: Instant) -> Option<BackendStream> {
        loop {
            // The look at it needs no lock.
            let idle = lock(&self.idle).take(backend, now, drop)?.connection;
            if is_usable(&self.server.proxy, backend, &idle.stream) {
                return Some(idle);
            }
        }
    }
}

fn serve(server: Arc<Server>) -> io::Result<()> {
    let (jobs, queue) = unbounded();
    let idle = Mutex::new(IdlePool::new(server.proxy.backend_count()));
    let shared =
        Arc::new(Shared { server, jobs, idle, waiting: WaitingRoom::new()?, waiters: AtomicUsize::new(0) });
    for number in 0..shared.server.workers {
        let (shared, queue) = (Arc::clone(&shared), queue.clone());
        thread::Builder::new().name(format!("worker {number}")).spawn(move || work(&shared, &queue))?;
    }
    let poller = Arc::clone(&shared);
    thread::Builder::new().name("waiting room".into()).spawn(move || {
        let outcome = poller.waiting.run(|task| drop(poller.jobs.send(task)));
        if let Err(error) = outcome {
            // `eprintln!` would panic when nobody reads it any more.
            drop(writeln!(io::stderr(), "roundtable: the waiting room has failed: {error}"));
            std::process::exit(1);
        }
    })?;
    accept(&shared)
}

fn accept(shared: &Shared) -> io::Result<()> {
    loop {
        match shared.server.listener.accept() {
            Ok((client, address)) => drop(shared.jobs.send(Task::start(&shared.server, client, address))),
            Err(error) => match AcceptError::of(&error)? {
                AcceptError::Again => {}
                AcceptError::ShutDown => return Ok(()),
                AcceptError::Exhausted => thread::sleep(EXHAUSTED_PAUSE),
            },
        }
    }
}

fn work(shared: &Shared, queue: &Receiver<Box<Task>>) {
    while let Ok(task) = queue.recv() {
        // A panic ends that connection alone.
        let _ = catch_unwind(AssertUnwindSafe(|| task.perform_all(shared)));
    }
}

/// What came of trying an operation.
enum Tried {
    Done(Done),
    /// It would wait for this.
    Wait(Op, Peer, EpollFlags),
}

impl Waiting for Box<Task> {
    fn deadline(&self) -> Option<Instant> {
        self.session.deadline()
    }
}

impl Task {
    fn start(server: &Server, client: TcpStream, address: SocketAddr) -> Box<Self> {
        server.accepted(address);
        let (session, op) = Session::start(Arc::clone(&server.proxy), address, Instant::now());
        Box::new(Task {
            session,
            op,
            client,
            backend: None,
            client_is_known: false,
            just_answered: false,
            was_waited_for: false,
        })
    }

    fn perform_all(mut self: Box<Self>, shared: &Shared) {
        let mut now = Instant::now();
        for _ in 0..OPS_IN_TURN {
            let op = std::mem::replace(&mut self.op, Op::Discard);
            if let Op::Finish(reason) = op {
                if reason == CloseReason::Aborted {
                    abort(&self.client);
                }
                return;
            }
            let late = self.session.deadline().is_some_and(|deadline| deadline <= now);
            let tried = if late {
                if matches!(op, Op::Connect { .. }) {
                    self.backend = None;
                }
                Tried::Done(timed_out(op))
            } else {
                self.perform(shared, op, now)
            };
            match tried {
                Tried::Done(done) => {
                    now = Instant::now();
                    self.op = self.session.step(done, now);
                }
                Tried::Wait(op, peer, interest) => {
                    self.op = op;
                    return self.wait(shared, peer, interest);
                }
            }
        }
        drop(shared.jobs.send(self));
    }

    fn wait(mut self: Box<Self>, shared: &Shared, peer: Peer, interest: EpollFlags) {
        let was_known = match (peer, &mut self.backend) {
            (Peer::Backend, Some(backend)) => std::mem::replace(&mut backend.is_known, true),
            _ => std::mem::replace(&mut self.client_is_known, true),
        };
        self.just_answered = false;
        let outcome = shared.waiting.enter(self, interest, was_known, |task| match (peer, &task.backend) {
            (Peer::Backend, Some(backend)) => backend.stream.as_fd(),
            _ => task.client.as_fd(),
        });
        if let Err(error) = outcome {
            // Without epoll's memory for it the connection cannot be served: it has been closed.
            // `eprintln!` would panic when nobody reads it any more.
            drop(writeln!(io::stderr(), "roundtable: a connection was closed: {error}"));
        }
    }

    fn perform(&mut self, shared: &Shared, op: Op, now: Instant) -> Tried {
        let just_answered = std::mem::take(&mut self.just_answered);
        match op {
            Op::Connect { backend, reuse } => match self.connect(shared, backend, reuse, now) {
                Ok(Some(reused)) => Tried::Done(Done::Connected(Ok(reused))),
                Ok(None) => Tried::Wait(op, Peer::Backend, EpollFlags::EPOLLOUT),
                Err(error) => {
                    self.backend = None;
                    Tried::Done(Done::Connected(Err(error)))
                }
            },
            Op::Read(Peer::Client, buf) if just_answered => {
                Tried::Wait(Op::Read(Peer::Client, buf), Peer::Client, EpollFlags::EPOLLIN)
            }
            Op::Read(peer, mut buf) => match self.read(shared, peer, buf.spare_mut()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    Tried::Wait(Op::Read(peer, buf), peer, EpollFlags::EPOLLIN)
                }
                outcome => Tried::Done(Done::Transferred(outcome, buf)),
            },
            Op::Write(peer, buf) => match self.write(peer, buf.window()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    Tried::Wait(Op::Write(peer, buf), peer, EpollFlags::EPOLLOUT)
                }
                outcome => {
                    self.just_answered = peer == Peer::Client;
                    self.was_waited_for &= peer == Peer::Client;
                    Tried::Done(Done::Transferred(outcome, buf))
                }
            },
            Op::Release { backend, is_suspect } => {
                if let Some(stream) = self.backend.take() {
                    drop(lock(&shared.idle).put(backend, stream, is_suspect, now));
                }
                Tried::Done(Done::Complete)
            }
            Op::Discard => {
                self.backend = None;
                Tried::Done(Done::Complete)
            }
            Op::Look => Tried::Done(look(&self.client, self.backend.as_ref().map(|backend| &backend.stream))),
            Op::HalfClose => {
                // It fails when the client is gone, which the next read tells.
                let _ = self.client.shutdown(Shutdown::Write);
                Tried::Done(Done::Complete)
            }
            Op::Finish(_) => Tried::Done(Done::Complete),
        }
    }

    /// `Ok(None)`: it is on its way.
    fn connect(
        &mut self,
        shared: &Shared,
        id: BackendId,
        reuse: bool,
        now: Instant,
    ) -> io::Result<Option<bool>> {
        if let Some(backend) = self.backend.as_mut().filter(|backend| backend.connecting) {
            return backend.connected();
        }
        self.backend = None;
        let address = shared.server.forwarded(id);
        if reuse {
            self.backend = shared.take_idle(id, now);
        }
        if self.backend.is_some() {
            return Ok(Some(true));
        }
        let backend = self.backend.insert(BackendStream::begin(address)?);
        backend.connected()
    }

    /// From the client without waiting, from the backend for a slice where that may be.
    fn read(&mut self, shared: &Shared, peer: Peer, room: &mut [u8]) -> io::Result<usize> {
        let fd = match (peer, &self.backend) {
            (Peer::Client, _) => self.client.as_raw_fd(),
            (Peer::Backend, Some(backend)) => backend.stream.as_raw_fd(),
            (Peer::Backend, None) => return Err(ErrorKind::NotConnected.into()),
        };
        if peer == Peer::Backend && !self.was_waited_for && shared.begin_wait() {
            let outcome = uninterrupted(|| recv(fd, room, MsgFlags::empty()));
            shared.end_wait();
            self.was_waited_for = matches!(&outcome, Err(error) if error.kind() == ErrorKind::WouldBlock);
            return outcome;
        }
        uninterrupted(|| recv(fd, room, MsgFlags::MSG_DONTWAIT))
    }

    fn write(&self, peer: Peer, data: &[u8]) -> io::Result<usize> {
        let fd = match (peer, &self.backend) {
            (Peer::Client, _) => self.client.as_raw_fd(),
            (Peer::Backend, Some(backend)) => backend.stream.as_raw_fd(),
            (Peer::Backend, None) => return Err(ErrorKind::NotConnected.into()),
        };
        uninterrupted(|| send(fd, data, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL))
    }
}

impl BackendStream {
    /// Begins to connect.
    fn begin(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        socket.set_read_timeout(Some(SLICE))?;
        socket.set_nonblocking(true)?;
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => Err(error),
            _ => Ok(BackendStream { stream: socket.into(), connecting: true, is_known: false }),
        }
    }

    fn connected(&mut self) -> io::Result<Option<bool>> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                self.stream.set_nonblocking(false)?;
                self.connecting = false;
                Ok(Some(false))
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn uninterrupted(mut operation: impl FnMut() -> nix::Result<usize>) -> io::Result<usize> {
    loop {
        match operation() {
            Err(Errno::EINTR) => {}
            outcome => return Ok(outcome?),
        }
    }
}
