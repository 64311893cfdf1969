//! What is counted of an exchange and told of it when it is over.
//!
//! Owns the byte counts and the slot at the backend; decides nothing. Rules: each exchange is told of once, when its last
//! byte has gone out or it broke off; a slot is given back once, as soon as the backend has no more to do with it.

use std::net::SocketAddr;
use std::time::Instant;

use super::Session;
use crate::proxy::backend::count;
use crate::proxy::error::{Blame, Error};
use crate::proxy::exchange::Exchange;

/// The figures of the exchange in hand.
#[derive(Debug)]
pub(super) struct Accounts {
    client: SocketAddr,
    /// The last step's time.
    pub(super) now: Instant,
    began: Instant,
    /// There is an exchange that was not told of yet.
    open: bool,
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

impl Accounts {
    pub(super) fn new(client: SocketAddr, now: Instant) -> Self {
        Accounts {
            client,
            now,
            began: now,
            open: false,
            forwarded: false,
            status: 0,
            head_bytes: 0,
            to_client: 0,
            to_backend: 0,
            from_backend: 0,
        }
    }

    /// A request was read, or what should have been one.
    pub(super) fn open(&mut self) {
        if !std::mem::replace(&mut self.open, true) {
            self.began = self.now;
            self.forwarded = false;
            self.status = 0;
            self.to_client = 0;
        }
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

impl Session {
    /// The final response has this status, and its head this length on the way to the client.
    pub(super) fn answers(&mut self, status: u16, head_bytes: usize) {
        self.accounts.open();
        self.accounts.status = status;
        self.accounts.head_bytes = head_bytes as u64;
        self.proxy.answered(status);
    }

    /// A slot of `backend` was taken for this session.
    pub(super) fn has_slot(&mut self) {
        self.holds_slot = true;
        self.accounts.forwarded = true;
    }

    /// The backend in hand has no more to do with this session.
    pub(super) fn give_slot(&mut self) {
        if std::mem::take(&mut self.holds_slot) {
            let backend = self.proxy.backend(self.backend);
            backend.give_slot();
            count(&backend.counters.bytes_to, std::mem::take(&mut self.accounts.to_backend));
            count(&backend.counters.bytes_from, std::mem::take(&mut self.accounts.from_backend));
        }
    }

    /// The backend in hand has failed an exchange.
    pub(super) fn blame_backend(&self) {
        count(&self.proxy.backend(self.backend).counters.errors, 1);
    }

    /// The same, if that is what `error` says.
    pub(super) fn blame_backend_for(&self, error: &Error) {
        if self.connected && error.blame() == Blame::Backend {
            self.blame_backend();
        }
    }

    /// The exchange, if there is one, is over.
    pub(super) fn report(&mut self, whole: bool) {
        let accounts = &mut self.accounts;
        if !std::mem::take(&mut accounts.open) {
            return;
        }
        if let (Some(observer), Some(notes)) = (&self.proxy.observer, &mut self.notes) {
            observer.exchanged(&Exchange {
                client: accounts.client,
                request_line: &notes.request_line,
                host: &notes.host,
                referer: &notes.referer,
                user_agent: &notes.user_agent,
                status: (accounts.to_client > 0).then_some(accounts.status),
                body_bytes: accounts.to_client.saturating_sub(accounts.head_bytes),
                backend: accounts.forwarded.then_some(self.backend),
                lasted: accounts.now.saturating_duration_since(accounts.began),
                whole,
            });
            notes.clear();
        }
    }
}
