//! `roundtable agent`: a host's part of `run --hosts`, which launches this on each host.

use std::process::ExitCode;

use roundtable_harness::testbed::agent;
use roundtable_harness::testbed::launcher::Program;

use super::number;

/// More than any process of a run can use.
const MOST_OPEN_FILES: u64 = 1 << 20;

/// Arguments of `roundtable agent`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Open files that each process may need; the limit is raised to so many where it is lower
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = number::whole::<u64>(1..=MOST_OPEN_FILES))]
    open_files: u64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    agent::serve(&Program::running(), args.open_files)?;
    Ok(ExitCode::SUCCESS)
}
