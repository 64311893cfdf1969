//! What the operator decides, checked: groups of backends, and which requests go to which group.
//!
//! Owns the types and their mutual constraints; parsing them from a file or a command line is others' business.
//! Rule: what passes [`Config::validate`] can be served.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::error::Error;
use super::field::{host_name, is_authority, is_path};
use super::health::Watcher;
use super::limits::Limits;
use super::location::is_on_this_host;
use super::observer::Observer;
use super::vocabulary::{MOST_BACKENDS, Policy};

/// The largest weight.
pub const MOST_WEIGHT: u32 = 1000;
/// Most turns in one round of a group: what its weights add up to, divided by their greatest common divisor.
pub const MOST_TURNS: usize = 1024;
/// The longest prefix of a route, bytes: a `Location` must still fit when it is put in front.
pub const MOST_PREFIX: usize = 512;

/// A balancer.
#[derive(Debug, Clone)]
pub struct Config {
    /// The groups of backends.
    pub groups: Vec<Group>,
    /// Which requests go to which group.
    pub routes: Vec<Route>,
    /// The `Host` that a backend is told when a client of HTTP/1.0 names none: the address listened at.
    pub authority: String,
    /// Limits and timeouts.
    pub limits: Limits,
    /// The cache; none is none.
    pub cache: Option<CacheSize>,
    /// Is told of every exchange.
    pub observer: Option<Arc<dyn Observer>>,
    /// Is told of backends that are left out, and that are back.
    pub watcher: Option<Arc<dyn Watcher>>,
}

/// Backends that can stand in for each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What the operator calls it.
    pub name: String,
    /// How requests are shared out among its members.
    pub policy: Policy,
    /// In the order of their turns.
    pub members: Vec<Member>,
    /// It belongs to the balancer itself: not shown in [`Proxy::status`](super::Proxy::status), and sent each request as
    /// soon as its head is whole.
    pub hidden: bool,
}

/// A backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What the operator calls it: its host and port.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its share of the turns, relative to the others'. From 1 to [`MOST_WEIGHT`].
    pub weight: u32,
    /// Exchanges that it may have in hand at the same time; none is no bound.
    pub most_connections: Option<u32>,
}

/// Which requests go to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Requests for this host only, without port; none is any host. A route with a host goes before one without.
    pub host: Option<String>,
    /// Requests whose path begins with this, on a segment border; `/` is any path. The longest one decides.
    pub prefix: String,
    /// Index of the group.
    pub group: usize,
    /// Whether the backend gets the path with the prefix; else it is taken off.
    pub keeps_prefix: bool,
    /// Whether `Location` and `Content-Location` are mapped back to where the client sees them.
    pub maps_location: bool,
    /// What the cache, if there is one, does with these requests; none is that they go past it.
    pub cache: Option<CacheRules>,
}

/// How much memory a cache has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSize {
    /// Of everything that is stored or being recorded, bytes. At least [`CacheSize::LEAST`].
    pub bytes: usize,
}

/// What a cache does with the requests of one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheRules {
    /// The largest response that is stored, head and body, bytes. Never more than three sixteenths of the cache's size.
    pub max_object: usize,
    /// What is assumed about responses that say nothing of how long they are fresh.
    pub heuristics: Heuristics,
}

/// A guess at how long a response is fresh that has `Last-Modified` and nothing else (RFC 9111 section 4.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heuristics {
    /// So many percent of the time since the last change; 0 is no guess.
    pub percent: u32,
    /// At most.
    pub most: Duration,
}

impl CacheSize {
    /// The least memory of a cache, bytes: less would store nothing worth the trouble.
    pub const LEAST: usize = 1 << 20;
}

impl Default for CacheRules {
    /// Objects as large as fit, and the usual tenth of the time since the last change, for a day at most.
    fn default() -> Self {
        let heuristics = Heuristics { percent: 10, most: Duration::from_secs(24 * 60 * 60) };
        CacheRules { max_object: usize::MAX, heuristics }
    }
}

impl Config {
    /// Everything goes to `backends`, in turns.
    pub fn round_robin(backends: Vec<SocketAddr>, authority: String, limits: Limits) -> Self {
        let group = Group {
            name: "default".to_owned(),
            policy: Policy::RoundRobin,
            members: backends.into_iter().map(Member::at).collect(),
            hidden: false,
        };
        Config {
            groups: vec![group],
            routes: vec![Route::everything(0)],
            authority,
            limits,
            cache: None,
            observer: None,
            watcher: None,
        }
    }

    /// Refuses what cannot be served, with what to change.
    pub fn validate(&self) -> Result<(), Error> {
        self.limits.validate()?;
        if let Some(size) = self.cache
            && size.bytes < CacheSize::LEAST
        {
            return Err(config(format!(
                "a cache of {} bytes could store next to nothing; give it at least {} bytes, or leave it out",
                size.bytes,
                CacheSize::LEAST
            )));
        }
        let members: usize = self.groups.iter().map(|group| group.members.len()).sum();
        if members == 0 || members > MOST_BACKENDS {
            return Err(config(format!(
                "a balancer needs between 1 and {MOST_BACKENDS} backends, not {members}"
            )));
        }
        let mut names = HashSet::new();
        for group in &self.groups {
            group.validate()?;
            if !names.insert(&group.name) {
                return Err(config(format!(
                    "there are two groups with the name '{}'; rename one",
                    group.name
                )));
            }
        }
        if self.routes.is_empty() {
            return Err(config("no request goes to any group; add a route, '/' for all".to_owned()));
        }
        let mut seen = HashSet::new();
        for route in &self.routes {
            route.validate(self.groups.len())?;
            let host = route.host.as_deref().map(str::to_ascii_lowercase);
            if !seen.insert((host, route.border())) {
                return Err(config(format!("the route {route} is there twice; leave one out")));
            }
        }
        Ok(())
    }
}

impl Group {
    fn validate(&self) -> Result<(), Error> {
        if self.members.is_empty() {
            return Err(config(format!("the group '{}' has no backend; add one", self.name)));
        }
        for member in &self.members {
            if !(1..=MOST_WEIGHT).contains(&member.weight) {
                return Err(config(format!(
                    "the weight {} of {} is out of bounds; choose 1 to {MOST_WEIGHT}",
                    member.weight, member.name
                )));
            }
            if member.most_connections == Some(0) {
                return Err(config(format!(
                    "{} may have no connection at all; allow at least 1",
                    member.name
                )));
            }
        }
        Ok(())
    }
}

impl Member {
    /// With weight 1 and no bound.
    pub fn at(address: SocketAddr) -> Self {
        Member { name: address.to_string(), address, weight: 1, most_connections: None }
    }
}

impl Route {
    /// All that no other route takes.
    pub fn everything(group: usize) -> Self {
        Route {
            host: None,
            prefix: "/".to_owned(),
            group,
            keeps_prefix: true,
            maps_location: false,
            cache: None,
        }
    }

    /// The prefix without the slash at its end, which every segment border brings along.
    pub(crate) fn border(&self) -> &str {
        self.prefix.strip_suffix('/').unwrap_or(&self.prefix)
    }

    fn validate(&self, groups: usize) -> Result<(), Error> {
        let is_prefix = self.prefix.starts_with('/')
            && self.prefix.len() <= MOST_PREFIX
            && self.prefix.bytes().all(is_path)
            // A redirect to it, or a `Location` behind it, would lead a browser to another host.
            && is_on_this_host(&[self.prefix.as_bytes()]);
        if !is_prefix {
            return Err(config(format!(
                "'{}' is no prefix of a path; begin with '/', which no second one follows, percent-encode what must be, at most {MOST_PREFIX} bytes",
                self.prefix
            )));
        }
        if let Some(host) = &self.host
            && (!is_authority(host.as_bytes()) || host_name(host.as_bytes()) != host.as_bytes())
        {
            return Err(config(format!("'{host}' is no host name; write it without port and final dot")));
        }
        if let Some(host) = &self.host
            && is_pattern(host)
        {
            return Err(config(format!(
                "the host '{host}' looks like a pattern, and hosts are compared as they are; write a route for each \
                 host, or one without a host for all others"
            )));
        }
        if let Some(rules) = &self.cache
            && (rules.max_object == 0 || rules.heuristics.percent > 100)
        {
            return Err(config(format!(
                "the cache rules of the route {self} store nothing, or guess more than the whole time since the last change; \
                 allow objects of at least 1 byte, and at most 100 percent"
            )));
        }
        if self.group >= groups {
            return Err(config(format!("the route {self} leads to no group; name one that exists")));
        }
        Ok(())
    }
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.host.as_deref().unwrap_or(""), self.prefix)
    }
}

/// Whether `host` is what other servers take for many hosts: no request would ever ask for it as it is.
fn is_pattern(host: &str) -> bool {
    host.contains(['*', '~', '$']) || host.starts_with('.') || host == "_"
}

fn config(message: String) -> Error {
    Error::Config(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> Config {
        Config::round_robin(vec![([127, 0, 0, 1], 1).into()], "a".into(), Limits::default())
    }

    fn route(host: Option<&str>, prefix: &str) -> Route {
        Route { host: host.map(str::to_owned), prefix: prefix.to_owned(), ..Route::everything(0) }
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        usual().validate().unwrap();
        let mut changes: Vec<(&str, Config)> = Vec::new();
        let mut change = |told: &'static str, change: &dyn Fn(&mut Config)| {
            let mut config = usual();
            change(&mut config);
            changes.push((told, config));
        };
        change("between 1 and 128 backends", &|config| config.groups.clear());
        change("has no backend", &|config| {
            config.groups.push(Group { name: "b".into(), members: Vec::new(), ..config.groups[0].clone() });
        });
        change("two groups", &|config| config.groups.push(config.groups[0].clone()));
        change("add a route", &|config| config.routes.clear());
        change("leads to no group", &|config| config.routes[0].group = 1);
        change("is there twice", &|config| {
            config.routes = vec![route(Some("A"), "/x"), route(Some("a"), "/x/")];
        });
        change("weight 0", &|config| config.groups[0].members[0].weight = 0);
        change("at least 1", &|config| config.groups[0].members[0].most_connections = Some(0));
        for prefix in ["", "x", "/a?b", "/a b", "/\u{e9}", "/a\\b", "//a", "/a[1]"] {
            change("no prefix of a path", &|config| config.routes = vec![route(None, prefix)]);
        }
        for host in ["", "a:80", "a b", "a.", "[::1]:80"] {
            change("no host name", &|config| config.routes = vec![route(Some(host), "/")]);
        }
        for host in ["*", "*.a", "www.a.*", ".a.example", "~a", "_"] {
            change("looks like a pattern", &|config| config.routes = vec![route(Some(host), "/")]);
        }
        for (told, config) in changes {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(told), "{told}: {error}");
        }
    }
}
