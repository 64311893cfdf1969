//! `roundtable balance`: one balancer, as a program of its own.
//!
//! Owns the start, the ready line, and the ending: on the first SIGTERM or SIGINT no more connections are accepted and
//! exchanges in hand are finished, until the deadline; a second signal ends at once. What is asked for stands in `args`
//! (command line), `file` (TOML) and `settings` (both).

mod args;
mod file;
mod settings;

use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use roundtable::proxy::{BackendId, Config, Observer, Proxy};
use roundtable_harness::control::{Control, Ready, announce};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use socket2::SockRef;

use super::output::{print, tell};
use crate::checks::{self, Check};
use crate::clock;
use crate::models::{self, AccessLog, Handicap, MODELS, Server, listen, raise_descriptor_limit};
use settings::{Settings, resolve};

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
    let settings = args.settings()?;
    let Some(model) = models::find(&settings.model) else {
        let known: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
        bail!("there is no model '{}'; choose one of {}", settings.model, known.join(", "));
    };
    let address = resolve(&settings.listen)?;
    let mut config = settings.config(address.to_string())?;
    let manager = settings.manager.as_ref().map(|manager| manager.bind(model.name, address)).transpose()?;
    if let Some(manager) = &manager {
        manager.add_to(&mut config)?;
    }
    if args.check {
        print(&summary(&settings, &config))?;
        return Ok(ExitCode::SUCCESS);
    }
    raise_descriptor_limit()
        .context("cannot raise the limit on open files; raise it before, by `ulimit -n`")?;
    // Blocked before any thread starts, so that only this one gets them.
    let mut signals =
        Signals::new([SIGTERM, SIGINT]).context("cannot handle signals; raise the limit on open files")?;
    let listener = listen(address, &settings.limits).with_context(|| {
        format!("cannot listen at {address}; choose a free address with --listen, or end who uses it")
    })?;
    let listening = listener.local_addr().context("cannot tell the address listened at")?;
    let mut members = config.groups.iter().flat_map(|group| &group.members);
    if let Some(own) = members.find(|member| reaches(member.address, listening)) {
        bail!(
            "the backend {} is this balancer, which listens at {listening}; name another backend",
            own.address
        );
    }
    config.authority = listening.to_string();
    let log = open_log(&settings, &config)?;
    config.observer =
        log.as_ref().filter(|log| log.observes()).map(|log| Arc::clone(log) as Arc<dyn Observer>);
    let proxy = Proxy::new(config, Instant::now()).context("the configuration cannot work")?;
    let proxy = Arc::new(proxy);
    let stopper =
        listener.try_clone().context("cannot duplicate the listener; raise the limit on open files")?;
    clock::start(&proxy).context("cannot start a thread for the clock; raise the thread limit")?;
    checks::start(&proxy, checked(&settings, &proxy))
        .context("cannot start a thread for each health check; raise the thread limit")?;
    if let Some(manager) = manager {
        manager
            .serve(Arc::clone(&proxy))
            .context("cannot start the manager; raise the limits on threads and open files")?;
    }
    let server = Arc::new(Server {
        listener,
        proxy: Arc::clone(&proxy),
        workers: model.workers.count(settings.workers).unwrap_or(0),
        log: log.clone(),
        handicap: args.handicap.map(Handicap::new),
    });
    thread::Builder::new()
        .name("accept".into())
        .spawn(move || {
            if let Err(error) = (model.serve)(server) {
                tell(format_args!(
                    "roundtable: {} cannot go on serving ({error}); look at the limits on open files, threads and \
                     memory, then start it again",
                    model.name
                ));
                std::process::exit(1);
            }
        })
        .context("cannot start a thread; raise the thread limit")?;
    announce(&Ready::at(listening)).context("cannot write the ready line")?;
    if args.supervised {
        Control::start().context("cannot listen on standard input")?;
    }
    signals.forever().next();
    let code = drain(&proxy, &stopper, &mut signals, settings.drain_timeout)?;
    if let Some(log) = log {
        log.flush(LOG_PATIENCE);
    }
    Ok(code)
}

/// Accepts no more, and gives exchanges in hand this long to finish.
fn drain(
    proxy: &Proxy,
    stopper: &TcpListener,
    signals: &mut Signals,
    timeout: Duration,
) -> anyhow::Result<ExitCode> {
    // The accepting thread finds its socket shut down; nobody can connect any more.
    SockRef::from(stopper).shutdown(Shutdown::Both).context("cannot stop accepting")?;
    proxy.drain();
    let deadline = Instant::now() + timeout;
    // A request that has arrived is not in flight before it has been read: so look more than once.
    let mut quiet_looks = 0;
    while quiet_looks < QUIET_LOOKS && Instant::now() < deadline {
        quiet_looks = if proxy.in_flight() == 0 { quiet_looks + 1 } else { 0 };
        if signals.pending().next().is_some() {
            return Ok(ExitCode::FAILURE);
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

fn open_log(settings: &Settings, config: &Config) -> anyhow::Result<Option<Arc<AccessLog>>> {
    let Some(asked) = &settings.log else { return Ok(None) };
    let names = config.groups.iter().flat_map(|group| &group.members).map(|member| member.name.clone());
    let log = AccessLog::open(&asked.file, asked.format, names.collect()).with_context(|| {
        format!("cannot write the access log {}; choose another file", asked.file.display())
    })?;
    Ok(Some(Arc::new(log)))
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
        text += &format!("  {route} -> {}: {}{prefix}\n", group.name, members.join(", "));
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
