//! A connection of the model `uring`, to a client or to a backend, with what the kernel is doing for it.
//!
//! Owns what is known of it, and nothing of when anything is asked for: that is the loop's.

use std::net::TcpStream;

use roundtable::proxy::{BackendId, Peer};

use super::ring::Key;
use crate::models::drivers::completion::Inbound;

/// A connection to a client or to a backend, with what the kernel is doing for it. It stays here until that is done.
pub(super) struct Link {
    /// None when it is closed.
    pub(super) stream: Option<TcpStream>,
    pub(super) end: End,
    pub(super) inbound: Inbound,
    /// What comes is received.
    pub(super) listening: Option<Key>,
    /// The kernel was asked to listen no more.
    pub(super) is_stopping: bool,
    /// The one other operation: connecting, sending, or receiving into a session's buffer.
    pub(super) transfer: Option<Key>,
    /// The last one was cancelled: nothing is sent before the kernel calls the connection writable. A little may fit earlier, and
    /// would begin the time anew for which the other side may take nothing.
    pub(super) is_blocked: bool,
}

/// Who is at the other end, and for whom.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Client(usize),
    /// A client's, or idle.
    Backend(BackendId, Option<usize>),
}

impl End {
    /// The client that it serves.
    pub(super) fn client(self) -> Option<usize> {
        match self {
            End::Client(client) => Some(client),
            End::Backend(_, client) => client,
        }
    }

    pub(super) fn peer(self) -> Peer {
        match self {
            End::Client(_) => Peer::Client,
            End::Backend(..) => Peer::Backend,
        }
    }
}

impl Link {
    pub(super) fn new(stream: TcpStream, end: End) -> Self {
        Link {
            stream: Some(stream),
            end,
            inbound: Inbound::default(),
            listening: None,
            is_stopping: false,
            transfer: None,
            is_blocked: false,
        }
    }

    /// Whether whatever came as of the last wait would be known, and nothing has come.
    pub(super) fn is_known_silent(&self) -> bool {
        self.listening.is_some() && !self.is_stopping && self.inbound.is_silent()
    }
}
