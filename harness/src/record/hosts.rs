//! The hosts of a run on several machines, as they are stored in `environment.json`.
//!
//! Owns the shapes alone. What is here is enough to go on with the run on the same hosts.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::host::Host;

/// Where a run's roles were played, and what is known of the ways between them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hosts {
    /// How an agent was started on a host: the words before the program, with `{host}` in place of the host's name.
    pub launch: Vec<String>,
    /// The program's path on the hosts.
    pub program: String,
    /// The load generators' hosts, one each, by name.
    pub load: Vec<String>,
    /// The balancer's.
    pub balancer: String,
    /// The backends', in turn.
    pub backends: Vec<String>,
    /// Each host that had a role.
    pub each: Vec<RunHost>,
    /// How long a connection takes to be made between hosts whose roles talk to each other.
    pub connects: Vec<Connect>,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunHost {
    /// What stood for it in the template.
    pub name: String,
    /// Where its servers listened.
    pub address: IpAddr,
    /// Version of its roundtable.
    pub version: String,
    /// SHA-256 of its roundtable's file, the same on all.
    pub sha256: String,
    /// The processors that could be used there, by number.
    pub processors: Vec<usize>,
    /// Its machine.
    pub host: Host,
    /// The shortest time from a word of the harness to its agent's answer, nanoseconds.
    pub round_trip_ns: Option<u64>,
}

/// The time that it takes to make a TCP connection: a round trip between two kernels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connect {
    /// Who connects, by name.
    pub from: String,
    /// To whom.
    pub to: String,
    /// The shortest of several, nanoseconds.
    pub fastest_ns: u64,
}

impl Hosts {
    /// The host of that name.
    pub fn find(&self, name: &str) -> Option<&RunHost> {
        self.each.iter().find(|host| host.name == name)
    }

    /// Who plays what where: what must be the same for two parts of a run to be of one kind.
    pub fn roles(&self) -> String {
        let of = |name: &str| {
            let address = self.find(name).map_or(String::new(), |host| format!(" ({})", host.address));
            format!("{name}{address}")
        };
        let all = |names: &[String]| names.iter().map(|name| of(name)).collect::<Vec<_>>().join(", ");
        format!("load {}; balancer {}; backends {}", all(&self.load), of(&self.balancer), all(&self.backends))
    }
}
