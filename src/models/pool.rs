//! `pool`: a fixed number of workers, fed by a crossbeam channel.
//!
//! Who waits: a worker waits for a backend's answer, in the system call, once for each request and for at most [`SLICE`],
//! and only while another worker does not ([`Shared::begin_wait`]); it never waits for a client. What would wait
//! longer goes to the waiting room (one epoll, one thread) and comes back through the channel when it can go on, at the
//! end of the queue. So no client and no backend, however slow, and no number of them can keep the workers from the
//! others: one of these is always at work. A pool of one worker never waits in a call. Where the state lives: in a boxed
//! [`Task`] that is handed from thread to thread. What bounds the concurrency: the number of workers, for exchanges that
//! are being worked on. What a waiting connection costs: a task in the waiting room and one small buffer.

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, unbounded};
use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;
use nix::sys::socket::{MsgFlags, recv, send};
use roundtable::proxy::{BackendId, Done, Op, Peer, Session};
use socket2::{Domain, Protocol, Socket, Type};

use super::common::{abort, lock};
use super::drivers::readiness::connected;
use super::drivers::{Interest, Sockets, Turn, look, take_turn};
use super::idle::{self, SharedIdle, is_usable};
use super::listener::{AcceptError, EXHAUSTED_PAUSE};
use super::waiting::{Waiting, WaitingRoom};
use super::{Family, Model, Server, Workers, everywhere};

pub(super) const MODEL: Model = Model {
    name: "pool",
    family: Family::Threaded,
    summary: "a fixed number of worker threads fed by a crossbeam channel",
    unit_of_work: "a session's operations until one waits for the client, or too long for a backend",
    bound: "the workers",
    workers: Workers::PerProcessor(4),
    available: everywhere,
    serve,
};

/// How long a worker waits for a backend before it takes up other work.
const SLICE: Duration = Duration::from_millis(10);

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
    idle: SharedIdle<BackendStream>,
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
            let idle = lock(&self.idle).take(backend, now)?.connection;
            if is_usable(&self.server.proxy, backend, &idle.stream) {
                return Some(idle);
            }
        }
    }
}

fn serve(server: Arc<Server>) -> io::Result<()> {
    let (jobs, queue) = unbounded();
    let idle = idle::shared(&server.proxy, 1)?;
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
        let _ = catch_unwind(AssertUnwindSafe(|| task.work(shared)));
    }
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

    fn work(mut self: Box<Self>, shared: &Shared) {
        let op = std::mem::replace(&mut self.op, Op::Discard);
        match take_turn(&mut AtWork { shared, task: &mut self, now: Instant::now() }, op) {
            Turn::Ended => {}
            Turn::Waits(op) => {
                let interest = Interest::of(&op);
                self.op = op;
                self.wait(shared, interest);
            }
            Turn::GaveWay(op) => {
                self.op = op;
                drop(shared.jobs.send(self));
            }
        }
    }

    fn wait(mut self: Box<Self>, shared: &Shared, interest: Interest) {
        let (peer, flags) = match interest {
            Interest::Readable(peer) => (peer, EpollFlags::EPOLLIN),
            Interest::Writable(peer) => (peer, EpollFlags::EPOLLOUT),
        };
        let was_known = match (peer, &mut self.backend) {
            (Peer::Backend, Some(backend)) => std::mem::replace(&mut backend.is_known, true),
            _ => std::mem::replace(&mut self.client_is_known, true),
        };
        self.just_answered = false;
        let outcome = shared.waiting.enter(self, flags, was_known, |task| match (peer, &task.backend) {
            (Peer::Backend, Some(backend)) => backend.stream.as_fd(),
            _ => task.client.as_fd(),
        });
        if let Err(error) = outcome {
            // Without epoll's memory for it the connection cannot be served: it has been closed.
            // `eprintln!` would panic when nobody reads it any more.
            drop(writeln!(io::stderr(), "roundtable: a connection was closed: {error}"));
        }
    }
}

/// A task in the hands of a worker.
struct AtWork<'a> {
    shared: &'a Shared,
    task: &'a mut Task,
    now: Instant,
}

impl AtWork<'_> {
    fn descriptor(&self, peer: Peer) -> io::Result<RawFd> {
        match (peer, &self.task.backend) {
            (Peer::Client, _) => Ok(self.task.client.as_raw_fd()),
            (Peer::Backend, Some(backend)) => Ok(backend.stream.as_raw_fd()),
            (Peer::Backend, None) => Err(ErrorKind::NotConnected.into()),
        }
    }
}

impl Sockets for AtWork<'_> {
    fn session(&mut self) -> &mut Session {
        &mut self.task.session
    }

    fn now(&mut self) -> Instant {
        self.now = Instant::now();
        self.now
    }

    fn connect(&mut self, id: BackendId, reuse: bool) -> io::Result<bool> {
        if let Some(backend) = self.task.backend.as_mut().filter(|backend| backend.connecting) {
            return backend.connected();
        }
        self.task.backend = None;
        let address = self.shared.server.forwarded(id);
        if reuse {
            self.task.backend = self.shared.take_idle(id, self.now);
        }
        if self.task.backend.is_some() {
            return Ok(true);
        }
        self.task.backend.insert(BackendStream::begin(address)?).connected()
    }

    /// From the client without waiting, from the backend for a slice where that may be.
    fn read(&mut self, peer: Peer, room: &mut [u8]) -> io::Result<usize> {
        let descriptor = self.descriptor(peer)?;
        let task = &mut *self.task;
        if std::mem::take(&mut task.just_answered) && peer == Peer::Client {
            return Err(ErrorKind::WouldBlock.into());
        }
        if peer == Peer::Backend && !task.was_waited_for && self.shared.begin_wait() {
            let outcome = uninterrupted(|| recv(descriptor, room, MsgFlags::empty()));
            self.shared.end_wait();
            task.was_waited_for = matches!(&outcome, Err(error) if error.kind() == ErrorKind::WouldBlock);
            return outcome;
        }
        uninterrupted(|| recv(descriptor, room, MsgFlags::MSG_DONTWAIT))
    }

    fn write(&mut self, peer: Peer, data: &[u8]) -> io::Result<usize> {
        let descriptor = self.descriptor(peer)?;
        let outcome =
            uninterrupted(|| send(descriptor, data, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL));
        if outcome.is_ok() {
            self.task.just_answered = peer == Peer::Client;
            self.task.was_waited_for &= peer == Peer::Client;
        }
        outcome
    }

    fn release(&mut self, backend: BackendId, is_suspect: bool) {
        if let Some(stream) = self.task.backend.take() {
            drop(lock(&self.shared.idle).put(backend, stream, is_suspect, self.now));
        }
    }

    fn discard(&mut self) {
        self.task.backend = None;
    }

    fn look(&self) -> Done {
        look(&self.task.client, self.task.backend.as_ref().map(|backend| &backend.stream))
    }

    fn half_close(&self) -> io::Result<()> {
        self.task.client.shutdown(Shutdown::Write)
    }

    fn abort(&self) {
        abort(&self.task.client);
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

    fn connected(&mut self) -> io::Result<bool> {
        connected(self.stream.take_error(), self.stream.peer_addr())?;
        self.stream.set_nonblocking(false)?;
        self.connecting = false;
        Ok(false)
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
