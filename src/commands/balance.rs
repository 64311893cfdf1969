//! `roundtable balance`.

use std::process::ExitCode;

/// Arguments of `roundtable balance`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not here yet")
}
