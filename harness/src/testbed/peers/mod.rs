//! The products that are measured beside our models: a table, with a file and a line for each.
//!
//! Owns what is known of a product: its name, how it waits, how many workers it has, how equal its backends' turns are, how its
//! version is asked for and how it is configured for a condition. What becomes of its processes is [`supervise`]'s. Rules:
//! every product gets what our models have — the same backlog, persistent connections on both sides, as many connections
//! to backends kept as requests can be under way, `X-Forwarded-For` and `Via`, no log, no file for a large body — and what
//! it cannot be made to do is said in its `summary`; a configuration names no folder but the one that it is given.
//!
//! A new product is a file with a [`Peer`] and its place in [`PEERS`].

mod caddy;
mod haproxy;
mod httpd;
mod nginx;
pub mod supervise;
mod varnish;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::tool;
use crate::plan::{Competitor, Condition, FLOORS, Family, Kind, PlanError};

/// Connections that may wait to be accepted, as our models have it.
/// Of our models, unless told otherwise.
const BACKLOG: u32 = 1024;
/// How long a connection to a backend may take, seconds.
const CONNECT_S: u32 = 2;
/// How long a backend may be silent, seconds.
const BACKEND_S: u32 = 30;
/// How long an idle connection is kept, seconds.
const IDLE_S: u32 = 60;
/// Connections to each backend that are kept at least.
const KEPT: u32 = 64;

/// Every product there is, in the order of the tables.
pub const PEERS: &[Peer] =
    &[nginx::PEER, haproxy::PEER, httpd::EVENT, httpd::WORKER, httpd::PREFORK, varnish::PEER, caddy::PEER];

/// A product.
#[derive(Debug)]
pub struct Peer {
    /// Its name on the command line.
    pub name: &'static str,
    /// Who waits in it.
    pub family: Family,
    /// What it is, and what it does that our models do not.
    pub summary: &'static str,
    /// What one schedulable piece of work is.
    pub unit_of_work: &'static str,
    /// How many workers it has.
    pub workers: Workers,
    /// How equal the backends' turns are.
    pub turns: Turns,
    /// What its program may be called.
    programs: &'static [&'static str],
    /// The argument that makes it tell its version.
    version: &'static str,
    configure: fn(&Setup<'_>) -> Configured,
}

/// How many workers a product has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// So many unless `--workers` says otherwise.
    Count(u32),
    /// As many as it needs, in words.
    AsNeeded(&'static str),
}

/// How equal the turns of the backends are that a balancer gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turns {
    /// They differ by one at most.
    Equal,
    /// Its workers count turns without waiting for each other, so that a turn is now and then given twice: they differ by one
    /// in a hundred requests at most.
    Nearly,
}

/// What a product is to be set up for.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Between whom it takes turns.
    pub backends: &'a [SocketAddr],
    /// Threads or processes that do its work, where their number is fixed.
    pub workers: u32,
    /// Requests that are under way at any time.
    pub concurrency: u32,
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    /// Whether backends fail, so that it must look after them.
    pub backends_fail: bool,
    /// Its own folder, while it lives.
    pub folder: &'a Path,
}

/// How a product is started.
#[derive(Debug, Clone, Default)]
struct Configured {
    /// Files in its folder.
    files: Vec<(&'static str, String)>,
    args: Vec<String>,
    env: Vec<(&'static str, String)>,
}

impl Turns {
    /// What `competitor` promises.
    pub fn of(competitor: &Competitor) -> Self {
        match competitor.kind {
            Kind::Peer => find(&competitor.name).map_or(Turns::Equal, |peer| peer.turns),
            Kind::Direct | Kind::Model | Kind::Floor => Turns::Equal,
        }
    }

    /// By how much the turns of two backends may differ over so many requests.
    pub fn tolerance(self, requests: u64) -> u64 {
        match self {
            Turns::Equal => 1,
            Turns::Nearly => 1 + requests / 100,
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Turns::Equal => "within one",
            Turns::Nearly => "within one in a hundred requests",
        }
    }
}

impl Setup<'_> {
    /// Connections to each backend that are kept, so that none is opened again and again.
    fn kept(&self) -> u32 {
        KEPT.max(self.concurrency)
    }

    /// Connections that it must be able to hold, those of clients that have not yet noticed the end of theirs included.
    fn connections(&self) -> u32 {
        4 * self.concurrency + 512
    }

    /// Workers of a product in which each connection has one to itself.
    fn one_for_each_connection(&self) -> u32 {
        self.concurrency + 16
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

impl Peer {
    /// Its program on this machine, where it is installed.
    pub fn program(&self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).flat_map(with_sbin).collect();
        let found = |name: &&str| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
        self.programs.iter().find_map(found)
    }

    /// The version that is installed on this machine; `None` where none is.
    pub fn version(&self) -> Option<String> {
        tool::version(&self.program()?.to_string_lossy(), self.version).ok()
    }

    /// As a row of a run.
    pub fn competitor(&self) -> Competitor {
        Competitor::peer(self.name)
    }

    /// The number of its workers for `asked` by the operator; `None` where it has no number.
    pub fn count(&self, asked: Option<u32>) -> Option<u32> {
        match self.workers {
            Workers::Count(default) => Some(asked.unwrap_or(default)),
            Workers::AsNeeded(_) => None,
        }
    }

    /// What a reader must know to judge its figures under `condition`, as pairs of name and value.
    pub fn manifest(&self, condition: &Condition) -> BTreeMap<String, String> {
        // Addresses for documentation (RFC 5737), since the real ones change with every trial.
        let backends: Vec<_> = (1..=condition.backends).map(|n| documentation(9000 + n)).collect();
        let setup = Setup {
            listen: documentation(80),
            backends: &backends,
            workers: self.count(condition.workers).unwrap_or(1),
            concurrency: condition.concurrency,
            backlog: condition.backlog.unwrap_or(BACKLOG),
            backends_fail: condition.fault.is_some(),
            folder: Path::new("/folder"),
        };
        let workers = match self.workers {
            Workers::Count(_) => setup.workers.to_string(),
            Workers::AsNeeded(words) => words.to_owned(),
        };
        let version = self.version().unwrap_or_else(|| "not installed".to_owned());
        let pairs = [
            ("version", version),
            ("workers", workers),
            ("equal turns", self.turns.in_words().to_owned()),
            ("configuration", (self.configure)(&setup).to_string()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

impl std::fmt::Display for Configured {
    /// As somebody would write it down who wanted to do the same by hand.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, text) in &self.files {
            write!(f, "# file {name}\n{text}")?;
        }
        f.write_str("# arguments")?;
        self.env.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))?;
        self.args.iter().try_for_each(|word| write!(f, " {word}"))?;
        f.write_str("\n")
    }
}

fn documentation(port: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), u16::try_from(port).unwrap_or(u16::MAX))
}

/// `folder`, and the one of the system's programs beside it: servers are often there, where the path of a user who is not
/// the administrator does not lead.
fn with_sbin(folder: PathBuf) -> Vec<PathBuf> {
    match folder.file_name().is_some_and(|name| name == "bin") {
        true => vec![folder.clone(), folder.with_file_name("sbin")],
        false => vec![folder],
    }
}

/// The product of that name.
pub fn find(name: &str) -> Option<&'static Peer> {
    PEERS.iter().find(|peer| peer.name == name)
}

/// The products and floors of a list, in its order and each once.
pub fn parse(list: &str) -> Result<Vec<Competitor>, PlanError> {
    let mut all = Vec::new();
    for name in list.split(',').map(str::trim) {
        let competitor = match find(name) {
            Some(peer) => peer.competitor(),
            None if FLOORS.contains(&name) => Competitor::floor(name),
            None => {
                let known: Vec<_> = PEERS.iter().map(|peer| peer.name).chain(FLOORS).collect();
                return Err(PlanError::UnknownPeer { name: name.to_owned(), known: known.join(", ") });
            }
        };
        if !all.contains(&competitor) {
            all.push(competitor);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
