//! `coroutines`: a coroutine with a stack of its own for each connection, on one thread with one event loop.
//!
//! Who waits: the loop's one `epoll_wait`, for everybody; a coroutine whose operation would wait suspends itself and
//! goes on in the same place. Where the state lives: on the coroutine's stack, but for the sockets, which the loop must
//! reach. What bounds the concurrency: one processor, memory, descriptors, and the kernel's limit on mappings (two for a
//! stack). What a waiting connection costs: the touched pages of its stack, and one small buffer. The acceptor is a
//! coroutine, too.
//!
//! Why this is sound. There is no `unsafe` here: corosensei's safe interface is all that is used. What speaks against such
//! coroutines in Rust is thread-locals (rust-lang/unsafe-code-guidelines#602): compiled code may keep the address of one
//! across a suspension, which is that of another thread's when the coroutine goes on elsewhere. No coroutine does: the
//! type cannot be sent, and all of them live and die on the thread of the loop. And code that suspends inside
//! `LocalKey::with` would let others in while it holds a borrow: these suspend in one function alone ([`wait`]), which
//! is called where no thread-local, lock or borrow is held and nothing unwinds. A stack that was too small would end the
//! process at its guard page. A panic unwinds the coroutine's own stack, and ends that connection.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use roundtable::proxy::{BackendId, Done, Peer, Session};
use slab::Slab;

use super::common::abort;
use super::drivers::readiness::{Socket, connected};
use super::drivers::{Sockets, Turn, look, take_turn};
use super::idle::{IdlePool, SWEEP_INTERVAL, is_usable, most_kept};
use super::listener::{AcceptError, EXHAUSTED_PAUSE};
use super::{Family, Model, Server, Workers, everywhere};

pub(super) const MODEL: Model = Model {
    name: "coroutines",
    family: Family::Async,
    summary: "a coroutine with a stack of its own for each connection, on one thread with one event loop",
    unit_of_work: "a session's operations until one would block",
    bound: "one processor, memory, descriptors and the kernel's limit on mappings",
    workers: Workers::One,
    available: everywhere,
    serve,
};

/// As much as the threads of `threads` have. Only what is touched takes memory.
const STACK_BYTES: usize = 256 * 1024;
/// Stacks kept for the coroutines to come.
const STACKS_KEPT: usize = 256;
/// No socket's key.
const LISTENER: Token = Token(usize::MAX);
/// How often deadlines are looked at, and so the precision of every timeout.
const TICK: Duration = Duration::from_millis(100);
/// Connections accepted before others have their turn.
const ACCEPTS_IN_TURN: u32 = 64;

fn serve(server: Arc<Server>) -> io::Result<()> {
    let poll = Poll::new()?;
    server.listener.set_nonblocking(true)?;
    let mut listener = TcpListener::from_std(server.listener.try_clone()?);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let context = Rc::new(Context {
        registry: poll.registry().try_clone()?,
        now: Cell::new(Instant::now()),
        sockets: RefCell::new(Slab::new()),
        idle: RefCell::new(IdlePool::new(server.proxy.backend_count(), most_kept())),
        arrived: RefCell::new(Vec::new()),
        server,
    });
    let mut scheduler = Scheduler {
        poll,
        context: Rc::clone(&context),
        running: Slab::new(),
        ready: VecDeque::new(),
        stacks: Vec::new(),
        acceptor: None,
    };
    let acceptor = scheduler.spawn(move |_, yielder| accept(&context, yielder, listener))?;
    scheduler.acceptor = Some(acceptor);
    scheduler.run(acceptor)
}

/// What a coroutine goes on for.
enum Wait {
    /// An event of one of its sockets, or this time.
    Event(Option<Instant>),
    /// Its next turn.
    Turn,
}

type Suspender = Yielder<(), Wait>;

/// Suspends the calling coroutine. No coroutine suspends anywhere else.
fn wait(yielder: &Suspender, wait: Wait) {
    yielder.suspend(wait);
}

/// What coroutines and their scheduler share. Nothing in it stays borrowed while a coroutine is suspended.
struct Context {
    server: Arc<Server>,
    registry: Registry,
    /// When the scheduler last woke up.
    now: Cell<Instant>,
    sockets: RefCell<Slab<Entry>>,
    idle: RefCell<IdlePool<usize>>,
    /// Accepted connections that have no coroutine yet.
    arrived: RefCell<Vec<(TcpStream, SocketAddr)>>,
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
    fn close(&self, key: usize) {
        // Closing a socket takes it out of epoll.
        drop(self.sockets.borrow_mut().try_remove(key));
    }

    /// Takes note of an edge.
    fn ready(&self, key: usize, event: &Event) {
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

    fn owner(&self, key: usize) -> Option<usize> {
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

    fn expire(&self) {
        let old = self.idle.borrow_mut().expire(self.now.get());
        old.into_iter().for_each(|key| self.close(key));
    }
}

/// A coroutine that has not ended.
struct Running {
    coroutine: Coroutine<(), Wait, io::Result<()>>,
    deadline: Option<Instant>,
    /// In the queue of those that gave way.
    queued: bool,
}

/// Resumes coroutines when they can go on.
struct Scheduler {
    poll: Poll,
    context: Rc<Context>,
    running: Slab<Running>,
    /// Those that gave way, in order.
    ready: VecDeque<usize>,
    /// Of coroutines that have ended.
    stacks: Vec<DefaultStack>,
    acceptor: Option<usize>,
}

impl Scheduler {
    /// Makes a coroutine of `body`, which is told its key. It runs when it is resumed.
    fn spawn(
        &mut self,
        body: impl FnOnce(usize, &Suspender) -> io::Result<()> + 'static,
    ) -> io::Result<usize> {
        let stack = match self.stacks.pop() {
            Some(stack) => stack,
            None => DefaultStack::new(STACK_BYTES)?,
        };
        let entry = self.running.vacant_entry();
        let key = entry.key();
        let coroutine = Coroutine::with_stack(stack, move |yielder, ()| body(key, yielder));
        entry.insert(Running { coroutine, deadline: None, queued: false });
        Ok(key)
    }

    /// Serves until something fails.
    fn run(mut self, acceptor: usize) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut next_tick = self.context.now.get() + TICK;
        let mut next_sweep = self.context.now.get() + SWEEP_INTERVAL;
        self.resume(acceptor)?;
        loop {
            self.start_arrived()?;
            match self.poll.poll(&mut events, self.patience(next_tick, next_sweep)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                outcome => outcome?,
            }
            let now = Instant::now();
            self.context.now.set(now);
            // What is known of idle connections comes first: no client gets one that has spoken unasked.
            for event in events.iter().filter(|event| event.token() != LISTENER) {
                self.context.ready(event.token().0, event);
            }
            for event in &events {
                let owner = match event.token() {
                    LISTENER => self.acceptor,
                    Token(key) => self.context.owner(key),
                };
                if let Some(owner) = owner
                    && self.running.get(owner).is_some_and(|running| !running.queued)
                {
                    self.resume(owner)?;
                }
            }
            for _ in 0..self.ready.len() {
                let Some(key) = self.ready.pop_front() else { break };
                if let Some(running) = self.running.get_mut(key)
                    && std::mem::take(&mut running.queued)
                {
                    self.resume(key)?;
                }
            }
            if now >= next_sweep {
                next_sweep = now + SWEEP_INTERVAL;
                self.context.expire();
            }
            if now >= next_tick {
                next_tick = now + TICK;
                let is_late = |running: &Running| running.deadline.is_some_and(|deadline| deadline <= now);
                let late: Vec<usize> =
                    self.running.iter().filter(|(_, running)| is_late(running)).map(|(key, _)| key).collect();
                for key in late {
                    self.resume(key)?;
                }
            }
        }
    }

    /// How long the loop may wait for events; `None` is for ever.
    fn patience(&self, next_tick: Instant, next_sweep: Instant) -> Option<Duration> {
        let left = |until: Instant| until.saturating_duration_since(self.context.now.get());
        let acceptor = self.acceptor.and_then(|key| self.running.get(key));
        if !self.ready.is_empty() {
            Some(Duration::ZERO)
        } else if self.running.len() > usize::from(acceptor.is_some())
            || acceptor.is_some_and(|acceptor| acceptor.deadline.is_some())
        {
            Some(left(next_tick))
        } else {
            (!self.context.idle.borrow().is_empty()).then(|| left(next_sweep))
        }
    }

    /// Each accepted connection gets a coroutine; without a stack for it, it is closed.
    fn start_arrived(&mut self) -> io::Result<()> {
        let arrived = std::mem::take(&mut *self.context.arrived.borrow_mut());
        for (stream, address) in arrived {
            let context = Rc::clone(&self.context);
            let spawned = self.spawn(move |key, yielder| {
                serve_client(context, yielder, key, stream, address);
                Ok(())
            });
            if let Ok(key) = spawned {
                self.resume(key)?;
            }
        }
        Ok(())
    }

    /// Lets a coroutine go on until it suspends itself or ends.
    fn resume(&mut self, key: usize) -> io::Result<()> {
        let running = &mut self.running[key];
        match catch_unwind(AssertUnwindSafe(|| running.coroutine.resume(()))) {
            Ok(CoroutineResult::Yield(Wait::Event(deadline))) => running.deadline = deadline,
            Ok(CoroutineResult::Yield(Wait::Turn)) => {
                running.queued = true;
                self.ready.push_back(key);
            }
            Ok(CoroutineResult::Return(outcome)) => {
                let stack = self.running.remove(key).coroutine.into_stack();
                if self.stacks.len() < STACKS_KEPT {
                    self.stacks.push(stack);
                }
                if self.acceptor == Some(key) {
                    self.acceptor = None;
                }
                outcome?;
            }
            // A panic has unwound its stack.
            Err(_) => drop(self.running.remove(key)),
        }
        Ok(())
    }
}

/// Accepts until the listener is shut down.
fn accept(context: &Context, yielder: &Suspender, mut listener: TcpListener) -> io::Result<()> {
    let mut in_turn = 0;
    loop {
        match listener.accept() {
            Ok((client, address)) => {
                context.server.accepted(address);
                context.arrived.borrow_mut().push((client, address));
                in_turn += 1;
                if in_turn % ACCEPTS_IN_TURN == 0 {
                    wait(yielder, Wait::Turn);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait(yielder, Wait::Event(None)),
            Err(error) => match AcceptError::of(&error)? {
                AcceptError::Again => {}
                // Connections in hand go on until the process ends.
                AcceptError::ShutDown => return context.registry.deregister(&mut listener),
                AcceptError::Exhausted => {
                    let end = context.now.get() + EXHAUSTED_PAUSE;
                    while context.now.get() < end {
                        wait(yielder, Wait::Event(Some(end)));
                    }
                }
            },
        }
    }
}

/// Serves a client's connection to its end.
fn serve_client(
    context: Rc<Context>,
    yielder: &Suspender,
    key: usize,
    stream: TcpStream,
    address: SocketAddr,
) {
    let (session, mut op) = Session::start(Arc::clone(&context.server.proxy), address, context.now.get());
    let entry =
        Entry { socket: Socket::unregistered(stream), owner: Some(key), backend: None, connecting: false };
    let client = context.sockets.borrow_mut().insert(entry);
    let mut connection = Connection { context, session, key, client, backend: None };
    loop {
        match take_turn(&mut connection, op) {
            Turn::Ended => return,
            Turn::Waits(next) => {
                op = next;
                wait(yielder, Wait::Event(connection.session.deadline()));
            }
            Turn::GaveWay(next) => {
                op = next;
                wait(yielder, Wait::Turn);
            }
        }
    }
}

/// A client's connection, on its coroutine's stack.
struct Connection {
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
