//! The arguments of `roundtable run`, and the plan that they mean.
//!
//! Rule: an argument that was not given is `None`, so that `--resume` can tell a contradiction from a default.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use roundtable_harness::plan::answer::{Promise, Purpose};
use roundtable_harness::plan::{
    self, Candidates, Competitor, Condition, Gates, Length, Plan, PlanError, Value, factor,
};
use roundtable_harness::record::environment::random_seed;
use roundtable_harness::trial::rate_search::Rate;

use super::factors::FactorArgs;
use super::peers;
use crate::commands::number;
use crate::models::MEASURED_BY_DEFAULT;

/// Requests of a trial with `--quick`: the 75 cells of the whole grid take 25 s on two idle cores, 33 s on busy ones.
const QUICK_REQUESTS: u64 = 4000;
/// How long a run may be allowed to take.
const BUDGETS: RangeInclusive<Duration> =
    Duration::from_millis(plan::LEAST_BUDGET_MS)..=Duration::from_millis(plan::MOST_BUDGET_MS);

/// Stands for every model in a list of them.
const ALL: &str = "all";

/// Arguments of `roundtable run`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_long_help = "\
What is done to a trial can be varied: each option from --backends to --backlog takes a list, as in --connections \
close,keepalive, and every combination is measured.")]
pub(crate) struct Args {
    /// Run this experiment in place of the whole matrix: a scenario's name (`roundtable scenarios` lists them), all of them
    /// (all), or a TOML file of your own; what else is asked for goes before what it says
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "resume")]
    pub(super) scenario: Option<String>,
    /// Tell up to which of the run's rates each row keeps this promise of response times, as in p99<10ms
    #[arg(long, value_name = "PROMISE", conflicts_with = "resume")]
    pub(super) slo: Option<Promise>,
    /// Models to measure, as in threads,mio, or all; mio+10% is mio with 10 % more CPU work for each request; `direct` (no
    /// balancer) is always added [default: threads,pool,mio,tokio]
    #[arg(long, value_name = "NAMES")]
    pub(super) models: Option<String>,
    #[arg(long, value_name = "NAMES", help = peers::help())]
    pub(super) peers: Option<String>,
    /// Measure this row twice under two names: what differs between the two is noise [default: threads, or the first
    /// model]
    #[arg(long, value_name = "NAME")]
    pub(super) aa: Option<String>,
    #[command(flatten)]
    pub(super) factors: FactorArgs,
    /// Play the roles on the hosts of this TOML file, each of which an agent is launched on (examples/several-machines)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cross_check", "system_calls"])]
    pub(super) hosts: Option<PathBuf>,
    /// A trial during which the hypervisor took more than this share of the processors' time is invalid [default: 25]
    #[arg(long, value_name = "PERCENT", value_parser = number::whole::<u32>(0..=100))]
    pub(super) steal_limit: Option<u32>,
    /// Measure the whole grid so many times
    #[arg(long, value_name = "N", conflicts_with = "budget", value_parser = number::whole(1..=plan::MOST_BLOCKS))]
    pub(super) blocks: Option<u32>,
    /// Measure the whole grid as often as fits into this time, at least three times [default: 5min]
    #[arg(long, value_name = "DURATION", value_parser = number::duration::<Duration>(BUDGETS))]
    pub(super) budget: Option<Duration>,
    /// Add blocks where they are needed, until every ratio to the reference model, of throughput (with --rate: of the
    /// median response time) and of CPU per request, is known to so many percent on either side (95 % intervals) or the
    /// budget ends
    #[arg(long, value_name = "PERCENT", conflicts_with = "blocks", value_parser = number::whole::<u32>(1..=100))]
    pub(super) precision: Option<u32>,
    /// Decides the random order of the trials; recorded in environment.json [default: drawn]
    #[arg(long, value_name = "N", value_parser = number::whole(0..=u64::MAX))]
    pub(super) seed: Option<u64>,
    /// Folder for what is measured; must not hold a run [default: results/<UTC time>]
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Folder under which the run's tables and charts are written
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub(super) reports: PathBuf,
    /// Go on with an interrupted run, or with every run of a scenario that is left: a name under results/ or a path [default:
    /// the newest]
    #[arg(long, value_name = "RUN", num_args = 0..=1, conflicts_with_all = ["out", "quick"])]
    pub(super) resume: Option<Option<String>>,
    /// A first look at the whole grid in about 30 s: once, with few requests (with --rate it takes longer: at least half a
    /// second for each row and condition)
    #[arg(long, conflicts_with_all = ["blocks", "budget", "precision"])]
    pub(super) quick: bool,
    /// Afterwards, measure every condition again with ab and wrk, where they are installed, in pairs with load; the report
    /// tells how far they agree
    #[arg(long)]
    pub(super) cross_check: bool,
    /// Afterwards, count each model's system calls (with strace, where it is installed) and context switches per request
    /// under every condition, for the report
    #[arg(long)]
    pub(super) system_calls: bool,
    /// What the run is to answer: a scenario's.
    #[arg(skip)]
    pub(super) purpose: Option<Purpose>,
    /// A rate that is not sustained is no fault of a trial: a scenario's.
    #[arg(skip)]
    pub(super) overload_allowed: bool,
    /// Rates to be found, as shares of what the slowest row answers in a closed loop, percent: a scenario's.
    #[arg(skip)]
    pub(super) shares_percent: Vec<u32>,
}

impl Args {
    /// The plan of a run without faults that was asked for, with the defaults in place of what was not. Where the rate is
    /// yet to be found, the plan is that of a closed loop: [`Args::at_rate`] is then to come.
    pub(super) fn plan(&self, known: Candidates<'_>) -> anyhow::Result<Plan> {
        let length = self.length().unwrap_or(if self.quick {
            Length::Blocks(1)
        } else {
            Length::Budget { budget_ms: plan::BUDGET_MS, minimum_blocks: plan::MINIMUM_BLOCKS }
        });
        let requests = if self.quick { QUICK_REQUESTS } else { plan::REQUESTS };
        let grid = Plan {
            competitors: plan::competitors(Some(&self.rows(known.models)), self.aa.as_deref(), known)?,
            base: Condition { requests, ..Condition::default() },
            axes: Vec::new(),
            length,
            precision_percent: self.precision,
            seed: self.seed.unwrap_or_else(random_seed),
            gates: Gates {
                steal_limit_percent: self.steal_limit.unwrap_or(plan::STEAL_LIMIT_PERCENT),
                overload_allowed: self.overload_allowed,
            },
            purpose: self.purpose.clone(),
        };
        let grid = grid.over(&factor::BACKENDS, &[1_u32, 2, 3, 4, 5].map(Value::from))?;
        let grid = grid.over(&factor::CONCURRENCY, &[2_u32, 5, 10].map(Value::from))?;
        let mut plan = self.factors.over(grid)?;
        let highest = plan.conditions().iter().filter_map(|condition| condition.rate).max();
        if let Some(rate) = highest {
            return Ok(self.lasting(plan, rate)?);
        }
        if self.factors.of(&factor::WARMUP).is_none() {
            plan.base.warmup = plan::warmup(plan.base.requests, plan.most_concurrency());
        }
        plan.check()?;
        Ok(plan)
    }

    /// The models that are asked for, in a list.
    pub(super) fn rows(&self, known: &[&str]) -> String {
        let of_the_course =
            || known.iter().filter(|name| MEASURED_BY_DEFAULT.contains(name)).copied().collect();
        let rows: Vec<&str> = match &self.models {
            None => of_the_course(),
            Some(list) => list
                .split(',')
                .flat_map(|label| if label.trim() == ALL { known.to_vec() } else { vec![label] })
                .collect(),
        };
        rows.join(",")
    }

    /// `plan` at so many requests per second, with the length of a trial that belongs to it unless one was asked for.
    pub(super) fn at_rate(&self, plan: Plan, rate: u64) -> Result<Plan, PlanError> {
        self.lasting(plan.over(&factor::RATE, &[Value::Number(rate)])?, rate)
    }

    /// `plan` at these rates, with the length of a trial that belongs to the highest unless one was asked for.
    pub(super) fn at_rates(&self, plan: Plan, rates: &[u64]) -> Result<Plan, PlanError> {
        let values: Vec<Value> = rates.iter().copied().map(Value::Number).collect();
        let highest = rates.iter().copied().max().unwrap_or(1);
        self.lasting(plan.over(&factor::RATE, &values)?, highest)
    }

    /// `plan`, at no more than `rate` requests per second, with the length of a trial that belongs to it.
    fn lasting(&self, mut plan: Plan, rate: u64) -> Result<Plan, PlanError> {
        if self.factors.of(&factor::REQUESTS).is_none() {
            plan.base.requests = plan::requests_at(if self.quick { rate.div_ceil(2) } else { rate });
        }
        if self.factors.of(&factor::WARMUP).is_none() {
            plan.base.warmup = plan::warmup_at(rate, plan.base.requests, plan.most_concurrency());
        }
        plan.check()?;
        Ok(plan)
    }

    /// The arguments that ask for something else than `stored`, each in words.
    pub(super) fn contradictions(
        &self,
        stored: &Plan,
        known: Candidates<'_>,
    ) -> Result<Vec<String>, PlanError> {
        let mut found = Vec::new();
        let mut compare = |option: &str, asked: String, stored: String| {
            if asked != stored {
                found.push(format!("--{option} {asked} (the run has {stored})"));
            }
        };
        if self.models.is_some() || self.peers.is_some() || self.aa.is_some() {
            let labels =
                |rows: &[Competitor]| rows.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            let asked = plan::competitors(Some(&self.rows(known.models)), self.aa.as_deref(), known)?;
            let options = if self.peers.is_some() { "models and --peers" } else { "models" };
            compare(options, labels(&asked), labels(&stored.competitors));
        }
        let listed = |values: &[Value]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        for (factor, asked) in self.factors.settable() {
            let has = stored.values(factor);
            // As it would be stored: a fault script may leave its backends unnamed.
            let meant = asked.iter().map(|value| factor.meant(&stored.base, value));
            if meant.collect::<Result<Vec<_>, _>>()? != has {
                let has = match has.as_slice() {
                    [one @ Value::Word(_)] => factor.told(one),
                    several => listed(several),
                };
                compare(factor.name, listed(asked), has);
            }
        }
        // What a stored run found is what was looked for; a closed loop looked for none.
        if self.factors.rate() == Some(Rate::Auto) && stored.base.rate.is_none() {
            compare(
                factor::RATE.name,
                Rate::Auto.to_string(),
                factor::RATE.told(&factor::RATE.get(&stored.base)),
            );
        }
        if let Some(asked) = self.length() {
            compare("blocks or --budget", format!("{asked:?}"), format!("{:?}", stored.length));
        }
        let limit = stored.gates.steal_limit_percent;
        for (option, asked, stored) in [
            ("seed", self.seed, Some(stored.seed)),
            ("precision", self.precision.map(u64::from), stored.precision_percent.map(u64::from)),
            ("steal-limit", self.steal_limit.map(u64::from), Some(limit.into())),
        ] {
            if let Some(asked) = asked {
                compare(
                    option,
                    asked.to_string(),
                    stored.map_or("none".to_owned(), |stored| stored.to_string()),
                );
            }
        }
        Ok(found)
    }

    /// When to stop, as far as it was asked for.
    pub(super) fn length(&self) -> Option<Length> {
        let budget = |budget: Duration| Length::Budget {
            budget_ms: u64::try_from(budget.as_millis()).unwrap_or(u64::MAX),
            minimum_blocks: plan::MINIMUM_BLOCKS,
        };
        self.blocks.map(Length::Blocks).or_else(|| self.budget.map(budget))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use roundtable_harness::plan::{Connections, Layout};

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    const KNOWN: Candidates<'_> = Candidates { models: &["threads", "mio"], peers: &[] };

    fn parse(line: &str) -> Result<Args, String> {
        let words = std::iter::once("run").chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.args).map_err(|error| error.to_string())
    }

    fn labels(plan: &Plan) -> Vec<String> {
        plan.competitors.iter().map(ToString::to_string).collect()
    }

    fn plan_of(line: &str) -> Plan {
        parse(line).unwrap().plan(KNOWN).unwrap()
    }

    #[test]
    fn nothing_asked_is_the_published_grid_within_five_minutes() {
        let plan = plan_of("");
        assert_eq!(labels(&plan), ["direct", "threads", "mio", "threads#2"]);
        assert_eq!((plan.backends(), plan.concurrency()), (vec![1, 2, 3, 4, 5], vec![2, 5, 10]));
        assert_eq!(
            (plan.base.requests, plan.base.warmup, plan.base.connections),
            (10_000, 500, Connections::Close)
        );
        assert_eq!(plan.length, Length::Budget { budget_ms: 300_000, minimum_blocks: 3 });
    }

    #[test]
    fn what_is_asked_is_planned() {
        let plan = plan_of(
            "--models mio --backends 2,4 --concurrency 1-3 --requests 50 --warmup 0 --connections keepalive \
             --body-bytes 0 --budget 2m --seed 18446744073709551615 --layout pinned --workers 3 --steal-limit 7 \
             --precision 5",
        );
        assert_eq!(labels(&plan), ["direct", "mio", "mio#2"]);
        assert_eq!(
            (plan.base.layout, plan.base.workers, plan.gates.steal_limit_percent),
            (Layout::Pinned, Some(3), 7)
        );
        assert_eq!(plan.precision_percent, Some(5));
        assert_eq!((plan.backends(), plan.concurrency()), (vec![2, 4], vec![1, 2, 3]));
        assert_eq!(
            (plan.base.requests, plan.base.warmup, plan.base.connections),
            (50, 0, Connections::Keepalive)
        );
        assert_eq!((plan.base.body_bytes, plan.seed), (0, u64::MAX));
        assert_eq!(plan.length, Length::Budget { budget_ms: 120_000, minimum_blocks: 3 });
        assert_eq!(plan_of("--blocks 7").length, Length::Blocks(7));
        assert_eq!(plan_of("--quick").length, Length::Blocks(1));
        assert_eq!(plan_of("--quick --requests 77").base.requests, 77);
    }

    #[test]
    fn any_factor_can_be_varied() {
        let plan =
            plan_of("--backends 3 --concurrency 10 --connections close,keepalive --body-bytes 0,65536");
        let names: Vec<_> = plan.axes.iter().map(|axis| axis.factor.name).collect();
        assert_eq!((names, plan.conditions().len()), (vec!["connections", "body-bytes"], 4));
        let rates = plan_of("--rate 500,4000");
        assert_eq!((rates.values(&factor::RATE).len(), rates.base.requests), (2, 4000));
    }

    #[test]
    fn a_rate_makes_trials_of_a_second_and_auto_is_left_to_be_found() {
        let paced = |line: &str| {
            let plan = plan_of(line);
            (plan.base.rate, plan.base.requests, plan.base.warmup)
        };
        assert_eq!(paced("--rate 5000"), (Some(5000), 5000, 250));
        assert_eq!(paced("--rate 500"), (Some(500), 2000, 100));
        assert_eq!(paced("--quick --rate 5000"), (Some(5000), 2500, 125));
        assert_eq!(paced("--rate 500 --requests 100 --warmup 3"), (Some(500), 100, 3));
        // The closed loop's, until a rate is found.
        assert_eq!(paced("--rate auto"), (None, 10_000, 500));
        let args = parse("--rate auto --quick --warmup 7").unwrap();
        let found = args.at_rate(args.plan(KNOWN).unwrap(), 3100).unwrap();
        assert_eq!((found.base.rate, found.base.requests, found.base.warmup), (Some(3100), 2000, 7));
        assert_eq!(found.length, Length::Blocks(1));
    }

    #[test]
    fn the_models_of_the_course_are_measured_unless_all_or_some_are_asked_for() {
        let known = Candidates { models: &["threads", "mio", "other"], peers: &[] };
        let measured = |line: &str| labels(&parse(line).unwrap().plan(known).unwrap());
        assert_eq!(measured(""), ["direct", "threads", "mio", "threads#2"]);
        assert_eq!(measured("--models all"), ["direct", "threads", "mio", "other", "threads#2"]);
        assert_eq!(
            measured("--models all,mio+9%"),
            ["direct", "threads", "mio", "other", "mio+9%", "threads#2"]
        );
        assert_eq!(measured("--models other"), ["direct", "other", "other#2"]);
    }

    #[test]
    fn options_that_exclude_each_other_are_refused() {
        for line in [
            "--blocks 1 --budget 1m",
            "--blocks 1 --precision 5",
            "--quick --blocks 2",
            "--quick --budget 1m",
            "--resume x --out y",
            "--resume --quick",
        ] {
            assert!(parse(line).unwrap_err().contains("cannot be used with"), "{line}");
        }
    }

    #[test]
    fn a_value_that_means_nothing_is_refused_with_its_remedy() {
        for (line, told) in [
            ("--backends 5-1", "write 1-5"),
            ("--concurrency x", "give whole numbers from 1 to 20000"),
            ("--connections open", "possible values: close, keepalive"),
            ("--budget soon", "--budget"),
            ("--requests many", "--requests"),
            ("--rate fast", "give requests per second, 1 to 1000000, or auto"),
            ("--rate 0", "or auto"),
            ("--backends 0", "cannot be 0: give whole numbers from 1 to 64"),
            ("--requests 0", "give whole numbers from 1 to 100000000"),
            ("--blocks 0", "give a whole number from 1 to 1000"),
            ("--budget 0s", "give 1s to 7days"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(told), "{line}: {error}");
        }
        for (line, told) in [
            ("--models thread", "the models are threads, mio, direct"),
            ("--concurrency 20 --requests 10", "ask for at least as many requests"),
            ("--rate 1 --requests 1000", "ask for a higher rate, or for fewer --requests"),
            ("--rate closed,500", "a closed loop or an open one, not both"),
            ("--rate 10000 --requests 100", "ask for at least 1000 requests"),
            ("--rate 1 --concurrency 100", "ask for at least as many requests"),
        ] {
            let error = parse(line).unwrap().plan(KNOWN).unwrap_err().to_string();
            assert!(error.contains(told), "{line}: {error}");
        }
    }

    #[test]
    fn only_an_argument_that_was_given_can_contradict_a_stored_plan() {
        let stored = plan_of("--requests 50 --blocks 2 --seed 1 --models mio");
        let contradictions = |line: &str| parse(line).unwrap().contradictions(&stored, KNOWN).unwrap();
        assert_eq!(contradictions("--resume"), Vec::<String>::new());
        assert_eq!(contradictions("--resume x --requests 50 --models mio --blocks 2"), Vec::<String>::new());
        assert_eq!(contradictions("--resume --requests 60"), ["--requests 60 (the run has 50)"]);
        assert_eq!(contradictions("--resume --models threads --seed 2 --budget 1m").len(), 3);
        assert_eq!(contradictions("--resume --rate 70"), ["--rate 70 (the run has a closed loop)"]);
        assert_eq!(contradictions("--resume --rate auto"), ["--rate auto (the run has a closed loop)"]);
        let peers = [Competitor::peer("nginx")];
        let beside = Candidates { peers: &peers, ..KNOWN };
        let args = parse("--resume --models mio --peers nginx").unwrap();
        assert_eq!(
            args.contradictions(&stored, beside).unwrap(),
            ["--models and --peers direct,mio,peer:nginx,mio#2 (the run has direct,mio,mio#2)"]
        );
        let stored = parse("--models mio --peers nginx").unwrap().plan(beside).unwrap();
        assert_eq!(args.contradictions(&stored, beside).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_run_at_a_rate_is_resumed_at_that_rate_whether_it_was_given_or_found() {
        let stored = plan_of("--rate 500 --seed 1");
        let contradictions = |line: &str| parse(line).unwrap().contradictions(&stored, KNOWN).unwrap();
        for line in ["--resume", "--resume --rate auto", "--resume --rate 500"] {
            assert_eq!(contradictions(line), Vec::<String>::new(), "{line}");
        }
        assert_eq!(contradictions("--resume --rate 600"), ["--rate 600 (the run has 500)"]);
    }
}
