//! The response that a connection is receiving: what has been read of it, and whether its body is the right one.
//!
//! Owns what is kept of one response from its request on; the connection decides what follows from it. Rule: all of it
//! begins anew with the next request, and keeps its memory.

use super::failure::Failure;
use super::response::{Fault, Head, Parser, Progress, Sink};
use super::tally::Tally;
use super::verify::{Check, Reference};

/// One response, and those that come after it on a connection.
#[derive(Debug)]
pub(crate) struct Answer {
    parser: Parser,
    content: Content,
}

/// What its pieces have been so far.
#[derive(Debug)]
struct Content {
    check: Check,
    status: u16,
    /// Where the backend that answers is counted.
    backend: Option<usize>,
    is_from_cache: bool,
    may_have_body: bool,
    body_bytes: u64,
}

impl Answer {
    pub(crate) fn new() -> Self {
        let content = Content {
            check: Check::new(),
            status: 0,
            backend: None,
            is_from_cache: false,
            may_have_body: false,
            body_bytes: 0,
        };
        Answer { parser: Parser::new(), content }
    }

    /// Nothing has been read yet of the response to a request, which was HEAD or not.
    pub(crate) fn begin(&mut self, head_only: bool, reference: &mut Reference) {
        self.parser.begin(head_only);
        let Content { check, status, backend, is_from_cache, may_have_body, body_bytes } = &mut self.content;
        check.begin(reference);
        (*status, *backend, *is_from_cache, *may_have_body, *body_bytes) = (0, None, false, false, 0);
    }

    /// `bytes` have come.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        reference: &Reference,
        tally: &mut Tally,
    ) -> Result<Progress, Fault> {
        self.parser.read(bytes, &mut Receiver { content: &mut self.content, reference, tally })
    }

    /// The stream has ended.
    pub(crate) fn end(&mut self) -> Result<Progress, Fault> {
        self.parser.end().map(|()| Progress::Complete { used: 0 })
    }

    /// Whether a body that is whole is the right one; a response that is not 2xx may say what it likes.
    pub(crate) fn verify(&mut self, reference: &mut Reference) -> Result<(), Failure> {
        if self.is_2xx() && self.content.may_have_body {
            self.content.check.finish(reference)?;
        }
        Ok(())
    }

    pub(crate) fn status(&self) -> u16 {
        self.content.status
    }

    pub(crate) fn is_2xx(&self) -> bool {
        (200..300).contains(&self.content.status)
    }

    /// Where the backend that answered is counted. One whose answer came from a cache has not answered.
    pub(crate) fn backend(&self) -> Option<usize> {
        self.content.backend
    }

    /// Whether a cache has given it, and no backend was asked.
    pub(crate) fn is_from_cache(&self) -> bool {
        self.content.is_from_cache
    }

    pub(crate) fn body_bytes(&self) -> u64 {
        self.content.body_bytes
    }

    /// Whether its connection may stay open.
    pub(crate) fn is_persistent(&self) -> bool {
        self.parser.persistent()
    }
}

/// Takes what a response is made of.
struct Receiver<'a> {
    content: &'a mut Content,
    reference: &'a Reference,
    tally: &'a mut Tally,
}

impl Sink for Receiver<'_> {
    fn head(&mut self, head: &Head<'_>) {
        self.content.status = head.status;
        self.content.may_have_body = head.may_have_body;
        self.content.is_from_cache = head.from_cache;
        let backend = head.backend.filter(|_| !head.from_cache);
        self.content.backend = backend.and_then(|name| self.tally.per_backend.place(name));
        if self.tally.server_software.is_none() {
            let name = head.server.unwrap_or_default();
            self.tally.server_software = Some(String::from_utf8_lossy(name).into_owned());
        }
    }

    fn body(&mut self, piece: &[u8]) {
        self.content.body_bytes += piece.len() as u64;
        self.tally.body_bytes += piece.len() as u64;
        self.content.check.add(piece, self.reference);
    }
}
