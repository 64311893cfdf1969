//! What a balancer is asked to be, from the command line or from a file, and the core's configuration made of it.
//!
//! Owns names (addresses are resolved here, once) and the reference of routes to groups. What the core itself refuses
//! is the core's to say.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use nix::sys::sysinfo::sysinfo;
use roundtable::proxy::{CacheRules, CacheSize, Config, Group, Limits, MOST_WEIGHT, Member, Policy, Route};

use crate::checks::Check;
use crate::commands::address;
use crate::commands::number;
use crate::commands::usage::OfUsage;
use crate::manager::{self, Manager, Users};
use crate::models::{Accept, LogFormat};

/// Longest time that exchanges in hand can be given to finish.
pub(super) const LONGEST_DRAIN: Duration = Duration::from_secs(24 * 60 * 60);
/// Most worker threads that can be asked for.
pub(super) const MOST_WORKERS: usize = 1024;

/// A balancer as it is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    pub(super) model: String,
    pub(super) listen: String,
    pub(super) workers: Option<usize>,
    pub(super) accept: Accept,
    /// Connections that may wait to be accepted.
    pub(super) backlog: u32,
    pub(super) drain_timeout: Duration,
    pub(super) limits: Limits,
    pub(super) groups: Vec<GroupSettings>,
    pub(super) routes: Vec<RouteSettings>,
    pub(super) log: Option<LogSettings>,
    pub(super) manager: Option<ManagerSettings>,
    pub(super) cache: Option<CacheSettings>,
}

/// The cache, and what goes for all groups and routes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CacheSettings {
    /// Bytes.
    pub(super) bytes: u64,
    pub(super) rules: CacheChange,
}

/// What a group or a route says of the cache, where it says other things than what it belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CacheChange {
    pub(super) caches: Option<bool>,
    /// Bytes.
    pub(super) max_object: Option<u64>,
    pub(super) heuristic_percent: Option<u32>,
    pub(super) heuristic_max: Option<Duration>,
}

impl CacheChange {
    fn says_something(&self) -> bool {
        *self != CacheChange::default() && self.caches != Some(false)
    }

    /// What goes for a route, by the rules of the cache, of its group and its own.
    fn rules(changes: [&CacheChange; 3]) -> Option<CacheRules> {
        let mut rules = CacheRules::default();
        let mut caches = true;
        for change in changes {
            caches = change.caches.unwrap_or(caches);
            if let Some(bytes) = change.max_object {
                rules.max_object = usize::try_from(bytes).unwrap_or(usize::MAX);
            }
            rules.heuristics.percent = change.heuristic_percent.unwrap_or(rules.heuristics.percent);
            rules.heuristics.most = change.heuristic_max.unwrap_or(rules.heuristics.most);
        }
        caches.then_some(rules)
    }
}

/// A group of backends.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GroupSettings {
    pub(super) name: String,
    pub(super) policy: Policy,
    pub(super) members: Vec<MemberSettings>,
    pub(super) check: Option<Check>,
    pub(super) cache: CacheChange,
}

/// A backend by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemberSettings {
    pub(super) name: String,
    pub(super) weight: u32,
    pub(super) most_connections: Option<u32>,
}

/// Which requests go to which group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RouteSettings {
    pub(super) host: Option<String>,
    pub(super) prefix: String,
    pub(super) group: String,
    pub(super) keeps_prefix: bool,
    pub(super) maps_location: bool,
    pub(super) cache: CacheChange,
}

/// Where the access log goes, and how it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogSettings {
    pub(super) file: PathBuf,
    pub(super) format: LogFormat,
}

/// Where the manager is, and who may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ManagerSettings {
    pub(super) path: String,
    pub(super) metrics_path: Option<String>,
    pub(super) users: Option<PathBuf>,
}

impl ManagerSettings {
    /// The manager of a balancer of `model` that is to listen at `listen`.
    pub(super) fn bind(&self, model: &'static str, listen: SocketAddr) -> anyhow::Result<Manager> {
        let settings = manager::Settings {
            path: self.path.clone(),
            metrics_path: self.metrics_path.clone(),
            users: self.users.as_deref().map(Users::read).transpose()?,
            model,
        };
        manager::check(listen, &settings).usage()?;
        Manager::bind(settings).context("cannot open a port for the manager; raise the limit on open files")
    }
}

impl Settings {
    /// Refuses what no address and no thread count can be.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if let Some(workers) = self.workers {
            ensure!(
                (1..=MOST_WORKERS).contains(&workers),
                "{workers} workers are out of bounds; give 1 to {MOST_WORKERS}"
            );
        }
        ensure!(
            self.drain_timeout <= LONGEST_DRAIN,
            "--drain-timeout is longer than a day; choose a shorter one, a second signal ends at once"
        );
        address::check(&self.listen)?;
        self.check_cache()?;
        self.limits.validate().context("the limits cannot work; change the option named")?;
        self.groups.iter().filter_map(|group| group.check.as_ref()).try_for_each(Check::validate)
    }

    /// Refuses a cache for which there is not the memory, and rules for one that is not there.
    fn check_cache(&self) -> anyhow::Result<()> {
        let Some(cache) = &self.cache else {
            let groups = self.groups.iter().map(|group| (&group.cache, format!("group '{}'", group.name)));
            let routes = self.routes.iter().map(|route| (&route.cache, format!("route {}", route.prefix)));
            return match groups.chain(routes).find(|(change, _)| change.says_something()) {
                Some((_, name)) => bail!(
                    "the {name} says something of a cache, and there is none; add [cache] with its size, or --cache SIZE"
                ),
                None => Ok(()),
            };
        };
        let memory = sysinfo().map(|system| system.ram_total()).unwrap_or(u64::MAX);
        let show = |bytes| bytesize::ByteSize::b(bytes).display().iec();
        ensure!(
            cache.bytes >= CacheSize::LEAST as u64,
            "a cache of {} could store next to nothing; give it {} or more, or leave it out",
            show(cache.bytes),
            show(CacheSize::LEAST as u64)
        );
        ensure!(
            cache.bytes < memory,
            "a cache of {} does not fit into this machine's {} of memory; give it less",
            show(cache.bytes),
            show(memory)
        );
        Ok(())
    }

    /// The core's configuration, for a balancer that calls itself `authority`.
    pub(super) fn config(&self, authority: String) -> anyhow::Result<Config> {
        let groups = self.groups.iter().map(GroupSettings::group).collect::<anyhow::Result<Vec<_>>>()?;
        let routes =
            self.routes.iter().map(|route| self.route(route)).collect::<anyhow::Result<Vec<_>>>().usage()?;
        let config = Config {
            groups,
            routes,
            authority,
            limits: self.limits.clone(),
            cache: self
                .cache
                .as_ref()
                .map(|cache| CacheSize { bytes: usize::try_from(cache.bytes).unwrap_or(usize::MAX) }),
            observer: None,
            watcher: None,
        };
        config.validate().context("the configuration cannot work").usage()?;
        Ok(config)
    }

    fn route(&self, route: &RouteSettings) -> anyhow::Result<Route> {
        let Some(group) = self.groups.iter().position(|group| group.name == route.group) else {
            let known: Vec<&str> = self.groups.iter().map(|group| group.name.as_str()).collect();
            bail!(
                "the route {} leads to the group '{}', which is not there; name one of {}",
                route.prefix,
                route.group,
                known.join(", ")
            );
        };
        Ok(Route {
            host: route.host.clone(),
            prefix: route.prefix.clone(),
            group,
            keeps_prefix: route.keeps_prefix,
            maps_location: route.maps_location,
            cache: self.cache.as_ref().and_then(|cache| {
                CacheChange::rules([&cache.rules, &self.groups[group].cache, &route.cache])
            }),
        })
    }
}

impl GroupSettings {
    fn group(&self) -> anyhow::Result<Group> {
        Ok(Group {
            name: self.name.clone(),
            policy: self.policy,
            members: self.members.iter().map(MemberSettings::member).collect::<anyhow::Result<Vec<_>>>()?,
            hidden: false,
        })
    }
}

impl MemberSettings {
    /// Reads `HOST:PORT[,weight=N][,max=N]`.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or_default().to_owned();
        let mut member = MemberSettings { name, weight: 1, most_connections: None };
        for part in parts {
            let within = |value: &str, most: u32| {
                number::whole(1..=most)(value)
                    .map_err(|remedy| anyhow!("'{value}' in '{text}' is out of bounds; {remedy}"))
            };
            match part.split_once('=') {
                Some(("weight", value)) => member.weight = within(value, MOST_WEIGHT)?,
                Some(("max", value)) => member.most_connections = Some(within(value, u32::MAX)?),
                _ => bail!("'{part}' in '{text}' means nothing; write ADDR[,weight=N][,max=N]"),
            }
        }
        Ok(member)
    }

    fn member(&self) -> anyhow::Result<Member> {
        let address = address::resolve(&self.name)?;
        if address.port() == 0 {
            let error = anyhow!(
                "nobody can be reached at port 0 of {address}; give --backend the port that the backend listens at"
            );
            return Err(error).usage();
        }
        Ok(Member {
            name: self.name.clone(),
            address,
            weight: self.weight,
            most_connections: self.most_connections,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_an_address_with_options() {
        let member = MemberSettings::parse("[::1]:80,weight=3,max=20").unwrap();
        assert_eq!((member.name.as_str(), member.weight, member.most_connections), ("[::1]:80", 3, Some(20)));
        for text in ["a:1,weight", "a:1,weight=x", "a:1,weight=-1", "a:1,max=0", "a:1,heavy=2", "a:1,"] {
            assert!(MemberSettings::parse(text).is_err(), "{text}");
        }
    }
}
