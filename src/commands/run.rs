//! `roundtable run`: the whole matrix, from the plan to the report.
//!
//! Owns the order of things and what the user is told at the ends; how trials are run is the harness's.

mod args;
mod build;
mod factors;
mod fault;
mod hosts;
mod other_runs;
mod passes;
mod peers;
mod rate;
mod resume;
mod scenario;
mod suite;

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, anyhow, bail};
use nix::unistd::{AccessFlags, access};
use roundtable_harness::analysis::faults::FaultRun;
use roundtable_harness::host::{Counters, HostError, allowed_processors, ensure_descriptors, port_warning};
use roundtable_harness::plan::schedule::{self, Schedule};
use roundtable_harness::plan::{
    Candidates, Competitor, Condition, Factor, Family, Kind, Layout, Plan, Value, factor,
};
use roundtable_harness::record::environment;
use roundtable_harness::record::store::{self, Store};
use roundtable_harness::record::{Environment, ModelInfo, Stored, Trial, left_invalid};
use roundtable_harness::report;
use roundtable_harness::testbed::Testbed;
use roundtable_harness::testbed::agent::LinkError;
use roundtable_harness::testbed::hosts::Hosts;
use roundtable_harness::trial::executor::TestbedExecutor;
use roundtable_harness::trial::progress::{Bar, Lines};
use roundtable_harness::trial::rate_search::{Rate, RateError};
use roundtable_harness::trial::runner::{self, Ending, Observer};

use self::other_runs::{OtherRuns, Watched};
use self::scenario::Asked;
use super::signals;
use super::usage::OfUsage;
use crate::console::{print, tell, width};
use crate::models::{MODELS, Unavailable};

pub(crate) use args::Args;

/// Where runs are kept unless told otherwise.
const RESULTS: &str = "results";
/// What a shell reports of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match run_or_resume(args) {
        Err(error) if matches!(error.downcast_ref(), Some(LinkError::Interrupted)) => {
            tell(format_args!(
                "interrupted while hosts were brought up: nothing was measured there; begin again"
            ));
            Ok(ExitCode::from(INTERRUPTED))
        }
        done => done,
    }
}

fn run_or_resume(args: &Args) -> anyhow::Result<ExitCode> {
    let interrupt = interrupt_on_signal()?;
    if let Some(run) = &args.resume {
        return match suite::resume(args, &interrupt)? {
            Some(code) => Ok(code),
            None => resume_and_measure(args, run.as_deref(), &interrupt),
        };
    }
    // A mistake in the file is told before anything else is done.
    hosts::asked(args).usage()?;
    match scenario::asked(args).usage()? {
        Asked::One(only) => begin_and_measure(&only, &interrupt),
        Asked::Several { dir, runs } => suite::begin(&dir, runs, args, &interrupt),
    }
}

fn resume_and_measure(
    args: &Args,
    run: Option<&str>,
    interrupt: &Arc<AtomicBool>,
) -> anyhow::Result<ExitCode> {
    let (store, trials, testbed) = resume::resume(args, run, interrupt)?;
    measure(args, store, &trials, None, &testbed)
}

fn begin_and_measure(args: &Args, interrupt: &Arc<AtomicBool>) -> anyhow::Result<ExitCode> {
    match begin(args, interrupt)? {
        Some((store, others, testbed)) => measure(args, store, &[], others, &testbed),
        None => Ok(ExitCode::from(INTERRUPTED)),
    }
}

/// Measures what is left of a run of which `trials` are there, and reports it.
fn measure(
    args: &Args,
    mut store: Store,
    trials: &[Trial],
    others: Option<OtherRuns>,
    testbed: &Testbed,
) -> anyhow::Result<ExitCode> {
    let plan = store.environment().plan.clone();
    let mut schedule = Schedule::new(&plan, trials);
    let mut executor = TestbedExecutor::new(testbed.clone(), &plan);
    let ending = {
        let mut observer = Watched::new(observer(), others);
        runner::run(&mut schedule, &mut executor, &mut store, &mut observer)?
    };
    drop(executor);

    let dir = store.dir().to_path_buf();
    drop(store);
    let stored = store::read(&dir)?;
    if ending == Ending::Interrupted {
        let kept = stored.trials.len();
        tell(format_args!(
            "interrupted: {kept} trials are kept; go on with `roundtable run --resume {}`",
            dir.display()
        ));
        return Ok(ExitCode::from(INTERRUPTED));
    }
    let kept = || kept(stored.trials.len(), &dir);
    let left_out = passes::run(args, &plan, &dir, testbed).with_context(kept)?;
    print_report(&stored, &dir, &args.reports).with_context(kept)?;
    if let Some(left_out) = left_out {
        tell(format_args!("{left_out}"));
    }
    Ok(tell_invalid(&stored))
}

/// The tables on standard output, and the paths of what was written.
fn print_report(stored: &Stored, dir: &Path, reports: &Path) -> anyhow::Result<()> {
    if let Some(run) = FaultRun::of(stored) {
        return fault::print_report(run, dir, reports);
    }
    let beside = super::report::beside(dir)?;
    report::write(stored, &beside, reports)?;
    print(&(report::terminal::of_run(stored, width()) + &super::report::place(stored, dir, reports)))
        .with_context(|| format!("the report is whole in {}", reports.display()))
}

/// What is left when a report could not be made, and how to have one.
fn kept(trials: usize, dir: &Path) -> String {
    format!("{trials} trials are kept; `roundtable report {}` makes their report", dir.display())
}

/// Says which balancers `--workers` does not apply to.
fn tell_of_workers(plan: &Plan) {
    let numbers = plan.values(&factor::WORKERS).into_iter().filter(|value| matches!(value, Value::Number(_)));
    let workers = numbers.map(|value| value.to_string()).collect::<Vec<_>>().join(",");
    if workers.is_empty() {
        return;
    }
    let fixed = |row: &Competitor| match row.kind {
        Kind::Direct => None,
        Kind::Model => super::models::find(&row.name)?.workers.fixed(),
        Kind::Peer | Kind::Floor => peers::fixed_workers(row),
    };
    let originals = plan.competitors.iter().filter(|row| !row.is_control());
    let fixed: Vec<String> =
        originals.filter_map(|row| Some(format!("{} ({})", row.name, fixed(row)?))).collect();
    if !fixed.is_empty() {
        tell(format_args!(
            "warning: --workers {workers} does not apply to {}: measured as they are",
            fixed.join(" and ")
        ));
    }
}

/// The row without a balancer.
fn direct() -> ModelInfo {
    ModelInfo {
        competitor: Competitor::direct(),
        family: Family::None,
        summary: "no balancer: the load generator takes turns between the backends itself".to_owned(),
        unit_of_work: "none".to_owned(),
        workers: None,
        manifest: [].into(),
    }
}

fn names() -> Vec<&'static str> {
    MODELS.iter().map(|model| model.name).collect()
}

/// What `args` ask for, whatever of it this machine has.
fn planned(args: &Args) -> anyhow::Result<Plan> {
    let peers = peers::asked(args.peers.as_deref()).usage()?;
    let known = Candidates { models: &names(), peers: &peers };
    let is_of_faults = args.factors.of(&factor::FAULT).is_some();
    if is_of_faults { fault::plan(args, known).usage() } else { args.plan(known).usage() }
}

/// A new run, as the arguments ask, and where it is measured; `None` when the user stopped the search for its rate.
fn begin(
    args: &Args,
    interrupt: &Arc<AtomicBool>,
) -> anyhow::Result<Option<(Store, Option<OtherRuns>, Testbed)>> {
    let mut plan = planned(args)?;
    leave_out_unavailable(&mut plan)?;
    if args.scenario.is_some() {
        scenario::fit(&mut plan)?;
    }
    let hosts = hosts::asked(args).usage()?;
    if hosts.is_some() {
        hosts::check(args).usage()?;
    } else {
        check_machine(&plan)?;
    }
    check_reports(&args.reports)?;
    let testbed = hosts::testbed(hosts.as_ref(), &plan, interrupt)?;
    let mut environment = describe(plan, &testbed, hosts.as_ref())?;
    let dir = args.out.clone().unwrap_or_else(|| Path::new(RESULTS).join(environment::folder_name()));
    let mut others = None;
    if args.factors.rate() == Some(Rate::Auto) || !args.shares_percent.is_empty() {
        store::check_free(&dir)?;
        others = Some(OtherRuns::announce(|line| tell(format_args!("warning: {line}"))));
        let found = match with_rates(args, environment.plan.clone(), &testbed) {
            Err(error) if matches!(error.downcast_ref(), Some(RateError::Interrupted)) => {
                tell(format_args!(
                    "interrupted while looking for rates: nothing is kept; begin again, or give --rate a number"
                ));
                return Ok(None);
            }
            found => found?,
        };
        (environment.plan, environment.rate_found) = (found.0, Some(found.1));
    }
    let store = Store::create(&dir, &environment)?;
    if let Some(warning) = port_warning(&environment.host, environment.plan.connections_a_trial()) {
        tell(format_args!("warning: {warning}"));
    }
    announce(&environment.plan, &dir);
    tell_of_workers(&environment.plan);
    Ok(Some((store, others, testbed)))
}

/// `plan` at the rates that `args` leave to be found, and how they were come by.
fn with_rates(args: &Args, plan: Plan, testbed: &Testbed) -> anyhow::Result<(Plan, String)> {
    if args.shares_percent.is_empty() {
        let found = rate::find(&plan, testbed)?;
        return Ok((args.at_rate(plan, found.rate).usage()?, found.to_string()));
    }
    let found = rate::shares(&plan, &args.shares_percent, testbed)?;
    Ok((args.at_rates(plan, &found.rates).usage()?, found.to_string()))
}

/// The models of a plan that this machine lacks something for, and what.
fn unavailable(plan: &Plan) -> Vec<(&'static str, Unavailable)> {
    MODELS
        .iter()
        .filter(|model| plan.competitors.iter().any(|row| row.kind == Kind::Model && row.name == model.name))
        .filter_map(|model| Some((model.name, (model.available)().err()?)))
        .collect()
}

/// Takes them out of a plan, and says so. If the A/A pair is one of them, the first model that is left has it.
fn leave_out_unavailable(plan: &mut Plan) -> anyhow::Result<()> {
    let unavailable = unavailable(plan);
    if unavailable.is_empty() {
        return Ok(());
    }
    for (name, reason) in &unavailable {
        tell(format_args!("{name} is left out: {reason}"));
    }
    let had_pair = plan.competitors.iter().any(|row| row.replicate);
    plan.competitors
        .retain(|row| row.kind != Kind::Model || unavailable.iter().all(|(name, _)| row.name != *name));
    let Some(first) = plan.competitors.iter().find(|row| !row.is_direct()).cloned() else {
        bail!("no model of this run is available on this machine; name another one with --models");
    };
    if had_pair && !plan.competitors.iter().any(|row| row.replicate) {
        plan.competitors.push(first.again());
    }
    Ok(())
}

fn describe(plan: Plan, testbed: &Testbed, hosts: Option<&Hosts>) -> anyhow::Result<Environment> {
    let measured = plan.competitors.iter().filter_map(|row| described(row, &plan.base)).collect();
    let mut of = environment::describe(std::env::args().collect(), plan, measured, build::build());
    of.hosts = hosts::described(testbed, hosts)?;
    if let Some(balancer) = of.hosts.as_ref().and_then(|hosts| hosts.find(&hosts.balancer)) {
        of.host = balancer.host.clone();
    }
    Ok(of)
}

/// A competitor's balancer under `condition`, with what is peculiar to the competitor.
fn described(row: &Competitor, condition: &Condition) -> Option<ModelInfo> {
    let mut info = match row.kind {
        Kind::Direct => direct(),
        Kind::Model => super::models::info(super::models::find(&row.name)?, condition.workers),
        Kind::Peer | Kind::Floor => peers::info(row, condition)?,
    };
    info.competitor = row.clone();
    if row.slowdown_percent > 0 {
        info.summary =
            format!("{}, with {} % more CPU work for each request", info.summary, row.slowdown_percent);
    }
    if row.replicate {
        info.summary = format!("{}, measured once more: what differs is noise", info.summary);
    }
    Some(info)
}

/// Everything of this machine that would fail only after minutes of measuring, or spoil them.
fn check_machine(plan: &Plan) -> anyhow::Result<()> {
    Counters::now()?;
    if plan.conditions().iter().any(|condition| condition.layout == Layout::Pinned)
        && allowed_processors().len() < 2
    {
        bail!(HostError::TooFewProcessors(allowed_processors().len()));
    }
    ensure_descriptors(plan.descriptors())?;
    Ok(())
}

fn check_reports(reports: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(reports)
        .and_then(|()| access(reports, AccessFlags::W_OK).map_err(std::io::Error::from))
        .map_err(|error| {
            let reports = reports.display();
            anyhow!("cannot write to {reports} ({error}); give --reports a folder that you may write to")
        })
}

fn announce(plan: &Plan, dir: &Path) {
    if let Some(line) = fault::announcement(plan, dir) {
        tell(format_args!("{line}"));
        return warn_of_debug_build();
    }
    let listed = |factor: &Factor| -> String {
        plan.values(factor).iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    let varied: Vec<_> =
        plan.axes.iter().map(|axis| format!("{} {}", axis.factor.title, listed(axis.factor))).collect();
    let varied = if varied.is_empty() { String::new() } else { format!(" ({})", varied.join(" x ")) };
    let at = match plan.values(&factor::RATE).iter().any(|rate| matches!(rate, Value::Number(_))) {
        true => format!(" at {} per second (open loop)", listed(&factor::RATE)),
        false => String::new(),
    };
    let within = match plan.conditions().iter().any(|condition| condition.duration_ms.is_some()) {
        true => format!(" within {}", listed(&factor::DURATION)),
        false => String::new(),
    };
    tell(format_args!(
        "measuring {} rows under {} conditions{varied}, {} requests a trial{within}{at}, seed {}, into {}",
        plan.competitors.len(),
        plan.conditions().len(),
        listed(&factor::REQUESTS),
        plan.seed,
        dir.display()
    ));
    warn_of_debug_build();
}

fn warn_of_debug_build() {
    if cfg!(debug_assertions) {
        tell(format_args!("warning: this is a debug build; measure with `cargo run --release -- run`"));
    }
}

fn observer() -> Box<dyn Observer> {
    let stderr = std::io::stderr();
    let can_move = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    if stderr.is_terminal() && can_move { Box::new(Bar::new()) } else { Box::new(Lines::new(stderr)) }
}

/// The first signal ends the run in order, a second one at once.
fn interrupt_on_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let interrupt = Arc::new(AtomicBool::new(false));
    for signal in signals::that_end() {
        signal_hook::flag::register_conditional_shutdown(signal, INTERRUPTED.into(), Arc::clone(&interrupt))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&interrupt)))
            .map_err(|error| anyhow!("cannot handle signals ({error}); raise the limit on open files"))?;
    }
    Ok(interrupt)
}

/// A run that leaves holes has failed, though its tables are there.
fn tell_invalid(stored: &Stored) -> ExitCode {
    let invalid = left_invalid(&stored.trials);
    if invalid.is_empty() {
        return ExitCode::SUCCESS;
    }
    let slower = if stored.environment.plan.base.rate.is_some() { ", or give a lower --rate," } else { "" };
    tell(format_args!(
        "roundtable: {} cells stayed invalid after {} attempts; the reasons are in the report: mend the cause{slower} and \
         begin a new run",
        invalid.len(),
        schedule::MOST_ATTEMPTS
    ));
    for trial in invalid {
        tell(format_args!("  {}", runner::place(trial)));
    }
    ExitCode::FAILURE
}
