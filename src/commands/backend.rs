//! `roundtable backend`: one origin server, in the foreground.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use roundtable_backends::{Config, Content, MAX_BODY_BYTES, Server, ServiceTime};
use roundtable_harness::testbed::control::{Control, Order, Ready, announce};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::address;
use super::number;
use super::usage::OfUsage;
use crate::models::{BACKLOG, MOST_BACKLOG};

/// More requests at a time than this bound nothing.
const MOST_AT_A_TIME: u32 = 100_000;
/// The longest time that caches are let keep a response, seconds: a year.
const MOST_AGE: u32 = 365 * 24 * 60 * 60;

/// Arguments of `roundtable backend`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to listen; port 0 takes a free one, which the ready line names
    #[arg(long, value_name = "ADDR")]
    listen: String,
    /// Name in the X-Backend response field [default: the listening address]
    #[arg(long, value_name = "ID")]
    name: Option<String>,
    /// Length of the body of each response, bytes
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = number::whole(0..=MAX_BODY_BYTES))]
    body_bytes: usize,
    /// Each request must have the same bytes, so many, as its body, as those of `load --upload-bytes` have, and is answered 422
    /// otherwise [default: any body will do]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = number::whole(0..=MAX_BODY_BYTES))]
    upload_bytes: usize,
    /// Let caches keep each response for so many seconds (Cache-Control: max-age) [default: nothing is said of it]
    #[arg(long, value_name = "SECONDS", conflicts_with = "root", value_parser = number::whole::<u32>(0..=MOST_AGE))]
    max_age: Option<u32>,
    /// Serve the files in DIR instead: index.html or a listing for a directory, nothing under a name that begins with
    /// a dot, and no link leads out of DIR
    #[arg(long, value_name = "DIR", conflicts_with = "body_bytes")]
    root: Option<PathBuf>,
    /// How long each request takes, as in 5ms, or exponentially distributed with a mean, as in exp:5ms
    #[arg(long, value_name = "[exp:]DURATION", default_value = "0s")]
    delay: ServiceTime,
    /// Work on so many requests at a time, while the others wait in the order in which they came [default: all]
    #[arg(long, value_name = "N", value_parser = number::whole::<u32>(1..=MOST_AT_A_TIME))]
    at_a_time: Option<u32>,
    /// Connections that may wait to be accepted; the kernel takes no more than net.core.somaxconn
    #[arg(long, value_name = "N", default_value_t = BACKLOG, value_parser = number::whole::<u32>(1..=MOST_BACKLOG))]
    backlog: u32,
    /// Obey the harness on standard input, and end with it
    #[arg(long, hide = true)]
    supervised: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let content = match args.root {
        Some(root) => Content::Files { root },
        None => Content::Body { bytes: args.body_bytes },
    };
    let config = Config {
        name: args.name,
        content,
        max_age: args.max_age,
        upload_bytes: args.upload_bytes,
        delay: args.delay,
        at_a_time: args.at_a_time.and_then(NonZeroU32::new),
        backlog: Some(args.backlog),
    };
    address::check(&args.listen).usage()?;
    let server = match Server::bind(&args.listen, &config) {
        Err(error) if error.is_usage() => Err(error).usage()?,
        server => server?,
    };
    end_on_signal(&server)?;
    announce(&Ready::at(server.address()))
        .context("cannot write the ready line to standard output; leave it open")?;
    if args.supervised {
        let steering = server.steering();
        Control::start_obeying(move |order| match order {
            Order::Refuse => steering.refuse(),
            Order::Accept => steering.accept(),
            Order::DelayMs(delay) => steering.delay(Duration::from_millis(delay)),
        })
        .context("cannot start the thread that obeys the harness; raise the thread limit")?;
    }
    server.run()?;
    Ok(ExitCode::SUCCESS)
}

fn end_on_signal(server: &Server) -> anyhow::Result<()> {
    let stopper = server.stopper();
    let mut signals = Signals::new([SIGINT, SIGTERM])
        .context("cannot handle SIGINT and SIGTERM; raise the limit on open files")?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            if signals.forever().next().is_some() {
                stopper.stop();
            }
        })
        .context("cannot start the thread that waits for signals; raise the thread limit")?;
    Ok(())
}
