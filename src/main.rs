//! roundtable's command line: which subcommand, nothing else.

mod checks;
mod clock;
mod commands;
mod console;
mod floor;
mod manager;
mod models;
mod outages;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};
use roundtable_harness::host::confine_to;

/// Exit code of a command that must be written otherwise, as the parser of the command line has it.
const USAGE: u8 = 2;

/// One round-robin HTTP load balancer under every concurrency model, measured side by side.
#[derive(Debug, Parser)]
#[command(
    name = "roundtable",
    version,
    about,
    propagate_version = true,
    after_help = "Exit codes: 0 it was done, 1 it was not, or not whole, 2 the command line or a configuration file asks for \
                  what cannot be, 130 it was interrupted. `compare` has its own: see its --help."
)]
struct Cli {
    /// Processors that this process may use: the harness's way to lay out its roles
    #[arg(long, global = true, hide = true, value_delimiter = ',')]
    processors: Vec<usize>,
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    let matches = commands::taken_as_values(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    // Before any thread is started: threads inherit it.
    let confined = if cli.processors.is_empty() { Ok(()) } else { confine_to(&cli.processors) };
    match confined.map_err(anyhow::Error::from).and_then(|()| commands::run(cli.command)) {
        Ok(code) => code,
        Err(error) => {
            // `eprintln!` would panic when nobody reads it any more.
            drop(writeln!(std::io::stderr(), "roundtable: {error:#}"));
            if commands::is_usage(&error) { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}
