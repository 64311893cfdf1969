//! What can keep a backend from serving, and what to do about it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a backend could not start, or had to stop.
#[derive(Debug, Error)]
pub enum BackendError {
    /// The listening address is no address.
    #[error("cannot resolve {address:?} ({reason}); give a local address and port, as in 127.0.0.1:9001")]
    Unresolvable {
        /// As it was given.
        address: String,
        /// The resolver's reason.
        reason: io::Error,
    },
    /// The address cannot be listened at.
    #[error("cannot listen at {address} ({reason}); {}", listen_remedy(.reason))]
    Listen {
        /// As it was given.
        address: String,
        /// The kernel's reason.
        reason: io::Error,
    },
    /// The body asked for would not be kept in memory.
    #[error("a body of {asked} bytes is more than the {limit} that a backend keeps in memory; ask for fewer")]
    BodyTooLarge {
        /// As it was given.
        asked: usize,
        /// [`crate::MAX_BODY_BYTES`].
        limit: usize,
    },
    /// The delay asked for is beyond any use.
    #[error("a delay of {asked:?} is more than the {limit:?} allowed; ask for a shorter one")]
    DelayTooLong {
        /// As it was given.
        asked: std::time::Duration,
        /// [`crate::MAX_DELAY`].
        limit: std::time::Duration,
    },
    /// The name cannot stand in a response field.
    #[error("the name {name:?} cannot stand in a response field; use 1 to 256 printable ASCII characters")]
    Name {
        /// As it was given.
        name: String,
    },
    /// The directory cannot be served.
    #[error("cannot serve the files in {} ({reason}); {}", .path.display(), root_remedy(.reason))]
    Root {
        /// As it was given.
        path: PathBuf,
        /// The kernel's reason.
        reason: io::Error,
    },
    /// The event loop itself failed.
    #[error(
        "the kernel's event queue failed ({0}); look at the limits on open files and memory, then start again"
    )]
    Poll(io::Error),
}

impl BackendError {
    /// Whether the caller asked for what no machine could do.
    pub fn is_usage(&self) -> bool {
        match self {
            BackendError::BodyTooLarge { .. }
            | BackendError::DelayTooLong { .. }
            | BackendError::Name { .. } => true,
            BackendError::Unresolvable { .. }
            | BackendError::Listen { .. }
            | BackendError::Root { .. }
            | BackendError::Poll(_) => false,
        }
    }
}

fn root_remedy(reason: &io::Error) -> &'static str {
    match reason.kind() {
        io::ErrorKind::NotFound => "make this directory, or give one that is there",
        io::ErrorKind::NotADirectory => "give the directory that holds it",
        io::ErrorKind::PermissionDenied => "give a directory that this user may read",
        _ => "give another directory",
    }
}

fn listen_remedy(reason: &io::Error) -> &'static str {
    match reason.kind() {
        io::ErrorKind::AddrInUse => "choose another port, or stop the process that has this one",
        io::ErrorKind::AddrNotAvailable => "choose an address of this machine, as in 127.0.0.1:9001",
        io::ErrorKind::PermissionDenied => "choose a port from 1024 on, or run with more rights",
        _ => "choose another address or port",
    }
}
