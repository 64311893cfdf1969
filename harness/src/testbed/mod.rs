//! Where a trial runs: the one place that starts the processes of every kind of run and tells where they are reached.
//!
//! A trial of the matrix, a fault run, the search for a rate and the untimed passes ask it for a backend, a balancer or a
//! load generator under a [`Condition`]; so a factor that holds in one of them holds in all. What becomes of a process is
//! [`process`]'s, what it is told [`role`]'s, what is known of products [`peers`]'s, on which host it runs
//! [`topology`]'s, and how it gets there [`launcher`]'s.

pub mod accounting;
pub mod control;
pub mod launcher;
pub mod peers;
pub(crate) mod port;
pub mod process;
pub mod role;
pub mod tool;
pub mod topology;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use self::control::Ready;
use self::launcher::{Launcher, Program};
use self::process::{ChildError, Supervised};
use self::role::{Detail, Role};
use self::topology::{Host, Topology, confined};
use crate::host::allowed_processors;
use crate::plan::{Competitor, Condition};

/// How long a server may take to listen.
const LISTEN_WITHIN: Duration = Duration::from_secs(20);

/// What it takes to start a process of any role.
#[derive(Debug, Clone)]
pub struct Testbed {
    program: Program,
    launcher: Launcher,
    topology: Topology,
    /// Those that this process may use.
    processors: Vec<usize>,
    /// Turns true when the user wants to stop.
    interrupt: Arc<AtomicBool>,
}

/// A server that listens. It ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) process: Supervised,
    pub(crate) address: SocketAddr,
}

impl Testbed {
    /// Every role is played by `program` on this machine. `interrupt` turns true when the user wants to stop.
    pub fn local(program: Program, interrupt: Arc<AtomicBool>) -> Self {
        Testbed::new(program, Launcher::local(), Topology::local(), interrupt)
    }

    /// Every role is played by `program`, which `launcher` starts on the hosts of `topology`.
    pub fn new(program: Program, launcher: Launcher, topology: Topology, interrupt: Arc<AtomicBool>) -> Self {
        Testbed { program, launcher, topology, processors: allowed_processors(), interrupt }
    }

    /// Where the roles run.
    pub(crate) fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Whether the user wants to stop.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// The flag that says so.
    pub(crate) fn interrupt(&self) -> &AtomicBool {
        &self.interrupt
    }

    /// The backend of that number, at a port of its own.
    pub(crate) fn backend(&self, number: u32, condition: &Condition) -> Result<Server, ChildError> {
        let anywhere = SocketAddr::new(self.topology.backend(number).address, 0);
        self.backend_at(anywhere, number, condition)
    }

    /// The backend of that number at `address`.
    pub(crate) fn backend_at(
        &self,
        address: SocketAddr,
        number: u32,
        condition: &Condition,
    ) -> Result<Server, ChildError> {
        self.server(self.topology.backend(number), address, &Role::Backend(number), condition)
    }

    /// A fresh balancer before `backends`.
    pub(crate) fn balancer(
        &self,
        competitor: &Competitor,
        backends: &[SocketAddr],
        condition: &Condition,
    ) -> Result<Server, ChildError> {
        let host = &self.topology.balancer;
        let anywhere = SocketAddr::new(host.address, 0);
        self.server(host, anywhere, &Role::Balancer(competitor, backends), condition)
    }

    /// A load generator that warms up.
    pub(crate) fn load(
        &self,
        targets: &[SocketAddr],
        condition: &Condition,
        detail: Detail,
    ) -> Result<Supervised, ChildError> {
        self.start(&self.topology.load, &Role::Load(targets, detail), condition, Vec::new())
    }

    fn server(
        &self,
        host: &Host,
        address: SocketAddr,
        role: &Role<'_>,
        condition: &Condition,
    ) -> Result<Server, ChildError> {
        let listen = vec!["--listen".to_owned(), address.to_string()];
        let mut process = self.start(host, role, condition, listen)?;
        let Ready { listening: address, .. } = process.read("listen", LISTEN_WITHIN)?;
        Ok(Server { process, address })
    }

    fn start(
        &self,
        host: &Host,
        role: &Role<'_>,
        condition: &Condition,
        listen: Vec<String>,
    ) -> Result<Supervised, ChildError> {
        let mut args = role.args(condition);
        args.extend(listen);
        args.extend(confined(condition.layout, &self.processors, role.share()));
        let command = self.launcher.command(&host.name, &self.program, &args);
        Supervised::start(role.name(), command, &self.interrupt)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    /// Tells at which address it was asked to listen, and what the launcher left in its environment.
    const SERVER: &str = r#"
        while [ "$1" != --listen ]; do shift; done
        echo '{"listening":"'$2'","pid":1}'
        echo "on $ON" >&2
        read word
        exit 3
    "#;

    #[test]
    fn a_server_is_launched_on_its_host_listens_at_its_address_and_ends_with_its_input() {
        let host = |name: &str, last| Host {
            name: name.to_owned(),
            address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)),
        };
        let topology = Topology {
            load: host("a", 1),
            balancer: host("b", 2),
            backends: vec![host("c", 3), host("d", 4)],
        };
        let launcher = Launcher::of(&["env", "ON={host}"]);
        let testbed = Testbed::new(Program::script(SERVER), launcher, topology, Arc::default());
        let condition = Condition::default();
        let balancer = testbed.balancer(&Competitor::of("mio"), &[], &condition).unwrap();
        let mut second = testbed.backend(2, &condition).unwrap();
        assert_eq!(
            [balancer.address, second.address].map(|at| at.to_string()),
            ["127.0.0.2:0", "127.0.0.4:0"]
        );
        second.process.say("end").unwrap();
        let ended = second.process.read::<Ready>("speak", LISTEN_WITHIN).unwrap_err().to_string();
        assert!(
            ended.starts_with("backend b2 ended unasked (exit status: 3)") && ended.ends_with("on d"),
            "{ended}"
        );
    }
}
