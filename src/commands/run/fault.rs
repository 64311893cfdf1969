//! `roundtable run --fault`: one scenario for every model, from the plan to the report.
//!
//! Owns what the arguments mean here and what the user is told at the ends; how a scenario is played is the harness's.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail, ensure};
use roundtable_harness::plan::{self, Competitor, Condition, Factor, Gates, Length, Plan, factor};
use roundtable_harness::record::environment::{self, random_seed};
use roundtable_harness::report;
use roundtable_harness::trial::faults::data::{FaultEnvironment, FaultPlan, StoredFaults};
use roundtable_harness::trial::faults::run::{self, left_invalid};
use roundtable_harness::trial::faults::scenario::Sketch;
use roundtable_harness::trial::faults::stage::FaultExecutor;
use roundtable_harness::trial::faults::store::{self, FaultStore};
use roundtable_harness::trial::rate_search::Rate;
use roundtable_harness::trial::runner::Ending;

use super::other_runs::OtherRuns;
use super::{
    Args, INTERRUPTED, RESULTS, check_machine, describe, kept, models, names, print, tell, tell_of_workers,
};
use crate::commands::usage::OfUsage;

/// Backends unless told otherwise: one may fail, and the others can still be told apart.
const BACKENDS: u32 = 3;
/// Requests per second: each backend has its turn every few milliseconds, and no model is busy.
const RATE: u64 = 500;
/// Connections at most unless told otherwise: more than requests wait for a slow backend at a time, so that the client
/// does not hold back what is due.
const CONNECTIONS: u32 = 256;
/// Repetitions unless told otherwise: one proves little.
const BLOCKS: u32 = 3;
/// How long the load goes on after the last event: a balancer tries a backend again within a second.
const AFTER_MS: u64 = 3000;
/// What is late: two hundred times what an answer takes, and no pause of a busy machine that is common.
const LATE_MS: u64 = 100;
/// How long a client waits.
const TIMEOUT_MS: u64 = 5000;
/// Length of an interval of the timeline.
const BUCKET_MS: u64 = 100;

pub(super) fn run(args: &Args, sketch: &Sketch, interrupt: &Arc<AtomicBool>) -> anyhow::Result<ExitCode> {
    let known = models();
    let (plan, fault) = plans(args, sketch, &names(&known)).usage()?;
    check_machine(&plan, &args.reports)?;
    let environment = FaultEnvironment { environment: describe(plan.clone(), known), fault: fault.clone() };
    let dir = args.out.clone().unwrap_or_else(|| Path::new(RESULTS).join(environment::folder_name()));
    let mut store = FaultStore::create(&dir, &environment)?;
    announce(&plan, &fault, &dir);
    tell_of_workers(&plan);
    let others = OtherRuns::announce(|line| tell(format_args!("warning: {line}")));

    let mut executor = FaultExecutor::new(super::testbed(interrupt), &plan, &fault);
    let ending = run::run(&plan, &mut executor, &mut store, &mut |line| {
        others.look(|line| tell(format_args!("warning: {line}")));
        tell(format_args!("{line}"));
    })?;
    drop(store);
    let stored = store::read(&dir)?;
    if ending == Ending::Interrupted {
        tell(format_args!(
            "interrupted: {} trials are kept; `roundtable report {}` shows them",
            stored.trials.len(),
            dir.display()
        ));
        return Ok(ExitCode::from(INTERRUPTED));
    }
    print_report(&stored, &dir, &args.reports).with_context(|| kept(stored.trials.len(), &dir))?;
    Ok(tell_invalid(&stored))
}

fn print_report(stored: &StoredFaults, dir: &Path, reports: &Path) -> anyhow::Result<()> {
    let written: Vec<PathBuf> = report::write_faults(stored, reports)?;
    let mut text = format!("{}\nobserved: {}\n", report::terminal::of_faults(stored), dir.display());
    text.extend(written.iter().map(|path| format!("written:  {}\n", path.display())));
    print(&text).with_context(|| format!("the report is whole in {}", reports.display()))
}

/// What the arguments ask for, with the defaults in place of what was not. `known` are the models' names.
fn plans(args: &Args, sketch: &Sketch, known: &[&str]) -> anyhow::Result<(Plan, FaultPlan)> {
    let backends = one(args, &factor::BACKENDS, BACKENDS)?;
    let fault = FaultPlan {
        scenario: sketch.over(backends)?,
        after_ms: AFTER_MS,
        late_ms: LATE_MS,
        timeout_ms: TIMEOUT_MS,
        bucket_ms: BUCKET_MS,
    };
    let concurrency = one(args, &factor::CONCURRENCY, CONNECTIONS)?;
    let rate = match args.factors.rate() {
        None => RATE,
        Some(Rate::Fixed(rate)) => rate,
        Some(Rate::Auto) => {
            bail!("a fault run looks for no rate; give --rate a number, {RATE} is the default")
        }
    };
    let base = Condition {
        backends,
        concurrency,
        rate: Some(rate),
        requests: rate.saturating_mul(fault.window_ms()) / 1000,
        // Half a second, and at least once over each connection.
        warmup: u64::from(concurrency).max(rate / 2),
        ..Condition::default()
    };
    let plan = args.factors.over(Plan {
        competitors: rows(args.models.as_deref(), known)?,
        base,
        axes: Vec::new(),
        length: Length::Blocks(args.blocks.unwrap_or(BLOCKS)),
        precision_percent: None,
        seed: args.seed.unwrap_or_else(random_seed),
        gates: Gates { steal_limit_percent: 100 },
    })?;
    plan.check()?;
    Ok((plan, fault))
}

/// The models that were asked for; there is nobody to leave a dead backend out where there is no balancer.
fn rows(asked: Option<&str>, known: &[&str]) -> anyhow::Result<Vec<Competitor>> {
    let control = |label: &&str| Competitor::of(label).is_control();
    if let Some(label) = asked.into_iter().flat_map(|list| list.split(',')).map(str::trim).find(control) {
        bail!("{label} is not one of the models as they are; name models alone, as in --models threads,mio");
    }
    let mut rows = plan::competitors(asked, None, known)?;
    rows.retain(|competitor| !competitor.is_direct() && !competitor.is_control());
    ensure!(!rows.is_empty(), "without a balancer nobody leaves a dead backend out; give --models a model");
    Ok(rows)
}

/// The one number of a list.
fn one(args: &Args, factor: &'static Factor, default: u32) -> anyhow::Result<u32> {
    let name = factor.name;
    match args.factors.of(factor) {
        None => Ok(default),
        Some([only]) => {
            factor.check(only)?;
            only.to_string()
                .parse()
                .with_context(|| format!("give --{name} a number, as in --{name} {default}"))
        }
        Some(_) => {
            bail!("a fault run has one load for all; give --{name} one number, as in --{name} {default}")
        }
    }
}

fn announce(plan: &Plan, fault: &FaultPlan, dir: &Path) {
    let blocks = match plan.length {
        Length::Blocks(blocks) => blocks,
        Length::Budget { minimum_blocks, .. } => minimum_blocks,
    };
    tell(format_args!(
        "playing {} to {} models, {blocks} times each, {} requests per second for {} s, seed {}, into {}",
        fault.scenario,
        plan.competitors.len(),
        plan.base.rate.unwrap_or_default(),
        fault.window_ms() as f64 / 1e3,
        plan.seed,
        dir.display()
    ));
    if cfg!(debug_assertions) {
        tell(format_args!("warning: this is a debug build; measure with `cargo run --release -- run`"));
    }
}

/// A run that leaves holes has failed, though its table is there.
fn tell_invalid(stored: &StoredFaults) -> ExitCode {
    let invalid = left_invalid(&stored.trials);
    if invalid.is_empty() {
        return ExitCode::SUCCESS;
    }
    tell(format_args!(
        "roundtable: {} trials stayed invalid; the reasons are in the report: mend the cause and run again",
        invalid.len()
    ));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use roundtable_harness::plan::Connections;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    const KNOWN: [&str; 2] = ["threads", "mio"];

    fn parse(line: &str) -> Result<Args, String> {
        let words =
            ["run", "--fault", "kill-backend@2s,restore@4s"].into_iter().chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.args).map_err(|error| error.to_string())
    }

    fn labels(plan: &Plan) -> Vec<String> {
        plan.competitors.iter().map(ToString::to_string).collect()
    }

    fn plans_of(line: &str) -> anyhow::Result<(Plan, FaultPlan)> {
        let args = parse(line).unwrap();
        let sketch = args.fault.clone().unwrap();
        plans(&args, &sketch, &KNOWN)
    }

    #[test]
    fn the_load_goes_on_until_three_seconds_after_the_last_event() {
        let (plan, fault) = plans_of("").unwrap();
        assert_eq!(fault.scenario.to_string(), "kill-backend=3@2s,restore=3@4s");
        assert_eq!((fault.window_ms(), plan.base.requests, plan.base.rate), (7000, 3500, Some(500)));
        assert_eq!((labels(&plan), plan.backends()), (vec!["threads".to_owned(), "mio".to_owned()], vec![3]));
        assert_eq!((plan.length, plan.base.connections), (Length::Blocks(3), Connections::Close));
        let (plan, fault) =
            plans_of("--models mio --backends 5 --concurrency 600 --blocks 1 --connections keepalive")
                .unwrap();
        assert_eq!(fault.scenario.to_string(), "kill-backend=5@2s,restore=5@4s");
        assert_eq!(
            (labels(&plan), plan.base.warmup, plan.length),
            (vec!["mio".to_owned()], 600, Length::Blocks(1))
        );
    }

    #[test]
    fn what_has_no_place_in_a_fault_run_is_refused_with_its_remedy() {
        for (line, told) in [
            ("--backends 1-5", "give --backends one number"),
            ("--concurrency 2,5", "give --concurrency one number"),
            ("--models mio+10%", "name models alone"),
            ("--models direct", "give --models a model"),
            ("--models none", "the models are threads, mio"),
        ] {
            let error = format!("{:#}", plans_of(line).unwrap_err());
            assert!(error.contains(told), "{line}: {error}");
        }
        for option in [
            "--aa mio",
            "--requests 9",
            "--warmup 9",
            "--layout pinned",
            "--steal-limit 9",
            "--budget 1m",
            "--precision 5",
            "--resume",
            "--quick",
            "--cross-check",
            "--system-calls",
        ] {
            assert!(parse(option).unwrap_err().contains("cannot be used with"), "{option}");
        }
    }

    #[test]
    fn a_scenario_that_makes_no_sense_is_refused_at_the_command_line() {
        let refused = Cli::try_parse_from(["run", "--fault", "kill@2s"]).unwrap_err().to_string();
        assert!(
            refused.contains("the events are kill-backend, slow-backend, refuse and restore"),
            "{refused}"
        );
    }
}
