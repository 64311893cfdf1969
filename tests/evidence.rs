//! What the documents claim of the method is what the stored runs show: the reports are made again and counted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// The report of a stored run, made now.
fn report(run: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_roundtable"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["report", run, "--reports"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{run}: {}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(folder.path().join(run).join("report.md")).unwrap()
}

fn readme() -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

/// A/A comparisons of a metric, how many of them are indistinguishable, and how many intervals leave out 1.
fn same_against_same(report: &str, metric: &str) -> [usize; 3] {
    let section = report.split_once("## A/A: the noise floor").unwrap().1;
    let row = section.lines().find(|line| cells(line)[0] == metric).unwrap();
    [2, 3, 4].map(|column| cells(row)[column].parse().unwrap())
}

/// The verdict on each planted slowdown, by its name, such as `mio +10 % CPU / mio`.
fn planted(report: &str) -> Vec<(String, String)> {
    let section = report.split_once("## Planted slowdowns").unwrap().1;
    let table = section.split_once("CPU per request, balancer:").unwrap().1.trim_start();
    let lines: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    let names = cells(lines[0]).into_iter().skip(2).map(str::to_owned);
    let verdicts =
        cells(lines[2]).into_iter().skip(2).map(|cell| cell.rsplit(' ').next().unwrap().to_owned());
    names.zip(verdicts).collect()
}

#[test]
fn the_same_against_the_same_is_indistinguishable_in_the_cases_that_the_readme_tells() {
    let report = report("aa");
    for metric in ["requests per second", "CPU per request, balancer"] {
        let [comparisons, indistinguishable, _] = same_against_same(&report, metric);
        assert!(comparisons >= 40 && 100 * indistinguishable >= 95 * comparisons, "{metric}");
        let claim = format!("{indistinguishable} of {comparisons} in {metric}");
        assert!(readme().contains(&claim), "the README does not say: {claim}");
    }
}

#[test]
fn planted_slowdowns_are_found_as_often_as_the_readme_tells() {
    for series in ["power", "seven"] {
        let runs: Vec<_> = (1..=10).map(|run| planted(&report(&format!("{series}-{run:02}")))).collect();
        for (place, (name, _)) in runs[0].iter().enumerate() {
            let found = runs.iter().filter(|run| run[place].1 == "dearer").count();
            let is_reliable = name.contains("+10 %") || name.contains("+7 %");
            assert!(!is_reliable || found >= 9, "{name} was found in {found} of 10");
            let short = name.split(" CPU").next().unwrap().replace(" +", "+").replace(" %", "%");
            let claim = format!("`{short}` in {found}");
            assert!(readme().contains(&claim), "the README does not say: {claim}");
        }
    }
}
