//! Sockets that do not block: one that knows its readiness from the edges of an event loop, and connecting without waiting.
//!
//! Owns the edge-triggered bookkeeping: a read is tried only while there may be something to read. A read that does
//! not fill its room has emptied the socket, and the next edge will tell of more (epoll(7), Q&A 9), unless the end of
//! the stream was already told.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// A socket, registered or not.
pub(in crate::models) struct Socket {
    stream: TcpStream,
    registered: bool,
    readable: bool,
    writable: bool,
    /// The other side has sent its end (or an error): reads tell at once, and no further edge will come.
    ended: bool,
}

impl Socket {
    /// A socket of which nothing is known: everything is tried first.
    pub(in crate::models) fn unregistered(stream: TcpStream) -> Self {
        Socket { stream, registered: false, readable: true, writable: true, ended: false }
    }

    pub(in crate::models) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether the edges say that the other side has neither closed nor said anything that was not read.
    pub(in crate::models) fn is_known_silent(&self) -> bool {
        self.registered && !self.readable && !self.ended
    }

    /// Edges are told from here on.
    pub(in crate::models) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        if !self.registered {
            registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)?;
            self.registered = true;
            // What is ready now is told by the first edge.
            self.readable = false;
        }
        Ok(())
    }

    /// An edge.
    pub(in crate::models) fn ready(&mut self, event: &Event) {
        self.readable |= event.is_readable();
        self.writable |= event.is_writable();
        if event.is_read_closed() || event.is_error() {
            self.ended = true;
            self.readable = true;
        }
    }

    /// Reads once, or says [`WouldBlock`](ErrorKind::WouldBlock) and is registered.
    pub(in crate::models) fn read(
        &mut self,
        room: &mut [u8],
        registry: &Registry,
        token: Token,
    ) -> io::Result<usize> {
        while self.readable {
            match self.stream.read(room) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Ok(count) if count < room.len() => {
                    self.readable = !self.registered || self.ended;
                    return Ok(count);
                }
                outcome => return outcome,
            }
        }
        self.register(registry, token)?;
        Err(ErrorKind::WouldBlock.into())
    }

    /// Writes once, or says [`WouldBlock`](ErrorKind::WouldBlock) and is registered.
    pub(in crate::models) fn write(
        &mut self,
        data: &[u8],
        registry: &Registry,
        token: Token,
    ) -> io::Result<usize> {
        while self.writable {
            match self.stream.write(data) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                outcome => return outcome,
            }
        }
        self.register(registry, token)?;
        Err(ErrorKind::WouldBlock.into())
    }
}

/// Whether a connection attempt has succeeded, by its socket's error and the address of the other side;
/// [`ErrorKind::WouldBlock`] while it is on its way.
pub(in crate::models) fn connected(
    error: io::Result<Option<io::Error>>,
    peer: io::Result<SocketAddr>,
) -> io::Result<()> {
    if let Some(error) = error? {
        return Err(error);
    }
    match peer {
        Err(error) if error.kind() == ErrorKind::NotConnected => Err(ErrorKind::WouldBlock.into()),
        peer => peer.map(drop),
    }
}
