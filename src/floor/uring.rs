//! The floor by completions: one thread, one io_uring.
//!
//! Who waits: the thread, for all connections. Where the state lives: in two slabs, one of clients and one of connections to
//! backends, each naming its partner while an answer is under way. What it does for a request that finds a connection kept: one
//! send on either side, and nothing else but the wait, since each connection is received from by one request as long as it
//! lives. An answer goes out from the buffer that it was received into. A connection that breaks takes its partner along, as
//! with `epoll`.

use std::collections::VecDeque;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use roundtable::proxy::Buf;
use slab::Slab;

use super::{Floor, FloorConfig, Origin};
use crate::models::uring::probe::probe;
use crate::models::uring::ring::{Completion, Key, Lent, Outcome, Ring};

pub(super) const FLOOR: Floor = Floor {
    name: "floor-uring",
    summary: "no proxy: the relay that parses nothing, over io_uring instead of epoll",
    available: probe,
    serve,
};

/// The listener's token. Of the others the lowest bit tells connections to backends from clients; the rest is the index.
const LISTENER: usize = usize::MAX;

/// One connection, and what the kernel is doing for it. It is kept until that is done.
struct Link {
    /// None when it is closed.
    stream: Option<TcpStream>,
    token: usize,
    listening: Option<Key>,
    is_sending: bool,
}

struct Client {
    link: Link,
    /// Who answers it at the moment.
    origin: Option<usize>,
    /// What of the answer waits for what is being sent.
    unsent: VecDeque<Lent>,
}

struct OriginStream {
    link: Link,
    /// Whose it is, as its place among the backends.
    of: usize,
    /// For whom it answers at the moment; none while it is kept.
    client: Option<usize>,
    /// What is still to come of the answer.
    left: u64,
    /// The request; none while the kernel sends it.
    request: Option<Buf>,
}

impl Link {
    fn listen(&mut self, ring: &mut Ring) {
        if let Some(stream) = &self.stream {
            self.listening = Some(ring.receive(stream, self.token));
        }
    }

    fn close(&mut self, ring: &mut Ring) {
        if let Some(stream) = self.stream.take() {
            self.listening.into_iter().for_each(|key| ring.cancel(key));
            ring.close(stream);
        }
    }

    /// Whether the kernel has nothing more to do with it.
    fn is_over(&self) -> bool {
        self.stream.is_none() && self.listening.is_none() && !self.is_sending
    }
}

impl Origin {
    fn request(&self) -> Buf {
        let mut buf = Buf::with_capacity(self.request.len());
        let fits = buf.push(&self.request);
        debug_assert!(fits, "it has just that capacity");
        buf
    }
}

struct Relay {
    config: FloorConfig,
    ring: Ring,
    clients: Slab<Client>,
    origins: Slab<OriginStream>,
    /// Connections that answer nobody, by backend; the last one used is used next.
    kept: Vec<Vec<usize>>,
    turn: usize,
    /// Tokens of those that are received from again when buffers have been given back.
    starved: Vec<usize>,
    has_buffers: bool,
}

fn serve(listener: TcpListener, config: FloorConfig) -> io::Result<()> {
    let mut relay = Relay {
        ring: Ring::new()?,
        clients: Slab::new(),
        origins: Slab::new(),
        kept: config.backends.iter().map(|_| Vec::new()).collect(),
        turn: 0,
        starved: Vec::new(),
        has_buffers: false,
        config,
    };
    relay.ring.accept(&listener, LISTENER);
    loop {
        relay.ring.wait(None)?;
        while let Some(Completion { token, more, outcome }) = relay.ring.take_completion() {
            let index = token >> 1;
            match outcome {
                Outcome::Accepted(socket) => {
                    relay.accept(socket)?;
                    if !more {
                        relay.ring.accept(&listener, LISTENER);
                    }
                }
                Outcome::Received(result) => relay.received(token, result, more),
                Outcome::SentLent(result, lent) => {
                    relay.give_back(lent);
                    relay.relayed(index, result.is_ok());
                }
                Outcome::Transferred(result, request) => relay.asked(index, request, result.is_ok()),
                Outcome::Connected(_) => {}
            }
        }
        relay.feed();
    }
}

impl Relay {
    fn accept(&mut self, socket: io::Result<OwnedFd>) -> io::Result<()> {
        let socket = match socket {
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => return Ok(()),
            socket => socket?,
        };
        let entry = self.clients.vacant_entry();
        let link =
            Link { stream: Some(socket.into()), token: entry.key() << 1, listening: None, is_sending: false };
        entry.insert(Client { link, origin: None, unsent: VecDeque::new() }).link.listen(&mut self.ring);
        Ok(())
    }

    fn received(&mut self, token: usize, result: io::Result<Option<Lent>>, more: bool) {
        let (index, is_origin) = (token >> 1, token & 1 == 1);
        let link = if is_origin { &mut self.origins[index].link } else { &mut self.clients[index].link };
        if !more {
            link.listening = None;
        }
        let is_open = link.stream.is_some();
        match result {
            Ok(Some(lent)) if is_open && is_origin => self.answer(index, lent),
            Ok(Some(lent)) => {
                self.give_back(lent);
                if is_open && self.clients[index].origin.is_none() && self.ask(index).is_err() {
                    return self.end_client(index);
                }
            }
            Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => {}
            Ok(None) | Err(_) => self.end(index, is_origin),
        }
        if !more && is_open {
            self.starved.push(token);
        }
        self.forget(index, is_origin);
    }

    fn give_back(&mut self, lent: Lent) {
        self.ring.give_back(lent);
        self.has_buffers = true;
    }

    /// Receives again from those that had no buffer.
    fn feed(&mut self) {
        if !std::mem::take(&mut self.has_buffers) {
            return;
        }
        for token in std::mem::take(&mut self.starved) {
            let link = match token & 1 {
                1 => self.origins.get_mut(token >> 1).map(|origin| &mut origin.link),
                _ => self.clients.get_mut(token >> 1).map(|client| &mut client.link),
            };
            if let Some(link) = link.filter(|link| link.listening.is_none()) {
                link.listen(&mut self.ring);
            }
        }
    }

    /// Sends the backend whose turn it is a request for `client`.
    fn ask(&mut self, client: usize) -> io::Result<()> {
        let place = self.turn;
        self.turn = (place + 1) % self.config.backends.len();
        let backend = &self.config.backends[place];
        let key = match self.kept[place].pop() {
            Some(key) => key,
            None => {
                let stream = backend.connect()?;
                let entry = self.origins.vacant_entry();
                let key = entry.key();
                let link =
                    Link { stream: Some(stream), token: key << 1 | 1, listening: None, is_sending: false };
                let origin = OriginStream { link, of: place, client: None, left: 0, request: None };
                entry.insert(origin).link.listen(&mut self.ring);
                key
            }
        };
        let origin = &mut self.origins[key];
        origin.client = Some(client);
        origin.left = backend.answer_bytes;
        self.clients[client].origin = Some(key);
        if let Some(stream) = &origin.link.stream {
            let request = origin.request.take().unwrap_or_else(|| backend.request());
            origin.link.is_sending = true;
            self.ring.send(stream, origin.link.token, request);
        }
        Ok(())
    }

    /// The request has gone out.
    fn asked(&mut self, index: usize, request: Buf, is_sent: bool) {
        let origin = &mut self.origins[index];
        origin.link.is_sending = false;
        origin.request = Some(request);
        if !is_sent {
            self.end(index, true);
        }
        self.forget(index, true);
    }

    /// A piece of an answer is there.
    fn answer(&mut self, index: usize, lent: Lent) {
        let origin = &mut self.origins[index];
        let Some(client) = origin.client else {
            // One that is kept has nothing to say.
            self.give_back(lent);
            return self.end(index, true);
        };
        origin.left = origin.left.saturating_sub(self.ring.bytes(&lent).len() as u64);
        self.clients[client].unsent.push_back(lent);
        self.relay(client);
    }

    /// Sends a client the next piece of its answer, or ends its exchange.
    fn relay(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let Some(stream) = client.link.stream.as_ref().filter(|_| !client.link.is_sending) else { return };
        if let Some(lent) = client.unsent.pop_front() {
            client.link.is_sending = true;
            self.ring.send_lent(stream, client.link.token, lent);
            return;
        }
        let Some(key) = client.origin.filter(|&key| self.origins[key].left == 0) else { return };
        client.origin = None;
        self.origins[key].client = None;
        self.kept[self.origins[key].of].push(key);
        if self.config.close {
            self.end_client(index);
        }
    }

    /// A piece has gone out.
    fn relayed(&mut self, index: usize, is_sent: bool) {
        self.clients[index].link.is_sending = false;
        if is_sent {
            self.relay(index);
        } else {
            self.end_client(index);
        }
        self.forget(index, false);
    }

    /// A connection is of no more use, nor is its partner's.
    fn end(&mut self, index: usize, is_origin: bool) {
        if !is_origin {
            return self.end_client(index);
        }
        let origin = &mut self.origins[index];
        match origin.client {
            Some(client) => self.end_client(client),
            None => {
                origin.link.close(&mut self.ring);
                let of = origin.of;
                self.kept[of].retain(|&kept| kept != index);
            }
        }
    }

    /// A client is gone, or cannot be answered; so is what answers it.
    fn end_client(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.link.close(&mut self.ring);
        for lent in std::mem::take(&mut client.unsent) {
            self.ring.give_back(lent);
            self.has_buffers = true;
        }
        if let Some(key) = client.origin.take() {
            let origin = &mut self.origins[key];
            origin.client = None;
            origin.link.close(&mut self.ring);
            self.forget(key, true);
        }
        self.forget(index, false);
    }

    /// Frees the entry of a closed connection, if nothing is under way on it.
    fn forget(&mut self, index: usize, is_origin: bool) {
        if is_origin {
            if self.origins.get(index).is_some_and(|origin| origin.link.is_over()) {
                drop(self.origins.remove(index));
            }
        } else if self.clients.get(index).is_some_and(|client| client.link.is_over()) {
            drop(self.clients.remove(index));
        }
    }
}
