//! One trial as it is stored: a line of `trials.jsonl`; and a run as it is read back.
//!
//! Owns the shapes and their schema number, and no file access. Rules: an outcome is a measured sample or the reasons why
//! there is none, never a number beside an error; a change of meaning raises [`SCHEMA`](super::SCHEMA), and
//! [`super::earlier`] reads what was written before.

use serde::{Deserialize, Serialize};

use super::environment::Environment;
use super::reason::Reason;
use super::sample::Sample;
use crate::load::latency;
use crate::plan::Cell;
use crate::plan::precision::Figures;
use crate::plan::schedule::Attempted;

/// One fresh balancer process serving one cell once: one line of `trials.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// [`SCHEMA`](super::SCHEMA) of the writer.
    pub schema: u32,
    /// Block (0-based): each block holds every cell once.
    pub block: u32,
    /// Place within the block (0-based): first attempts in their random order, repeats after them.
    pub position: u32,
    /// 1 for the first try; higher when an invalid trial was run again.
    pub attempt: u32,
    /// What was measured.
    #[serde(flatten)]
    pub cell: Cell,
    /// Start of the timed window, milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
    /// Wall-clock time of the whole trial, milliseconds: starting, warming up, measuring, ending.
    pub took_ms: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// Never a number beside an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every validity gate was passed.
    Measured(Box<Sample>),
    /// At least one was not: shown, never ranked.
    Invalid {
        /// Each gate that failed, with the counts behind it.
        reasons: Vec<Reason>,
    },
}

/// A run as it was read back from its folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The folder's name.
    pub name: String,
    /// `environment.json`.
    pub environment: Environment,
    /// `trials.jsonl`, in the order in which the trials ended.
    pub trials: Vec<Trial>,
}

impl Outcome {
    /// The sample of a valid trial.
    pub fn sample(&self) -> Option<&Sample> {
        match self {
            Outcome::Measured(sample) => Some(sample),
            Outcome::Invalid { .. } => None,
        }
    }

    /// Why the trial is invalid; nothing of a valid one.
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Outcome::Measured(_) => &[],
            Outcome::Invalid { reasons } => reasons,
        }
    }
}

/// The cells of a block that no attempt could measure, each once, with the reasons of the last attempt.
pub fn left_invalid(trials: &[Trial]) -> Vec<&Trial> {
    let same = |a: &Trial, b: &Trial| a.block == b.block && a.cell == b.cell;
    let measured: Vec<&Trial> =
        trials.iter().filter(|trial| matches!(trial.outcome, Outcome::Measured(_))).collect();
    let unmeasured = |trial: &&Trial| {
        matches!(trial.outcome, Outcome::Invalid { .. })
            && !trials.iter().any(|other| same(other, trial) && other.attempt > trial.attempt)
            && !measured.iter().any(|other| same(other, trial))
    };
    trials.iter().filter(unmeasured).collect()
}

impl Attempted for Trial {
    fn block(&self) -> u32 {
        self.block
    }

    fn attempt(&self) -> u32 {
        self.attempt
    }

    fn cell(&self) -> &Cell {
        &self.cell
    }

    fn took_ms(&self) -> u64 {
        self.took_ms
    }

    fn figures(&self) -> Option<Figures> {
        self.outcome.sample().map(figures)
    }
}

fn figures(sample: &Sample) -> Figures {
    let requests = sample.completed.max(1) as f64;
    let leading = match &sample.open_loop {
        None => (requests / sample.elapsed_ns.max(1) as f64).ln(),
        Some(open) => latency::decode(&open.latency_ns_hdr)
            .map_or(f64::NAN, |latency| (latency.value_at_quantile(0.5).max(1) as f64).ln()),
    };
    let cpu = sample.balancer.map(|usage| (usage.cpu_ns().max(1) as f64 / requests).ln());
    Figures { leading, cpu }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::host::Usage;
    use crate::load::OpenLoop;

    #[test]
    fn a_valid_trial_shows_its_throughput_and_an_open_loop_its_median_response_time() {
        let Outcome::Measured(mut sample) = fixtures::measured() else { unreachable!("a sample was made") };
        (sample.completed, sample.elapsed_ns) = (100, 2_000);
        sample.balancer = Some(Usage { user_ns: 300, system_ns: 200, ..Usage::default() });
        let near = |a: f64, b: f64| (a - b).abs() < 1e-3;
        let of = |sample: &Sample| {
            let outcome = Outcome::Measured(Box::new(sample.clone()));
            fixtures::trial(0, outcome).figures().unwrap()
        };
        assert!(near(of(&sample).leading, 0.05_f64.ln()));
        assert!(of(&sample).cpu.is_some_and(|cpu| near(cpu, 5_f64.ln())));
        sample.open_loop = Some(fixtures::open_loop(100, 100));
        // As exactly as a histogram tells times as short as these.
        assert!((of(&sample).leading - 3_000_f64.ln()).abs() < 0.1);
        let unreadable = OpenLoop { latency_ns_hdr: "%".into(), ..fixtures::open_loop(100, 100) };
        sample.open_loop = Some(unreadable);
        assert!(of(&sample).leading.is_nan());
        assert_eq!(fixtures::trial(0, fixtures::invalid("x")).figures(), None);
    }
}
