//! Heads of requests and responses: read with httparse, judged strictly, written anew for the other side.
//!
//! Owns what both kinds of head have in common: strict lines, lengths, connection options, and the writer that lets
//! fields cross the proxy. What a request's head means stands in `request`, a response's in `response`. Neither decides
//! what happens next. Rules: a head is judged from the bytes up to its end or the limit and from nothing behind
//! them, so that the result does not depend on how the input was split; nothing is forwarded that a strict reading of
//! RFC 9112 refuses; hop-by-hop fields end here (RFC 9110 section 7.6.1).

mod request;
mod response;

use httparse::{Header, Status};
use memchr::memchr_iter;

use super::body::Framing;
use super::buf::Buf;
use super::error::Error;
use super::field::{Field, list};
use super::limits::MOST_FIELDS;

pub(crate) use request::{Context, Request, RequestHead, request};
pub(crate) use response::{Answer, Response, response};

/// The name that this proxy gives itself in `Via` (RFC 9110 section 7.6.3).
const VIA: &[u8] = b"1.1 roundtable";

/// One reason for all that a parser may stumble over first: which it is depends on how the input was split.
const NOT_STRICT: &str = "a head is not strictly one of HTTP/1.1";

/// httparse accepts a bare LF; RFC 9112 section 2.2 lets a recipient refuse it, and a proxy had better.
fn ends_lines_in_crlf(head: &[u8], result: httparse::Result<usize>) -> Result<(), ()> {
    let head = match result {
        Ok(Status::Complete(length)) => &head[..length],
        // It has seen nothing behind the fields that there was room for.
        Err(httparse::Error::TooManyHeaders) => {
            &head[..memchr_iter(b'\n', head).nth(MOST_FIELDS).unwrap_or(head.len())]
        }
        _ => head,
    };
    let strict = memchr_iter(b'\n', head).all(|at| at > 0 && head[at - 1] == b'\r');
    if strict { Ok(()) } else { Err(()) }
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

/// What the Connection fields of a head say (RFC 9110 section 7.6.1).
#[derive(Debug, Default)]
struct ConnectionOptions {
    close: bool,
    keep_alive: bool,
    names_fields: bool,
}

impl ConnectionOptions {
    /// Adds one field to what earlier ones said.
    fn add(&mut self, value: &[u8]) {
        for option in list(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else {
                self.names_fields = true;
            }
        }
    }

    /// Whether the sender keeps the connection open (RFC 9112 section 9.3).
    fn persists(&self, is_1_1: bool) -> bool {
        !self.close && (is_1_1 || self.keep_alive)
    }
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

    fn put<const N: usize>(&mut self, pieces: &[&[u8]; N]) {
        self.fits = self.fits && self.out.push_all(pieces);
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
            Framing::Length(length) => self.number(b"Content-Length", length),
        }
    }

    fn number(&mut self, name: &[u8], number: u64) {
        let mut digits = [0; 20];
        self.put(&[name, b": ", decimal(number, &mut digits), b"\r\n"]);
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

/// `number` in digits.
pub(crate) fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
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
