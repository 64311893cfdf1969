//! The floor by readiness: one thread, one epoll through mio.
//!
//! Who waits: the thread, for all connections. Where the state lives: in two slabs, one of clients and one of connections to
//! backends, each naming its partner while an answer is under way. What it does for a request that finds a connection kept: one
//! read and one write on either side, and nothing else but the wait. A connection that breaks takes its partner along; whoever
//! was to get an answer then gets none, which the harness's gates notice.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use slab::Slab;

use super::{Floor, FloorConfig};

pub(super) const FLOOR: Floor = Floor {
    name: "floor",
    summary: "no proxy: a relay over mio that parses nothing, takes each read of a client for one request and knows beforehand \
              how long the answer is; what the kernel alone costs",
    available: || Ok(()),
    serve,
};

const LISTENER: Token = Token(usize::MAX);
/// Set in the token of a connection to a backend.
const IS_ORIGIN: usize = 1 << 32;
const EVENTS: usize = 1024;
/// What is read at a time.
const BUFFER_BYTES: usize = 64 * 1024;

struct Client {
    stream: TcpStream,
    /// Who answers it at the moment.
    origin: Option<usize>,
    /// What the client's socket did not yet take.
    unsent: Vec<u8>,
}

struct OriginStream {
    stream: TcpStream,
    /// Whose it is, as its place among the backends.
    of: usize,
    /// For whom it answers at the moment; none while it is kept.
    client: Option<usize>,
    /// What is still to come of the answer.
    left: u64,
}

struct Relay {
    config: FloorConfig,
    registry: Registry,
    clients: Slab<Client>,
    origins: Slab<OriginStream>,
    /// Connections that answer nobody, by backend; the last one used is used next.
    kept: Vec<Vec<usize>>,
    turn: usize,
    buffer: Vec<u8>,
}

fn serve(listener: std::net::TcpListener, config: FloorConfig) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut listener = TcpListener::from_std(listener);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut relay = Relay {
        registry: poll.registry().try_clone()?,
        clients: Slab::new(),
        origins: Slab::new(),
        kept: config.backends.iter().map(|_| Vec::new()).collect(),
        turn: 0,
        buffer: vec![0; BUFFER_BYTES],
        config,
    };
    let mut events = Events::with_capacity(EVENTS);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            match event.token() {
                LISTENER => relay.accept(&listener)?,
                Token(token) if token & IS_ORIGIN != 0 => relay.answer(token & !IS_ORIGIN),
                Token(client) => {
                    if event.is_writable() {
                        relay.flush(client);
                    }
                    if event.is_readable() {
                        relay.request(client);
                    }
                }
            }
        }
    }
}

impl Relay {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            let entry = self.clients.vacant_entry();
            let interests = Interest::READABLE | Interest::WRITABLE;
            self.registry.register(&mut stream, Token(entry.key()), interests)?;
            entry.insert(Client { stream, origin: None, unsent: Vec::new() });
        }
    }

    /// Something came from a client that waits for nobody, or it left.
    fn request(&mut self, client: usize) {
        let Some(of) = self.clients.get_mut(client).filter(|of| of.origin.is_none()) else { return };
        match of.stream.read(&mut self.buffer) {
            Ok(1..) => {
                if self.ask(client).is_err() {
                    self.end_client(client);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => self.end_client(client),
        }
    }

    /// Sends the backend whose turn it is a request for `client`.
    fn ask(&mut self, client: usize) -> io::Result<()> {
        let place = self.turn;
        self.turn = (place + 1) % self.config.backends.len();
        let backend = &self.config.backends[place];
        let origin = match self.kept[place].pop() {
            Some(origin) => origin,
            None => {
                let stream = backend.connect()?;
                stream.set_nonblocking(true)?;
                let mut stream = TcpStream::from_std(stream);
                let entry = self.origins.vacant_entry();
                let token = Token(entry.key() | IS_ORIGIN);
                self.registry.register(&mut stream, token, Interest::READABLE)?;
                let key = entry.key();
                entry.insert(OriginStream { stream, of: place, client: None, left: 0 });
                key
            }
        };
        self.origins[origin].client = Some(client);
        self.origins[origin].left = backend.answer_bytes;
        self.clients[client].origin = Some(origin);
        // So short a request always fits into an empty socket buffer.
        self.origins[origin].stream.write_all(&backend.request)
    }

    /// Relays what there is of the answer of `origin`, as long as its client takes it.
    fn answer(&mut self, origin: usize) {
        loop {
            let Some(from) = self.origins.get_mut(origin) else { return };
            let Some(client) = from.client else {
                // A connection that is kept has nothing to say: it was closed, or heard to its end before this event.
                if from
                    .stream
                    .read(&mut self.buffer)
                    .is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
                {
                    return;
                }
                let of = from.of;
                self.kept[of].retain(|&kept| kept != origin);
                self.origins.remove(origin);
                return;
            };
            if !self.clients[client].unsent.is_empty() {
                return;
            }
            let most = usize::try_from(from.left).unwrap_or(usize::MAX).min(BUFFER_BYTES);
            let read = match from.stream.read(&mut self.buffer[..most]) {
                Ok(read @ 1..) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Ok(0) | Err(_) => return self.end_client(client),
            };
            from.left -= read as u64;
            let to = &mut self.clients[client];
            match to.stream.write(&self.buffer[..read]) {
                Ok(written) => to.unsent.extend_from_slice(&self.buffer[written..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    to.unsent.extend_from_slice(&self.buffer[..read]);
                }
                Err(_) => return self.end_client(client),
            }
            if self.finish(client, origin) || read < most {
                // Less than there was room for is all there was.
                return;
            }
        }
    }

    /// Sends what a client's socket did not take before, and goes on with its answer.
    fn flush(&mut self, client: usize) {
        let Some(to) = self.clients.get_mut(client).filter(|to| !to.unsent.is_empty()) else { return };
        match to.stream.write(&to.unsent) {
            Ok(written) => drop(to.unsent.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return self.end_client(client),
        }
        if let Some(origin) = to.origin.filter(|_| to.unsent.is_empty())
            && !self.finish(client, origin)
        {
            self.answer(origin);
        }
    }

    /// Ends an exchange of which nothing is left; tells whether it did.
    fn finish(&mut self, client: usize, origin: usize) -> bool {
        let from = &mut self.origins[origin];
        if from.left > 0 || !self.clients[client].unsent.is_empty() {
            return false;
        }
        from.client = None;
        self.kept[from.of].push(origin);
        self.clients[client].origin = None;
        if self.config.close {
            self.clients.remove(client);
        }
        true
    }

    /// A client is gone, or cannot be answered; so is what answers it.
    fn end_client(&mut self, client: usize) {
        if let Some(origin) = self.clients.remove(client).origin {
            self.origins.remove(origin);
        }
    }
}
