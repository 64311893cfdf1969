//! A backend's answer on its way to a client: answered from the cache instead, marked, and its body recorded if it may be stored.
//!
//! Owns what follows from the answer for what is stored. Rule: whether it may be stored is the cache's to say, and each answer says in
//! `Cache-Status` what came of it.

use std::sync::Arc;
use std::time::Instant;

use super::super::Active;
use crate::proxy::body::{Body, Framing};
use crate::proxy::cache::{self, Arrival, Draft, Object, Told, Unstorable, Use};
use crate::proxy::field::begins_with;
use crate::proxy::session::Op;

impl Active {
    /// The final head of a backend's answer stands in the reply: it is answered from the cache instead, or marked, and its body
    /// recorded if it may be stored.
    pub(in crate::proxy::session) fn judge_response(&mut self, now: Instant) -> Option<Op> {
        let status = self.exchange.response.status;
        let caching = self.exchange.caching.as_deref_mut()?;
        let cache = self.proxy.cache.as_ref()?;
        let arrival = Arrival {
            now,
            wall: self.proxy.date.seconds(),
            delay: now.saturating_duration_since(caching.sent),
        };
        let head = self.reply.window();
        let hides_fields = self.exchange.response.hides_cache_fields;
        let stored = match caching.asked.uses {
            Use::Invalidate => {
                if (200..400).contains(&status) {
                    self.invalidate();
                }
                Err(Unstorable::Method)
            }
            Use::Head if hides_fields => {
                cache.invalidate(caching.asked.key());
                Err(Unstorable::HiddenFields)
            }
            Use::Head => {
                cache.heard_of(&caching.asked, status, head, &caching.rules, arrival);
                Err(Unstorable::Method)
            }
            Use::Get => {
                if caching.validates
                    && status == 304
                    && let Some(stale) = caching.stale.take()
                {
                    let object = if hides_fields {
                        cache.invalidate(caching.asked.key());
                        None
                    } else {
                        cache.validated(&caching.asked, stale, head, &caching.rules, arrival)
                    };
                    self.note_surplus();
                    return Some(match object {
                        Some(object) => self.answer_validated(object, now),
                        None => self.ask_again(now),
                    });
                }
                let is_error = matches!(status, 500 | 502 | 503 | 504);
                if is_error
                    && let Some(stale) = caching.stale.take_if(|stale| stale.freshness.may_stand_in(now))
                {
                    self.exchange.response.persistent = false;
                    let left = stale.freshness.left(now);
                    return Some(self.answer_validated_or(stale, Told::InsteadOfError { left }, now));
                }
                let framing = self.exchange.response.framing;
                let decodes = framing == Framing::Chunked && self.exchange.asked.is_1_1;
                let draft = Draft::judge(&caching.asked, status, head, &caching.rules, arrival);
                let recording = draft.and_then(|draft| match framing {
                    _ if hides_fields => Err(Unstorable::HiddenFields),
                    Framing::UntilClose => Err(Unstorable::EndsWithTheConnection),
                    _ => cache.record(draft, framing.length(), decodes, &caching.rules),
                });
                match recording {
                    Ok(recording) => {
                        caching.recording = Some(recording);
                        Ok(())
                    }
                    Err(reason) => {
                        if reason.is_the_responses() {
                            cache.fetches.refuse(caching.asked.key(), now);
                        }
                        caching.give_up();
                        Err(reason)
                    }
                }
            }
        };
        let caching = self.exchange.caching.as_deref_mut()?;
        let told = Told::Forwarded { why: caching.why, waited: caching.has_waited, stored };
        caching.told = caching.told.or(Some(told));
        self.reply.retract(2);
        told.write(&mut self.reply);
        let fits = self.reply.push(b"\r\n");
        debug_assert!(fits, "there was room for it before");
        None
    }

    fn answer_validated(&mut self, object: Arc<Object>, now: Instant) -> Op {
        self.answer_validated_or(object, Told::Validated, now)
    }

    fn answer_validated_or(&mut self, object: Arc<Object>, told: Told, now: Instant) -> Op {
        if self.is_unheard() {
            self.exchange.download = Body::Length(0);
            return self.relay(now);
        }
        // The backend has to send nothing more of use: it is let go by the relay.
        self.answer_stored(object, told, now)
    }

    /// An unsafe request has succeeded (RFC 9111 section 4.4).
    fn invalidate(&self) {
        let (Some(cache), Some(caching)) = (&self.proxy.cache, &self.exchange.caching) else { return };
        cache.invalidate(caching.asked.key());
        let host = caching.asked.host();
        for reference in cache::references(self.reply.window()) {
            let Some(target) = cache::on_host(reference, host, caching.asked.target()) else { continue };
            let Some(route) = self.proxy.routes.find(host, &target) else { continue };
            let taken_off = self.proxy.routes.taken_off(route);
            let rest = if begins_with(&target, taken_off) { &target[taken_off.len()..] } else { &target };
            cache.invalidate(&cache::key(route.index(), host, rest));
        }
    }

    /// A piece of a body passes, `has_surplus`: with more than was promised behind it.
    pub(in crate::proxy::session) fn feed_cache(&mut self, has_surplus: bool) {
        let (Some(cache), Some(caching)) = (&self.proxy.cache, &mut self.exchange.caching) else { return };
        let Some(recording) = &mut caching.recording else { return };
        if has_surplus || !recording.feed(self.answer.window()) {
            return caching.give_up();
        }
        if self.exchange.download.is_done() {
            if let Some(recording) = caching.recording.take() {
                cache.keep(&caching.asked, recording.finish());
            }
            caching.lead = None;
        }
    }
}
