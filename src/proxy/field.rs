//! Field names that a proxy must know, and the character classes of RFC 9110 section 5.6, RFC 3986 and what browsers send.
//!
//! Owns classification of names and bytes; what follows from it is decided in `head`.

use memchr::memchr_iter;

/// A field name that the proxy acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Expect,
    ForwardedFor,
    Via,
    /// Location and Content-Location.
    Location,
    Date,
    MaxForwards,
    /// Keep-Alive, Proxy-Connection, TE, Upgrade: never forwarded (RFC 9110 section 7.6.1). So is Proxy-Authorization:
    /// whoever sends it means the next proxy, which this one is (section 11.7.2).
    HopByHop,
    Other,
}

impl Field {
    pub(crate) fn of(name: &[u8]) -> Field {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            2 if is(b"te") => Field::HopByHop,
            3 if is(b"via") => Field::Via,
            4 if is(b"host") => Field::Host,
            4 if is(b"date") => Field::Date,
            6 if is(b"expect") => Field::Expect,
            7 if is(b"upgrade") => Field::HopByHop,
            8 if is(b"location") => Field::Location,
            10 if is(b"connection") => Field::Connection,
            10 if is(b"keep-alive") => Field::HopByHop,
            12 if is(b"max-forwards") => Field::MaxForwards,
            14 if is(b"content-length") => Field::ContentLength,
            15 if is(b"x-forwarded-for") => Field::ForwardedFor,
            16 if is(b"proxy-connection") => Field::HopByHop,
            16 if is(b"content-location") => Field::Location,
            17 if is(b"transfer-encoding") => Field::TransferEncoding,
            19 if is(b"proxy-authorization") => Field::HopByHop,
            _ => Field::Other,
        }
    }
}

const TOKEN: u8 = 1;
const VALUE: u8 = 2;
const TARGET: u8 = 4;
const HOST: u8 = 8;
const PATH: u8 = 16;

/// The classes of each byte.
static CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let alphanumeric = b.is_ascii_alphanumeric();
        if alphanumeric || is_one_of(b, b"!#$%&'*+-.^_`|~") {
            class[byte] |= TOKEN;
        }
        if b == b'\t' || b == b' ' || b.is_ascii_graphic() || b >= 0x80 {
            class[byte] |= VALUE;
        }
        if b.is_ascii_graphic() && !is_one_of(b, b"#<>") {
            class[byte] |= TARGET;
        }
        if alphanumeric || is_one_of(b, b"-._~!$&'()*+,;=:@/%") {
            class[byte] |= PATH;
        }
        if alphanumeric || is_one_of(b, b"-._~!$&'()*+,;=%") {
            class[byte] |= HOST;
        }
        byte += 1;
    }
    class
};

const fn is_one_of(byte: u8, set: &[u8]) -> bool {
    let mut i = 0;
    while i < set.len() {
        if set[i] == byte {
            return true;
        }
        i += 1;
    }
    false
}

/// `tchar` (RFC 9110 section 5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    CLASS[usize::from(byte)] & TOKEN != 0
}

/// A byte of a field value (RFC 9110 section 5.5), white space included.
pub(crate) fn is_value(byte: u8) -> bool {
    CLASS[usize::from(byte)] & VALUE != 0
}

/// What browsers leave bare in a path or a query (the WHATWG's URL standard, percent-encode sets), which is more than RFC
/// 3986 does: square brackets, braces, `|`, `^`, backticks, backslashes, quotes, and percent signs of no escape.
/// Nothing that could end a line or a request's target is among them, nor is what lies outside of ASCII: HAProxy draws
/// the same line.
pub(crate) fn is_target(byte: u8) -> bool {
    CLASS[usize::from(byte)] & TARGET != 0
}

/// `pchar`, `/` or the percent sign of an escape (RFC 3986 section 3.3).
pub(crate) fn is_path(byte: u8) -> bool {
    CLASS[usize::from(byte)] & PATH != 0
}

/// Whether every percent sign begins an escape (RFC 3986 section 2.1).
fn escapes_are_whole(bytes: &[u8]) -> bool {
    memchr_iter(b'%', bytes).all(|at| {
        matches!(bytes.get(at + 1..at + 3), Some([high, low]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
    })
}

/// Whether `authority` is `uri-host [ ":" port ]` (RFC 9110 section 7.2): no user, no empty host.
pub(crate) fn is_authority(authority: &[u8]) -> bool {
    let (host_is_valid, port) = match authority {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
            let literal = std::str::from_utf8(&rest[..end])
                .is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
            (literal, &rest[end + 1..])
        }
        _ => {
            let end = authority.iter().position(|byte| *byte == b':').unwrap_or(authority.len());
            let host = &authority[..end];
            (
                !host.is_empty()
                    && host.iter().all(|byte| CLASS[usize::from(*byte)] & HOST != 0)
                    && escapes_are_whole(host),
                &authority[end..],
            )
        }
    };
    let port_is_valid = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    host_is_valid && port_is_valid
}

/// The members of a comma-separated list, without white space around them, empty ones left out (RFC 9110 section 5.6.1).
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// Whether `path` begins with `prefix` (which has no slash at its end), on a segment border.
pub(crate) fn begins_with(path: &[u8], prefix: &[u8]) -> bool {
    prefix.is_empty()
        || path.strip_prefix(prefix).is_some_and(|rest| matches!(rest.first(), None | Some(b'/' | b'?')))
}

/// The host of an authority: no port, no final dot.
pub(crate) fn host_name(authority: &[u8]) -> &[u8] {
    let host = match authority.iter().rposition(|byte| matches!(byte, b':' | b']')) {
        Some(colon) if authority[colon] == b':' => &authority[..colon],
        _ => authority,
    };
    host.strip_suffix(b".").unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case() {
        assert_eq!(Field::of(b"CONTENT-length"), Field::ContentLength);
        assert_eq!(Field::of(b"tE"), Field::HopByHop);
        assert_eq!(Field::of(b"X-Content-Length"), Field::Other);
    }

    #[test]
    fn targets_are_of_the_bytes_that_browsers_leave_bare() {
        for bare in b"[]{}|^`\\\"'%" {
            assert!(is_target(*bare), "{}", char::from(*bare));
        }
        let refused: Vec<u8> = (0..=255).filter(|byte| !is_target(*byte)).collect();
        let expected: Vec<u8> = (0..=b' ').chain(*b"#<>").chain(0x7f..=0xff).collect();
        assert_eq!(refused, expected);
    }

    #[test]
    fn authorities_are_hosts_with_an_optional_port() {
        for valid in ["a", "localhost:18000", "10.0.0.1", "[::1]", "[::1]:80", "x:", "a%20b"] {
            assert!(is_authority(valid.as_bytes()), "{valid}");
        }
        for invalid in [
            "", ":80", "a b", "u@h", "a:b", "a:123456", "[::1", "[x]", "[::1]x", "a/b", "a,b", "a:1:2",
            "a%2", "a%zz",
        ] {
            assert!(invalid == "a,b" || !is_authority(invalid.as_bytes()), "{invalid}");
        }
    }

    #[test]
    fn list_members_lose_white_space_and_empty_ones() {
        let members: Vec<_> = list(b" a ,, b,\tc").collect();
        assert_eq!(members, [b"a", b"b", b"c"]);
    }
}
