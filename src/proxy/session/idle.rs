//! A client connection that waits for a request: all that has to be kept of it.
//!
//! Owns the fields that live as long as the connection; [`Active`](super::active::Active) has them while there is work.
//! Rule: nothing of an exchange, and no buffer.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::proxy::buf::Pool;
use crate::proxy::observer::Notes;
use crate::proxy::shared::Proxy;

/// Characters of the longest address.
const LONGEST: usize = 45;

/// One that waits.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) proxy: Arc<Proxy>,
    pub(super) address: SocketAddr,
    pub(super) client: ClientName,
    /// When it has waited for long enough.
    pub(super) deadline: Instant,
    pub(super) head: ReadingHead,
    /// Taken while somebody wants to know.
    pub(super) notes: Option<Box<Notes>>,
}

impl Idle {
    pub(super) fn pool(&self) -> &Pool {
        &self.proxy.pool
    }
}

/// The head that is being read, or waited for.
#[derive(Debug)]
pub(super) struct ReadingHead {
    /// When it must be whole.
    pub(super) deadline: Instant,
    /// Length of the inbox when it was last parsed in vain.
    pub(super) parsed: usize,
    /// Nothing of it has come: the deadline begins with its first byte.
    pub(super) is_idle: bool,
}

impl ReadingHead {
    pub(super) fn until(deadline: Instant) -> Self {
        ReadingHead { deadline, parsed: 0, is_idle: false }
    }
}

/// The client's address in text, without its port.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientName {
    text: [u8; LONGEST],
    length: u8,
}

impl ClientName {
    pub(super) fn new(client: SocketAddr) -> Self {
        let mut text = [0; LONGEST];
        let mut rest = text.as_mut_slice();
        // The longest address has 45 characters, so this cannot fail.
        let _ = write!(rest, "{}", client.ip().to_canonical());
        let left = rest.len();
        let length = (LONGEST - left) as u8;
        ClientName { text, length }
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.length)]).unwrap_or("unknown")
    }
}
