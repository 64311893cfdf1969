//! How exactly a run knows its ratios so far, and which conditions need more blocks.
//!
//! Owns the stopping rule of `run --precision`. A condition (backends, concurrency) needs another block while the 95 %
//! interval of any row's ratio to the reference row, in throughput (at a fixed rate, where that is the same for all: in the
//! median response time) or in the balancer's CPU time per request, reaches further than the precision asked, to either side. The rule looks at the intervals' widths and at nothing else: not at
//! their middle, not at whether they leave out 1. So stopping cannot favour a verdict, and the coverage of a
//! fixed-width sequential interval tends to the nominal one as it narrows (Chow & Robbins, *On the Asymptotic Theory of
//! Fixed-Width Sequential Confidence Intervals for the Mean*, 1965). Early widths are themselves uncertain, and a
//! lucky narrow one would end the run too soon: hence [`LEAST_BLOCKS`].

use std::collections::BTreeMap;

use crate::load::latency;
use crate::plan::Plan;
use crate::plan::REFERENCE;
use crate::plan::Row;
use crate::record::{Outcome, Sample, Trial};
use crate::statistics::interval::Estimate;

/// Blocks that every condition gets before any width is looked at.
pub const LEAST_BLOCKS: u32 = 6;
/// Confidence of the intervals.
const LEVEL: f64 = 0.95;

/// Backends and concurrency.
pub(crate) type Condition = (u32, u32);

/// Throughput (at a fixed rate: median response time) and CPU time per request, as logarithms; no CPU time in the direct
/// row.
type Logarithms = (f64, Option<f64>);

/// What the trials so far say, by condition, row and block.
#[derive(Debug, Clone, Default)]
pub(crate) struct Precision {
    measured: BTreeMap<Condition, BTreeMap<String, BTreeMap<u32, Logarithms>>>,
}

impl Precision {
    /// Takes note of a trial.
    pub(crate) fn record(&mut self, trial: &Trial) {
        if let Outcome::Measured(sample) = &trial.outcome {
            let cell = &trial.cell;
            let rows = self.measured.entry((cell.backends, cell.concurrency)).or_default();
            rows.entry(cell.model.clone()).or_default().insert(trial.block, logarithms(sample));
        }
    }

    /// Whether the blocks before `block` leave any ratio of `condition` less exact than `plan` asks for.
    pub(crate) fn wants(&self, plan: &Plan, condition: Condition, block: u32) -> bool {
        let Some(percent) = plan.precision_percent else { return true };
        if block < LEAST_BLOCKS {
            return true;
        }
        let models = plan.models.iter().filter(|label| !Row::of(label).is_direct());
        let reference = models.clone().find(|label| *label == REFERENCE).or(models.clone().next());
        let Some(reference) = reference else { return false };
        let widest = (1.0 + f64::from(percent) / 100.0).ln();
        models.filter(|label| *label != reference).any(|row| {
            self.half_widths(condition, row, reference, block).is_none_or(|halves| {
                // `NaN` is not exact enough either.
                !halves.iter().all(|half| *half <= widest)
            })
        })
    }

    /// How far the intervals of `row`'s two ratios reach; `None` where there are too few pairs.
    fn half_widths(&self, condition: Condition, row: &str, reference: &str, block: u32) -> Option<[f64; 2]> {
        let rows = self.measured.get(&condition)?;
        let (own, theirs) = (rows.get(row)?, rows.get(reference)?);
        let pairs = own.range(..block).filter_map(|(block, own)| Some((own, theirs.get(block)?)));
        let first: Vec<f64> = pairs.clone().map(|(own, theirs)| own.0 - theirs.0).collect();
        let cpu: Vec<f64> = pairs.filter_map(|(own, theirs)| Some(own.1? - theirs.1?)).collect();
        Some([Estimate::of(&first)?.half_width(LEVEL), Estimate::of(&cpu)?.half_width(LEVEL)])
    }
}

fn logarithms(sample: &Sample) -> Logarithms {
    let requests = sample.completed.max(1) as f64;
    let first = match &sample.open_loop {
        None => (requests / sample.elapsed_ns.max(1) as f64).ln(),
        // One that cannot be read back is never exact enough.
        Some(open) => latency::decode(&open.latency_ns_hdr)
            .map_or(f64::NAN, |latency| (latency.value_at_quantile(0.5).max(1) as f64).ln()),
    };
    let cpu = sample.balancer.map(|usage| (usage.cpu_ns().max(1) as f64 / requests).ln());
    (first, cpu)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::host::Usage;
    use crate::load::OpenLoop;
    use crate::plan::{Cell, Length};

    const CONDITION: Condition = (1, 2);

    fn plan(precision_percent: Option<u32>) -> Plan {
        let models = ["direct", "threads", "mio"].map(str::to_owned).to_vec();
        Plan { models, precision_percent, ..fixtures::plan(Length::Blocks(1)) }
    }

    /// So many blocks in which mio takes half of threads' time, give or take `noise` (a factor).
    fn blocks(count: u32, noise: f64) -> Precision {
        let mut precision = Precision::default();
        for block in 0..count {
            let factor = if block % 2 == 0 { noise } else { 1.0 / noise };
            for (model, elapsed) in [("threads", 2_000_000.0), ("mio", 1_000_000.0 * factor)] {
                let Outcome::Measured(mut sample) = fixtures::measured() else {
                    unreachable!("a sample was made")
                };
                sample.completed = 100;
                sample.elapsed_ns = elapsed as u64;
                sample.balancer = Some(Usage { user_ns: elapsed as u64, ..Usage::default() });
                let cell = Cell { model: model.to_owned(), backends: 1, concurrency: 2 };
                let trial = Trial { cell, ..fixtures::trial(block, Outcome::Measured(sample)) };
                precision.record(&trial);
            }
        }
        precision
    }

    #[test]
    fn without_a_precision_every_condition_wants_every_block() {
        assert!(blocks(20, 1.0).wants(&plan(None), CONDITION, 20));
    }

    #[test]
    fn exact_ratios_are_enough_but_not_before_the_least_blocks() {
        let precision = blocks(20, 1.001);
        assert!(precision.wants(&plan(Some(5)), CONDITION, LEAST_BLOCKS - 1));
        assert!(!precision.wants(&plan(Some(5)), CONDITION, LEAST_BLOCKS));
    }

    #[test]
    fn a_large_difference_that_is_not_exact_wants_more_blocks() {
        // The ratio is 2 in every block, give or take 20 %: certainly not 1, and not known to 5 % either.
        let precision = blocks(10, 1.2);
        assert!(precision.wants(&plan(Some(5)), CONDITION, 10));
        assert!(!precision.wants(&plan(Some(25)), CONDITION, 10));
    }

    #[test]
    fn later_blocks_do_not_change_what_earlier_ones_wanted() {
        let precision = blocks(100, 1.2);
        assert!(precision.wants(&plan(Some(5)), CONDITION, 8));
        assert!(!precision.wants(&plan(Some(5)), CONDITION, 100));
    }

    #[test]
    fn at_a_fixed_rate_the_median_response_time_is_to_be_exact_in_place_of_throughput() {
        // Throughput and CPU time are the same in every block; threads' p50 swings by `swing`.
        let exact = |swing: u64| {
            let mut precision = Precision::default();
            for block in 0..10_u32 {
                for model in ["threads", "mio"] {
                    let Outcome::Measured(mut sample) = fixtures::measured() else {
                        unreachable!("a sample was made")
                    };
                    let mut latency = latency::histogram();
                    let swung = u64::from(model == "threads" && block % 2 == 0) * swing;
                    latency.saturating_record_n(1_000_000 + swung, 100);
                    let latency_ns_hdr = latency::encode(&latency);
                    sample.open_loop = Some(OpenLoop { latency_ns_hdr, ..fixtures::open_loop(100, 100) });
                    sample.balancer = Some(Usage { user_ns: 1_000, ..Usage::default() });
                    let cell = Cell { model: model.to_owned(), backends: 1, concurrency: 2 };
                    let trial = Trial { cell, ..fixtures::trial(block, Outcome::Measured(sample)) };
                    precision.record(&trial);
                }
            }
            !precision.wants(&plan(Some(5)), CONDITION, 10)
        };
        assert!(exact(10_000));
        assert!(!exact(500_000));
    }

    #[test]
    fn a_row_without_valid_trials_wants_more() {
        assert!(Precision::default().wants(&plan(Some(50)), CONDITION, LEAST_BLOCKS));
    }
}
