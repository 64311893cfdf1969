//! A stored run, cell by cell: what every table and chart is made from.
//!
//! Owns the reduction of trials to figures: a figure of a cell is the median over its valid blocks. Rules: an
//! invalid trial is kept with its reasons and never enters a figure; a trial whose record cannot be read back is
//! treated the same; a cell that was not run is told apart from one that failed.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use rayon::prelude::*;

use crate::host::Usage;
use crate::load::latency;
use crate::plan::comparisons::{self, Comparisons};
use crate::plan::{Cell, Competitor, Condition, Connections, Family, Layout};
use crate::record::{Outcome, Reason, Sample, Stored, Trial};
use crate::report::open_loop::Kept;
use crate::statistics::{self, Spread};

/// A run, reduced.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Rows: the plan's models in its order, then any other that has a trial.
    pub models: Vec<Competitor>,
    /// Backend counts, ascending.
    pub backends: Vec<u32>,
    /// Concurrencies, ascending.
    pub concurrency: Vec<u32>,
    /// Every cell that was planned or run.
    pub cells: BTreeMap<Cell, Summarised>,
    /// Every invalid trial, in the order in which they ended.
    pub invalid: Vec<Refused>,
    /// Trials of both kinds.
    pub trials: usize,
    families: BTreeMap<Competitor, Family>,
    workers: BTreeMap<Competitor, u32>,
    base: Condition,
    processors: u32,
    connections: Connections,
    layout: Layout,
    rate: Option<u64>,
}

/// What is known of one cell.
#[derive(Debug, Clone, Default)]
pub struct Summarised {
    /// Its valid trials, one a block, in the order of the blocks.
    pub valid: Vec<Measured>,
    /// Number of its invalid trials.
    pub invalid: usize,
}

/// One valid trial, in the units of the tables.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Block (0-based).
    pub block: u32,
    /// Requests answered correctly.
    pub completed: u64,
    /// Answers that were not 2xx.
    pub non_2xx: u64,
    /// Requests a second; in an open loop, of the whole schedule.
    pub rate: f64,
    /// The balancer's CPU time a request, user mode, µs; `None` in the direct row.
    pub user_us: Option<f64>,
    /// The balancer's CPU time a request, in the kernel, µs.
    pub system_us: Option<f64>,
    /// CPU time a request of client, balancer and backends together, µs.
    pub all_cpu_us: f64,
    /// What each role used of one processor's time.
    pub used: Used,
    /// Share of all processors' time that was idle, 0 to 1.
    pub idle: f64,
    /// Response times, ns; in an open loop from when each request was due.
    pub latency: Histogram<u64>,
    /// How the rate was kept; `None` in a closed loop.
    pub kept: Option<Kept>,
    /// Share of the machine's time that the hypervisor gave to others, 0 to 1.
    pub steal: f64,
    /// Connections that met a full accept queue.
    pub listen_overflows: u64,
    /// Retransmission timers that fired.
    pub tcp_timeouts: u64,
}

/// CPU time over the window's length: 1 is one processor all the time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Used {
    /// The load generator.
    pub client: f64,
    /// The balancer; `None` in the direct row.
    pub balancer: Option<f64>,
    /// The backends, summed.
    pub backends: f64,
}

/// A trial that is shown, not ranked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
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
            models: plan.competitors.clone(),
            backends: plan.backends(),
            concurrency: plan.concurrency(),
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
            connections: plan.base.connections,
            layout: plan.base.layout,
            rate: plan.base.rate,
            base: plan.base.clone(),
        };
        for trial in &stored.trials {
            if !summary.models.contains(&trial.cell.competitor) {
                summary.models.push(trial.cell.competitor.clone());
            }
            summary.backends.push(trial.cell.condition.backends);
            summary.concurrency.push(trial.cell.condition.concurrency);
        }
        let mut seen = Vec::new();
        summary.models.retain(|model| {
            let new = !seen.contains(model);
            seen.push(model.clone());
            new
        });
        for axis in [&mut summary.backends, &mut summary.concurrency] {
            axis.sort_unstable();
            axis.dedup();
        }
        for cell in plan.cells() {
            summary.cells.entry(cell).or_default();
        }
        let (processors, rate) = (summary.processors, summary.rate);
        let read: Vec<_> = stored.trials.par_iter().map(|trial| measured(trial, processors, rate)).collect();
        for (trial, outcome) in stored.trials.iter().zip(read) {
            summary.admit(trial, outcome);
        }
        for cell in summary.cells.values_mut() {
            cell.valid.sort_by_key(|measured| measured.block);
        }
        summary
    }

    fn admit(&mut self, trial: &Trial, outcome: Result<Measured, Vec<Reason>>) {
        let cell = self.cells.entry(trial.cell.clone()).or_default();
        match outcome {
            // The first valid trial of a block is the block's: a later one would be a choice.
            Ok(measured) if cell.valid.iter().any(|earlier| earlier.block == measured.block) => {}
            Ok(measured) => cell.valid.push(measured),
            Err(reasons) => {
                cell.invalid += 1;
                self.invalid.push(Refused {
                    cell: trial.cell.clone(),
                    block: trial.block,
                    attempt: trial.attempt,
                    reasons,
                });
            }
        }
    }

    /// The cell of these coordinates; an empty one where it was neither planned nor run.
    pub fn cell(&self, model: &Competitor, backends: u32, concurrency: u32) -> &Summarised {
        static NOTHING: Summarised = Summarised { valid: Vec::new(), invalid: 0 };
        self.cells.get(&self.key(model, backends, concurrency)).unwrap_or(&NOTHING)
    }

    /// The key of the cell of these coordinates.
    pub fn key(&self, model: &Competitor, backends: u32, concurrency: u32) -> Cell {
        Cell {
            competitor: model.clone(),
            condition: Condition { backends, concurrency, ..self.base.clone() },
        }
    }

    /// The model that ratios are taken to.
    pub fn reference(&self) -> Option<&Competitor> {
        comparisons::reference(&self.models)
    }

    /// The rows that are ranked: not the direct one, nor those that control the measurement.
    pub fn balancers(&self) -> impl Iterator<Item = &Competitor> {
        comparisons::ranked(&self.models)
    }

    /// Who is compared with whom.
    pub fn comparisons(&self) -> Comparisons {
        Comparisons::among(&self.models)
    }

    /// Every backend count with every concurrency, in the order of the tables.
    pub fn places(&self) -> Vec<(u32, u32)> {
        let with = |&backends: &u32| self.concurrency.iter().map(move |&concurrency| (backends, concurrency));
        self.backends.iter().flat_map(with).collect()
    }

    /// Processors of the machine.
    pub fn processors(&self) -> u32 {
        self.processors
    }

    /// Worker threads of `model`, where its manifest says a number.
    pub fn workers(&self, model: &Competitor) -> Option<u32> {
        self.workers.get(&model.as_it_is()).copied()
    }

    /// Threaded or async; [`Family::None`] for the direct row and for a model that the run does not describe.
    pub fn family(&self, model: &Competitor) -> Family {
        let of = |competitor: &Competitor| self.families.get(competitor).copied();
        of(model).or_else(|| of(&model.as_it_is())).unwrap_or(Family::None)
    }

    /// Processors that each role may use: the balancer, then each of the others.
    pub fn processors_of_roles(&self) -> (u32, u32) {
        match self.layout {
            Layout::Shared => (self.processors(), self.processors()),
            Layout::Pinned => (1, self.processors().saturating_sub(1).max(1)),
        }
    }

    /// Requests per second of the open loop; `None`: a closed loop.
    pub fn rate(&self) -> Option<u64> {
        self.rate
    }

    /// Client connections.
    pub fn connections(&self) -> Connections {
        self.connections
    }

    /// Every valid trial, in the order of the cells.
    pub fn valid(&self) -> impl Iterator<Item = &Measured> {
        self.cells.values().flat_map(|cell| &cell.valid)
    }

    /// Fewest and most valid blocks of any cell that has one; zero where none has.
    pub fn blocks(&self) -> (usize, usize) {
        let counts = || self.cells.values().map(|cell| cell.valid.len()).filter(|&count| count > 0);
        (counts().min().unwrap_or(0), counts().max().unwrap_or(0))
    }

    /// Paired log-ratios of `figure`, `model` to `reference`, a value for each block in which both have a valid
    /// trial of this backend count and concurrency.
    pub fn log_ratios(
        &self,
        (model, reference): (&Competitor, &Competitor),
        (backends, concurrency): (u32, u32),
        figure: impl Fn(&Measured) -> Option<f64>,
    ) -> Vec<f64> {
        let (ours, theirs) =
            (self.cell(model, backends, concurrency), self.cell(reference, backends, concurrency));
        let pairs: Vec<_> = ours
            .valid
            .iter()
            .filter_map(|value| Some((figure(value)?, figure(theirs.in_block(value.block)?)?)))
            .collect();
        statistics::log_ratios(&pairs)
    }
}

impl Summarised {
    /// The valid trial of `block`.
    pub fn in_block(&self, block: u32) -> Option<&Measured> {
        self.valid.iter().find(|measured| measured.block == block)
    }

    /// Middle and extent of `figure` over the valid blocks that have it.
    pub fn spread(&self, figure: impl Fn(&Measured) -> Option<f64>) -> Option<Spread> {
        Spread::of(&self.valid.iter().filter_map(figure).collect::<Vec<_>>())
    }

    /// The same, where every valid block has the figure.
    pub fn spread_of_all(&self, figure: impl Fn(&Measured) -> Option<f64>) -> Option<Spread> {
        Spread::of(&self.valid.iter().map(figure).collect::<Option<Vec<_>>>()?)
    }

    /// All valid blocks' response times in one histogram.
    pub fn pooled(&self) -> Option<Histogram<u64>> {
        let mut pooled = latency::histogram();
        for measured in &self.valid {
            // Every histogram that `measured` lets in fits these bounds.
            pooled.add(&measured.latency).ok()?;
        }
        (!pooled.is_empty()).then_some(pooled)
    }
}

impl Measured {
    /// Requests a second.
    pub fn rate(&self) -> Option<f64> {
        Some(self.rate)
    }

    /// Time a request, mean over all that were outstanding together (`ab`'s second figure), ms.
    pub fn mean_ms(&self) -> Option<f64> {
        Some(1e3 / self.rate)
    }

    /// The balancer's CPU time a request, user and system, µs.
    pub fn cpu_us(&self) -> Option<f64> {
        Some(self.user_us? + self.system_us?)
    }

    /// A percentile of the response time, ms, where the count supports it.
    pub fn percentile_ms(&self, percentile: f64) -> Option<f64> {
        latency::percentile_ms(&self.latency, percentile)
    }
}

fn measured(trial: &Trial, processors: u32, rate: Option<u64>) -> Result<Measured, Vec<Reason>> {
    let sample = match &trial.outcome {
        Outcome::Measured(sample) => sample,
        Outcome::Invalid { reasons } => return Err(reasons.clone()),
    };
    read_sample(trial.block, sample, processors, rate).map_err(|reason| vec![Reason::Words(reason)])
}

fn read_sample(block: u32, sample: &Sample, processors: u32, rate: Option<u64>) -> Result<Measured, String> {
    if sample.completed == 0 || sample.elapsed_ns == 0 {
        return Err(format!(
            "the record says {} requests in {} ns: the trials file was altered: run the cell again",
            sample.completed, sample.elapsed_ns
        ));
    }
    let open_loop = sample.open_loop.as_ref();
    let kept = open_loop.map(|open| Kept::of(open, sample.completed)).transpose()?;
    if kept.map(|kept| kept.rate) != rate {
        return Err(
            "the record is of another rate than the plan: the files were altered: run the cell again".into(),
        );
    }
    let latency = open_loop.map_or(&sample.latency_ns_hdr, |open| &open.latency_ns_hdr);
    let latency = latency::decode(latency).map_err(|error| error.to_string())?;
    // A histogram of foreign bounds would not pool with the others.
    let mut fitting = latency::histogram();
    fitting.add(&latency).map_err(|error| format!("the latency histogram has foreign bounds ({error})"))?;
    let completed = sample.completed as f64;
    let whole = sample.elapsed_ns as f64 * f64::from(processors);
    let cpu_ns = |usage: &Usage| usage.cpu_ns() as f64;
    let share = |usage: &Usage| cpu_ns(usage) / sample.elapsed_ns as f64;
    let all_cpu_ns =
        cpu_ns(&sample.client) + sample.balancer.as_ref().map_or(0.0, cpu_ns) + cpu_ns(&sample.backends);
    let a_request_us = |ns: u64| ns as f64 / 1e3 / completed;
    Ok(Measured {
        block,
        completed: sample.completed,
        non_2xx: sample.non_2xx,
        rate: kept.map_or(completed * 1e9 / sample.elapsed_ns as f64, |kept| kept.achieved),
        user_us: sample.balancer.map(|usage| a_request_us(usage.user_ns)),
        system_us: sample.balancer.map(|usage| a_request_us(usage.system_ns)),
        all_cpu_us: all_cpu_ns / 1e3 / completed,
        used: Used {
            client: share(&sample.client),
            balancer: sample.balancer.as_ref().map(share),
            backends: share(&sample.backends),
        },
        idle: sample.host.idle_ns as f64 / whole,
        latency: fitting,
        kept,
        steal: sample.host.steal_ns as f64 / whole,
        listen_overflows: sample.host.listen_overflows,
        tcp_timeouts: sample.host.tcp_timeouts,
    })
}

#[cfg(test)]
mod tests;
