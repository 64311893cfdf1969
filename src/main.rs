//! roundtable's command line: which subcommand, nothing else.

mod checks;
mod clock;
mod commands;
mod manager;
mod models;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use roundtable_harness::host::confine_to;

/// One round-robin HTTP load balancer under every concurrency model, measured side by side.
#[derive(Debug, Parser)]
#[command(name = "roundtable", version, about, propagate_version = true)]
struct Cli {
    /// Processors that this process may use: the harness's way to lay out its roles
    #[arg(long, global = true, hide = true, value_delimiter = ',')]
    processors: Vec<usize>,
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Before any thread is started: threads inherit it.
    let confined = if cli.processors.is_empty() { Ok(()) } else { confine_to(&cli.processors) };
    match confined.map_err(anyhow::Error::from).and_then(|()| commands::run(cli.command)) {
        Ok(code) => code,
        Err(error) => {
            // `eprintln!` would panic when nobody reads it any more.
            drop(writeln!(std::io::stderr(), "roundtable: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
