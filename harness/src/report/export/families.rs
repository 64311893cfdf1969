//! Threaded against async in one run, beside the tables of 2021, as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::{CompetitorForm, ConditionForm, bound};
use crate::analysis::families::{Families, FamiliesCell};
use crate::analysis::metric::Metric;
use crate::analysis::published::PublishedRow;
use crate::analysis::ratio::Ratio;
use crate::report::prose;
use crate::report::sections;

/// Raised when a field changes its meaning or goes; a new field raises nothing.
pub const VERSION: u32 = 1;

/// What `roundtable compare RUN --format json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(title = "roundtable compare, one run")]
pub struct FamiliesForm {
    /// Version of this form.
    pub schema_version: u32,
    /// The run.
    pub run: String,
    /// The threaded models.
    pub threaded: Vec<CompetitorForm>,
    /// The asynchronous ones.
    #[serde(rename = "async")]
    pub asynchronous: Vec<CompetitorForm>,
    /// What it comes to, in words.
    pub sentence: String,
    /// Async over threaded, over all conditions and under each.
    pub ratios: Vec<FamiliesRatio>,
    /// Each pair of rows of the tables of 2021 beside this run; empty for an open loop, of which they say nothing.
    pub published: Vec<PublishedPair>,
}

/// Async over threaded.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FamiliesRatio {
    /// What was done to both; null: over all conditions.
    pub condition: Option<ConditionForm>,
    /// In which metric.
    pub metric: &'static str,
    /// Blocks that it rests on.
    pub blocks: usize,
    /// Geometric mean of the ratios within the blocks.
    pub ratio: f64,
    /// Low end of the interval that the verdict was made from; null where there is none.
    pub interval_low: Option<f64>,
    /// High end.
    pub interval_high: Option<f64>,
    /// `exact`, or how the true ratio stands to it where the load generator was a limit: `at_least`, `at_most`, `unknown`.
    pub bound: &'static str,
    /// What may be said.
    pub verdict: String,
}

/// Two rows of a table of 2021 that differ in the model alone.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PublishedPair {
    /// The table.
    pub table: String,
    /// Backend servers.
    pub backends: u32,
    /// Requests outstanding at any time.
    pub concurrency: u32,
    /// Requests per second of the threaded row; null where it is missing.
    pub threaded_per_second: Option<f64>,
    /// Those of the asynchronous row.
    pub async_per_second: Option<f64>,
    /// What becomes of it beside this run, in words; where a row is not valid, why.
    pub outcome: String,
}

impl FamiliesForm {
    /// Of `families`, beside `published`.
    pub fn of(families: &Families, published: &[PublishedRow]) -> Self {
        let forms = |models: &[crate::plan::Competitor]| models.iter().map(CompetitorForm::from).collect();
        let overall = families.overall.iter().map(|(&metric, of)| FamiliesRatio::of(None, metric, &of.ratio));
        let each = families.cells.iter().flat_map(|FamiliesCell { condition, ratios, .. }| {
            ratios.iter().map(|(&metric, ratio)| FamiliesRatio::of(Some(condition.into()), metric, ratio))
        });
        let published = if families.load.is_closed() { published } else { &[] };
        FamiliesForm {
            schema_version: VERSION,
            run: families.run.clone(),
            threaded: forms(&families.threaded),
            asynchronous: forms(&families.asynchronous),
            sentence: sections::families::sentence(families),
            ratios: overall.chain(each).collect(),
            published: sections::published::pairs(published)
                .iter()
                .map(|pair| PublishedPair {
                    table: pair.table.to_owned(),
                    backends: pair.backends,
                    concurrency: pair.concurrency,
                    threaded_per_second: pair.threaded.map(|row| row.requests_per_second),
                    async_per_second: pair.asynchronous.map(|row| row.requests_per_second),
                    outcome: pair.survives(families),
                })
                .collect(),
        }
    }
}

impl FamiliesRatio {
    fn of(condition: Option<ConditionForm>, metric: Metric, ratio: &Ratio) -> Self {
        let judged = &ratio.judged;
        FamiliesRatio {
            condition,
            metric: metric.name(),
            blocks: judged.blocks,
            ratio: judged.ratio,
            interval_low: judged.interval.map(|interval| interval.low),
            interval_high: judged.interval.map(|interval| interval.high),
            bound: bound(ratio.bound),
            verdict: prose::verdict(metric, ratio),
        }
    }
}
