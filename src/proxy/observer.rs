//! What an observer is told of an exchange when it is over: the material of an access log.
//!
//! Owns the notes that a session takes while there is somebody to read them. Rule: without an observer and without a
//! route that maps `Location`, no notes are taken and nothing is allocated.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::vocabulary::BackendId;

/// Somebody who keeps books. Called by whoever drives the session: it must not wait.
pub trait Observer: Send + Sync + fmt::Debug {
    /// An exchange is over: answered, refused or broken off.
    fn exchanged(&self, exchange: &ExchangeSummary<'_>);
}

/// One exchange. Bytes are as the client sent them, without line ends, but not without other control characters: what
/// is shown to somebody has to be escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExchangeSummary<'a> {
    /// Who asked.
    pub client: SocketAddr,
    /// Method, target and version with the spaces between them. Of what was refused: its first line, as far as it was received
    /// and within the limit for one.
    pub request_line: &'a [u8],
    /// The request's Host, or what stood for it.
    pub host: &'a [u8],
    /// Its Referer.
    pub referer: &'a [u8],
    /// Its User-Agent.
    pub user_agent: &'a [u8],
    /// Status of the final response as far as it has gone to the client; none if nothing has.
    pub status: Option<u16>,
    /// Bytes of the response that went to the client, behind its head.
    pub body_bytes: u64,
    /// Who answered, or was asked last.
    pub backend: Option<BackendId>,
    /// From the end of the request's head to the end of the response.
    pub lasted: Duration,
    /// The response went out whole.
    pub whole: bool,
    /// What the cache had to do with it; none where there is no cache for it.
    pub cache: Option<CacheUse>,
}

/// What a cache had to do with an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheUse {
    /// It was answered from what is stored.
    Hit,
    /// The same, though it was stale.
    Stale,
    /// The same, after a backend had said that it is still good.
    Validated,
    /// A backend has answered.
    Miss,
    /// A backend has answered a request that a cache does not answer.
    Bypass,
}

/// What a session remembers of the request in hand.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) request_line: Vec<u8>,
    pub(crate) host: Vec<u8>,
    pub(crate) referer: Vec<u8>,
    pub(crate) user_agent: Vec<u8>,
}

impl Notes {
    /// The request that stands, or should, at the front of `received` is refused: its line is noted if that was not done yet,
    /// up to `most` bytes.
    pub(crate) fn note_refused(&mut self, received: &[u8], most: usize) {
        if self.request_line.is_empty() {
            let line = received.strip_prefix(b"\r\n").unwrap_or(received);
            let line = &line[..line.len().min(most)];
            let end = line.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(line.len());
            note(&mut self.request_line, &[&line[..end]]);
        }
    }

    pub(crate) fn clear(&mut self) {
        for field in [&mut self.request_line, &mut self.host, &mut self.referer, &mut self.user_agent] {
            field.clear();
        }
    }
}

/// Puts `pieces` into `field`, replacing what was there.
pub(crate) fn note(field: &mut Vec<u8>, pieces: &[&[u8]]) {
    field.clear();
    for piece in pieces {
        field.extend_from_slice(piece);
    }
}
