//! Everything that is done to one trial, whoever it is done to.
//!
//! Owns the type and its defaults; what may be asked of each field stands in [`super::factor`]. Rule: whatever two trials
//! of one run may differ in, apart from the competitor, is a field here, and each field has its factor.

use serde::{Deserialize, Serialize};

use roundtable_backends::ServiceTime;

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

/// How the requests of an open loop are spaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// Evenly: the same for every model, and no variance of their own.
    #[default]
    Even,
    /// As those of many independent users: a Poisson process, the same for every model.
    Poisson,
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
    /// How the requests of the open loop are spaced.
    #[serde(skip_serializing_if = "is_default")]
    pub arrivals: Arrivals,
    /// Length of each response body, bytes.
    pub body_bytes: u64,
    /// Length of each request body, bytes: what backends verify as the client verifies responses; 0: a GET without one.
    #[serde(skip_serializing_if = "is_default")]
    pub upload_bytes: u64,
    /// How long a backend works on a request.
    #[serde(with = "service_time", skip_serializing_if = "is_default")]
    pub delay: ServiceTime,
    /// Requests that a backend works on at a time; `None`: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_a_time: Option<u32>,
    /// So many percent of the requests ask for what was asked for before, and answers may be stored; `None`: all ask for the same,
    /// and nothing is said of storing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hit_ratio_percent: Option<u32>,
    /// Memory of the models' cache, MiB; `None`: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_mib: Option<u64>,
    /// Worker threads of the models that have a fixed number of them; `None`: each model's default.
    pub workers: Option<u32>,
    /// Who accepts, for the models whose workers share nothing.
    pub accept: Accept,
    /// Connections that may wait to be accepted, at the balancer and at each backend; `None`: as many as nobody needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backlog: Option<u32>,
    /// Which processors the roles may use.
    pub layout: Layout,
    /// Requests in the timed window.
    pub requests: u64,
    /// When the timed window ends at the latest, milliseconds after its beginning; `None`: with its last request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
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
            arrivals: Arrivals::Even,
            body_bytes: BODY_BYTES,
            upload_bytes: 0,
            delay: ServiceTime::default(),
            at_a_time: None,
            hit_ratio_percent: None,
            cache_mib: None,
            workers: None,
            accept: Accept::Single,
            backlog: None,
            layout: Layout::Shared,
            requests: REQUESTS,
            duration_ms: None,
            warmup: REQUESTS / 20,
            fault: None,
        }
    }
}

/// Whether `value` is what it was before there was such a field: it is not stored then.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A service time as it is written on a command line.
mod service_time {
    use roundtable_backends::ServiceTime;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &ServiceTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ServiceTime, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
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
