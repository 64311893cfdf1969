//! Cache directives: `Cache-Control` of requests and responses, `Pragma`, and `CDN-Cache-Control` (RFC 9213).
//!
//! Owns their syntax. Rules: a list is read around what is malformed in it, quoted strings are never searched for directives;
//! of a directive that comes twice the first counts (RFC 9111 section 4.2.1); a time that is no number counts as zero, that is,
//! as stale. `CDN-Cache-Control` is a dictionary of structured fields: malformed, it counts for nothing.

/// The largest number of seconds (RFC 9111 section 1.2.2).
const MOST_SECONDS: u64 = 1 << 31;

/// What a request says (RFC 9111 section 5.2.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RequestControl {
    pub(crate) no_cache: bool,
    pub(crate) no_store: bool,
    pub(crate) only_if_cached: bool,
    pub(crate) max_age: Option<u64>,
    pub(crate) min_fresh: Option<u64>,
    /// Without a number any staleness is accepted.
    pub(crate) max_stale: Option<u64>,
}

impl RequestControl {
    /// Adds one field to what earlier ones said.
    pub(super) fn add(&mut self, value: &[u8]) {
        for (name, argument) in list(value) {
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            if is("no-cache") {
                self.no_cache = true;
            } else if is("no-store") {
                self.no_store = true;
            } else if is("only-if-cached") {
                self.only_if_cached = true;
            } else if is("max-age") {
                self.max_age.get_or_insert(argument.and_then(seconds).unwrap_or(0));
            } else if is("min-fresh") {
                self.min_fresh.get_or_insert(argument.and_then(seconds).unwrap_or(0));
            } else if is("max-stale") {
                let most = argument.map_or(u64::MAX >> 1, |argument| seconds(argument).unwrap_or(0));
                self.max_stale.get_or_insert(most);
            }
        }
    }
}

/// What a response says (RFC 9111 section 5.2.2, RFC 5861, RFC 9213).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ResponseControl {
    pub(super) no_store: bool,
    pub(super) no_cache: bool,
    pub(super) private: bool,
    pub(super) public: bool,
    pub(super) must_revalidate: bool,
    pub(super) proxy_revalidate: bool,
    pub(super) must_understand: bool,
    pub(super) max_age: Option<u64>,
    pub(super) shared_max_age: Option<u64>,
    pub(super) while_revalidating: Option<u64>,
    pub(super) if_error: Option<u64>,
}

impl ResponseControl {
    /// Adds one `Cache-Control` field to what earlier ones said.
    pub(super) fn add(&mut self, value: &[u8]) {
        for (name, argument) in list(value) {
            self.directive(name, || argument.and_then(seconds).unwrap_or(0));
        }
    }

    /// What a `CDN-Cache-Control` field says, if it says anything that is known here.
    pub(super) fn targeted(value: &[u8]) -> Option<Self> {
        let mut control = ResponseControl::default();
        for (key, item) in dictionary(value)? {
            match item {
                // A type that a directive does not have leaves it out (RFC 9213 section 2.1).
                Item::Integer(number) => {
                    control.directive(key, || u64::try_from(number).unwrap_or(0).min(MOST_SECONDS));
                }
                Item::True if !takes_seconds(key) => control.directive(key, || 0),
                Item::True | Item::Other => {}
            }
        }
        (control != ResponseControl::default()).then_some(control)
    }

    fn directive(&mut self, name: &[u8], argument: impl Fn() -> u64) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            6 if is("public") => self.public = true,
            7 if is("private") => self.private = true,
            7 if is("max-age") => self.max_age = self.max_age.or_else(|| Some(argument())),
            8 if is("no-store") => self.no_store = true,
            8 if is("no-cache") => self.no_cache = true,
            8 if is("s-maxage") => self.shared_max_age = self.shared_max_age.or_else(|| Some(argument())),
            14 if is("stale-if-error") => self.if_error = self.if_error.or_else(|| Some(argument())),
            15 if is("must-revalidate") => self.must_revalidate = true,
            15 if is("must-understand") => self.must_understand = true,
            16 if is("proxy-revalidate") => self.proxy_revalidate = true,
            22 if is("stale-while-revalidate") => {
                self.while_revalidating = self.while_revalidating.or_else(|| Some(argument()));
            }
            _ => {}
        }
    }
}

fn takes_seconds(key: &[u8]) -> bool {
    [b"max-age".as_slice(), b"s-maxage", b"stale-if-error", b"stale-while-revalidate"].contains(&key)
}

/// `delta-seconds`; what overflows is as much as can be.
pub(super) fn seconds(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(text.iter().fold(0, add).min(MOST_SECONDS))
}

/// The members of a list, split at commas outside of quoted strings, each with what stands behind its `=`, without quotes.
fn list(value: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    members(value).map(|member| match memchr::memchr(b'=', member) {
        None => (member, None),
        Some(at) => {
            let argument = &member[at + 1..];
            let inner = argument.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
            (&member[..at], Some(inner.unwrap_or(argument)))
        }
    })
}

/// The members of a comma-separated list in which commas may be quoted, without white space around them.
pub(super) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.iter().position(|byte| {
            if std::mem::take(&mut escaped) {
                return false;
            }
            match byte {
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b',' if !quoted => return true,
                _ => {}
            }
            false
        });
        rest = end.map(|end| &text[end + 1..]);
        Some(text[..end.unwrap_or(text.len())].trim_ascii())
    })
    .filter(|member| !member.is_empty())
}

/// A value of a structured field, as far as a directive can have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Integer(i64),
    True,
    Other,
}

/// A dictionary of structured fields (RFC 9651 section 4.2.2); `None` when it is malformed. Inner lists and byte
/// sequences are in no directive and count as malformed.
fn dictionary(value: &[u8]) -> Option<Vec<(&[u8], Item)>> {
    let mut found = Vec::new();
    for member in value.split(|byte| *byte == b',') {
        let member = member.trim_ascii();
        let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii_start);
        let (key, item) = key_and_item(parts.next()?)?;
        for parameter in parts {
            key_and_item(parameter)?;
        }
        found.push((key, item));
    }
    Some(found)
}

fn key_and_item(text: &[u8]) -> Option<(&[u8], Item)> {
    let (key, value) = match memchr::memchr(b'=', text) {
        None => (text, None),
        Some(at) => (&text[..at], Some(&text[at + 1..])),
    };
    let begins = key.first().is_some_and(|first| first.is_ascii_lowercase() || *first == b'*');
    let goes_on = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(byte);
    if !begins || !key.iter().all(goes_on) {
        return None;
    }
    let item = match value {
        None | Some(b"?1") => Item::True,
        Some(value) => item(value)?,
    };
    Some((key, item))
}

fn item(text: &[u8]) -> Option<Item> {
    match text.first()? {
        b'-' | b'0'..=b'9' => {
            let text = std::str::from_utf8(text).ok()?;
            match text.parse() {
                Ok(number) => Some(Item::Integer(number)),
                Err(_) => text.parse::<f64>().ok().map(|_| Item::Other),
            }
        }
        b'"' => (text.len() > 1 && text.ends_with(b"\"")).then_some(Item::Other),
        b'?' => (text == b"?0").then_some(Item::Other),
        b'*' | b'a'..=b'z' | b'A'..=b'Z' => text
            .iter()
            .all(|byte| crate::proxy::field::is_token(*byte) || b":/".contains(byte))
            .then_some(Item::Other),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn response(value: &str) -> ResponseControl {
        let mut control = ResponseControl::default();
        control.add(value.as_bytes());
        control
    }

    #[test]
    fn directives_are_read_in_any_case_and_around_what_is_malformed() {
        let control = response(" ,, Max-AGE=10 , x=\"a, no-store, b\\\", private\" , NO-cache , =, ;,foo");
        assert_eq!((control.max_age, control.no_cache), (Some(10), true));
        assert!(!control.no_store && !control.private);
    }

    #[test]
    fn a_time_that_is_no_number_is_zero_and_one_that_is_too_large_the_largest() {
        for (value, age) in [
            ("max-age=\"60\"", 60),
            ("max-age", 0),
            ("max-age=", 0),
            ("max-age=-1", 0),
            ("max-age=1.5", 0),
            ("max-age=1a", 0),
            ("max-age=99999999999999999999999", MOST_SECONDS),
            ("max-age=1, max-age=60", 1),
        ] {
            assert_eq!(response(value).max_age, Some(age), "{value}");
        }
        assert_eq!(response("max-age =60").max_age, None);
    }

    #[test]
    fn a_targeted_field_that_is_malformed_or_says_nothing_known_counts_for_nothing() {
        let targeted = |value: &str| ResponseControl::targeted(value.as_bytes());
        assert_eq!(targeted("foo, max-age=60;x=\"y\"").and_then(|control| control.max_age), Some(60));
        assert!(targeted("no-store").is_some_and(|control| control.no_store));
        for malformed in [
            "max-age=60, &&&",
            "max-age=60,",
            "",
            "Max-Age=60",
            "max-age =60",
            "max-age= 60",
            "max-age=\"60\"",
            "max-age",
            "foo",
            "no-store=?0",
        ] {
            assert_eq!(targeted(malformed), None, "{malformed}");
        }
    }

    proptest! {
        #[test]
        fn noise_is_read_without_an_end_or_a_panic_and_never_allows_more_than_it_says(
            noise in "[ -~\t]{0,60}",
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            RequestControl::default().add(&bytes);
            let _ = ResponseControl::targeted(&bytes);
            let forbidden = response(&format!("no-store, {noise}"));
            prop_assert!(forbidden.no_store);
            let quoted = response(&format!("x=\"{}, max-age=60, public\"", noise.replace(['"', '\\'], "")));
            prop_assert_eq!((quoted.max_age, quoted.public), (None, false));
        }
    }

    #[test]
    fn a_client_may_accept_any_staleness() {
        let mut control = RequestControl::default();
        control.add(b"max-stale, MIN-fresh=x");
        assert_eq!((control.max_stale, control.min_fresh), (Some(u64::MAX >> 1), Some(0)));
    }
}
