//! A request as the cache sees it: its key, its directives, its conditions, and the fields that select a variant.
//!
//! Owns the reading of a head that `head::request` has written for a backend, so that the cache understands a request as the
//! backend does and in no other way. Rule: what can neither be answered from the cache nor stored, nor remove anything, is
//! [`Asked::read`] as `None`.

use super::directives::RequestControl;
use super::fields;
use super::target::write_key;

/// What a request's method lets the cache do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// GET: it may be answered, and its answer stored.
    Get,
    /// HEAD: it may be answered, and its answer may update what is stored.
    Head,
    /// It is unsafe: what is stored under its key goes when it succeeds (RFC 9111 section 4.4).
    Invalidate,
}

/// A request.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The key, then the head.
    bytes: Box<[u8]>,
    key: usize,
    pub(crate) uses: Use,
    pub(crate) control: RequestControl,
    pub(crate) is_authorized: bool,
    /// The client has a condition or a range of its own.
    pub(crate) is_conditional: bool,
}

impl Asked {
    /// Reads a head as it is written for a backend.
    pub(crate) fn read(head: &[u8], route: usize, has_body: bool) -> Option<Self> {
        let line = super::lines(head).next()?;
        let space = memchr::memchr(b' ', line)?;
        let uses = match &line[..space] {
            b"GET" if !has_body => Use::Get,
            b"HEAD" if !has_body => Use::Head,
            b"GET" | b"HEAD" | b"OPTIONS" => return None,
            _ => Use::Invalidate,
        };
        let target = line[space + 1..].strip_suffix(b" HTTP/1.1")?;
        let mut host: &[u8] = b"";
        let mut control = RequestControl::default();
        let mut pragma = false;
        let (mut has_control, mut is_authorized, mut is_conditional) = (false, false, false);
        for (name, value) in fields(head) {
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            match name.len() {
                4 if is("host") => host = value,
                5 if is("range") => is_conditional = true,
                6 if is("pragma") => pragma |= value.eq_ignore_ascii_case(b"no-cache"),
                8 if is("if-range") => is_conditional = true,
                // A cache cannot judge these (RFC 9110 section 13.2.1): they are the backend's.
                8 if is("if-match") && uses != Use::Invalidate => return None,
                19 if is("if-unmodified-since") && uses != Use::Invalidate => return None,
                13 if is("cache-control") => {
                    has_control = true;
                    control.add(value);
                }
                13 if is("authorization") => is_authorized = true,
                13 if is("if-none-match") => is_conditional = true,
                17 if is("if-modified-since") => is_conditional = true,
                _ => {}
            }
        }
        // RFC 9111 section 5.4.
        control.no_cache |= pragma && !has_control;
        let mut bytes = Vec::with_capacity(4 + host.len() + target.len() + head.len());
        write_key(&mut bytes, route, host, target);
        let key = bytes.len();
        bytes.extend_from_slice(head);
        Some(Asked { bytes: bytes.into(), key, uses, control, is_authorized, is_conditional })
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.bytes[..self.key]
    }

    /// The head as it was written for a backend.
    pub(crate) fn head(&self) -> &[u8] {
        &self.bytes[self.key..]
    }

    /// The target as the backend is told it.
    pub(crate) fn target(&self) -> &[u8] {
        let line = super::lines(self.head()).next().unwrap_or_default();
        line.split(|byte| *byte == b' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn host(&self) -> &[u8] {
        fields(self.head()).find(|(name, _)| name.eq_ignore_ascii_case(b"host")).map_or(b"", |(_, host)| host)
    }

    /// All values of the field `name`, in one list; `None` where there is no such field.
    pub(crate) fn values(&self, name: &[u8]) -> Option<Vec<u8>> {
        values(self.head(), name)
    }

    /// The field `name`, if it is there once.
    pub(super) fn value(&self, name: &str) -> Option<&[u8]> {
        let mut found = fields(self.head()).filter(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes()));
        let (_, value) = found.next()?;
        if found.next().is_some() { None } else { Some(value) }
    }
}

/// All values of the field `name` in a list whose members have no white space around them (RFC 9111 section 4.1).
pub(super) fn values(head: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let mut all: Option<Vec<u8>> = None;
    for (_, value) in fields(head).filter(|(own, _)| own.eq_ignore_ascii_case(name)) {
        let list = all.get_or_insert_default();
        for member in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if !list.is_empty() {
                list.push(b',');
            }
            list.extend_from_slice(member);
        }
    }
    all
}
