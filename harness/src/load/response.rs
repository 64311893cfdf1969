//! Responses out of a stream of bytes, and where each one ends.
//!
//! Owns the grammar that a verifying client needs of RFC 9112 and no I/O; shares nothing with the parsers of the
//! balancer and of the backends. Rules: the result does not depend on how the bytes were cut; body bytes are handed
//! on, never kept; a head is copied only when it comes in parts, and never beyond [`MAX_HEAD_BYTES`]; what is wrong is
//! found with the line that it stands in, and not waited beyond.

use memchr::memchr;
use memchr::memmem::Finder;

/// The longest response head that is accepted, bytes.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;

/// What a head says that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub(crate) status: u16,
    /// Value of `X-Backend`.
    pub(crate) backend: Option<&'a [u8]>,
    /// Value of `Server`.
    pub(crate) server: Option<&'a [u8]>,
    /// `Cache-Status` says that a cache has given it.
    pub(crate) from_cache: bool,
    /// Whether a body may follow: not after HEAD, 204 and 304.
    pub(crate) may_have_body: bool,
}

/// Who takes what a response is made of.
pub(crate) trait Sink {
    /// The final head; interim ones (1xx) are skipped.
    fn head(&mut self, head: &Head<'_>);
    /// The next piece of the body, its framing taken off.
    fn body(&mut self, piece: &[u8]);
}

/// How far the bytes so far go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More bytes are needed, or the end of the stream.
    Partial,
    /// The response is whole; this many bytes of the last piece belonged to it.
    Complete { used: usize },
}

/// What is wrong with a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The stream ended first.
    Cut,
    /// It is no HTTP/1 response, or its framing is broken.
    Malformed(&'static str),
}

/// Where in a response the next byte stands.
#[derive(Debug)]
pub(crate) struct Parser {
    state: State,
    head_only: bool,
    persistent: bool,
    /// A head that came in parts.
    partial: Vec<u8>,
    /// Bytes of it whose lines have been found right.
    read: usize,
    head_end: Finder<'static>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Length { remaining: u64 },
    UntilClose,
    ChunkSize { size: u64, digits: u8 },
    ChunkExtension { size: u64 },
    ChunkSizeLf { size: u64 },
    ChunkData { remaining: u64 },
    ChunkDataCr,
    ChunkDataLf,
    TrailerStart,
    TrailerLine,
    TrailerLf,
    LastLf,
    Complete,
}

impl Parser {
    pub(crate) fn new() -> Self {
        Parser {
            state: State::Head,
            head_only: false,
            persistent: false,
            partial: Vec::new(),
            read: 0,
            head_end: Finder::new(b"\r\n\r\n"),
        }
    }

    /// Makes ready for the response to the next request; `head_only` when that was a HEAD.
    pub(crate) fn begin(&mut self, head_only: bool) {
        self.state = State::Head;
        self.head_only = head_only;
        self.persistent = false;
        self.partial.clear();
        self.read = 0;
    }

    /// Whether the connection may carry another request after this response.
    pub(crate) fn persistent(&self) -> bool {
        self.persistent
    }

    /// Goes through the next `piece` of the stream.
    pub(crate) fn read(&mut self, piece: &[u8], sink: &mut impl Sink) -> Result<Progress, Fault> {
        let mut at = 0;
        while self.state == State::Head {
            let Some(taken) = self.read_head(&piece[at..], sink)? else { return Ok(Progress::Partial) };
            at += taken;
        }
        match self.state {
            State::UntilClose => {
                if at < piece.len() {
                    sink.body(&piece[at..]);
                }
                return Ok(Progress::Partial);
            }
            State::Length { remaining } => {
                let (taken, remaining) = hand_on(&piece[at..], remaining, sink);
                at += taken;
                self.state = if remaining == 0 { State::Complete } else { State::Length { remaining } };
            }
            State::Complete => {}
            _ => at += self.read_chunks(&piece[at..], sink)?,
        }
        Ok(if self.state == State::Complete { Progress::Complete { used: at } } else { Progress::Partial })
    }

    /// The stream has ended: was that the end of the response?
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        match self.state {
            State::UntilClose | State::Complete => Ok(()),
            _ => Err(Fault::Cut),
        }
    }

    /// Takes one head off `piece`; how many bytes it took, or `None` when its end has not come.
    fn read_head(&mut self, piece: &[u8], sink: &mut impl Sink) -> Result<Option<usize>, Fault> {
        if self.partial.is_empty()
            && let Some(end) = self.head_end.find(piece)
        {
            if end > MAX_HEAD_BYTES {
                return Err(Fault::Malformed("its head is too long"));
            }
            self.end_head(&piece[..end], sink)?;
            return Ok(Some(end + 4));
        }
        let before = self.partial.len();
        self.partial
            .extend_from_slice(&piece[..piece.len().min(MAX_HEAD_BYTES + 4 - before.min(MAX_HEAD_BYTES))]);
        // The end may have begun in an earlier piece.
        let from = before.saturating_sub(3);
        let Some(end) = self.head_end.find(&self.partial[from..]) else {
            if self.partial.len() > MAX_HEAD_BYTES {
                return Err(Fault::Malformed("its head is too long"));
            }
            if !b"HTTP/1.".starts_with(&self.partial[..self.partial.len().min(7)]) {
                return Err(Fault::Malformed("it does not begin as an HTTP/1 response"));
            }
            self.read_lines()?;
            return Ok(None);
        };
        let end = from + end;
        let head = std::mem::take(&mut self.partial);
        let ended = self.end_head(&head[..end], sink);
        self.partial = head;
        self.partial.clear();
        self.read = 0;
        ended.map(|()| Some(end + 4 - before))
    }

    /// Judges each line of a head in parts as soon as it is whole, so that a server that ends its lines in another way
    /// is not waited for until it times out.
    fn read_lines(&mut self) -> Result<(), Fault> {
        while let Some(lf) = memchr(b'\n', &self.partial[self.read..]) {
            let mut rest = &self.partial[self.read..=self.read + lf];
            let line = next_line(&mut rest)?;
            match self.read {
                0 => status_line(line).map(drop)?,
                _ => Fields::default().read(line)?,
            }
            self.read += lf + 1;
        }
        Ok(())
    }

    /// Acts upon a whole head, given without the blank line at its end.
    fn end_head(&mut self, head: &[u8], sink: &mut impl Sink) -> Result<(), Fault> {
        let mut rest = head;
        let (old, status) = status_line(next_line(&mut rest)?)?;
        let mut fields = Fields::default();
        while !rest.is_empty() {
            fields.read(next_line(&mut rest)?)?;
        }
        if status == 101 {
            return Err(Fault::Malformed("it switches protocols unasked"));
        }
        if status < 200 {
            return Ok(());
        }
        if fields.chunked && fields.content_length.is_some() {
            return Err(Fault::Malformed("it has both Content-Length and Transfer-Encoding"));
        }
        let may_have_body = !(self.head_only || status == 204 || status == 304);
        self.state = match fields {
            _ if !may_have_body => State::Complete,
            Fields { chunked: true, .. } => State::ChunkSize { size: 0, digits: 0 },
            Fields { content_length: Some(0), .. } => State::Complete,
            Fields { content_length: Some(remaining), .. } => State::Length { remaining },
            _ => State::UntilClose,
        };
        self.persistent = self.state != State::UntilClose && !fields.close && (!old || fields.keep_alive);
        let Fields { backend, server, from_cache, .. } = fields;
        sink.head(&Head { status, backend, server, from_cache, may_have_body });
        Ok(())
    }

    /// Goes through chunks and trailers; how many bytes belonged to them.
    fn read_chunks(&mut self, piece: &[u8], sink: &mut impl Sink) -> Result<usize, Fault> {
        let broken = Err(Fault::Malformed("a chunk of its body is broken"));
        let mut at = 0;
        while at < piece.len() && self.state != State::Complete {
            if let State::ChunkData { remaining } = self.state {
                let (taken, remaining) = hand_on(&piece[at..], remaining, sink);
                at += taken;
                self.state = if remaining == 0 { State::ChunkDataCr } else { State::ChunkData { remaining } };
                continue;
            }
            let byte = piece[at];
            at += 1;
            self.state = match (self.state, byte) {
                (State::ChunkSize { size, digits }, byte) if byte.is_ascii_hexdigit() => {
                    if digits == 16 {
                        return broken;
                    }
                    let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                    State::ChunkSize { size: size << 4 | digit, digits: digits + 1 }
                }
                (State::ChunkSize { size, digits: 1.. } | State::ChunkExtension { size }, b'\r') => {
                    State::ChunkSizeLf { size }
                }
                (State::ChunkSize { size, digits: 1.. }, b';' | b' ' | b'\t') => {
                    State::ChunkExtension { size }
                }
                (State::ChunkExtension { size }, byte) if byte != b'\n' => State::ChunkExtension { size },
                (State::ChunkSizeLf { size: 0 } | State::TrailerLf, b'\n') => State::TrailerStart,
                (State::ChunkSizeLf { size }, b'\n') => State::ChunkData { remaining: size },
                (State::ChunkDataCr, b'\r') => State::ChunkDataLf,
                (State::ChunkDataLf, b'\n') => State::ChunkSize { size: 0, digits: 0 },
                (State::TrailerStart, b'\r') => State::LastLf,
                (State::LastLf, b'\n') => State::Complete,
                (State::TrailerLine, b'\r') => State::TrailerLf,
                (State::TrailerStart | State::TrailerLine, byte) if byte != b'\n' => State::TrailerLine,
                _ => return broken,
            };
        }
        Ok(at)
    }
}

/// Hands on up to `remaining` bytes of `piece`: how many that were, and what remains.
fn hand_on(piece: &[u8], remaining: u64, sink: &mut impl Sink) -> (usize, u64) {
    let here = usize::try_from(remaining).unwrap_or(usize::MAX).min(piece.len());
    if here > 0 {
        sink.body(&piece[..here]);
    }
    (here, remaining - here as u64)
}

/// Takes one line off `rest`, which does not end in a line end.
fn next_line<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Fault> {
    let Some(lf) = memchr(b'\n', rest) else { return Ok(std::mem::take(rest)) };
    let (line, after) = (&rest[..lf], &rest[lf + 1..]);
    *rest = after;
    line.strip_suffix(b"\r").ok_or(Fault::Malformed("a line of its head ends in a bare line feed"))
}

/// Whether it is HTTP/1.0, and the status.
fn status_line(line: &[u8]) -> Result<(bool, u16), Fault> {
    let broken = Fault::Malformed("it does not begin with an HTTP/1 status line");
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9', b' ', rest @ ..] = line else {
        return Err(broken);
    };
    let ([a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9']
    | [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', ..]) = rest
    else {
        return Err(broken);
    };
    let digit = |byte: &u8| u16::from(byte - b'0');
    Ok((*minor == b'0', 100 * digit(a) + 10 * digit(b) + digit(c)))
}

#[derive(Debug, Default)]
struct Fields<'a> {
    content_length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    backend: Option<&'a [u8]>,
    server: Option<&'a [u8]>,
    from_cache: bool,
}

impl<'a> Fields<'a> {
    fn read(&mut self, line: &'a [u8]) -> Result<(), Fault> {
        let colon = memchr(b':', line).ok_or(Fault::Malformed("a line of its head has no colon"))?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || name[0] == b' ' || name[0] == b'\t' || name[colon - 1] == b' ' {
            return Err(Fault::Malformed("a field name in its head is broken"));
        }
        match name.len() {
            6 if name.eq_ignore_ascii_case(b"server") => self.server = Some(value.trim_ascii()),
            9 if name.eq_ignore_ascii_case(b"x-backend") => self.backend = Some(value.trim_ascii()),
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            12 if name.eq_ignore_ascii_case(b"cache-status") => self.from_cache |= says_hit(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = decimal(value.trim_ascii())?;
                if self.content_length.replace(length).is_some_and(|before| before != length) {
                    return Err(Fault::Malformed("its Content-Lengths differ"));
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Fault::Malformed("its Transfer-Encoding is not plain chunked"));
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether a `Cache-Status` (RFC 9211) says that a stored response was given, or that of another request's fetch.
fn says_hit(value: &[u8]) -> bool {
    let parameters = value.split(|byte| matches!(byte, b';' | b',')).map(<[u8]>::trim_ascii);
    parameters
        .into_iter()
        .any(|parameter| matches!(parameter, b"hit" | b"hit=?1" | b"collapsed" | b"collapsed=?1"))
}

fn decimal(digits: &[u8]) -> Result<u64, Fault> {
    digits
        .iter()
        .try_fold(0_u64, |number, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            number.checked_mul(10)?.checked_add(digit)
        })
        .filter(|_| !digits.is_empty())
        .ok_or(Fault::Malformed("its Content-Length is no number"))
}

#[cfg(test)]
mod tests;
