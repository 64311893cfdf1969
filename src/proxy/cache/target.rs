//! Keys, and the keys that a response's `Location` and `Content-Location` lead to.
//!
//! Owns their form. Rule: a reference counts only where it stays on the host that was asked (RFC 9111 section 4.4).

use super::fields;
use crate::proxy::field::host_name;

/// The key of `target` at `host` behind that route, both as a backend is told them.
pub(crate) fn key(route: usize, host: &[u8], target: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(5 + host.len() + target.len());
    write_key(&mut key, route, host, target);
    key
}

/// The same at the end of `into`. Hosts are compared in any case; the final dot of a name says nothing.
pub(super) fn write_key(into: &mut Vec<u8>, route: usize, host: &[u8], target: &[u8]) {
    into.extend_from_slice(&u32::try_from(route).unwrap_or(u32::MAX).to_be_bytes());
    let colon = host.iter().rposition(|byte| matches!(byte, b':' | b']')).filter(|at| host[*at] == b':');
    let port = &host[colon.unwrap_or(host.len())..];
    into.extend(host_name(host).iter().chain(port).map(u8::to_ascii_lowercase));
    // No host has a space in it.
    into.push(b' ');
    into.extend_from_slice(target);
}

/// What a response says the result of an unsafe request is found at.
pub(crate) fn references(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    fields(head)
        .filter(|(name, _)| {
            name.eq_ignore_ascii_case(b"location") || name.eq_ignore_ascii_case(b"content-location")
        })
        .map(|(_, reference)| reference)
}

/// The target that `reference` means in an answer from `host` about `base`; `None` where it leads to another host.
pub(crate) fn on_host(reference: &[u8], host: &[u8], base: &[u8]) -> Option<Vec<u8>> {
    let end = reference.iter().position(|byte| *byte == b'#').unwrap_or(reference.len());
    let reference = &reference[..end];
    let rest = [b"http:".as_slice(), b"https:"]
        .iter()
        .find_map(|scheme| {
            let begins =
                reference.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
            begins.then(|| &reference[scheme.len()..])
        })
        .unwrap_or(reference);
    if let Some(rest) = rest.strip_prefix(b"//") {
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let target =
            if rest[end..].starts_with(b"/") { rest[end..].to_vec() } else { [b"/", &rest[end..]].concat() };
        return rest[..end].eq_ignore_ascii_case(host).then_some(target);
    }
    if rest.starts_with(b"/") {
        return Some(rest.to_vec());
    }
    // A relative one, without steps up: those are not worth the reading.
    let path = base.split(|byte| *byte == b'?').next().unwrap_or(base);
    let folder = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let is_plain = !rest.is_empty() && !rest.starts_with(b".") && !rest.contains(&b':');
    is_plain.then(|| [&path[..folder], rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_the_same_in_any_case_and_targets_are_not() {
        assert_eq!(key(1, b"A.Example.:80", b"/x"), key(1, b"a.example:80", b"/x"));
        for other in
            [key(1, b"a.example", b"/x"), key(1, b"a.example:80", b"/X"), key(2, b"a.example:80", b"/x")]
        {
            assert_ne!(other, key(1, b"a.example:80", b"/x"));
        }
    }

    #[test]
    fn a_reference_counts_where_it_stays_on_the_host() {
        let target = |reference: &str| {
            on_host(reference.as_bytes(), b"a:80", b"/x/y?z").map(|target| String::from_utf8(target).unwrap())
        };
        for (reference, expected) in [
            ("/b?c#d", Some("/b?c")),
            ("http://A:80/b", Some("/b")),
            ("HTTPS://a:80", Some("/")),
            ("//a:80?q", Some("/?q")),
            ("b", Some("/x/b")),
            ("http://a/b", None),
            ("http://b:80/", None),
            ("../b", None),
            ("mailto:b", None),
            ("", None),
        ] {
            assert_eq!(target(reference).as_deref(), expected, "{reference}");
        }
    }
}
