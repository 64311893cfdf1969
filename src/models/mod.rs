//! The concurrency models: one file each, and the table that lists them.
//!
//! Owns the table and what every model gets ([`Server`]). A model is a driver of
//! [`roundtable::proxy::Session`] and nothing else: it decides who waits, and how. How an operation is performed stands in
//! `drivers`; what all models do alike stands in `common`, `listener` (sockets), `idle` (connections to backends that are
//! kept), `spread` (connections over workers that share nothing), `log` and `manifest`. `README.md` beside this file
//! tells how to add one.

mod async_std;
mod common;
mod coroutines;
mod drivers;
mod handicap;
mod idle;
mod leader_pool;
mod listener;
mod log;
mod manifest;
mod mio;
mod mio_multi;
mod pool;
mod rayon;
mod smol;
mod spread;
#[cfg(test)]
mod tests;
mod threads;
mod tokio;
mod tokio_current;
pub(crate) mod uring;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use roundtable::proxy::{BackendId, Proxy};
pub(crate) use roundtable_harness::plan::{Accept, Family};

pub(crate) use handicap::Handicap;
pub(crate) use listener::{BACKLOG, MOST_BACKLOG, listen, raise_descriptor_limit};
pub(crate) use log::{AccessLog, LogFormat};
pub(crate) use manifest::manifest;
pub(crate) use spread::Spread;

/// One way of waiting.
pub(crate) struct Model {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    pub(crate) family: Family,
    pub(crate) summary: &'static str,
    /// What one schedulable piece of work is.
    pub(crate) unit_of_work: &'static str,
    /// What bounds the number of exchanges that go on at the same time.
    pub(crate) bound: &'static str,
    /// Threads that carry exchanges, where their number is fixed: the default for this many processors.
    pub(crate) workers: Workers,
    /// Whether it can serve on this machine.
    pub(crate) available: fn() -> Result<(), Unavailable>,
    /// Serves until the listener is shut down or fails for good. Connections in hand may outlive the return.
    pub(crate) serve: fn(Arc<Server>) -> io::Result<()>,
}

/// Why a model cannot serve on this machine, and what would help: one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unavailable(String);

impl Unavailable {
    /// For a reason that ends with a remedy.
    pub(crate) fn new(reason: String) -> Self {
        Unavailable(reason)
    }
}

/// Of a model that needs nothing beyond what this program is built for.
fn everywhere() -> Result<(), Unavailable> {
    Ok(())
}

/// How many threads a model works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workers {
    /// One for each connection.
    PerConnection,
    /// Always one.
    One,
    /// So many for each processor, unless the operator says otherwise.
    PerProcessor(usize),
    /// One for each processor, unless the operator says otherwise. Each has an event loop of its own: who accepts can be said.
    EventLoops,
}

/// Every model there is, in the order of the tables.
pub(crate) const MODELS: &[Model] = &[
    threads::MODEL,
    pool::MODEL,
    mio::MODEL,
    tokio::MODEL,
    leader_pool::MODEL,
    rayon::MODEL,
    mio_multi::MODEL,
    tokio_current::MODEL,
    smol::MODEL,
    async_std::MODEL,
    coroutines::MODEL,
    uring::MODEL,
];

/// The models that `run` measures unless it is told otherwise: those of the course work.
pub(crate) const MEASURED_BY_DEFAULT: [&str; 4] = ["threads", "pool", "mio", "tokio"];

/// The model of that name.
pub(crate) fn find(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.name == name)
}

impl Workers {
    /// The threads of a model whose number nobody can choose, in words.
    pub(crate) fn fixed(self) -> Option<&'static str> {
        match self {
            Workers::PerConnection => Some("a thread for each connection"),
            Workers::One => Some("one thread"),
            Workers::PerProcessor(_) | Workers::EventLoops => None,
        }
    }

    /// The number of threads for `asked` by the operator; `None` where it has no number.
    pub(crate) fn count(self, asked: Option<usize>) -> Option<usize> {
        let by_processors = |each| {
            asked.unwrap_or_else(|| {
                each * std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
            })
        };
        match self {
            Workers::PerConnection => None,
            Workers::One => Some(1),
            Workers::PerProcessor(each) => Some(by_processors(each)),
            Workers::EventLoops => Some(by_processors(1)),
        }
    }
}

/// What a model serves with.
pub(crate) struct Server {
    pub(crate) listener: TcpListener,
    /// At the same address, one for each further worker, where each accepts by itself; none where one accepts for all.
    pub(crate) further_listeners: Vec<TcpListener>,
    pub(crate) proxy: Arc<Proxy>,
    /// Threads that carry exchanges, for the models that have a fixed number of them.
    pub(crate) workers: usize,
    pub(crate) log: Option<Arc<AccessLog>>,
    /// Extra work for each request: a test aid.
    pub(crate) handicap: Option<Handicap>,
    /// Connections of each worker, for the models whose workers share nothing.
    pub(crate) spread: Spread,
}

impl Server {
    /// With one listener, and nothing beside.
    pub(crate) fn new(listener: TcpListener, proxy: Arc<Proxy>, workers: usize) -> Self {
        Server {
            listener,
            further_listeners: Vec::new(),
            proxy,
            workers,
            log: None,
            handicap: None,
            spread: Spread::over(workers),
        }
    }

    /// The listener of each worker, where each accepts by itself.
    fn listeners(&self) -> impl Iterator<Item = &TcpListener> {
        std::iter::once(&self.listener).chain(&self.further_listeners)
    }

    /// To be called instead of [`Self::accepted`] where workers share nothing.
    fn accepted_by(&self, worker: usize, client: SocketAddr) {
        self.spread.count(worker);
        self.accepted(client);
    }

    /// To be called for every accepted connection.
    fn accepted(&self, client: SocketAddr) {
        if let Some(log) = &self.log {
            log.connection(client);
        }
    }

    /// To be called for every [`Op::Connect`](roundtable::proxy::Op::Connect); tells where to.
    fn forwarded(&self, backend: BackendId) -> SocketAddr {
        if let Some(handicap) = &self.handicap {
            handicap.burden();
        }
        let address = self.proxy.address(backend);
        #[cfg(test)]
        tests::panic_if_sabotaged(address);
        if let Some(log) = &self.log {
            log.forwarded(address);
        }
        address
    }
}
