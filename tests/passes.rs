//! The passes of `roundtable run` beside its trials, from outside, with and without the tools that they use.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::fs;
use std::process::{Command, Stdio};

use roundtable_harness::probes::cross_check::{self, CrossCheck};
use roundtable_harness::probes::system_calls::{self, SystemCalls};
use roundtable_harness::record::store;
use tempfile::{TempDir, tempdir};

/// One row beside the direct one, one trial each.
const GRID: &str = "run --models mio --backends 1 --concurrency 2 --requests 50 --blocks 1 --out out";

/// The folder of a run with the pass `option`, that finds its tools in `path`.
fn run(option: &str, path: Option<&str>) -> TempDir {
    let dir = tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
    command.current_dir(dir.path()).args(GRID.split(' ')).arg(option).stdin(Stdio::null());
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    dir
}

fn report(dir: &TempDir) -> String {
    fs::read_to_string(dir.path().join("reports/out/report.md")).unwrap()
}

#[test]
fn system_calls_and_switches_are_kept_beside_the_trials() {
    let dir = run("--system-calls", None);
    let text = fs::read_to_string(dir.path().join("out").join(system_calls::FILE)).unwrap();
    let found: SystemCalls = serde_json::from_str(&text).unwrap();
    let rows =
        found.rows.iter().map(|row| (row.model.as_str(), row.condition.backends, row.condition.concurrency));
    assert_eq!(rows.collect::<Vec<_>>(), [("mio", 1, 2)], "the grid that was asked for");
    for row in &found.rows {
        // Each request is read and answered, and so is the backend's side of it.
        assert!(row.calls_a_request().is_none_or(|calls| calls >= 4.0), "{row:?}");
    }
    assert!(report(&dir).contains("## System calls and context switches"));
    assert!(store::read(&dir.path().join("out")).unwrap().trials.len() >= 2);
}

#[test]
fn tools_that_are_not_installed_are_told_in_a_line_each() {
    let dir = run("--cross-check", Some("/nonexistent"));
    let text = fs::read_to_string(dir.path().join("out").join(cross_check::FILE)).unwrap();
    let found: CrossCheck = serde_json::from_str(&text).unwrap();
    assert_eq!((found.versions.len(), found.missing.len(), found.pairs.len()), (0, 2, 0));
    for tool in ["ab", "wrk"] {
        assert!(report(&dir).contains(&format!("Left out: {tool} is not installed; ")));
    }
    let dir = run("--system-calls", Some("/nonexistent"));
    assert!(report(&dir).contains("No system calls were counted: strace is not installed; "));
}
