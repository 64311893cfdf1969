//! Two runs made up from a seed, and what changed between them.

use super::*;
use crate::analysis::synthetic::{Run, half, recondition, slow_cpu};
use crate::fixtures;
use crate::plan::factor;
use crate::record::Reason;
use crate::record::{Outcome as Trial, Sample};

fn run(name: &str, first_block: u32, alter: impl Fn(&str, &mut Sample)) -> Stored {
    altered(half(name, first_block, Run::new()), alter)
}

fn altered(mut stored: Stored, alter: impl Fn(&str, &mut Sample)) -> Stored {
    for trial in &mut stored.trials {
        if let Trial::Measured(sample) = &mut trial.outcome {
            alter(&trial.cell.competitor.to_string(), sample);
        }
    }
    stored
}

fn base() -> Stored {
    run("base", 0, |_, _| ())
}

fn against(new: &Stored) -> Difference {
    Difference::of(&base(), new, 10, false).unwrap()
}

fn overall(difference: &Difference) -> impl Iterator<Item = &Change> {
    difference.changes.iter().filter(|change| change.condition.is_none())
}

fn changed_cells(difference: &Difference) -> Vec<&Change> {
    let cells = difference.changes.iter().filter(|change| change.condition.is_some());
    cells.filter(|change| change.is_worse() || change.is_better()).collect()
}

#[test]
fn two_runs_of_the_same_thing_have_no_regression() {
    let difference = against(&run("new", 8, |_, _| ()));
    assert_eq!(difference.outcome, Outcome::NoRegression, "{difference:?}");
    assert!(changed_cells(&difference).is_empty());
    assert!(difference.floors.iter().all(|floor| floor.cell.is_some() && floor.all.is_some()));
    assert_eq!(overall(&difference).count(), 2 * Metric::ALL.len());
}

#[test]
fn more_cpu_a_request_is_a_regression_that_is_named_and_less_is_none() {
    let worse = against(&run("new", 8, |model, sample| slow_cpu(model, "mio", sample, 1.2)));
    assert_eq!(worse.outcome, Outcome::Regression);
    assert!(overall(&worse).any(|change| {
        change.model.name == "mio" && change.metric == Metric::BalancerCpu && change.is_worse()
    }));
    assert!(!changed_cells(&worse).is_empty());
    let better = against(&run("new", 8, |model, sample| slow_cpu(model, "mio", sample, 0.8)));
    assert_eq!(better.outcome, Outcome::NoRegression, "{better:?}");
}

#[test]
fn a_machine_that_became_slower_is_no_regression_of_the_models() {
    let slower = run("new", 8, |_, sample| sample.elapsed_ns = sample.elapsed_ns * 5 / 4);
    let worse: Vec<_> = against(&slower).changes.into_iter().filter(Change::is_worse).collect();
    assert!(worse.iter().all(|change| change.metric != Metric::Throughput), "{worse:?}");
}

#[test]
fn one_block_cannot_tell_and_neither_can_a_run_that_lost_a_cell() {
    let mut one = run("new", 8, |_, _| ());
    one.trials.retain(|trial| trial.block == 8);
    assert_eq!(against(&one).outcome, Outcome::CannotTell);
    let mut lost = run("new", 8, |_, _| ());
    for trial in
        lost.trials.iter_mut().filter(|t| t.cell.competitor.name == "mio" && t.cell.condition.backends == 2)
    {
        trial.outcome = Trial::Invalid { reasons: vec![Reason::Words("1 of 10000 failed".into())] };
    }
    let difference = against(&lost);
    assert_eq!(difference.outcome, Outcome::CannotTell);
    let base = base().environment.plan.base;
    let condition = |concurrency| Condition { backends: 2, concurrency, ..base.clone() };
    let lost = |concurrency| LostCell { row: Competitor::of("mio"), condition: condition(concurrency) };
    assert_eq!(difference.lost, [lost(2), lost(10)]);
}

#[test]
fn another_grid_load_or_machine_is_refused_unless_forced() {
    let mut other = run("new", 8, |_, _| ());
    recondition(&mut other, |condition| condition.requests = 500);
    other.environment.plan = fixtures::over(other.environment.plan, &factor::BACKENDS, &[1, 2, 3]);
    other.environment.host.processors = 64;
    other.environment.build.commit = "another".into();
    let error = Difference::of(&base(), &other, 10, false).unwrap_err();
    let DifferenceError::Mismatch { mismatches, .. } = &error else { panic!("{error}") };
    assert_eq!(
        mismatches.as_slice(),
        ["backends 1, 2 against 1, 2, 3", "requests a trial 10000 against 500", "processors 2 against 64"]
    );
    assert!(error.to_string().contains("--force"));
    let forced = Difference::of(&base(), &other, 10, true).unwrap();
    assert_eq!(forced.mismatches.len(), 3);
}

#[test]
fn runs_without_a_common_model_are_refused_with_a_remedy() {
    let mut other = base();
    other.trials.retain(|trial| trial.cell.competitor.is_direct());
    let error = Difference::of(&base(), &other, 10, true).unwrap_err();
    assert!(matches!(error, DifferenceError::NothingInCommon { .. }), "{error}");
}

fn paced(name: &str, first_block: u32, rate: u64, alter: impl Fn(&str, &mut Sample)) -> Stored {
    altered(half(name, first_block, Run::new().rate(rate)), alter)
}

/// Every response time of `model` from when its request was due, by `more` longer.
fn delay(model: &str, of: &str, sample: &mut Sample, more: f64) {
    let Some(open) = sample.open_loop.as_mut().filter(|_| model == of) else { return };
    let before = crate::load::latency::decode(&open.latency_ns_hdr).unwrap();
    let mut after = crate::load::latency::histogram();
    for value in before.iter_recorded() {
        let ns = (value.value_iterated_to() as f64 * more) as u64;
        after.saturating_record_n(ns, value.count_at_value());
    }
    open.latency_ns_hdr = crate::load::latency::encode(&after);
}

#[test]
fn two_open_loops_are_compared_in_response_times_and_not_in_throughput() {
    let base = paced("base", 0, 2000, |_, _| ());
    let same = Difference::of(&base, &paced("new", 8, 2000, |_, _| ()), 10, false).unwrap();
    assert_eq!(same.outcome, Outcome::NoRegression, "{same:?}");
    assert!(same.changes.iter().all(|change| change.metric != Metric::Throughput));
    let slower = paced("new", 8, 2000, |model, sample| delay(model, "mio", sample, 1.5));
    let worse = Difference::of(&base, &slower, 10, false).unwrap();
    assert_eq!(worse.outcome, Outcome::Regression);
    assert!(overall(&worse).any(|change| {
        change.model.name == "mio" && change.metric == Metric::P50 && change.conclusion() == Conclusion::Above
    }));
}

#[test]
fn another_rate_is_another_load_and_of_two_kinds_of_loop_only_cpu_time_is_compared() {
    let paced_base = paced("base", 0, 2000, |_, _| ());
    let other = paced("new", 8, 1000, |_, _| ());
    let error = Difference::of(&paced_base, &other, 10, false).unwrap_err().to_string();
    assert!(error.contains("rate 2000 per second against 1000 per second"), "{error}");
    let forced = Difference::of(&paced_base, &other, 10, true).unwrap();
    assert_eq!(forced.loads.map(Loop::rate), [Some(2000), Some(1000)]);
    let error = Difference::of(&base(), &paced_base, 10, false).unwrap_err().to_string();
    assert!(error.contains("rate a closed loop against 2000 per second"), "{error}");
    let forced = Difference::of(&base(), &paced_base, 10, true).unwrap();
    assert!(forced.changes.iter().all(|change| change.metric.is_cpu()) && !forced.changes.is_empty());
}
