//! `roundtable load`: the load generator, for people and for the harness.
//!
//! Owns its options, its exit codes and who is told what; [`roundtable_harness::load`] drives the load. Rules: whatever
//! ends a load, what it has measured is printed; a load that the harness supervises ends as the harness says, and
//! fails where its report would be incomplete.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use roundtable_harness::load::{
    LEAST_DURATION, LEAST_TIMEOUT, LoadConfig, LoadError, LoadReport, MAX_CONCURRENCY, MAX_DATA_BYTES,
    MAX_DURATION, MAX_RATE, MAX_REQUESTS, MOST_TIMEOUT, Part, Surge, ThreadedLoad, bar,
};
use roundtable_harness::testbed::control::{Control, ReportLine, announce};
use serde::Serialize;
use signal_hook::flag;

use super::number;
use super::signals;
use super::usage::OfUsage;
use crate::console::tell;

/// More threads than this have no machine to run on.
const MOST_THREADS: u32 = 1024;
/// Every request was right, but the rate was not sustained.
const RATE_MISSED: u8 = 3;
/// A shell's exit code of a command that a signal has ended is this and the signal's number.
const SIGNALLED: u8 = 128;

const EXIT_CODES: &str = "\
Exit codes:
  0    every request was answered with 2xx and the right body, at the rate that was asked for
  1    a request failed or was not answered so, nobody answered any more, or the load could not be started
  2    the command line is wrong
  3    every request was answered right, but --rate was not sustained
  128+ and the number of the signal that interrupted it: 130 after Ctrl-C, 143 after SIGTERM

Interrupted, or when nobody answers any more, it reports what there is so far, marked as incomplete. A second
signal ends it at once.";

/// Arguments of `roundtable load`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
#[command(group = clap::ArgGroup::new("end").args(["requests", "duration"]).required(true).multiple(true))]
pub(crate) struct Args {
    /// Where the requests go, as in http://127.0.0.1:18000/; several take turns
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// Requests to send, as ab's -n
    #[arg(short = 'n', long, value_name = "N", value_parser = number::whole(1..=MAX_REQUESTS))]
    requests: Option<u64>,
    /// How long to send requests, as in 30s or 5m; those in hand are then waited for. With -n, whichever comes first
    #[arg(short = 'z', long, value_name = "DURATION", value_parser = number::duration::<Duration>(LEAST_DURATION..=MAX_DURATION))]
    duration: Option<Duration>,
    /// Requests outstanding at any time, as ab's -c; with --rate, at most
    #[arg(short, long, value_name = "C", value_parser = number::whole(1..=MAX_CONCURRENCY))]
    concurrency: u32,
    /// Threads that drive the load, each a part of it; no more than C [default: 1]
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true, value_parser = number::whole::<u32>(1..=MOST_THREADS))]
    threads: u32,
    /// Open loop: this many requests per second are due, evenly spaced, on up to C connections; latency counts from
    /// when each was due [default: closed loop, as ab]
    #[arg(long, value_name = "R", value_parser = number::whole(1..=MAX_RATE))]
    rate: Option<u64>,
    /// With --rate: requests come evenly spaced (even), or as those of many independent users do (poisson)
    #[arg(long, value_name = "even|poisson", default_value = "even", requires = "rate")]
    arrivals: Arrivals,
    /// With --rate: so many times as many requests are due from one time to another, as in 3@2s-4s; may be given several times,
    /// in order
    #[arg(long, value_name = "TIMES@FROM-TO", requires = "rate")]
    surge: Vec<Surge>,
    /// Keep connections open between requests, as ab's -k
    #[arg(short, long)]
    keep_alive: bool,
    /// Requests to send first, verified but not counted, for no longer than --duration
    #[arg(long, value_name = "W", default_value_t = 0, value_parser = number::whole(0..=MAX_REQUESTS))]
    warmup: u64,
    /// How long one response may take
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = number::duration::<Duration>(LEAST_TIMEOUT..=MOST_TIMEOUT))]
    timeout: Duration,
    /// A further request field; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Request method [default: GET; POST with --data or --data-file]
    #[arg(short, long, value_name = "METHOD")]
    method: Option<String>,
    /// Body of each request, sent with its Content-Length; its type is for --header to say
    #[arg(short, long, value_name = "TEXT")]
    data: Option<String>,
    /// The same, from a file
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    data_file: Option<PathBuf>,
    /// Upload: the first so many bytes of what `roundtable backend` serves as the body of each request, which a backend with the
    /// same --upload-bytes verifies
    #[arg(long, value_name = "N", conflicts_with_all = ["data", "data_file"], value_parser = number::whole(0..=MAX_DATA_BYTES))]
    upload_bytes: Option<usize>,
    /// So many percent of the requests ask for a URL as it is, which a cache may have; the others ask for it with a query that was
    /// never asked before [default: all ask for it as it is]
    #[arg(long, value_name = "PERCENT", value_parser = number::whole::<u32>(0..=100))]
    hit_ratio: Option<u32>,
    /// Basic authentication; other users of this machine can see it in the list of processes
    #[arg(short = 'A', long, value_name = "USER:PASSWORD")]
    auth: Option<String>,
    /// Each body must be that of `roundtable backend --body-bytes N` [default: each must equal the first]
    #[arg(long, value_name = "N", value_parser = number::whole(0..=roundtable_backends::MAX_BODY_BYTES))]
    expect_body_bytes: Option<usize>,
    /// Print the report as one line of JSON
    #[arg(long)]
    json: bool,
    /// Aim at another machine: only ever at one that is yours
    #[arg(long)]
    allow_remote: bool,
    /// With --rate: which of how many parts of its schedule this is, as in 1/2, where several generators drive one load
    #[arg(long, value_name = "I/N", hide = true, requires_all = ["rate", "supervised"])]
    part: Option<Part>,
    /// Obey the harness on standard input, and end with it
    #[arg(long, hide = true)]
    supervised: bool,
    /// Tell the harness what became of each request
    #[arg(long, hide = true, requires = "supervised")]
    record: bool,
}

/// How requests of the open loop are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Arrivals {
    Even,
    Poisson,
}

/// What the harness is told when the warm-up is over.
#[derive(Debug, Serialize)]
struct WarmedUp {
    warmed_up: u64,
    failed: u64,
    pid: u32,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let data = match (args.data, &args.data_file) {
        (Some(text), _) => Some(text.into_bytes()),
        (None, Some(file)) => Some(read(file)?),
        (None, None) => args.upload_bytes.filter(|bytes| *bytes > 0).map(roundtable_backends::body),
    };
    let method = args.method.unwrap_or_else(|| if data.is_some() { "POST" } else { "GET" }.to_owned());
    let config = LoadConfig {
        urls: args.urls,
        requests: args.requests,
        duration: args.duration,
        concurrency: args.concurrency,
        rate: args.rate,
        surges: args.surge,
        part: args.part.unwrap_or(Part::WHOLE),
        poisson: args.arrivals == Arrivals::Poisson,
        keep_alive: args.keep_alive,
        warmup: args.warmup,
        timeout: args.timeout,
        fields: args.headers,
        method,
        data,
        auth: args.auth,
        hit_ratio: args.hit_ratio,
        expected_body: args.expect_body_bytes.map(roundtable_backends::body),
        allow_remote: args.allow_remote,
        record: args.record,
    };
    let load = match ThreadedLoad::prepare(config, args.threads) {
        Err(error) if error.is_usage() => Err(error).usage()?,
        load => load?,
    };
    if args.supervised { obey(load, args.warmup) } else { drive(load, args.json) }
}

/// The body in `file`. One that is too long is read no further than it takes to see that.
fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut data = Vec::new();
    File::open(file)
        .and_then(|open| open.take(MAX_DATA_BYTES as u64 + 1).read_to_end(&mut data))
        .with_context(|| {
            format!("cannot read --data-file {}; give a file that can be read", file.display())
        })?;
    Ok(data)
}

/// For people: the report, whatever ends the load.
fn drive(mut load: ThreadedLoad, json: bool) -> anyhow::Result<ExitCode> {
    let signal = stop_on_signals(&mut load)?;
    if !json && io::stderr().is_terminal() {
        load.report_progress_to(bar());
    }
    let report = match load.warm_up().and_then(|_| load.measure()) {
        Err(error @ LoadError::Interrupted) => {
            tell(format_args!("roundtable: {error}; nothing was measured yet"));
            return Ok(signalled(&signal));
        }
        report => report?,
    };
    if json {
        announce(&report.told()).context("cannot write the report to standard output; leave it open")?;
    } else {
        let told = io::stdout().lock().write_all(load.summary(&report).as_bytes());
        told.context("cannot write the summary to standard output; leave it open")?;
    }
    if let Some(incomplete) = &report.incomplete {
        tell(format_args!("roundtable: the report is incomplete: {}", incomplete.reason));
        if signal.load(Ordering::Relaxed) != 0 {
            return Ok(signalled(&signal));
        }
    }
    Ok(verdict(&report))
}

fn verdict(report: &LoadReport) -> ExitCode {
    if !report.is_clean() {
        ExitCode::FAILURE
    } else if report.missed_its_rate() {
        ExitCode::from(RATE_MISSED)
    } else {
        ExitCode::SUCCESS
    }
}

/// Has the first signal break the load off and a second one end the process. The number of the signal, once one has come.
fn stop_on_signals(load: &mut ThreadedLoad) -> anyhow::Result<Arc<AtomicUsize>> {
    let (stop, number) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    for signal in signals::that_end() {
        let value = usize::try_from(signal).unwrap_or_default();
        flag::register_conditional_shutdown(signal, i32::from(SIGNALLED) + signal, Arc::clone(&stop))
            .and_then(|_| flag::register_usize(signal, Arc::clone(&number), value))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .context("cannot handle signals; raise the limit on open files")?;
    }
    load.stop_on(stop);
    Ok(number)
}

fn signalled(signal: &AtomicUsize) -> ExitCode {
    let number = u8::try_from(signal.load(Ordering::Relaxed)).unwrap_or_default();
    ExitCode::from(SIGNALLED.saturating_add(number))
}

/// For the harness: warms up, waits for its word, and has no more to say than a whole report.
fn obey(mut load: ThreadedLoad, warmup: u64) -> anyhow::Result<ExitCode> {
    let failed = load.warm_up()?;
    announce(&WarmedUp { warmed_up: warmup, failed, pid: std::process::id() })
        .context("cannot write the ready line to standard output; leave it open")?;
    Control::start()
        .context("cannot start the thread that obeys the harness; raise the thread limit")?
        .wait_for_go()
        .context("the harness left before it said go; start it again")?;
    let report = load.measure()?;
    if let Some(incomplete) = report.incomplete {
        bail!(incomplete.reason);
    }
    let began_monotonic_ns = Some(load.began_monotonic_ns());
    announce(&ReportLine { began_monotonic_ns, report })
        .context("cannot write the report to standard output; leave it open")?;
    if let Some(recording) = load.take_recording() {
        announce(&recording).context("cannot write the recording to standard output; leave it open")?;
    }
    // The control thread answers until the harness closes standard input, and ends the process then.
    loop {
        std::thread::park();
    }
}
