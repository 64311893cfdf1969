//! `mio`: one thread, one event loop, all connections.
//!
//! Who waits: the loop's one `epoll_wait`, for everybody. Where the state lives: in two slabs that the loop owns, so
//! that nothing is shared and nothing is locked. What bounds the concurrency: one processor, memory and descriptors.
//! What a waiting connection costs: a slab entry and one small buffer.
//!
//! epoll is used edge-triggered. Each socket remembers whether the last thing known of it is "nothing to read" (or "no
//! room to write"); an operation on such a socket parks without a system call. A client socket is registered when it
//! first parks, so that a connection that never waits never is. A connection gives way after
//! [`OPS_IN_TURN`] operations, so that none can keep the loop to itself.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use roundtable::proxy::{BackendId, CloseReason, Done, Op, Peer, Session};
use slab::Slab;

use super::common::{abort, look, timed_out};
use super::idle::{IdlePool, is_usable};
use super::listener::{AcceptError, EXHAUSTED_PAUSE};
use super::socket::Socket;
use super::{Family, Model, Server, Workers};

pub(super) const MODEL: Model = Model {
    name: "mio",
    family: Family::Async,
    summary: "one event loop on one thread, readiness by epoll",
    unit_of_work: "a session's operations until one would block",
    bound: "one processor, memory and descriptors",
    workers: Workers::One,
    serve,
};

const LISTENER: Token = Token(usize::MAX);
/// How often deadlines are looked at, and so the precision of every timeout.
const TICK: Duration = Duration::from_millis(100);
/// Operations that a connection performs before others have their turn.
const OPS_IN_TURN: u32 = 64;
/// Connections accepted before others have their turn.
const ACCEPTS_IN_TURN: u32 = 64;

fn serve(server: Arc<Server>) -> io::Result<()> {
    Loop::new(server)?.run()
}

/// A client and its session. While it is parked, `op` is what it waits to perform.
struct Client {
    session: Session,
    op: Option<Op>,
    socket: Socket,
    backend: Option<usize>,
    /// In the queue of those that gave way.
    queued: bool,
}

/// A connection to a backend: a client's, or idle.
struct Backend {
    id: BackendId,
    socket: Socket,
    client: Option<usize>,
    /// Registered before it was connected: writability tells.
    connecting: bool,
}

struct Loop {
    server: Arc<Server>,
    poll: Poll,
    listener: TcpListener,
    clients: Slab<Client>,
    backends: Slab<Backend>,
    idle: IdlePool<usize>,
    /// Those that gave way, in order.
    ready: VecDeque<usize>,
    /// The accept queue may not be empty.
    acceptable: bool,
    /// Accepting pauses until then.
    pause: Option<Instant>,
    now: Instant,
}

/// What came of trying an operation.
enum Tried {
    Done(Done),
    Parked(Op),
}

impl Loop {
    fn new(server: Arc<Server>) -> io::Result<Self> {
        server.listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(server.listener.try_clone()?);
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Loop {
            idle: IdlePool::new(server.proxy.backend_count()),
            server,
            poll,
            listener,
            clients: Slab::new(),
            backends: Slab::new(),
            ready: VecDeque::new(),
            acceptable: false,
            pause: None,
            now: Instant::now(),
        })
    }

    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut next_tick = self.now + TICK;
        loop {
            match self.poll.poll(&mut events, self.patience(next_tick)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                outcome => outcome?,
            }
            self.now = Instant::now();
            // What is known of the backends' connections comes first: no client gets one that has spoken unasked.
            for event in &events {
                match event.token() {
                    LISTENER => self.acceptable = true,
                    Token(token) if token & 1 == 1 => self.backend_event(token >> 1, event),
                    Token(_) => {}
                }
            }
            for event in &events {
                match event.token() {
                    LISTENER => {}
                    Token(token) if token & 1 == 1 => self.resume_owner(token >> 1),
                    Token(token) => self.client_event(token >> 1, event),
                }
            }
            for _ in 0..self.ready.len() {
                let Some(index) = self.ready.pop_front() else { break };
                if let Some(client) = self.clients.get_mut(index)
                    && std::mem::take(&mut client.queued)
                {
                    self.resume(index);
                }
            }
            if self.can_accept() {
                self.accept()?;
            }
            if self.now >= next_tick {
                next_tick = self.now + TICK;
                self.tick();
            }
        }
    }

    /// How long the loop may wait for events; `None` is for ever.
    fn patience(&self, next_tick: Instant) -> Option<Duration> {
        if self.can_accept() || !self.ready.is_empty() {
            Some(Duration::ZERO)
        } else if self.clients.is_empty() && self.pause.is_none() {
            None
        } else {
            Some(next_tick.saturating_duration_since(self.now))
        }
    }

    /// Edges go on telling of new connections while accepting pauses: they must not keep the loop awake.
    fn can_accept(&self) -> bool {
        self.acceptable && self.pause.is_none()
    }

    fn accept(&mut self) -> io::Result<()> {
        for _ in 0..ACCEPTS_IN_TURN {
            match self.listener.accept() {
                Ok((stream, address)) => {
                    self.server.accepted(address);
                    let (session, op) = Session::start(Arc::clone(&self.server.proxy), address, self.now);
                    let socket = Socket::unregistered(stream);
                    let index = self.clients.insert(Client {
                        session,
                        op: Some(op),
                        socket,
                        backend: None,
                        queued: false,
                    });
                    self.resume(index);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.acceptable = false;
                    return Ok(());
                }
                Err(error) => match AcceptError::of(&error)? {
                    AcceptError::Again => {}
                    AcceptError::ShutDown => {
                        // No more events: connections in hand go on until the process ends.
                        self.poll.registry().deregister(&mut self.listener)?;
                        self.acceptable = false;
                        return Ok(());
                    }
                    AcceptError::Exhausted => {
                        self.pause = Some(self.now + EXHAUSTED_PAUSE);
                        self.acceptable = false;
                        return Ok(());
                    }
                },
            }
        }
        Ok(())
    }

    fn client_event(&mut self, index: usize, event: &Event) {
        if let Some(client) = self.clients.get_mut(index) {
            client.socket.ready(event);
            if !client.queued {
                self.resume(index);
            }
        }
    }

    fn backend_event(&mut self, index: usize, event: &Event) {
        let Some(backend) = self.backends.get_mut(index) else { return };
        backend.socket.ready(event);
        // An idle connection that says anything, even goodbye, is of no more use.
        if backend.client.is_none() && (event.is_readable() || event.is_read_closed() || event.is_error()) {
            let id = backend.id;
            is_usable(&self.server.proxy, id, backend.socket.stream());
            self.idle.remove(id, &index);
            drop(self.backends.remove(index));
        }
    }

    /// Goes on with the client that a backend's connection belongs to.
    fn resume_owner(&mut self, backend: usize) {
        if let Some(client) = self.backends.get(backend).and_then(|backend| backend.client)
            && self.clients.get(client).is_some_and(|client| !client.queued)
        {
            self.resume(client);
        }
    }

    /// Deadlines, and the end of a pause in accepting.
    fn tick(&mut self) {
        if self.pause.is_some_and(|until| until <= self.now) {
            self.pause = None;
            self.acceptable = true;
        }
        let late: Vec<usize> = self
            .clients
            .iter()
            .filter(|(_, client)| client.session.deadline().is_some_and(|deadline| deadline <= self.now))
            .map(|(index, _)| index)
            .collect();
        for index in late {
            self.resume(index);
        }
    }

    /// Performs a client's operations until one would block. A panic ends that connection alone.
    fn resume(&mut self, index: usize) {
        let ended = catch_unwind(AssertUnwindSafe(|| self.perform_all(index))).unwrap_or(true);
        if ended {
            self.close(index);
        }
    }

    /// True when the session has ended.
    fn perform_all(&mut self, index: usize) -> bool {
        for _ in 0..OPS_IN_TURN {
            let Some(op) = self.clients[index].op.take() else { return false };
            if let Op::Finish(reason) = op {
                if reason == CloseReason::Aborted {
                    abort(self.clients[index].socket.stream());
                }
                return true;
            }
            let late = self.clients[index].session.deadline().is_some_and(|deadline| deadline <= self.now);
            let tried = if late {
                if matches!(op, Op::Connect { .. }) {
                    self.discard(index);
                }
                Tried::Done(timed_out(op))
            } else {
                self.perform(index, op)
            };
            match tried {
                Tried::Done(done) => {
                    let client = &mut self.clients[index];
                    client.op = Some(client.session.step(done, self.now));
                }
                Tried::Parked(op) => {
                    self.clients[index].op = Some(op);
                    return false;
                }
            }
        }
        self.clients[index].queued = true;
        self.ready.push_back(index);
        false
    }

    fn perform(&mut self, index: usize, op: Op) -> Tried {
        match op {
            Op::Connect { backend, reuse } => match self.connect(index, backend, reuse) {
                Ok(Some(reused)) => Tried::Done(Done::Connected(Ok(reused))),
                Ok(None) => Tried::Parked(Op::Connect { backend, reuse }),
                Err(error) => {
                    self.discard(index);
                    Tried::Done(Done::Connected(Err(error)))
                }
            },
            Op::Read(peer, mut buf) => {
                let outcome = self.with_socket(index, peer, |socket, registry, token| {
                    socket.read(buf.spare_mut(), registry, token)
                });
                match outcome {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => Tried::Parked(Op::Read(peer, buf)),
                    outcome => Tried::Done(Done::Transferred(outcome, buf)),
                }
            }
            Op::Write(peer, buf) => {
                let outcome = self.with_socket(index, peer, |socket, registry, token| {
                    socket.write(buf.window(), registry, token)
                });
                match outcome {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        Tried::Parked(Op::Write(peer, buf))
                    }
                    outcome => Tried::Done(Done::Transferred(outcome, buf)),
                }
            }
            Op::Release { backend: id, is_suspect } => {
                if let Some(backend) = self.clients[index].backend.take() {
                    self.backends[backend].client = None;
                    if let Some(surplus) = self.idle.put(id, backend, is_suspect, self.now) {
                        drop(self.backends.remove(surplus));
                    }
                }
                Tried::Done(Done::Complete)
            }
            Op::Discard => {
                self.discard(index);
                Tried::Done(Done::Complete)
            }
            Op::Look => {
                let client = &self.clients[index];
                let backend = client.backend.map(|backend| self.backends[backend].socket.stream());
                Tried::Done(look(client.socket.stream(), backend))
            }
            Op::HalfClose => {
                // It fails when the client is gone, which the next read tells.
                let _ = self.clients[index].socket.stream().shutdown(Shutdown::Write);
                Tried::Done(Done::Complete)
            }
            Op::Finish(_) => Tried::Done(Done::Complete),
        }
    }

    fn with_socket(
        &mut self,
        index: usize,
        peer: Peer,
        operate: impl FnOnce(&mut Socket, &Registry, Token) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let client = &mut self.clients[index];
        match (peer, client.backend) {
            (Peer::Client, _) => operate(&mut client.socket, self.poll.registry(), Token(index << 1)),
            (Peer::Backend, Some(backend)) => {
                operate(&mut self.backends[backend].socket, self.poll.registry(), Token(backend << 1 | 1))
            }
            (Peer::Backend, None) => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// `Ok(None)`: it is on its way.
    fn connect(&mut self, index: usize, id: BackendId, reuse: bool) -> io::Result<Option<bool>> {
        if let Some(backend) = self.clients[index].backend
            && self.backends[backend].connecting
        {
            return self.connected(backend);
        }
        self.discard(index);
        let address = self.server.forwarded(id);
        if reuse {
            self.clients[index].backend = self.take_idle(id, index);
        }
        if self.clients[index].backend.is_some() {
            return Ok(Some(true));
        }
        let stream = TcpStream::connect(address)?;
        let socket = Socket::unregistered(stream);
        let backend = self.backends.insert(Backend { id, socket, client: Some(index), connecting: true });
        self.clients[index].backend = Some(backend);
        self.backends[backend].socket.register(self.poll.registry(), Token(backend << 1 | 1))?;
        self.connected(backend)
    }

    fn take_idle(&mut self, id: BackendId, client: usize) -> Option<usize> {
        loop {
            let backends = &mut self.backends;
            let kept = self.idle.take(id, self.now, |backend| drop(backends.remove(backend)))?;
            let backend = kept.connection;
            let socket = &backends[backend].socket;
            // The edges tell; the socket is asked only where they leave it open, or the connection is suspect.
            if (!kept.is_suspect && socket.is_known_silent())
                || is_usable(&self.server.proxy, id, socket.stream())
            {
                backends[backend].client = Some(client);
                return Some(backend);
            }
            drop(backends.remove(backend));
        }
    }

    fn connected(&mut self, backend: usize) -> io::Result<Option<bool>> {
        let backend = &mut self.backends[backend];
        let stream = backend.socket.stream();
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Ok(_) => {
                stream.set_nodelay(true)?;
                backend.connecting = false;
                Ok(Some(false))
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn discard(&mut self, index: usize) {
        if let Some(backend) = self.clients[index].backend.take() {
            // Closing a socket takes it out of epoll.
            drop(self.backends.remove(backend));
        }
    }

    fn close(&mut self, index: usize) {
        self.discard(index);
        drop(self.clients.remove(index));
    }
}

#[cfg(test)]
mod tests {
    use roundtable::proxy::{Config, Limits, Proxy};

    use super::*;

    #[test]
    fn new_connections_do_not_keep_the_loop_awake_while_accepting_pauses() {
        let limits = Limits::default();
        let listener = super::super::listen(([127, 0, 0, 1], 0).into(), &limits).unwrap();
        let config = Config::round_robin(vec![([127, 0, 0, 1], 1).into()], "localhost".into(), limits);
        let proxy = Arc::new(Proxy::new(config, Instant::now()).unwrap());
        let mut looping =
            Loop::new(Arc::new(Server { listener, proxy, workers: 1, log: None, handicap: None })).unwrap();
        looping.acceptable = true;
        looping.pause = Some(looping.now + EXHAUSTED_PAUSE);
        assert_eq!(looping.patience(looping.now + TICK), Some(TICK));
        looping.pause = None;
        assert_eq!(looping.patience(looping.now + TICK), Some(Duration::ZERO));
    }
}
