//! What the documents claim of the method is what the stored runs show: they are analysed again and counted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::fs;
use std::path::Path;

use roundtable_harness::analysis::Analysis;
use roundtable_harness::analysis::answers::{Answered, claim};
use roundtable_harness::analysis::metric::Metric;
use roundtable_harness::analysis::ratio::{Bound, Conclusion};
use roundtable_harness::analysis::verdicts::{AaTally, OfMetric};
use roundtable_harness::plan::Competitor;
use roundtable_harness::record::store::suite;
use roundtable_harness::record::{Outcome, Stored, store};
use roundtable_harness::statistics::interval::Interval;
use roundtable_harness::statistics::verdict::{Compared, Judged, Verdict, judge};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn stored(run: &str) -> Stored {
    store::read(&root().join("results").join(run)).unwrap()
}

/// The verdicts on one metric of a stored run, made now.
fn on(run: &str, metric: Metric) -> OfMetric {
    Analysis::of(&stored(run)).verdicts.on(metric).unwrap().clone()
}

fn claimed(claim: &str) {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(claim), "the README does not say: {claim}");
}

#[test]
fn the_same_against_the_same_is_called_no_difference_in_the_cases_that_the_readme_names() {
    for metric in [Metric::Throughput, Metric::BalancerCpu] {
        let tally = on("aa", metric).aa_tally();
        let (comparisons, alike) = (tally.comparisons, tally.without_difference);
        assert!(comparisons >= 40 && 100 * alike >= 95 * comparisons, "{tally:?}");
        claimed(&format!("{alike} of {comparisons} in {}", metric.name()));
    }
}

#[test]
fn injected_slowdowns_are_found_as_often_as_the_readme_says_and_a_model_in_itself_is_not() {
    let mut tallies = vec![AaTally::of(&on("aa", Metric::BalancerCpu).adjusted_aa_pairs)];
    for series in ["power", "seven"] {
        let runs: Vec<_> =
            (1..=10).map(|run| on(&format!("{series}-{run:02}"), Metric::BalancerCpu)).collect();
        tallies.extend(runs.iter().map(|of| AaTally::of(&of.adjusted_aa_pairs)));
        for (index, slowed) in runs[0].slowdowns.iter().enumerate() {
            assert!(runs.iter().all(|of| of.slowdowns[index].row == slowed.row));
            let concluded = |of: &OfMetric| of.slowdowns[index].ratio.unwrap().conclusion();
            let found = runs.iter().filter(|of| concluded(of) == Conclusion::Above).count();
            let is_reliable = slowed.row.slowdown_percent >= 5;
            assert!(!is_reliable || found >= 9, "{} was found in {found} of 10", slowed.row);
            claimed(&format!("`{}` in {found}", slowed.row));
        }
    }
    let sum = |of: fn(&AaTally) -> usize| tallies.iter().map(of).sum::<usize>();
    let (all, alike, alone) =
        (sum(|of| of.comparisons), sum(|of| of.without_difference), sum(|of| of.intervals_without_one));
    assert_eq!(all, 60);
    // Each of twenty runs of one pair may err once in twenty; so may the forty together.
    assert!(alike >= 57 && alone <= 7, "{alike} of {all}, {alone}");
    claimed(&format!(
        "{alike} of {all} were called no difference ({alone} of their own 95 % intervals leave out 1"
    ));
}

/// The stored run's blocks of which `kept` says so, with `threads` measured again in place of `pool`, at so many percent more
/// CPU time: a model that differs from the reference by exactly that.
fn five_blocks(all: &Stored, kept: impl Fn(u32) -> bool, percent: u64) -> Stored {
    let mut run = all.clone();
    let (again, pool) = (Competitor::of("threads#2"), Competitor::of("pool"));
    run.trials.retain(|trial| kept(trial.block) && trial.cell.competitor != pool);
    run.environment.plan.competitors.retain(|row| *row != again);
    for trial in run.trials.iter_mut().filter(|trial| trial.cell.competitor == again) {
        trial.cell.competitor = pool.clone();
        if let Outcome::Measured(sample) = &mut trial.outcome
            && let Some(usage) = &mut sample.balancer
        {
            usage.user_ns += usage.user_ns * percent / 100;
            usage.system_ns += usage.system_ns * percent / 100;
        }
    }
    run
}

#[test]
fn five_blocks_of_the_default_grid_show_ten_percent_and_call_no_difference_where_there_is_none() {
    let reference = stored("ten-blocks");
    let subsets: [[u32; 5]; 6] = [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
        [0, 2, 4, 6, 8],
        [1, 3, 5, 7, 9],
        [0, 1, 4, 5, 9],
        [2, 3, 6, 7, 8],
    ];
    let conclusions = |percent| {
        subsets.map(|subset| {
            let analysis = Analysis::of(&five_blocks(&reference, |block| subset.contains(&block), percent));
            let whole = analysis.whole_grid.iter().find(|of| of.metric == Metric::BalancerCpu).unwrap();
            let pool = whole.pairs.iter().find(|pair| pair.row.name == "pool" && pair.with.name == "threads");
            pool.unwrap().ratio.conclusion()
        })
    };
    let of_ten = conclusions(10);
    assert!(of_ten.iter().all(|conclusion| *conclusion == Conclusion::Above), "{of_ten:?}");
    let of_none = conclusions(0);
    let differ = of_none.iter().filter(|of| matches!(of, Conclusion::Above | Conclusion::Below)).count();
    // The subsets share their blocks.
    assert!(differ <= 1, "{of_none:?}");
}

/// Comparisons of the first five blocks that have a verdict, of how many: by Student's t on each one's own spread, corrected after
/// Holm, where a client that was the limit on either side meant no verdict; and as they are judged.
fn settled_of_five_blocks(metric: Metric) -> (usize, usize, usize) {
    let mut run = stored("ten-blocks");
    run.trials.retain(|trial| trial.block < 5);
    let of = Analysis::of(&run).verdicts.on(metric).unwrap().clone();
    let exact = of.models.iter().filter(|pair| pair.ratio.is_some_and(|ratio| ratio.bound == Bound::Exact));
    let alone: Vec<_> = exact.map(|pair| (Compared::paired(&pair.log_ratios), of.floor)).collect();
    let is_settled = |of: &Judged| matches!(of.verdict, Verdict::Above | Verdict::Below);
    let before = judge(&alone).iter().flatten().filter(|of| is_settled(of)).count();
    let conclusions = of.models.iter().filter_map(|pair| Some(pair.ratio?.conclusion()));
    let now = conclusions.filter(|of| matches!(of, Conclusion::Above | Conclusion::Below)).count();
    (before, now, of.models.len())
}

#[test]
fn the_same_five_blocks_settle_more_since_comparisons_share_what_they_know_of_spread() {
    let [cpu, throughput] = [Metric::BalancerCpu, Metric::Throughput].map(settled_of_five_blocks);
    assert!(cpu.1 > cpu.0 && throughput.1 > throughput.0, "{cpu:?} {throughput:?}");
    let told = |(before, now, all): (usize, usize, usize)| format!("{now} of {all} (before {before})");
    claimed(&format!("in CPU time {}, in throughput {}", told(cpu), told(throughput)));
}

#[test]
fn the_claims_stand_in_the_readme_with_the_ratio_and_the_outcome_that_their_stored_runs_have() {
    let suite = suite::read(&root().join("results/claims")).unwrap().unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut rows = readme.lines().skip_while(|line| !line.starts_with("| claim | ratio measured")).skip(2);
    let mut count = 0;
    for stored in &suite.runs {
        for answered in Analysis::of(stored.as_ref().unwrap()).answers {
            let Answered::Claims(tested) = answered else { continue };
            for of in tested {
                let row = rows.next().unwrap();
                let judged = of.ratio.unwrap().judged;
                let Interval { low, high } = judged.interval.unwrap();
                assert!(
                    row.contains(&format!("{:.2} ({low:.2}–{high:.2})", judged.ratio)),
                    "{row}: {judged:?}"
                );
                let outcome = match of.outcome {
                    claim::Outcome::Confirmed => "| confirmed",
                    claim::Outcome::Refuted => "| refuted",
                    _ => "| neither",
                };
                assert!(row.contains(outcome), "{row}: {:?}", of.outcome);
                count += 1;
            }
        }
    }
    assert_eq!(count, 8);
    assert!(!rows.next().unwrap().starts_with('|'));
}
