//! A connection as a task that threads hand to each other: whoever has it performs its operations until one would wait.
//!
//! Owns the task, the sockets, and what the threads share ([`Tasks`]): the [poller](Poller) for those that wait, the idle
//! connections, and how many workers may wait in a system call. The model has the workers, or starts the
//! usual ones here, which a channel feeds. Rules: no worker waits for a client; one waits for a backend's answer only
//! once for each request, for at most [`SLICE`], and only where the model lets it ([`Tasks::new`]); what would wait
//! longer goes to the poller.

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Sender, unbounded};
use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;
use nix::sys::socket::{MsgFlags, recv, send};
use roundtable::proxy::{BackendId, Done, Op, Peer, Session};
use socket2::{Domain, Protocol, Socket, Type};

use super::poller::{Poller, Waiting};
use super::readiness::connected;
use super::{Interest, Sockets, Turn, look, take_turn};
use crate::models::Server;
use crate::models::common::{abort, lock};
use crate::models::idle::{self, SharedIdle, is_usable};
use crate::models::listener::{AcceptError, EXHAUSTED_PAUSE};

/// How long a worker waits for a backend before it takes up other work.
const SLICE: Duration = Duration::from_millis(10);

/// A client connection, what it holds, and what it is about to do.
pub(in crate::models) struct Task {
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

/// What the threads share.
pub(in crate::models) struct Tasks {
    server: Arc<Server>,
    idle: SharedIdle<BackendStream>,
    poller: Poller<Box<Task>>,
    /// Workers that may wait for a backend in the system call at the same time.
    most_waiters: usize,
    waiters: AtomicUsize,
}

impl Tasks {
    /// Lets so many workers wait in a system call at the same time. One worker more must be left, which never waits.
    pub(in crate::models) fn new(server: Arc<Server>, most_waiters: usize) -> io::Result<Self> {
        let idle = idle::shared(&server.proxy, 1)?;
        Ok(Tasks { server, idle, poller: Poller::new()?, most_waiters, waiters: AtomicUsize::new(0) })
    }

    /// Starts so many workers, which take the tasks sent here in order.
    pub(in crate::models) fn start_workers(
        self: &Arc<Self>,
        workers: usize,
    ) -> io::Result<Sender<Box<Task>>> {
        let (jobs, queue) = unbounded();
        for number in 0..workers {
            let (tasks, jobs, queue) = (Arc::clone(self), jobs.clone(), queue.clone());
            thread::Builder::new().name(format!("worker {number}")).spawn(move || {
                while let Ok(task) = queue.recv() {
                    tasks.work(task, |task| drop(jobs.send(task)));
                }
            })?;
        }
        Ok(jobs)
    }

    /// Starts the poller's thread, which gives `resume` each task that can go on.
    pub(in crate::models) fn start_poller(
        self: &Arc<Self>,
        resume: impl Fn(Box<Task>) + Send + 'static,
    ) -> io::Result<()> {
        let tasks = Arc::clone(self);
        thread::Builder::new().name("poller".into()).spawn(move || {
            if let Err(error) = tasks.poller.run(resume) {
                // `eprintln!` would panic when nobody reads it any more.
                drop(writeln!(io::stderr(), "roundtable: the poller has failed: {error}"));
                std::process::exit(1);
            }
        })?;
        Ok(())
    }

    /// Accepts, by blocking, and gives `take` a task for each connection, until the listener is shut down.
    pub(in crate::models) fn accept(&self, take: impl Fn(Box<Task>)) -> io::Result<()> {
        loop {
            match self.server.listener.accept() {
                Ok((client, address)) => take(Task::start(&self.server, client, address)),
                Err(error) => match AcceptError::of(&error)? {
                    AcceptError::Again => {}
                    AcceptError::ShutDown => return Ok(()),
                    AcceptError::Exhausted => thread::sleep(EXHAUSTED_PAUSE),
                },
            }
        }
    }

    /// Performs a task's operations until one would wait, on the calling thread. `again` gets it back where it has only given
    /// way to others. A panic ends that connection alone.
    pub(in crate::models) fn work(&self, task: Box<Task>, again: impl FnOnce(Box<Task>)) {
        let _ = catch_unwind(AssertUnwindSafe(|| task.work(self, again)));
    }

    /// Has the poller's thread resume `task` after those before it.
    pub(in crate::models) fn resume_later(&self, task: Box<Task>) {
        if let Err(error) = self.poller.give_way(task) {
            drop(writeln!(io::stderr(), "roundtable: the poller cannot be woken: {error}"));
        }
    }

    /// A new connection waits until its client has sent something.
    pub(in crate::models) fn wait_for_client(&self, task: Box<Task>) {
        task.wait(self, Interest::Readable(Peer::Client));
    }

    /// Whether one more worker may wait in a system call. If so, [`Self::end_wait`] is due.
    fn begin_wait(&self) -> bool {
        if self.most_waiters == 0 {
            return false;
        }
        let may_wait = self.waiters.fetch_add(1, Ordering::Relaxed) < self.most_waiters;
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

    fn work(mut self: Box<Self>, tasks: &Tasks, again: impl FnOnce(Box<Self>)) {
        let op = std::mem::replace(&mut self.op, Op::Discard);
        match take_turn(&mut AtWork { tasks, task: &mut self, now: Instant::now() }, op) {
            Turn::Ended => {}
            Turn::Waits(op) => {
                let interest = Interest::of(&op);
                self.op = op;
                self.wait(tasks, interest);
            }
            Turn::GaveWay(op) => {
                self.op = op;
                again(self);
            }
        }
    }

    fn wait(mut self: Box<Self>, tasks: &Tasks, interest: Interest) {
        let (peer, flags) = match interest {
            Interest::Readable(peer) => (peer, EpollFlags::EPOLLIN),
            Interest::Writable(peer) => (peer, EpollFlags::EPOLLOUT),
        };
        let was_known = match (peer, &mut self.backend) {
            (Peer::Backend, Some(backend)) => std::mem::replace(&mut backend.is_known, true),
            _ => std::mem::replace(&mut self.client_is_known, true),
        };
        self.just_answered = false;
        let outcome = tasks.poller.wait(self, flags, was_known, |task| match (peer, &task.backend) {
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
    tasks: &'a Tasks,
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
        let address = self.tasks.server.forwarded(id);
        if reuse {
            self.task.backend = self.tasks.take_idle(id, self.now);
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
        if peer == Peer::Backend && !task.was_waited_for && self.tasks.begin_wait() {
            let outcome = uninterrupted(|| recv(descriptor, room, MsgFlags::empty()));
            self.tasks.end_wait();
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
            drop(lock(&self.tasks.idle).put(backend, stream, is_suspect, self.now));
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
