//! An event loop on the thread that runs it: one epoll for all its connections.
//!
//! Owns two slabs, of clients and of connections to backends, so that nothing is shared and nothing is locked, and the
//! idle pool among the latter. Where its clients come from is said when it is made: from a listener of its own, or
//! from another thread that accepts ([`Inbox`]). How many loops there are is the model's business.
//!
//! epoll is used edge-triggered. Each socket remembers whether the last thing known of it is "nothing to read" (or "no
//! room to write"); an operation on such a socket parks without a system call. A client socket is registered when it
//! first parks, so that a connection that never waits never is.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use roundtable::proxy::{BackendId, Done, Op, Peer, Session};
use slab::Slab;

use super::readiness::{Socket, connected};
use super::{Sockets, Turn, look, take_turn};
use crate::models::Server;
use crate::models::common::abort;
use crate::models::idle::{IdlePool, SWEEP_INTERVAL, is_usable, most_kept};
use crate::models::listener::{AcceptError, EXHAUSTED_PAUSE};

/// Tells of new connections.
const ARRIVALS: Token = Token(usize::MAX);
/// How often deadlines are looked at, and so the precision of every timeout.
const TICK: Duration = Duration::from_millis(100);
/// Connections accepted before others have their turn.
const ACCEPTS_IN_TURN: u32 = 64;

/// Where a loop's clients come from.
enum Arrivals {
    /// The loop accepts them.
    Listener(TcpListener),
    /// Another thread does.
    Inbox(Receiver<(std::net::TcpStream, SocketAddr)>),
}

impl Arrivals {
    /// The next one. [`ErrorKind::WouldBlock`] where there is none: an event will tell of the next.
    fn next(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        match self {
            Arrivals::Listener(listener) => listener.accept(),
            Arrivals::Inbox(inbox) => match inbox.try_recv() {
                Ok((client, address)) => Ok((TcpStream::from_std(client), address)),
                Err(_) => Err(ErrorKind::WouldBlock.into()),
            },
        }
    }
}

/// Hands connections to a loop on another thread.
pub(in crate::models) struct Inbox {
    arrivals: Sender<(std::net::TcpStream, SocketAddr)>,
    waker: Waker,
}

impl Inbox {
    /// `client` does not block. A loop that has failed has ended the process, or is about to.
    pub(in crate::models) fn put(&self, client: std::net::TcpStream, address: SocketAddr) -> io::Result<()> {
        drop(self.arrivals.send((client, address)));
        self.waker.wake()
    }
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

/// The loop.
pub(in crate::models) struct EventLoop {
    server: Arc<Server>,
    /// Which of the model's workers it is.
    worker: usize,
    poll: Poll,
    arrivals: Arrivals,
    /// Each by itself, so that a growing slab moves and leaves behind little.
    clients: Slab<Box<Client>>,
    backends: Slab<Backend>,
    idle: IdlePool<usize>,
    /// When idle connections that are too old are looked for.
    next_sweep: Instant,
    /// Those that gave way, in order.
    ready: VecDeque<usize>,
    /// There may be more arrivals.
    acceptable: bool,
    /// Accepting pauses until then.
    pause: Option<Instant>,
    now: Instant,
}

impl EventLoop {
    /// One that accepts by itself.
    pub(in crate::models) fn accepting(
        server: Arc<Server>,
        worker: usize,
        listener: &std::net::TcpListener,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener.try_clone()?);
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, ARRIVALS, Interest::READABLE)?;
        Ok(EventLoop::new(server, worker, poll, Arrivals::Listener(listener)))
    }

    /// One that another thread accepts for.
    pub(in crate::models) fn with_inbox(server: Arc<Server>, worker: usize) -> io::Result<(Self, Inbox)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), ARRIVALS)?;
        let (sender, receiver) = channel();
        let looping = EventLoop::new(server, worker, poll, Arrivals::Inbox(receiver));
        Ok((looping, Inbox { arrivals: sender, waker }))
    }

    fn new(server: Arc<Server>, worker: usize, poll: Poll, arrivals: Arrivals) -> Self {
        EventLoop {
            idle: IdlePool::new(server.proxy.backend_count(), most_kept() / server.workers.max(1)),
            next_sweep: Instant::now() + SWEEP_INTERVAL,
            server,
            worker,
            poll,
            arrivals,
            clients: Slab::new(),
            backends: Slab::new(),
            ready: VecDeque::new(),
            acceptable: false,
            pause: None,
            now: Instant::now(),
        }
    }

    /// Serves until the loop fails.
    pub(in crate::models) fn run(mut self) -> io::Result<()> {
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
                    ARRIVALS => self.acceptable = true,
                    Token(token) if token & 1 == 1 => self.backend_event(token >> 1, event),
                    Token(_) => {}
                }
            }
            for event in &events {
                match event.token() {
                    ARRIVALS => {}
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
            let sweep = (!self.idle.is_empty()).then_some(self.next_sweep);
            sweep.map(|sweep| sweep.saturating_duration_since(self.now))
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
            match self.arrivals.next() {
                Ok((stream, address)) => {
                    self.server.accepted_by(self.worker, address);
                    let (session, op) = Session::start(Arc::clone(&self.server.proxy), address, self.now);
                    let socket = Socket::unregistered(stream);
                    let index = self.clients.insert(Box::new(Client {
                        session,
                        op: Some(op),
                        socket,
                        backend: None,
                        queued: false,
                    }));
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
                        if let Arrivals::Listener(listener) = &mut self.arrivals {
                            self.poll.registry().deregister(listener)?;
                        }
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

    /// Deadlines, the end of a pause in accepting, and idle connections that are too old.
    fn tick(&mut self) {
        if self.next_sweep <= self.now {
            self.next_sweep = self.now + SWEEP_INTERVAL;
            for backend in self.idle.expire(self.now) {
                drop(self.backends.remove(backend));
            }
        }
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
        let Some(op) = self.clients[index].op.take() else { return false };
        match take_turn(&mut Resumed { looping: self, index }, op) {
            Turn::Ended => return true,
            Turn::Waits(op) => self.clients[index].op = Some(op),
            Turn::GaveWay(op) => {
                let client = &mut self.clients[index];
                client.op = Some(op);
                client.queued = true;
                self.ready.push_back(index);
            }
        }
        false
    }

    fn take_idle(&mut self, id: BackendId, client: usize) -> Option<usize> {
        loop {
            let backends = &mut self.backends;
            let kept = self.idle.take(id, self.now)?;
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

    fn connected(&mut self, backend: usize) -> io::Result<bool> {
        let backend = &mut self.backends[backend];
        let stream = backend.socket.stream();
        connected(stream.take_error(), stream.peer_addr())?;
        stream.set_nodelay(true)?;
        backend.connecting = false;
        Ok(false)
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

/// A client that the loop goes on with.
struct Resumed<'a> {
    looping: &'a mut EventLoop,
    index: usize,
}

impl Resumed<'_> {
    fn with_socket(
        &mut self,
        peer: Peer,
        operate: impl FnOnce(&mut Socket, &Registry, Token) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let client = &mut self.looping.clients[self.index];
        let registry = self.looping.poll.registry();
        match (peer, client.backend) {
            (Peer::Client, _) => operate(&mut client.socket, registry, Token(self.index << 1)),
            (Peer::Backend, Some(backend)) => {
                operate(&mut self.looping.backends[backend].socket, registry, Token(backend << 1 | 1))
            }
            (Peer::Backend, None) => Err(ErrorKind::NotConnected.into()),
        }
    }

    fn client(&self) -> &Client {
        &self.looping.clients[self.index]
    }
}

impl Sockets for Resumed<'_> {
    fn session(&mut self) -> &mut Session {
        &mut self.looping.clients[self.index].session
    }

    /// The time at which the loop last woke up.
    fn now(&mut self) -> Instant {
        self.looping.now
    }

    fn connect(&mut self, id: BackendId, reuse: bool) -> io::Result<bool> {
        let (looping, index) = (&mut *self.looping, self.index);
        if let Some(backend) = looping.clients[index].backend
            && looping.backends[backend].connecting
        {
            return looping.connected(backend);
        }
        looping.discard(index);
        let address = looping.server.forwarded(id);
        if reuse {
            looping.clients[index].backend = looping.take_idle(id, index);
        }
        if looping.clients[index].backend.is_some() {
            return Ok(true);
        }
        let socket = Socket::unregistered(TcpStream::connect(address)?);
        let backend = looping.backends.insert(Backend { id, socket, client: Some(index), connecting: true });
        looping.clients[index].backend = Some(backend);
        looping.backends[backend].socket.register(looping.poll.registry(), Token(backend << 1 | 1))?;
        looping.connected(backend)
    }

    fn read(&mut self, peer: Peer, room: &mut [u8]) -> io::Result<usize> {
        self.with_socket(peer, |socket, registry, token| socket.read(room, registry, token))
    }

    fn write(&mut self, peer: Peer, data: &[u8]) -> io::Result<usize> {
        self.with_socket(peer, |socket, registry, token| socket.write(data, registry, token))
    }

    fn release(&mut self, id: BackendId, is_suspect: bool) {
        let looping = &mut *self.looping;
        if let Some(backend) = looping.clients[self.index].backend.take() {
            looping.backends[backend].client = None;
            if let Some(surplus) = looping.idle.put(id, backend, is_suspect, looping.now) {
                drop(looping.backends.remove(surplus));
            }
        }
    }

    fn discard(&mut self) {
        self.looping.discard(self.index);
    }

    fn look(&self) -> Done {
        let backend = self.client().backend.map(|backend| self.looping.backends[backend].socket.stream());
        look(self.client().socket.stream(), backend)
    }

    fn half_close(&self) -> io::Result<()> {
        self.client().socket.stream().shutdown(Shutdown::Write)
    }

    fn abort(&self) {
        abort(self.client().socket.stream());
    }
}

#[cfg(test)]
mod tests {
    use roundtable::proxy::{Config, Limits, Proxy};

    use super::*;

    fn looping() -> EventLoop {
        let limits = Limits::default();
        let listener =
            crate::models::listen(([127, 0, 0, 1], 0).into(), &limits, crate::models::BACKLOG, false)
                .unwrap();
        let config = Config::round_robin(vec![([127, 0, 0, 1], 1).into()], "localhost".into(), limits);
        let proxy = Arc::new(Proxy::new(config, Instant::now()).unwrap());
        let server = Arc::new(Server::new(listener, proxy, 1));
        EventLoop::accepting(Arc::clone(&server), 0, &server.listener).unwrap()
    }

    #[test]
    fn new_connections_do_not_keep_the_loop_awake_while_accepting_pauses() {
        let mut looping = looping();
        looping.acceptable = true;
        looping.pause = Some(looping.now + EXHAUSTED_PAUSE);
        assert_eq!(looping.patience(looping.now + TICK), Some(TICK));
        looping.pause = None;
        assert_eq!(looping.patience(looping.now + TICK), Some(Duration::ZERO));
    }

    #[test]
    fn a_loop_without_clients_wakes_up_for_idle_connections_alone() {
        let mut looping = looping();
        assert_eq!(looping.patience(looping.now + TICK), None);
        looping.idle.put(BackendId::default(), 0, false, looping.now);
        assert_eq!(looping.patience(looping.now + TICK), Some(looping.next_sweep - looping.now));
    }
}
