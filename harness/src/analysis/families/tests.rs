//! Families of a made-up run.

use super::*;
use crate::analysis::synthetic::Run;
use crate::record::{Outcome, Reason};

fn small() -> Run {
    Run::new().backends(&[1, 2]).concurrency(&[10])
}

#[test]
fn a_ratio_is_of_geometric_means_within_the_block() {
    let stored = small().blocks(1).build();
    let summary = Summary::of(&stored);
    let rate = |model| summary.cell(&Competitor::of(model), &summary.conditions()[0]).valid[0].rate;
    let truth = ((rate("mio") * rate("tokio")) / (rate("threads") * rate("pool"))).sqrt();
    let cell = &Families::of(&stored).unwrap().cells[0];
    assert!((cell.ratios[&Metric::Throughput].judged.ratio - truth).abs() < 1e-12);
}

#[test]
fn one_block_cannot_tell_however_large_the_difference() {
    let families = Families::of(&small().blocks(1).build()).unwrap();
    for cell in &families.cells {
        assert_eq!(cell.ratios[&Metric::Throughput].conclusion(), Conclusion::TooFewBlocks);
    }
}

#[test]
fn what_the_client_limited_of_the_better_family_is_better_by_at_least_that() {
    let mut stored = small().blocks(8).build();
    for trial in
        stored.trials.iter_mut().filter(|t| t.cell.competitor.name == "mio" && t.cell.condition.backends == 1)
    {
        if let Outcome::Measured(sample) = &mut trial.outcome {
            sample.client.system_ns = sample.elapsed_ns;
        }
    }
    let families = Families::of(&stored).unwrap();
    let throughput = families.cells[0].ratios[&Metric::Throughput];
    assert_eq!((throughput.conclusion(), throughput.is_at_least()), (Conclusion::Above, true));
    assert_eq!(families.cells[0].ratios[&Metric::BalancerCpu].conclusion(), Conclusion::Below);
    assert_eq!(families.cells[1].ratios[&Metric::Throughput].conclusion(), Conclusion::Above);
    let finding = families.overall_on(Metric::Throughput).unwrap();
    assert!(finding.at_least && finding.ratio.is_some_and(|ratio| ratio > 1.0), "{finding:?}");
}

#[test]
fn where_the_client_limited_both_families_it_hides_which_is_better() {
    let mut stored = small().blocks(8).build();
    for trial in stored.trials.iter_mut().filter(|t| t.cell.condition.backends == 1) {
        if let Outcome::Measured(sample) = &mut trial.outcome {
            sample.client.system_ns = sample.elapsed_ns;
        }
    }
    let families = Families::of(&stored).unwrap();
    assert_eq!(families.cells[0].ratios[&Metric::Throughput].conclusion(), Conclusion::ClientBound);
    // Over all conditions, those speak in which it hides nothing.
    let overall = &families.overall[&Metric::Throughput];
    assert_eq!((overall.variation.conditions.len(), overall.variation.of_conditions), (1, 2));
    assert_eq!(overall.ratio.conclusion(), Conclusion::Above);
}

#[test]
fn a_condition_that_the_client_hides_does_not_hide_the_bounds_of_the_others() {
    let mut stored = small().blocks(8).build();
    let is_limited = |trial: &&mut crate::record::Trial| {
        trial.cell.condition.backends == 1 || trial.cell.competitor.name == "mio"
    };
    for trial in stored.trials.iter_mut().filter(is_limited) {
        if let Outcome::Measured(sample) = &mut trial.outcome {
            sample.client.system_ns = sample.elapsed_ns;
        }
    }
    let finding = Families::of(&stored).unwrap().overall_on(Metric::Throughput).unwrap();
    assert_eq!(finding.claim.conclusion(), Some(Conclusion::Above));
    assert!(finding.at_least, "{finding:?}");
    assert_eq!((finding.conditions.len(), finding.of_conditions), (1, 2));
}

#[test]
fn eight_blocks_that_agree_in_two_cells_are_a_verdict() {
    let families = Families::of(&small().blocks(8).build()).unwrap();
    assert_eq!(families.cells.len(), 2);
    for cell in &families.cells {
        assert_eq!(cell.ratios[&Metric::Throughput].conclusion(), Conclusion::Above);
        assert_eq!(cell.ratios[&Metric::BalancerCpu].conclusion(), Conclusion::Below);
    }
}

#[test]
fn a_block_that_lacks_one_model_is_left_out_of_its_cell_only() {
    let stored = small().blocks(8).invalid("tokio", 1, 10, 3).build();
    let blocks: Vec<_> = Families::of(&stored).unwrap().cells.iter().map(|cell| cell.blocks).collect();
    assert_eq!(blocks, [7, 8]);
}

#[test]
fn a_cell_without_a_whole_block_has_no_verdict_and_costs_no_comparison() {
    let run = (0..6).fold(small().blocks(6), |run, block| run.invalid("mio", 1, 10, block));
    let families = Families::of(&run.build()).unwrap();
    assert!(families.cells[0].ratios.is_empty());
    assert_eq!(families.cells[1].ratios[&Metric::Throughput].conclusion(), Conclusion::Above);
}

#[test]
fn one_family_alone_is_refused_with_a_remedy() {
    let error =
        |models: &[&str]| Families::of(&small().models(models).blocks(1).build()).unwrap_err().to_string();
    assert!(error(&["direct", "threads", "pool"]).contains("only threaded models (threads, pool)"));
    assert!(error(&["mio"]).contains("only async models (mio)"));
    assert!(error(&["direct"]).contains("neither") && error(&["direct"]).contains("--models"));
}

#[test]
fn a_run_without_a_whole_block_is_refused_with_a_remedy() {
    let mut stored = small().blocks(1).build();
    stored.trials.retain(|trial| trial.cell.competitor.name != "pool");
    let error = Families::of(&stored).unwrap_err();
    assert!(matches!(error, FamiliesError::NothingPaired { .. }));
    assert!(error.to_string().contains("--resume"));
}

#[test]
fn a_run_whose_trials_are_all_invalid_for_good_is_not_sent_back_to_be_resumed() {
    let mut stored = small().blocks(1).build();
    for trial in &mut stored.trials {
        trial.attempt = schedule::MOST_ATTEMPTS;
        trial.outcome = Outcome::Invalid { reasons: vec![Reason::Words("steal".to_owned())] };
    }
    let error = Families::of(&stored).unwrap_err().to_string();
    assert!(
        !error.contains("--resume") && error.ends_with("mend the cause, then begin a new run"),
        "{error}"
    );
}

#[test]
fn of_an_open_loop_response_times_are_compared_and_throughput_is_not() {
    let stored = small().rate(2000).blocks(8).build();
    let families = Families::of(&stored).unwrap();
    assert!(families.cells.iter().all(|cell| !cell.ratios.contains_key(&Metric::Throughput)
        && cell.ratios.len() == 3
        && cell.blocks == 8));
}

#[test]
fn a_client_at_its_limit_does_not_take_an_open_loops_rank_away() {
    let mut stored = small().rate(2000).blocks(8).build();
    for trial in &mut stored.trials {
        if let Outcome::Measured(sample) = &mut trial.outcome {
            sample.client.system_ns = sample.elapsed_ns;
        }
    }
    let families = Families::of(&stored).unwrap();
    assert!(
        families.cells.iter().all(|cell| cell.ratios[&Metric::P50].conclusion() != Conclusion::ClientBound)
    );
}

#[test]
fn where_requests_are_too_few_for_a_percentile_cpu_time_is_compared_all_the_same() {
    let mut stored = small().rate(2000).blocks(3).build();
    for trial in &mut stored.trials {
        if let Outcome::Measured(sample) = &mut trial.outcome
            && let Some(open) = &mut sample.open_loop
        {
            let mut few = crate::load::latency::histogram();
            few.saturating_record_n(1_000_000, 30);
            open.latency_ns_hdr = crate::load::latency::encode(&few);
        }
    }
    for cell in Families::of(&stored).unwrap().cells {
        assert_eq!(cell.ratios.keys().collect::<Vec<_>>(), [&Metric::BalancerCpu]);
    }
}
