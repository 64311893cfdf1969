//! Requests out of a stream of bytes, a line at a time.
//!
//! Owns the grammar that an origin server needs of RFC 9112 and no I/O. Strict where leniency would let a
//! balancer's mistake through: bare line feeds, folded lines, two framings and a missing Host are refused. Rules: the
//! result does not depend on how the bytes were cut; at most one line is kept between two calls, and never more than
//! [`MAX_HEAD_BYTES`], but for what a server of files asks to be kept of a head ([`Kept`]).

mod kept;

use std::mem;
use std::sync::Arc;

use memchr::memchr;

pub(crate) use self::kept::{Kept, Method};

/// The longest request head, and the longest line in a chunked body, bytes.
pub const MAX_HEAD_BYTES: usize = 16 * 1024;

/// What an answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    /// HTTP/1.0, whose clients must be told that a connection persists.
    pub(crate) old: bool,
    /// HEAD: the answer has no body.
    pub(crate) head_only: bool,
    /// The connection outlives the answer.
    pub(crate) persistent: bool,
}

/// What the bytes so far amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The client waits for `100 Continue` before it sends the body.
    ExpectsContinue,
    /// A request has arrived whole, its body read and discarded.
    Request(Request),
}

/// Why the stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Malformed,
    HeadTooLarge,
    NotImplemented,
    VersionNotSupported,
    /// The body is not the one that every request was to have.
    WrongUpload,
}

/// Where in a stream of requests the next byte stands.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    state: State,
    lines: Lines,
    head: Head,
    /// Only in a parser that was asked to keep it.
    kept: Option<Box<Kept>>,
    /// Only where every request is to have a certain body.
    upload: Option<Upload>,
}

/// What has come of a body that is to be a certain one.
#[derive(Debug)]
struct Upload {
    expected: Arc<[u8]>,
    come: usize,
    is_right: bool,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    RequestLine,
    Fields,
    Body {
        remaining: u64,
    },
    ChunkSize,
    ChunkData {
        remaining: u64,
    },
    ChunkEnd,
    Trailers,
}

impl Parser {
    /// A parser that keeps what a server of files needs of each head.
    pub(crate) fn keeping() -> Self {
        Parser { kept: Some(Box::default()), ..Parser::default() }
    }

    /// A parser that refuses a request whose body is not `expected`, byte by byte.
    pub(crate) fn expecting(expected: Arc<[u8]>) -> Self {
        Parser { upload: Some(Upload { expected, come: 0, is_right: true }), ..Parser::default() }
    }

    /// What was kept of the request that came out last.
    pub(crate) fn take_kept(&mut self) -> Option<Kept> {
        self.kept.as_deref_mut().map(mem::take)
    }

    /// Takes bytes off `input` up to the next event; `None` when they are used up before one.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Refusal> {
        loop {
            match self.state {
                State::Body { remaining } => {
                    let remaining = self.take(input, remaining);
                    if remaining > 0 {
                        self.state = State::Body { remaining };
                        return Ok(None);
                    }
                    return self.complete().map(Some);
                }
                State::ChunkData { remaining } => {
                    let remaining = self.take(input, remaining);
                    if remaining > 0 {
                        self.state = State::ChunkData { remaining };
                        return Ok(None);
                    }
                    self.state = State::ChunkEnd;
                }
                _ => {
                    let Some(line) = self.lines.next(input)? else { return Ok(None) };
                    match self.state {
                        State::RequestLine => {
                            if self.head.begin(line)? {
                                self.state = State::Fields;
                                if let Some(kept) = &mut self.kept {
                                    kept.request_line(line);
                                }
                            }
                        }
                        State::Fields if line.is_empty() => {
                            self.state = self.head.framing()?;
                            let has_body = !matches!(self.state, State::Body { remaining: 0 });
                            if self.head.expects_continue && has_body && !self.head.old {
                                return Ok(Some(Event::ExpectsContinue));
                            }
                        }
                        State::Fields => {
                            let (name, value) = self.head.field(line)?;
                            if let Some(kept) = &mut self.kept {
                                kept.field(name, value);
                            }
                        }
                        State::ChunkSize => {
                            self.state = match chunk_size(line)? {
                                0 => State::Trailers,
                                remaining => State::ChunkData { remaining },
                            };
                        }
                        State::Trailers => {
                            if line.is_empty() {
                                return self.complete().map(Some);
                            }
                            split_field(line)?;
                        }
                        _ => {
                            // ChunkEnd: nothing but the line end may follow a chunk's data.
                            if !line.is_empty() {
                                return Err(Refusal::Malformed);
                            }
                            self.lines.head_bytes = 0;
                            self.state = State::ChunkSize;
                        }
                    }
                }
            }
        }
    }

    /// Nothing of the next request has been seen.
    pub(crate) fn is_between_requests(&self) -> bool {
        matches!(self.state, State::RequestLine) && self.lines.head_bytes == 0
    }

    /// Takes up to `remaining` bytes of a body off `input`; what remains after that.
    fn take(&mut self, input: &mut &[u8], remaining: u64) -> u64 {
        let here = usize::try_from(remaining).unwrap_or(usize::MAX).min(input.len());
        let (piece, rest) = input.split_at(here);
        if let Some(Upload { expected, come, is_right }) = &mut self.upload {
            *is_right &= expected.get(*come..*come + here) == Some(piece);
            *come += here;
        }
        *input = rest;
        remaining - here as u64
    }

    fn complete(&mut self) -> Result<Event, Refusal> {
        if let Some(Upload { expected, come, is_right }) = &mut self.upload {
            let is_whole = mem::take(come) == expected.len();
            if !(mem::replace(is_right, true) && is_whole) {
                return Err(Refusal::WrongUpload);
            }
        }
        let request = Request {
            old: self.head.old,
            head_only: self.head.head_only,
            persistent: if self.head.old {
                self.head.keep_alive && !self.head.close
            } else {
                !self.head.close
            },
        };
        self.state = State::RequestLine;
        self.head = Head::default();
        self.lines.head_bytes = 0;
        Ok(Event::Request(request))
    }
}

/// Lines out of pieces.
#[derive(Debug, Default)]
struct Lines {
    /// A line whose beginning came in an earlier piece.
    partial: Vec<u8>,
    /// The partial line was completed and handed out.
    handed_out: bool,
    /// Bytes of this head so far.
    head_bytes: usize,
}

impl Lines {
    /// The next line without its CRLF; `None` when `input` ends before it.
    fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<&'a [u8]>, Refusal> {
        if self.handed_out {
            self.partial.clear();
            self.handed_out = false;
        }
        let end = memchr(b'\n', input);
        let taken = end.map_or(input.len(), |end| end + 1);
        self.head_bytes += taken;
        if self.head_bytes > MAX_HEAD_BYTES {
            return Err(Refusal::HeadTooLarge);
        }
        let (piece, rest) = input.split_at(taken);
        *input = rest;
        if end.is_none() {
            self.partial.extend_from_slice(piece);
            return Ok(None);
        }
        let line = if self.partial.is_empty() {
            piece
        } else {
            self.partial.extend_from_slice(piece);
            self.handed_out = true;
            &self.partial
        };
        line.strip_suffix(b"\r\n").map(Some).ok_or(Refusal::Malformed)
    }
}

/// What the lines of one head have said so far.
#[derive(Debug, Default)]
struct Head {
    blank_line_seen: bool,
    old: bool,
    head_only: bool,
    hosts: u8,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    content_length: Option<u64>,
    chunked: bool,
}

impl Head {
    /// Reads the request line; `false` when it was the one blank line that may stand before it (§2.2).
    fn begin(&mut self, line: &[u8]) -> Result<bool, Refusal> {
        if line.is_empty() && !self.blank_line_seen {
            self.blank_line_seen = true;
            return Ok(false);
        }
        let mut words = line.split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Refusal::Malformed);
        };
        if !is_token(method) || target.is_empty() || target.iter().any(u8::is_ascii_control) {
            return Err(Refusal::Malformed);
        }
        if !(target.starts_with(b"/") || target == b"*" || target.starts_with(b"http")) {
            return Err(Refusal::Malformed);
        }
        self.old = match version {
            b"HTTP/1.0" => true,
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => false,
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
                return Err(Refusal::VersionNotSupported);
            }
            _ => return Err(Refusal::Malformed),
        };
        self.head_only = method == b"HEAD";
        if method == b"CONNECT" {
            return Err(Refusal::NotImplemented);
        }
        Ok(true)
    }

    /// Reads a field line; its name and value.
    fn field<'l>(&mut self, line: &'l [u8]) -> Result<(&'l [u8], &'l [u8]), Refusal> {
        let (name, value) = split_field(line)?;
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.hosts = self.hosts.saturating_add(1);
            }
            6 if name.eq_ignore_ascii_case(b"expect") => {
                self.expects_continue = value.eq_ignore_ascii_case(b"100-continue");
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = number(value, 10)?;
                if self.content_length.replace(length).is_some_and(|before| before != length) {
                    return Err(Refusal::Malformed);
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.old || mem::replace(&mut self.chunked, true) {
                    return Err(Refusal::Malformed);
                }
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::NotImplemented);
                }
            }
            _ => {}
        }
        Ok((name, value))
    }

    /// How the body that follows this head is framed (§6.3).
    fn framing(&self) -> Result<State, Refusal> {
        if self.hosts > 1 || (self.hosts == 0 && !self.old) {
            return Err(Refusal::Malformed);
        }
        match (self.chunked, self.content_length) {
            (true, Some(_)) => Err(Refusal::Malformed),
            (true, None) => Ok(State::ChunkSize),
            (false, length) => Ok(State::Body { remaining: length.unwrap_or(0) }),
        }
    }
}

/// Name and value of a field line; the white space around the value is taken off.
fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let colon = memchr(b':', line).ok_or(Refusal::Malformed)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if !is_token(name) || value.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t') {
        return Err(Refusal::Malformed);
    }
    Ok((name, value))
}

/// A chunk's size; its extensions are ignored (§7.1).
fn chunk_size(line: &[u8]) -> Result<u64, Refusal> {
    if line.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t') {
        return Err(Refusal::Malformed);
    }
    let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
    number(digits.trim_ascii_end(), 16)
}

/// Digits and nothing else, within a `u64`.
fn number(digits: &[u8], radix: u32) -> Result<u64, Refusal> {
    if digits.is_empty() {
        return Err(Refusal::Malformed);
    }
    digits
        .iter()
        .try_fold(0_u64, |number, &byte| {
            let digit = char::from(byte).to_digit(radix)?;
            number.checked_mul(u64::from(radix))?.checked_add(u64::from(digit))
        })
        .ok_or(Refusal::Malformed)
}

fn is_token(name: &[u8]) -> bool {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(is_tchar)
}

#[cfg(test)]
mod tests;
