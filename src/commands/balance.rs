//! `roundtable balance`: one balancer, as a program of its own.
//!
//! Owns the start, the ready line, and what signals do: on the first SIGTERM, SIGINT or SIGHUP no more connections are
//! accepted and exchanges in hand are finished, until the deadline; a second SIGTERM or SIGINT ends at once; on SIGUSR1
//! the access log is opened anew. What is asked for stands in `args` (command line), `file` (TOML) and `settings`
//! (both). Rule: `--check` goes through everything that the start goes through, but for the threads.

mod args;
mod file;
mod settings;

use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use roundtable::proxy::{BackendId, Config, Observer, Proxy};
use roundtable_harness::testbed::control::{Control, Ready, announce};
use signal_hook::consts::{SIGHUP, SIGUSR1};
use signal_hook::iterator::Signals;
use socket2::SockRef;

use super::address::resolve;
use super::signals;
use super::usage::OfUsage;
use crate::checks::{self, Check};
use crate::clock;
use crate::console::{print, tell};
use crate::manager::Manager;
use crate::models::{
    self, Accept, AccessLog, Handicap, MODELS, Model, Server, Workers, listen, raise_descriptor_limit,
};
use crate::outages::{self, Reporter, Reports};
use settings::Settings;

pub(crate) use args::Args;

/// Where it listens unless it is told otherwise: the port of the course work.
const LISTEN: &str = "127.0.0.1:18000";
/// How long exchanges in hand are given to finish.
const DRAIN: Duration = Duration::from_secs(10);
/// How long the last lines of the log may take.
const LOG_PATIENCE: Duration = Duration::from_secs(1);
/// How often a draining balancer looks whether it is done.
const DRAIN_LOOK: Duration = Duration::from_millis(5);
/// How many looks in a row must find nothing in hand.
const QUIET_LOOKS: u32 = 4;

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // First of all, so that none comes too early.
    let mut signals =
        Signals::new(handled_signals()).context("cannot handle signals; raise the limit on open files")?;
    let prepared = Prepared::of(args)?;
    let (Some(listener), false) = (prepared.listener, args.check) else {
        print(&prepared.summary)?;
        return Ok(ExitCode::SUCCESS);
    };
    let Prepared { settings, model, proxy, log, .. } = prepared;
    let workers = model.workers.count(settings.workers).unwrap_or(0);
    let further_listeners = further_listeners(&settings, model, prepared.listening, workers)?;
    let stoppers: Vec<TcpListener> = std::iter::once(&listener)
        .chain(&further_listeners)
        .map(TcpListener::try_clone)
        .collect::<io::Result<_>>()
        .context("cannot duplicate the listener; raise the limit on open files")?;
    clock::start(&proxy).context("cannot start a thread for the clock; raise the thread limit")?;
    checks::start(&proxy, &prepared.outages, checked(&settings, &proxy))
        .context("cannot start a thread for each health check; raise the thread limit")?;
    outages::start(Arc::clone(&proxy), prepared.reports)
        .context("cannot start a thread; raise the thread limit")?;
    if let Some(manager) = prepared.manager {
        manager
            .serve(Arc::clone(&proxy))
            .context("cannot start the manager; raise the limits on threads and open files")?;
    }
    let listening = prepared.listening;
    let server = Arc::new(Server {
        further_listeners,
        log: log.clone(),
        handicap: args.handicap.map(Handicap::new),
        ..Server::new(listener, Arc::clone(&proxy), workers)
    });
    let serving = Arc::clone(&server);
    thread::Builder::new()
        .name("accept".into())
        .spawn(move || {
            if let Err(error) = (model.serve)(serving) {
                tell(format_args!(
                    "roundtable: {} cannot go on serving ({error}); look at the limits on open files, threads and \
                     memory, then start it again",
                    model.name
                ));
                std::process::exit(1);
            }
        })
        .context("cannot start a thread; raise the thread limit")?;
    let shares_nothing = model.workers == Workers::EventLoops;
    announce(&Ready::at(listening)).context("cannot write the ready line")?;
    if args.supervised {
        let counted = Arc::clone(&server);
        let connections = move || if shares_nothing { counted.spread.counts() } else { Vec::new() };
        Control::start_counting(connections).context("cannot listen on standard input")?;
    }
    for signal in signals.forever() {
        match signal {
            SIGUSR1 => reopen(log.as_deref()),
            _ => break,
        }
    }
    let code = drain(&proxy, &stoppers, &mut signals, log.as_deref(), settings.drain_timeout)?;
    if let Some(log) = log {
        log.flush(LOG_PATIENCE);
    }
    if shares_nothing {
        let counts: Vec<String> = server.spread.counts().iter().map(ToString::to_string).collect();
        tell(format_args!("roundtable: connections by worker: {}", counts.join(", ")));
    }
    Ok(code)
}

/// A balancer that is about to serve: whatever could be refused of what the operator asks for has been tried.
struct Prepared {
    settings: Settings,
    model: &'static Model,
    summary: String,
    /// None where only a check is asked for, and another process listens there.
    listener: Option<TcpListener>,
    listening: SocketAddr,
    manager: Option<Manager>,
    proxy: Arc<Proxy>,
    log: Option<Arc<AccessLog>>,
    outages: Reporter,
    reports: Reports,
}

impl Prepared {
    fn of(args: &Args) -> anyhow::Result<Prepared> {
        let settings = args.settings()?;
        let Some(model) = models::find(&settings.model) else {
            let known: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
            let known = known.join(", ");
            return Err(anyhow!("there is no model '{}'; choose one of {known}", settings.model)).usage();
        };
        (model.available)()
            .with_context(|| format!("the model {} is not available on this machine", model.name))?;
        let address = resolve(&settings.listen)?;
        let mut config = settings.config(address.to_string())?;
        let manager =
            settings.manager.as_ref().map(|manager| manager.bind(model.name, address)).transpose()?;
        if let Some(manager) = &manager {
            manager.add_to(&mut config).usage()?;
        }
        if let (Some(workers), Some(own)) = (settings.workers, model.workers.fixed())
            && !args.supervised
        {
            tell(format_args!(
                "roundtable: {workers} workers do not apply to {}, which has {own}; choose a model that has workers, \
                 or leave them out",
                model.name
            ));
        }
        if settings.accept == Accept::Reuseport && model.workers != Workers::EventLoops && !args.supervised {
            tell(format_args!(
                "roundtable: --accept does not apply to {}, whose workers share what is accepted; choose a model whose \
                 workers share nothing, or leave it out",
                model.name
            ));
        }
        raise_descriptor_limit()
            .context("cannot raise the limit on open files; raise it before, by `ulimit -n`")?;
        let listener =
            match listen(address, &settings.limits, settings.backlog, has_listener_each(&settings, model)) {
                // What is checked may be what a balancer serves already.
                Err(error) if args.check && error.kind() == io::ErrorKind::AddrInUse => None,
                outcome => Some(outcome.with_context(|| {
                    format!(
                        "cannot listen at {address}; choose a free address with --listen, or end who uses it"
                    )
                })?),
            };
        let listening = match &listener {
            Some(listener) => listener.local_addr().context("cannot tell the address listened at")?,
            None => address,
        };
        let mut members = config.groups.iter().flat_map(|group| &group.members);
        if let Some(own) = members.find(|member| reaches(member.address, listening)) {
            return Err(anyhow!(
                "the backend {} is this balancer, which listens at {listening}; name another backend",
                own.address
            ))
            .usage();
        }
        config.authority = listening.to_string();
        let log = open_log(&settings, &config, args.check)?;
        config.observer =
            log.as_ref().filter(|log| log.observes()).map(|log| Arc::clone(log) as Arc<dyn Observer>);
        let (outages, reports) = outages::reports();
        config.watcher = Some(Arc::new(outages.clone()));
        let summary = summary(&settings, &config);
        let proxy = Proxy::new(config, Instant::now()).context("the configuration cannot work")?;
        let proxy = Arc::new(proxy);
        Ok(Prepared { settings, model, summary, listener, listening, manager, proxy, log, outages, reports })
    }
}

/// Whether each worker accepts by itself.
fn has_listener_each(settings: &Settings, model: &Model) -> bool {
    settings.accept == Accept::Reuseport && model.workers == Workers::EventLoops
}

/// The listeners of the workers after the first one, where each has its own.
fn further_listeners(
    settings: &Settings,
    model: &Model,
    listening: SocketAddr,
    workers: usize,
) -> anyhow::Result<Vec<TcpListener>> {
    let count = if has_listener_each(settings, model) { workers } else { 1 };
    (1..count)
        .map(|_| listen(listening, &settings.limits, settings.backlog, true))
        .collect::<io::Result<_>>()
        .with_context(|| {
            format!("cannot listen at {listening} once for each worker; raise the limit on open files")
        })
}

/// The signals that mean something here.
fn handled_signals() -> Vec<i32> {
    signals::that_end().chain([SIGUSR1]).collect()
}

/// After a log rotation.
fn reopen(log: Option<&AccessLog>) {
    if let Some(log) = log
        && let Err(error) = log.reopen(LOG_PATIENCE)
    {
        tell(format_args!(
            "roundtable: the access log was not opened anew ({error}); see whether its file can be written, then send \
             SIGUSR1 again, or start the balancer anew"
        ));
    }
}

/// Accepts no more, and gives exchanges in hand this long to finish.
fn drain(
    proxy: &Proxy,
    stoppers: &[TcpListener],
    signals: &mut Signals,
    log: Option<&AccessLog>,
    timeout: Duration,
) -> anyhow::Result<ExitCode> {
    // Whoever accepts finds its socket shut down; nobody can connect any more.
    for stopper in stoppers {
        SockRef::from(stopper).shutdown(Shutdown::Both).context("cannot stop accepting")?;
    }
    proxy.drain();
    let deadline = Instant::now() + timeout;
    // A request that has arrived is not in flight before it has been read: so look more than once.
    let mut quiet_looks = 0;
    while quiet_looks < QUIET_LOOKS && Instant::now() < deadline {
        quiet_looks = if proxy.in_flight() == 0 { quiet_looks + 1 } else { 0 };
        for signal in signals.pending() {
            match signal {
                SIGUSR1 => reopen(log),
                // It is stopping already, and nothing in hand is cut.
                SIGHUP => {}
                _ => return Ok(ExitCode::FAILURE),
            }
        }
        thread::sleep(DRAIN_LOOK);
    }
    match proxy.in_flight() {
        0 => {}
        cut => tell(format_args!(
            "roundtable: {cut} exchanges were not finished in time; --drain-timeout gives them longer"
        )),
    }
    Ok(ExitCode::SUCCESS)
}

/// The access log, if one is asked for; with `only_checks` it is only tried.
fn open_log(
    settings: &Settings,
    config: &Config,
    only_checks: bool,
) -> anyhow::Result<Option<Arc<AccessLog>>> {
    let Some(asked) = &settings.log else { return Ok(None) };
    let names = config.groups.iter().flat_map(|group| &group.members).map(|member| member.name.clone());
    let log = if only_checks {
        AccessLog::check(&asked.file).map(|()| None)
    } else {
        AccessLog::open(&asked.file, asked.format, names.collect()).map(Some)
    };
    let log = log.with_context(|| {
        format!("cannot write the access log {}; choose another file", asked.file.display())
    })?;
    Ok(log.map(Arc::new))
}

/// Which backends are checked, and how.
fn checked(settings: &Settings, proxy: &Proxy) -> Vec<(BackendId, Check)> {
    let status = proxy.status(Instant::now());
    settings
        .groups
        .iter()
        .zip(status.groups)
        .filter_map(|(group, status)| Some((group.check.clone()?, status)))
        .flat_map(|(check, status)| status.members.into_iter().map(move |member| (member.id, check.clone())))
        .collect()
}

/// What a configuration says, for somebody who checks it.
fn summary(settings: &Settings, config: &Config) -> String {
    let mut text = format!("The configuration can work: {} at {}.\n", settings.model, settings.listen);
    if let Some(size) = config.cache {
        text += &format!("  a cache of {}\n", bytesize::ByteSize::b(size.bytes as u64).display().iec());
    }
    for route in config.routes.iter().filter(|route| !config.groups[route.group].hidden) {
        let group = &config.groups[route.group];
        let members: Vec<String> = group
            .members
            .iter()
            .map(|member| {
                let weight = if member.weight == 1 { String::new() } else { format!(" x{}", member.weight) };
                let most = member.most_connections.map_or(String::new(), |most| format!(" (at most {most})"));
                format!("{}{weight}{most}", member.name)
            })
            .collect();
        let prefix = if route.keeps_prefix || route.prefix == "/" { "" } else { ", prefix taken off" };
        let cached = if config.cache.is_some() && route.cache.is_some() { ", cached" } else { "" };
        text += &format!("  {route} -> {}: {}{prefix}{cached}\n", group.name, members.join(", "));
    }
    text
}

/// Whether a connection to `backend` arrives at `listening`, as far as the addresses tell.
fn reaches(backend: SocketAddr, listening: SocketAddr) -> bool {
    let (to, at) = (backend.ip().to_canonical(), listening.ip().to_canonical());
    let local = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    backend.port() == listening.port()
        && (to == at || (at.is_unspecified() && local(to)) || (to.is_unspecified() && local(at)))
}
