//! Heads of requests and responses: read with httparse, judged strictly, written anew for the other side.
//!
//! Owns what a head means (framing, persistence, expectation) and which fields cross the proxy. Does not decide what
//! happens next. Rules: a head is judged from the bytes up to its end or the limit and from nothing behind
//! them, so that the result does not depend on how the input was split; nothing is forwarded that a strict reading of
//! RFC 9112 refuses; hop-by-hop fields end here (RFC 9110 section 7.6.1).

use httparse::{EMPTY_HEADER, Header, Status};
use memchr::{memchr, memchr_iter, memrchr};

use super::body::Framing;
use super::buf::Buf;
use super::error::Error;
use super::field::{self, Field, is_authority, list};
use super::limits::{Limits, MOST_FIELDS};

/// The name that this proxy gives itself in `Via` (RFC 9110 section 7.6.3).
const VIA: &[u8] = b"1.1 roundtable";

/// One reason for all that a parser may stumble over first: which it is depends on how the input was split.
const NOT_STRICT: &str = "a head is not strictly one of HTTP/1.1";

/// What a request's head said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) framing: Framing,
    /// HTTP/1.1: understands chunked and interim responses.
    pub(crate) is_1_1: bool,
    /// The client would send another request on this connection.
    pub(crate) persistent: bool,
    /// The request may be sent twice (RFC 9110 section 9.2.2).
    pub(crate) idempotent: bool,
    pub(crate) is_head: bool,
    /// `Expect: 100-continue` from a client of HTTP/1.1.
    pub(crate) expects_continue: bool,
}

impl Request {
    /// Nothing was asked yet.
    pub(crate) const NONE: Request = Request {
        framing: Framing::Empty,
        is_1_1: false,
        persistent: false,
        idempotent: false,
        is_head: false,
        expects_continue: false,
    };
}

/// What a response's head said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) framing: Framing,
    /// The backend keeps the connection open and its framing can be trusted.
    pub(crate) persistent: bool,
    /// The client was told that its connection stays open.
    pub(crate) client_persists: bool,
}

impl Response {
    /// Nothing was answered yet.
    pub(crate) const NONE: Response =
        Response { framing: Framing::Empty, persistent: false, client_persists: false };
}

/// A response's head as far as it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 1xx: it was written out and another head follows.
    Interim,
    /// The final one.
    Final(Response),
}

/// Who asks, for the fields that the proxy adds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    /// The client's address without its port.
    pub(crate) client: &'a str,
    /// The authority for a client of HTTP/1.0 that names none.
    pub(crate) authority: &'a str,
}

/// Reads a request's head from the front of `input` and writes it for a backend into `out`. `None` when more input
/// is needed; else the meaning and the length in `input`.
pub(crate) fn request(
    input: &mut [u8],
    limits: &Limits,
    context: Context<'_>,
    out: &mut Buf,
) -> Result<Option<(Request, usize)>, Error> {
    // One empty line before the request line is forgiven (section 2.2).
    let skipped = match input {
        [b'\n', ..] | [b'\r', b'\n', b'\r' | b'\n', ..] => return Err(Error::Malformed(NOT_STRICT)),
        [b'\r', b'\n', ..] => 2,
        [b'\r'] => return Ok(None),
        _ => 0,
    };
    let seen = (input.len() - skipped).min(limits.head_bytes);
    let mut head = &mut input[skipped..skipped + seen];
    let most_line = limits.request_line_bytes + 2;
    let line_is_too_long = head.len() >= most_line && memchr(b'\n', &head[..most_line]).is_none();
    if line_is_too_long {
        head = &mut head[..most_line];
    }
    accept_minor_versions(head);
    let mut fields = [EMPTY_HEADER; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    let result = parsed.parse(head);
    if !matches!(result, Err(httparse::Error::Version)) {
        ends_lines_in_crlf(head, result).map_err(|()| Error::Malformed(NOT_STRICT))?;
    }
    let length = match result {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if line_is_too_long => return Err(Error::TargetTooLong),
        Ok(Status::Partial) if seen == limits.head_bytes => return Err(Error::HeadTooLarge),
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::Version) if version_is_unfinished(head) => return Ok(None),
        Err(httparse::Error::Version) if names_a_version(head) => return Err(Error::Version),
        Err(httparse::Error::TooManyHeaders) => return Err(Error::HeadTooLarge),
        Err(_) => return Err(Error::Malformed(NOT_STRICT)),
    };
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Error::Malformed("the request line is incomplete"));
    };
    if parsed.headers.len() > limits.fields {
        return Err(Error::HeadTooLarge);
    }
    let seen = RequestFields::read(parsed.headers, minor == 1)?;
    let target = Target::read(method, target)?;
    let meaning = seen.meaning(method, minor == 1)?;
    if meaning.framing.length().is_some_and(|length| length > limits.body_bytes) {
        return Err(Error::BodyTooLarge);
    }
    let host = target.authority.or(seen.host).unwrap_or(context.authority.as_bytes());
    let mut writer = Writer::new(out);
    writer.put(&[method.as_bytes(), b" ", target.prefix, target.path, b" HTTP/1.1\r\nHost: ", host, b"\r\n"]);
    writer.forward(parsed.headers, seen.names_fields, |field| matches!(field, Field::Other | Field::Via));
    writer.framing(meaning.framing);
    writer.put(&[b"Via: ", if minor == 1 { VIA } else { b"1.0 roundtable" }, b"\r\nX-Forwarded-For: "]);
    let is_forwarded_for = |header: &&Header<'_>| Field::of(header.name.as_bytes()) == Field::ForwardedFor;
    let ends_here = seen.names_fields && is_named(parsed.headers, b"x-forwarded-for");
    for header in parsed.headers.iter().filter(|header| !ends_here && is_forwarded_for(header)) {
        writer.put(&[header.value, b", "]);
    }
    writer.put(&[context.client.as_bytes(), b"\r\n\r\n"]);
    writer.finish()?;
    Ok(Some((meaning, skipped + length)))
}

/// `HTTP/1.2` to `HTTP/1.9` are read as 1.1 (RFC 9110 section 2.5), which httparse does not do by itself.
fn accept_minor_versions(head: &mut [u8]) {
    let Some(end) = memchr(b'\r', head) else { return };
    let Some(space) = memrchr(b' ', &head[..end]) else { return };
    if let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'2'..=b'9'] = &mut head[space + 1..end] {
        *minor = b'1';
    }
}

/// Whether httparse refused a minor version before its line has ended.
fn version_is_unfinished(head: &[u8]) -> bool {
    memchr(b'\r', head).is_none()
        && matches!(head, [.., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'])
}

/// Whether what stands in the version's place is one of HTTP at all.
fn names_a_version(head: &[u8]) -> bool {
    let mut spaces = memchr_iter(b' ', head);
    spaces.next();
    spaces.next().is_some_and(|second| head[second + 1..].starts_with(b"HTTP/"))
}

/// httparse accepts a bare LF; RFC 9112 section 2.2 lets a recipient refuse it, and a proxy had better.
fn ends_lines_in_crlf(head: &[u8], result: httparse::Result<usize>) -> Result<(), ()> {
    let head = match result {
        Ok(Status::Complete(length)) => &head[..length],
        _ => head,
    };
    let strict = memchr_iter(b'\n', head).all(|at| at > 0 && head[at - 1] == b'\r');
    if strict { Ok(()) } else { Err(()) }
}

/// What the fields of a request say, beyond being forwarded.
#[derive(Debug, Default)]
struct RequestFields<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    names_fields: bool,
    expects_continue: bool,
}

impl<'a> RequestFields<'a> {
    fn read(headers: &[Header<'a>], is_1_1: bool) -> Result<Self, Error> {
        let mut seen = RequestFields::default();
        for header in headers {
            match Field::of(header.name.as_bytes()) {
                Field::Host => {
                    if seen.host.is_some() || !is_authority(header.value) {
                        return Err(Error::Malformed("there must be one Host, and it must be valid"));
                    }
                    seen.host = Some(header.value);
                }
                Field::ContentLength => {
                    add_length(&mut seen.length, header.value).map_err(Error::Malformed)?;
                }
                Field::TransferEncoding => {
                    if seen.chunked {
                        return Err(Error::Malformed("there are two Transfer-Encodings"));
                    }
                    if !header.value.eq_ignore_ascii_case(b"chunked") {
                        return Err(Error::Coding);
                    }
                    seen.chunked = true;
                }
                Field::Connection => {
                    let options = connection_options(header.value);
                    seen.close |= options.close;
                    seen.keep_alive |= options.keep_alive;
                    seen.names_fields |= options.names_fields;
                }
                Field::Expect => {
                    if !header.value.eq_ignore_ascii_case(b"100-continue") {
                        return Err(Error::Expectation);
                    }
                    seen.expects_continue = true;
                }
                Field::ForwardedFor | Field::Via | Field::HopByHop | Field::Other => {}
            }
        }
        if is_1_1 && seen.host.is_none() {
            return Err(Error::Malformed("there must be one Host, and it must be valid"));
        }
        if seen.chunked && (seen.length.is_some() || !is_1_1) {
            return Err(Error::Malformed("Transfer-Encoding stands beside Content-Length or in HTTP/1.0"));
        }
        Ok(seen)
    }

    fn meaning(&self, method: &str, is_1_1: bool) -> Result<Request, Error> {
        if matches!(method, "TRACE" | "CONNECT") {
            return Err(Error::Method);
        }
        Ok(Request {
            framing: match (self.chunked, self.length) {
                (true, _) => Framing::Chunked,
                (false, None) => Framing::Empty,
                (false, Some(length)) => Framing::Length(length),
            },
            is_1_1,
            persistent: !self.close && (is_1_1 || self.keep_alive),
            idempotent: matches!(method, "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS"),
            is_head: method == "HEAD",
            expects_continue: self.expects_continue && is_1_1,
        })
    }
}

/// A request target in the form that a backend gets: `prefix` and `path` written one after the other.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    authority: Option<&'a [u8]>,
    prefix: &'static [u8],
    path: &'a [u8],
}

impl<'a> Target<'a> {
    /// RFC 9112 section 3.2. CONNECT's authority-form is left to be refused for its method.
    fn read(method: &str, target: &'a str) -> Result<Self, Error> {
        let target = target.as_bytes();
        if method == "CONNECT" {
            return Err(Error::Method);
        }
        if target == b"*" && method == "OPTIONS" {
            return Ok(Target { authority: None, prefix: b"", path: target });
        }
        let scheme = [b"http://".as_slice(), b"https://"].into_iter().find(|scheme| {
            target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        });
        let (authority, path) = match scheme {
            None => (None, target),
            Some(scheme) => {
                let rest = &target[scheme.len()..];
                let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
                if !is_authority(&rest[..end]) {
                    return Err(Error::Malformed("the request target's authority is invalid"));
                }
                (Some(&rest[..end]), &rest[end..])
            }
        };
        let prefix: &[u8] = match (path.first(), authority) {
            (Some(b'/'), _) => b"",
            (None, Some(_)) if method == "OPTIONS" => b"*",
            (None | Some(b'?'), Some(_)) => b"/",
            _ => return Err(Error::Malformed("the request target does not begin with a slash")),
        };
        if !path.iter().all(|byte| field::is_target(*byte)) {
            return Err(Error::Malformed("the request target has a byte that must be percent-encoded"));
        }
        Ok(Target { authority, prefix, path })
    }
}

/// Reads a response's head from the front of `input` and writes it for the client into `out`. `None` when more input
/// is needed; else the meaning and the length in `input`. `persistent` says whether the client's connection stays
/// open if the response's framing lets it.
pub(crate) fn response(
    input: &[u8],
    limits: &Limits,
    asked: &Request,
    persistent: bool,
    out: &mut Buf,
) -> Result<Option<(Answer, usize)>, Error> {
    let head = &input[..input.len().min(limits.head_bytes)];
    let mut fields = [EMPTY_HEADER; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut fields);
    let result = parsed.parse(head);
    ends_lines_in_crlf(head, result).map_err(|()| Error::BadGateway(NOT_STRICT))?;
    let length = match result {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if head.len() == limits.head_bytes => {
            return Err(Error::BadGateway("its head is too large"));
        }
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(Error::BadGateway(NOT_STRICT)),
    };
    let (Some(code), Some(minor)) = (parsed.code, parsed.version) else {
        return Err(Error::BadGateway("its status line is incomplete"));
    };
    if parsed.headers.len() > limits.fields {
        return Err(Error::BadGateway("its head has too many fields"));
    }
    if !(100..=999).contains(&code) || code == 101 {
        return Err(Error::BadGateway("its status is not one that can be forwarded"));
    }
    let seen = ResponseFields::read(parsed.headers, minor == 1)?;
    let mut writer = Writer::new(out);
    let digits = [b'0' + (code / 100) as u8, b'0' + (code / 10 % 10) as u8, b'0' + (code % 10) as u8];
    writer.put(&[b"HTTP/1.1 ", &digits, b" ", parsed.reason.unwrap_or("").as_bytes(), b"\r\n"]);
    writer.forward(parsed.headers, seen.names_fields, |field| {
        !matches!(field, Field::ContentLength | Field::TransferEncoding | Field::Connection | Field::HopByHop)
    });
    if code < 200 {
        writer.put(&[b"\r\n"]);
        writer.finish().map_err(|_| Error::BadGateway("its head is too large"))?;
        return Ok(Some((Answer::Interim, length)));
    }
    let framing = seen.framing(code, asked.is_head);
    let described = match seen.described(code) {
        Framing::UntilClose if asked.is_1_1 && !asked.is_head => Framing::Chunked,
        Framing::Chunked if !asked.is_1_1 => Framing::UntilClose,
        other => other,
    };
    writer.framing(described);
    let stays = persistent && !(described == Framing::UntilClose && framing != Framing::Empty);
    writer.put(&[b"Via: ", if minor == 1 { VIA } else { b"1.0 roundtable" }, b"\r\n"]);
    if !stays {
        writer.put(&[b"Connection: close\r\n"]);
    } else if !asked.is_1_1 {
        writer.put(&[b"Connection: keep-alive\r\n"]);
    }
    writer.put(&[b"\r\n"]);
    writer.finish().map_err(|_| Error::BadGateway("its head is too large"))?;
    // A backend that announces a body where there can be none may still send it.
    let trusted = !(matches!(code, 204) && (seen.chunked || seen.length.is_some_and(|length| length > 0)));
    let persistent =
        trusted && framing != Framing::UntilClose && !seen.close && (minor == 1 || seen.keep_alive);
    Ok(Some((Answer::Final(Response { framing, persistent, client_persists: stays }), length)))
}

#[derive(Debug, Default)]
struct ResponseFields {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    names_fields: bool,
}

impl ResponseFields {
    fn read(headers: &[Header<'_>], is_1_1: bool) -> Result<Self, Error> {
        let mut seen = ResponseFields::default();
        for header in headers {
            match Field::of(header.name.as_bytes()) {
                Field::ContentLength => {
                    add_length(&mut seen.length, header.value).map_err(Error::BadGateway)?;
                }
                Field::TransferEncoding => {
                    if seen.chunked || !header.value.eq_ignore_ascii_case(b"chunked") {
                        return Err(Error::BadGateway("its transfer coding is not chunked alone"));
                    }
                    seen.chunked = true;
                }
                Field::Connection => {
                    let options = connection_options(header.value);
                    seen.close |= options.close;
                    seen.keep_alive |= options.keep_alive;
                    seen.names_fields |= options.names_fields;
                }
                _ => {}
            }
        }
        if seen.chunked && (seen.length.is_some() || !is_1_1) {
            return Err(Error::BadGateway("Transfer-Encoding stands beside Content-Length or in HTTP/1.0"));
        }
        Ok(seen)
    }

    /// The framing that the fields describe, whether or not a body follows (HEAD, 304).
    fn described(&self, code: u16) -> Framing {
        match (self.chunked, self.length) {
            _ if code == 204 => Framing::Empty,
            (true, _) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) if code == 304 => Framing::Empty,
            (false, None) => Framing::UntilClose,
        }
    }

    /// RFC 9112 section 6.3.
    fn framing(&self, code: u16, is_head: bool) -> Framing {
        if is_head || code == 204 || code == 304 { Framing::Empty } else { self.described(code) }
    }
}

/// Adds one Content-Length field to what earlier ones said (RFC 9112 section 6.3): equal ones count as one.
fn add_length(known: &mut Option<u64>, value: &[u8]) -> Result<(), &'static str> {
    for member in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        if member.is_empty() || !member.iter().all(u8::is_ascii_digit) {
            return Err("a Content-Length is not a number");
        }
        let mut length: u64 = 0;
        for digit in member {
            length = length
                .checked_mul(10)
                .and_then(|length| length.checked_add(u64::from(digit - b'0')))
                .ok_or("a Content-Length is too large")?;
        }
        if known.is_some_and(|known| known != length) {
            return Err("two Content-Lengths differ");
        }
        *known = Some(length);
    }
    Ok(())
}

#[derive(Debug, Default)]
struct ConnectionOptions {
    close: bool,
    keep_alive: bool,
    names_fields: bool,
}

fn connection_options(value: &[u8]) -> ConnectionOptions {
    let mut options = ConnectionOptions::default();
    for option in list(value) {
        if option.eq_ignore_ascii_case(b"close") {
            options.close = true;
        } else if option.eq_ignore_ascii_case(b"keep-alive") {
            options.keep_alive = true;
        } else {
            options.names_fields = true;
        }
    }
    options
}

/// Writes a head; remembers when it did not fit.
struct Writer<'a> {
    out: &'a mut Buf,
    fits: bool,
}

impl<'a> Writer<'a> {
    fn new(out: &'a mut Buf) -> Self {
        Writer { out, fits: true }
    }

    fn put(&mut self, pieces: &[&[u8]]) {
        for piece in pieces {
            self.fits = self.fits && self.out.push(piece);
        }
    }

    /// Writes the fields that cross the proxy: `crosses`, and not named in a Connection field. `Host` and framing are
    /// written by their own rules, so naming them there takes nothing off.
    fn forward(&mut self, headers: &[Header<'_>], names_fields: bool, crosses: impl Fn(Field) -> bool) {
        for header in headers {
            let name = header.name.as_bytes();
            if crosses(Field::of(name)) && !(names_fields && is_named(headers, name)) {
                self.put(&[name, b": ", header.value, b"\r\n"]);
            }
        }
    }

    fn framing(&mut self, framing: Framing) {
        match framing {
            Framing::Empty | Framing::UntilClose => {}
            Framing::Chunked => self.put(&[b"Transfer-Encoding: chunked\r\n"]),
            Framing::Length(length) => {
                let mut digits = [0; 20];
                self.put(&[b"Content-Length: ", decimal(length, &mut digits), b"\r\n"]);
            }
        }
    }

    fn finish(self) -> Result<(), Error> {
        if self.fits { Ok(()) } else { Err(Error::HeadTooLarge) }
    }
}

fn is_named(headers: &[Header<'_>], name: &[u8]) -> bool {
    headers
        .iter()
        .filter(|header| Field::of(header.name.as_bytes()) == Field::Connection)
        .flat_map(|header| list(header.value))
        .any(|option| option.eq_ignore_ascii_case(name))
}

fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}
