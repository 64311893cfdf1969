//! A reader of HTTP/1.1 messages (RFC 9112) that is independent of the core, to judge the core by.
//!
//! Owns the grammar and the framing of one message, in two degrees: what may be *sent*, to the letter, and what may be
//! *received*, which adds the leniency that the RFC and this proxy's documents grant and nothing else. Shares no code
//! with the core, uses no parsing library, and is written for being checked by eye, not for speed. What has to be
//! the same on both sides of a proxy stands in `oracle`.

use crate::grammar::{is_authority, is_field_byte, is_target_byte, is_tchar, text, trim, trim_start};

/// How much is forgiven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// What this proxy may send: HTTP/1.1 to the letter, but for targets, which are as browsers write them.
    Sent,
    /// What it may accept besides: HTTP/1.0 to 1.9, one empty line before a request, targets in absolute-form, equal
    /// Content-Lengths with zeros before them, chunk extensions, a status line without its last space.
    Received,
}

/// How a body's end is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// Names in lower case, values without white space around them.
pub type Fields = Vec<(String, Vec<u8>)>;

/// A body as far as it goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    pub data: Vec<u8>,
    pub trailers: Fields,
    /// The end that its framing announces was reached. Never, for one that ends with the connection.
    pub is_whole: bool,
    /// Bytes on the wire.
    pub length: usize,
    /// Why what follows can be no body.
    pub fault: Option<&'static str>,
}

/// A message whose head is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<Start> {
    pub start: Start,
    pub fields: Fields,
    /// What the fields describe.
    pub framing: Framing,
    pub body: Body,
    /// Bytes of head and body on the wire.
    pub length: usize,
}

/// A request line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub method: String,
    /// In the form that an origin server gets.
    pub target: String,
    /// From a target in absolute-form.
    pub authority: Option<String>,
    pub minor: u8,
}

/// A status line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    pub code: u16,
    pub minor: u8,
}

pub type Request = Message<Asked>;
pub type Response = Message<Answered>;

/// Why something is not HTTP/1.1.
pub type Fault = &'static str;

/// The request at the front of `bytes`; `None` when its head is not whole.
pub fn request(bytes: &[u8], reading: Reading) -> Result<Option<Request>, Fault> {
    let skipped = if reading == Reading::Received && bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let Some((first, fields, head)) = head(&bytes[skipped..])? else { return Ok(None) };
    let parts: Vec<&[u8]> = first.split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts[..] else { return Err("a request line has three parts") };
    let minor = version_minor(version, reading)?;
    if method.is_empty() || !method.iter().all(|byte| is_tchar(*byte)) {
        return Err("a method is a token");
    }
    let method = text(method);
    let (target, authority) = read_target(&method, target, reading)?;
    let hosts: Vec<_> = fields.iter().filter(|(name, _)| name == "host").collect();
    match hosts[..] {
        [(_, host)] if is_authority(host) => {}
        [] if minor == 0 => {}
        _ => return Err("a request has one valid Host"),
    }
    let hops: Vec<_> = fields.iter().filter(|(name, _)| name == "max-forwards").collect();
    match hops[..] {
        [(_, value)] if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {}
        [] => {}
        _ if method != "OPTIONS" => {}
        _ => return Err("OPTIONS is forwarded a number of times"),
    }
    let framing = match framing(&fields, minor, reading)? {
        Framing::UntilClose => Framing::None,
        framing => framing,
    };
    let start = Asked { method, target, authority, minor };
    Ok(Some(finish(start, fields, framing, framing, &bytes[skipped + head..], skipped + head, reading)))
}

/// Whether what stands here, request or not, asks for no body.
pub fn asks_for_head(bytes: &[u8]) -> bool {
    bytes.strip_prefix(b"\r\n").unwrap_or(bytes).starts_with(b"HEAD ")
}

/// The response at the front of `bytes`, in answer to a HEAD request or to another one; `None` when its head is not
/// whole.
pub fn response(bytes: &[u8], to_head: bool, reading: Reading) -> Result<Option<Response>, Fault> {
    let Some((first, fields, head)) = head(bytes)? else { return Ok(None) };
    let (version, rest) = first.split_at_checked(8).ok_or("a status line begins with the version")?;
    let minor = version_minor(version, reading)?;
    let (code, reason) = rest.split_at_checked(4).ok_or("a status line has a status")?;
    let [b' ', digits @ ..] = code else { return Err("a space stands before the status") };
    if !digits.iter().all(u8::is_ascii_digit) || digits[0] == b'0' {
        return Err("a status is three digits");
    }
    match reason {
        [] if reading == Reading::Received => {}
        [b' ', reason @ ..] if reason.iter().all(|byte| is_field_byte(*byte)) => {}
        _ => return Err("a status line ends with a reason, even if it is empty"),
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    let described = framing(&fields, minor, reading)?;
    let bodiless = to_head || code < 200 || code == 204 || code == 304;
    if reading == Reading::Sent && (code < 200 || code == 204) && described != Framing::UntilClose {
        return Err("a response without content has no framing");
    }
    let start = Answered { code, minor };
    let actual = if bodiless { Framing::None } else { described };
    Ok(Some(finish(start, fields, described, actual, &bytes[head..], head, reading)))
}

fn finish<Start>(
    start: Start,
    fields: Fields,
    framing: Framing,
    actual: Framing,
    rest: &[u8],
    head: usize,
    reading: Reading,
) -> Message<Start> {
    let body = body(actual, rest, reading);
    let length = head + body.length;
    Message { start, fields, framing, body, length }
}

/// First line, fields, and the length of both with the empty line.
type Head<'a> = (&'a [u8], Fields, usize);

fn head(bytes: &[u8]) -> Result<Option<Head<'_>>, Fault> {
    let Some((first, mut at)) = line(bytes)? else { return Ok(None) };
    let mut fields = Vec::new();
    loop {
        let Some((line, length)) = line(&bytes[at..])? else { return Ok(None) };
        at += length;
        if line.is_empty() {
            return Ok(Some((first, fields, at)));
        }
        fields.push(field(line)?);
    }
}

/// The line at the front without its CRLF, and its length with it.
fn line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Fault> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    match bytes[..end].strip_suffix(b"\r") {
        Some(line) if !line.contains(&b'\r') => Ok(Some((line, end + 1))),
        _ => Err("a line ends in CRLF, and CR stands nowhere else"),
    }
}

/// `field-line = field-name ":" OWS field-value OWS`
fn field(line: &[u8]) -> Result<(String, Vec<u8>), Fault> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or("a field has a colon")?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(|byte| is_tchar(*byte)) {
        return Err("a field name is a token");
    }
    if !value.iter().all(|byte| is_field_byte(*byte)) {
        return Err("a field value has no control bytes");
    }
    Ok((text(name).to_ascii_lowercase(), trim(value).to_vec()))
}

fn version_minor(version: &[u8], reading: Reading) -> Result<u8, Fault> {
    match (version, reading) {
        (b"HTTP/1.0", Reading::Received) => Ok(0),
        (b"HTTP/1.1", _) | ([b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'], Reading::Received) => {
            Ok(1)
        }
        _ => Err("the version is not one of HTTP/1"),
    }
}

/// RFC 9112 section 3.2.
fn read_target(method: &str, target: &[u8], reading: Reading) -> Result<(String, Option<String>), Fault> {
    if target == b"*" {
        return if method == "OPTIONS" { Ok(("*".into(), None)) } else { Err("only OPTIONS asks for *") };
    }
    if target.starts_with(b"/") {
        return if target.iter().all(|byte| is_target_byte(*byte)) {
            Ok((text(target), None))
        } else {
            Err("a target is a path and a query")
        };
    }
    let lower = target.to_ascii_lowercase();
    let scheme = ["http://", "https://"].into_iter().find(|scheme| lower.starts_with(scheme.as_bytes()));
    let (Some(scheme), Reading::Received) = (scheme, reading) else { return Err("a target begins with /") };
    let rest = &target[scheme.len()..];
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if !is_authority(authority) || !path.iter().all(|byte| is_target_byte(*byte)) {
        return Err("a target in absolute-form is a URI");
    }
    let path = match (path.first(), method) {
        (None, "OPTIONS") => "*".into(),
        (Some(b'/'), _) => text(path),
        _ => format!("/{}", text(path)),
    };
    Ok((path, Some(text(authority))))
}

/// RFC 9112 section 6.3; `UntilClose` when nothing is said.
fn framing(fields: &Fields, minor: u8, reading: Reading) -> Result<Framing, Fault> {
    let values = |wanted: &str| -> Vec<&[u8]> {
        fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_slice()).collect()
    };
    let (codings, lengths) = (values("transfer-encoding"), values("content-length"));
    match (&codings[..], &lengths[..]) {
        ([], []) => Ok(Framing::UntilClose),
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") && minor > 0 => Ok(Framing::Chunked),
        ([], [only]) if reading == Reading::Sent => {
            let canonical = *only == b"0" || only.first() != Some(&b'0');
            if canonical { length(only).map(Framing::Length) } else { Err("a length has zeros before it") }
        }
        ([], several) => {
            let mut all = several.iter().flat_map(|value| value.split(|byte| *byte == b',')).map(trim);
            let first = length(all.next().unwrap_or_default())?;
            all.try_for_each(
                |other| {
                    if length(other)? == first { Ok(()) } else { Err("two lengths differ") }
                },
            )?;
            Ok(Framing::Length(first))
        }
        _ => Err("there is one framing, and it is known"),
    }
}

fn length(digits: &[u8]) -> Result<u64, Fault> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err("a length is a number");
    }
    text(digits).parse().map_err(|_| "a length is one that can be counted")
}

fn body(framing: Framing, rest: &[u8], reading: Reading) -> Body {
    match framing {
        Framing::None => Body { is_whole: true, ..Body::default() },
        Framing::Length(length) => {
            let there = usize::try_from(length).map_or(rest.len(), |length| length.min(rest.len()));
            let is_whole = there as u64 == length;
            Body { data: rest[..there].to_vec(), is_whole, length: there, ..Body::default() }
        }
        Framing::UntilClose => Body { data: rest.to_vec(), length: rest.len(), ..Body::default() },
        Framing::Chunked => chunked(rest, reading),
    }
}

/// RFC 9112 section 7.1.
pub fn chunked(bytes: &[u8], reading: Reading) -> Body {
    let mut body = Body::default();
    if let Err(fault) = read_chunks(bytes, reading, &mut body) {
        body.fault = Some(fault);
    }
    body
}

fn read_chunks(bytes: &[u8], reading: Reading, body: &mut Body) -> Result<(), Fault> {
    while let Some((first, length)) = line(&bytes[body.length..])? {
        let size = chunk_size(first, reading)?;
        body.length += length;
        if size == 0 {
            return read_trailer(bytes, body);
        }
        let rest = &bytes[body.length..];
        let there = usize::try_from(size).map_or(rest.len(), |size| size.min(rest.len()));
        body.data.extend_from_slice(&rest[..there]);
        body.length += there;
        match rest[there..] {
            _ if (there as u64) < size => break,
            [b'\r', b'\n', ..] => body.length += 2,
            [] | [b'\r'] => break,
            _ => return Err("chunk data ends in CRLF"),
        }
    }
    body.length = bytes.len();
    Ok(())
}

fn chunk_size(line: &[u8], reading: Reading) -> Result<u64, Fault> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    match trim_start(&line[digits..]) {
        [] if digits == line.len() => {}
        extension @ [b';', ..]
            if reading == Reading::Received && extension.iter().all(|b| is_field_byte(*b)) => {}
        _ => return Err("a chunk size is followed by an extension or nothing"),
    }
    u64::from_str_radix(&text(&line[..digits]), 16).map_err(|_| "a chunk size is a number in hexadecimal")
}

fn read_trailer(bytes: &[u8], body: &mut Body) -> Result<(), Fault> {
    while let Some((line, length)) = line(&bytes[body.length..])? {
        body.length += length;
        if line.is_empty() {
            body.is_whole = true;
            return Ok(());
        }
        body.trailers.push(field(line)?);
    }
    body.length = bytes.len();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POST: &str = "POST /a?b=%20 HTTP/1.1\r\nHost: h:1\r\nTransfer-Encoding: chunked\r\n\r\n";

    #[test]
    fn a_message_is_read_to_its_end_and_no_further() {
        let input = format!("{POST}5\r\nhello\r\n0\r\nX: y\r\n\r\nGET");
        let request = request(input.as_bytes(), Reading::Sent).unwrap().unwrap();
        assert_eq!((request.start.method.as_str(), request.start.target.as_str()), ("POST", "/a?b=%20"));
        assert_eq!((request.body.data.as_slice(), request.body.is_whole), (b"hello".as_slice(), true));
        assert_eq!((request.body.trailers.len(), request.length), (1, input.len() - 3));
    }

    #[test]
    fn what_is_not_whole_is_no_fault() {
        let input = format!("{POST}5\r\nhello\r\n0\r\nX: y\r\n\r\n");
        for end in 0..input.len() {
            let read = request(&input.as_bytes()[..end], Reading::Sent).unwrap();
            assert_eq!(read.is_some(), end >= POST.len());
            assert!(read.is_none_or(|read| !read.body.is_whole && read.body.fault.is_none()));
        }
    }

    #[test]
    fn what_may_be_received_but_not_sent() {
        for input in [
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
            "GET http://b HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 01, 1\r\n\r\n",
        ] {
            assert!(request(input.as_bytes(), Reading::Received).unwrap().is_some(), "{input:?}");
            assert!(request(input.as_bytes(), Reading::Sent).is_err(), "{input:?}");
        }
        assert!(chunked(b"5 ;x\r\nhello\r\n0\r\n\r\n", Reading::Received).is_whole);
        assert!(chunked(b"5 ;x\r\nhello\r\n0\r\n\r\n", Reading::Sent).fault.is_some());
    }

    #[test]
    fn what_is_no_request_in_any_reading() {
        for input in [
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n X: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
            "GET /<x> HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n",
            "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: x\r\n\r\n",
            "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\nMax-Forwards: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a%\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        ] {
            assert!(request(input.as_bytes(), Reading::Received).is_err(), "{input:?}");
        }
        for body in ["\r\n", "0x5\r\n", "+5\r\n", "5\n", "5\r\nhello!", "5 \r\n", "fffffffffffffffff\r\n"] {
            assert!(chunked(body.as_bytes(), Reading::Received).fault.is_some(), "{body:?}");
        }
    }

    #[test]
    fn a_response_s_body_depends_on_the_question() {
        let input = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(response(input, false, Reading::Sent).unwrap().unwrap().body.data, b"ok");
        assert_eq!(response(input, true, Reading::Sent).unwrap().unwrap().body.data, b"");
        let until_close = response(b"HTTP/1.0 200\r\n\r\nok", false, Reading::Received).unwrap().unwrap();
        assert_eq!((until_close.framing, until_close.body.is_whole), (Framing::UntilClose, false));
        assert!(response(b"HTTP/1.1 204 None\r\nContent-Length: 0\r\n\r\n", false, Reading::Sent).is_err());
    }
}
