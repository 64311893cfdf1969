//! `Location` and `Content-Location` of a backend's response, as the client has to read them (Apache's ProxyPassReverse).
//!
//! Owns the mapping. A backend behind a route does not know under which name and path it is seen. Rules: a URL that
//! names the backend itself, or the host that the client asked, becomes a path of this proxy; a path gets the
//! route's prefix back where it was taken off, unless it begins with it already; everything else is left alone. What
//! is mapped becomes a path (RFC 9110 section 10.2.2 allows a relative reference), whatever the scheme outside may be.

use super::route::begins_with;

/// What a response's backend and route have to do with a URL.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocationMap<'a> {
    /// What was taken off the request's path.
    pub(crate) taken_off: &'a [u8],
    /// The backend's authorities: as the operator names it, and its address.
    pub(crate) backend: [&'a [u8]; 2],
    /// The authority that the client asked for.
    pub(crate) host: &'a [u8],
}

impl<'a> LocationMap<'a> {
    /// `value` in two pieces, as the client gets it.
    pub(crate) fn map(&self, value: &'a [u8]) -> [&'a [u8]; 2] {
        if value.first() == Some(&b'/') && value.get(1) != Some(&b'/') {
            return self.path(value);
        }
        let Some((authority, path)) = split_url(value) else { return [b"", value] };
        let is = |own: &[u8]| authority.eq_ignore_ascii_case(own);
        if !self.backend.into_iter().any(is) && !is(self.host) {
            return [b"", value];
        }
        match path.first() {
            // A URL without a path means the root; a query or fragment alone would lose it.
            Some(b'/') => self.path(path),
            None => [self.taken_off, b"/"],
            Some(_) => [b"", value],
        }
    }

    fn path(&self, path: &'a [u8]) -> [&'a [u8]; 2] {
        if begins_with(path, self.taken_off) { [b"", path] } else { [self.taken_off, path] }
    }
}

/// Authority and rest of an http URL.
fn split_url(url: &[u8]) -> Option<(&[u8], &[u8])> {
    let scheme = [b"http://".as_slice(), b"https://", b"//"]
        .into_iter()
        .find(|scheme| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))?;
    let rest = &url[scheme.len()..];
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    Some(rest.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(taken_off: &str, value: &str) -> String {
        let map = LocationMap {
            taken_off: taken_off.as_bytes(),
            backend: [b"localhost:8889", b"127.0.0.1:8889"],
            host: b"example.com",
        };
        String::from_utf8(map.map(value.as_bytes()).concat()).unwrap()
    }

    #[test]
    fn a_prefix_that_was_taken_off_is_put_back() {
        for (value, told) in [
            ("/a.jpg", "/images/a.jpg"),
            ("/", "/images/"),
            ("/images/a.jpg", "/images/a.jpg"),
            ("/imagesque", "/images/imagesque"),
            ("http://localhost:8889/a?b#c", "/images/a?b#c"),
            ("HTTP://127.0.0.1:8889", "/images/"),
            ("http://Example.com/a", "/images/a"),
            ("//localhost:8889/a", "/images/a"),
            ("a.jpg", "a.jpg"),
            ("?page=2", "?page=2"),
            ("", ""),
            ("http://elsewhere/a", "http://elsewhere/a"),
            ("http://localhost:88890/a", "http://localhost:88890/a"),
            ("http://localhost:8889?a", "http://localhost:8889?a"),
            ("ftp://localhost:8889/a", "ftp://localhost:8889/a"),
        ] {
            assert_eq!(mapped("/images", value), told, "{value}");
        }
    }

    #[test]
    fn without_a_prefix_only_the_host_is_mapped() {
        for (value, told) in
            [("/a", "/a"), ("http://localhost:8889/a", "/a"), ("http://elsewhere/a", "http://elsewhere/a")]
        {
            assert_eq!(mapped("", value), told, "{value}");
        }
    }
}
