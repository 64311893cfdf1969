//! `roundtable floor`: the relay that parses nothing, under the harness.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::{Context, bail};
use roundtable_harness::testbed::control::{Control, Ready, announce};

use super::number;
use crate::floor::{self, FloorConfig};
use crate::models::{BACKLOG, MOST_BACKLOG};

/// Arguments of `roundtable floor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which floor
    name: String,
    /// Where to listen; port 0 takes a free one, which the ready line names
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// Between whom to take turns
    #[arg(long = "backend", value_name = "ADDR", required = true)]
    backends: Vec<SocketAddr>,
    /// Connections that may wait to be accepted
    #[arg(long, value_name = "N", default_value_t = BACKLOG, value_parser = number::whole::<u32>(1..=MOST_BACKLOG))]
    backlog: u32,
    /// Clients have one request on each connection: close it after the answer
    #[arg(long)]
    close: bool,
    /// Obey the harness on standard input, and end with it
    #[arg(long, required = true)]
    supervised: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(floor) = floor::find(&args.name) else {
        bail!("this roundtable knows no floor {:?}; start the run again", args.name);
    };
    (floor.available)().with_context(|| format!("{} is not available on this machine", floor.name))?;
    let listener = floor::listen(args.listen, args.backlog)
        .with_context(|| format!("cannot listen at {}; end who listens there", args.listen))?;
    let config = FloorConfig::learn(&args.backends, args.close)
        .context("cannot learn from the backends how long their answers are; start the run again")?;
    let address = listener.local_addr().context("cannot tell where it listens; start the run again")?;
    announce(&Ready::at(address)).context("cannot write the ready line to standard output; leave it open")?;
    Control::start().context("cannot start the thread that obeys the harness; raise the thread limit")?;
    (floor.serve)(listener, config).context("cannot go on relaying; start the run again")?;
    Ok(ExitCode::SUCCESS)
}
