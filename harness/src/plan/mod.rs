//! What a run measures: who, under which conditions, how often; and the bounds that keep a mistyped option from becoming a
//! day's work.
//!
//! Owns the plan, its defaults and its checks; not the order in which cells are run ([`schedule`]). Rule: whatever passes
//! [`Plan::check`] can be run on some machine.

mod competitor;
mod condition;

pub mod comparisons;
pub mod factor;
pub mod fault;
pub mod precision;
pub mod schedule;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use competitor::{Competitor, DIRECT, Family, Kind, MOST_SLOWDOWN_PERCENT};
pub use condition::{Accept, BODY_BYTES, Cell, Condition, Connections, Layout, REQUESTS, backend_name};
pub use factor::{Axis, FACTORS, Factor, Value};
pub use fault::{FaultScript, Faults};

use crate::load::latency::REQUESTS_BEYOND_A_PERCENTILE;
use comparisons::REFERENCE;

/// Wall-clock budget unless told otherwise, milliseconds.
pub const BUDGET_MS: u64 = 5 * 60 * 1000;
/// Blocks that are run however short the budget is: fewer have no spread to speak of.
pub const MINIMUM_BLOCKS: u32 = 3;
/// Share of the processors' time that the hypervisor may take during a valid trial, percent, unless told otherwise.
pub const STEAL_LIMIT_PERCENT: u32 = 25;

/// Most blocks that can be asked for.
pub const MOST_BLOCKS: u32 = 1000;
/// Shortest budget, milliseconds.
pub const LEAST_BUDGET_MS: u64 = 1000;
/// Longest budget, milliseconds.
pub const MOST_BUDGET_MS: u64 = 7 * 24 * 3600 * 1000;
/// Longest window at a fixed rate, seconds.
const MOST_SECONDS: u64 = 600;
/// Shortest window at a fixed rate, milliseconds: a hundredth of it is what the last answer may be late.
const LEAST_MS: u64 = 100;

/// Who is measured under which conditions, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The rows, in the order of the tables.
    pub competitors: Vec<Competitor>,
    /// What is done to every trial, but for what `axes` vary.
    pub base: Condition,
    /// What is varied: every combination of their values is a condition.
    pub axes: Vec<Axis>,
    /// When to stop.
    pub length: Length,
    /// Blocks are added, to the conditions that need them, until each ratio's 95 % interval is no wider than this on
    /// either side, percent; `None`: every block holds every cell.
    pub precision_percent: Option<u32>,
    /// Seed of the blocks' orders.
    pub seed: u64,
    /// What a trial must pass.
    pub gates: Gates,
}

/// The bounds of a valid trial that a user may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gates {
    /// A trial during which the hypervisor took more than this share of the processors' time is invalid, percent.
    pub steal_limit_percent: u32,
}

impl Default for Gates {
    fn default() -> Self {
        Gates { steal_limit_percent: STEAL_LIMIT_PERCENT }
    }
}

/// When a run has enough blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// After this many blocks.
    Blocks(u32),
    /// As many whole blocks as fit, at least `minimum_blocks`.
    Budget {
        /// Wall-clock budget, milliseconds.
        budget_ms: u64,
        /// Blocks that are run even when the budget is too short.
        minimum_blocks: u32,
    },
}

/// A plan that cannot be run: the caller's doing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// Nothing in a list.
    #[error("the list is empty; give numbers as 1-5 or 2,5,10")]
    EmptyList,
    /// A range that counts down.
    #[error("the range {0}-{1} counts down; write {1}-{0}")]
    Backwards(u64, u64),
    /// A range of which nobody means every value.
    #[error("the list has more than 256 values; name fewer")]
    TooMany,
    /// Something that a factor cannot be.
    #[error("--{factor} cannot be {value}: {remedy}")]
    NoValue {
        /// The factor's name.
        factor: &'static str,
        /// What was given.
        value: String,
        /// What it can be.
        remedy: String,
    },
    /// A number outside its bounds.
    #[error("--{what} {value} is out of bounds; give {least} to {most}")]
    OutOfBounds {
        /// The option.
        what: &'static str,
        /// What was given.
        value: u64,
        /// Smallest value taken.
        least: u64,
        /// Largest value taken.
        most: u64,
    },
    /// A fault script that cannot be carried out.
    #[error(transparent)]
    Fault(#[from] fault::FaultError),
    /// A budget outside its bounds.
    #[error("a --budget of {0} ms is out of bounds; give 1s to 7days")]
    Budget(u64),
    /// More connections than requests to send over them.
    #[error(
        "--concurrency {concurrency} is more than --requests {requests}: some connections would carry nothing; \
         ask for at least as many requests"
    )]
    MoreConnectionsThanRequests {
        /// The largest concurrency.
        concurrency: u32,
        /// Requests in a trial.
        requests: u64,
    },
    /// A rate at which one trial takes too long.
    #[error(
        "{requests} requests at --rate {rate} take {} s, and neither window nor warm-up may take over {MOST_SECONDS} s; ask \
         for a higher rate, or for fewer --requests or --warmup", .requests / .rate
    )]
    TooSlow {
        /// Requests of the window, or of the warm-up where these are more.
        requests: u64,
        /// Requests per second.
        rate: u64,
    },
    /// A rate at which one trial is over before it can show anything.
    #[error(
        "{requests} requests at --rate {rate} are sent in less than {LEAST_MS} ms, which does not show whether the rate is \
         sustained; ask for at least {} requests", (.rate * LEAST_MS).div_ceil(1000)
    )]
    TooShort {
        /// Requests of the window.
        requests: u64,
        /// Requests per second.
        rate: u64,
    },
    /// A model with more extra work than there can be, or none.
    #[error(
        "{label:?} asks for extra CPU work that there cannot be; give 1 to {MOST_SLOWDOWN_PERCENT} percent, as in \
         {model}+10%"
    )]
    Slowdown {
        /// What was asked for.
        label: String,
        /// The model in it.
        model: String,
    },
    /// A name that is no model.
    #[error("there is no model {name:?}; the models are {known}")]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// All of them.
        known: String,
    },
}

/// The competitors for a list of labels: `known` models when none is given; always led by the one without a balancer, each
/// once, and with an A/A pair: the replicate of `again`, else of the reference model, else of the first model.
pub fn competitors(
    asked: Option<&str>,
    again: Option<&str>,
    known: &[&str],
) -> Result<Vec<Competitor>, PlanError> {
    let asked: Vec<&str> = match asked {
        Some(list) => list.split(',').map(str::trim).collect(),
        None => known.to_vec(),
    };
    let mut all = vec![Competitor::direct()];
    for label in asked.into_iter().chain(again) {
        let competitor = Competitor::of(label);
        let is_known = match competitor.kind {
            Kind::Direct => !competitor.is_control(),
            Kind::Model => known.contains(&competitor.name.as_str()),
            Kind::Peer => false,
        };
        if !is_known {
            if let Some((model, _)) = label.split_once('+').filter(|(model, _)| known.contains(model)) {
                return Err(PlanError::Slowdown { label: label.to_owned(), model: model.to_owned() });
            }
            let known = [known, &[DIRECT]].concat().join(", ");
            return Err(PlanError::UnknownModel { name: label.to_owned(), known });
        }
        if !all.contains(&competitor) {
            all.push(competitor);
        }
    }
    let paired = match again {
        Some(label) => Some(Competitor::of(label)),
        None => {
            let reference = all.iter().find(|c| c.name == REFERENCE && !c.is_control());
            reference.or_else(|| all.iter().find(|c| !c.is_direct())).cloned()
        }
    };
    if let Some(replicate) = paired.map(|competitor| competitor.again())
        && !all.contains(&replicate)
    {
        all.push(replicate);
    }
    Ok(all)
}

/// Requests of a window at a fixed rate unless told otherwise: one second's, but at least as many as a p99 of one trial
/// takes ([`REQUESTS_BEYOND_A_PERCENTILE`]), and at most half a minute's.
pub fn requests_at(rate: u64) -> u64 {
    const FOR_A_P99: u64 = 100 * REQUESTS_BEYOND_A_PERCENTILE;
    const MOST_SECONDS_BY_DEFAULT: u64 = 30;
    rate.max(FOR_A_P99).min(rate.saturating_mul(MOST_SECONDS_BY_DEFAULT))
}

/// Requests sent and discarded before the timed window: ten for each connection and at least 5 % of the window, so
/// that connections, pools, threads and the allocator have been through a whole cycle.
pub fn warmup(requests: u64, concurrency: u32) -> u64 {
    let connections = u64::from(concurrency.max(1));
    (10 * connections).max(requests.div_ceil(20))
}

/// The same at a fixed rate, where it may take ten seconds unless that were fewer than the connections.
pub fn warmup_at(rate: u64, requests: u64, concurrency: u32) -> u64 {
    let connections = u64::from(concurrency.max(1));
    warmup(requests, concurrency).min(rate.saturating_mul(10)).max(connections)
}

impl Plan {
    /// The plan with `factor` at `values`: a part of every condition where there is one, an axis where there are several.
    pub fn over(mut self, factor: &'static Factor, values: &[Value]) -> Result<Plan, PlanError> {
        self.axes.retain(|axis| axis.factor.name != factor.name);
        let (first, others) = values.split_first().ok_or(PlanError::EmptyList)?;
        factor.set(&mut self.base, first)?;
        if !others.is_empty() {
            others.iter().try_for_each(|value| factor.check(value))?;
            let after = self.axes.iter().position(|axis| axis.factor.place() > factor.place());
            self.axes.insert(after.unwrap_or(self.axes.len()), Axis { factor, values: values.to_vec() });
        }
        Ok(self)
    }

    /// What `factor` is in this plan: all values of an axis, or the one of every trial.
    pub fn values(&self, factor: &Factor) -> Vec<Value> {
        let axis = self.axes.iter().find(|axis| axis.factor.name == factor.name);
        axis.map_or_else(|| vec![factor.get(&self.base)], |axis| axis.values.clone())
    }

    /// Every combination of the axes' values, in the order of the tables.
    pub fn conditions(&self) -> Vec<Condition> {
        let mut conditions = vec![self.base.clone()];
        for axis in &self.axes {
            let with = |condition: Condition| {
                axis.values.iter().filter_map(move |value| {
                    let mut condition = condition.clone();
                    // A value that cannot be is none of the plan's conditions; `check` tells it.
                    axis.factor.set(&mut condition, value).ok()?;
                    Some(condition)
                })
            };
            conditions = conditions.into_iter().flat_map(with).collect();
        }
        conditions
    }

    /// Every combination of competitor and condition, in the order of the tables.
    pub fn cells(&self) -> Vec<Cell> {
        self.conditions().iter().flat_map(|condition| self.cells_of(condition)).collect()
    }

    /// The cells that are compared with each other.
    pub(crate) fn cells_of(&self, condition: &Condition) -> Vec<Cell> {
        let cell =
            |competitor: &Competitor| Cell { competitor: competitor.clone(), condition: condition.clone() };
        self.competitors.iter().map(cell).collect()
    }

    /// The backend counts, in their order.
    pub fn backends(&self) -> Vec<u32> {
        distinct(&self.conditions(), |condition| condition.backends)
    }

    /// The concurrencies, in their order.
    pub fn concurrency(&self) -> Vec<u32> {
        distinct(&self.conditions(), |condition| condition.concurrency)
    }

    /// Refuses what nobody can mean.
    pub fn check(&self) -> Result<(), PlanError> {
        let within = |what, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(PlanError::OutOfBounds { what, value, least, most })
            }
        };
        if self.competitors.is_empty() || self.axes.iter().any(|axis| axis.values.is_empty()) {
            return Err(PlanError::EmptyList);
        }
        for factor in FACTORS {
            self.values(factor).iter().try_for_each(|value| factor.check(value))?;
        }
        within("steal-limit", self.gates.steal_limit_percent.into(), 0, 100)?;
        if let Some(percent) = self.precision_percent {
            within("precision", percent.into(), 1, 100)?;
        }
        match self.length {
            Length::Blocks(blocks) => within("blocks", blocks.into(), 1, MOST_BLOCKS.into())?,
            Length::Budget { budget_ms, .. } if !(LEAST_BUDGET_MS..=MOST_BUDGET_MS).contains(&budget_ms) => {
                return Err(PlanError::Budget(budget_ms));
            }
            Length::Budget { .. } => {}
        }
        self.conditions().iter().try_for_each(Condition::check)
    }

    /// The largest concurrency of the grid.
    pub fn most_concurrency(&self) -> u32 {
        self.concurrency().into_iter().max().unwrap_or(0)
    }

    /// The largest backend count of the grid.
    pub fn most_backends(&self) -> u32 {
        self.backends().into_iter().max().unwrap_or(0)
    }

    /// Most connections that the client of a trial opens: where they are kept, as many as are used at a time.
    pub fn connections_a_trial(&self) -> u64 {
        let of = |condition: &Condition| match condition.connections {
            Connections::Close => condition.requests + condition.warmup,
            Connections::Keepalive => condition.concurrency.into(),
        };
        self.conditions().iter().map(of).max().unwrap_or(0)
    }

    /// Open files that any one process of a trial may need: the balancer holds two sockets a connection, an idle one
    /// for each of them in the worst case, and its own.
    pub fn descriptors(&self) -> u64 {
        3 * u64::from(self.most_concurrency()) + 3 * u64::from(self.most_backends()) + 64
    }
}

impl Condition {
    /// Refuses what no trial can be, though each factor may be what it is.
    fn check(&self) -> Result<(), PlanError> {
        if let Some(rate) = self.rate {
            let requests = self.requests.max(self.warmup);
            if requests / rate > MOST_SECONDS {
                return Err(PlanError::TooSlow { requests, rate });
            }
            if self.requests * 1000 / rate < LEAST_MS {
                return Err(PlanError::TooShort { requests: self.requests, rate });
            }
        }
        for event in self.fault.iter().flat_map(|faults| &faults.script.events) {
            let (backend, backends) = (event.backend, self.backends);
            if !(1..=backends).contains(&backend) {
                return Err(fault::FaultError::OutOfRange { backend, backends }.into());
            }
        }
        if u64::from(self.concurrency) > self.requests {
            let Condition { concurrency, requests, .. } = *self;
            return Err(PlanError::MoreConnectionsThanRequests { concurrency, requests });
        }
        Ok(())
    }
}

fn distinct(conditions: &[Condition], of: fn(&Condition) -> u32) -> Vec<u32> {
    let mut values = Vec::new();
    for value in conditions.iter().map(of) {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::MAX_RATE;

    fn plan() -> Plan {
        let competitors = ["direct", "threads"].map(Competitor::of).to_vec();
        let base = Condition { requests: 100, warmup: 10, body_bytes: 0, ..Condition::default() };
        let plan = Plan {
            competitors,
            base,
            axes: Vec::new(),
            length: Length::Blocks(2),
            precision_percent: None,
            seed: 1,
            gates: Gates::default(),
        };
        let plan = plan.over(&factor::BACKENDS, &[1_u32, 3].map(Value::from)).unwrap();
        plan.over(&factor::CONCURRENCY, &[2_u32, 5].map(Value::from)).unwrap()
    }

    fn labels(asked: Option<&str>, again: Option<&str>, known: &[&str]) -> Result<Vec<String>, PlanError> {
        Ok(competitors(asked, again, known)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn direct_leads_the_rows_whatever_is_asked() {
        let known = ["threads", "mio"];
        assert_eq!(labels(None, None, &known).unwrap(), ["direct", "threads", "mio", "threads#2"]);
        assert_eq!(labels(Some("mio, mio"), None, &known).unwrap(), ["direct", "mio", "mio#2"]);
        assert_eq!(labels(Some("direct"), None, &known).unwrap(), ["direct"]);
    }

    #[test]
    fn every_run_carries_a_pair_and_the_pair_can_be_chosen() {
        let known = ["threads", "mio"];
        assert_eq!(
            labels(Some("threads"), Some("mio"), &known).unwrap(),
            ["direct", "threads", "mio", "mio#2"]
        );
        assert_eq!(
            labels(Some("mio,mio#2,mio+10%"), None, &known).unwrap(),
            ["direct", "mio", "mio#2", "mio+10%"]
        );
        assert!(labels(None, Some("thread"), &known).is_err());
    }

    #[test]
    fn an_unknown_model_is_answered_with_the_known_ones() {
        for asked in ["thread", "", "mio,", "mio#3", "direct+10%", "direct#2"] {
            let error = labels(Some(asked), None, &["threads", "mio"]).unwrap_err();
            assert!(error.to_string().ends_with("threads, mio, direct"), "{error}");
        }
    }

    #[test]
    fn extra_work_out_of_bounds_is_answered_with_the_bounds() {
        for asked in ["mio+0%", "mio+1000000%", "mio+1001%", "mio+-5%", "mio+x%", "mio+10", "mio+0%#2"] {
            let error = labels(Some(asked), None, &["threads", "mio"]).unwrap_err().to_string();
            assert!(error.contains("give 1 to 1000 percent, as in mio+10%"), "{asked}: {error}");
        }
    }

    #[test]
    fn the_grid_is_every_combination() {
        let cells = plan().cells();
        assert_eq!(cells.len(), 8);
        assert_eq!(cells[0].competitor.to_string(), "direct");
        assert_eq!((cells[0].condition.backends, cells[0].condition.concurrency), (1, 2));
        assert_eq!(cells[7].competitor.to_string(), "threads");
        assert_eq!((cells[7].condition.backends, cells[7].condition.concurrency), (3, 5));
        assert_eq!((plan().backends(), plan().concurrency()), (vec![1, 3], vec![2, 5]));
    }

    #[test]
    fn a_plan_within_bounds_passes_and_each_bound_holds() {
        assert_eq!(plan().check(), Ok(()));
        let base = |alter: fn(&mut Condition)| {
            let mut plan = plan();
            alter(&mut plan.base);
            plan.check()
        };
        assert_eq!(base(|c| c.rate = Some(1000)), Ok(()));
        let conditions: [fn(&mut Condition); 12] = [
            |c| c.rate = Some(0),
            |c| c.rate = Some(MAX_RATE + 1),
            // A hundred requests in a tenth of a second is the shortest window.
            |c| c.rate = Some(1001),
            |c| (c.rate, c.requests) = (Some(1), 601),
            |c| (c.rate, c.warmup) = (Some(1), 601),
            |c| c.workers = Some(0),
            |c| c.requests = 0,
            |c| c.requests = u64::MAX,
            |c| c.warmup = u64::MAX,
            |c| c.body_bytes = u64::MAX,
            |c| c.requests = 4,
            |c| c.workers = Some(1025),
        ];
        for (index, alter) in conditions.into_iter().enumerate() {
            assert!(base(alter).is_err(), "condition {index}");
        }
        for (factor, most) in [(&factor::BACKENDS, 64_u32), (&factor::CONCURRENCY, 20_000)] {
            for values in [vec![], vec![0], vec![most + 1], vec![1, 0], vec![1, most + 1]] {
                let values: Vec<_> = values.into_iter().map(Value::from).collect();
                assert!(plan().over(factor, &values).is_err(), "{} {values:?}", factor.name);
                let mut altered = plan();
                altered.axes = vec![Axis { factor, values }];
                assert!(altered.check().is_err(), "{altered:?}");
            }
        }
        let broken: [fn(&mut Plan); 5] = [
            |plan| plan.gates.steal_limit_percent = 101,
            |plan| plan.precision_percent = Some(0),
            |plan| plan.competitors.clear(),
            |plan| plan.length = Length::Blocks(0),
            |plan| plan.length = Length::Budget { budget_ms: 0, minimum_blocks: 3 },
        ];
        for (index, alter) in broken.iter().enumerate() {
            let mut plan = plan();
            alter(&mut plan);
            assert!(plan.check().is_err(), "alteration {index}");
        }
    }

    #[test]
    fn a_trial_at_a_rate_takes_a_second_and_supports_a_p99_where_half_a_minute_allows_it() {
        assert_eq!([5000, 2000, 700, 60, 1].map(requests_at), [5000, 2000, 2000, 1800, 30]);
        let at = |rate, requests| {
            let mut plan = plan();
            (plan.base.rate, plan.base.requests) = (Some(rate), requests);
            plan.check().unwrap_err().to_string()
        };
        assert!(at(1, 700).contains("take 700 s") && at(1, 700).contains("higher rate"), "{}", at(1, 700));
        assert!(at(10_000, 100).contains("ask for at least 1000 requests"), "{}", at(10_000, 100));
    }

    #[test]
    fn the_warmup_serves_every_connection_ten_times_and_a_twentieth_of_the_window() {
        assert_eq!(warmup(10_000, 10), 500);
        assert_eq!(warmup(10_000, 100), 1000);
        assert_eq!(warmup(1, 1), 10);
        assert_eq!(warmup_at(2000, 2000, 10), 100);
        assert_eq!(warmup_at(1, 30, 5), 10);
        assert_eq!(warmup_at(1, 30, 20), 20);
    }
}
