//! What an operator sees of a running balancer, and may change in it.
//!
//! Owns the snapshot's shape. Figures are read one after the other while work goes on: each is true, their sum may be off by
//! what passed in between.

use std::net::SocketAddr;
use std::time::Duration;

use super::vocabulary::{BackendId, Mode, Policy};

/// A balancer at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Since it began.
    pub uptime: Duration,
    /// Exchanges that have a whole request and have not sent their whole response.
    pub in_flight: usize,
    /// No more connections are accepted.
    pub draining: bool,
    /// Final responses by the first digit of their status: 1xx is never one, and what is no such digit counts as 5xx.
    pub answers: [u64; 6],
    /// Its groups, but for hidden ones.
    pub groups: Vec<GroupStatus>,
    /// Its cache, if it has one.
    pub cache: Option<CacheStatus>,
}

/// A cache at one moment. Counters are since the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStatus {
    /// Bytes that it may take.
    pub capacity: usize,
    /// Bytes that it takes.
    pub bytes: usize,
    /// Keys under which something is stored.
    pub entries: usize,
    /// Requests answered from what is stored while it was fresh, or was found to be good still.
    pub hits: u64,
    /// Requests that went to a backend.
    pub misses: u64,
    /// Requests answered from what is stored although it was stale.
    pub stale: u64,
    /// Times that a backend has said that something stored is good still.
    pub validations: u64,
    /// Responses that were stored.
    pub stored: u64,
    /// Keys that went for want of room.
    pub evictions: u64,
}

/// A group at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStatus {
    /// Its name.
    pub name: String,
    /// How requests are shared out.
    pub policy: Policy,
    /// In the order of their turns.
    pub members: Vec<MemberStatus>,
}

/// A backend at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    /// To name it in [`Proxy::change`](super::Proxy::change).
    pub id: BackendId,
    /// What the operator calls it.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// What the operator lets it do.
    pub mode: Mode,
    /// What is known of it.
    pub health: Condition,
    /// Its share of the turns.
    pub weight: u32,
    /// Exchanges in hand.
    pub in_use: u32,
    /// The bound on these.
    pub most_connections: Option<u32>,
    /// Requests that went there, each attempt counted.
    pub turns: u64,
    /// Connection attempts that failed.
    pub refusals: u64,
    /// Exchanges that ended without a whole answer, for its fault.
    pub errors: u64,
    /// Bytes written to it.
    pub bytes_to: u64,
    /// Bytes read from it.
    pub bytes_from: u64,
}

/// Whether a backend can be used, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The last connection attempt and the last health check went well, or there was none.
    Up,
    /// The last connection attempt failed; it is left out for so long.
    LeftOut(Duration),
    /// Health checks have failed.
    CheckFailed,
}

/// What an operator changes about a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Let it work, drain it, or stop sending to it.
    Mode(Mode),
    /// Its share of the turns, from 1 to [`MOST_WEIGHT`](super::MOST_WEIGHT).
    Weight(u32),
}
