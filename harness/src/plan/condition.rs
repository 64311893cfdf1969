//! What is done to one trial, apart from whom it is done to.

use serde::{Deserialize, Serialize};

/// Whether a client connection carries one request (as `ab`) or many (as `ab -k`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Connections {
    /// One request a connection.
    Close,
    /// Persistent connections.
    Keepalive,
}

/// Which processors the roles may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Every role may use all of them; the kernel decides, and moves processes about.
    #[default]
    Shared,
    /// The balancer has one to itself, client and backends have the others: less noise, but a model that would use
    /// several cannot.
    Pinned,
}

/// One condition of the experiment: what is varied between trials.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// A row's label (see [`Row`](crate::row::Row)): a model's name in most cases, or [`DIRECT`].
    pub model: String,
    /// Number of backend servers.
    pub backends: u32,
    /// Number of requests outstanding at any time (closed loop), or at most (open loop).
    pub concurrency: u32,
}
