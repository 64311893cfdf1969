//! A second request to a backend in one exchange: the validation behind an answer that was stale, and the fetch after a 304
//! that spoke of something else than what is stored (RFC 9111 section 4.3.4).
//!
//! Owns how it is sent. Rule: only requests without a body come here, so that what was kept of them is all of them; a 304 about
//! something else leads to one more request and not to another, since that one has no condition of ours.

use std::time::Instant;

use super::super::Active;
use crate::proxy::body::Body;
use crate::proxy::buf::Buf;
use crate::proxy::cache;
use crate::proxy::session::Op;

impl Active {
    /// What is stored is not what the backend speaks of: it is not used, and the request goes out as the client asked, when the
    /// connection in hand is let go.
    pub(super) fn ask_again(&mut self, now: Instant) -> Op {
        if let Some(caching) = &mut self.exchange.caching {
            caching.validates = false;
            caching.goes_again = true;
        }
        self.reply.clear();
        self.answer.clear();
        self.exchange.download = Body::Length(0);
        self.relay(now)
    }

    /// The answer in hand has no body: what has come behind it nobody asked for.
    pub(super) fn note_surplus(&mut self) {
        if !self.answer.is_empty() {
            self.exchange.response.persistent = false;
            self.proxy.spoke_unasked(self.exchange.connection.backend);
        }
    }

    /// The request as the client asked it; where nobody is to be told, for all of what there is.
    pub(super) fn as_asked(&self) -> Buf {
        let mut request = self.proxy.pool.large();
        let Some(caching) = &self.exchange.caching else { return request };
        let fits = match caching.unheard {
            Some(_) => cache::write_for_all(&caching.asked, &mut request),
            None => request.push(caching.asked.head()),
        };
        debug_assert!(fits, "it was written into such a buffer");
        request
    }

    /// Takes another turn with `request`.
    pub(super) fn send_again(&mut self, request: Buf, now: Instant) -> Op {
        if let Some(caching) = &mut self.exchange.caching {
            caching.sent = now;
        }
        for buf in [&mut self.outbox, &mut self.answer, &mut self.reply] {
            self.proxy.pool.give(std::mem::take(buf));
        }
        self.outbox = request;
        self.exchange.interims = 0;
        self.take_turn(now)
    }
}
