//! What a server of files needs of a request's head: its method, its target, its conditions and its range.
//!
//! Rules: only a parser that was asked to keeps it; a field that comes several times is one list (RFC 9110 §5.3), as
//! long as all of its lines and their separators, so that the bound of a head is its bound too; what is done here
//! is marked cold, so that it costs the measured mode, which keeps nothing, one test of a pointer a line.

/// What can be done with a file, or asked about it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Options,
    /// Anything else: a server of files does not do it.
    #[default]
    Other,
}

/// What one head asks of a server of files. A field that it does not have is `None`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) method: Method,
    /// As it came: encoded, in origin form, absolute form or `*`.
    pub(crate) target: Vec<u8>,
    pub(crate) if_match: Option<Vec<u8>>,
    pub(crate) if_modified_since: Option<Vec<u8>>,
    pub(crate) if_none_match: Option<Vec<u8>>,
    pub(crate) if_range: Option<Vec<u8>>,
    pub(crate) if_unmodified_since: Option<Vec<u8>>,
    pub(crate) range: Option<Vec<u8>>,
}

impl Kept {
    /// Begins anew with what a request line says: three words, as the parser has made sure.
    #[cold]
    pub(super) fn request_line(&mut self, line: &[u8]) {
        let mut words = line.split(|&byte| byte == b' ');
        let method = match words.next() {
            Some(b"GET") => Method::Get,
            Some(b"HEAD") => Method::Head,
            Some(b"OPTIONS") => Method::Options,
            _ => Method::Other,
        };
        *self = Kept { method, target: words.next().unwrap_or_default().to_vec(), ..Kept::default() };
    }

    /// Keeps a field, if it is one of those that matter.
    #[cold]
    pub(super) fn field(&mut self, name: &[u8], value: &[u8]) {
        let kept = match name.to_ascii_lowercase().as_slice() {
            b"if-match" => &mut self.if_match,
            b"if-modified-since" => &mut self.if_modified_since,
            b"if-none-match" => &mut self.if_none_match,
            b"if-range" => &mut self.if_range,
            b"if-unmodified-since" => &mut self.if_unmodified_since,
            b"range" => &mut self.range,
            _ => return,
        };
        match kept {
            Some(list) => {
                list.extend_from_slice(b", ");
                list.extend_from_slice(value);
            }
            None => *kept = Some(value.to_vec()),
        }
    }
}
