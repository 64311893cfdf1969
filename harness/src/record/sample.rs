//! What a valid trial measured, as it is stored. Rule: an integer carries its unit in its name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::timeline::Observation;
use crate::host::{HostWindow, Usage};
use crate::load::OpenLoop;

/// What a valid trial measured, over its timed window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Requests sent and answered correctly in the window.
    pub completed: u64,
    /// Answers that were not 2xx. Zero in every valid trial; kept because the published tables have the column.
    pub non_2xx: u64,
    /// Requests without a whole and right answer. Zero where no overload is asked about and no fault befalls backends.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// Length of the window, nanoseconds.
    pub elapsed_ns: u64,
    /// Bytes received by the client: heads and bodies.
    pub received_bytes: u64,
    /// Response times in nanoseconds, from when each request was sent: an HdrHistogram, V2 serialisation, base64. It
    /// leaves out the wait that a closed loop itself avoids (coordinated omission); an open loop's is in `open_loop`.
    pub latency_ns_hdr: String,
    /// At a fixed rate: how it was kept, and the times from when each request was due. Absent in the closed loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_loop: Option<OpenLoop>,
    /// Responses by the backend that named itself in them, but for those from a cache.
    pub per_backend: BTreeMap<String, u64>,
    /// Responses that a cache gave, and no backend. Absent where none did.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub from_cache: u64,
    /// What the load generator used.
    pub client: Usage,
    /// What the balancer used; absent in the direct row.
    pub balancer: Option<Usage>,
    /// Connections that each of the balancer's workers got since it began, where they share nothing; else empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connections_by_worker: Vec<u64>,
    /// What the backends used, summed (threads and peak memory too); of those that no fault ended.
    pub backends: Usage,
    /// What the machine did meanwhile; of several, the balancer's.
    pub host: HostWindow,
    /// What each machine did, by its host's name; empty where there is one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, HostWindow>,
    /// What clients saw while faults befell the backends; absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Box<Observation>>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
