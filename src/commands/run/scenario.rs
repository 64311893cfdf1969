//! `run --scenario`: the runs of an experiment, each as the arguments that ask for it.
//!
//! Owns what a scenario's file puts in the place of arguments that were not given, how a budget is shared between several
//! runs, and what this machine cannot hold of what a scenario sweeps. Rule: whatever the command line names goes before the
//! file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use roundtable_harness::host::ensure_descriptors;
use roundtable_harness::plan::answer::{Answer, Purpose};
use roundtable_harness::plan::scenario::{self, BUILT_IN, Rates, Scenario, ScenarioError, ScenarioRun};
use roundtable_harness::plan::{Condition, Plan, Value, factor};
use roundtable_harness::record::environment;
use roundtable_harness::record::store::suite::SuiteRun;

use super::{Args, RESULTS};
use crate::console::tell;

/// Stands for every scenario that roundtable comes with.
const ALL: &str = "all";

/// The scenarios that `asked` means.
pub(crate) fn asked_for(asked: &str) -> Result<Vec<Scenario>, ScenarioError> {
    if asked == ALL {
        return BUILT_IN.iter().map(|(name, text)| scenario::parse(name, text)).collect();
    }
    if let Some(known) = scenario::built_in(asked)? {
        return Ok(vec![known]);
    }
    let path = Path::new(asked);
    if path.extension().is_some() || path.exists() {
        return Ok(vec![scenario::read(path)?]);
    }
    let known: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    Err(ScenarioError::Unknown { name: asked.to_owned(), known: known.join(", ") })
}

/// What `args` ask for, each run as the arguments that ask for it.
pub(super) enum Asked {
    /// One run: `args` themselves where no scenario is asked for.
    One(Box<Args>),
    /// A suite in the folder `dir`.
    Several { dir: PathBuf, runs: Vec<(SuiteRun, Args)> },
}

/// What `args` ask for.
pub(super) fn asked(args: &Args) -> Result<Asked, ScenarioError> {
    let Some(asked) = &args.scenario else {
        let mut args = args.clone();
        if args.slo.is_some() && args.factors.of(&factor::RATE).is_none() {
            return Err(ScenarioError::NoRates);
        }
        args.purpose = args.slo.map(|promise| Purpose {
            scenario: None,
            run: None,
            question: format!("Up to which rate does each row keep {promise}?"),
            answers: vec![Answer::Promise { promise }],
            figures: Vec::new(),
        });
        return Ok(Asked::One(Box::new(args)));
    };
    let scenarios = asked_for(asked)?;
    let all: u64 = scenarios.iter().map(Scenario::budget_ms).sum();
    let several = scenarios.iter().map(|scenario| scenario.runs.len()).sum::<usize>() > 1;
    let name = if let [one] = &scenarios[..] { &one.name } else { asked };
    let dir = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(RESULTS).join(format!("{}-{name}", environment::folder_name())));
    let of = |scenario: &Scenario, run: &ScenarioRun| {
        let folder = match &run.name {
            Some(run) => format!("{}-{run}", scenario.name),
            None => scenario.name.clone(),
        };
        let mut of = with(args, scenario, run);
        of.budget = match args.budget {
            Some(budget) => Some(budget.mul_f64(run.budget_ms as f64 / all.max(1) as f64).max(SHORTEST)),
            None if args.quick || args.blocks.is_some() => None,
            None => Some(Duration::from_millis(run.budget_ms)),
        };
        of.out = Some(if several { dir.join(&folder) } else { dir.clone() });
        (SuiteRun { folder, scenario: scenario.name.clone(), question: scenario.question.clone() }, of)
    };
    let each = scenarios.iter().flat_map(|scenario| scenario.runs.iter().map(move |run| (scenario, run)));
    let mut runs: Vec<_> = each.map(|(scenario, run)| of(scenario, run)).collect();
    if let [(_, _)] = &runs[..]
        && let Some((_, only)) = runs.pop()
    {
        return Ok(Asked::One(Box::new(only)));
    }
    Ok(Asked::Several { dir, runs })
}

/// The shortest budget of a run.
const SHORTEST: Duration = Duration::from_millis(roundtable_harness::plan::LEAST_BUDGET_MS);

/// `args` with what `run` says wherever they say nothing.
fn with(args: &Args, scenario: &Scenario, run: &ScenarioRun) -> Args {
    let mut args = args.clone();
    for (factor, values) in run.factors(args.quick) {
        args.factors.or(factor, values);
    }
    let has_cache = args
        .factors
        .of(&factor::CACHE)
        .is_some_and(|sizes| sizes.iter().any(|size| *size != factor::CACHE.get(&Condition::default())));
    if has_cache && args.peers.take().is_some() {
        tell(format_args!(
            "products and floors are left out of {}: models alone are measured with a cache",
            scenario.name
        ));
    }
    match &run.rates {
        Some(Rates::Auto) => args.factors.or_rate_to_be_found(),
        Some(Rates::OfTheSlowest(shares)) if args.factors.of(&factor::RATE).is_none() => {
            args.shares_percent.clone_from(shares);
        }
        _ => {}
    }
    args.models = args.models.or_else(|| run.models.clone());
    args.steal_limit = args.steal_limit.or(run.gates.steal_limit_percent);
    args.overload_allowed = run.gates.overload_allowed;
    let mut purpose = scenario.purpose(run);
    if let Some(asked) = args.slo {
        for answer in &mut purpose.answers {
            if let Answer::Promise { promise } = answer {
                *promise = asked;
            }
        }
    }
    args.purpose = Some(purpose);
    args
}

/// Leaves out of `plan` the concurrencies that a scenario sweeps and this machine has too few open files for, and says so.
pub(super) fn fit(plan: &mut Plan) -> anyhow::Result<()> {
    let mut left_out = Vec::new();
    while let Err(error) = ensure_descriptors(plan.descriptors()) {
        let mut values = plan.values(&factor::CONCURRENCY);
        let Some(most) = values.iter().max().cloned().filter(|_| values.len() > 1) else {
            return Err(error.into());
        };
        values.retain(|value| *value != most);
        *plan = plan.clone().over(&factor::CONCURRENCY, &values)?;
        left_out.push((most, error));
    }
    let (Some((_, error)), values) = (left_out.last(), &left_out) else { return Ok(()) };
    let values: Vec<_> = values.iter().map(|(value, _): &(Value, _)| value.to_string()).collect();
    tell(format_args!("concurrency {} is left out: {error}", values.join(" and ")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use roundtable_harness::plan::Candidates;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    const KNOWN: Candidates<'_> = Candidates { models: &["threads", "pool", "mio", "tokio"], peers: &[] };

    fn args_of(line: &str) -> Args {
        let words = std::iter::once("run").chain(line.split_whitespace());
        Cli::try_parse_from(words).unwrap().args
    }

    fn runs_of(line: &str) -> Vec<Args> {
        match asked(&args_of(line)).unwrap() {
            Asked::One(only) => vec![*only],
            Asked::Several { runs, .. } => runs.into_iter().map(|(_, args)| args).collect(),
        }
    }

    #[test]
    fn the_classic_scenario_is_what_a_run_measures_by_default() {
        let plan = |line: &str| runs_of(line)[0].plan(KNOWN).unwrap();
        for quick in ["", " --quick"] {
            let [mut classic, plain] =
                ["--seed 1 --scenario classic", "--seed 1"].map(|line| plan(&format!("{line}{quick}")));
            assert_eq!(classic.purpose.take().unwrap().scenario.as_deref(), Some("classic"));
            assert_eq!(classic, plain);
        }
    }

    #[test]
    fn what_the_command_line_names_goes_before_the_file() {
        let plan = runs_of("--scenario keepalive --backends 2 --budget 10s")[0].plan(KNOWN).unwrap();
        assert_eq!((plan.backends(), plan.concurrency()), (vec![2], vec![2, 5, 10]));
        assert_eq!(plan.base.connections, roundtable_harness::plan::Connections::Keepalive);
        assert!(matches!(plan.length, roundtable_harness::plan::Length::Budget { budget_ms: 10_000, .. }));
    }

    #[test]
    fn products_stay_out_where_there_is_a_cache_and_there_alone() {
        let peers = |line: &str| runs_of(line)[0].peers.clone();
        assert_eq!(peers("--scenario cache --peers nginx"), None);
        assert_eq!(peers("--scenario cache --cache none --peers nginx").as_deref(), Some("nginx"));
        assert_eq!(peers("--scenario keepalive --peers nginx").as_deref(), Some("nginx"));
    }

    #[test]
    fn a_budget_is_shared_between_the_runs_by_what_each_takes() {
        let all = runs_of("--scenario all --budget 1h");
        let total: Duration = all.iter().filter_map(|args| args.budget).sum();
        assert!(total.abs_diff(Duration::from_secs(3600)) < Duration::from_millis(100), "{total:?}");
        let mut folders: Vec<_> = all.iter().map(|args| args.out.clone().unwrap()).collect();
        folders.dedup();
        assert_eq!(folders.len(), all.len());
    }

    #[test]
    fn several_runs_stand_in_the_folder_of_their_suite_and_one_stands_alone() {
        let suite = |line: &str| match asked(&args_of(line)).unwrap() {
            Asked::One(_) => None,
            Asked::Several { dir, runs } => Some((dir, runs)),
        };
        assert!(suite("--scenario classic").is_none());
        let (dir, runs) = suite("--scenario claims --out here").unwrap();
        assert_eq!(dir, Path::new("here"));
        for (part, args) in runs {
            assert_eq!(part.scenario, "claims");
            assert_eq!(args.out, Some(dir.join(part.folder)));
        }
        let (dir, _) = suite("--scenario all").unwrap();
        assert!(dir.to_string_lossy().ends_with("-all"), "{dir:?}");
    }

    #[test]
    fn every_scenario_makes_a_plan_for_every_model_whole_and_quick() {
        for line in ["--scenario all", "--scenario all --quick"] {
            for args in runs_of(line) {
                let fault = args.factors.of(&factor::FAULT).is_some();
                let models = args.models.clone().unwrap_or_default();
                let names: Vec<&str> =
                    if models.is_empty() { KNOWN.models.to_vec() } else { models.split(',').collect() };
                let known = Candidates { models: &names, peers: &[] };
                let plan = if fault { super::super::fault::plan(&args, known) } else { args.plan(known) };
                let plan = plan.unwrap_or_else(|error| panic!("{:?}: {error:#}", args.out));
                assert!(plan.purpose.is_some());
            }
        }
    }

    #[test]
    fn a_promise_needs_rates() {
        let told = asked(&args_of("--slo p99<10ms")).err().unwrap().to_string();
        assert!(told.contains("as in --rate 1000,2000,4000"), "{told}");
        let purpose = runs_of("--slo p99<10ms --rate 1000,2000")[0].purpose.clone().unwrap();
        assert_eq!(purpose.question, "Up to which rate does each row keep p99<10ms?");
    }

    #[test]
    fn a_name_that_is_no_scenario_is_told_with_all_of_them() {
        let told = asked_for("weather").unwrap_err().to_string();
        assert!(told.contains("classic, keepalive"), "{told}");
        let told = asked_for("no/such.toml").unwrap_err().to_string();
        assert!(told.contains("cannot read the scenario no/such.toml"), "{told}");
    }
}
