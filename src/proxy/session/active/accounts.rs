//! What is counted of an exchange and told of it when it is over.
//!
//! Owns the byte counts and the slot at the backend; decides nothing. Rules: each exchange is told of once, when its last
//! byte has gone out or it broke off; a slot is given back once, as soon as the backend has no more to do with it.

use std::time::Instant;

use super::Active;
use crate::proxy::backend::count;
use crate::proxy::cache::Told;
use crate::proxy::error::{Blame, Error};
use crate::proxy::observer::ExchangeSummary;

/// The figures of one exchange.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Since when there is something to be told of.
    began: Option<Instant>,
    /// A backend was chosen for it.
    forwarded: bool,
    status: u16,
    /// Of the response, as it goes to the client.
    head_bytes: u64,
    to_client: u64,
    /// Since the slot was taken.
    to_backend: u64,
    from_backend: u64,
}

impl Account {
    /// A request was read, or what should have been one.
    pub(super) fn open(&mut self, now: Instant) {
        self.began.get_or_insert(now);
    }

    /// It has gone to a backend.
    pub(super) fn forwarded(&mut self) {
        self.forwarded = true;
    }

    pub(super) fn wrote_to_client(&mut self, bytes: usize) {
        self.to_client += bytes as u64;
    }

    pub(super) fn wrote_to_backend(&mut self, bytes: usize) {
        self.to_backend += bytes as u64;
    }

    pub(super) fn read_from_backend(&mut self, bytes: usize) {
        self.from_backend += bytes as u64;
    }
}

impl Active {
    /// The final response has this status, and its head this length on the way to the client.
    pub(super) fn answers(&mut self, status: u16, head_bytes: usize) {
        let account = &mut self.exchange.account;
        account.open(self.now);
        account.status = status;
        account.head_bytes = head_bytes as u64;
        self.proxy.answered(status);
    }

    /// The backend in hand has no more to do with this session.
    pub(super) fn give_slot(&mut self) {
        if std::mem::take(&mut self.exchange.connection.holds_slot) {
            let backend = self.proxy.backend(self.exchange.connection.backend);
            backend.give_slot();
            count(&backend.counters.bytes_to, std::mem::take(&mut self.exchange.account.to_backend));
            count(&backend.counters.bytes_from, std::mem::take(&mut self.exchange.account.from_backend));
        }
    }

    /// The backend in hand has failed an exchange.
    pub(super) fn blame_backend(&self) {
        count(&self.proxy.backend(self.exchange.connection.backend).counters.errors, 1);
    }

    /// The same, if that is what `error` says.
    pub(super) fn blame_backend_for(&self, error: &Error) {
        if self.exchange.connection.is_open && error.blame() == Blame::Backend {
            self.blame_backend();
        }
    }

    /// The exchange, if there is one, is over.
    pub(super) fn report(&mut self, whole: bool) {
        let Some(began) = self.exchange.account.began.take() else { return };
        let account = &self.exchange.account;
        if let (Some(observer), Some(notes)) = (&self.proxy.observer, &mut self.notes) {
            observer.exchanged(&ExchangeSummary {
                client: self.address,
                request_line: &notes.request_line,
                host: &notes.host,
                referer: &notes.referer,
                user_agent: &notes.user_agent,
                status: (account.to_client > 0).then_some(account.status),
                body_bytes: account.to_client.saturating_sub(account.head_bytes),
                backend: account.forwarded.then_some(self.exchange.connection.backend),
                lasted: self.now.saturating_duration_since(began),
                whole,
                cache: self.exchange.caching.as_ref().and_then(|caching| caching.told).map(Told::cache_use),
            });
            notes.clear();
        }
    }
}
