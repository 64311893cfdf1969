//! The sockets of the model `coroutines`, which its loop must reach, and a client's connection, which uses them.
//!
//! Owns which coroutine a socket belongs to, and which connections to backends are idle. Rule: nothing here stays borrowed
//! when a call returns, so that nothing is while a coroutine is suspended.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Registry, Token};
use roundtable::proxy::{BackendId, Done, Peer, Session};
use slab::Slab;

use crate::models::Server;
use crate::models::common::abort;
use crate::models::drivers::readiness::{Socket, connected};
use crate::models::drivers::{Sockets, look};
use crate::models::idle::{IdlePool, is_usable, most_kept};

/// What coroutines and their scheduler share. Nothing in it stays borrowed while a coroutine is suspended.
pub(super) struct Context {
    pub(super) server: Arc<Server>,
    pub(super) registry: Registry,
    /// When the scheduler last woke up.
    pub(super) now: Cell<Instant>,
    sockets: RefCell<Slab<Entry>>,
    pub(super) idle: RefCell<IdlePool<usize>>,
    /// Accepted connections that have no coroutine yet.
    pub(super) arrived: RefCell<Vec<(TcpStream, SocketAddr)>>,
}

/// A socket, and which coroutine it belongs to.
struct Entry {
    socket: Socket,
    /// None while it is idle.
    owner: Option<usize>,
    /// None for a client's.
    backend: Option<BackendId>,
    /// Its connection attempt is not over.
    connecting: bool,
}

impl Context {
    pub(super) fn new(server: Arc<Server>, registry: Registry) -> Self {
        Context {
            registry,
            now: Cell::new(Instant::now()),
            sockets: RefCell::new(Slab::new()),
            idle: RefCell::new(IdlePool::new(server.proxy.backend_count(), most_kept())),
            arrived: RefCell::new(Vec::new()),
            server,
        }
    }

    fn close(&self, key: usize) {
        // Closing a socket takes it out of epoll.
        drop(self.sockets.borrow_mut().try_remove(key));
    }

    /// Takes note of an edge.
    pub(super) fn ready(&self, key: usize, event: &Event) {
        let mut sockets = self.sockets.borrow_mut();
        let Some(entry) = sockets.get_mut(key) else { return };
        entry.socket.ready(event);
        // An idle connection that says anything, even goodbye, is of no more use.
        if let (None, Some(id)) = (entry.owner, entry.backend)
            && (event.is_readable() || event.is_read_closed() || event.is_error())
        {
            is_usable(&self.server.proxy, id, entry.socket.stream());
            self.idle.borrow_mut().remove(id, &key);
            drop(sockets.remove(key));
        }
    }

    /// The coroutine that a socket belongs to.
    pub(super) fn owner(&self, key: usize) -> Option<usize> {
        self.sockets.borrow().get(key)?.owner
    }

    fn take_idle(&self, id: BackendId, owner: usize) -> Option<usize> {
        loop {
            let kept = self.idle.borrow_mut().take(id, self.now.get())?;
            let mut sockets = self.sockets.borrow_mut();
            let entry = &mut sockets[kept.connection];
            // The edges tell; the socket is asked only where they leave it open, or the connection is suspect.
            if (!kept.is_suspect && entry.socket.is_known_silent())
                || is_usable(&self.server.proxy, id, entry.socket.stream())
            {
                entry.owner = Some(owner);
                return Some(kept.connection);
            }
            drop(sockets.remove(kept.connection));
        }
    }

    /// Closes idle connections that are too old.
    pub(super) fn expire(&self) {
        let old = self.idle.borrow_mut().expire(self.now.get());
        old.into_iter().for_each(|key| self.close(key));
    }
}

/// A client's connection, on its coroutine's stack.
pub(super) struct Connection {
    context: Rc<Context>,
    session: Session,
    /// The coroutine's.
    key: usize,
    /// The sockets'.
    client: usize,
    backend: Option<usize>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.discard();
        self.context.close(self.client);
    }
}

impl Connection {
    pub(super) fn new(context: Rc<Context>, session: Session, key: usize, stream: TcpStream) -> Self {
        let socket = Socket::unregistered(stream);
        let entry = Entry { socket, owner: Some(key), backend: None, connecting: false };
        let client = context.sockets.borrow_mut().insert(entry);
        Connection { context, session, key, client, backend: None }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.session.deadline()
    }

    fn with_socket(
        &mut self,
        peer: Peer,
        operate: impl FnOnce(&mut Socket, &Registry, Token) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let key = match peer {
            Peer::Client => Some(self.client),
            Peer::Backend => self.backend,
        };
        let mut sockets = self.context.sockets.borrow_mut();
        match key.and_then(|key| Some((key, sockets.get_mut(key)?))) {
            Some((key, entry)) => operate(&mut entry.socket, &self.context.registry, Token(key)),
            None => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// Whether the attempt to connect to the backend in hand is over.
    fn connected(&self, backend: usize) -> io::Result<bool> {
        let entry = &mut self.context.sockets.borrow_mut()[backend];
        let stream = entry.socket.stream();
        connected(stream.take_error(), stream.peer_addr())?;
        stream.set_nodelay(true)?;
        entry.connecting = false;
        Ok(false)
    }

    /// Begins to connect.
    fn begin(&mut self, id: BackendId, address: SocketAddr) -> io::Result<usize> {
        let socket = Socket::unregistered(TcpStream::connect(address)?);
        let entry = Entry { socket, owner: Some(self.key), backend: Some(id), connecting: true };
        let mut sockets = self.context.sockets.borrow_mut();
        let backend = sockets.insert(entry);
        self.backend = Some(backend);
        sockets[backend].socket.register(&self.context.registry, Token(backend))?;
        Ok(backend)
    }
}

impl Sockets for Connection {
    fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// The time at which the loop last woke up.
    fn now(&mut self) -> Instant {
        self.context.now.get()
    }

    fn connect(&mut self, id: BackendId, reuse: bool) -> io::Result<bool> {
        let connecting = self.backend.filter(|backend| self.context.sockets.borrow()[*backend].connecting);
        if let Some(backend) = connecting {
            return self.connected(backend);
        }
        self.discard();
        let address = self.context.server.forwarded(id);
        if reuse {
            self.backend = self.context.take_idle(id, self.key);
        }
        if self.backend.is_some() {
            return Ok(true);
        }
        let backend = self.begin(id, address)?;
        self.connected(backend)
    }

    fn read(&mut self, peer: Peer, room: &mut [u8]) -> io::Result<usize> {
        self.with_socket(peer, |socket, registry, token| socket.read(room, registry, token))
    }

    fn write(&mut self, peer: Peer, data: &[u8]) -> io::Result<usize> {
        self.with_socket(peer, |socket, registry, token| socket.write(data, registry, token))
    }

    fn release(&mut self, id: BackendId, is_suspect: bool) {
        let Some(backend) = self.backend.take() else { return };
        self.context.sockets.borrow_mut()[backend].owner = None;
        let surplus = self.context.idle.borrow_mut().put(id, backend, is_suspect, self.context.now.get());
        if let Some(surplus) = surplus {
            self.context.close(surplus);
        }
    }

    fn discard(&mut self) {
        if let Some(backend) = self.backend.take() {
            self.context.close(backend);
        }
    }

    fn look(&self) -> Done {
        let sockets = self.context.sockets.borrow();
        let backend = self.backend.map(|backend| sockets[backend].socket.stream());
        look(sockets[self.client].socket.stream(), backend)
    }

    fn half_close(&self) -> io::Result<()> {
        self.context.sockets.borrow()[self.client].socket.stream().shutdown(Shutdown::Write)
    }

    fn abort(&self) {
        abort(self.context.sockets.borrow()[self.client].socket.stream());
    }
}
