//! Facts about the order of trials, run with outcomes and durations that are made up: no process, no waiting.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::fixtures::{invalid, measured, plan};
use crate::record::{Outcome, SCHEMA, Trial};

/// Runs what is left of `plan` after `trials`; `trial` makes up what comes of a job and how long it takes.
fn complete(plan: &Plan, mut trials: Vec<Trial>, trial: impl Fn(&Job) -> (Outcome, u64)) -> Vec<Trial> {
    let mut schedule = Schedule::new(plan, &trials);
    while let Some(job) = schedule.upcoming() {
        let (outcome, took_ms) = trial(&job);
        let Job { block, position, attempt, cell } = job;
        let trial =
            Trial { schema: SCHEMA, block, position, attempt, cell, started_unix_ms: 0, took_ms, outcome };
        schedule.record(&trial);
        trials.push(trial);
        assert!(trials.len() < 10_000, "the run does not end");
    }
    trials
}

fn blocks(trials: &[Trial]) -> u32 {
    trials.iter().map(|trial| trial.block + 1).max().unwrap_or(0)
}

/// Fails now and then, in a way that depends on the trial only.
fn moody(job: &Job) -> (Outcome, u64) {
    let noise =
        job.cell.competitor.name.len() as u32 + 7 * job.block + 3 * job.cell.condition.backends + job.attempt;
    (if noise.is_multiple_of(3) { invalid("made up") } else { measured() }, u64::from(noise))
}

#[test]
fn every_block_holds_every_cell_once_and_compared_rows_stand_together() {
    let plan = plan(Length::Blocks(4));
    let trials = complete(&plan, Vec::new(), |_| (measured(), 1));
    assert_eq!(trials.len(), 4 * plan.cells().len());
    let all: BTreeSet<_> = plan.cells().into_iter().collect();
    for block in trials.chunks(all.len()) {
        assert_eq!(block.iter().map(|trial| trial.cell.clone()).collect::<BTreeSet<_>>(), all);
        for (position, trial) in block.iter().enumerate() {
            assert_eq!((trial.block, trial.position as usize), (block[0].block, position));
        }
        for rows in block.chunks(plan.competitors.len()) {
            assert!(rows.iter().all(|row| row.cell.condition == rows[0].cell.condition));
        }
    }
}

#[test]
fn the_seed_and_the_block_decide_the_order() {
    let plan = plan(Length::Blocks(1));
    assert_eq!(order(&plan, 0), order(&plan, 0));
    assert_ne!(order(&plan, 0), order(&plan, 1));
    assert_ne!(order(&plan, 0), order(&Plan { seed: 43, ..plan.clone() }, 0));
    // More blocks do not change the ones before them.
    assert_eq!(order(&plan, 1), order(&Plan { length: Length::Blocks(9), ..plan.clone() }, 1));
}

#[test]
fn an_invalid_trial_is_run_again_at_the_end_of_its_block() {
    let plan = plan(Length::Blocks(2));
    let unlucky = order(&plan, 0)[3].clone();
    let trials = complete(&plan, Vec::new(), |job| {
        let fails = job.cell == unlucky && job.block == 0 && job.attempt == 1;
        (if fails { invalid("made up") } else { measured() }, 1)
    });
    let cells = plan.cells().len();
    assert_eq!(trials.len(), 2 * cells + 1);
    let again = &trials[cells];
    assert_eq!((again.block, again.position as usize, again.attempt), (0, cells, 2));
    assert_eq!(again.cell, unlucky);
    assert_eq!(trials[cells + 1].block, 1);
}

#[test]
fn a_cell_that_stays_invalid_is_given_up_after_three_attempts() {
    let plan = plan(Length::Blocks(1));
    let trials = complete(&plan, Vec::new(), |job| {
        (if job.cell.competitor.name == "mio" { invalid("made up") } else { measured() }, 1)
    });
    let attempts: Vec<_> = trials
        .iter()
        .filter(|trial| trial.cell.competitor.name == "mio")
        .map(|trial| trial.attempt)
        .collect();
    assert_eq!(attempts, [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]);
}

#[test]
fn a_block_is_begun_only_when_it_is_expected_to_fit_the_budget() {
    // Twelve cells of 10 ms are a block of 120 ms.
    let run = |budget_ms| {
        let plan = plan(Length::Budget { budget_ms, minimum_blocks: 3 });
        blocks(&complete(&plan, Vec::new(), |_| (measured(), 10)))
    };
    assert_eq!(run(1), 3, "the minimum holds however short the budget is");
    assert_eq!(run(479), 3);
    assert_eq!(run(480), 4);
    assert_eq!(run(1200), 10);
}

#[test]
fn one_slow_trial_does_not_end_a_run_that_its_median_would_let_go_on() {
    let plan = plan(Length::Budget { budget_ms: 1000, minimum_blocks: 3 });
    let slow = order(&plan, 0)[0].clone();
    let trials = complete(&plan, Vec::new(), |job| {
        (measured(), if job.cell == slow && job.block == 0 { 300 } else { 10 })
    });
    // 290 ms are lost for good; 120 ms a block: 410, 530, … 890.
    assert_eq!(blocks(&trials), 5);
}

#[test]
fn the_forecast_counts_down_to_nothing() {
    for length in [Length::Blocks(3), Length::Budget { budget_ms: 400, minimum_blocks: 3 }] {
        let plan = plan(length);
        assert_eq!(Schedule::new::<Trial>(&plan, &[]).forecast().left, None);
        let trials = complete(&plan, Vec::new(), |_| (measured(), 10));
        assert_eq!(trials.len(), 36);
        for done in 1..=36 {
            let forecast = Schedule::new(&plan, &trials[..done]).forecast();
            assert_eq!((forecast.done, forecast.total, forecast.blocks), (done as u64, 36, 3));
            assert_eq!(forecast.left, Some(Duration::from_millis(10 * (36 - done as u64))));
        }
    }
}

#[test]
fn a_trial_missing_from_an_earlier_block_is_made_up_for() {
    let plan = plan(Length::Blocks(3));
    let mut trials = complete(&plan, Vec::new(), |_| (measured(), 1));
    let lost = trials.remove(5);
    let job = Schedule::new(&plan, &trials).upcoming().unwrap();
    assert_eq!((job.block, job.position, job.cell), (lost.block, lost.position, lost.cell));
    assert_eq!(complete(&plan, trials, |_| (measured(), 1)).len(), 36);
}

proptest! {
    #[test]
    fn a_run_resumed_after_any_prefix_has_the_same_trials(
        seed: u64,
        cut in 0.0..1.0,
        budget_ms in prop_oneof![Just(None), (1u64..2000).prop_map(Some)],
    ) {
        let length = match budget_ms {
            Some(budget_ms) => Length::Budget { budget_ms, minimum_blocks: 3 },
            None => Length::Blocks(3),
        };
        let plan = Plan { seed, ..plan(length) };
        let whole = complete(&plan, Vec::new(), moody);
        let cut = (whole.len() as f64 * cut) as usize;
        let resumed = complete(&plan, whole[..cut].to_vec(), moody);
        prop_assert_eq!(resumed, whole);
    }
}

/// A measured trial of which throughput and CPU time vary with the block, by `noise` percent, in one condition alone.
fn noisy(job: &Job, noise: u32) -> (Outcome, u64) {
    let Outcome::Measured(mut sample) = measured() else { unreachable!("a sample was made") };
    let condition = &job.cell.condition;
    let loud = condition.backends == 1 && condition.concurrency == 2 && job.cell.competitor.name == "mio";
    let percent = if loud { 100 + noise * (job.block % 3) } else { 100 };
    sample.completed = 1000;
    sample.elapsed_ns = 10_000 * u64::from(percent);
    sample.balancer = Some(crate::host::Usage { user_ns: 10_000 * u64::from(percent), ..Default::default() });
    (Outcome::Measured(sample), 10)
}

#[test]
fn with_a_precision_only_the_conditions_that_need_it_get_more_blocks() {
    let budget = Length::Budget { budget_ms: 100_000, minimum_blocks: 3 };
    let plan = Plan { precision_percent: Some(5), ..plan(budget) };
    let trials = complete(&plan, Vec::new(), |job| noisy(job, 20));
    let later: Vec<_> =
        trials.iter().filter(|trial| trial.block >= crate::plan::precision::LEAST_BLOCKS).collect();
    assert!(!later.is_empty());
    assert!(
        later.iter().all(|trial| (trial.cell.condition.backends, trial.cell.condition.concurrency) == (1, 2))
    );
    // Such a block still holds every row of the condition, so that there are pairs.
    assert_eq!(later.len() % plan.competitors.len(), 0);
    // And it ends when the ratio is known, long before the budget.
    assert!(trials.iter().map(|trial| trial.took_ms).sum::<u64>() < 90_000);
}

#[test]
fn with_a_precision_the_budget_still_ends_the_run() {
    let budget = Length::Budget { budget_ms: 2_000, minimum_blocks: 3 };
    let plan = Plan { precision_percent: Some(1), ..plan(budget) };
    let trials = complete(&plan, Vec::new(), |job| noisy(job, 50));
    assert!(trials.iter().map(|trial| trial.took_ms).sum::<u64>() <= 2_000);
}

proptest! {
    #[test]
    fn a_run_with_a_precision_resumed_after_any_prefix_is_the_same_run(kept in 0usize..200) {
        let budget = Length::Budget { budget_ms: 100_000, minimum_blocks: 3 };
        let plan = Plan { precision_percent: Some(5), ..plan(budget) };
        let whole = complete(&plan, Vec::new(), |job| noisy(job, 20));
        let prefix = whole[..kept.min(whole.len())].to_vec();
        prop_assert_eq!(complete(&plan, prefix, |job| noisy(job, 20)), whole);
    }
}

#[test]
fn a_trial_that_the_plan_cannot_have_made_is_found() {
    let plan = plan(Length::Blocks(3));
    let trials = complete(&plan, Vec::new(), |_| (measured(), 1));
    assert_eq!(foreign(&plan, &trials), None);
    // Somebody deleted the first block.
    assert_eq!(foreign(&plan, &trials[plan.cells().len()..]), None);
    let altered = |alter: fn(&mut Trial)| {
        let mut trials = trials.clone();
        alter(&mut trials[1]);
        foreign(&plan, &trials).cloned() == Some(trials[1].clone())
    };
    assert!(altered(|trial| trial.block = u32::MAX));
    assert!(altered(|trial| trial.cell.competitor = crate::plan::Competitor::of("another")));
    assert!(altered(|trial| trial.cell.condition.backends = 0));
}

#[test]
fn a_record_of_an_endless_trial_does_not_overflow() {
    let plan = plan(Length::Budget { budget_ms: 60_000, minimum_blocks: 3 });
    let trials = complete(&plan, Vec::new(), |_| (measured(), u64::MAX));
    assert_eq!(blocks(&trials), 3);
}
