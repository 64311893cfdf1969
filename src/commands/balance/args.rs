//! The arguments of `roundtable balance`, and the settings that they ask for.
//!
//! Owns the options' names and defaults. Rule: with `--config` the file says what is forwarded where; only what one
//! start differs by from another (model, address, workers, log) can be said beside it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use roundtable::proxy::{Limits, Policy};
use roundtable_harness::plan::MOST_SLOWDOWN_PERCENT;

use super::settings::{
    CacheChange, GroupSettings, LONGEST_DRAIN, LogSettings, MOST_WORKERS, ManagerSettings, MemberSettings,
    RouteSettings, Settings,
};
use super::{DRAIN, LISTEN, file};
use crate::checks::Check;
use crate::commands::number;
use crate::commands::usage::OfUsage;
use crate::manager;
use crate::models::{Accept, BACKLOG, LogFormat, MOST_BACKLOG};

/// The group of `--backend`.
const DEFAULT_GROUP: &str = "default";

/// Arguments of `roundtable balance`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  roundtable balance --model mio --backend 127.0.0.1:9001 --backend 127.0.0.1:9002\n  roundtable balance \
                  --model tokio --backend 127.0.0.1:8888 --route /images/=127.0.0.1:8889 --route /pdf/=127.0.0.1:8890\n  \
                  roundtable balance --config examples/reverse-proxy.toml --model threads\n\nA request whose backend \
                  refuses the connection goes on with the next one. One that broke before any byte of an answer is sent \
                  again only if it is idempotent and still whole in its buffer. Relaying is half-duplex; CONNECT and \
                  Upgrade are not tunnelled."
)]
pub(crate) struct Args {
    /// The concurrency model (`roundtable models` lists them); needed, unless a file names one
    #[arg(long, required_unless_present = "config")]
    model: Option<String>,
    /// Address to accept connections at; port 0 takes a free one [default: 127.0.0.1:18000]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// A backend, in the order of their turns; repeat it for each. `weight=2` gives it twice the turns, `max=100` passes
    /// it over while it has so many exchanges in hand
    #[arg(
        long = "backend",
        value_name = "ADDR[,weight=N][,max=N]",
        required_unless_present_any = ["routes", "config"]
    )]
    backends: Vec<String>,
    /// Requests for this host (where given) under this prefix go to a backend of their own, with the prefix taken off and
    /// `Location` mapped back; repeat it for more prefixes, or more backends of the same one
    #[arg(long = "route", value_name = "[HOST]/PREFIX=ADDR[,weight=N][,max=N]")]
    routes: Vec<String>,
    /// Leave the prefixes of `--route` on
    #[arg(long, requires = "routes")]
    keep_prefix: bool,
    /// How requests are shared out among backends
    #[arg(long, value_enum, default_value_t = PolicyKind::RoundRobin)]
    policy: PolicyKind,
    /// Ask every backend for this path every 2 s; one that fails three times is left out until it answers twice
    #[arg(long, value_name = "PATH")]
    health_check: Option<String>,
    /// Take all this from a TOML file instead: groups, routes, weights, limits, health checks, log
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["backends", "routes", "policy", "health_check", "LimitArgs"]
    )]
    config: Option<PathBuf>,
    /// Only tell whether the configuration can work, and what it says: all is tried that the start would try, but that
    /// another process may listen at the address
    #[arg(long)]
    pub(super) check: bool,
    /// Worker threads of a model that has a fixed number of them, as `roundtable models` tells [default: by processors];
    /// the other models go without, and say so
    #[arg(long, value_name = "N", value_parser = number::whole(1..=MOST_WORKERS))]
    workers: Option<usize>,
    /// Who accepts where workers share nothing [default: single]
    #[arg(long, value_enum)]
    accept: Option<AcceptKind>,
    /// Connections that may wait to be accepted; the kernel takes no more than net.core.somaxconn
    #[arg(long, value_name = "N", default_value_t = BACKLOG, value_parser = number::whole::<u32>(1..=MOST_BACKLOG))]
    backlog: u32,
    /// Write an access log to this file, `-` for standard error; on SIGUSR1 it is opened anew, as after a log rotation
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// What a line of the access log says
    #[arg(long, value_enum, requires = "access_log")]
    access_log_format: Option<LogFormat>,
    /// Keep so much of what backends answer in memory, and answer from there what HTTP lets a shared cache answer, as in
    /// `64MiB`; `Cache-Status` in each answer tells what came of it
    #[arg(long, value_name = "SIZE", value_parser = number::size)]
    cache: Option<u64>,
    /// On the first SIGTERM, SIGINT or SIGHUP, how long exchanges in hand may take to finish; a second SIGTERM or SIGINT
    /// ends at once [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = number::duration::<Duration>(Duration::ZERO..=LONGEST_DRAIN))]
    drain_timeout: Option<Duration>,
    /// Test aid: do so many percent more CPU work for each request than it needs, to see whether a measurement finds it
    #[arg(long, value_name = "PERCENT", value_parser = number::whole(1..=MOST_SLOWDOWN_PERCENT))]
    pub(super) handicap: Option<u32>,
    /// Obey the harness on standard input
    #[arg(long, hide = true)]
    pub(super) supervised: bool,
    #[command(flatten)]
    manager: ManagerArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

/// The manager on the command line.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Manager")]
struct ManagerArgs {
    /// Serve the manager at this path: a page that shows the backends and changes them, and the same as JSON
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = manager::DEFAULT_PATH)]
    manager: Option<String>,
    /// Path of the metrics for Prometheus [default: `metrics` below the manager's path]
    #[arg(long, value_name = "PATH", requires = "manager")]
    manager_metrics: Option<String>,
    /// Who may use the manager: a file made by `htpasswd -B`; needed unless a loopback address is listened at
    #[arg(long, value_name = "FILE", requires = "manager")]
    manager_users: Option<PathBuf>,
}

impl ManagerArgs {
    /// The manager, if one is asked for.
    fn settings(&self) -> Option<ManagerSettings> {
        self.manager.clone().map(|path| ManagerSettings {
            path,
            metrics_path: self.manager_metrics.clone(),
            users: self.manager_users.clone(),
        })
    }
}

/// [`Accept`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum AcceptKind {
    /// One thread for all workers, which get connections in turn
    Single,
    /// Each worker, from a listener of its own at the same address; another process that asks for this may listen there, too
    Reuseport,
}

impl From<AcceptKind> for Accept {
    fn from(kind: AcceptKind) -> Self {
        match kind {
            AcceptKind::Single => Accept::Single,
            AcceptKind::Reuseport => Accept::Reuseport,
        }
    }
}

/// [`Policy`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum PolicyKind {
    /// Turns in equal shares, or in those that the weights say
    RoundRobin,
    /// To whom has the fewest exchanges in hand, for its weight
    LeastBusy,
}

impl From<PolicyKind> for Policy {
    fn from(kind: PolicyKind) -> Self {
        match kind {
            PolicyKind::RoundRobin => Policy::RoundRobin,
            PolicyKind::LeastBusy => Policy::LeastBusy,
        }
    }
}

/// The limits on the command line. Each default is [`Limits::default`]'s.
#[derive(Debug, clap::Args)]
#[group(id = "LimitArgs", multiple = true)]
#[command(next_help_heading = "Limits and timeouts")]
struct LimitArgs {
    /// Longest request line, bytes; beyond it 414
    #[arg(long, default_value_t = Limits::default().request_line_bytes, value_parser = number::whole(Limits::REQUEST_LINE_BYTES))]
    max_request_line_bytes: usize,
    /// Longest head, bytes; beyond it 431 (from a backend: 502)
    #[arg(long, default_value_t = Limits::default().head_bytes, value_parser = number::whole(Limits::HEAD_BYTES))]
    max_head_bytes: usize,
    /// Most fields in a head; beyond it 431 (from a backend: 502)
    #[arg(long, default_value_t = Limits::default().fields, value_parser = number::whole(Limits::FIELDS))]
    max_fields: usize,
    /// Longest request body, bytes; beyond it 413
    #[arg(long, default_value_t = Limits::default().body_bytes, value_parser = number::whole(0..=u64::MAX))]
    max_body_bytes: u64,
    /// For a whole request head; beyond it 408
    #[arg(long, default_value_t = Limits::default().header_timeout.into(), value_name = "DURATION", value_parser = timeout())]
    header_timeout: humantime::Duration,
    /// Longest pause in a request body; beyond it 408
    #[arg(long, default_value_t = Limits::default().body_timeout.into(), value_name = "DURATION", value_parser = timeout())]
    body_timeout: humantime::Duration,
    /// Between two requests of a client; beyond it the connection is closed
    #[arg(long, default_value_t = Limits::default().idle_timeout.into(), value_name = "DURATION", value_parser = timeout())]
    idle_timeout: humantime::Duration,
    /// How long a client may take nothing of a response; beyond it the connection is closed
    #[arg(long, default_value_t = Limits::default().write_timeout.into(), value_name = "DURATION", value_parser = timeout())]
    write_timeout: humantime::Duration,
    /// For a connection to a backend; beyond it the next one is tried
    #[arg(long, default_value_t = Limits::default().connect_timeout.into(), value_name = "DURATION", value_parser = timeout())]
    connect_timeout: humantime::Duration,
    /// For the whole head of a backend's response, and for a pause in its body; beyond it 504, or a cut
    #[arg(long, default_value_t = Limits::default().backend_timeout.into(), value_name = "DURATION", value_parser = timeout())]
    backend_timeout: humantime::Duration,
    /// Least bytes per second of a body that a client sends or takes while it is waited for; what it takes longer is
    /// taken off its timeout. 0: none
    #[arg(long, default_value_t = Limits::default().client_rate, value_name = "BYTES", value_parser = number::whole(0..=u64::MAX))]
    min_client_rate: u64,
    /// The same for a backend. 0: none, so that a stream of events may trickle
    #[arg(long, default_value_t = Limits::default().backend_rate, value_name = "BYTES", value_parser = number::whole(0..=u64::MAX))]
    min_backend_rate: u64,
    /// How long a backend that refused a connection is left out
    #[arg(long, default_value_t = Limits::default().retry_interval.into(), value_name = "DURATION", value_parser = interval())]
    retry_interval: humantime::Duration,
    /// How long a refused client's remaining bytes are discarded before its connection is closed
    #[arg(long, default_value_t = Limits::default().linger_timeout.into(), value_name = "DURATION", value_parser = timeout())]
    linger_timeout: humantime::Duration,
}

/// Reads a timeout.
fn timeout() -> impl Fn(&str) -> Result<humantime::Duration, String> + Clone + Send + Sync + 'static {
    number::duration(Limits::SHORTEST..=Limits::LONGEST)
}

/// Reads an interval, which may be none.
fn interval() -> impl Fn(&str) -> Result<humantime::Duration, String> + Clone + Send + Sync + 'static {
    number::duration(Duration::ZERO..=Limits::LONGEST)
}

impl LimitArgs {
    fn limits(&self) -> Limits {
        Limits {
            request_line_bytes: self.max_request_line_bytes,
            head_bytes: self.max_head_bytes,
            fields: self.max_fields,
            body_bytes: self.max_body_bytes,
            header_timeout: self.header_timeout.into(),
            body_timeout: self.body_timeout.into(),
            idle_timeout: self.idle_timeout.into(),
            write_timeout: self.write_timeout.into(),
            connect_timeout: self.connect_timeout.into(),
            backend_timeout: self.backend_timeout.into(),
            client_rate: self.min_client_rate,
            backend_rate: self.min_backend_rate,
            retry_interval: self.retry_interval.into(),
            linger_timeout: self.linger_timeout.into(),
        }
    }
}

impl Args {
    /// What was asked for.
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = match &self.config {
            Some(path) => file::read(path)?,
            None => self.settings_without_file().usage()?,
        };
        if let Some(model) = &self.model {
            settings.model.clone_from(model);
        }
        if let Some(listen) = &self.listen {
            settings.listen.clone_from(listen);
        }
        settings.workers = self.workers.or(settings.workers);
        settings.accept = self.accept.map_or(settings.accept, Accept::from);
        settings.backlog = self.backlog;
        settings.drain_timeout = self.drain_timeout.unwrap_or(settings.drain_timeout);
        if let Some(file) = &self.access_log {
            let format = self.access_log_format.unwrap_or_default();
            settings.log = Some(LogSettings { file: file.clone(), format });
        }
        settings.manager = self.manager.settings().or(settings.manager);
        if let Some(bytes) = self.cache {
            settings.cache.get_or_insert_default().bytes = bytes;
        }
        settings.check().usage()?;
        Ok(settings)
    }

    fn settings_without_file(&self) -> anyhow::Result<Settings> {
        let mut groups = Vec::new();
        let mut routes: Vec<RouteSettings> = Vec::new();
        if !self.backends.is_empty() {
            let mut group = self.group(DEFAULT_GROUP);
            group.members = self
                .backends
                .iter()
                .map(|text| MemberSettings::parse(text))
                .collect::<anyhow::Result<_>>()?;
            groups.push(group);
            routes.push(RouteSettings {
                host: None,
                prefix: "/".to_owned(),
                group: DEFAULT_GROUP.to_owned(),
                keeps_prefix: true,
                maps_location: false,
                cache: CacheChange::default(),
            });
        }
        for text in &self.routes {
            let (place, member) = text.split_once('=').with_context(|| {
                format!("'{text}' is no route; write PREFIX=ADDR, such as /images/=127.0.0.1:8889")
            })?;
            let member = MemberSettings::parse(member)?;
            if let Some(group) = groups.iter_mut().find(|group| group.name == place) {
                group.members.push(member);
                continue;
            }
            let slash = place.find('/').with_context(|| {
                format!("the prefix of '{text}' does not begin with a slash; write [HOST]/PREFIX=ADDR")
            })?;
            ensure!(place != DEFAULT_GROUP, "'{place}' is no prefix; begin it with a slash");
            let host = Some(&place[..slash]).filter(|host| !host.is_empty()).map(|host| (*host).to_owned());
            routes.push(RouteSettings {
                host,
                prefix: place[slash..].to_owned(),
                group: place.to_owned(),
                keeps_prefix: self.keep_prefix,
                maps_location: true,
                cache: CacheChange::default(),
            });
            let mut group = self.group(place);
            group.members.push(member);
            groups.push(group);
        }
        Ok(Settings {
            model: self.model.clone().unwrap_or_default(),
            listen: LISTEN.to_owned(),
            workers: None,
            accept: Accept::Single,
            backlog: BACKLOG,
            drain_timeout: DRAIN,
            limits: self.limits.limits(),
            groups,
            routes,
            log: None,
            manager: None,
            cache: None,
        })
    }

    fn group(&self, name: &str) -> GroupSettings {
        GroupSettings {
            name: name.to_owned(),
            policy: self.policy.into(),
            members: Vec::new(),
            check: self.health_check.clone().map(Check::of),
            cache: CacheChange::default(),
        }
    }
}
