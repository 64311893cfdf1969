//! Message bodies: how long one is, and how much of a buffer belongs to it (RFC 9112 section 6).
//!
//! Owns the count of what is still to come. Moves no bytes but those that [`ChunkScanner`] takes framing from.

use super::chunk::{ChunkScanner, Output, Scanned};

/// How a body's end is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no body.
    Empty,
    /// This many bytes.
    Length(u64),
    /// The chunked coding.
    Chunked,
    /// Until the sender closes (responses only).
    UntilClose,
}

impl Framing {
    pub(crate) fn length(self) -> Option<u64> {
        match self {
            Framing::Length(length) => Some(length),
            _ => None,
        }
    }

    pub(crate) fn has_body(self) -> bool {
        !matches!(self, Framing::Empty | Framing::Length(0))
    }
}

/// A body that is passing through.
#[derive(Debug)]
pub(crate) enum Body {
    /// This many bytes are still to come; zero is the end.
    Length(u64),
    /// The scanner knows.
    Chunked(ChunkScanner),
    /// Everything until the sender closes.
    UntilClose,
}

impl Body {
    pub(crate) fn new(framing: Framing, output: Output) -> Self {
        match framing {
            Framing::Empty => Body::Length(0),
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked(ChunkScanner::new(output)),
            Framing::UntilClose => Body::UntilClose,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        match self {
            Body::Length(left) => *left == 0,
            Body::Chunked(scanner) => scanner.is_done(),
            Body::UntilClose => false,
        }
    }

    /// Bytes of content seen or announced in a body whose length was not known from the start.
    pub(crate) fn unannounced_bytes(&self) -> u64 {
        match self {
            Body::Chunked(scanner) => scanner.data_bytes(),
            Body::Length(_) | Body::UntilClose => 0,
        }
    }

    /// Scans `bytes` in place: which of them are the body's, and what of those is forwarded.
    pub(crate) fn scan(&mut self, bytes: &mut [u8]) -> Result<Scanned, &'static str> {
        match self {
            Body::Length(left) => {
                let count = (*left).min(bytes.len() as u64);
                *left -= count;
                Ok(Scanned { kept: count as usize, used: count as usize })
            }
            Body::Chunked(scanner) => scanner.scan(bytes),
            Body::UntilClose => Ok(Scanned { kept: bytes.len(), used: bytes.len() }),
        }
    }
}
