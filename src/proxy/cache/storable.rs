//! Whether a response may be stored (RFC 9111 section 3), and the head that is stored of it.
//!
//! Owns the reading of a head that `head::response` has written for a client. Rule: each response that is not stored has one
//! reason, which `Cache-Status` tells.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::asked::{Asked, Use};
use super::directives::{ResponseControl, seconds};
use super::freshness::{Freshness, Times, WallTime, date};
use super::object::Object;
use super::{fields, lines};
use crate::proxy::buf::LARGE;
use crate::proxy::config::CacheRules;
use crate::proxy::field::list;

/// The longest head that is stored: with what is added to it, it fits into a buffer.
const MOST_HEAD: usize = LARGE - 2048;

/// Statuses that may be stored without being told so (RFC 9110 section 15.1), but for 206, which is never stored here.
const HEURISTIC: [u16; 11] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];
/// Statuses that are understood (`must-understand`): those whose caching this file and RFC 9110 speak of.
const UNDERSTOOD: [u16; 20] =
    [200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 414, 500, 501, 503, 504];

/// Why a response is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unstorable {
    Method,
    Status,
    RequestSaysNoStore,
    SaysNoStore,
    Private,
    Authorized,
    SetCookie,
    VariesOnEverything,
    NoFreshness,
    EndsWithTheConnection,
    HiddenFields,
    TooLarge,
    NoRoom,
}

impl Unstorable {
    /// Whether it would be the same for whoever asks.
    pub(crate) fn is_the_responses(self) -> bool {
        !matches!(self, Unstorable::RequestSaysNoStore | Unstorable::Authorized | Unstorable::NoRoom)
    }

    /// As `Cache-Status` tells it.
    pub(crate) fn token(self) -> &'static str {
        match self {
            Unstorable::Method => "method",
            Unstorable::Status => "status",
            Unstorable::RequestSaysNoStore => "request-no-store",
            Unstorable::SaysNoStore => "no-store",
            Unstorable::Private => "private",
            Unstorable::Authorized => "authorization",
            Unstorable::SetCookie => "set-cookie-without-freshness",
            Unstorable::VariesOnEverything => "vary-all",
            Unstorable::NoFreshness => "no-freshness-no-validator",
            Unstorable::EndsWithTheConnection => "ends-with-connection",
            Unstorable::HiddenFields => "connection-names-cache-fields",
            Unstorable::TooLarge => "too-large",
            Unstorable::NoRoom => "no-room-for-recording",
        }
    }
}

/// What is going to be stored when the body has come.
#[derive(Debug)]
pub(crate) struct Draft {
    status: u16,
    head: Vec<u8>,
    vary: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    freshness: Freshness,
}

/// When a response came, and after how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) now: Instant,
    pub(crate) wall: WallTime,
    /// Since the request was sent.
    pub(crate) delay: Duration,
}

/// What a response's head says.
#[derive(Debug, Default)]
struct Said<'a> {
    control: ResponseControl,
    /// `control` comes from a field for caches such as this one (RFC 9213).
    targeted: bool,
    times: Times,
    sets_cookies: bool,
    has_validator: bool,
    vary: Vec<&'a [u8]>,
}

impl<'a> Said<'a> {
    fn read(head: &'a [u8]) -> Self {
        let mut said = Said::default();
        let mut targeted = Vec::new();
        for (name, value) in fields(head) {
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            match name.len() {
                3 if is("age") => {
                    // The first member of the first line (RFC 9111 section 5.1).
                    let first = value.split(|byte| *byte == b',').next().unwrap_or(value).trim_ascii();
                    if said.times.age.is_none() {
                        said.times.age = seconds(first);
                    }
                }
                4 if is("date") => said.times.date = date(value),
                4 if is("vary") => said.vary.extend(list(value)),
                4 if is("etag") => said.has_validator = true,
                7 if is("expires") => {
                    // Two of them contradict each other.
                    said.times.expires = Some(if said.times.expires.is_some() { None } else { date(value) });
                }
                10 if is("set-cookie") => said.sets_cookies = true,
                13 if is("cache-control") => said.control.add(value),
                13 if is("last-modified") => {
                    said.times.last_modified = date(value);
                    said.has_validator = true;
                }
                17 if is("cdn-cache-control") => {
                    if !targeted.is_empty() {
                        targeted.extend_from_slice(b", ");
                    }
                    targeted.extend_from_slice(value);
                }
                _ => {}
            }
        }
        if let Some(control) = ResponseControl::targeted(&targeted) {
            said.control = control;
            said.targeted = true;
        }
        said
    }

    fn freshness(&self, status: u16, rules: &CacheRules, arrival: Arrival) -> (Freshness, bool) {
        let control = &self.control;
        let explicit = self.times.explicit_lifetime(control, self.targeted, arrival.wall);
        let may_guess = HEURISTIC.contains(&status) || control.public;
        let lifetime = explicit
            .or_else(|| self.times.heuristic_lifetime(&rules.heuristics, arrival.wall).filter(|_| may_guess));
        let freshness = Freshness {
            lifetime: lifetime.unwrap_or(0),
            initial_age: self.times.initial_age(arrival.wall, arrival.delay),
            received: arrival.now,
            no_cache: control.no_cache,
            must_revalidate: control.must_revalidate
                || control.proxy_revalidate
                || control.shared_max_age.is_some(),
            while_revalidating: control.while_revalidating,
            if_error: control.if_error,
        };
        (freshness, explicit.is_some())
    }

    /// Why what says this may not be stored, whatever it was asked with GET or HEAD.
    fn objection(
        &self,
        asked: &Asked,
        status: u16,
        freshness: &Freshness,
        is_explicit: bool,
    ) -> Option<Unstorable> {
        let control = &self.control;
        if asked.control.no_store {
            return Some(Unstorable::RequestSaysNoStore);
        }
        if matches!(status, 206 | 304) || (control.must_understand && !UNDERSTOOD.contains(&status)) {
            return Some(Unstorable::Status);
        }
        if control.no_store && !control.must_understand {
            return Some(Unstorable::SaysNoStore);
        }
        if control.private {
            return Some(Unstorable::Private);
        }
        // Section 3.5.
        let is_shared = control.public || control.must_revalidate || control.shared_max_age.is_some();
        if asked.is_authorized && !is_shared {
            return Some(Unstorable::Authorized);
        }
        if self.vary.contains(&b"*".as_slice()) {
            return Some(Unstorable::VariesOnEverything);
        }
        if self.sets_cookies && !is_explicit {
            return Some(Unstorable::SetCookie);
        }
        if !is_explicit && !control.public && !HEURISTIC.contains(&status) {
            return Some(Unstorable::Status);
        }
        (freshness.lifetime == 0 && !self.has_validator).then_some(Unstorable::NoFreshness)
    }

    /// The selecting fields that it names, as the request has them.
    fn selects(&self, asked: &Asked) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        self.vary.iter().map(|name| (name.to_ascii_lowercase(), asked.values(name))).collect()
    }
}

impl Draft {
    /// Judges the response to `asked` whose head is written in `head`.
    pub(crate) fn judge(
        asked: &Asked,
        status: u16,
        head: &[u8],
        rules: &CacheRules,
        arrival: Arrival,
    ) -> Result<Draft, Unstorable> {
        if asked.uses != Use::Get {
            return Err(Unstorable::Method);
        }
        let said = Said::read(head);
        let (freshness, is_explicit) = said.freshness(status, rules, arrival);
        if let Some(objection) = said.objection(asked, status, &freshness, is_explicit) {
            return Err(objection);
        }
        if head.len() > MOST_HEAD {
            return Err(Unstorable::TooLarge);
        }
        Ok(Draft { status, head: stored_head(head), vary: said.selects(asked), freshness })
    }

    /// Bytes that it takes without its body.
    pub(super) fn weight(&self) -> usize {
        self.head.len()
    }

    pub(super) fn object(self, body: Arc<Vec<u8>>) -> Object {
        Object {
            status: self.status,
            head: self.head.into(),
            body,
            vary: self.vary,
            freshness: self.freshness,
        }
    }
}

/// What is stored of a head: without framing, `Age` and what belongs to one connection (section 3.1).
pub(super) fn stored_head(head: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(head.len());
    for (number, line) in lines(head).enumerate() {
        let name = line.split(|byte| *byte == b':').next().unwrap_or(line);
        if number == 0 || !is_left_out(name) {
            stored.extend_from_slice(line);
            stored.extend_from_slice(b"\r\n");
        }
    }
    stored.shrink_to_fit();
    stored
}

fn is_left_out(name: &[u8]) -> bool {
    [
        "age",
        "connection",
        "content-length",
        "transfer-encoding",
        "proxy-authenticate",
        "proxy-authentication-info",
    ]
    .iter()
    .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// `older` with the fields of a newer head about the same content (section 3.2), which answers `asked`, with the freshness that
/// these give; and why it may not be stored any more, if it may not.
pub(super) fn updated(
    asked: &Asked,
    older: &Object,
    newer: &[u8],
    rules: &CacheRules,
    arrival: Arrival,
) -> (Object, Option<Unstorable>) {
    // Of the content itself the newer head cannot speak: it is the stored one, and a weak tag of it becomes no strong one.
    let describes_content = |name: &[u8]| {
        ["content-encoding", "content-range"].iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
            || (name.eq_ignore_ascii_case(b"etag") && older.field("etag").is_some())
    };
    let initial_age = Said::read(newer).times.initial_age(arrival.wall, arrival.delay);
    let newer = stored_head(newer);
    let is_replaced = |name: &[u8]| {
        !describes_content(name) && fields(&newer).any(|(own, _)| own.eq_ignore_ascii_case(name))
    };
    let mut head = Vec::with_capacity(older.head.len() + newer.len());
    head.extend_from_slice(lines(&older.head).next().unwrap_or_default());
    head.extend_from_slice(b"\r\n");
    let kept = fields(&older.head).filter(|(name, _)| !is_replaced(name));
    let added = fields(&newer).filter(|(name, _)| !describes_content(name));
    for (name, value) in kept.chain(added) {
        for piece in [name, b": ", value, b"\r\n"] {
            head.extend_from_slice(piece);
        }
    }
    if head.len() > MOST_HEAD {
        head = older.head.to_vec();
    }
    let said = Said::read(&head);
    let (mut freshness, is_explicit) = said.freshness(older.status, rules, arrival);
    // `Age` is not among the stored fields.
    freshness.initial_age = initial_age;
    let objection = said.objection(asked, older.status, &freshness, is_explicit);
    let (vary, body) = (said.selects(asked), Arc::clone(&older.body));
    (Object { status: older.status, head: head.into(), body, vary, freshness }, objection)
}
