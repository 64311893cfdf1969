//! A stored run, cell by cell: what every table and chart is made from.
//!
//! Owns the reduction of trials to figures: a figure of a cell is the median over its valid blocks. Rules: an
//! invalid trial is kept with its reasons and never enters a figure; a trial whose record cannot be read back is
//! treated the same; a cell that was not run is told apart from one that failed.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use rayon::prelude::*;

use super::grid::Grid;
use super::loop_kind::Loop;
use super::trial::ValidTrial;
use crate::load::latency;
use crate::plan::comparisons::{self, Comparisons};
use crate::plan::{Cell, Competitor, Condition, Family, Layout};
use crate::record::{Hosts, Reason, Stored, Trial};
use crate::statistics::Spread;

/// A run, reduced.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The rows: the plan's in its order, then any other that has a trial.
    pub competitors: Vec<Competitor>,
    /// Its conditions.
    pub grid: Grid,
    /// Every cell that was planned or run.
    pub cells: BTreeMap<Cell, CellSummary>,
    /// Every invalid trial, in the order in which they ended.
    pub invalid: Vec<InvalidTrial>,
    /// Trials of both kinds.
    pub trials: usize,
    families: BTreeMap<Competitor, Family>,
    workers: BTreeMap<Competitor, u32>,
    /// Those that `workers` were described with.
    described_with: Option<u32>,
    processors: u32,
    machines: Machines,
    load: Loop,
}

/// Whom the roles share their processors with.
#[derive(Debug, Clone, Copy)]
struct Machines {
    /// Load generators.
    generators: u32,
    /// Processors of the hosts that have backends and no balancer; `None`: all roles are on one machine.
    beside: Option<u32>,
    /// Whether the balancer's host has backends.
    balancer_has_backends: bool,
}

impl Machines {
    fn of(hosts: Option<&Hosts>) -> Self {
        let Some(hosts) = hosts else {
            return Machines { generators: 1, beside: None, balancer_has_backends: true };
        };
        let others = hosts
            .each
            .iter()
            .filter(|host| host.name != hosts.balancer && hosts.backends.contains(&host.name));
        let beside: usize = others.map(|host| host.processors.len()).sum();
        Machines {
            generators: u32::try_from(hosts.load.len()).unwrap_or(u32::MAX).max(1),
            beside: Some(u32::try_from(beside).unwrap_or(u32::MAX)),
            balancer_has_backends: hosts.backends.contains(&hosts.balancer),
        }
    }
}

/// What is known of one cell.
#[derive(Debug, Clone, Default)]
pub struct CellSummary {
    /// Its valid trials, one a block, in the order of the blocks.
    pub valid: Vec<ValidTrial>,
    /// Number of its invalid trials.
    pub invalid: usize,
}

/// A trial that is shown, not ranked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidTrial {
    /// What was to be measured.
    pub cell: Cell,
    /// Block (0-based).
    pub block: u32,
    /// Which try.
    pub attempt: u32,
    /// Why it does not count.
    pub reasons: Vec<Reason>,
}

impl Summary {
    /// Reduces `stored`.
    pub fn of(stored: &Stored) -> Self {
        let plan = &stored.environment.plan;
        let mut summary = Summary {
            competitors: plan.competitors.clone(),
            grid: Grid::of(stored),
            cells: BTreeMap::new(),
            invalid: Vec::new(),
            trials: stored.trials.len(),
            families: stored.environment.models.iter().map(|m| (m.competitor.clone(), m.family)).collect(),
            workers: stored
                .environment
                .models
                .iter()
                .filter_map(|m| Some((m.competitor.clone(), m.workers?)))
                .collect(),
            processors: stored.environment.host.processors.max(1),
            machines: Machines::of(stored.environment.hosts.as_ref()),
            described_with: plan.base.workers,
            load: Loop::of_plan(plan),
        };
        for trial in &stored.trials {
            let competitor = &trial.cell.competitor;
            if !summary.competitors.contains(competitor) {
                summary.competitors.push(competitor.clone());
            }
        }
        let mut seen = Vec::new();
        summary.competitors.retain(|model| {
            let new = !seen.contains(model);
            seen.push(model.clone());
            new
        });
        for cell in plan.cells() {
            summary.cells.entry(cell).or_default();
        }
        let processors = summary.processors;
        let read: Vec<_> =
            stored.trials.par_iter().map(|trial| ValidTrial::of(trial, processors, &plan.gates)).collect();
        for (trial, outcome) in stored.trials.iter().zip(read) {
            summary.admit(trial, outcome);
        }
        for cell in summary.cells.values_mut() {
            cell.valid.sort_by_key(|trial| trial.block);
        }
        summary
    }

    fn admit(&mut self, trial: &Trial, outcome: Result<ValidTrial, Vec<Reason>>) {
        let cell = self.cells.entry(trial.cell.clone()).or_default();
        match outcome {
            // The first valid trial of a block is the block's: a later one would be a choice.
            Ok(valid) if cell.valid.iter().any(|earlier| earlier.block == valid.block) => {}
            Ok(valid) => cell.valid.push(valid),
            Err(reasons) => {
                cell.invalid += 1;
                self.invalid.push(InvalidTrial {
                    cell: trial.cell.clone(),
                    block: trial.block,
                    attempt: trial.attempt,
                    reasons,
                });
            }
        }
    }

    /// The cell of these coordinates; an empty one where it was neither planned nor run.
    pub fn cell(&self, row: &Competitor, condition: &Condition) -> &CellSummary {
        static EMPTY: CellSummary = CellSummary { valid: Vec::new(), invalid: 0 };
        let key = Cell { competitor: row.clone(), condition: condition.clone() };
        self.cells.get(&key).unwrap_or(&EMPTY)
    }

    /// The invalid trials of that cell, in the order in which they ended.
    pub fn invalid_of<'a>(
        &'a self,
        row: &'a Competitor,
        condition: &'a Condition,
    ) -> impl Iterator<Item = &'a InvalidTrial> {
        self.invalid.iter().filter(move |of| of.cell.competitor == *row && of.cell.condition == *condition)
    }

    /// The model that ratios are taken to.
    pub fn reference(&self) -> Option<&Competitor> {
        comparisons::reference(&self.competitors)
    }

    /// The rows that are ranked: not the direct one, nor those that control the measurement.
    pub fn balancers(&self) -> impl Iterator<Item = &Competitor> {
        comparisons::ranked(&self.competitors)
    }

    /// Who is compared with whom.
    pub fn comparisons(&self) -> Comparisons {
        Comparisons::among(&self.competitors)
    }

    /// The rows that are drawn and stand in the short table: not those that control the measurement.
    pub fn shown(&self) -> impl Iterator<Item = &Competitor> {
        self.competitors.iter().filter(|competitor| !competitor.is_control())
    }

    /// Every condition, in the order of the tables.
    pub fn conditions(&self) -> &[Condition] {
        self.grid.conditions()
    }

    /// Every competitor under every condition, in the order of the tables.
    pub fn cells_in_order(&self) -> impl Iterator<Item = (&Competitor, &Condition, &CellSummary)> {
        self.competitors.iter().flat_map(move |row| {
            let with = move |condition| (row, condition, self.cell(row, condition));
            self.conditions().iter().map(with)
        })
    }

    /// Processors of the machine.
    pub fn processors(&self) -> u32 {
        self.processors
    }

    /// Worker threads of `row` under `condition`, where it says a number: the number that was asked for, if it took what
    /// was asked for when it was described.
    pub fn workers(&self, row: &Competitor, condition: &Condition) -> Option<u32> {
        let described = self.workers.get(&row.as_it_is()).copied();
        let follows = described == self.described_with;
        if follows { condition.workers } else { described }
    }

    /// Threaded or async; [`Family::None`] for the direct row and for one that the run does not describe.
    pub fn family(&self, row: &Competitor) -> Family {
        let of = |competitor: &Competitor| self.families.get(competitor).copied();
        of(row).or_else(|| of(&row.as_it_is())).unwrap_or(Family::None)
    }

    /// Processors that the balancer may use under `condition`, and then those that the backends may.
    pub fn processors_of_roles(&self, condition: &Condition) -> (u32, u32) {
        let (balancer, others) = match condition.layout {
            Layout::Shared => (self.processors(), self.processors()),
            Layout::Pinned => (1, self.processors().saturating_sub(1).max(1)),
        };
        let of_its_host = if self.machines.balancer_has_backends { others } else { 0 };
        (balancer, (self.machines.beside.unwrap_or(0) + of_its_host).max(1))
    }

    /// Load generators, of one thread each, that drove so many requests at a time.
    pub fn generators(&self, concurrency: u32) -> u32 {
        self.machines.generators.min(concurrency).max(1)
    }

    /// How the load was driven.
    pub fn load(&self) -> Loop {
        self.load
    }

    /// Every valid trial, in the order of the cells.
    pub fn valid(&self) -> impl Iterator<Item = &ValidTrial> {
        self.cells.values().flat_map(|cell| &cell.valid)
    }

    /// Fewest and most valid blocks of any cell that has one; zero where none has.
    pub fn blocks(&self) -> (usize, usize) {
        let counts = || self.cells.values().map(|cell| cell.valid.len()).filter(|&count| count > 0);
        (counts().min().unwrap_or(0), counts().max().unwrap_or(0))
    }

    /// Paired log-ratios of `figure`, `row` to `with`, a value for each block in which both have a valid
    /// trial under `condition`.
    pub fn log_ratios(
        &self,
        (row, with): (&Competitor, &Competitor),
        condition: &Condition,
        figure: impl Fn(&ValidTrial) -> Option<f64>,
    ) -> Vec<f64> {
        self.log_ratios_by_block((row, with), condition, figure).into_iter().map(|(_, value)| value).collect()
    }

    /// The same, each with its block. A pair that has no logarithm (zero, negative, not a number) is left out: it came from
    /// no valid trial.
    pub fn log_ratios_by_block(
        &self,
        (row, with): (&Competitor, &Competitor),
        condition: &Condition,
        figure: impl Fn(&ValidTrial) -> Option<f64>,
    ) -> Vec<(u32, f64)> {
        let (ours, theirs) = (self.cell(row, condition), self.cell(with, condition));
        let ratio = |trial: &ValidTrial| {
            let ratio = figure(trial)? / figure(theirs.in_block(trial.block)?)?;
            Some((trial.block, ratio.ln())).filter(|(_, log)| log.is_finite())
        };
        ours.valid.iter().filter_map(ratio).collect()
    }
}

impl CellSummary {
    /// The valid trial of `block`.
    pub fn in_block(&self, block: u32) -> Option<&ValidTrial> {
        self.valid.iter().find(|trial| trial.block == block)
    }

    /// Middle and extent of `figure` over the valid blocks that have it.
    pub fn spread(&self, figure: impl Fn(&ValidTrial) -> Option<f64>) -> Option<Spread> {
        Spread::of(&self.valid.iter().filter_map(figure).collect::<Vec<_>>())
    }

    /// The same, where every valid block has the figure.
    pub fn spread_of_all(&self, figure: impl Fn(&ValidTrial) -> Option<f64>) -> Option<Spread> {
        Spread::of(&self.valid.iter().map(figure).collect::<Option<Vec<_>>>()?)
    }

    /// All valid blocks' response times in one histogram.
    pub fn pooled(&self) -> Option<Histogram<u64>> {
        let mut pooled = latency::histogram();
        for trial in &self.valid {
            // Every histogram that [`ValidTrial`] lets in fits these bounds.
            pooled.add(&trial.latency).ok()?;
        }
        (!pooled.is_empty()).then_some(pooled)
    }
}

#[cfg(test)]
mod tests;
