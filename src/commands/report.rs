//! `roundtable report`: makes a stored run's report again.

use std::path::PathBuf;
use std::process::ExitCode;

use roundtable_harness::analysis::faults::FaultRun;
use roundtable_harness::probes::Passes;
use roundtable_harness::record::store;
use roundtable_harness::report;

use crate::console::print;

/// Arguments of `roundtable report`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run: its name under the results folder, or a path [default: the newest run]
    run: Option<String>,
    /// Folder that holds the runs
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Folder that the report's own folder is made in
    #[arg(long, value_name = "DIR", default_value = "reports")]
    reports: PathBuf,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { run, results, reports } = args;
    let dir = store::locate(&results, run.as_deref())?;
    let stored = store::read(&dir)?;
    let written = match FaultRun::of(&stored) {
        Some(run) => report::write_faults(run, &reports)?,
        None => report::write(&stored, &Passes::read(&dir)?, &reports)?,
    };
    print(&written.iter().map(|path| format!("{}\n", path.display())).collect::<String>())?;
    Ok(ExitCode::SUCCESS)
}
