//! Which trial comes next: randomised complete blocks, repeats of invalid trials, and when to stop.
//!
//! A pure function of the plan and of the trials so far: no clock, no processes, so that a resumed run goes on
//! exactly where the interrupted one would have. Rules: a block holds every cell once, in an order that the seed and
//! the block's number decide; the rows that are compared (same backends, same concurrency) stand next to each other
//! in random order, because the machine's mood changes over minutes; an invalid trial is run again at the end of
//! its block, at most [`MOST_ATTEMPTS`] times in all; a budget ends a run between blocks only; with a precision asked, a
//! block leaves out the conditions that the blocks before it know exactly enough ([`super::precision`]).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::precision::{Figures, Precision};
use super::{Cell, Length, Plan};

/// Times that a cell is tried within one block before it stays invalid.
pub const MOST_ATTEMPTS: u32 = 3;
/// Lines that somebody may have deleted from a run's trials before it is taken for another's.
const MOST_DELETED: usize = 1000;
/// No trial takes longer, whatever its record says: sums of such times cannot overflow.
const LONGEST_TRIAL_MS: u64 = 7 * 24 * 3600 * 1000;

/// A trial that has ended, as far as the schedule asks.
pub trait Attempted {
    /// Its block (0-based).
    fn block(&self) -> u32;
    /// Which attempt it was (1-based).
    fn attempt(&self) -> u32;
    /// What was measured.
    fn cell(&self) -> &Cell;
    /// How long it took, milliseconds.
    fn took_ms(&self) -> u64;
    /// What it showed; `None` when it was invalid.
    fn figures(&self) -> Option<Figures>;
}

/// One trial to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// 0-based.
    pub block: u32,
    /// 0-based place in the block; repeats come after every first attempt.
    pub position: u32,
    /// 1-based.
    pub attempt: u32,
    /// What is measured.
    pub cell: Cell,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// Cells that need no more trials, over all blocks.
    pub done: u64,
    /// Cells over all blocks, as many as are expected.
    pub total: u64,
    /// Blocks expected.
    pub blocks: u32,
    /// Time left; unknown before the first trial has ended.
    pub left: Option<Duration>,
}

/// The plan, what has been done of it, and what is next.
#[derive(Debug, Clone)]
pub struct Schedule {
    plan: Plan,
    /// The first block that may be unfinished.
    block: u32,
    /// The last block that holds a trial.
    last: u32,
    order: Vec<Cell>,
    tries: HashMap<(u32, Cell), Tries>,
    precision: Precision,
    took_ms: BTreeMap<Cell, Vec<u64>>,
    spent_ms: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tries {
    attempts: u32,
    measured: bool,
}

impl Tries {
    fn settled(self) -> bool {
        self.measured || self.attempts >= MOST_ATTEMPTS
    }
}

/// The order of `block`'s cells.
pub fn order(plan: &Plan, block: u32) -> Vec<Cell> {
    let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
    // A stream for each block: its order does not depend on how many blocks there are.
    rng.set_stream(block.into());
    let mut conditions = plan.conditions();
    conditions.shuffle(&mut rng);
    let mut order = Vec::with_capacity(conditions.len() * plan.competitors.len());
    for condition in &conditions {
        let mut rows = plan.cells_of(condition);
        rows.shuffle(&mut rng);
        order.append(&mut rows);
    }
    order
}

/// The first of `trials` that no run of `plan` can have made: its cell is not in the grid, or its block lies further
/// on than blocks that begin one after another can have come. A schedule of it would be without end.
pub fn foreign<'a, T: Attempted>(plan: &Plan, trials: &'a [T]) -> Option<&'a T> {
    let cells = plan.cells();
    let furthest = trials.len() + MOST_DELETED;
    trials.iter().find(|trial| trial.block() as usize > furthest || !cells.contains(trial.cell()))
}

impl Schedule {
    /// What is left of `plan` after `trials`.
    pub fn new<T: Attempted>(plan: &Plan, trials: &[T]) -> Self {
        let mut schedule = Schedule {
            plan: plan.clone(),
            block: 0,
            last: 0,
            order: order(plan, 0),
            tries: HashMap::new(),
            precision: Precision::of(plan),
            took_ms: BTreeMap::new(),
            spent_ms: 0,
        };
        for trial in trials {
            schedule.record(trial);
        }
        schedule
    }

    /// Takes note of a trial that has ended.
    pub fn record(&mut self, trial: &impl Attempted) {
        let (block, cell, figures) = (trial.block(), trial.cell(), trial.figures());
        let tries = self.tries.entry((block, cell.clone())).or_default();
        tries.attempts = tries.attempts.max(trial.attempt());
        tries.measured |= figures.is_some();
        let took_ms = trial.took_ms().min(LONGEST_TRIAL_MS);
        self.took_ms.entry(cell.clone()).or_default().push(took_ms.max(1));
        self.spent_ms += took_ms;
        if let Some(figures) = figures {
            self.precision.record(cell, block, figures);
        }
        self.last = self.last.max(block);
    }

    /// The next trial to run; `None` when the run is complete.
    pub fn upcoming(&mut self) -> Option<Job> {
        loop {
            if let Some(job) = self.first_attempt().or_else(|| self.repeat()) {
                return Some(job);
            }
            // A stored block after this one is finished before anything is predicted.
            if self.block >= self.last && !self.wants_another_block() {
                return None;
            }
            self.block += 1;
            self.order = self.order_of(self.block);
        }
    }

    /// The cells of `block` in their order: all of them, or those that earlier blocks do not know exactly enough.
    fn order_of(&self, block: u32) -> Vec<Cell> {
        let mut order = order(&self.plan, block);
        order.retain(|cell| self.precision.wants(&cell.condition, block));
        order
    }

    /// How far the run is, and how long the rest will take if trials take what they took.
    pub fn forecast(&self) -> Forecast {
        let cells = self.order.len() as u64;
        let settled = |block: u32, cell: &Cell| {
            self.tries.get(&(block, cell.clone())).is_some_and(|tries| tries.settled())
        };
        let rest_ms: Option<u64> = (self.block..=self.last.max(self.block))
            .flat_map(|block| self.order.iter().filter(move |cell| !settled(block, cell)))
            .map(|cell| self.expected_ms(cell))
            .sum();
        let block_ms = self.expected_of(&self.order);
        let begun = self.block.max(self.last) + 1;
        let blocks = match self.plan.length {
            Length::Blocks(blocks) => blocks.max(begun),
            Length::Budget { budget_ms, minimum_blocks } => {
                let more = match (rest_ms, block_ms) {
                    (Some(rest), Some(block)) => {
                        budget_ms.saturating_sub(self.spent_ms + rest) / block.max(1)
                    }
                    _ => 0,
                };
                begun.saturating_add(u32::try_from(more).unwrap_or(u32::MAX)).max(minimum_blocks)
            }
        };
        let left = rest_ms.zip(block_ms).map(|(rest, block)| {
            Duration::from_millis(rest + u64::from(blocks - begun).saturating_mul(block))
        });
        let done = self.tries.values().filter(|tries| tries.settled()).count() as u64;
        let earlier = self.tries.keys().filter(|(block, _)| *block < self.block).count() as u64;
        let total = (earlier + u64::from(blocks - self.block) * cells).max(done);
        Forecast { done, total, blocks, left }
    }

    fn tries(&self, cell: &Cell) -> Tries {
        self.tries.get(&(self.block, cell.clone())).copied().unwrap_or_default()
    }

    fn first_attempt(&self) -> Option<Job> {
        let position = self.order.iter().position(|cell| self.tries(cell).attempts == 0)?;
        Some(self.job(position, 1, self.order[position].clone()))
    }

    /// Of the cells that are still invalid, the one with the fewest attempts, then the earliest.
    fn repeat(&self) -> Option<Job> {
        let (cell, tries) = self
            .order
            .iter()
            .map(|cell| (cell, self.tries(cell)))
            .filter(|(_, tries)| !tries.settled())
            .min_by_key(|(_, tries)| tries.attempts)?;
        let position = self.order.iter().map(|cell| self.tries(cell).attempts as usize).sum();
        Some(self.job(position, tries.attempts + 1, cell.clone()))
    }

    fn job(&self, position: usize, attempt: u32, cell: Cell) -> Job {
        let position = u32::try_from(position).unwrap_or(u32::MAX);
        Job { block: self.block, position, attempt, cell }
    }

    fn wants_another_block(&self) -> bool {
        let finished = self.block + 1;
        let next = self.order_of(finished);
        if next.is_empty() {
            return false;
        }
        match self.plan.length {
            Length::Blocks(blocks) => finished < blocks,
            Length::Budget { budget_ms, minimum_blocks } => {
                finished < minimum_blocks
                    || self
                        .expected_of(&next)
                        .is_some_and(|block| self.spent_ms.saturating_add(block) <= budget_ms)
            }
        }
    }

    /// What these cells are expected to take.
    fn expected_of(&self, cells: &[Cell]) -> Option<u64> {
        cells.iter().map(|cell| self.expected_ms(cell)).sum()
    }

    /// The median of what the cell's trials took; where it has none yet, the mean of the other cells' medians.
    fn expected_ms(&self, cell: &Cell) -> Option<u64> {
        if let Some(took) = self.took_ms.get(cell) {
            return Some(median(took));
        }
        let medians: Vec<_> = self.took_ms.values().map(|took| median(took)).collect();
        medians.iter().sum::<u64>().checked_div(medians.len() as u64)
    }
}

fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

#[cfg(test)]
mod tests;
