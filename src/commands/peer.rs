//! `roundtable peer`: a product under the harness, which starts this and nobody else does.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use roundtable_harness::testbed::peers::{self, supervise};

use super::number;
use crate::models::{BACKLOG, MOST_BACKLOG};

/// Arguments of `roundtable peer`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The product's name in the table of peers
    name: String,
    /// At which address to listen; the port is a free one, which the ready line names
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// Between whom to take turns
    #[arg(long = "backend", value_name = "ADDR", required = true)]
    backends: Vec<SocketAddr>,
    /// Workers, where their number can be chosen
    #[arg(long, value_name = "N", value_parser = number::whole::<u32>(1..=1024))]
    workers: Option<u32>,
    /// Connections that may wait to be accepted
    #[arg(long, value_name = "N", default_value_t = BACKLOG, value_parser = number::whole::<u32>(1..=MOST_BACKLOG))]
    backlog: u32,
    /// Requests that will be under way at any time
    #[arg(long, value_name = "N", value_parser = number::whole::<u32>(1..=20_000))]
    concurrency: u32,
    /// Backends will fail: look after them
    #[arg(long)]
    backends_fail: bool,
    /// Obey the harness on standard input, and end with it
    #[arg(long, required = true)]
    supervised: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let peer = peers::find(&args.name)
        .with_context(|| format!("this roundtable knows no product {:?}; start the run again", args.name))?;
    supervise::serve(
        peer,
        &supervise::Asked {
            address: args.listen.ip(),
            backends: args.backends,
            workers: args.workers,
            concurrency: args.concurrency,
            backlog: args.backlog,
            backends_fail: args.backends_fail,
        },
    )?;
    Ok(ExitCode::SUCCESS)
}
