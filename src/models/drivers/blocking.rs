//! Sockets that block: whoever performs an operation waits for it, in the system call.
//!
//! Owns the translation of deadlines into waits in the kernel. Rules: a read waits in the call itself, under the socket's
//! timeout, which is set only when it differs from the one that the socket has, so that in steady state no operation
//! costs a second system call. A write never does: under a socket's timeout it gives back what it could send when the
//! timeout is over, and the next one begins the time anew. It sends what there is room for, and where there is none it
//! waits for room with poll(2), until the deadline.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use roundtable::proxy::{BackendId, Done, Peer, Session};

use super::{Sockets, Turn, look, take_turn};
use crate::models::Server;
use crate::models::common::{abort, lock};
use crate::models::idle::{IdlePool, is_usable};

/// A blocking socket and the timeout that its reads have.
#[derive(Debug)]
pub(in crate::models) struct TimedStream {
    stream: TcpStream,
    read_timeout: Option<Duration>,
}

impl TimedStream {
    /// A connected socket whose reads have that timeout.
    fn new(stream: TcpStream, read_timeout: Option<Duration>) -> Self {
        TimedStream { stream, read_timeout }
    }

    fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        Ok(TimedStream::new(stream, None))
    }

    /// Reads once, from now to `deadline`.
    fn read(&mut self, room: &mut [u8], mut now: Instant, deadline: Option<Instant>) -> io::Result<usize> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if left != self.read_timeout {
                self.stream.set_read_timeout(left)?;
                self.read_timeout = left;
            }
            match self.stream.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => now = Instant::now(),
                // A socket's timeout shows as EAGAIN.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                outcome => return outcome,
            }
        }
    }

    /// Writes once what there is room for, from now to `deadline`.
    fn write(&self, data: &[u8], deadline: Option<Instant>) -> io::Result<usize> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        loop {
            match send(self.stream.as_raw_fd(), data, flags) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => wait_for_room(&self.stream, deadline)?,
                outcome => return Ok(outcome?),
            }
        }
    }
}

/// Returns when there may be room, or an error to be fetched by the next write.
fn wait_for_room(stream: &TcpStream, deadline: Option<Instant>) -> io::Result<()> {
    let timeout = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
        None => PollTimeout::NONE,
        Some(Duration::ZERO) => return Err(io::ErrorKind::TimedOut.into()),
        // A wait of less than a millisecond must not become one of nothing, over and over.
        Some(left) => PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
    };
    match poll(&mut [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)], timeout) {
        // Not tried once more: a little may fit before the kernel calls the socket writable, and would begin the time anew.
        Ok(0) => Err(io::ErrorKind::TimedOut.into()),
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A client's connection with its session, and all that it holds.
pub(in crate::models) struct Connection<'a> {
    server: &'a Server,
    idle: &'a Mutex<IdlePool<TimedStream>>,
    session: Session,
    now: Instant,
    client: TimedStream,
    backend: Option<TimedStream>,
}

impl<'a> Connection<'a> {
    /// Serves a connection accepted from a listener of [`listen`](crate::models::listen), whose timeouts it has, to its end.
    pub(in crate::models) fn serve(
        server: &'a Server,
        idle: &'a Mutex<IdlePool<TimedStream>>,
        client: TcpStream,
        address: SocketAddr,
    ) {
        let client = TimedStream::new(client, Some(server.proxy.limits().header_timeout));
        let now = Instant::now();
        let (session, mut op) = Session::start(Arc::clone(&server.proxy), address, now);
        let mut connection = Connection { server, idle, session, now, client, backend: None };
        // Nothing waits here but in its call.
        while let Turn::Waits(next) | Turn::GaveWay(next) = take_turn(&mut connection, op) {
            op = next;
        }
    }

    fn take_idle(&self, backend: BackendId) -> Option<TimedStream> {
        loop {
            // The look at it needs no lock.
            let idle = lock(self.idle).take(backend, self.now)?.connection;
            if is_usable(&self.server.proxy, backend, &idle.stream) {
                return Some(idle);
            }
        }
    }

    fn socket(&mut self, peer: Peer) -> io::Result<&mut TimedStream> {
        match peer {
            Peer::Client => Ok(&mut self.client),
            Peer::Backend => self.backend.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Sockets for Connection<'_> {
    fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    fn now(&mut self) -> Instant {
        self.now = Instant::now();
        self.now
    }

    fn connect(&mut self, backend: BackendId, reuse: bool) -> io::Result<bool> {
        self.backend = None;
        let address = self.server.forwarded(backend);
        if reuse {
            self.backend = self.take_idle(backend);
        }
        if self.backend.is_some() {
            return Ok(true);
        }
        let left = self
            .session
            .deadline()
            .map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(self.now));
        self.backend = Some(TimedStream::connect(address, left)?);
        Ok(false)
    }

    fn read(&mut self, peer: Peer, room: &mut [u8]) -> io::Result<usize> {
        let (now, deadline) = (self.now, self.session.deadline());
        self.socket(peer)?.read(room, now, deadline)
    }

    fn write(&mut self, peer: Peer, data: &[u8]) -> io::Result<usize> {
        let deadline = self.session.deadline();
        self.socket(peer)?.write(data, deadline)
    }

    fn release(&mut self, backend: BackendId, is_suspect: bool) {
        if let Some(stream) = self.backend.take() {
            drop(lock(self.idle).put(backend, stream, is_suspect, self.now));
        }
    }

    fn discard(&mut self) {
        self.backend = None;
    }

    fn look(&self) -> Done {
        look(&self.client.stream, self.backend.as_ref().map(|backend| &backend.stream))
    }

    fn half_close(&self) -> io::Result<()> {
        self.client.stream.shutdown(Shutdown::Write)
    }

    fn abort(&self) {
        abort(&self.client.stream);
    }
}
