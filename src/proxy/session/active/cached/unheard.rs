//! Exchanges that go on with nobody to be told: a fetch whose client is gone and for which others wait, and the validation of
//! what was answered although it was stale.
//!
//! Owns their bounds and their end. Rules: nothing is written to a client; what cannot be stored is not waited for; all of it
//! takes no longer than a backend may take for an answer.

use std::time::Instant;

use super::super::Active;
use crate::proxy::body::Body;
use crate::proxy::cache::{self, Lead};
use crate::proxy::session::{CloseReason, Op};

/// An exchange with nobody to be told of it.
#[derive(Debug)]
pub(super) struct Unheard {
    /// It ends by then.
    until: Instant,
    /// What follows: another request of the client's. None: the client is gone.
    client_persists: Option<bool>,
}

impl Active {
    /// Whether nobody is to be told of what comes.
    pub(in crate::proxy::session) fn is_unheard(&self) -> bool {
        self.exchange.caching.as_ref().is_some_and(|caching| caching.unheard.is_some())
    }

    /// The client is gone: whether the exchange goes on for those who wait for it, within the time that a backend has
    /// for an answer.
    pub(in crate::proxy::session) fn goes_on_unheard(&mut self, now: Instant) -> bool {
        let Some(caching) = &mut self.exchange.caching else { return false };
        if caching.unheard.is_none()
            && caching.serving.is_none()
            && caching.lead.as_ref().is_some_and(Lead::is_awaited)
        {
            let until = now + self.proxy.limits.backend_timeout;
            caching.unheard = Some(Unheard { until, client_persists: None });
        }
        caching.unheard.is_some()
    }

    /// What has come for nobody is thrown away; what is not going to be stored is not waited for.
    pub(in crate::proxy::session) fn drop_unheard(&mut self, now: Instant) {
        self.reply.clear();
        self.answer.advance(self.answer.len());
        let Some(caching) = &mut self.exchange.caching else { return };
        let is_late = caching.unheard.as_ref().is_some_and(|unheard| now >= unheard.until);
        if !self.exchange.download.is_done() && (caching.recording.is_none() || is_late) {
            caching.give_up();
            self.exchange.response.persistent = false;
            self.exchange.download = Body::Length(0);
        }
    }

    /// The exchange is at its end: whether something follows that the cache wants.
    pub(in crate::proxy::session) fn end_with_cache(&mut self, now: Instant) -> Option<Op> {
        let caching = self.exchange.caching.as_deref_mut()?;
        if std::mem::take(&mut caching.goes_again) {
            let request = self.as_asked();
            return Some(self.send_again(request, now));
        }
        if let Some(unheard) = caching.unheard.take() {
            let Some(persists) = unheard.client_persists else {
                return Some(self.finish(CloseReason::ClientGone));
            };
            self.exchange.response.client_persists = persists;
            self.exchange.request_is_sent = true;
            return None;
        }
        let object = caching.refresh.take().filter(|_| !self.proxy.is_draining())?;
        let mut request = self.proxy.pool.large();
        caching.validates = cache::write_conditional(&caching.asked, &object, &mut request);
        let validates = caching.validates;
        caching.stale = Some(object);
        caching.serving = None;
        caching.unheard = Some(Unheard {
            until: now + self.proxy.limits.backend_timeout,
            client_persists: Some(self.exchange.response.client_persists),
        });
        self.report(true);
        if !validates {
            self.proxy.pool.give(std::mem::replace(&mut request, self.as_asked()));
        }
        Some(self.send_again(request, now))
    }
}
