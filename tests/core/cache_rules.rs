//! When a stored answer may be given, in the plainest form: RFC 9111, RFC 5861 and RFC 9213, as far as histories speak of them.
//!
//! Owns an account, independent of the core, of every answer that may have been stored: for whom it was, what it says by now, since
//! when, and whether it has gone. Rules: it knows no more than what was said on the wire; where that does not tell what became of an
//! answer it forbids nothing, so that whatever it forbids is wrong.

use std::collections::BTreeMap;

use crate::cache_history::Heard;

/// What a request says that concerns a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Question {
    pub method: &'static str,
    pub path: usize,
    pub host: usize,
    /// `X-V`.
    pub variant: Option<u8>,
    pub is_authorized: bool,
    pub no_store: bool,
    pub no_cache: bool,
    pub only_if_cached: bool,
    pub max_age: Option<u64>,
    pub min_fresh: Option<u64>,
    /// The largest number: any.
    pub max_stale: Option<u64>,
}

/// Directives of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Control {
    pub max_age: Option<u64>,
    pub shared_max_age: Option<u64>,
    pub no_store: bool,
    pub private: bool,
    pub no_cache: bool,
    pub must_revalidate: bool,
    pub proxy_revalidate: bool,
    pub public: bool,
    pub while_revalidating: Option<u64>,
    pub if_error: Option<u64>,
}

/// What an answer says that concerns a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// `Cache-Control`.
    pub control: Option<Control>,
    /// `CDN-Cache-Control`.
    pub for_shared_caches: Option<Control>,
    pub varies: Option<&'static str>,
    pub sets_cookie: bool,
    pub tag: Option<&'static str>,
    /// Its last change was a hundred seconds before it was made.
    pub says_when_changed: bool,
}

/// An answer that may be stored.
#[derive(Debug, Clone, Copy)]
struct Stored {
    /// Whom it answers: who asked for it, or validated it last.
    asked: Question,
    said: Answer,
    since: u64,
    /// Something that did not tell all may have changed it.
    is_blurred: bool,
    has_gone: bool,
}

/// Every answer so far, by its number: two for each step.
#[derive(Debug, Default)]
pub struct Memory {
    stored: BTreeMap<usize, Stored>,
}

impl Question {
    /// `Cache-Control`'s members.
    pub fn directives(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (is_said, word) in [
            (self.no_store, "no-store"),
            (self.no_cache, "no-cache"),
            (self.only_if_cached, "only-if-cached"),
        ] {
            all.extend(is_said.then(|| word.to_owned()));
        }
        all.extend(self.max_age.map(|seconds| format!("max-age={seconds}")));
        all.extend(self.min_fresh.map(|seconds| format!("min-fresh={seconds}")));
        all.extend(self.max_stale.map(|seconds| match seconds {
            u64::MAX => "max-stale".to_owned(),
            seconds => format!("max-stale={seconds}"),
        }));
        all
    }

    fn has_same_target(&self, other: &Question) -> bool {
        (self.path, self.host) == (other.path, other.host)
    }
}

impl Control {
    fn text(&self) -> String {
        let words = [
            (self.no_store, "no-store"),
            (self.private, "private"),
            (self.no_cache, "no-cache"),
            (self.must_revalidate, "must-revalidate"),
            (self.proxy_revalidate, "proxy-revalidate"),
            (self.public, "public"),
        ];
        let numbers = [
            ("max-age", self.max_age),
            ("s-maxage", self.shared_max_age),
            ("stale-while-revalidate", self.while_revalidating),
            ("stale-if-error", self.if_error),
        ];
        let words = words.into_iter().filter(|(is_said, _)| *is_said).map(|(_, word)| word.to_owned());
        let numbers = numbers.into_iter().filter_map(|(name, seconds)| Some(format!("{name}={}", seconds?)));
        words.chain(numbers).collect::<Vec<_>>().join(", ")
    }
}

impl Answer {
    /// Its fields, but for those of time.
    pub fn fields(&self) -> String {
        let mut fields = String::new();
        for (name, value) in [
            ("Cache-Control", self.control.map(|control| control.text())),
            ("CDN-Cache-Control", self.for_shared_caches.map(|control| control.text())),
            ("Vary", self.varies.map(str::to_owned)),
            ("ETag", self.tag.map(str::to_owned)),
            ("Set-Cookie", self.sets_cookie.then(|| "a=b".to_owned())),
        ] {
            fields.extend(value.map(|value| format!("{name}: {value}\r\n")));
        }
        fields
    }

    /// What this cache is told (RFC 9213 section 2).
    fn control(&self) -> Control {
        self.for_shared_caches.or(self.control).unwrap_or_default()
    }

    fn explicit_lifetime(&self) -> Option<u64> {
        self.control().shared_max_age.or(self.control().max_age)
    }

    fn lifetime(&self) -> u64 {
        let guess = self.says_when_changed && (matches!(self.status, 200 | 404) || self.control().public);
        self.explicit_lifetime().unwrap_or(if guess { 10 } else { 0 })
    }

    /// RFC 9111 section 3, and that cookies are stored with a lifetime only.
    fn may_be_stored(&self, asked: &Question) -> bool {
        let control = self.control();
        let is_shared = control.public || control.must_revalidate || control.shared_max_age.is_some();
        !asked.no_store
            && !matches!(self.status, 206 | 304)
            && !control.no_store
            && !control.private
            && (!asked.is_authorized || is_shared)
            && self.varies != Some("*")
            && (!self.sets_cookie || self.explicit_lifetime().is_some())
    }

    /// Section 3.2: the fields of a newer answer in the place of its own.
    fn updated(&self, newer: &Answer) -> Answer {
        Answer {
            status: self.status,
            control: newer.control.or(self.control),
            for_shared_caches: newer.for_shared_caches.or(self.for_shared_caches),
            varies: newer.varies.or(self.varies),
            sets_cookie: newer.sets_cookie || self.sets_cookie,
            tag: self.tag.or(newer.tag),
            says_when_changed: newer.says_when_changed || self.says_when_changed,
        }
    }

    /// Section 4.3.4: whether a 304 speaks of this answer.
    fn is_meant_by(&self, said: &Answer) -> bool {
        let opaque = |tag: &'static str| tag.trim_start_matches("W/");
        match said.tag {
            Some(tag) => self.tag.map(opaque) == Some(opaque(tag)),
            None => !said.says_when_changed || self.says_when_changed,
        }
    }
}

impl Stored {
    /// Why it may not be given to whoever asks at that second, without a backend's word.
    fn objection(&self, asks: &Question, second: u64, has_failed: bool) -> Option<&'static str> {
        let control = self.said.control();
        let age = second.saturating_sub(self.since);
        let staleness = (age + 1).saturating_sub(self.said.lifetime());
        let is_fresh = staleness == 0;
        // What is as old as its lifetime is stale, by no second yet.
        let staleness = staleness.saturating_sub(1);
        let may_be_stale = !control.must_revalidate
            && !control.proxy_revalidate
            && control.shared_max_age.is_none()
            && !control.no_cache;
        let within = |most: Option<u64>| may_be_stale && most.is_some_and(|most| staleness <= most);
        if has_failed && within(control.if_error) {
            return None;
        }
        if control.no_cache || asks.no_cache {
            return Some("it was not validated");
        }
        if asks.max_age.is_some_and(|most| age > most) {
            return Some("it is older than the client wants");
        }
        let left = self.said.lifetime().saturating_sub(age);
        if asks.min_fresh.is_some_and(|least| left < least) {
            return Some("it is not fresh for as long as the client wants");
        }
        let is_accepted = within(asks.max_stale);
        let is_refreshed = asks.max_age.is_none() && within(control.while_revalidating);
        (!is_fresh && !is_accepted && !is_refreshed).then_some("it is stale")
    }
}

impl Memory {
    /// Judges that the client of step `at` got answer `number`.
    pub fn judge(&self, at: usize, second: u64, asks: &Question, number: Option<usize>, heard: &Heard) {
        let Some(number) = number else { return };
        if number / 2 == at {
            let is_alone = asks.only_if_cached && matches!(asks.method, "GET" | "HEAD");
            assert!(!is_alone, "a backend was asked for a client that wants nothing from it");
            return;
        }
        let told = |why: &str| {
            format!("{number} was given to {asks:?} at {second} s, but {why}: {:?}", self.stored.get(&number))
        };
        let Some(stored) = self.stored.get(&number) else { panic!("{}", told("it is not whole")) };
        assert!(matches!(asks.method, "GET" | "HEAD"), "{}", told("that is no question for a cache"));
        assert!(stored.asked.method == "GET", "{}", told("it answers no GET"));
        assert!(stored.asked.has_same_target(asks), "{}", told("it is another one's"));
        assert!(!stored.has_gone, "{}", told("it was to go"));
        if stored.is_blurred {
            return;
        }
        assert!(stored.said.may_be_stored(&stored.asked), "{}", told("it may not be stored"));
        let is_variant = stored.said.varies.is_none() || stored.asked.variant == asks.variant;
        assert!(is_variant, "{}", told("it is another variant"));
        if heard.statuses.contains(&304) && heard.had_condition {
            // Whether it was meant is judged with what the 304 says, in `follow`.
            return;
        }
        let has_failed = !heard.statuses.iter().any(|status| *status < 500);
        if let Some(why) = stored.objection(asks, second, has_failed) {
            panic!("{}", told(why));
        }
    }

    /// A backend may have said this, whole.
    pub fn learn(&mut self, number: usize, second: u64, asked: &Question, said: &Answer) {
        // The second one is to a request that was sent again, and that is no 304.
        let status = if said.status == 304 { 200 } else { said.status };
        let said = Answer { status, ..*said };
        let stored = Stored { asked: *asked, said, since: second, is_blurred: false, has_gone: false };
        self.stored.insert(number, stored);
    }

    /// What step `at` changes of what is stored.
    pub fn follow(
        &mut self,
        at: usize,
        second: u64,
        asks: &Question,
        says: &Answer,
        number: Option<usize>,
        heard: &Heard,
    ) {
        let earlier = |number: &usize| number / 2 < at;
        if asks.method == "POST" && heard.statuses.iter().any(|status| (200..400).contains(status)) {
            let of_target = self
                .stored
                .iter_mut()
                .filter(|(number, of)| earlier(number) && of.asked.has_same_target(asks));
            of_target.for_each(|(_, of)| of.has_gone = true);
        }
        if asks.method == "HEAD" && !heard.statuses.is_empty() {
            let of_target = self.stored.values_mut().filter(|of| of.asked.has_same_target(asks));
            of_target.for_each(|of| of.is_blurred = true);
        }
        let has_validated = asks.method == "GET" && heard.statuses.contains(&304) && heard.had_condition;
        let Some(stored) =
            number.filter(earlier).filter(|_| has_validated).and_then(|n| self.stored.get_mut(&n))
        else {
            return;
        };
        if stored.is_blurred {
            return;
        }
        let is_meant = stored.said.is_meant_by(says);
        if !is_meant {
            // It can only have been given before it was validated.
            let why = stored.objection(asks, second, false);
            assert!(
                why.is_none(),
                "{number:?} was given to {asks:?} on a 304 about something else: {stored:?}"
            );
            stored.has_gone = true;
        } else if !asks.no_store {
            let said = stored.said.updated(says);
            let has_gone = !said.may_be_stored(asks);
            *stored = Stored { asked: *asks, said, since: second, is_blurred: false, has_gone };
        }
    }
}
