//! One session on blocking sockets: perform the operation, take its outcome, go on.
//!
//! Owns the translation of deadlines into socket timeouts. Rule: a timeout is set only when it differs from the one
//! that the socket has, so that in steady state no operation costs a second system call.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use roundtable::proxy::{BackendId, CloseReason, Done, Op, Peer, Session};
use socket2::SockRef;

use super::Server;
use super::idle::{IdlePool, is_silent};

/// Idle connections to backends, shared by the threads.
pub(super) type SharedIdle = Arc<Mutex<IdlePool<TimedStream>>>;

/// A panic in one connection must not take the pool from the others: what it holds is valid at any time.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A blocking socket and the timeouts that it has.
#[derive(Debug)]
pub(super) struct TimedStream {
    stream: TcpStream,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl TimedStream {
    /// A connected socket whose timeouts are `read_timeout` and `write_timeout`.
    fn new(stream: TcpStream, read_timeout: Option<Duration>, write_timeout: Option<Duration>) -> Self {
        TimedStream { stream, read_timeout, write_timeout }
    }

    fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        Ok(TimedStream::new(stream, None, None))
    }

    fn read(&mut self, room: &mut [u8], timeout: Option<Duration>) -> io::Result<usize> {
        if timeout != self.read_timeout {
            self.stream.set_read_timeout(timeout)?;
            self.read_timeout = timeout;
        }
        performed(|| self.stream.read(room))
    }

    fn write(&mut self, data: &[u8], timeout: Option<Duration>) -> io::Result<usize> {
        if timeout != self.write_timeout {
            self.stream.set_write_timeout(timeout)?;
            self.write_timeout = timeout;
        }
        performed(|| self.stream.write(data))
    }
}

/// A socket timeout shows as `EAGAIN`.
fn performed(mut operation: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            outcome => return outcome,
        }
    }
}

/// A client connection and what it holds.
pub(super) struct Connection<'a> {
    server: &'a Server,
    idle: &'a Mutex<IdlePool<TimedStream>>,
    client: TimedStream,
    address: SocketAddr,
    backend: Option<TimedStream>,
}

impl<'a> Connection<'a> {
    /// A connection accepted from a listener of [`listen`](super::listen), whose timeouts it has.
    pub(super) fn new(
        server: &'a Server,
        idle: &'a Mutex<IdlePool<TimedStream>>,
        client: TcpStream,
        address: SocketAddr,
    ) -> Self {
        let client = TimedStream::new(client, read_timeout_of(server), write_timeout_of(server));
        Connection { server, idle, client, address, backend: None }
    }

    /// Serves it to its end.
    pub(super) fn run(mut self) {
        let mut now = Instant::now();
        let (mut session, mut op) = Session::start(Arc::clone(&self.server.proxy), self.address, now);
        loop {
            let left = session.deadline().map(|deadline| deadline.saturating_duration_since(now));
            let done = match op {
                Op::Finish(reason) => return self.finish(reason),
                _ if left.is_some_and(|left| left.is_zero()) => timed_out(op),
                Op::Connect { backend, reuse } => {
                    Done::Connected(self.connect(backend, reuse, left.unwrap_or(Duration::MAX), now))
                }
                Op::Read(peer, mut buf) => {
                    let outcome = self.socket(peer).and_then(|socket| socket.read(buf.spare_mut(), left));
                    Done::Transferred(outcome, buf)
                }
                Op::Write(peer, buf) => {
                    let outcome = self.socket(peer).and_then(|socket| socket.write(buf.window(), left));
                    Done::Transferred(outcome, buf)
                }
                Op::Release(backend) => {
                    if let Some(stream) = self.backend.take() {
                        drop(lock(self.idle).put(backend, stream, now));
                    }
                    Done::Complete
                }
                Op::Discard => {
                    self.backend = None;
                    Done::Complete
                }
                Op::Look => Done::Looked { is_gone: is_gone(&self.client.stream) },
                Op::HalfClose => {
                    // It fails when the client is gone, which the next read tells.
                    let _ = self.client.stream.shutdown(Shutdown::Write);
                    Done::Complete
                }
            };
            now = Instant::now();
            op = session.step(done, now);
        }
    }

    fn connect(&mut self, backend: BackendId, reuse: bool, left: Duration, now: Instant) -> io::Result<bool> {
        self.backend = None;
        let address = self.server.forwarded(backend);
        if reuse {
            self.backend = self.take_idle(backend, now);
        }
        if self.backend.is_some() {
            return Ok(true);
        }
        self.backend = Some(TimedStream::connect(address, left)?);
        Ok(false)
    }

    fn take_idle(&self, backend: BackendId, now: Instant) -> Option<TimedStream> {
        loop {
            // The look at it needs no lock.
            let idle = lock(self.idle).take(backend, now, drop)?;
            if is_silent(&idle.stream) {
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

    fn finish(self, reason: CloseReason) {
        if reason == CloseReason::Aborted {
            abort(&self.client.stream);
        }
    }
}

fn read_timeout_of(server: &Server) -> Option<Duration> {
    Some(server.proxy.limits().header_timeout)
}

fn write_timeout_of(server: &Server) -> Option<Duration> {
    Some(server.proxy.limits().write_timeout)
}

/// The outcome of an operation whose time was up before it began.
pub(super) fn timed_out(op: Op) -> Done {
    match op {
        Op::Connect { .. } => Done::Connected(Err(io::ErrorKind::TimedOut.into())),
        Op::Read(_, buf) | Op::Write(_, buf) => Done::Transferred(Err(io::ErrorKind::TimedOut.into()), buf),
        Op::Look => Done::Looked { is_gone: false },
        Op::Release(_) | Op::Discard | Op::HalfClose | Op::Finish(_) => Done::Complete,
    }
}

/// Whether the other side of `connection` has reset it. One that has only sent its end may still be reading.
pub(super) fn is_gone(connection: &impl AsFd) -> bool {
    // Nothing is asked for: errors and the end of both directions are told without being asked for.
    let mut look = [PollFd::new(connection.as_fd(), PollFlags::empty())];
    poll(&mut look, PollTimeout::ZERO).is_ok_and(|told| told > 0)
}

/// Makes the coming close a reset. If that fails it is an ordinary close.
pub(super) fn abort(socket: &impl AsFd) {
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}
