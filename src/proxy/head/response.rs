//! A response's head: how its body ends, whether the backend's connection lasts, and what the client is told.

use httparse::{EMPTY_HEADER, Header, Status};

use super::{ConnectionOptions, NOT_STRICT, Request, VIA, Writer, add_length, ends_lines_in_crlf, is_named};
use crate::proxy::body::Framing;
use crate::proxy::buf::Buf;
use crate::proxy::date::Date;
use crate::proxy::error::Error;
use crate::proxy::field::Field;
use crate::proxy::limits::{Limits, MOST_FIELDS};
use crate::proxy::location::LocationMap;

/// The fields that say whether and for whom a response may be stored.
const CACHE_FIELDS: [&[u8]; 9] = [
    b"age",
    b"cache-control",
    b"cdn-cache-control",
    b"date",
    b"etag",
    b"expires",
    b"last-modified",
    b"set-cookie",
    b"vary",
];

/// What a response's head said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    /// The backend keeps the connection open and its framing can be trusted.
    pub(crate) persistent: bool,
    /// The client was told that its connection stays open.
    pub(crate) client_persists: bool,
    /// Connection names fields, which a trailer may have too.
    pub(crate) names_fields: bool,
    /// Connection names one that a cache has to know: it was taken off, and says what nobody can read any more.
    pub(crate) hides_cache_fields: bool,
}

impl Response {
    /// Nothing was answered yet.
    pub(crate) const NONE: Response = Response {
        status: 0,
        framing: Framing::Empty,
        persistent: false,
        client_persists: false,
        names_fields: false,
        hides_cache_fields: false,
    };
}

/// A response's head as far as it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 1xx: it was written out and another head follows.
    Interim,
    /// The final one.
    Final(Response),
}

/// Reads a response's head from the front of `input` and writes it for the client into `out`. `None` when more input
/// is needed; else the meaning and the length in `input`. `persistent` says whether the client's connection stays
/// open if the response's framing lets it; `locations` maps URLs back to where the client sees them; `date` is added where
/// there is none.
pub(crate) fn response(
    input: &[u8],
    limits: &Limits,
    asked: &Request,
    persistent: bool,
    locations: Option<&LocationMap<'_>>,
    date: &Date,
    out: &mut Buf,
) -> Result<Option<(Answer, usize)>, Error> {
    // httparse skips empty lines, which may stand before a request only.
    if matches!(input, [b'\r' | b'\n', ..]) {
        return Err(Error::BadGateway(NOT_STRICT));
    }
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
    writer.forward(parsed.headers, seen.connection.names_fields, |field| match field {
        Field::ContentLength | Field::TransferEncoding | Field::Connection | Field::HopByHop => false,
        Field::Location => locations.is_none(),
        _ => true,
    });
    if let Some(locations) = locations {
        for header in parsed.headers.iter() {
            let name = header.name.as_bytes();
            if Field::of(name) == Field::Location
                && !(seen.connection.names_fields && is_named(parsed.headers, name))
            {
                let [front, rest] = locations.map(header.value);
                writer.put(&[name, b": ", front, rest, b"\r\n"]);
            }
        }
    }
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
    if !seen.has_date || seen.connection.names_fields && is_named(parsed.headers, b"date") {
        writer.put(&[date.field().as_bytes()]);
    }
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
    let persistent = trusted && framing != Framing::UntilClose && seen.connection.persists(minor == 1);
    let names_fields = seen.connection.names_fields;
    let hides_cache_fields = names_fields && CACHE_FIELDS.iter().any(|name| is_named(parsed.headers, name));
    let response = Response {
        status: code,
        framing,
        persistent,
        client_persists: stays,
        names_fields,
        hides_cache_fields,
    };
    Ok(Some((Answer::Final(response), length)))
}

#[derive(Debug, Default)]
struct ResponseFields {
    length: Option<u64>,
    chunked: bool,
    connection: ConnectionOptions,
    has_date: bool,
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
                Field::Connection => seen.connection.add(header.value),
                Field::Date => seen.has_date = true,
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
