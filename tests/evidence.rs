//! What the documents claim of the method is what the stored runs show: they are analysed again and counted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::fs;
use std::path::Path;

use roundtable_harness::analysis::Analysis;
use roundtable_harness::analysis::metric::Metric;
use roundtable_harness::analysis::ratio::Conclusion;
use roundtable_harness::analysis::verdicts::OfMetric;
use roundtable_harness::record::store;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The verdicts on one metric of a stored run, made now.
fn on(run: &str, metric: Metric) -> OfMetric {
    let stored = store::read(&root().join("results").join(run)).unwrap();
    Analysis::of(&stored).verdicts.on(metric).unwrap().clone()
}

fn readme() -> String {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is concluded of each injected slowdown, by the row's label, such as `mio+10%`.
fn slowdowns(run: &str) -> Vec<(String, Conclusion)> {
    let cpu = on(run, Metric::BalancerCpu);
    let each = cpu.slowdowns.iter().map(|of| (of.row.to_string(), of.ratio.unwrap().conclusion()));
    each.collect()
}

#[test]
fn the_same_against_the_same_is_called_no_difference_in_the_cases_that_the_readme_names() {
    for metric in [Metric::Throughput, Metric::BalancerCpu] {
        let tally = on("aa", metric).aa_tally();
        let (comparisons, alike) = (tally.comparisons, tally.without_difference);
        assert!(comparisons >= 40 && 100 * alike >= 95 * comparisons, "{tally:?}");
        let claim = format!("{alike} of {comparisons} in {}", metric.name());
        assert!(readme().contains(&claim), "the README does not say: {claim}");
    }
}

#[test]
fn injected_slowdowns_are_found_as_often_as_the_readme_says() {
    for series in ["power", "seven"] {
        let runs: Vec<_> = (1..=10).map(|run| slowdowns(&format!("{series}-{run:02}"))).collect();
        for (index, (row, _)) in runs[0].iter().enumerate() {
            assert!(runs.iter().all(|run| run[index].0 == *row));
            let found = runs.iter().filter(|run| run[index].1 == Conclusion::Above).count();
            let is_reliable = row.contains("+10%") || row.contains("+7%");
            assert!(!is_reliable || found >= 9, "{row} was found in {found} of 10");
            let claim = format!("`{row}` in {found}");
            assert!(readme().contains(&claim), "the README does not say: {claim}");
        }
    }
}
