//! The arguments of `roundtable run`, and the plan that they mean.
//!
//! Rule: an argument that was not given is `None`, so that `--resume` can tell a contradiction from a default.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use roundtable_harness::data::{Connections, Layout, Length, Plan};
use roundtable_harness::environment::random_seed;
use roundtable_harness::fault::scenario::Sketch;
use roundtable_harness::plan::{self, Numbers, PlanError};
use roundtable_harness::rate::Rate;

use crate::commands::number;

/// Requests of a trial with `--quick`: the 75 cells of the whole grid take 25 s on two idle cores, 33 s on busy ones.
const QUICK_REQUESTS: u64 = 4000;
/// How long a run may be allowed to take.
const BUDGETS: RangeInclusive<Duration> =
    Duration::from_millis(plan::LEAST_BUDGET_MS)..=Duration::from_millis(plan::MOST_BUDGET_MS);

/// Arguments of `roundtable run`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Models to measure, as in threads,mio; mio+10% is mio with 10 % more CPU work for each request; `direct` (no
    /// balancer) is always added [default: all]
    #[arg(long, value_name = "NAMES")]
    pub(super) models: Option<String>,
    /// Measure this row twice under two names: what differs between the two is noise [default: threads, or the first
    /// model]
    #[arg(long, value_name = "NAME")]
    pub(super) aa: Option<String>,
    /// How many backends stand behind the balancer, as in 1-5 or 1,3,5 [default: 1-5]
    #[arg(long, value_name = "LIST", value_parser = number::list(plan::MOST_BACKENDS))]
    pub(super) backends: Option<Numbers>,
    /// How many requests are outstanding at any time (with --rate: at most), as in 2,5,10 [default: 2,5,10]
    #[arg(long, value_name = "LIST", value_parser = number::list(plan::MOST_CONCURRENCY))]
    pub(super) concurrency: Option<Numbers>,
    /// Open loop: so many requests per second are due, evenly spaced, whatever became of those before, and latency
    /// counts from when each was due. For latencies; throughput is then the rate. auto looks for a rate that every row
    /// sustains at every condition, before the first trial: about two seconds for each row and condition
    /// [default: closed loop]
    #[arg(long, value_name = "R|auto")]
    pub(super) rate: Option<Rate>,
    /// Requests that are timed in each trial [default: 10000; with --quick 4000; with --rate one second's, at least 2000
    /// so that a p99 is known, at most 30 s; with --rate and --quick half a second's, at least 2000, at most 15 s]
    #[arg(long, value_name = "N", value_parser = number::whole(1..=plan::MOST_REQUESTS))]
    pub(super) requests: Option<u64>,
    /// Requests that are sent before and discarded [default: 10 for each connection of the largest concurrency, and
    /// at least a twentieth of --requests; with --rate at most ten seconds of it]
    #[arg(long, value_name = "N", value_parser = number::whole(0..=plan::MOST_REQUESTS))]
    pub(super) warmup: Option<u64>,
    /// One request on each client connection (close) or many (keepalive) [default: close]
    #[arg(long, value_name = "close|keepalive")]
    pub(super) connections: Option<Kind>,
    /// Length of each response body, bytes [default: 1024]
    #[arg(long, value_name = "N", value_parser = number::whole(0..=plan::MOST_BODY_BYTES))]
    pub(super) body_bytes: Option<u64>,
    /// Let all processes use all processors (shared), or give the balancer one to itself (pinned) [default: shared]
    #[arg(long, value_name = "shared|pinned")]
    pub(super) layout: Option<LayoutKind>,
    /// Worker threads of `pool` and `tokio`; the other models are measured without [default: each model's own]
    #[arg(long, value_name = "N", value_parser = number::whole(1..=plan::MOST_WORKERS))]
    pub(super) workers: Option<u32>,
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
    /// Go on with an interrupted run: a name under results/ or a path [default: the newest]
    #[arg(long, value_name = "RUN", num_args = 0..=1, conflicts_with_all = ["out", "quick"])]
    pub(super) resume: Option<Option<String>>,
    /// Let faults befall a backend while a load goes on at a fixed rate, and see how clients fare under each model, as in
    /// kill-backend@2s,restore@4s; there are kill-backend, slow-backend and refuse, and refuse=1@2s is of the first
    /// backend instead of the last; three times with 3 backends at 500 requests per second, unless --blocks, --backends
    /// and --rate say otherwise
    #[arg(long, value_name = "SCENARIO", conflicts_with_all = [
        "aa", "requests", "warmup", "layout", "steal_limit", "budget", "precision", "resume", "quick", "cross_check",
        "system_calls",
    ])]
    pub(super) fault: Option<Sketch>,
    /// A first look at the whole grid in about 30 s: once, with few requests (with --rate it takes longer: at least half a
    /// second for each row and condition)
    #[arg(long, conflicts_with_all = ["blocks", "budget", "precision"])]
    pub(super) quick: bool,
    /// Afterwards, repeat some cells with ab and wrk, where they are installed, and tell how far load agrees with them
    #[arg(long)]
    pub(super) cross_check: bool,
    /// Afterwards, count each model's system calls (with strace, where it is installed) and context switches per request
    #[arg(long)]
    pub(super) system_calls: bool,
}

/// [`Connections`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Kind {
    /// One request on each connection, as `ab`
    Close,
    /// Persistent connections, as `ab -k`
    Keepalive,
}

impl From<Kind> for Connections {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Close => Connections::Close,
            Kind::Keepalive => Connections::Keepalive,
        }
    }
}

/// [`Layout`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum LayoutKind {
    /// Every process may use every processor
    Shared,
    /// The balancer has one processor, client and backends have the others
    Pinned,
}

impl From<LayoutKind> for Layout {
    fn from(kind: LayoutKind) -> Self {
        match kind {
            LayoutKind::Shared => Layout::Shared,
            LayoutKind::Pinned => Layout::Pinned,
        }
    }
}

impl Args {
    /// The plan that was asked for, with the defaults in place of what was not. `known` are the models' names. Where the
    /// rate is yet to be found, the plan is that of a closed loop: [`Args::at_rate`] is then to come.
    pub(super) fn plan(&self, known: &[&str]) -> Result<Plan, PlanError> {
        let requests = self.requests.unwrap_or(if self.quick { QUICK_REQUESTS } else { plan::REQUESTS });
        let concurrency = self.concurrency.clone().map_or(vec![2, 5, 10], |Numbers(list)| list);
        let plan = Plan {
            models: plan::rows(self.models.as_deref(), self.aa.as_deref(), known)?,
            backends: self.backends.clone().map_or_else(|| (1..=5).collect(), |Numbers(list)| list),
            requests,
            warmup: self.warmup.unwrap_or_else(|| plan::warmup(requests, &concurrency)),
            concurrency,
            connections: self.connections.map_or(Connections::Close, Connections::from),
            body_bytes: self.body_bytes.unwrap_or(plan::BODY_BYTES),
            seed: self.seed.unwrap_or_else(random_seed),
            length: self.length().unwrap_or(if self.quick {
                Length::Blocks(1)
            } else {
                Length::Budget { budget_ms: plan::BUDGET_MS, minimum_blocks: plan::MINIMUM_BLOCKS }
            }),
            layout: self.layout.map_or(Layout::Shared, Layout::from),
            workers: self.workers,
            steal_limit_percent: self.steal_limit.unwrap_or(plan::STEAL_LIMIT_PERCENT),
            precision_percent: self.precision,
            rate: None,
        };
        match self.rate {
            Some(Rate::Fixed(rate)) => self.at_rate(plan, rate),
            Some(Rate::Auto) | None => {
                plan.check()?;
                Ok(plan)
            }
        }
    }

    /// `plan` at so many requests per second, with the length of a trial that belongs to it unless one was asked for.
    pub(super) fn at_rate(&self, plan: Plan, rate: u64) -> Result<Plan, PlanError> {
        let asked = if self.quick { rate.div_ceil(2) } else { rate };
        let requests = self.requests.unwrap_or_else(|| plan::requests_at(asked));
        let warmup = self.warmup.unwrap_or_else(|| plan::warmup_at(rate, requests, &plan.concurrency));
        let plan = Plan { requests, warmup, rate: Some(rate), ..plan };
        plan.check()?;
        Ok(plan)
    }

    /// The arguments that ask for something else than `stored`, each in words.
    pub(super) fn contradictions(&self, stored: &Plan, known: &[&str]) -> Result<Vec<String>, PlanError> {
        let asked = Plan {
            models: match (&self.models, &self.aa) {
                (None, None) => stored.models.clone(),
                (list, again) => plan::rows(list.as_deref(), again.as_deref(), known)?,
            },
            backends: self.backends.clone().map_or(stored.backends.clone(), |Numbers(list)| list),
            concurrency: self.concurrency.clone().map_or(stored.concurrency.clone(), |Numbers(list)| list),
            requests: self.requests.unwrap_or(stored.requests),
            warmup: self.warmup.unwrap_or(stored.warmup),
            connections: self.connections.map_or(stored.connections, Connections::from),
            body_bytes: self.body_bytes.unwrap_or(stored.body_bytes),
            seed: self.seed.unwrap_or(stored.seed),
            length: self.length().unwrap_or(stored.length),
            layout: self.layout.map_or(stored.layout, Layout::from),
            workers: self.workers.or(stored.workers),
            steal_limit_percent: self.steal_limit.unwrap_or(stored.steal_limit_percent),
            precision_percent: self.precision.or(stored.precision_percent),
            rate: match self.rate {
                Some(Rate::Fixed(rate)) => Some(rate),
                // What a stored run found is what was looked for.
                Some(Rate::Auto) | None => stored.rate,
            },
        };
        let mut found = Vec::new();
        let mut compare = |option: &str, asked: &dyn std::fmt::Debug, stored: &dyn std::fmt::Debug| {
            let (asked, stored) = (format!("{asked:?}"), format!("{stored:?}"));
            if asked != stored {
                found.push(format!("{option} {asked} (the run has {stored})"));
            }
        };
        compare("--models", &asked.models, &stored.models);
        compare("--backends", &asked.backends, &stored.backends);
        compare("--concurrency", &asked.concurrency, &stored.concurrency);
        compare("--requests", &asked.requests, &stored.requests);
        compare("--warmup", &asked.warmup, &stored.warmup);
        compare("--connections", &asked.connections, &stored.connections);
        compare("--body-bytes", &asked.body_bytes, &stored.body_bytes);
        compare("--seed", &asked.seed, &stored.seed);
        compare("--blocks or --budget", &asked.length, &stored.length);
        compare("--precision", &asked.precision_percent, &stored.precision_percent);
        compare("--layout", &asked.layout, &stored.layout);
        compare("--workers", &asked.workers, &stored.workers);
        compare("--steal-limit", &asked.steal_limit_percent, &stored.steal_limit_percent);
        if let Some(rate) = self.rate
            && (asked.rate != stored.rate || stored.rate.is_none())
        {
            let has = stored.rate.map_or("a closed loop".to_owned(), |rate| rate.to_string());
            found.push(format!("--rate {rate} (the run has {has})"));
        }
        Ok(found)
    }

    fn length(&self) -> Option<Length> {
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

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    const KNOWN: [&str; 2] = ["threads", "mio"];

    fn parse(line: &str) -> Result<Args, String> {
        let words = std::iter::once("run").chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.args).map_err(|error| error.to_string())
    }

    fn plan_of(line: &str) -> Plan {
        parse(line).unwrap().plan(&KNOWN).unwrap()
    }

    #[test]
    fn nothing_asked_is_the_published_grid_within_five_minutes() {
        let plan = plan_of("");
        assert_eq!(plan.models, ["direct", "threads", "mio", "threads#2"]);
        assert_eq!((plan.backends, plan.concurrency), (vec![1, 2, 3, 4, 5], vec![2, 5, 10]));
        assert_eq!((plan.requests, plan.warmup, plan.connections), (10_000, 500, Connections::Close));
        assert_eq!(plan.length, Length::Budget { budget_ms: 300_000, minimum_blocks: 3 });
    }

    #[test]
    fn what_is_asked_is_planned() {
        let plan = plan_of(
            "--models mio --backends 2,4 --concurrency 1-3 --requests 50 --warmup 0 --connections keepalive \
             --body-bytes 0 --budget 2m --seed 18446744073709551615 --layout pinned --workers 3 --steal-limit 7 \
             --precision 5",
        );
        assert_eq!(plan.models, ["direct", "mio", "mio#2"]);
        assert_eq!((plan.layout, plan.workers, plan.steal_limit_percent), (Layout::Pinned, Some(3), 7));
        assert_eq!(plan.precision_percent, Some(5));
        assert_eq!((plan.backends, plan.concurrency), (vec![2, 4], vec![1, 2, 3]));
        assert_eq!((plan.requests, plan.warmup, plan.connections), (50, 0, Connections::Keepalive));
        assert_eq!((plan.body_bytes, plan.seed), (0, u64::MAX));
        assert_eq!(plan.length, Length::Budget { budget_ms: 120_000, minimum_blocks: 3 });
        assert_eq!(plan_of("--blocks 7").length, Length::Blocks(7));
        assert_eq!(plan_of("--quick").length, Length::Blocks(1));
        assert_eq!(plan_of("--quick --requests 77").requests, 77);
    }

    #[test]
    fn a_rate_makes_trials_of_a_second_and_auto_is_left_to_be_found() {
        let paced = |line: &str| {
            let plan = plan_of(line);
            (plan.rate, plan.requests, plan.warmup)
        };
        assert_eq!(paced("--rate 5000"), (Some(5000), 5000, 250));
        assert_eq!(paced("--rate 500"), (Some(500), 2000, 100));
        assert_eq!(paced("--quick --rate 5000"), (Some(5000), 2500, 125));
        assert_eq!(paced("--rate 500 --requests 100 --warmup 3"), (Some(500), 100, 3));
        // The closed loop's, until a rate is found.
        assert_eq!(paced("--rate auto"), (None, 10_000, 500));
        let args = parse("--rate auto --quick --warmup 7").unwrap();
        let found = args.at_rate(args.plan(&KNOWN).unwrap(), 3100).unwrap();
        assert_eq!((found.rate, found.requests, found.warmup), (Some(3100), 2000, 7));
        assert_eq!(found.length, Length::Blocks(1));
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
            ("--concurrency x", "neither a number nor a range"),
            ("--connections open", "possible values: close, keepalive"),
            ("--budget soon", "--budget"),
            ("--requests many", "--requests"),
            ("--rate fast", "give requests per second, 1 to 1000000, or auto"),
            ("--rate 0", "or auto"),
            ("--backends 0", "0 is out of bounds; give numbers from 1 to 64"),
            ("--requests 0", "give a whole number from 1 to 100000000"),
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
            ("--rate 10000 --requests 100", "ask for at least 1000 requests"),
            ("--rate 1 --concurrency 100", "ask for at least as many requests"),
        ] {
            let error = parse(line).unwrap().plan(&KNOWN).unwrap_err().to_string();
            assert!(error.contains(told), "{line}: {error}");
        }
    }

    #[test]
    fn only_an_argument_that_was_given_can_contradict_a_stored_plan() {
        let stored = plan_of("--requests 50 --blocks 2 --seed 1 --models mio");
        let contradictions = |line: &str| parse(line).unwrap().contradictions(&stored, &KNOWN).unwrap();
        assert_eq!(contradictions("--resume"), Vec::<String>::new());
        assert_eq!(contradictions("--resume x --requests 50 --models mio --blocks 2"), Vec::<String>::new());
        assert_eq!(contradictions("--resume --requests 60"), ["--requests 60 (the run has 50)"]);
        assert_eq!(contradictions("--resume --models threads --seed 2 --budget 1m").len(), 3);
        assert_eq!(contradictions("--resume --rate 70"), ["--rate 70 (the run has a closed loop)"]);
        assert_eq!(contradictions("--resume --rate auto"), ["--rate auto (the run has a closed loop)"]);
    }

    #[test]
    fn a_run_at_a_rate_is_resumed_at_that_rate_whether_it_was_given_or_found() {
        let stored = plan_of("--rate 500 --seed 1");
        let contradictions = |line: &str| parse(line).unwrap().contradictions(&stored, &KNOWN).unwrap();
        for line in ["--resume", "--resume --rate auto", "--resume --rate 500"] {
            assert_eq!(contradictions(line), Vec::<String>::new(), "{line}");
        }
        assert_eq!(contradictions("--resume --rate 600"), ["--rate 600 (the run has 500)"]);
    }
}
