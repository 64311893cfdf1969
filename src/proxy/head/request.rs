//! A request's head: what it asks for, and what a backend is told.

use httparse::{EMPTY_HEADER, Header, Status};
use memchr::{memchr, memchr_iter, memrchr};

use super::{ConnectionOptions, NOT_STRICT, VIA, Writer, add_length, ends_lines_in_crlf, is_named};
use crate::proxy::body::Framing;
use crate::proxy::buf::Buf;
use crate::proxy::error::Error;
use crate::proxy::field::{self, Field, is_authority};
use crate::proxy::limits::{Limits, MOST_FIELDS};
use crate::proxy::observer::{Notes, note};
use crate::proxy::reply::Reply;
use crate::proxy::route::{RouteId, Routes};

/// What a request's head said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    /// Who is responsible.
    pub(crate) route: RouteId,
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
    /// Connection names fields, which a trailer may have too.
    pub(crate) names_fields: bool,
}

impl Request {
    /// Nothing was asked yet.
    pub(crate) const NONE: Request = Request {
        route: RouteId::NONE,
        framing: Framing::Empty,
        is_1_1: false,
        persistent: false,
        idempotent: false,
        is_head: false,
        expects_continue: false,
        names_fields: false,
    };
}

/// A request's head that is whole and sound.
#[derive(Debug)]
pub(crate) struct RequestHead {
    pub(crate) request: Request,
    /// Bytes of it in the input.
    pub(crate) length: usize,
    /// What it is answered with here, where no backend is to be asked.
    pub(crate) reply: Option<Reply>,
}

/// Who asks and who may answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    /// The client's address without its port.
    pub(crate) client: &'a str,
    /// The authority for a client of HTTP/1.0 that names none.
    pub(crate) authority: &'a str,
    pub(crate) routes: &'a Routes,
}

/// Reads a request's head from the front of `input` and writes it for a backend into `out`, unless it is answered here. `None`
/// when more input is needed. What was asked is put into `notes`, also if it is refused.
pub(crate) fn request(
    input: &mut [u8],
    limits: &Limits,
    context: Context<'_>,
    notes: Option<&mut Notes>,
    out: &mut Buf,
) -> Result<Option<RequestHead>, Error> {
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
    let mut notes = notes;
    if let Some(notes) = &mut notes {
        take_notes(notes, method, target, minor, parsed.headers);
    }
    if parsed.headers.len() > limits.fields {
        return Err(Error::HeadTooLarge);
    }
    let seen = RequestFields::read(parsed.headers, minor == 1)?;
    let target = Target::read(method, target)?;
    let mut meaning = seen.meaning(method, minor == 1)?;
    if meaning.framing.length().is_some_and(|length| length > limits.body_bytes) {
        return Err(Error::BodyTooLarge);
    }
    let host = target.authority.or(seen.host).unwrap_or(context.authority.as_bytes());
    if let Some(notes) = notes {
        note(&mut notes.host, &[host]);
    }
    let length = skipped + length;
    let answered_here = |request, reply| Ok(Some(RequestHead { request, length, reply: Some(reply) }));
    let max_forwards = if method == "OPTIONS" { seen.max_forwards()? } else { None };
    if max_forwards == Some(0) {
        return answered_here(meaning, Reply::Options);
    }
    let whole_path = if target.path.is_empty() { target.prefix } else { target.path };
    let Some(route) = context.routes.find(host, whole_path) else {
        return answered_here(meaning, Reply::Refusal(Error::NotRouted));
    };
    meaning.route = route;
    if let Some(target) = context.routes.with_slash(meaning.route, whole_path) {
        let keeps_method = !matches!(method, "GET" | "HEAD");
        return answered_here(meaning, Reply::MissingSlash { target, keeps_method });
    }
    let target = target.without(context.routes.taken_off(meaning.route));
    let mut writer = Writer::new(out);
    writer.put(&[method.as_bytes(), b" ", target.prefix, target.path, b" HTTP/1.1\r\nHost: ", host, b"\r\n"]);
    writer.forward(parsed.headers, seen.connection.names_fields, |field| match field {
        Field::Other | Field::Via | Field::Location | Field::Date => true,
        Field::MaxForwards => max_forwards.is_none(),
        _ => false,
    });
    if let Some(most) = max_forwards {
        writer.number(b"Max-Forwards", most - 1);
    }
    writer.framing(meaning.framing);
    writer.put(&[b"Via: ", if minor == 1 { VIA } else { b"1.0 roundtable" }, b"\r\nX-Forwarded-For: "]);
    let is_forwarded_for = |header: &&Header<'_>| Field::of(header.name.as_bytes()) == Field::ForwardedFor;
    let ends_here = seen.connection.names_fields && is_named(parsed.headers, b"x-forwarded-for");
    for header in parsed.headers.iter().filter(|header| !ends_here && is_forwarded_for(header)) {
        writer.put(&[header.value, b", "]);
    }
    writer.put(&[context.client.as_bytes(), b"\r\n\r\n"]);
    writer.finish()?;
    Ok(Some(RequestHead { request: meaning, length, reply: None }))
}

fn take_notes(notes: &mut Notes, method: &str, target: &str, minor: u8, headers: &[Header<'_>]) {
    let version: &[u8] = if minor == 1 { b" HTTP/1.1" } else { b" HTTP/1.0" };
    note(&mut notes.request_line, &[method.as_bytes(), b" ", target.as_bytes(), version]);
    for header in headers {
        if header.name.eq_ignore_ascii_case("referer") {
            note(&mut notes.referer, &[header.value]);
        } else if header.name.eq_ignore_ascii_case("user-agent") {
            note(&mut notes.user_agent, &[header.value]);
        }
    }
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
    matches!(from_version(head), [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'])
}

/// Whether what stands in the version's place is one of HTTP at all.
fn names_a_version(head: &[u8]) -> bool {
    from_version(head).starts_with(b"HTTP/")
}

/// What stands behind the second space.
fn from_version(head: &[u8]) -> &[u8] {
    memchr_iter(b' ', head).nth(1).map_or(&[], |second| &head[second + 1..])
}

/// What the fields of a request say, beyond being forwarded.
#[derive(Debug, Default)]
struct RequestFields<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    chunked: bool,
    connection: ConnectionOptions,
    expects_continue: bool,
    max_forwards: Option<&'a [u8]>,
    /// There is more than one Max-Forwards.
    repeats_max_forwards: bool,
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
                Field::Connection => seen.connection.add(header.value),
                Field::Expect => {
                    if !header.value.eq_ignore_ascii_case(b"100-continue") {
                        return Err(Error::Expectation);
                    }
                    seen.expects_continue = true;
                }
                Field::MaxForwards => {
                    seen.repeats_max_forwards |= seen.max_forwards.replace(header.value).is_some();
                }
                Field::ForwardedFor
                | Field::Via
                | Field::Location
                | Field::Date
                | Field::HopByHop
                | Field::Other => {}
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

    /// How often it may be forwarded (RFC 9110 section 7.6.2). What is no number bounds nothing, so that it is refused, as by
    /// Apache's `mod_proxy`; one that cannot be counted bounds nothing either, and is as good as the largest that can.
    fn max_forwards(&self) -> Result<Option<u64>, Error> {
        let Some(digits) = self.max_forwards else { return Ok(None) };
        if self.repeats_max_forwards || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(Error::Malformed("Max-Forwards is not one number"));
        }
        let add = |most: u64, digit: &u8| most.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
        Ok(Some(digits.iter().fold(0, add)))
    }

    fn meaning(&self, method: &str, is_1_1: bool) -> Result<Request, Error> {
        if matches!(method, "TRACE" | "CONNECT") {
            return Err(Error::Method);
        }
        Ok(Request {
            route: RouteId::NONE,
            framing: match (self.chunked, self.length) {
                (true, _) => Framing::Chunked,
                (false, None) => Framing::Empty,
                (false, Some(length)) => Framing::Length(length),
            },
            is_1_1,
            persistent: self.connection.persists(is_1_1),
            idempotent: matches!(method, "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS"),
            is_head: method == "HEAD",
            expects_continue: self.expects_continue && is_1_1,
            names_fields: self.connection.names_fields,
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

    /// The target behind `taken_off`, with which its path begins.
    fn without(self, taken_off: &[u8]) -> Self {
        if taken_off.is_empty() {
            return self;
        }
        let path = &self.path[taken_off.len().min(self.path.len())..];
        let prefix = if path.first() == Some(&b'/') { b"".as_slice() } else { b"/" };
        Target { path, prefix, ..self }
    }
}
