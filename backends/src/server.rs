//! The event loop: who is ready, who is due, who is new.
//!
//! One thread, one epoll instance, edge-triggered. Owns accepting and the deadlines, nothing of HTTP. Rules: no
//! connection can end the loop; when the process is out of descriptors, accepting pauses instead of spinning.

use std::io::{self, ErrorKind};
use std::mem;
use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;
use socket2::{Domain, Protocol, Socket, Type};

use crate::body::{MAX_BODY_BYTES, body};
use crate::connection::{Connection, Next, Shared};
use crate::deadlines::{Deadlines, Id};
use crate::error::BackendError;
use crate::files::Site;
use crate::response::Responses;
use crate::service::{MAX_DELAY, Service, ServiceTime};
use crate::steering::{Given, Order, Steering};

/// How many connections the kernel keeps for a server that has not accepted them yet, unless told otherwise.
pub const BACKLOG: u32 = 1024;

/// How long accepting pauses when the process is out of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a refused client may go on sending before it is cut off.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// Events taken from the kernel at once.
const EVENTS: usize = 1024;

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// What one backend serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Its name in the `X-Backend` field; the listening address when absent.
    pub name: Option<String>,
    /// What it answers with.
    pub content: Content,
    /// A cache may keep [`Content::Body`] for so many seconds; `None`: nothing is said of it.
    pub max_age: Option<u32>,
    /// Each request is to have the first so many bytes of [`crate::body()`] as its body, and is refused otherwise; 0: whatever
    /// comes is right.
    pub upload_bytes: usize,
    /// How long each request takes.
    pub delay: ServiceTime,
    /// So many are worked on at a time, the others wait; `None`: all.
    pub at_a_time: Option<NonZeroU32>,
    /// Connections that may wait to be accepted; `None`: [`BACKLOG`].
    pub backlog: Option<u32>,
}

/// What a backend answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// [`crate::body()`], whatever is asked for: the mode that is measured.
    Body {
        /// Its length.
        bytes: usize,
    },
    /// The files in a directory, each at its path.
    Files {
        /// The directory; no request reaches what is not in it.
        root: PathBuf,
    },
}

impl Default for Content {
    fn default() -> Self {
        Content::Body { bytes: 0 }
    }
}

/// A backend that listens.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    poll: Poll,
    /// None while connections are refused.
    listener: Option<TcpListener>,
    accept_again: Option<Instant>,
    accepted: u64,
    connections: Slab<Connection>,
    service: Service,
    backlog: u32,
    lingers: Deadlines,
    /// Whose turn has ended although the kernel has nothing to report: they go on after everybody else.
    unfinished: Vec<Id>,
    shared: Shared,
    stopper: Stopper,
    steering: Steering,
    orders: Receiver<Given>,
}

/// Ends a server's loop from another thread.
#[derive(Debug, Clone)]
pub struct Stopper {
    stopped: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Stopper {
    /// Makes [`Server::run`] return soon.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        // It fails only when the kernel is out of memory; the loop then ends at its next event.
        drop(self.waker.wake());
    }
}

impl Server {
    /// Listens at `address` (host and port; port 0 takes a free one).
    ///
    /// # Errors
    /// Each [`BackendError`] but a failing event queue at a later time.
    pub fn bind(address: &str, config: &Config) -> Result<Self, BackendError> {
        if let Content::Body { bytes } = config.content
            && bytes > MAX_BODY_BYTES
        {
            return Err(BackendError::BodyTooLarge { asked: bytes, limit: MAX_BODY_BYTES });
        }
        if config.upload_bytes > MAX_BODY_BYTES {
            return Err(BackendError::BodyTooLarge { asked: config.upload_bytes, limit: MAX_BODY_BYTES });
        }
        let asked = config.delay.mean();
        if asked > MAX_DELAY {
            return Err(BackendError::DelayTooLong { asked, limit: MAX_DELAY });
        }
        if let Some(name) = &config.name
            && !(1..=256).contains(&name.len())
                | name.bytes().any(|byte| !byte.is_ascii_graphic() && byte != b' ')
        {
            return Err(BackendError::Name { name: name.clone() });
        }
        let backlog = config.backlog.unwrap_or(BACKLOG);
        let mut listener = listen(address, backlog)?;
        let local = listener
            .local_addr()
            .map_err(|reason| BackendError::Listen { address: address.to_owned(), reason })?;
        let poll = Poll::new().map_err(BackendError::Poll)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE).map_err(BackendError::Poll)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(BackendError::Poll)?);
        let (steering, orders) = Steering::new(Arc::clone(&waker));
        let name = config.name.clone().unwrap_or_else(|| local.to_string());
        let upload = (config.upload_bytes > 0).then(|| body(config.upload_bytes).into());
        let (body, site) = match &config.content {
            Content::Body { bytes } => (body(*bytes), None),
            Content::Files { root } => (Vec::new(), Some(Site::open(root, &name)?)),
        };
        // Each backend has times of its own.
        let seed = name.bytes().fold(0, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        let service = Service::new(config.delay, config.at_a_time, seed);
        Ok(Server {
            address: local,
            poll,
            listener: Some(listener),
            accept_again: None,
            accepted: 0,
            connections: Slab::new(),
            lingers: Deadlines::new(LINGER),
            unfinished: Vec::new(),
            shared: Shared {
                responses: Responses::new(&name, body, config.max_age),
                site,
                upload,
                delayed: service.takes_time(),
                leaving: false,
                scratch: vec![0; READ_BYTES],
            },
            service,
            backlog,
            stopper: Stopper { stopped: Arc::default(), waker },
            steering,
            orders,
        })
    }

    /// Where it listens, port 0 resolved.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle that ends [`Server::run`].
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// A handle that changes how [`Server::run`] behaves.
    pub fn steering(&self) -> Steering {
        self.steering.clone()
    }

    /// Serves until it is stopped.
    ///
    /// # Errors
    /// [`BackendError::Poll`]: the kernel's event queue failed. [`BackendError::Listen`]: it was to listen again.
    pub fn run(mut self) -> Result<(), BackendError> {
        let mut events = Events::with_capacity(EVENTS);
        while !self.stopper.stopped.load(Ordering::Acquire) {
            match self.poll.poll(&mut events, self.patience()) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(BackendError::Poll(error)),
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    WAKER => self.obey()?,
                    Token(slot) => {
                        // An event of a connection that another event of this batch has ended finds its slot
                        // empty, or a new connection there, which it can do no harm to.
                        if let Some(connection) = self.connections.get_mut(slot) {
                            let next = connection.ready(event, &mut self.shared);
                            self.follow(slot, next);
                        }
                    }
                }
            }
            self.expire();
        }
        Ok(())
    }

    fn obey(&mut self) -> Result<(), BackendError> {
        while let Ok((order, done)) = self.orders.try_recv() {
            match order {
                Order::Refuse => self.refuse(),
                Order::Accept if self.listener.is_none() => {
                    let mut listener = listen(&self.address.to_string(), self.backlog)?;
                    let registry = self.poll.registry();
                    registry
                        .register(&mut listener, LISTENER, Interest::READABLE)
                        .map_err(BackendError::Poll)?;
                    self.listener = Some(listener);
                    self.shared.leaving = false;
                }
                Order::Accept => {}
                Order::Delay(delay) => {
                    self.service.slow_down_by(delay.min(MAX_DELAY));
                    self.shared.delayed = self.service.takes_time();
                }
            }
            drop(done);
        }
        Ok(())
    }

    /// What waits in the backlog would be reset with it, and a request that was not read yet with its connection: the
    /// one is accepted first, the other read.
    fn refuse(&mut self) {
        self.accept();
        self.listener = None;
        self.accept_again = None;
        self.shared.leaving = true;
        let slots: Vec<_> = self.connections.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            let next = self.connections[slot].look(&mut self.shared);
            self.follow(slot, next);
        }
        self.connections.retain(|_, connection| !connection.is_idle());
    }

    /// How long the loop may sleep.
    fn patience(&self) -> Option<Duration> {
        if !self.unfinished.is_empty() {
            return Some(Duration::ZERO);
        }
        let next =
            [self.accept_again, self.service.next(), self.lingers.next()].into_iter().flatten().min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn follow(&mut self, slot: usize, next: Next) {
        match next {
            Next::Wait => {}
            Next::Close => drop(self.connections.remove(slot)),
            Next::WatchWriting => {
                let stream = &mut self.connections[slot].stream;
                let both = Interest::READABLE | Interest::WRITABLE;
                if self.poll.registry().reregister(stream, Token(slot), both).is_err() {
                    drop(self.connections.remove(slot));
                }
            }
            Next::Again => {
                self.unfinished.push(Id { slot, generation: self.connections[slot].generation });
            }
            Next::Delay => {
                let id = Id { slot, generation: self.connections[slot].generation };
                self.service.arrive(id, Instant::now());
            }
            Next::Linger => {
                self.lingers.set(Id { slot, generation: self.connections[slot].generation }, Instant::now());
            }
        }
    }

    fn expire(&mut self) {
        if self.patience() != Some(Duration::ZERO) {
            return;
        }
        let now = Instant::now();
        if self.accept_again.is_some_and(|again| again <= now) {
            self.accept();
        }
        for id in mem::take(&mut self.unfinished) {
            self.resume(id, Connection::go_on);
        }
        while let Some(id) = self.service.finish(now) {
            self.resume(id, Connection::release);
        }
        while let Some(id) = self.lingers.pop_expired(now) {
            if self.connections.get(id.slot).is_some_and(|found| found.generation == id.generation) {
                drop(self.connections.remove(id.slot));
            }
        }
    }

    /// Lets a connection `act`, if it is still there.
    fn resume(&mut self, id: Id, act: fn(&mut Connection, &mut Shared) -> Next) {
        let connection = self.connections.get_mut(id.slot);
        if let Some(connection) = connection.filter(|found| found.generation == id.generation) {
            let next = act(connection, &mut self.shared);
            self.follow(id.slot, next);
        }
    }

    /// Accepts until nobody waits. TCP_NODELAY is inherited from the listener.
    fn accept(&mut self) {
        self.accept_again = None;
        while let Some(listener) = &self.listener {
            match listener.accept() {
                Ok((mut stream, _)) => {
                    let entry = self.connections.vacant_entry();
                    let token = Token(entry.key());
                    if self.poll.registry().register(&mut stream, token, Interest::READABLE).is_ok() {
                        self.accepted += 1;
                        entry.insert(Connection::new(stream, self.accepted, &self.shared));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(_) => {
                    // Out of descriptors or memory: whoever waits is still in the backlog after the pause.
                    self.accept_again = Some(Instant::now() + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }
}

fn listen(address: &str, backlog: u32) -> Result<TcpListener, BackendError> {
    let resolved = address
        .to_socket_addrs()
        .and_then(|mut addresses| addresses.next().ok_or_else(|| io::Error::other("no address")))
        .map_err(|reason| BackendError::Unresolvable { address: address.to_owned(), reason })?;
    let listen = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(resolved), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&resolved.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(TcpListener::from_std(socket.into()))
    };
    listen().map_err(|reason| BackendError::Listen { address: address.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_connections_inherit_nodelay_from_the_listener() {
        let listener = listen("127.0.0.1:0", BACKLOG).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(listener.accept().unwrap().0.nodelay().unwrap());
    }
}
