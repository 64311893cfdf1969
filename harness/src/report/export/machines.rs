//! The machine of a run, or its hosts, for other programs.

use schemars::JsonSchema;
use serde::Serialize;

use crate::host::Host;
use crate::record::{Hosts, RunHost};

/// What it was measured on.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Machine {
    /// Processor.
    pub processor: String,
    /// Processors that could be used.
    pub processors: u32,
    /// Hypervisor.
    pub hypervisor: String,
    /// Kernel.
    pub kernel: String,
    /// Memory.
    pub memory_bytes: u64,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct HostForm {
    /// Its name.
    pub name: String,
    /// Where its servers listened.
    pub address: String,
    /// What it is.
    pub machine: Machine,
    /// Load generators there.
    pub load_generators: usize,
    /// Whether the balancer was there.
    pub has_balancer: bool,
    /// Whether backends were there.
    pub has_backends: bool,
    /// The shortest time from a word of the harness to its agent's answer, nanoseconds; null where none was measured.
    pub round_trip_ns: Option<u64>,
    /// The shortest time that it took to connect from there to each host that its roles talk to, nanoseconds.
    pub connects: Vec<ConnectForm>,
}

/// The time that it takes to connect to a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ConnectForm {
    /// Its name.
    pub to: String,
    /// The shortest of several, nanoseconds.
    pub fastest_ns: u64,
}

impl From<&Host> for Machine {
    fn from(host: &Host) -> Self {
        Machine {
            processor: host.cpu.clone(),
            processors: host.processors,
            hypervisor: host.hypervisor.clone(),
            kernel: host.kernel.clone(),
            memory_bytes: host.memory_bytes,
        }
    }
}

impl HostForm {
    /// Each of `hosts`.
    pub(super) fn all(hosts: &Hosts) -> Vec<Self> {
        hosts.each.iter().map(|host| HostForm::of(hosts, host)).collect()
    }

    fn of(hosts: &Hosts, host: &RunHost) -> Self {
        let connects = hosts.connects.iter().filter(|way| way.from == host.name);
        HostForm {
            name: host.name.clone(),
            address: host.address.to_string(),
            machine: Machine::from(&host.host),
            load_generators: hosts.load.iter().filter(|load| **load == host.name).count(),
            has_balancer: hosts.balancer == host.name,
            has_backends: hosts.backends.contains(&host.name),
            round_trip_ns: host.round_trip_ns,
            connects: connects
                .map(|way| ConnectForm { to: way.to.clone(), fastest_ns: way.fastest_ns })
                .collect(),
        }
    }
}
