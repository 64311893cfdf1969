//! What a run measures: who, under which conditions, how often; and the bounds that keep a mistyped option from becoming a
//! day's work.
//!
//! Owns the plan, its defaults and its checks; not the order in which cells are run ([`schedule`]). Rule: whatever passes
//! [`Plan::check`] can be run on some machine.

pub mod answer;
mod bounds;
mod competitor;
mod condition;
mod error;
mod rows;

pub mod comparisons;
pub mod factor;
pub mod fault;
pub mod precision;
pub mod scenario;
pub mod schedule;

use serde::{Deserialize, Serialize};

pub use answer::Purpose;
pub use bounds::*;
pub use competitor::{Competitor, DIRECT, FLOORS, Family, Kind, MOST_SLOWDOWN_PERCENT};
pub use condition::{
    Accept, Arrivals, BODY_BYTES, Cell, Condition, Connections, Layout, REQUESTS, backend_name,
};
pub use error::PlanError;
pub use factor::{Axis, FACTORS, Factor, Value};
pub use fault::{FaultScript, Faults};
pub use rows::{Candidates, competitors};

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
    /// What it is to answer, where a scenario asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
}

/// The bounds of a valid trial that a user or a scenario may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gates {
    /// A trial during which the hypervisor took more than this share of the processors' time is invalid, percent.
    pub steal_limit_percent: u32,
    /// A rate that is not sustained, and requests that are not answered rightly, are what is asked about: such a trial is
    /// valid, and tells how many.
    #[serde(default)]
    pub overload_allowed: bool,
}

impl Default for Gates {
    fn default() -> Self {
        Gates { steal_limit_percent: STEAL_LIMIT_PERCENT, overload_allowed: false }
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
        if let (Some(_), Some(axis)) = (&self.base.fault, self.axes.first()) {
            return Err(PlanError::SweptWithFaults(axis.factor.name));
        }
        let conditions = self.conditions();
        if let Some(floor) = self.competitors.iter().find(|row| row.kind == Kind::Floor)
            && conditions.iter().any(|condition| condition.upload_bytes > 0)
        {
            return Err(PlanError::FloorUploads(floor.name.clone()));
        }
        if let Some(other) = self.competitors.iter().find(|row| matches!(row.kind, Kind::Peer | Kind::Floor))
            && conditions.iter().any(|condition| condition.cache_mib.is_some())
        {
            return Err(PlanError::NoCacheOf(other.name.clone()));
        }
        if conditions.iter().any(|of| of.rate.is_some()) && conditions.iter().any(|of| of.rate.is_none()) {
            return Err(PlanError::MixedLoops);
        }
        conditions.iter().try_for_each(Condition::check)
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
            let within = self.duration_ms.map_or(u64::MAX, |ms| rate.saturating_mul(ms).div_ceil(1000));
            let requests = self.requests.min(within).max(self.warmup);
            if requests / rate > MOST_SECONDS {
                return Err(PlanError::TooSlow { requests, rate });
            }
            if self.requests * 1000 / rate < LEAST_MS {
                return Err(PlanError::TooShort { requests: self.requests, rate });
            }
        } else if self.arrivals == Arrivals::Poisson {
            return Err(PlanError::ArrivalsWithoutRate);
        }
        if self.fault.is_some() && self.duration_ms.is_some() {
            return Err(PlanError::DurationWithFaults);
        }
        if self.at_a_time.is_some() && self.delay.mean().is_zero() {
            return Err(PlanError::AtATimeWithoutDelay);
        }
        if self.hit_ratio_percent.is_some() && self.upload_bytes > 0 {
            return Err(PlanError::HitsOfUploads);
        }
        for event in self.fault.iter().flat_map(|faults| &faults.script.events) {
            let (backend, backends) = (event.backend, self.backends);
            if !event.act.is_of_the_load() && !(1..=backends).contains(&backend) {
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
            purpose: None,
        };
        let plan = plan.over(&factor::BACKENDS, &[1_u32, 3].map(Value::from)).unwrap();
        plan.over(&factor::CONCURRENCY, &[2_u32, 5].map(Value::from)).unwrap()
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
    fn a_trial_that_takes_too_long_or_is_over_too_soon_is_refused() {
        let at = |rate, requests| {
            let mut plan = plan();
            (plan.base.rate, plan.base.requests) = (Some(rate), requests);
            plan.check().unwrap_err().to_string()
        };
        assert!(at(1, 700).contains("take 700 s") && at(1, 700).contains("higher rate"), "{}", at(1, 700));
        assert!(at(10_000, 100).contains("ask for at least 1000 requests"), "{}", at(10_000, 100));
    }
}
