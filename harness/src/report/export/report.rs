//! A run's report as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::machines::{HostForm, Machine};
use super::{CompetitorForm, ConditionForm};
use crate::analysis::Analysis;
use crate::analysis::bottleneck::Bound;
use crate::analysis::loop_kind::Loop;
use crate::analysis::summary::CellSummary;
use crate::analysis::trial::ValidTrial;
use crate::analysis::verdicts;
use crate::plan::Family;
use crate::probes::Passes;
use crate::probes::{cross_check, system_calls};
use crate::record::{self, Stored, in_words};
use crate::report::prose;
use crate::statistics::Spread;

/// Raised when a field changes its meaning or goes; a new field raises nothing.
pub const VERSION: u32 = 1;

/// What `roundtable report RUN --format json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(title = "roundtable report")]
pub struct Report {
    /// Version of this form.
    pub schema_version: u32,
    /// The run's name.
    pub run: String,
    /// When it began (RFC 3339).
    pub begun: String,
    /// The command that measured it.
    pub command_line: Vec<String>,
    /// Seed of the blocks' orders.
    pub seed: u64,
    /// What was measured with.
    pub build: Build,
    /// What it was measured on; of several hosts, the balancer's.
    pub machine: Machine,
    /// Its hosts; empty where every role was played on one machine.
    pub hosts: Vec<HostForm>,
    /// How requests were sent.
    pub load: Load,
    /// The rows.
    pub models: Vec<Model>,
    /// What it was made to answer; null where no scenario asked.
    pub question: Option<String>,
    /// The answers, in sentences.
    pub answers: Vec<String>,
    /// What was found, in sentences, the most general first.
    pub findings: Vec<String>,
    /// How far a model differed from itself.
    pub noise_floors: Vec<NoiseFloor>,
    /// Every row under every condition.
    pub cells: Vec<CellForm>,
    /// Every ratio of two rows under one condition.
    pub ratios: Vec<RatioForm>,
    /// Trials that do not count.
    pub invalid_trials: Vec<InvalidTrial>,
    /// System calls and context switches, from a pass of its own; empty where it was not made.
    pub system_calls: Vec<SystemCallsForm>,
    /// Our load generator beside others; empty where it was not made.
    pub cross_check: Vec<Agreement>,
}

/// What was measured with.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Build {
    /// Version of roundtable.
    pub roundtable_version: String,
    /// Commit.
    pub commit: String,
    /// Built with changes that are in no commit.
    pub has_uncommitted_changes: bool,
    /// Compiler.
    pub compiler: String,
    /// Build profile.
    pub profile: String,
}

/// How requests were sent.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Load {
    /// `closed`: a new request when an old one was answered; `open`: each when it was due.
    pub kind: &'static str,
    /// Requests per second that were due, where all conditions have one rate.
    pub rate_per_second: Option<u64>,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Model {
    /// Who.
    #[serde(flatten)]
    pub competitor: CompetitorForm,
    /// `threaded`, `async`, or null.
    pub family: Option<&'static str>,
    /// What it is.
    pub summary: String,
}

/// How far a model differed from itself.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct NoiseFloor {
    /// In which metric.
    pub metric: &'static str,
    /// On either side; null where the run cannot tell.
    pub percent: Option<f64>,
}

/// Middle and extent over the valid blocks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct SpreadForm {
    /// Median.
    pub median: f64,
    /// Smallest.
    pub least: f64,
    /// Largest.
    pub most: f64,
}

/// One row under one condition.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CellForm {
    /// Who.
    pub competitor: CompetitorForm,
    /// What was done to it.
    pub condition: ConditionForm,
    /// Blocks with a valid trial.
    pub valid_blocks: usize,
    /// Trials that do not count.
    pub invalid_trials: usize,
    /// What limited it; null where nothing is known.
    pub bound_by: Option<&'static str>,
    /// Requests per second.
    pub requests_per_second: Option<SpreadForm>,
    /// CPU time of the balancer per request, user mode.
    pub balancer_user_us_per_request: Option<SpreadForm>,
    /// CPU time of the balancer per request, in the kernel.
    pub balancer_system_us_per_request: Option<SpreadForm>,
    /// CPU time of client, balancer and backends per request.
    pub all_roles_cpu_us_per_request: Option<SpreadForm>,
    /// Median response time; in an open loop from when each request was due.
    pub p50_ms: Option<SpreadForm>,
    /// 99th percentile of the response time, where enough requests lie beyond it.
    pub p99_ms: Option<SpreadForm>,
    /// Most memory that the balancer had.
    pub balancer_peak_memory_bytes: Option<SpreadForm>,
    /// Threads of the balancer at the end of the window.
    pub balancer_threads: Option<SpreadForm>,
    /// Context switches of the balancer per request.
    pub balancer_switches_per_request: Option<SpreadForm>,
}

/// Two rows under one condition.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RatioForm {
    /// In which metric.
    pub metric: &'static str,
    /// `model`: to the reference; `same_model_again`: A/A; `injected_slowdown`: to itself without it.
    pub purpose: &'static str,
    /// Whose ratio it is.
    pub competitor: CompetitorForm,
    /// What it is a ratio to.
    pub compared_with: CompetitorForm,
    /// What was done to both.
    pub condition: ConditionForm,
    /// Blocks that have both.
    pub blocks: usize,
    /// Geometric mean of the ratios within blocks.
    pub ratio: f64,
    /// Low end of the interval that the verdict was made from; null of a single block.
    pub interval_low: Option<f64>,
    /// High end.
    pub interval_high: Option<f64>,
    /// `at_least`, `at_most`: the client was the limit of one side, and the ratio is a bound; `exact`; `unknown`.
    pub bound: &'static str,
    /// Within which distance of 1 it would be equivalent.
    pub equivalence_margin_percent: f64,
    /// About how many more blocks would settle it, where it is unsettled.
    pub more_blocks: Option<u32>,
    /// What may be said.
    pub verdict: String,
}

/// A trial that does not count.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct InvalidTrial {
    /// Who.
    pub competitor: CompetitorForm,
    /// What was done to it.
    pub condition: ConditionForm,
    /// Block, from 1.
    pub block: u64,
    /// Which try.
    pub attempt: u32,
    /// Why it does not count.
    pub reasons: String,
}

/// What one balancer did for each request.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SystemCallsForm {
    /// Its model.
    pub model: String,
    /// What was done to it.
    pub condition: ConditionForm,
    /// System calls per request; null where they could not be counted.
    pub calls_per_request: Option<f64>,
    /// Context switches because it waited, per request.
    pub waits_per_request: f64,
    /// Context switches because its time was up, per request.
    pub preemptions_per_request: f64,
}

/// How far our load generator agrees with another.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Agreement {
    /// The balancer's model.
    pub model: String,
    /// What was done to it.
    pub condition: ConditionForm,
    /// The other tool.
    pub tool: &'static str,
    /// Pairs without a failure.
    pub pairs: usize,
    /// Ours divided by theirs, over the pairs.
    pub ratio: Option<SpreadForm>,
}

impl From<&record::Build> for Build {
    fn from(build: &record::Build) -> Self {
        Build {
            roundtable_version: build.version.clone(),
            commit: build.commit.clone(),
            has_uncommitted_changes: build.dirty,
            compiler: build.rustc.clone(),
            profile: build.profile.clone(),
        }
    }
}

impl Report {
    /// Of a run.
    pub fn of(stored: &Stored, analysis: &Analysis, passes: &Passes) -> Self {
        let environment = &stored.environment;
        let load = analysis.summary.load();
        Report {
            schema_version: VERSION,
            run: stored.name.clone(),
            begun: environment.created.clone(),
            command_line: environment.command_line.clone(),
            seed: environment.plan.seed,
            build: Build::from(&environment.build),
            machine: Machine::from(&environment.host),
            hosts: environment.hosts.as_ref().map(HostForm::all).unwrap_or_default(),
            load: Load {
                kind: if matches!(load, Loop::Closed) { "closed" } else { "open" },
                rate_per_second: load.rate(),
            },
            models: environment.models.iter().map(Model::of).collect(),
            question: environment.plan.purpose.as_ref().map(|purpose| purpose.question.clone()),
            answers: prose::answers::of_run(analysis),
            findings: prose::claims::of_run(analysis),
            noise_floors: analysis.verdicts.iter().map(NoiseFloor::of).collect(),
            cells: cells(analysis),
            ratios: analysis.verdicts.iter().flat_map(RatioForm::all).collect(),
            invalid_trials: analysis.summary.invalid.iter().map(InvalidTrial::of).collect(),
            system_calls: passes
                .system_calls
                .iter()
                .flat_map(|of| of.rows.iter().map(SystemCallsForm::of))
                .collect(),
            cross_check: passes
                .cross_check
                .iter()
                .flat_map(|of| of.agreements().into_iter().map(Agreement::of))
                .collect(),
        }
    }
}

fn cells(analysis: &Analysis) -> Vec<CellForm> {
    let each = analysis.summary.cells_in_order().map(|(competitor, condition, cell)| {
        let bound = analysis.bottlenecks.cell(competitor, condition).map(|limits| limits.bound);
        CellForm::of(competitor.into(), condition.into(), cell, bound)
    });
    each.collect()
}

impl CellForm {
    fn of(
        competitor: CompetitorForm,
        condition: ConditionForm,
        cell: &CellSummary,
        bound: Option<Bound>,
    ) -> Self {
        let spread = |figure: &dyn Fn(&ValidTrial) -> Option<f64>| cell.spread(figure).map(SpreadForm::from);
        let percentile = |of: f64| cell.spread_of_all(|trial| trial.percentile_ms(of)).map(SpreadForm::from);
        CellForm {
            competitor,
            condition,
            valid_blocks: cell.valid.len(),
            invalid_trials: cell.invalid,
            bound_by: bound.map(Bound::name),
            requests_per_second: spread(&ValidTrial::rate),
            balancer_user_us_per_request: spread(&|trial| trial.user_us),
            balancer_system_us_per_request: spread(&|trial| trial.system_us),
            all_roles_cpu_us_per_request: spread(&|trial| Some(trial.all_cpu_us)),
            p50_ms: percentile(50.0),
            p99_ms: percentile(99.0),
            balancer_peak_memory_bytes: spread(&ValidTrial::peak_memory_bytes),
            balancer_threads: spread(&ValidTrial::threads),
            balancer_switches_per_request: spread(&ValidTrial::switches),
        }
    }
}

impl From<Spread> for SpreadForm {
    fn from(Spread { median, min, max, .. }: Spread) -> Self {
        SpreadForm { median, least: min, most: max }
    }
}

impl Model {
    fn of(info: &crate::record::ModelInfo) -> Self {
        Model {
            competitor: (&info.competitor).into(),
            family: match info.family {
                Family::Threaded => Some("threaded"),
                Family::Async => Some("async"),
                Family::None => None,
            },
            summary: info.summary.clone(),
        }
    }
}

impl NoiseFloor {
    fn of(of: &verdicts::OfMetric) -> Self {
        NoiseFloor { metric: of.metric.name(), percent: of.floor.map(|floor| floor.exp_m1() * 100.0) }
    }
}

impl RatioForm {
    fn all(of: &verdicts::OfMetric) -> Vec<Self> {
        let groups =
            [("model", &of.models), ("same_model_again", &of.aa_pairs), ("injected_slowdown", &of.slowdowns)];
        let each = groups.into_iter().flat_map(|(purpose, comparisons)| {
            comparisons.iter().filter_map(move |comparison| {
                let ratio = comparison.ratio?;
                Some(RatioForm {
                    metric: of.metric.name(),
                    purpose,
                    competitor: (&comparison.row).into(),
                    compared_with: (&comparison.with).into(),
                    condition: (&comparison.condition).into(),
                    blocks: ratio.judged.blocks,
                    ratio: ratio.judged.ratio,
                    interval_low: ratio.judged.interval.map(|interval| interval.low),
                    interval_high: ratio.judged.interval.map(|interval| interval.high),
                    bound: super::bound(ratio.bound),
                    equivalence_margin_percent: ratio.judged.margin.exp_m1() * 100.0,
                    more_blocks: ratio.judged.more_blocks,
                    verdict: prose::verdict(of.metric, &ratio),
                })
            })
        });
        each.collect()
    }
}

impl InvalidTrial {
    fn of(trial: &crate::analysis::summary::InvalidTrial) -> Self {
        InvalidTrial {
            competitor: (&trial.cell.competitor).into(),
            condition: (&trial.cell.condition).into(),
            block: u64::from(trial.block) + 1,
            attempt: trial.attempt,
            reasons: in_words(&trial.reasons),
        }
    }
}

impl SystemCallsForm {
    fn of(row: &system_calls::Row) -> Self {
        SystemCallsForm {
            model: row.model.clone(),
            condition: (&row.condition).into(),
            calls_per_request: row.calls_a_request(),
            waits_per_request: row.of_each(row.voluntary_switches),
            preemptions_per_request: row.of_each(row.involuntary_switches),
        }
    }
}

impl Agreement {
    fn of(agreement: cross_check::Agreement) -> Self {
        Agreement {
            model: agreement.model,
            condition: (&agreement.condition).into(),
            tool: agreement.tool.name(),
            pairs: agreement.pairs,
            ratio: agreement.ratio.map(|[least, median, most]| SpreadForm { median, least, most }),
        }
    }
}
