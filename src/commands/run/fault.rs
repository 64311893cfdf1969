//! `roundtable run --fault`: the plan of a run in which faults befall backends, and what its user is told.
//!
//! Owns the defaults, which are others than those of a run without faults; everything else is as in any run.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use roundtable_harness::analysis::faults::FaultRun;
use roundtable_harness::plan::{
    self, Candidates, Competitor, Condition, Factor, Gates, Kind, Length, Plan, factor,
};
use roundtable_harness::record::environment::random_seed;
use roundtable_harness::report;
use roundtable_harness::trial::rate_search::Rate;

use super::{Args, print};

/// Backends unless told otherwise: one may fail, and the others can still be told apart.
const BACKENDS: u32 = 3;
/// Requests per second: each backend has its turn every few milliseconds, and no model is busy.
const RATE: u64 = 500;
/// Connections at most unless told otherwise: more than requests wait for a slow backend at a time, so that the client
/// does not hold back what is due.
const CONNECTIONS: u32 = 256;
/// Repetitions unless told otherwise: one proves little.
const BLOCKS: u32 = 3;

/// The tables on standard output, and the paths of what was written.
pub(super) fn print_report(run: FaultRun<'_>, dir: &Path, reports: &Path) -> anyhow::Result<()> {
    report::write_faults(run, reports)?;
    let text = report::terminal::of_faults(run, crate::console::width())
        + &crate::commands::report::place(run.stored, dir, reports);
    print(&text).with_context(|| format!("the report is whole in {}", reports.display()))
}

/// What the arguments ask for, with the defaults in place of what was not.
pub(super) fn plan(args: &Args, known: Candidates<'_>) -> anyhow::Result<Plan> {
    let backends = one(args, &factor::BACKENDS, BACKENDS)?;
    let concurrency = one(args, &factor::CONCURRENCY, CONNECTIONS)?;
    let rate = match args.factors.rate() {
        None => RATE,
        Some(Rate::Fixed(rate)) => rate,
        Some(Rate::Auto) => {
            bail!("a fault run looks for no rate; give --rate a number, {RATE} is the default")
        }
    };
    let blocks = if args.quick { 1 } else { BLOCKS };
    let base = Condition { backends, concurrency, rate: Some(rate), ..Condition::default() };
    let mut plan = args.factors.over(Plan {
        competitors: rows(&args.rows(known.models), known)?,
        base,
        axes: Vec::new(),
        length: args.length().unwrap_or(Length::Blocks(blocks)),
        precision_percent: None,
        seed: args.seed.unwrap_or_else(random_seed),
        gates: Gates {
            steal_limit_percent: args.steal_limit.unwrap_or(plan::STEAL_LIMIT_PERCENT),
            ..Gates::default()
        },
        purpose: args.purpose.clone(),
    })?;
    if let Some(faults) = &plan.base.fault {
        plan.base.requests = faults.requests_at(rate);
        // Half a second, and at least once over each connection.
        plan.base.warmup = u64::from(concurrency).max(rate / 2);
    }
    plan.check()?;
    Ok(plan)
}

/// The models and products that were asked for; there is nobody to leave a dead backend out where there is no balancer.
fn rows(asked: &str, known: Candidates<'_>) -> anyhow::Result<Vec<Competitor>> {
    let control = |label: &&str| Competitor::of(label).is_control();
    if let Some(label) = asked.split(',').map(str::trim).find(control) {
        bail!("{label} is not one of the models as they are; name models alone, as in --models threads,mio");
    }
    if let Some(floor) = known.peers.iter().find(|peer| peer.kind == Kind::Floor) {
        bail!("{floor} is no proxy and leaves no dead backend out; leave it out of --peers in a fault run");
    }
    let mut rows = plan::competitors(Some(asked), None, known)?;
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

/// What is about to be run, in a line.
pub(super) fn announcement(plan: &Plan, dir: &Path) -> Option<String> {
    let faults = plan.base.fault.as_ref()?;
    let times = match plan.length {
        Length::Blocks(1) => "once each".to_owned(),
        Length::Blocks(blocks) => format!("{blocks} times each"),
        Length::Budget { budget_ms, .. } => format!("as often as fits into {} s", budget_ms / 1000),
    };
    Some(format!(
        "carrying out {} on {} balancers, {times}, {} requests per second for {} s, seed {}, into {}",
        faults.script,
        plan.competitors.len(),
        plan.base.rate.unwrap_or_default(),
        faults.window_ms() as f64 / 1e3,
        plan.seed,
        dir.display()
    ))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use roundtable_harness::plan::{Connections, Faults, Layout};

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    const KNOWN: Candidates<'_> = Candidates { models: &["threads", "mio"], peers: &[] };

    fn parse(line: &str) -> Result<Args, String> {
        let words =
            ["run", "--fault", "kill-backend@2s,restore@4s"].into_iter().chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.args).map_err(|error| error.to_string())
    }

    fn labels(plan: &Plan) -> Vec<String> {
        plan.competitors.iter().map(ToString::to_string).collect()
    }

    fn plans_of(line: &str) -> anyhow::Result<(Plan, Faults)> {
        let plan = plan(&parse(line).unwrap(), KNOWN)?;
        let faults = plan.base.fault.clone().unwrap();
        Ok((plan, faults))
    }

    #[test]
    fn the_load_goes_on_until_three_seconds_after_the_last_event() {
        let (plan, fault) = plans_of("").unwrap();
        assert_eq!(fault.script.to_string(), "kill-backend=3@2s,restore=3@4s");
        assert_eq!((fault.window_ms(), plan.base.requests, plan.base.rate), (7000, 3500, Some(500)));
        assert_eq!((labels(&plan), plan.backends()), (vec!["threads".to_owned(), "mio".to_owned()], vec![3]));
        assert_eq!((plan.length, plan.base.connections), (Length::Blocks(3), Connections::Close));
        let (plan, fault) =
            plans_of("--models mio --backends 5 --concurrency 600 --blocks 1 --connections keepalive")
                .unwrap();
        assert_eq!(fault.script.to_string(), "kill-backend=5@2s,restore=5@4s");
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
            ("--connections close,keepalive", "give --connections one value"),
            ("--duration 1s", "leave --duration out"),
            ("--models mio+10%", "name models alone"),
            ("--models direct", "give --models a model"),
            ("--models none", "the models are threads, mio"),
        ] {
            let error = format!("{:#}", plans_of(line).unwrap_err());
            assert!(error.contains(told), "{line}: {error}");
        }
        for option in
            ["--aa mio", "--requests 9", "--warmup 9", "--precision 5", "--cross-check", "--system-calls"]
        {
            assert!(parse(option).unwrap_err().contains("cannot be used with"), "{option}");
        }
    }

    #[test]
    fn products_suffer_the_same_faults_and_a_floor_is_refused() {
        let planned =
            |peers: &[Competitor]| plan(&parse("--models mio").unwrap(), Candidates { peers, ..KNOWN });
        assert_eq!(labels(&planned(&[Competitor::peer("nginx")]).unwrap()), ["mio", "peer:nginx"]);
        let refused = planned(&[Competitor::floor("floor")]).unwrap_err().to_string();
        assert!(refused.contains("leave it out of --peers"), "{refused}");
    }

    #[test]
    fn gates_budgets_and_layouts_hold_for_a_run_with_faults_too() {
        let (plan, _) = plans_of("--layout pinned --steal-limit 9 --budget 1m --workers 2").unwrap();
        assert_eq!((plan.base.layout, plan.base.workers), (Layout::Pinned, Some(2)));
        assert_eq!(plan.gates.steal_limit_percent, 9);
        assert!(matches!(plan.length, Length::Budget { budget_ms: 60_000, .. }), "{:?}", plan.length);
        assert_eq!(plans_of("--quick").unwrap().0.length, Length::Blocks(1));
    }

    #[test]
    fn a_scenario_that_makes_no_sense_is_refused_at_the_command_line() {
        let refused = Cli::try_parse_from(["run", "--fault", "kill@2s"]).unwrap_err().to_string();
        assert!(
            refused.contains("the events are kill-backend, slow-backend, refuse, restore, surge and calm"),
            "{refused}"
        );
    }
}
