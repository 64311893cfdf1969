//! Conditions: those of a client on what is stored, and ours on what a backend has (RFC 9111 section 4.3).
//!
//! Owns the comparison of validators, and the request that asks whether an object is still good.

use super::asked::Asked;
use super::directives::members;
use super::freshness::date;
use super::object::Object;
use super::{fields, lines};
use crate::proxy::buf::Buf;

/// Fields of a client's own conditions and ranges, which ours replace.
const CONDITIONS: [&str; 4] = ["if-none-match", "if-modified-since", "if-range", "range"];

/// Whether the client has what is stored already (section 4.3.2).
pub(super) fn is_known(asked: &Asked, object: &Object) -> bool {
    if let Some(tags) = asked.values(b"if-none-match") {
        let own = object.field("etag");
        let matches = |tag: &[u8]| tag == b"*" || own.is_some_and(|own| weak(own) == weak(tag));
        return members(&tags).any(matches);
    }
    let Some(since) = asked.value("if-modified-since").and_then(date) else { return false };
    let changed = object.field("last-modified").or_else(|| object.field("date")).and_then(date);
    changed.is_some_and(|changed| changed <= since)
}

/// Whether a range may be cut from what is stored, as far as `If-Range` says (RFC 9110 section 13.1.5).
pub(super) fn may_cut(asked: &Asked, object: &Object) -> bool {
    if asked.values(b"if-range").is_none() {
        return true;
    }
    let Some(condition) = asked.value("if-range") else { return false };
    if condition.ends_with(b"\"") {
        return !condition.starts_with(b"W/") && object.field("etag") == Some(condition);
    }
    date(condition).is_some() && object.field("last-modified") == Some(condition)
}

/// An entity tag without the mark of a weak one: for a weak comparison (RFC 9110 section 8.8.3.2).
fn weak(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// Writes the request with a condition that `object` is still good (section 4.3.1). False: there is no validator, or no room.
pub(crate) fn write_conditional(asked: &Asked, object: &Object, out: &mut Buf) -> bool {
    if !object.has_validator() {
        return false;
    }
    let mut fits = begin(asked, out);
    if let Some(tag) = object.field("etag") {
        fits &= out.push_all(&[b"If-None-Match: ", tag, b"\r\n"]);
    }
    if let Some(time) = object.field("last-modified") {
        fits &= out.push_all(&[b"If-Modified-Since: ", time, b"\r\n"]);
    }
    fits && out.push(b"\r\n")
}

/// Writes the request for all of what there is: without conditions and ranges. It fits where the request did.
pub(crate) fn write_for_all(asked: &Asked, out: &mut Buf) -> bool {
    begin(asked, out) && out.push(b"\r\n")
}

/// The request without the client's conditions and without its end.
fn begin(asked: &Asked, out: &mut Buf) -> bool {
    let first = lines(asked.head()).next().unwrap_or_default();
    let mut fits = out.push_all(&[first, b"\r\n"]);
    for (name, value) in fields(asked.head()) {
        if !CONDITIONS.iter().any(|condition| name.eq_ignore_ascii_case(condition.as_bytes())) {
            fits &= out.push_all(&[name, b": ", value, b"\r\n"]);
        }
    }
    fits
}

/// Whether a 304 with this head speaks of `object` (section 4.3.4): the validators that it names are those that are stored. One
/// that names none answers our condition, and that was on this object alone. Entity tags are compared as `If-None-Match` has them
/// compared, since servers that compress mark a tag as weak in the whole response and not in a 304.
pub(super) fn speaks_of(head: &[u8], object: &Object) -> bool {
    let named = |known: &'static str| {
        fields(head).filter(|(name, _)| name.eq_ignore_ascii_case(known.as_bytes())).map(|(_, value)| value)
    };
    if named("etag").next().is_some() {
        let own = object.field("etag").map(weak);
        return named("etag").all(|tag| Some(weak(tag)) == own);
    }
    named("last-modified").all(|time| object.field("last-modified") == Some(time))
}

/// Whether the answer to a HEAD speaks of what is stored, as far as its validators and its length say.
pub(super) fn is_same(head: &[u8], object: &Object) -> bool {
    let value = |known: &str| {
        fields(head).find(|(name, _)| name.eq_ignore_ascii_case(known.as_bytes())).map(|(_, value)| value)
    };
    let length = value("content-length").and_then(|length| std::str::from_utf8(length).ok()?.parse().ok());
    ["etag", "last-modified"]
        .iter()
        .all(|known| value(known).is_none_or(|newer| object.field(known) == Some(newer)))
        && length.is_none_or(|length: usize| length == object.body.len())
}
