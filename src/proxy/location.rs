//! `Location` and `Content-Location` of a backend's response, as the client has to read them (Apache's ProxyPassReverse).
//!
//! Owns the mapping. A backend behind a route does not know under which name and path it is seen. Rules: a URL that
//! names the backend itself, or the host that the client asked, becomes a path of this proxy; a path gets the
//! route's prefix back where it was taken off, unless it begins with it already; everything else is left alone. What
//! is mapped becomes a path (RFC 9110 section 10.2.2 allows a relative reference), whatever the scheme outside may be:
//! where a browser would take what is left for another host, nothing is mapped.

use super::field::begins_with;

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
        let path = match split_url(value) {
            None => value,
            // A URL without a path means the root.
            Some((authority, b"")) if self.is_own(authority) => b"/",
            Some((authority, path)) if self.is_own(authority) => path,
            Some(_) => return [b"", value],
        };
        if !is_on_this_host(&[path]) {
            return [b"", value];
        }
        if begins_with(path, self.taken_off) { [b"", path] } else { [self.taken_off, path] }
    }

    fn is_own(&self, authority: &[u8]) -> bool {
        let is = |own: &[u8]| authority.eq_ignore_ascii_case(own);
        self.backend.into_iter().any(is) || is(self.host)
    }
}

/// Whether a browser takes these pieces, one behind the other, for a path on the host that it asked. To it tabs and line
/// ends are nothing, and backslashes are slashes, of which two begin the name of a host (the WHATWG's URL standard, basic
/// URL parser).
pub(crate) fn is_on_this_host(pieces: &[&[u8]]) -> bool {
    let mut seen = pieces.iter().copied().flatten().filter(|byte| !matches!(byte, b'\t' | b'\n' | b'\r'));
    seen.next() == Some(&b'/') && !matches!(seen.next(), Some(b'/' | b'\\'))
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
    use proptest::prelude::*;
    use url::Url;

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
            ("/.//a", "/images/.//a"),
        ] {
            assert_eq!(mapped("/images", value), told, "{value}");
        }
    }

    #[test]
    fn what_a_browser_would_take_for_another_host_stays_as_it_was() {
        for origin in ["", "http://localhost:8889", "https://127.0.0.1:8889", "//example.com"] {
            for rest in [
                "//evil.example/x",
                "/\\evil.example/x",
                "\\/evil.example/x",
                "\\\\evil.example/x",
                "/\t/evil.example/x",
                "/\t\\evil.example/x",
                "//",
                "///evil.example",
                "?//evil.example",
                "#//evil.example",
                "@evil.example/x",
                "\t//evil.example/x",
            ] {
                let value = format!("{origin}{rest}");
                for taken_off in ["", "/images"] {
                    assert_eq!(mapped(taken_off, &value), value);
                }
            }
        }
    }

    /// Whatever a browser may read in its own way, behind an origin that is mapped or none.
    fn location() -> impl Strategy<Value = String> {
        let origin = prop_oneof![
            3 => Just(""), 2 => Just("http://localhost:8889"), 2 => Just("//example.com"), 1 => Just("HTTPS://127.0.0.1:8889"),
            1 => Just("http:"), 1 => Just("http:/"), 1 => Just("http:\\\\example.com"), 1 => Just("http://u@example.com"),
        ];
        let piece = prop::sample::select(vec![
            "/",
            "/",
            "\\",
            "\t",
            "//",
            ".",
            "..",
            "evil.example",
            "x",
            "?",
            "#",
            "@",
            ":",
            "%2f",
            "%5c",
            "%09",
            " ",
            "\u{a0}",
            "\u{ff0f}",
            "\u{85}",
            "images",
        ]);
        (origin, proptest::collection::vec(piece, 0..8))
            .prop_map(|(origin, pieces)| format!("{origin}{}", pieces.concat()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn what_is_mapped_leads_a_browser_to_this_host(value in location(), has_prefix in any::<bool>()) {
            let value = value.trim_matches([' ', '\t']);
            let told = mapped(if has_prefix { "/images" } else { "" }, value);
            if told != value {
                let asked = Url::parse("http://example.com/images/sub/page").unwrap();
                let reached = asked.join(&told).unwrap();
                prop_assert_eq!(reached.origin(), asked.origin(), "{} became {}", value, told);
                prop_assert_eq!(reached.username(), "");
            }
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
