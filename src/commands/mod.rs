//! The subcommands: one file each, with its arguments and what it does with them.

mod address;
mod agent;
mod backend;
mod balance;
mod compare;
mod floor;
mod load;
mod models;
mod number;
mod peer;
mod report;
mod run;
mod scenarios;
mod signals;
mod usage;

use std::process::ExitCode;

pub(crate) use number::taken_as_values;
pub(crate) use usage::is_usage;

use clap::Subcommand;

/// What roundtable can be asked to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure the whole matrix: every model, backend count and concurrency
    Run(Box<run::Args>),
    /// Make tables and charts again from a run's stored trials
    Report(report::Args),
    /// Compare threaded with async models in a stored run, or two runs with each other
    Compare(compare::Args),
    /// Run one balancer: a reverse proxy that takes turns between backends
    Balance(Box<balance::Args>),
    /// Run one origin server
    Backend(backend::Args),
    /// Drive load at a URL and verify every response, in the manner of `ab`
    Load(load::Args),
    /// List the concurrency models, each with its fairness manifest
    Models(models::Args),
    /// List the experiments that `run --scenario` knows, with what each asks
    Scenarios(scenarios::Args),
    /// A host's part of `run --hosts`, which launches this on each host
    Agent(agent::Args),
    /// Stand for a product before the harness
    #[command(hide = true)]
    Peer(peer::Args),
    /// Relay without parsing anything
    #[command(hide = true)]
    Floor(floor::Args),
}

/// Runs `command` to its end.
pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Agent(args) => agent::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Balance(args) => balance::run(&args),
        Command::Backend(args) => backend::run(args),
        Command::Load(args) => load::run(args),
        Command::Models(args) => models::run(args),
        Command::Scenarios(args) => scenarios::run(&args),
        Command::Peer(args) => peer::run(args),
        Command::Floor(args) => floor::run(&args),
    }
}
