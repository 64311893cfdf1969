//! A balancer's configuration as a TOML file.
//!
//! Owns the file's shape; every key is explained in `examples/README.md`. Rule: what is not known is refused, so that a
//! mistyped key is never silently ignored. Paths in the file are relative to its folder.

mod cache;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use roundtable::proxy::{Limits, Policy};
use serde::Deserialize;

use self::cache::{CacheTable, Caching};
use super::settings::{
    CacheChange, GroupSettings, LogSettings, ManagerSettings, MemberSettings, RouteSettings, Settings,
};
use crate::checks::Check;
use crate::commands::usage::OfUsage;
use crate::manager;
use crate::models::{Accept, BACKLOG, LogFormat};

/// The model where neither file nor command line name one.
const MODEL: &str = "tokio";

/// A whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    model: Option<String>,
    #[serde(default = "listen")]
    listen: String,
    workers: Option<usize>,
    #[serde(default)]
    accept: Accept,
    drain_timeout: Option<Span>,
    #[serde(default)]
    limits: LimitTable,
    access_log: Option<LogTable>,
    manager: Option<ManagerTable>,
    cache: Option<CacheTable>,
    group: Vec<GroupTable>,
    #[serde(default)]
    route: Vec<RouteTable>,
}

fn listen() -> String {
    super::LISTEN.to_owned()
}

/// A duration as `10s`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Span(Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        humantime::parse_duration(&text)
            .map(Span)
            .map_err(|error| format!("'{text}' is no duration ({error}); write 10s or 500ms"))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitTable {
    max_request_line_bytes: Option<usize>,
    max_head_bytes: Option<usize>,
    max_fields: Option<usize>,
    max_body_bytes: Option<u64>,
    header_timeout: Option<Span>,
    body_timeout: Option<Span>,
    idle_timeout: Option<Span>,
    write_timeout: Option<Span>,
    connect_timeout: Option<Span>,
    backend_timeout: Option<Span>,
    min_client_rate: Option<u64>,
    min_backend_rate: Option<u64>,
    retry_interval: Option<Span>,
    linger_timeout: Option<Span>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogTable {
    file: PathBuf,
    #[serde(default)]
    format: LogFormat,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManagerTable {
    #[serde(default = "manager_path")]
    path: String,
    metrics: Option<String>,
    users: Option<PathBuf>,
}

fn manager_path() -> String {
    manager::DEFAULT_PATH.to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupTable {
    name: String,
    #[serde(default)]
    policy: PolicyName,
    backends: Vec<Backend>,
    health_check: Option<CheckTable>,
    cache: Option<Caching>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PolicyName {
    #[default]
    RoundRobin,
    LeastBusy,
}

/// An address alone, or with what else is to be said of it.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a backend is \"HOST:PORT\" or { address = \"HOST:PORT\", weight = N, max_connections = N }"
)]
enum Backend {
    Address(String),
    Table(BackendTable),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackendTable {
    address: String,
    #[serde(default = "one")]
    weight: u32,
    max_connections: Option<u32>,
}

fn one() -> u32 {
    1
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckTable {
    path: String,
    interval: Option<Span>,
    timeout: Option<Span>,
    fall: Option<u32>,
    rise: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteTable {
    host: Option<String>,
    #[serde(default = "root")]
    prefix: String,
    group: String,
    #[serde(default)]
    keep_prefix: bool,
    #[serde(default = "yes")]
    map_location: bool,
    cache: Option<Caching>,
}

fn root() -> String {
    "/".to_owned()
}

fn yes() -> bool {
    true
}

/// Reads the file at `path`.
pub(super) fn read(path: &Path) -> anyhow::Result<Settings> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read {}; name a file that is there", path.display()))?;
    parse(&text, path.parent().unwrap_or(Path::new("")))
        .with_context(|| format!("{} cannot be used; change what is named", path.display()))
        .usage()
}

fn parse(text: &str, folder: &Path) -> anyhow::Result<Settings> {
    let file: File = toml::from_str(text)?;
    ensure!(!file.group.is_empty(), "there is no [[group]]; add one with its backends");
    let mut routes: Vec<RouteSettings> = file.route.into_iter().map(RouteTable::settings).collect();
    if let ([], [only]) = (routes.as_slice(), file.group.as_slice()) {
        routes.push(RouteSettings {
            host: None,
            prefix: root(),
            group: only.name.clone(),
            keeps_prefix: true,
            maps_location: true,
            cache: CacheChange::default(),
        });
    }
    let log = file.access_log.map(|log| LogSettings {
        // A dash is standard error, wherever the file is.
        file: if log.file == Path::new("-") { log.file } else { folder.join(log.file) },
        format: log.format,
    });
    let manager = file.manager.map(|manager| ManagerSettings {
        path: manager.path,
        metrics_path: manager.metrics,
        users: manager.users.map(|users| folder.join(users)),
    });
    Ok(Settings {
        model: file.model.unwrap_or_else(|| MODEL.to_owned()),
        listen: file.listen,
        workers: file.workers,
        backlog: BACKLOG,
        accept: file.accept,
        drain_timeout: file.drain_timeout.map_or(super::DRAIN, |span| span.0),
        limits: file.limits.limits(),
        groups: file.group.into_iter().map(GroupTable::settings).collect(),
        routes,
        log,
        manager,
        cache: file.cache.map(CacheTable::settings),
    })
}

impl LimitTable {
    fn limits(&self) -> Limits {
        let usual = Limits::default();
        let time = |asked: Option<Span>, usual: Duration| asked.map_or(usual, |span| span.0);
        Limits {
            request_line_bytes: self.max_request_line_bytes.unwrap_or(usual.request_line_bytes),
            head_bytes: self.max_head_bytes.unwrap_or(usual.head_bytes),
            fields: self.max_fields.unwrap_or(usual.fields),
            body_bytes: self.max_body_bytes.unwrap_or(usual.body_bytes),
            header_timeout: time(self.header_timeout, usual.header_timeout),
            body_timeout: time(self.body_timeout, usual.body_timeout),
            idle_timeout: time(self.idle_timeout, usual.idle_timeout),
            write_timeout: time(self.write_timeout, usual.write_timeout),
            connect_timeout: time(self.connect_timeout, usual.connect_timeout),
            backend_timeout: time(self.backend_timeout, usual.backend_timeout),
            client_rate: self.min_client_rate.unwrap_or(usual.client_rate),
            backend_rate: self.min_backend_rate.unwrap_or(usual.backend_rate),
            retry_interval: time(self.retry_interval, usual.retry_interval),
            linger_timeout: time(self.linger_timeout, usual.linger_timeout),
        }
    }
}

impl GroupTable {
    fn settings(self) -> GroupSettings {
        let member = |backend| {
            let table = match backend {
                Backend::Address(address) => BackendTable { address, weight: 1, max_connections: None },
                Backend::Table(table) => table,
            };
            MemberSettings {
                name: table.address,
                weight: table.weight,
                most_connections: table.max_connections,
            }
        };
        GroupSettings {
            name: self.name,
            policy: match self.policy {
                PolicyName::RoundRobin => Policy::RoundRobin,
                PolicyName::LeastBusy => Policy::LeastBusy,
            },
            members: self.backends.into_iter().map(member).collect(),
            check: self.health_check.map(CheckTable::check),
            cache: Caching::change(self.cache),
        }
    }
}

impl CheckTable {
    fn check(self) -> Check {
        let usual = Check::of(self.path);
        Check {
            interval: self.interval.map_or(usual.interval, |span| span.0),
            timeout: self.timeout.map_or(usual.timeout, |span| span.0),
            fall: self.fall.unwrap_or(usual.fall),
            rise: self.rise.unwrap_or(usual.rise),
            ..usual
        }
    }
}

impl RouteTable {
    fn settings(self) -> RouteSettings {
        RouteSettings {
            host: self.host,
            prefix: self.prefix,
            group: self.group,
            keeps_prefix: self.keep_prefix,
            maps_location: self.map_location,
            cache: Caching::change(self.cache),
        }
    }
}

#[cfg(test)]
mod tests {
    use roundtable::proxy::{CacheRules, Heuristics};

    use super::*;

    fn refused(text: &str) -> String {
        let settings = parse(text, Path::new("/etc"));
        let error = settings.and_then(|settings| {
            settings.check()?;
            settings.config("a".into())
        });
        format!("{:#}", error.unwrap_err())
    }

    #[test]
    fn a_file_says_all_that_there_is_to_be_said() {
        let settings = parse(
            r#"
            model = "mio"
            listen = "127.0.0.1:18000"
            workers = 2
            drain_timeout = "3s"
            [limits]
            max_body_bytes = 1000
            idle_timeout = "5s"
            [access_log]
            file = "log/access"
            format = "combined"
            [cache]
            size = "64MiB"
            max_object = "1MiB"
            [manager]
            metrics = "/metrics"
            users = "users"
            [[group]]
            name = "default"
            backends = ["127.0.0.1:8888", { address = "127.0.0.1:8887", weight = 2, max_connections = 9 }]
            [[group]]
            name = "images"
            policy = "least-busy"
            backends = ["127.0.0.1:8889"]
            cache = { heuristic_percent = 0, heuristic_max = "1h" }
            health_check = { path = "/health", interval = "2s" }
            [[route]]
            group = "default"
            cache = false
            [[route]]
            host = "files.example"
            prefix = "/images/"
            group = "images"
            keep_prefix = true
            map_location = false
            "#,
            Path::new("/etc"),
        )
        .unwrap();
        settings.check().unwrap();
        assert_eq!((settings.model.as_str(), settings.workers), ("mio", Some(2)));
        assert_eq!(
            (settings.limits.body_bytes, settings.limits.idle_timeout),
            (1000, Duration::from_secs(5))
        );
        assert_eq!(settings.limits.head_bytes, Limits::default().head_bytes);
        let log = LogSettings { file: "/etc/log/access".into(), format: LogFormat::Combined };
        assert_eq!(settings.log, Some(log));
        let manager = ManagerSettings {
            path: "/balancer-manager".into(),
            metrics_path: Some("/metrics".into()),
            users: Some("/etc/users".into()),
        };
        assert_eq!(settings.manager, Some(manager));
        assert_eq!(settings.groups[1].check.as_ref().map(|check| check.path.as_str()), Some("/health"));
        let config = settings.config("a".into()).unwrap();
        let second = &config.groups[0].members[1];
        assert_eq!((second.weight, second.most_connections), (2, Some(9)));
        assert_eq!((config.groups[1].policy, config.routes[1].group), (Policy::LeastBusy, 1));
        assert_eq!(config.cache.map(|cache| cache.bytes), Some(64 << 20));
        let rules = CacheRules {
            max_object: 1 << 20,
            heuristics: Heuristics { percent: 0, most: Duration::from_secs(3600) },
        };
        assert_eq!((&config.routes[0].cache, &config.routes[1].cache), (&None, &Some(rules)));
        assert!(config.routes[1].keeps_prefix && !config.routes[1].maps_location);
    }

    #[test]
    fn one_group_needs_no_route() {
        let settings = parse("[[group]]\nname = \"a\"\nbackends = [\"127.0.0.1:1\"]", Path::new("")).unwrap();
        assert_eq!(settings.config("a".into()).unwrap().routes.len(), 1);
        assert_eq!((settings.model.as_str(), settings.listen.as_str()), (MODEL, super::super::LISTEN));
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_remedy() {
        let group = "[[group]]\nname = \"a\"\nbackends = [\"127.0.0.1:1\"]\n";
        for (text, told) in [
            (String::new(), "missing field `group`"),
            ("group = []".to_owned(), "there is no [[group]]"),
            (format!("modell = \"mio\"\n{group}"), "unknown field `modell`"),
            (format!("drain_timeout = \"soon\"\n{group}"), "write 10s or 500ms"),
            (format!("{group}weight = 2"), "unknown field `weight`"),
            ("[[group]]\nname = \"a\"\nbackends = [7]".to_owned(), "a backend is \"HOST:PORT\""),
            (format!("{group}{group}[[route]]\ngroup = \"a\""), "two groups"),
            (format!("{group}[[route]]\ngroup = \"b\""), "name one of a"),
            (format!("{group}[[route]]\ngroup = \"a\"\nprefix = \"x\""), "begin with '/'"),
            (format!("{group}health_check = {{ path = \"x\" }}"), "begin with '/'"),
            (
                format!("{group}health_check = {{ path = \"/\", interval = \"1ns\" }}"),
                "interval must be at least 10ms",
            ),
            (format!("{group}[[route]]\ngroup = \"a\"\nhost = \"*.a\""), "looks like a pattern"),
            (format!("[limits]\nidle_timeout = \"1ns\"\n{group}"), "idle timeout must be at least 1ms"),
            ("[[group]]\nname = \"a\"\nbackends = [\"::1:9101\"]".to_owned(), "write [::1]:9101"),
            (format!("listen = \"::1:9101\"\n{group}"), "write [::1]:9101"),
            (format!("[limits]\nmax_fields = 0\n{group}"), "field limit"),
            (format!("[cache]\nsize = \"0\"\n{group}"), "as in 64MiB"),
            (format!("[cache]\nsize = \"lots\"\n{group}"), "as in 64MiB"),
            (format!("[cache]\nsize = \"1KiB\"\n{group}"), "give it 1.0 MiB or more"),
            (format!("[cache]\nsize = \"9999TiB\"\n{group}"), "does not fit into this machine"),
            (format!("[cache]\n{group}"), "missing field `size`"),
            (format!("{group}cache = true"), "add [cache] with its size"),
            (format!("[cache]\nsize = \"1MiB\"\n{group}cache = 7"), "`cache` is true, false or"),
            (
                format!("[cache]\nsize = \"1MiB\"\nheuristic_percent = 101\n{group}[[route]]\ngroup = \"a\""),
                "at most 100 percent",
            ),
            (format!("[access_log]\nfile = \"x\"\nformat = \"xml\"\n{group}"), "unknown variant `xml`"),
        ] {
            let error = refused(&text);
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
