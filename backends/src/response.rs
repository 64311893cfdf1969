//! Every response that a backend can give, built once, and how far one of them has been written.
//!
//! Rules: the body is in memory once, whatever the number of connections; a response whose body is short leaves in
//! one plain write, a longer one in gathered writes that never copy.

use std::io::{self, ErrorKind, IoSlice, Write};

use crate::request::{Refusal, Request};

/// As much of the body as is kept beside each head, so that one write carries both.
const INLINE_BYTES: usize = 32 * 1024;

/// Which of the prebuilt responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Persistent,
    PersistentOld,
    Close,
    Continue,
    Malformed,
    HeadTooLarge,
    NotImplemented,
    VersionNotSupported,
    WrongUpload,
}

/// All the responses of one server.
#[derive(Debug)]
pub(crate) struct Responses {
    persistent: Prebuilt,
    persistent_old: Prebuilt,
    close: Prebuilt,
    malformed: Prebuilt,
    head_too_large: Prebuilt,
    not_implemented: Prebuilt,
    version_not_supported: Prebuilt,
    wrong_upload: Prebuilt,
    body: Vec<u8>,
}

#[derive(Debug)]
struct Prebuilt {
    /// Head, and the beginning of the body.
    first: Vec<u8>,
    head_bytes: usize,
}

impl Responses {
    /// The responses of the server `name` with `body`, which a cache may keep for so many seconds, if for any.
    pub(crate) fn new(name: &str, body: Vec<u8>, max_age: Option<u32>) -> Self {
        let inline = &body[..body.len().min(INLINE_BYTES)];
        let fresh = max_age.map_or(String::new(), |age| format!("Cache-Control: max-age={age}\r\n"));
        let ok = |connection: &str| {
            let length = body.len();
            let fields = format!("Content-Length: {length}\r\n{fresh}{connection}");
            Prebuilt::new(name, "200 OK", &fields, inline)
        };
        let refusal = |status: &str| {
            let text = format!("{status}\n");
            let fields = format!("Content-Length: {}\r\nConnection: close\r\n", text.len());
            Prebuilt::new(name, status, &fields, text.as_bytes())
        };
        Responses {
            persistent: ok(""),
            persistent_old: ok("Connection: keep-alive\r\n"),
            close: ok("Connection: close\r\n"),
            malformed: refusal("400 Bad Request"),
            head_too_large: refusal("431 Request Header Fields Too Large"),
            not_implemented: refusal("501 Not Implemented"),
            version_not_supported: refusal("505 HTTP Version Not Supported"),
            wrong_upload: refusal("422 Unprocessable Content"),
            body,
        }
    }

    /// The bytes of `outgoing`, in two parts; the second is empty unless the body is long.
    fn parts(&self, outgoing: &Outgoing) -> (&[u8], &[u8]) {
        let (prebuilt, rest) = match outgoing.kind {
            Kind::Continue => return (b"HTTP/1.1 100 Continue\r\n\r\n", &[]),
            Kind::Persistent => (&self.persistent, true),
            Kind::PersistentOld => (&self.persistent_old, true),
            Kind::Close => (&self.close, true),
            Kind::Malformed => (&self.malformed, false),
            Kind::HeadTooLarge => (&self.head_too_large, false),
            Kind::NotImplemented => (&self.not_implemented, false),
            Kind::VersionNotSupported => (&self.version_not_supported, false),
            Kind::WrongUpload => (&self.wrong_upload, false),
        };
        if outgoing.head_only {
            (&prebuilt.first[..prebuilt.head_bytes], &[])
        } else if rest {
            (&prebuilt.first, self.body.get(INLINE_BYTES..).unwrap_or_default())
        } else {
            (&prebuilt.first, &[])
        }
    }
}

impl Prebuilt {
    fn new(name: &str, status: &str, fields: &str, body: &[u8]) -> Self {
        let head = format!(
            "HTTP/1.1 {status}\r\nServer: roundtable-backend/{version}\r\nX-Backend: {name}\r\n\
             Content-Type: text/plain; charset=utf-8\r\n{fields}\r\n",
            version = env!("CARGO_PKG_VERSION"),
        );
        Prebuilt { head_bytes: head.len(), first: [head.as_bytes(), body].concat() }
    }
}

/// What becomes of a connection when a response has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// The next request is read.
    Read,
    /// All that the client may send has been read: it is closed.
    Close,
    /// The client may be sending still: it is closed in steps, or a reset would overtake the response.
    Linger,
}

/// A response on its way.
#[derive(Debug)]
pub(crate) struct Outgoing {
    kind: Kind,
    head_only: bool,
    sent: usize,
    pub(crate) afterwards: Afterwards,
}

impl Outgoing {
    /// The answer to `request`.
    pub(crate) fn answer(request: Request) -> Self {
        let (kind, afterwards) = match (request.persistent, request.old) {
            (true, false) => (Kind::Persistent, Afterwards::Read),
            (true, true) => (Kind::PersistentOld, Afterwards::Read),
            (false, _) => (Kind::Close, Afterwards::Close),
        };
        Outgoing { kind, head_only: request.head_only, sent: 0, afterwards }
    }

    /// The answer to what cannot be read.
    pub(crate) fn refuse(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::Malformed => Kind::Malformed,
            Refusal::HeadTooLarge => Kind::HeadTooLarge,
            Refusal::NotImplemented => Kind::NotImplemented,
            Refusal::VersionNotSupported => Kind::VersionNotSupported,
            Refusal::WrongUpload => Kind::WrongUpload,
        };
        Outgoing { kind, head_only: false, sent: 0, afterwards: Afterwards::Linger }
    }

    /// `100 Continue`.
    pub(crate) fn go_on() -> Self {
        Outgoing { kind: Kind::Continue, head_only: false, sent: 0, afterwards: Afterwards::Read }
    }

    /// Writes as much as `stream` takes; `true` when all has left.
    pub(crate) fn write(&mut self, responses: &Responses, stream: &mut impl Write) -> io::Result<bool> {
        let (first, rest) = responses.parts(self);
        let total = first.len() + rest.len();
        while self.sent < total {
            let written = match first.get(self.sent..) {
                Some(first) if rest.is_empty() => stream.write(first),
                Some(first) => stream.write_vectored(&[IoSlice::new(first), IoSlice::new(rest)]),
                None => stream.write(&rest[self.sent - first.len()..]),
            };
            match written {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `each` bytes a call, and blocks every other time.
    struct Slow {
        taken: Vec<u8>,
        each: usize,
        blocked: bool,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.blocked = !self.blocked;
            if self.blocked {
                return Err(ErrorKind::WouldBlock.into());
            }
            let taken = bytes.len().min(self.each);
            self.taken.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(responses: &Responses, mut outgoing: Outgoing, each: usize) -> Vec<u8> {
        let mut slow = Slow { taken: Vec::new(), each, blocked: false };
        while !outgoing.write(responses, &mut slow).unwrap() {}
        slow.taken
    }

    #[test]
    fn a_response_written_in_parts_is_whole_around_the_inline_limit() {
        let request = Request { old: false, head_only: false, persistent: true };
        for len in [0, 1, INLINE_BYTES - 1, INLINE_BYTES, INLINE_BYTES + 1, 3 * INLINE_BYTES + 7] {
            let body = crate::body(len);
            let responses = Responses::new("b", body.clone(), None);
            let bytes = written(&responses, Outgoing::answer(request), 4097);
            let head = format!("Content-Length: {len}\r\n\r\n");
            let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
            assert!(bytes[..end].ends_with(head.as_bytes()));
            assert!(bytes[end..] == body, "body of {len}");
        }
    }

    #[test]
    fn head_has_the_length_and_no_body() {
        let responses = Responses::new("b", crate::body(100), None);
        let request = Request { old: true, head_only: true, persistent: true };
        let text = String::from_utf8(written(&responses, Outgoing::answer(request), 10)).unwrap();
        assert!(text.ends_with("Content-Length: 100\r\nConnection: keep-alive\r\n\r\n"), "{text}");
    }

    #[test]
    fn a_cache_may_keep_what_it_is_told_to_and_no_refusal() {
        let kept = Responses::new("b", crate::body(10), Some(60));
        for persistent in [true, false] {
            let request = Request { old: false, head_only: false, persistent };
            let text = String::from_utf8(written(&kept, Outgoing::answer(request), 1000)).unwrap();
            assert_eq!(text.matches("\r\nCache-Control: max-age=60\r\n").count(), 1, "{text}");
        }
        let refused = String::from_utf8(written(&kept, Outgoing::refuse(Refusal::Malformed), 1000)).unwrap();
        assert!(!refused.contains("Cache-Control"), "{refused}");
    }

    #[test]
    fn every_refusal_closes() {
        let responses = Responses::new("b", crate::body(100_000), None);
        for (refusal, status) in [
            (Refusal::Malformed, "400"),
            (Refusal::HeadTooLarge, "431"),
            (Refusal::NotImplemented, "501"),
            (Refusal::VersionNotSupported, "505"),
            (Refusal::WrongUpload, "422"),
        ] {
            let outgoing = Outgoing::refuse(refusal);
            assert_eq!(outgoing.afterwards, Afterwards::Linger);
            let text = String::from_utf8(written(&responses, outgoing, 1000)).unwrap();
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
            assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
        }
    }
}
