//! A client of the model `uring` that its loop goes on with: how its operations are handed to the ring.
//!
//! Owns the loop's side of [`Queue`]; the loop itself, and what becomes of completions, stand in the file above.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use roundtable::proxy::{BackendId, Buf, Done, Peer, Session};
use socket2::{Domain, Protocol, Socket, Type};

use super::link::{End, Link};
use super::{Client, Loop};
use crate::models::common::abort;
use crate::models::drivers::completion::{Awaited, Inbound, Queue};
use crate::models::drivers::look;
use crate::models::idle::SWEEP_INTERVAL;

/// A client that the loop goes on with.
pub(super) struct Resumed<'a> {
    pub(super) looping: &'a mut Loop,
    pub(super) index: usize,
}

impl Resumed<'_> {
    fn client(&self) -> &Client {
        &self.looping.clients[self.index]
    }

    fn link(&self, peer: Peer) -> Option<usize> {
        match peer {
            Peer::Client => Some(self.client().link),
            Peer::Backend => self.client().backend,
        }
    }

    fn stream(&self, peer: Peer) -> Option<&TcpStream> {
        self.looping.links[self.link(peer)?].stream.as_ref()
    }
}

impl Queue for Resumed<'_> {
    fn session(&mut self) -> &mut Session {
        &mut self.looping.clients[self.index].session
    }

    fn now(&self) -> Instant {
        self.looping.now
    }

    fn connect(&mut self, id: BackendId, reuse: bool) -> io::Result<bool> {
        let (looping, index) = (&mut *self.looping, self.index);
        looping.discard(index);
        let address = looping.server.forwarded(id);
        if reuse {
            looping.clients[index].backend = looping.take_idle(id, index);
        }
        if looping.clients[index].backend.is_some() {
            return Ok(true);
        }
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        let link = looping.links.insert(Link::new(socket.into(), End::Backend(id, Some(index))));
        looping.clients[index].backend = Some(link);
        let entry = &mut looping.links[link];
        entry.transfer =
            entry.stream.as_ref().map(|stream| looping.ring.connect(stream, link, address.into()));
        Ok(false)
    }

    fn inbound(&mut self, peer: Peer) -> Option<&mut Inbound> {
        let link = self.link(peer)?;
        Some(&mut self.looping.links[link].inbound)
    }

    fn receive(&mut self, peer: Peer, buf: Buf) -> Awaited {
        let Some(index) = self.link(peer) else { return Awaited::Bytes(peer, buf) };
        let link = &self.looping.links[index];
        // One that is about to end its listening is gone on with when it has.
        if link.listening.is_some() || !link.inbound.is_bulk() {
            self.looping.listen(index);
            return Awaited::Bytes(peer, buf);
        }
        self.looping.receive_into(index, buf);
        Awaited::Completion
    }

    fn send(&mut self, peer: Peer, buf: Buf) {
        let Some(index) = self.link(peer) else { return };
        let link = &mut self.looping.links[index];
        if let Some(stream) = &link.stream {
            let ring = &mut self.looping.ring;
            link.transfer = Some(if link.is_blocked {
                ring.send_when_writable(stream, index, buf)
            } else {
                ring.send(stream, index, buf)
            });
        }
    }

    fn release(&mut self, id: BackendId, is_suspect: bool) {
        let looping = &mut *self.looping;
        let Some(index) = looping.clients[self.index].backend.take() else { return };
        let link = &mut looping.links[index];
        link.end = End::Backend(id, None);
        link.inbound.begin_message();
        if !link.inbound.is_silent() {
            return looping.close_idle(index);
        }
        looping.listen(index);
        if let Some(surplus) = looping.idle.put(id, index, is_suspect, looping.now) {
            looping.close_link(surplus);
        }
        looping.next_sweep.get_or_insert(looping.now + SWEEP_INTERVAL);
    }

    fn discard(&mut self) {
        self.looping.discard(self.index);
    }

    fn look(&self) -> Done {
        let inbound = |peer| self.link(peer).map(|link| &self.looping.links[link].inbound);
        let seen = self.stream(Peer::Client).map(|client| look(client, self.stream(Peer::Backend)));
        let (is_gone, has_spoken) = match seen {
            Some(Done::Looked { client_is_gone, backend_has_spoken }) => (client_is_gone, backend_has_spoken),
            _ => (true, false),
        };
        Done::Looked {
            client_is_gone: is_gone || inbound(Peer::Client).is_some_and(Inbound::is_broken),
            backend_has_spoken: has_spoken
                || inbound(Peer::Backend).is_some_and(|inbound| !inbound.is_silent()),
        }
    }

    fn half_close(&self) -> io::Result<()> {
        self.stream(Peer::Client).map_or(Ok(()), |client| client.shutdown(Shutdown::Write))
    }

    fn abort(&self) {
        self.stream(Peer::Client).into_iter().for_each(abort);
    }
}
