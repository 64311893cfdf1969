//! `roundtable compare BASE NEW` from outside: its exit codes are what a CI job acts on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::path::Path;
use std::process::{Command, Output};

use roundtable_harness::plan::{Value, factor};
use roundtable_harness::record::store::{self, Store};
use roundtable_harness::record::{Outcome, Sample, Stored};
use tempfile::{TempDir, tempdir};

/// The committed run, taken apart: its even blocks are one run of the grid, its odd ones another.
fn half(odd: u32, alter: impl Fn(&str, &mut Sample)) -> Stored {
    let mut stored = store::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("results/ten-blocks")).unwrap();
    // One cell of each concurrency: a debug build takes its time over the rest.
    stored.trials.retain(|trial| trial.block % 2 == odd && trial.cell.condition.backends == 3);
    let plan = stored.environment.plan;
    stored.environment.plan = plan.over(&factor::BACKENDS, &[Value::Number(3)]).unwrap();
    for trial in &mut stored.trials {
        if let Outcome::Measured(sample) = &mut trial.outcome {
            alter(&trial.cell.competitor.to_string(), sample);
        }
    }
    stored
}

fn keep(dir: &TempDir, name: &str, stored: &Stored) {
    let mut store = Store::create(&dir.path().join("results").join(name), &stored.environment).unwrap();
    for trial in &stored.trials {
        store.append(trial).unwrap();
    }
}

fn compare(dir: &TempDir, args: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
    let Output { status, stdout, stderr } =
        command.current_dir(dir.path()).arg("compare").args(args.split_whitespace()).output().unwrap();
    let text =
        |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    (status.code(), text(stdout), text(stderr))
}

fn burn(model: &str, sample: &mut Sample) {
    if let ("mio", Some(usage)) = (model, sample.balancer.as_mut()) {
        usage.system_ns *= 2;
    }
}

#[test]
fn two_halves_of_one_run_have_no_regression_and_a_model_that_burns_more_cpu_is_one() {
    let dir = tempdir().unwrap();
    keep(&dir, "base", &half(0, |_, _| ()));
    keep(&dir, "same", &half(1, |_, _| ()));
    keep(&dir, "worse", &half(1, burn));
    let (code, told, complaint) = compare(&dir, "base same");
    assert_eq!((code, complaint.as_str()), (Some(0), ""), "{told}");
    assert!(told.contains("No regression of 10 % from base to same"), "{told}");
    let (code, told, _) = compare(&dir, "base worse");
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("Regression: worse is worse than base") && told.contains("mio (all conditions) dearer"),
        "{told}"
    );
    let (code, json, _) = compare(&dir, "base worse --json");
    assert_eq!(code, Some(1));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["outcome"], "regression");
    assert!(json["changes"].as_array().is_some_and(|changes| changes.len() > 4));
    let (code, page, _) = compare(&dir, "base worse --format html");
    assert_eq!(code, Some(1));
    assert!(page.contains("<p class=\"found\">Regression: worse is worse than base"), "{page:.400}");
    assert!(page.contains("<figure id=\"chart-forest\"") && page.contains("In worse, mio needed "));
}

#[test]
fn runs_that_do_not_match_cannot_tell_unless_forced() {
    let dir = tempdir().unwrap();
    keep(&dir, "base", &half(0, |_, _| ()));
    let mut other = half(1, |_, _| ());
    other.environment.host.processors = 64;
    keep(&dir, "other", &other);
    let (code, _, complaint) = compare(&dir, "base other");
    assert_eq!(code, Some(2));
    assert!(complaint.contains("processors 2 against 64") && complaint.contains("--force"), "{complaint}");
    let (code, told, _) = compare(&dir, "base other --force");
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("Note: These differ, and what changed may be their doing: processors 2 against 64."),
        "{told}"
    );
}

#[test]
fn a_run_that_is_not_there_is_bad_input_and_one_block_cannot_tell() {
    let dir = tempdir().unwrap();
    keep(&dir, "base", &half(0, |_, _| ()));
    let mut one = half(1, |_, _| ());
    one.trials.retain(|trial| trial.block == 1);
    keep(&dir, "one", &one);
    let (code, _, complaint) = compare(&dir, "base nowhere");
    assert_eq!(code, Some(2));
    assert!(complaint.contains("there is no run \"nowhere\""), "{complaint}");
    let (code, told, _) = compare(&dir, "base one");
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("Cannot tell whether one is worse than base"), "{told}");
    assert!(told.contains("It needs about 2 more blocks of either run."), "{told}");
    let (code, _, complaint) = compare(&dir, "base one --margin 0%");
    assert_eq!(code, Some(2));
    assert!(complaint.contains("give a whole percentage from 1% to 100%"), "{complaint}");
}
