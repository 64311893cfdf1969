//! A child on another host, as its holder on this one sees it.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use super::frame::Order;
use super::hearing::lock;
use super::link::{Link, LinkError, Started};
use crate::testbed::child::Source;

/// A child on a host.
#[derive(Debug)]
pub(crate) struct Remote {
    link: Arc<Link>,
    id: u64,
    pid: u32,
    status: Arc<Mutex<Option<String>>>,
}

impl Remote {
    /// Has the agent that `link` leads to start its own program with `args`; `source` is filled with what that says.
    pub(crate) fn start(
        link: &Arc<Link>,
        args: Vec<String>,
        source: Source,
        interrupt: &AtomicBool,
    ) -> Result<Self, LinkError> {
        let Started { id, pid, status } = link.start(args, source, interrupt)?;
        Ok(Remote { link: Arc::clone(link), id, pid, status })
    }

    pub(crate) fn say(&self, line: &str) {
        self.link.send(Order::Say { id: self.id, line: line.to_owned() });
    }

    pub(crate) fn close(&self) {
        self.link.send(Order::Close { id: self.id });
    }

    pub(crate) fn kill(&self) {
        self.link.send(Order::Kill { id: self.id });
    }

    /// On its host.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, in words, if that is known.
    pub(crate) fn ended(&self) -> Option<String> {
        lock(&self.status).clone()
    }

    /// A time of its host's clock by this one's.
    pub(crate) fn here_ns(&self, there_ns: u64) -> Option<i128> {
        self.link.here_ns(there_ns)
    }

    /// Its host, and what became of that host's agent, if it is lost.
    pub(crate) fn lost(&self) -> Option<(String, String)> {
        Some((self.link.host().to_owned(), self.link.lost()?))
    }
}
