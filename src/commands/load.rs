//! `roundtable load`: the load generator, for people and for the harness.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use roundtable_harness::control::{Control, announce};
use roundtable_harness::load::{
    LEAST_TIMEOUT, Load, LoadConfig, MAX_CONCURRENCY, MAX_RATE, MAX_REQUESTS, MOST_TIMEOUT,
};
use serde::Serialize;

use super::number;
use super::usage::OfUsage;

/// Arguments of `roundtable load`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the requests go, as in http://127.0.0.1:18000/; several take turns
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// Requests to send, as ab's -n
    #[arg(short = 'n', long, value_name = "N", value_parser = number::whole(1..=MAX_REQUESTS))]
    requests: u64,
    /// Requests outstanding at any time, as ab's -c; with --rate, at most
    #[arg(short, long, value_name = "C", value_parser = number::whole(1..=MAX_CONCURRENCY))]
    concurrency: u32,
    /// Open loop: this many requests per second are due, evenly spaced, on up to C connections; latency counts from
    /// when each was due [default: closed loop, as ab]
    #[arg(long, value_name = "R", value_parser = number::whole(1..=MAX_RATE))]
    rate: Option<u64>,
    /// Keep connections open between requests, as ab's -k
    #[arg(short, long)]
    keep_alive: bool,
    /// Requests to send first, verified but not counted
    #[arg(long, value_name = "W", default_value_t = 0, value_parser = number::whole(0..=MAX_REQUESTS))]
    warmup: u64,
    /// How long one response may take
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = number::duration::<Duration>(LEAST_TIMEOUT..=MOST_TIMEOUT))]
    timeout: Duration,
    /// A further request field; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Request method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    method: String,
    /// Each body must be that of `roundtable backend --body-bytes N` [default: each must equal the first]
    #[arg(long, value_name = "N", value_parser = number::whole(0..=roundtable_backends::MAX_BODY_BYTES))]
    expect_body_bytes: Option<usize>,
    /// Print the report as one line of JSON
    #[arg(long)]
    json: bool,
    /// Aim at another machine: only ever at one that is yours
    #[arg(long)]
    allow_remote: bool,
    /// Obey the harness on standard input, and end with it
    #[arg(long, hide = true)]
    supervised: bool,
    /// Tell the harness what became of each request
    #[arg(long, hide = true, requires = "supervised")]
    record: bool,
}

/// What the harness is told when the warm-up is over.
#[derive(Debug, Serialize)]
struct WarmedUp {
    warmed_up: u64,
    failed: u64,
    pid: u32,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut load = match Load::prepare(LoadConfig {
        urls: args.urls,
        requests: args.requests,
        concurrency: args.concurrency,
        rate: args.rate,
        keep_alive: args.keep_alive,
        warmup: args.warmup,
        timeout: args.timeout,
        fields: args.headers,
        method: args.method,
        expected_body: args.expect_body_bytes.map(roundtable_backends::body),
        allow_remote: args.allow_remote,
        record: args.record,
    }) {
        Err(error) if error.is_usage() => Err(error).usage()?,
        load => load?,
    };
    let failed = load.warm_up()?;
    if args.supervised {
        announce(&WarmedUp { warmed_up: args.warmup, failed, pid: std::process::id() })
            .context("cannot write the ready line to standard output; leave it open")?;
        Control::start()
            .context("cannot start the thread that obeys the harness; raise the thread limit")?
            .wait_for_go()
            .context("the harness left before it said go; start it again")?;
    }
    let report = load.measure()?;
    if args.json || args.supervised {
        announce(&report).context("cannot write the report to standard output; leave it open")?;
        if let Some(recording) = load.take_recording() {
            announce(&recording).context("cannot write the recording to standard output; leave it open")?;
        }
    } else {
        let told = io::stdout().lock().write_all(load.summary(&report)?.as_bytes());
        told.context("cannot write the summary to standard output; leave it open")?;
    }
    if args.supervised {
        // The control thread answers until the harness closes standard input, and ends the process then.
        loop {
            std::thread::park();
        }
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
