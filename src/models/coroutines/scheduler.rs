//! Resumes coroutines when they can go on: the loop of the model `coroutines`, and the one place where a coroutine suspends.
//!
//! Owns the coroutines and their stacks, which are used again, the wait for events, and the look at deadlines. What a
//! coroutine does is the model's business, and what its sockets know theirs (`sockets`).

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::serve_client;
use super::sockets::Context;
use crate::models::Server;
use crate::models::idle::SWEEP_INTERVAL;

/// As much as the threads of `threads` have. Only what is touched takes memory.
const STACK_BYTES: usize = 256 * 1024;
/// Stacks kept for the coroutines to come.
const STACKS_KEPT: usize = 256;
/// No socket's key.
const LISTENER: Token = Token(usize::MAX);
/// How often deadlines are looked at, and so the precision of every timeout.
const TICK: Duration = Duration::from_millis(100);

/// What a coroutine goes on for.
pub(super) enum Wait {
    /// An event of one of its sockets, or this time.
    Event(Option<Instant>),
    /// Its next turn.
    Turn,
}

pub(super) type Suspender = Yielder<(), Wait>;

/// Suspends the calling coroutine. No coroutine suspends anywhere else.
pub(super) fn wait(yielder: &Suspender, wait: Wait) {
    yielder.suspend(wait);
}

/// A coroutine that has not ended.
struct Running {
    coroutine: Coroutine<(), Wait, io::Result<()>>,
    deadline: Option<Instant>,
    /// In the queue of those that gave way.
    queued: bool,
}

/// Resumes coroutines when they can go on.
pub(super) struct Scheduler {
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
    /// One with nothing to do yet, and the listener that tells it of new connections.
    pub(super) fn new(server: Arc<Server>) -> io::Result<(Self, TcpListener)> {
        let poll = Poll::new()?;
        server.listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(server.listener.try_clone()?);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let context = Rc::new(Context::new(server, poll.registry().try_clone()?));
        let (running, ready, stacks) = (Slab::new(), VecDeque::new(), Vec::new());
        Ok((Scheduler { poll, context, running, ready, stacks, acceptor: None }, listener))
    }

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

    /// Runs `acceptor` and what comes of it, until something fails.
    pub(super) fn run(
        mut self,
        acceptor: impl FnOnce(&Context, &Suspender) -> io::Result<()> + 'static,
    ) -> io::Result<()> {
        let context = Rc::clone(&self.context);
        let acceptor = self.spawn(move |_, yielder| acceptor(&context, yielder))?;
        self.acceptor = Some(acceptor);
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
