//! The passes of `roundtable run` beside its trials, from outside, with and without the tools that they use.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::fs;
use std::process::{Command, Stdio};

use roundtable_harness::plan::Connections;
use roundtable_harness::probes::cross_check::{self, CrossCheck};
use roundtable_harness::probes::system_calls::{self, SystemCalls};
use roundtable_harness::record::store;
use tempfile::{TempDir, tempdir};

/// One row beside the direct one, one trial each.
const GRID: &str = "run --models mio --backends 1 --concurrency 2 --requests 50 --blocks 1 --out out";

/// Standard output of a run with the pass `option`, that finds its tools in `path`.
fn run(option: &str, path: Option<&str>) -> (TempDir, String) {
    let dir = tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
    command.current_dir(dir.path()).args(GRID.split(' ')).arg(option).stdin(Stdio::null());
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    (dir, String::from_utf8(output.stdout).unwrap())
}

#[test]
fn system_calls_and_switches_are_kept_beside_the_trials() {
    let (dir, told) = run("--system-calls", None);
    let text = fs::read_to_string(dir.path().join("out").join(system_calls::FILE)).unwrap();
    let found: SystemCalls = serde_json::from_str(&text).unwrap();
    let rows: Vec<_> = found.rows.iter().map(|row| (row.model.as_str(), row.connections)).collect();
    assert_eq!(rows, [("mio", Connections::Close), ("mio", Connections::Keepalive)]);
    for row in &found.rows {
        // Each request is read and answered, and so is the backend's side of it.
        assert!(row.calls_a_request().is_none_or(|calls| calls >= 4.0), "{row:?}");
    }
    assert!(told.contains("System calls of the balancer"), "{told}");
    assert!(store::read(&dir.path().join("out")).unwrap().trials.len() >= 2);
}

#[test]
fn tools_that_are_not_installed_are_told_in_a_line_each() {
    let (dir, told) = run("--cross-check", Some("/nonexistent"));
    let text = fs::read_to_string(dir.path().join("out").join(cross_check::FILE)).unwrap();
    let found: CrossCheck = serde_json::from_str(&text).unwrap();
    assert_eq!((found.versions.len(), found.missing.len(), found.pairs.len()), (0, 2, 0));
    for tool in ["ab", "wrk"] {
        assert!(told.contains(&format!("left out: {tool} is not installed; ")), "{told}");
    }
    let (_dir, told) = run("--system-calls", Some("/nonexistent"));
    assert!(told.contains("no system calls: strace is not installed; "), "{told}");
}
