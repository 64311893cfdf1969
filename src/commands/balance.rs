//! `roundtable balance`: one balancer, as a program of its own.
//!
//! Owns the arguments, the ready line, and the ending: on the first SIGTERM or SIGINT no more connections are
//! accepted and exchanges in hand are finished, until the deadline; a second signal ends at once.

use std::net::{IpAddr, Shutdown, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use roundtable::proxy::{Config, Limits, Proxy};
use roundtable_harness::control::{Control, Ready, announce};
use roundtable_harness::row::MOST_HANDICAP_PERCENT;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use socket2::SockRef;

use super::output::tell;
use crate::manager::{self, Manager, Users};
use crate::models::{self, AccessLog, Handicap, MODELS, Server, listen, raise_descriptor_limit};

/// How often a draining balancer looks whether it is done.
const DRAIN_LOOK: Duration = Duration::from_millis(5);
/// How many looks in a row must find nothing in hand.
const QUIET_LOOKS: u32 = 4;
/// Longest time that exchanges in hand can be given to finish.
const LONGEST_DRAIN: Duration = Duration::from_secs(24 * 60 * 60);
/// Most worker threads that can be asked for.
const MOST_WORKERS: usize = 1024;

/// Arguments of `roundtable balance`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: roundtable balance --model mio --listen 127.0.0.1:18000 --backend 127.0.0.1:9001 \
                        --backend 127.0.0.1:9002"
)]
pub(crate) struct Args {
    /// The concurrency model (`roundtable models` lists them)
    #[arg(long)]
    model: String,
    /// Address to accept connections at; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:18000")]
    listen: String,
    /// A backend's address; repeat it for each, in the order of their turns
    #[arg(long = "backend", required = true, value_name = "ADDR")]
    backends: Vec<String>,
    /// Worker threads of `pool` (default: 4 for each processor) and `tokio` (default: 1 for each)
    #[arg(long)]
    workers: Option<usize>,
    /// Write a line for each connection and each request forwarded to this file, `-` for standard error
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// Serve the manager (a page, JSON and metrics) at this path
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = manager::DEFAULT_PATH)]
    manager: Option<String>,
    /// Path of the metrics for Prometheus (default: `metrics` below the manager's path)
    #[arg(long, value_name = "PATH", requires = "manager")]
    manager_metrics: Option<String>,
    /// Who may use the manager: a file made by `htpasswd -B`. Without it the manager is for loopback addresses alone
    #[arg(long, value_name = "FILE", requires = "manager")]
    manager_users: Option<PathBuf>,
    /// On the first SIGTERM or SIGINT, how long exchanges in hand may take to finish
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    drain_timeout: Duration,
    /// Test aid: do so many percent more CPU work for each request than it needs, to see whether a measurement finds it
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=MOST_HANDICAP_PERCENT as i64))]
    handicap: Option<u32>,
    /// Obey the harness on standard input
    #[arg(long, hide = true)]
    supervised: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

/// The limits on the command line. Each default is [`Limits::default`]'s.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits and timeouts")]
struct LimitArgs {
    /// Longest request line, bytes; beyond it 414
    #[arg(long, default_value_t = Limits::default().request_line_bytes)]
    max_request_line_bytes: usize,
    /// Longest head, bytes; beyond it 431 (from a backend: 502)
    #[arg(long, default_value_t = Limits::default().head_bytes)]
    max_head_bytes: usize,
    /// Most fields in a head; beyond it 431 (from a backend: 502)
    #[arg(long, default_value_t = Limits::default().fields)]
    max_fields: usize,
    /// Longest request body, bytes; beyond it 413
    #[arg(long, default_value_t = Limits::default().body_bytes)]
    max_body_bytes: u64,
    /// For a whole request head; beyond it 408
    #[arg(long, default_value_t = Limits::default().header_timeout.into(), value_name = "DURATION")]
    header_timeout: humantime::Duration,
    /// Between two reads of a request body; beyond it 408
    #[arg(long, default_value_t = Limits::default().body_timeout.into(), value_name = "DURATION")]
    body_timeout: humantime::Duration,
    /// Between two requests of a client; beyond it the connection is closed
    #[arg(long, default_value_t = Limits::default().idle_timeout.into(), value_name = "DURATION")]
    idle_timeout: humantime::Duration,
    /// For one write to a client; beyond it the connection is closed
    #[arg(long, default_value_t = Limits::default().write_timeout.into(), value_name = "DURATION")]
    write_timeout: humantime::Duration,
    /// For a connection to a backend; beyond it the next one is tried
    #[arg(long, default_value_t = Limits::default().connect_timeout.into(), value_name = "DURATION")]
    connect_timeout: humantime::Duration,
    /// Between two reads of a backend's response; beyond it 504
    #[arg(long, default_value_t = Limits::default().backend_timeout.into(), value_name = "DURATION")]
    backend_timeout: humantime::Duration,
    /// How long a backend that refused a connection is left out
    #[arg(long, default_value_t = Limits::default().retry_interval.into(), value_name = "DURATION")]
    retry_interval: humantime::Duration,
    /// How long a refused client's remaining bytes are discarded before its connection is closed
    #[arg(long, default_value_t = Limits::default().linger_timeout.into(), value_name = "DURATION")]
    linger_timeout: humantime::Duration,
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
            retry_interval: self.retry_interval.into(),
            linger_timeout: self.linger_timeout.into(),
        }
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Some(model) = models::find(&args.model) else {
        let known: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
        bail!("there is no model '{}'; choose one of {}", args.model, known.join(", "));
    };
    if let Some(workers) = args.workers {
        ensure!(
            (1..=MOST_WORKERS).contains(&workers),
            "--workers {workers} is out of range; choose 1 to {MOST_WORKERS}"
        );
    }
    let limits = args.limits.limits();
    limits.validate().context("the limits cannot work; change the option named")?;
    ensure!(
        args.drain_timeout <= LONGEST_DRAIN,
        "--drain-timeout is longer than a day; choose a shorter one, a second signal ends at once"
    );
    let address = resolve(&args.listen)?;
    let backends =
        args.backends.iter().map(|backend| resolve(backend)).collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(nowhere) = backends.iter().find(|backend| backend.port() == 0) {
        bail!(
            "nobody can be reached at port 0 of {nowhere}; give --backend the port that the backend listens at"
        );
    }
    raise_descriptor_limit()
        .context("cannot raise the limit on open files; raise it before, by `ulimit -n`")?;
    // Blocked before any thread starts, so that only this one gets them.
    let mut signals =
        Signals::new([SIGTERM, SIGINT]).context("cannot handle signals; raise the limit on open files")?;
    let listener = listen(address, &limits).with_context(|| {
        format!("cannot listen at {address}; choose a free address with --listen, or end who uses it")
    })?;
    let listening = listener.local_addr().context("cannot tell the address listened at")?;
    if let Some(backend) = backends.iter().find(|backend| reaches(**backend, listening)) {
        bail!("the backend {backend} is this balancer, which listens at {listening}; name another backend");
    }
    let stopper =
        listener.try_clone().context("cannot duplicate the listener; raise the limit on open files")?;
    let log = args.access_log.as_deref().map(|path| {
        AccessLog::open(path)
            .with_context(|| format!("cannot write the access log {}; choose another file", path.display()))
    });
    let mut config = Config::round_robin(backends, listening.to_string(), limits);
    let manager = manager_of(&args, model.name, listening)?;
    if let Some(manager) = &manager {
        manager.add_to(&mut config)?;
    }
    let proxy = Proxy::new(config, Instant::now()).context("the configuration cannot work")?;
    let proxy = Arc::new(proxy);
    if let Some(manager) = manager {
        manager.serve(Arc::clone(&proxy)).context("cannot start the manager; raise the limits on threads and open files")?;
    }
    let server = Arc::new(Server {
        listener,
        proxy: Arc::clone(&proxy),
        workers: model.workers.count(args.workers).unwrap_or(0),
        log: log.transpose()?,
        handicap: args.handicap.map(Handicap::new),
    });
    thread::Builder::new()
        .name("accept".into())
        .spawn(move || {
            if let Err(error) = (model.serve)(server) {
                tell(format_args!(
"roundtable: {} cannot go on serving ({error}); look at the limits on open files, threads and memory, then start it again", model.name));
                std::process::exit(1);
            }
        })
        .context("cannot start a thread; raise the thread limit")?;
    announce(&Ready::at(listening)).context("cannot write the ready line")?;
    if args.supervised {
        Control::start().context("cannot listen on standard input")?;
    }
    signals.forever().next();
    // The accepting thread finds its socket shut down; nobody can connect any more.
    SockRef::from(&stopper).shutdown(Shutdown::Both).context("cannot stop accepting")?;
    proxy.drain();
    let deadline = Instant::now() + args.drain_timeout;
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

/// The manager, if one is asked for.
fn manager_of(args: &Args, model: &'static str, listening: SocketAddr) -> anyhow::Result<Option<Manager>> {
    let Some(path) = &args.manager else { return Ok(None) };
    let settings = manager::Settings {
        path: path.clone(),
        metrics_path: args.manager_metrics.clone(),
        users: args.manager_users.as_deref().map(Users::read).transpose()?,
        model,
    };
    manager::check(listening, &settings)?;
    Manager::bind(settings).map(Some).context("cannot open a port for the manager; raise the limit on open files")
}

/// Whether a connection to `backend` arrives at `listening`, as far as the addresses tell.
fn reaches(backend: SocketAddr, listening: SocketAddr) -> bool {
    let (to, at) = (backend.ip().to_canonical(), listening.ip().to_canonical());
    let local = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    backend.port() == listening.port()
        && (to == at || (at.is_unspecified() && local(to)) || (to.is_unspecified() && local(at)))
}

/// The first address of `name`, which is HOST:PORT or [V6]:PORT.
fn resolve(name: &str) -> anyhow::Result<SocketAddr> {
    name.to_socket_addrs()
        .with_context(|| format!("'{name}' is no address; write HOST:PORT, such as 127.0.0.1:9001"))?
        .next()
        .with_context(|| format!("'{name}' has no address; write HOST:PORT, such as 127.0.0.1:9001"))
}
