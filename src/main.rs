//! roundtable's command line: which subcommand, nothing else.

mod commands;
mod models;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

/// One round-robin HTTP load balancer under every concurrency model, measured side by side.
#[derive(Debug, Parser)]
#[command(name = "roundtable", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    match commands::run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            // Standard error may be closed; the exit code tells all the same.
            let _ = writeln!(std::io::stderr(), "roundtable: {error:#}");
            ExitCode::FAILURE
        }
    }
}
