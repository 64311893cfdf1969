//! A model that this machine has not what it needs for: listed with the reason, refused, and left out of runs.
//!
//! What is missing is io_uring: the commands are started behind a seccomp filter that forbids it, as most containers have one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};

use roundtable_harness::plan::Competitor;
use roundtable_harness::record::store;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use tempfile::tempdir;

/// The same number on every architecture.
const IO_URING_SETUP: i64 = 425;
/// What forbidden calls fail with, as in a container.
const EPERM: u32 = 1;
const REMEDY: &str = "allow io_uring_setup, io_uring_enter and io_uring_register";

/// Runs the command where nobody has a ring. The filter is that of one thread, and of the processes that it starts.
fn output(command: &mut Command) -> Output {
    let filter = SeccompFilter::new(
        BTreeMap::from([(IO_URING_SETUP, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(EPERM),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            seccompiler::apply_filter(&program).unwrap();
            command.stdin(Stdio::null()).output().unwrap()
        });
        running.join().unwrap()
    })
}

fn roundtable(args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
    command.args(args.split_whitespace());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_model_that_is_not_available_is_listed_with_the_reason() {
    let json = output(&mut roundtable("models --json"));
    let listed: Vec<serde_json::Value> = serde_json::from_slice(&json.stdout).unwrap();
    for model in &listed {
        let is_missing = model["name"] == "uring";
        assert_eq!(model["available"], !is_missing, "{model}");
        let reason = model["unavailable_because"].as_str();
        assert_eq!(reason.is_some_and(|reason| reason.contains(REMEDY)), is_missing, "{model}");
    }
    let text = output(&mut roundtable("models"));
    let text = String::from_utf8(text.stdout).unwrap();
    let told = text.lines().filter(|line| line.contains("not available on this machine")).collect::<Vec<_>>();
    assert!(matches!(told[..], [line] if line.contains(REMEDY)), "{text}");
}

#[test]
fn a_balancer_of_a_model_that_is_not_available_does_not_start() {
    let refused = output(&mut roundtable("balance --model uring --listen 127.0.0.1:0 --backend 127.0.0.1:1"));
    assert_eq!(refused.status.code(), Some(1));
    let told = stderr(&refused);
    assert!(told.contains("uring is not available on this machine") && told.contains(REMEDY), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn a_run_leaves_out_what_is_not_available_and_measures_the_others() {
    let dir = tempdir().unwrap();
    let grid = "run --models uring,mio --backends 1 --concurrency 2 --requests 50 --warmup 0 --blocks 1 --out out \
                --steal-limit 100";
    let run = output(roundtable(grid).current_dir(dir.path()));
    let told = stderr(&run);
    assert!(run.status.success(), "{told}");
    let lines: Vec<&str> = told.lines().filter(|line| line.starts_with("uring ")).collect();
    assert!(matches!(lines[..], [line] if line.starts_with("uring is left out: ")), "{told}");
    let stored = store::read(&dir.path().join("out")).unwrap();
    let rows: Vec<String> = stored.environment.plan.competitors.iter().map(ToString::to_string).collect();
    assert_eq!(rows, ["direct", "mio", "mio#2"]);
}

#[test]
fn a_floor_that_is_not_available_is_left_out_as_a_model_is() {
    let dir = tempdir().unwrap();
    let run = output(
        roundtable(
            "run --models direct --peers floor-uring --backends 1 --concurrency 2 --requests 50 --warmup 0 \
                    --blocks 1 --out out --steal-limit 100",
        )
        .current_dir(dir.path()),
    );
    let told = stderr(&run);
    assert!(run.status.success() && told.starts_with("floor-uring is left out: "), "{told}");
    assert!(told.lines().next().unwrap().contains(REMEDY), "{told}");
    let stored = store::read(&dir.path().join("out")).unwrap();
    assert!(stored.environment.plan.competitors.iter().all(Competitor::is_direct));
}

#[test]
fn a_run_of_nothing_that_is_available_is_refused() {
    let dir = tempdir().unwrap();
    let run = output(roundtable("run --models uring --quick --out out").current_dir(dir.path()));
    assert_eq!(run.status.code(), Some(1));
    let told = stderr(&run);
    assert!(told.contains(REMEDY) && told.contains("name another one with --models"), "{told}");
    assert!(!dir.path().join("out").exists());
}
