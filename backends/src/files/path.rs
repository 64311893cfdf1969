//! A request's target as the path of a file below the root.
//!
//! Owns the decoding and what a name may be; looks at no file. Rules: a target is decoded once, after it was split at
//! its slashes, so that an encoded slash is part of a name, and no file has such a name; a name that begins with a dot
//! is nobody's: neither `.` and `..` nor what the owner of the files has hidden; several slashes are one.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode, percent_encode};

use crate::files::root::Unserved;

/// What is encoded in a name that stands in a link: all but the unreserved characters (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path that a target stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Relative to the root, `.` for the root itself.
    pub(super) path: PathBuf,
    /// It ends with a slash, as a directory's does.
    pub(super) of_directory: bool,
    /// The last name, decoded; empty for the root.
    name: Vec<u8>,
    /// What follows the path, its question mark included.
    query: Vec<u8>,
}

impl Target {
    /// Reads a request's target: in origin form or in absolute form.
    pub(super) fn parse(target: &[u8]) -> Result<Self, Unserved> {
        let target = origin_form(target).ok_or(Unserved::Malformed)?;
        if target.contains(&b'#') {
            return Err(Unserved::Malformed);
        }
        let end = target.iter().position(|&byte| byte == b'?').unwrap_or(target.len());
        let (path, query) = target.split_at(end);
        let mut names = Vec::new();
        for segment in path.split(|&byte| byte == b'/').filter(|segment| !segment.is_empty()) {
            names.push(name(segment)?);
        }
        let relative = if names.is_empty() { b".".to_vec() } else { names.join(&b'/') };
        Ok(Target {
            path: PathBuf::from(OsString::from_vec(relative)),
            of_directory: path.is_empty() || path.ends_with(b"/"),
            name: names.pop().unwrap_or_default(),
            query: query.to_vec(),
        })
    }

    /// Where the directory is that this target names without its slash. Relative, so that it holds behind a proxy
    /// that takes a prefix off; with `./`, or a name with a colon would be read as a scheme.
    pub(super) fn location_of_directory(&self) -> String {
        format!("./{}/{}", encoded(&self.name), percent_encode(&self.query, CONTROLS))
    }

    /// The path for a reader: decoded, with its slashes.
    pub(super) fn shown(&self) -> String {
        if self.name.is_empty() { "/".to_owned() } else { format!("/{}/", self.path.to_string_lossy()) }
    }

    /// It names the root.
    pub(super) fn is_root(&self) -> bool {
        self.name.is_empty()
    }
}

/// `name` as a segment of a link's path.
pub(super) fn encoded(name: &[u8]) -> String {
    percent_encode(name, RESERVED).to_string()
}

/// Path and query; the authority of an absolute form is taken off. `None`: no form that names a file.
fn origin_form(target: &[u8]) -> Option<&[u8]> {
    if target.starts_with(b"/") {
        return Some(target);
    }
    let rest = target.strip_prefix(b"http://").or_else(|| target.strip_prefix(b"https://"))?;
    let authority = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
    (authority > 0).then(|| &rest[authority..])
}

/// A segment, decoded, if it can be a file's name.
fn name(segment: &[u8]) -> Result<Vec<u8>, Unserved> {
    let mut escapes = segment.split(|&byte| byte == b'%').skip(1);
    let is_escape =
        |rest: &[u8]| matches!(rest, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    if !escapes.all(is_escape) {
        return Err(Unserved::Malformed);
    }
    let name: Vec<u8> = percent_decode(segment).collect();
    if name.contains(&0) {
        Err(Unserved::Malformed)
    } else if name.contains(&b'/') || name.starts_with(b".") {
        Err(Unserved::Missing)
    } else {
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    fn path(target: &str) -> String {
        Target::parse(target.as_bytes()).unwrap().path.into_os_string().into_string().unwrap()
    }

    fn refused(target: &[u8]) -> Unserved {
        Target::parse(target).unwrap_err()
    }

    #[test]
    fn a_target_is_decoded_once() {
        assert_eq!(path("/a%20b/%C3%A9.txt?q=%zz"), "a b/é.txt");
        assert_eq!(path("/%252e%252e"), "%2e%2e");
        assert_eq!(path("/a+b"), "a+b");
        assert_eq!(path("/a%5Cb"), "a\\b");
    }

    #[test]
    fn the_root_has_many_names() {
        for target in ["/", "//", "/?a", "http://host", "http://host/", "https://host?q"] {
            let target = Target::parse(target.as_bytes()).unwrap();
            assert!(target.path.as_os_str() == "." && target.of_directory && target.is_root(), "{target:?}");
            assert_eq!(target.shown(), "/");
        }
    }

    #[test]
    fn an_absolute_form_is_a_path_after_its_authority() {
        assert_eq!(path("http://host:80/a//b"), "a/b");
    }

    #[test]
    fn no_name_begins_with_a_dot() {
        for target in [
            "/..",
            "/../a",
            "/a/..",
            "/a/../b",
            "/.",
            "/./a",
            "/%2e%2e/a",
            "/%2E./a",
            "/.%2e",
            "/.git/config",
            "/a/%2ehtpasswd",
            "/..%5c..%5ca",
            "/...",
        ] {
            assert_eq!(refused(target.as_bytes()), Unserved::Missing, "{target}");
        }
    }

    #[test]
    fn an_encoded_slash_separates_nothing() {
        for target in ["/a%2fb", "/%2F", "/..%2f..%2fetc%2fpasswd", "/%2fetc/passwd"] {
            assert_eq!(refused(target.as_bytes()), Unserved::Missing, "{target}");
        }
    }

    #[test]
    fn what_is_no_path_is_malformed() {
        let targets: [&[u8]; 12] = [
            b"/%",
            b"/%2",
            b"/%zz",
            b"/%2g",
            b"/a%",
            b"/%%41",
            b"/a%00b",
            b"/%00",
            b"*",
            b"httpx",
            b"http:///a",
            b"/a#b",
        ];
        for target in targets {
            assert_eq!(refused(target), Unserved::Malformed, "{}", target.escape_ascii());
        }
    }

    #[test]
    fn bytes_that_are_no_text_can_be_a_name() {
        let target = Target::parse(b"/%ff\xfe").unwrap();
        assert_eq!(target.path.as_os_str().as_encoded_bytes(), b"\xff\xfe");
    }

    #[test]
    fn a_directory_is_redirected_to_relative_to_where_it_was_asked_for() {
        let location = |target: &str| Target::parse(target.as_bytes()).unwrap().location_of_directory();
        assert_eq!(location("/a/b"), "./b/");
        assert_eq!(location("//evil.example"), "./evil.example/");
        assert_eq!(location("/a:b%0d%0aX?q=1"), "./a%3Ab%0D%0AX/?q=1");
        assert_eq!(location("/d?é"), "./d/?%C3%A9");
    }

    #[test]
    fn only_a_last_slash_names_a_directory() {
        assert!(Target::parse(b"/a/").unwrap().of_directory);
        assert!(!Target::parse(b"/a").unwrap().of_directory);
        assert_eq!(Target::parse(b"/a/b").unwrap().shown(), "/a/b/");
    }

    fn piece() -> impl Strategy<Value = &'static [u8]> {
        let pieces: [&[u8]; 16] = [
            b"/", b"/", b".", b"..", b"%2e", b"%2E", b"%2f", b"%5c", b"\\", b"%", b"%00", b"%25", b"a", b"?",
            b"http://", b"\xff",
        ];
        prop::sample::select(pieces.to_vec())
    }

    proptest! {
        #[test]
        fn no_target_is_a_path_that_leads_up_or_begins_at_the_top(
            pieces in prop::collection::vec(piece(), 0..24),
        ) {
            let Ok(target) = Target::parse(&[b"/", &pieces.concat()[..]].concat()) else { return Ok(()) };
            prop_assert!(!target.path.as_os_str().as_encoded_bytes().contains(&0));
            let below = target.path.components().all(|component| matches!(component, Component::Normal(_)));
            prop_assert!(below || target.path.as_os_str() == ".", "{target:?}");
        }

        #[test]
        fn no_location_breaks_out_of_its_field(target in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(target) = Target::parse(&[b"/", &target[..]].concat()) {
                let location = target.location_of_directory();
                prop_assert!(location.starts_with("./") && location.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_control()));
            }
        }
    }
}
