//! An exchange with a cache: what is asked of it before a turn is taken, and what passes it on the way back.
//!
//! Owns when the cache is asked and who waits for whose fetch; what becomes of a backend's answer stands in `passing`, a second request
//! in one exchange in `again`, exchanges that go on with nobody to be told in `unheard`. What may be stored and reused is decided in [`cache`]. Rules: without a cache an exchange has no
//! [`Caching`] and nothing here is done; an answer from the cache is sent by the same writes as any other; nobody waits
//! who could be heard from: a request that others were pipelined behind goes by itself.
//!
//! ```text
//!  begin -> consult -- fresh -----------------------------> answer_stored -> relay -> end, or refresh behind the answer
//!             |  ^                                             ^       ^
//!             |  +-- wait_for_fetch (a read with a deadline)   |       |
//!             v                                                |       |
//!         take a turn -> judge_response: 304 to our condition -+       |
//!           ^            |               error, and stale may stand in +
//!           |            +-> record what passes -> store
//!           +-- 304 about something else: once, as the client asked (again)
//! ```

mod again;
mod passing;
mod unheard;

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Active, State};
use crate::proxy::body::Body;
use crate::proxy::buf::Buf;
use crate::proxy::cache::{
    self, Asked, Forward, Found, Join, Lead, MOST_WAIT, Object, Place, Recording, Told, Use, count,
};
use crate::proxy::config::CacheRules;
use crate::proxy::error::{Blame, Error};
use crate::proxy::session::{CloseReason, Op};
use unheard::Unheard;

/// The first pause before a fetch that is waited for is looked at again; each is twice as long as the last.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// What an exchange has to do with the cache.
#[derive(Debug)]
pub(super) struct Caching {
    asked: Asked,
    rules: CacheRules,
    /// When the request went on its way.
    sent: Instant,
    /// Why it went to a backend.
    why: Forward,
    /// It has waited for another one's fetch, in vain or not.
    has_waited: bool,
    /// What is stored for it but may not be used as it is.
    stale: Option<Arc<Object>>,
    /// The backend is asked whether `stale` is still good.
    validates: bool,
    /// It has answered that of something else: the request goes out once more when its connection is let go.
    goes_again: bool,
    /// Others may wait for this fetch.
    lead: Option<Lead>,
    recording: Option<Recording>,
    /// What the client is being sent, and what of it is left.
    serving: Option<(Arc<Object>, Range<usize>)>,
    waiting: Option<Waiting>,
    /// To be validated when the client has its answer.
    refresh: Option<Arc<Object>>,
    unheard: Option<Unheard>,
    pub(super) told: Option<Told>,
}

/// A wait for another one's fetch.
#[derive(Debug)]
struct Waiting {
    place: Place,
    until: Instant,
    pause: Duration,
}

impl Caching {
    fn new(asked: Asked, rules: CacheRules, now: Instant) -> Self {
        Caching {
            asked,
            rules,
            sent: now,
            why: Forward::UriMiss,
            has_waited: false,
            stale: None,
            validates: false,
            goes_again: false,
            lead: None,
            recording: None,
            serving: None,
            waiting: None,
            refresh: None,
            unheard: None,
            told: None,
        }
    }

    /// Nothing is stored, and nobody has to wait for it.
    fn give_up(&mut self) {
        self.recording = None;
        self.lead = None;
    }
}

impl Active {
    /// Asks the cache, if there is one for this request; `None` goes on to a backend.
    pub(super) fn ask_cache(&mut self, now: Instant) -> Option<Op> {
        let route = self.exchange.asked.route;
        let rules = self.proxy.cache.as_ref().and(self.proxy.routes.cache_rules(route))?.clone();
        let has_body = self.exchange.asked.framing.has_body();
        let asked = Asked::read(self.outbox.window(), route.index(), has_body)?;
        self.exchange.caching = Some(Box::new(Caching::new(asked, rules, now)));
        self.consult(now)
    }

    fn consult(&mut self, now: Instant) -> Option<Op> {
        let (cache, caching) = (self.proxy.cache.as_ref()?, self.exchange.caching.as_deref_mut()?);
        if caching.asked.uses == Use::Invalidate {
            caching.why = Forward::Method;
            return None;
        }
        let key = caching.asked.key();
        match cache.look_up(&caching.asked, now) {
            Found::Fresh(object) | Found::Accepted(object) => {
                let left = object.freshness.left(now);
                let told = if caching.has_waited { Told::Collapsed { left } } else { Told::Hit { left } };
                return Some(self.answer_stored(object, told, now));
            }
            Found::WhileRevalidating(object) => {
                if caching.asked.uses == Use::Get
                    && let Join::Leads(lead) = cache.fetches.join(key, now)
                {
                    caching.lead = Some(lead);
                    caching.refresh = Some(Arc::clone(&object));
                }
                let left = object.freshness.left(now);
                return Some(self.answer_stored(object, Told::Hit { left }, now));
            }
            Found::Unusable(object, why) => {
                caching.stale = Some(object);
                caching.why = why;
            }
            Found::Nothing(why) => caching.why = why,
        }
        if caching.asked.control.only_if_cached {
            return Some(self.refuse(Error::NotStored, now));
        }
        let may_join = caching.asked.uses == Use::Get
            && caching.why != Forward::Request
            && !caching.asked.control.no_store
            && !caching.has_waited;
        if may_join {
            match cache.fetches.join(key, now) {
                Join::Leads(lead) => caching.lead = Some(lead),
                Join::Waits(place) if self.inbox.is_empty() => {
                    caching.waiting = Some(Waiting { place, until: now + MOST_WAIT, pause: FIRST_PAUSE });
                    return Some(self.wait_for_fetch(now));
                }
                Join::Waits(_) | Join::GoesAlone => {}
            }
        }
        self.go_to_backend(now);
        None
    }

    /// Waits a little for another one's fetch: in a read from the client, who has nothing to say before it is answered, so that no
    /// driver has to know of such waits and a client that leaves is noticed.
    fn wait_for_fetch(&mut self, now: Instant) -> Op {
        if let Some(waiting) = self.exchange.caching.as_mut().and_then(|caching| caching.waiting.as_mut()) {
            self.deadline = Some((now + waiting.pause).min(waiting.until));
            waiting.pause = (2 * waiting.pause).min(LONGEST_PAUSE);
        }
        self.read_client(State::AwaitFetch)
    }

    pub(super) fn on_fetch_awaited(&mut self, result: io::Result<usize>, now: Instant) -> Op {
        match result {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                let waiting = self.exchange.caching.as_ref().and_then(|caching| caching.waiting.as_ref());
                let is_over = waiting.is_none_or(|waiting| waiting.place.is_over());
                if !is_over && waiting.is_some_and(|waiting| now < waiting.until) {
                    return self.wait_for_fetch(now);
                }
                self.end_wait();
                self.consult(now).unwrap_or_else(|| self.gather(now))
            }
            // It has sent its end, or another request: it cannot be waited with any more.
            Ok(count) => {
                self.inbox.commit(count);
                self.end_wait();
                self.go_to_backend(now);
                self.gather(now)
            }
            Err(_) => self.finish(CloseReason::ClientGone),
        }
    }

    fn end_wait(&mut self) {
        if let Some(caching) = &mut self.exchange.caching {
            caching.waiting = None;
            caching.has_waited = true;
        }
    }

    /// The request in the outbox goes to a backend: with a condition, where something is stored that may be good still.
    fn go_to_backend(&mut self, now: Instant) {
        let (Some(cache), Some(caching)) = (&self.proxy.cache, &mut self.exchange.caching) else { return };
        count(&cache.counters.misses);
        caching.sent = now;
        if caching.asked.uses != Use::Get {
            return;
        }
        if let Some(stale) = &caching.stale {
            let mut conditional = self.proxy.pool.large();
            caching.validates = cache::write_conditional(&caching.asked, stale, &mut conditional);
            if caching.validates {
                std::mem::swap(&mut self.outbox, &mut conditional);
            }
            self.proxy.pool.give(conditional);
        }
    }

    /// Answers with what is stored. A backend in hand is let go first.
    fn answer_stored(&mut self, object: Arc<Object>, told: Told, now: Instant) -> Op {
        if self.reply.capacity() == 0 {
            self.reply = match std::mem::take(&mut self.outbox) {
                unused if unused.capacity() == 0 => self.proxy.pool.large(),
                outbox => outbox,
            };
        }
        self.reply.clear();
        self.answer.clear();
        let persists = self.exchange.asked.persistent && !self.proxy.is_draining();
        let connection: &[u8] = match (persists, self.exchange.asked.is_1_1) {
            (false, _) => b"Connection: close\r\n",
            (true, true) => b"",
            (true, false) => b"Connection: keep-alive\r\n",
        };
        let (Some(cache), Some(caching)) = (&self.proxy.cache, &mut self.exchange.caching) else {
            return self.finish(CloseReason::DriverFault);
        };
        count(match told {
            Told::Hit { left } | Told::Collapsed { left } if left > 0 => &cache.counters.hits,
            Told::Validated | Told::Forwarded { .. } => &cache.counters.hits,
            _ => &cache.counters.stale,
        });
        let age = object.freshness.age(now);
        let part = cache::write(&caching.asked, &object, age, told, connection, &mut self.reply);
        let body = if self.exchange.asked.is_head { 0..0 } else { part.body };
        caching.told = Some(told);
        caching.serving = Some((object, body));
        caching.lead = caching.lead.take().filter(|_| caching.refresh.is_some());
        self.answers(part.status, self.reply.len());
        self.exchange.response.client_persists = persists;
        self.exchange.request_is_sent = true;
        self.exchange.download = Body::Length(0);
        self.exchange.encodes = false;
        self.exchange.client_patience = self.proxy.limits.write_timeout;
        self.give_slot();
        self.add_stored();
        self.relay(now)
    }

    /// Puts what is left of the stored body into the reply, as it is; whether there was any left.
    pub(super) fn refill_from_stored(&mut self) -> bool {
        let serving = self.exchange.caching.as_mut().and_then(|caching| caching.serving.take());
        let Some((object, left)) = serving.filter(|(_, left)| !left.is_empty()) else { return false };
        let rest = Buf::shared(object.body(), left);
        self.proxy.pool.give(std::mem::replace(&mut self.reply, rest));
        true
    }

    fn add_stored(&mut self) {
        let Some(caching) = &mut self.exchange.caching else { return };
        let Some((object, left)) = &mut caching.serving else { return };
        let count = left.len().min(self.reply.room());
        let fits = self.reply.push(object.piece(left.start..left.start + count));
        debug_assert!(fits, "no more than there is room for");
        left.start += count;
    }

    /// Something is refused: whether the cache has something better to say, or there is nobody to be told.
    pub(super) fn refuse_with_cache(&mut self, error: &Error, now: Instant) -> Option<Op> {
        let caching = self.exchange.caching.as_deref_mut()?;
        caching.give_up();
        let is_unheard = caching.unheard.is_some();
        let is_backends = matches!(error.blame(), Blame::Backend | Blame::Host);
        let stands_in =
            caching.stale.take_if(|stale| is_backends && !is_unheard && stale.freshness.may_stand_in(now));
        if !is_unheard && stands_in.is_none() {
            return None;
        }
        self.give_slot();
        self.exchange.response.persistent = false;
        Some(match stands_in {
            Some(stale) => {
                let left = stale.freshness.left(now);
                self.answer_stored(stale, Told::InsteadOfError { left }, now)
            }
            None => {
                self.exchange.download = Body::Length(0);
                self.relay(now)
            }
        })
    }
}
