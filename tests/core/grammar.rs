//! The character classes and small productions of RFC 9110 and RFC 3986 that the strict reader is made of.
//!
//! Owns single bytes and strings of them; messages are read in `strict`. Shares no code with the core.

/// `uri-host [ ":" port ]` with a host that is not empty (RFC 9110 sections 4.2 and 7.2, RFC 3986 section 3.2).
pub fn is_authority(authority: &[u8]) -> bool {
    let end_of_literal = authority.iter().position(|byte| *byte == b']').map(|at| at + 1);
    let end = match authority.first() {
        Some(b'[') => end_of_literal,
        _ => authority.iter().position(|byte| *byte == b':').or(Some(authority.len())),
    };
    let Some((host, port)) = end.and_then(|end| authority.split_at_checked(end)) else { return false };
    let port_is_valid = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let host_is_valid = match host {
        [b'[', address @ .., b']'] => text(address).parse::<std::net::Ipv6Addr>().is_ok(),
        _ => !host.is_empty() && is_escaped(host, |byte| is_unreserved(byte) || is_sub_delimiter(byte)),
    };
    port_is_valid && host_is_valid
}

/// Only bytes that `is_valid` accepts, and percent signs with two hexadecimal digits.
pub fn is_escaped(bytes: &[u8], is_valid: impl Fn(u8) -> bool) -> bool {
    let mut rest = bytes;
    while let [first, behind @ ..] = rest {
        rest = match (first, behind) {
            (b'%', [high, low, behind @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => behind,
            (b'%', _) => return false,
            (byte, _) if is_valid(*byte) => behind,
            _ => return false,
        };
    }
    true
}

pub fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// HTAB, SP, VCHAR or obs-text.
pub fn is_field_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn is_sub_delimiter(byte: u8) -> bool {
    b"!$&'()*+,;=".contains(&byte)
}

pub fn is_pchar(byte: u8) -> bool {
    is_unreserved(byte) || is_sub_delimiter(byte) || matches!(byte, b':' | b'@')
}

/// What stands bare in the path or the query of a URL (the WHATWG's URL standard): `pchar`, and what browsers do not escape.
pub fn is_target_byte(byte: u8) -> bool {
    is_pchar(byte) || b"/?%[]{}|^`\\\"".contains(&byte)
}

pub fn trim_start(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    value
}

/// Takes off OWS: space and tab, nothing else.
pub fn trim(value: &[u8]) -> &[u8] {
    let mut value = trim_start(value);
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
