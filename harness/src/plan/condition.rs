//! Everything that is done to one trial, whoever it is done to.
//!
//! Owns the type and its defaults; what may be asked of each field stands in [`super::factor`]. Rule: whatever two trials
//! of one run may differ in, apart from the competitor, is a field here, and each field has its factor.

use serde::{Deserialize, Serialize};

use super::competitor::Competitor;
use super::fault::Faults;

/// Requests in a trial's timed window unless told otherwise: the published tables' number.
pub const REQUESTS: u64 = 10_000;
/// Length of each response body unless told otherwise, bytes.
pub const BODY_BYTES: u64 = 1024;

/// Whether a client connection carries one request (as `ab`) or many (as `ab -k`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Connections {
    /// One request a connection.
    Close,
    /// Persistent connections.
    Keepalive,
}

/// Which processors the roles may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Every role may use all of them; the kernel decides, and moves processes about.
    #[default]
    Shared,
    /// The balancer has one to itself, client and backends have the others: less noise, but a model that would use
    /// several cannot.
    Pinned,
}

/// Who accepts connections for a model whose workers share nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accept {
    /// One thread for all workers, which get connections in turn.
    #[default]
    Single,
    /// Each worker, from a listener of its own at the same address (SO_REUSEPORT): the kernel chooses.
    Reuseport,
}

/// Everything that is done to one trial. A field that an earlier roundtable did not have is what it was without.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// Number of backend servers.
    pub backends: u32,
    /// Number of requests outstanding at any time (closed loop), or at most (open loop).
    pub concurrency: u32,
    /// Client connections.
    pub connections: Connections,
    /// Requests per second of the open loop; `None`: closed loop.
    pub rate: Option<u64>,
    /// Length of each response body, bytes.
    pub body_bytes: u64,
    /// Worker threads of the models that have a fixed number of them; `None`: each model's default.
    pub workers: Option<u32>,
    /// Who accepts, for the models whose workers share nothing.
    pub accept: Accept,
    /// Which processors the roles may use.
    pub layout: Layout,
    /// Requests in the timed window.
    pub requests: u64,
    /// Requests sent and discarded before it, to set up connections and pools.
    pub warmup: u64,
    /// What befalls the backends meanwhile; `None`: nothing.
    pub fault: Option<Faults>,
}

impl Default for Condition {
    fn default() -> Self {
        Condition {
            backends: 3,
            concurrency: 10,
            connections: Connections::Close,
            rate: None,
            body_bytes: BODY_BYTES,
            workers: None,
            accept: Accept::Single,
            layout: Layout::Shared,
            requests: REQUESTS,
            warmup: REQUESTS / 20,
            fault: None,
        }
    }
}

/// What one trial measures.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// Who.
    pub competitor: Competitor,
    /// What is done to it.
    pub condition: Condition,
}

/// The name that a backend gives itself.
pub fn backend_name(number: u32) -> String {
    format!("b{number}")
}
