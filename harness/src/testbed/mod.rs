//! Where a trial runs: the one place that starts the processes of every kind of run and tells where they are reached.
//!
//! A trial of the matrix, a fault run, the search for a rate and the untimed passes ask it for a backend, a balancer or a
//! load generator under a [`Condition`]; so a factor that holds in one of them holds in all. What becomes of a process is
//! [`process`]'s, what it is told [`role`]'s, what is known of products [`peers`]'s, on which host it runs
//! [`topology`]'s. Without a hosts file every process is a child of this one; with one, each is started by the [`agent`] of its
//! host, which [`launcher`] brings there.

pub mod accounting;
pub mod agent;
pub(crate) mod child;
pub mod control;
pub(crate) mod generators;
pub mod hosts;
pub mod launcher;
pub mod peers;
pub(crate) mod port;
pub mod process;
pub mod role;
pub mod tool;
pub mod topology;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::Socket;
use thiserror::Error;

use self::agent::remote::RemotePort;
use self::agent::{Link, LinkError};
use self::control::Ready;
use self::generators::Generators;
use self::hosts::Hosts;
use self::launcher::Program;
use self::port::reserve;
use self::process::{ChildError, Supervised};
use self::role::{Detail, Role};
use self::topology::{Host, Topology, confined};
use crate::host::allowed_processors;
use crate::load::Part;
use crate::plan::{Competitor, Condition};

/// How long a server may take to listen.
const LISTEN_WITHIN: Duration = Duration::from_secs(20);

/// What it takes to start a process of any role.
#[derive(Debug, Clone)]
pub struct Testbed {
    way: Way,
    topology: Topology,
    /// Turns true when the user wants to stop.
    interrupt: Arc<AtomicBool>,
}

/// Who starts a process.
#[derive(Debug, Clone)]
enum Way {
    /// This process, which may use these processors.
    Here { program: Program, processors: Vec<usize> },
    /// The agent of its host, by the host's name.
    Agents(BTreeMap<String, Arc<Link>>),
}

/// A port that is nobody's else until this value ends: while nobody listens there, a connection is refused.
#[derive(Debug)]
pub(crate) enum Port {
    Here(#[expect(dead_code, reason = "held, and never used")] Socket),
    OnHost(#[expect(dead_code, reason = "held, and never used")] RemotePort),
}

/// Why a port cannot be held.
#[derive(Debug, Error)]
pub(crate) enum PortError {
    #[error(transparent)]
    Here(#[from] io::Error),
    #[error(transparent)]
    OnHost(#[from] LinkError),
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
        let way = Way::Here { program, processors: allowed_processors() };
        Testbed { way, topology: Topology::local(), interrupt }
    }

    /// Each role is played on its host by that host's agent, which is launched now and ends with the last copy of this value.
    /// `own` is this program's path, for hosts whose file names none; every process may hold `open_files` open.
    pub fn launch(
        hosts: &Hosts,
        own: &str,
        open_files: u64,
        interrupt: Arc<AtomicBool>,
    ) -> Result<Self, LinkError> {
        let program = hosts.program.as_deref().unwrap_or(own);
        let agent = [program, "agent", "--open-files", &open_files.to_string()].map(str::to_owned);
        let names: Vec<_> = hosts.topology.hosts().into_iter().map(|host| host.name.clone()).collect();
        // At the same time: a launcher may have to wait for a machine.
        let links = std::thread::scope(|scope| {
            let launch = |name: &String| {
                let (name, command) = (name.clone(), hosts.launcher.command(name, &agent));
                let interrupt = &interrupt;
                let host = name.clone();
                let launched = std::thread::Builder::new()
                    .name("launch".into())
                    .spawn_scoped(scope, move || Link::launch(&name, command, interrupt));
                launched.map_err(|reason| LinkError::Refused {
                    host,
                    what: "be launched".to_owned(),
                    reason: format!("{reason}; raise the limit on threads of this machine"),
                })
            };
            // All of them, before the first is waited for.
            let launched: Vec<_> = names.iter().map(launch).collect();
            launched
                .into_iter()
                .map(|link| match link?.join() {
                    Ok(link) => link,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
                .collect::<Result<Vec<_>, _>>()
        })?;
        let links = names.into_iter().zip(links.into_iter().map(Arc::new)).collect();
        Ok(Testbed { way: Way::Agents(links), topology: hosts.topology.clone(), interrupt })
    }

    /// The line to the agent of each host; none where this process starts everything itself.
    pub fn links(&self) -> Vec<&Arc<Link>> {
        match &self.way {
            Way::Here { .. } => Vec::new(),
            Way::Agents(links) => links.values().collect(),
        }
    }

    /// Where the roles run.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Whether the user wants to stop.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// The flag that says so.
    pub fn interrupt(&self) -> &AtomicBool {
        &self.interrupt
    }

    /// The backend of that number, at a port of its own.
    pub(crate) fn backend(&self, number: u32, condition: &Condition) -> Result<Server, ChildError> {
        let anywhere = SocketAddr::new(self.topology.backend(number).address, 0);
        self.backend_at(anywhere, number, condition)
    }

    /// A port that is held for the backend of that number, on its host.
    pub(crate) fn port(&self, number: u32) -> Result<(Port, SocketAddr), PortError> {
        let host = self.topology.backend(number);
        match &self.way {
            Way::Here { .. } => {
                let (socket, address) = reserve(host.address)?;
                Ok((Port::Here(socket), address))
            }
            Way::Agents(links) => {
                let link = agent_of(links, host)?;
                let (port, address) = RemotePort::reserve(link, host.address, &self.interrupt)?;
                Ok((Port::OnHost(port), address))
            }
        }
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

    /// Load generators that warm up: as many as there are hosts for them, and no more than requests at a time; one, where what
    /// became of each request is asked.
    pub(crate) fn load(
        &self,
        targets: &[SocketAddr],
        condition: &Condition,
        detail: Detail,
    ) -> Result<Generators, ChildError> {
        let most = match detail {
            Detail::Summed => usize::try_from(condition.concurrency).unwrap_or(usize::MAX),
            Detail::EachRequest { .. } => 1,
        };
        let hosts: Vec<_> = self.topology.load.iter().take(most).collect();
        let each = Part::each(hosts.len() as u64)
            .zip(hosts)
            .map(|(part, host)| self.start(host, &Role::Load(targets, detail, part), condition, Vec::new()));
        Ok(Generators::new(each.collect::<Result<_, _>>()?))
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
        let beside_balancer = host.name == self.topology.balancer.name;
        let mut confine = |processors: &[usize]| {
            args.extend(confined(condition.layout, processors, role.share(), beside_balancer));
        };
        match &self.way {
            Way::Here { program, processors } => {
                confine(processors);
                Supervised::start(role.name(), program.command(&args), &self.interrupt)
            }
            Way::Agents(links) => {
                let link = agent_of(links, host)?;
                confine(&link.hello().processors);
                let role = format!("{} on host {}", role.name(), host.name);
                Supervised::start_on(link, role, args, &self.interrupt)
            }
        }
    }
}

fn agent_of<'a>(links: &'a BTreeMap<String, Arc<Link>>, host: &Host) -> Result<&'a Arc<Link>, LinkError> {
    links.get(&host.name).ok_or_else(|| LinkError::Refused {
        host: host.name.clone(),
        what: "play a role".to_owned(),
        reason: "it has no agent".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::launcher::Launcher;
    use super::*;

    /// Tells at which address it was asked to listen, and what the launcher left in its environment.
    const SERVER: &str = r#"
        while [ "$1" != --listen ]; do shift; done
        echo '{"listening":"'$2'","pid":1}'
        echo "on $ON" >&2
        read word
        exit 3
    "#;

    /// The agent of the tests below: plays every role with the script.
    #[test]
    #[ignore = "runs as a process of its own, below"]
    fn an_agent_of_scripts() {
        // What the test runner has begun to say is a line of its own.
        println!();
        agent::serve(&Program::script(SERVER), 64).unwrap();
    }

    /// A testbed over agents on four hosts of this machine.
    fn testbed() -> Testbed {
        let host = |name: &str, last| Host {
            name: name.to_owned(),
            address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)),
        };
        let topology = Topology {
            load: vec![host("a", 1), host("b", 2)],
            balancer: host("b", 2),
            backends: vec![host("c", 3), host("d", 4)],
        };
        let own = std::env::current_exe().unwrap();
        // What comes behind the words of the template is for a real agent.
        let script = "ON=$1 exec \"$2\" testbed::tests::an_agent_of_scripts --exact --ignored --nocapture -q";
        let launcher = Launcher::of(&["sh", "-c", script, "sh", "{host}", own.to_str().unwrap()]);
        let hosts = Hosts { launcher, program: None, topology };
        Testbed::launch(&hosts, "unused", 64, Arc::default()).unwrap()
    }

    #[test]
    fn a_server_is_started_on_its_host_listens_at_its_address_and_ends_with_its_input() {
        let testbed = testbed();
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
            ended.starts_with("backend b2 on host d ended unasked (exit status: 3)")
                && ended.ends_with("on d"),
            "{ended}"
        );
    }
}
