//! `uring`: one thread, one io_uring, all connections.
//!
//! Who waits: the loop's one `io_uring_enter`, for everybody; it hands over all that was asked for since the last one, and
//! brings back what has become of it. Where the state lives: in two slabs that the loop owns, so that nothing is shared and
//! nothing is locked. What bounds the concurrency: one processor, memory and descriptors. What a waiting connection costs: a
//! slab entry, a buffer only while it holds something, and in the kernel one receive that waits (a multishot one: it takes
//! one of the ring's buffers when something comes, and none before).
//!
//! Connections are accepted by one request, and received from by one request each, for as long as they live; sending is one
//! request a time. The ring belongs to its thread (SINGLE_ISSUER), and completions are worked out when that waits for them
//! (DEFER_TASKRUN). What stands between two waits: first what has come is put where it belongs, then the sessions that can
//! go on do, then deadlines are looked at, if one may have passed.

mod link;
pub(crate) mod probe;
mod queue;
pub(crate) mod ring;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use roundtable::proxy::{BackendId, Buf, Done, Op, Session};
use slab::Slab;

use self::link::{End, Link};
use self::queue::Resumed;
use self::ring::{Completion, Outcome, Ring};
use super::drivers::completion::{Awaited, Turn, is_cancelled, outcome, take_turn};
use super::idle::{IdlePool, SWEEP_INTERVAL, is_usable, most_kept};
use super::listener::{AcceptError, EXHAUSTED_PAUSE};
use super::{Family, Model, Server, Workers};

pub(super) const MODEL: Model = Model {
    name: "uring",
    family: Family::Async,
    summary: "one event loop on one thread, completions by io_uring",
    unit_of_work: "a session's operations until one is the kernel's",
    bound: "one processor, memory and descriptors",
    workers: Workers::One,
    available: probe::probe,
    serve,
};

/// The listener's token; the others are indexes of links.
const LISTENER: usize = usize::MAX;
/// Deadlines that are no further apart are looked at together: half of how late one may be.
const APART: Duration = Duration::from_millis(50);

fn serve(server: Arc<Server>) -> io::Result<()> {
    let ring = Ring::new()?;
    Loop::new(server, ring).run()
}

/// A client's session, and what it waits for.
struct Client {
    session: Session,
    awaited: Awaited,
    link: usize,
    backend: Option<usize>,
    /// The operation in hand has been cancelled, since its time is over.
    is_late: bool,
}

struct Loop {
    server: Arc<Server>,
    ring: Ring,
    clients: Slab<Client>,
    links: Slab<Link>,
    idle: IdlePool<usize>,
    /// When idle connections that are too old are looked for, while there are any.
    next_sweep: Option<Instant>,
    /// Clients whose outcome has come, in order.
    ready: VecDeque<usize>,
    accepted: Vec<OwnedFd>,
    /// Accepting pauses until then.
    pause: Option<Instant>,
    /// When a deadline may have passed.
    next_look: Option<Instant>,
    last_look: Instant,
    now: Instant,
}

impl Loop {
    fn new(server: Arc<Server>, ring: Ring) -> Self {
        let now = Instant::now();
        Loop {
            idle: IdlePool::new(server.proxy.backend_count(), most_kept()),
            next_sweep: None,
            server,
            ring,
            clients: Slab::new(),
            links: Slab::new(),
            ready: VecDeque::new(),
            accepted: Vec::new(),
            pause: None,
            next_look: None,
            last_look: now,
            now,
        }
    }

    fn run(mut self) -> io::Result<()> {
        self.accept();
        loop {
            self.ring.wait(self.patience())?;
            self.now = Instant::now();
            // Before anybody goes on, all that has come is in its place: no client gets a backend that has spoken unasked.
            while let Some(completion) = self.ring.take_completion() {
                self.complete(completion)?;
            }
            while let Some(index) = self.ready.pop_front() {
                self.resume(index);
            }
            for socket in std::mem::take(&mut self.accepted) {
                self.greet(socket);
            }
            if self.pause.is_some_and(|until| until <= self.now) {
                self.pause = None;
                self.accept();
            }
            if self.next_look.is_some_and(|at| at <= self.now) {
                self.end_late();
            }
            if self.next_sweep.is_some_and(|at| at <= self.now) {
                self.sweep();
            }
        }
    }

    /// How long the loop may wait for completions; `None` is for ever.
    fn patience(&self) -> Option<Duration> {
        let until = [self.pause, self.next_look, self.next_sweep].into_iter().flatten().min()?;
        Some(until.saturating_duration_since(self.now))
    }

    fn accept(&mut self) {
        self.ring.accept(&self.server.listener, LISTENER);
    }

    fn complete(&mut self, completion: Completion) -> io::Result<()> {
        let Completion { token, more, outcome: result } = completion;
        match result {
            Outcome::Accepted(result) => return self.on_accepted(result, more),
            Outcome::Received(result) => self.on_received(token, result, more),
            Outcome::Transferred(result, buf) => {
                self.on_transferred(token, outcome(result), buf);
            }
            Outcome::Connected(result) => self.on_connected(token, result),
            // Sessions send from buffers of their own.
            Outcome::SentLent(_, lent) => self.ring.give_back(lent),
        }
        Ok(())
    }

    fn on_accepted(&mut self, result: io::Result<OwnedFd>, more: bool) -> io::Result<()> {
        match result {
            Ok(socket) => self.accepted.push(socket),
            Err(error) => match AcceptError::of(&error)? {
                AcceptError::Again => {}
                // Connections in hand go on until the process ends.
                AcceptError::ShutDown => return Ok(()),
                AcceptError::Exhausted => self.pause = Some(self.now + EXHAUSTED_PAUSE),
            },
        }
        if !more && self.pause.is_none() {
            self.accept();
        }
        Ok(())
    }

    /// Begins to serve a client.
    fn greet(&mut self, socket: OwnedFd) {
        let stream = TcpStream::from(socket);
        // It fails when the client is gone already.
        let Ok(address) = stream.peer_addr() else { return };
        self.server.accepted(address);
        let (session, op) = Session::start(Arc::clone(&self.server.proxy), address, self.now);
        let index = self.clients.vacant_key();
        let link = self.links.insert(Link::new(stream, End::Client(index)));
        let awaited = Awaited::Completion;
        self.clients.insert(Client { session, awaited, link, backend: None, is_late: false });
        self.perform(index, |_| op);
    }

    fn on_received(&mut self, index: usize, result: io::Result<Option<ring::Lent>>, more: bool) {
        let Some(link) = self.links.get_mut(index) else { return };
        if !more {
            link.listening = None;
            link.is_stopping = false;
        }
        if link.stream.is_none() {
            if let Ok(Some(lent)) = result {
                self.ring.give_back(lent);
            }
            return self.forget(index);
        }
        let (client, peer) = (link.end.client(), link.end.peer());
        let mut nobody = Awaited::Completion;
        let awaited = client.map_or(&mut nobody, |client| {
            let client = &mut self.clients[client];
            client.awaited.lend(peer, &client.session);
            &mut client.awaited
        });
        let was_over = awaited.is_over();
        match result {
            Ok(Some(lent)) => {
                awaited.deliver(peer, self.ring.bytes(&lent), &mut link.inbound);
                self.ring.give_back(lent);
            }
            Ok(None) => link.inbound.end(Ok(())),
            // No buffer was left, or nobody wanted more: it is begun anew where it is needed.
            Err(error) if is_cancelled(&error) || error.raw_os_error() == Some(Errno::ENOBUFS as i32) => {}
            Err(error) => link.inbound.end(Err(error)),
        }
        awaited.take(peer, &mut link.inbound);
        if let (Some(client), true) = (client, awaited.is_over() && !was_over) {
            self.ready.push_back(client);
        }
        if client.is_none() && !link.inbound.is_silent() {
            self.close_idle(index);
        } else if !more {
            self.receive_on(index);
        } else if link.inbound.is_bulk() {
            self.stop_listening(index);
        }
    }

    /// The kernel listens no more to this connection: goes on as is needed.
    fn receive_on(&mut self, index: usize) {
        let link = &mut self.links[index];
        if link.inbound.is_ended() {
            return;
        }
        if !link.inbound.is_bulk() {
            return self.listen(index);
        }
        let peer = link.end.peer();
        let Some(client) = link.end.client() else { return };
        let Client { session, awaited, .. } = &mut self.clients[client];
        awaited.lend(peer, session);
        if let Awaited::Bytes(from, buf) = awaited
            && *from == peer
        {
            let buf = std::mem::take(buf);
            *awaited = Awaited::Completion;
            self.receive_into(index, buf);
        }
    }

    /// An idle connection that says anything, even goodbye, is of no more use.
    fn close_idle(&mut self, index: usize) {
        if let End::Backend(id, _) = self.links[index].end {
            if self.links[index].inbound.has_bytes() {
                self.server.proxy.spoke_unasked(id);
            }
            self.idle.remove(id, &index);
        }
        self.close_link(index);
    }

    fn on_transferred(&mut self, index: usize, result: io::Result<usize>, buf: Buf) {
        let Some(link) = self.links.get_mut(index) else { return };
        link.transfer = None;
        link.is_blocked = result.as_ref().is_err_and(|error| error.kind() == ErrorKind::TimedOut);
        match link.end.client() {
            Some(client) if link.stream.is_some() => self.is_done(client, Done::Transferred(result, buf)),
            _ => self.forget(index),
        }
    }

    fn on_connected(&mut self, index: usize, result: io::Result<()>) {
        let Some(link) = self.links.get_mut(index) else { return };
        link.transfer = None;
        let (Some(client), true) = (link.end.client(), link.stream.is_some()) else {
            return self.forget(index);
        };
        match &result {
            Ok(()) => self.listen(index),
            Err(_) => self.discard(client),
        }
        self.is_done(client, Done::Connected(outcome(result).map(|()| false)));
    }

    fn is_done(&mut self, client: usize, done: Done) {
        self.clients[client].awaited = Awaited::Outcome(done);
        self.clients[client].is_late = false;
        self.ready.push_back(client);
    }

    fn listen(&mut self, index: usize) {
        let link = &mut self.links[index];
        if link.listening.is_none()
            && !link.inbound.is_ended()
            && let Some(stream) = &link.stream
        {
            link.listening = Some(self.ring.receive(stream, index));
        }
    }

    fn stop_listening(&mut self, index: usize) {
        let link = &mut self.links[index];
        if let Some(key) = link.listening
            && !std::mem::replace(&mut link.is_stopping, true)
        {
            self.ring.cancel(key);
        }
    }

    fn receive_into(&mut self, index: usize, buf: Buf) {
        let link = &mut self.links[index];
        if let Some(stream) = &link.stream {
            link.transfer = Some(self.ring.receive_into(stream, index, buf));
        }
    }

    /// Deadlines that have passed.
    fn end_late(&mut self) {
        self.last_look = self.now;
        self.next_look = None;
        let mut late = Vec::new();
        let mut next: Option<Instant> = None;
        for (index, client) in &self.clients {
            match client.session.deadline() {
                Some(deadline) if deadline > self.now => {
                    next = Some(next.map_or(deadline, |next| next.min(deadline)));
                }
                Some(_) if !client.is_late => late.push(index),
                _ => {}
            }
        }
        self.look_by(next);
        for index in late {
            let client = &mut self.clients[index];
            if !client.awaited.end_late() {
                self.resume(index);
                continue;
            }
            client.is_late = true;
            let links = [Some(client.link), client.backend];
            let transfer = links.into_iter().flatten().find_map(|link| self.links[link].transfer);
            transfer.into_iter().for_each(|key| self.ring.cancel(key));
        }
    }

    /// Closes idle connections that are too old.
    fn sweep(&mut self) {
        for link in self.idle.expire(self.now) {
            self.close_link(link);
        }
        self.next_sweep = (!self.idle.is_empty()).then(|| self.now + SWEEP_INTERVAL);
    }

    /// There is a deadline then.
    fn look_by(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return };
        let at = deadline.max(self.last_look + APART);
        self.next_look = Some(self.next_look.map_or(at, |next| next.min(at)));
    }

    /// Goes on with a client whose outcome has come.
    fn resume(&mut self, index: usize) {
        let now = self.now;
        let Some(client) = self.clients.get_mut(index) else { return };
        match std::mem::replace(&mut client.awaited, Awaited::Completion) {
            Awaited::Outcome(done) => self.perform(index, |session| session.step(done, now)),
            awaited => client.awaited = awaited,
        }
    }

    /// Performs a client's operations until one is the kernel's. A panic ends that connection alone.
    fn perform(&mut self, index: usize, begin: impl FnOnce(&mut Session) -> Op) {
        let turn = catch_unwind(AssertUnwindSafe(|| {
            let op = begin(&mut self.clients[index].session);
            take_turn(&mut Resumed { looping: self, index }, op)
        }));
        match turn.unwrap_or(Turn::Ended) {
            Turn::Ended => self.close(index),
            Turn::Waits(awaited) => {
                let client = &mut self.clients[index];
                client.awaited = awaited;
                let deadline = client.session.deadline();
                self.look_by(deadline);
            }
        }
    }

    fn take_idle(&mut self, id: BackendId, client: usize) -> Option<usize> {
        loop {
            let kept = self.idle.take(id, self.now)?;
            let link = &mut self.links[kept.connection];
            // The kernel would have told; the socket is asked only where that leaves it open, or the connection is suspect.
            let is_sound = link.inbound.is_silent()
                && ((!kept.is_suspect && link.is_known_silent())
                    || link.stream.as_ref().is_some_and(|stream| is_usable(&self.server.proxy, id, stream)));
            if is_sound {
                link.end = End::Backend(id, Some(client));
                return Some(kept.connection);
            }
            self.close_link(kept.connection);
        }
    }

    fn discard(&mut self, client: usize) {
        if let Some(backend) = self.clients[client].backend.take() {
            self.close_link(backend);
        }
    }

    fn close(&mut self, index: usize) {
        self.discard(index);
        let client = self.clients.remove(index);
        self.close_link(client.link);
    }

    /// Closes a connection. Its entry stays until the kernel has nothing more to do with it.
    fn close_link(&mut self, index: usize) {
        self.stop_listening(index);
        let link = &mut self.links[index];
        if let End::Backend(_, client) = &mut link.end {
            *client = None;
        }
        if let Some(key) = link.transfer {
            self.ring.cancel(key);
        }
        if let Some(stream) = link.stream.take() {
            self.ring.close(stream);
        }
        self.forget(index);
    }

    /// Frees the entry of a closed connection, if nothing is under way on it.
    fn forget(&mut self, index: usize) {
        let link = &self.links[index];
        if link.stream.is_none() && link.listening.is_none() && link.transfer.is_none() {
            drop(self.links.remove(index));
        }
    }
}
