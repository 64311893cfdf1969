//! The sockets' settings that every model has alike, and what to do when accepting fails.
//!
//! Owns backlog, NODELAY, the read timeout that blocking models need, and the descriptor limit. Linux: a connection
//! inherits TCP_NODELAY and the SO_RCVTIMEO of its listener, which saves a system call for each on every connection.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use roundtable::proxy::Limits;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted unless told otherwise (std, mio and tokio would each choose 128 or so by
/// themselves).
pub(crate) const BACKLOG: u32 = 1024;
/// Most that can be asked for: the kernel takes no more than `net.core.somaxconn`, whatever is asked.
pub(crate) const MOST_BACKLOG: u32 = 65_535;
/// How long accepting pauses when descriptors or threads have run out.
pub(crate) const EXHAUSTED_PAUSE: Duration = Duration::from_millis(200);

/// A listener with the settings above, and so many that may wait. Port 0 takes a free one. With `shares_address`, others that say so too may listen at
/// the same address, and the kernel spreads connections over them.
pub(crate) fn listen(
    address: SocketAddr,
    limits: &Limits,
    backlog: u32,
    shares_address: bool,
) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shares_address)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_read_timeout(Some(limits.header_timeout))?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// What a failed accept means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AcceptError {
    /// That one connection is gone, or nothing came in time: accept again.
    Again,
    /// The listener was shut down: no more connections.
    ShutDown,
    /// Out of descriptors or memory: pause, then accept again.
    Exhausted,
}

impl AcceptError {
    pub(crate) fn of(error: &io::Error) -> io::Result<AcceptError> {
        let Some(errno) = error.raw_os_error().map(Errno::from_raw) else { return Ok(AcceptError::Again) };
        match errno {
            Errno::EINVAL => Ok(AcceptError::ShutDown),
            Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM => Ok(AcceptError::Exhausted),
            Errno::EBADF | Errno::ENOTSOCK | Errno::EOPNOTSUPP | Errno::EFAULT => Err(errno.into()),
            // accept(2): errors of the network that were already pending on the new connection.
            _ => Ok(AcceptError::Again),
        }
    }
}

/// Raises the soft limit on descriptors to the hard one, and tells it.
pub(crate) fn raise_descriptor_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}
