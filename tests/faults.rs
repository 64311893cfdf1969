//! `roundtable run --fault` from outside, with its real processes: what clients saw, what is kept, and what is left
//! behind when it is stopped.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roundtable_harness::plan::fault::Act;
use roundtable_harness::record::store;
use roundtable_harness::record::timeline::{Observation, answered};
use roundtable_harness::record::{Outcome, Stored, in_words};
use tempfile::{TempDir, tempdir};

/// Longer than any of these runs takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn roundtable(dir: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
    command.current_dir(dir.path()).args(args).stdin(Stdio::null());
    command
}

/// One model, once, with two backends.
fn play(scenario: &str, model: &str) -> (TempDir, Output) {
    let dir = tempdir().unwrap();
    let args =
        ["run", "--fault", scenario, "--models", model, "--backends", "2", "--blocks", "1", "--out", "out"];
    let output = roundtable(&dir, &args).output().unwrap();
    (dir, output)
}

fn stored(dir: &TempDir) -> Stored {
    store::read(&dir.path().join("out")).unwrap()
}

fn seen(stored: &Stored) -> &Observation {
    let [trial] = stored.trials.as_slice() else { panic!("{} trials", stored.trials.len()) };
    match &trial.outcome {
        Outcome::Measured(sample) => sample.timeline.as_ref().unwrap(),
        Outcome::Invalid { reasons } => panic!("{}", in_words(reasons)),
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
}

#[test]
fn a_killed_backend_comes_back_and_the_report_can_be_made_again() {
    let (dir, output) = play("kill-backend@300ms,restore@600ms", "mio");
    assert!(output.status.success(), "{}", text(&output));
    let stored = stored(&dir);
    let seen = seen(&stored);
    assert_eq!(seen.requests, 1800);
    let good: u64 = answered(&seen.buckets).values().sum();
    assert_eq!(good + seen.errors.total(), 1800, "every request is accounted for");
    let acts: Vec<_> =
        seen.applied.iter().map(|applied| (applied.event.act, applied.event.backend)).collect();
    assert_eq!(acts, [(Act::KillBackend, 2), (Act::Restore, 2)]);
    for applied in &seen.applied {
        assert!(applied.began_us <= applied.effective_us, "{applied:?}");
    }
    // While it was dead, the other had its turns; otherwise each had as many.
    let answers = answered(&seen.buckets);
    assert!(answers["b1"] > answers["b2"] && answers["b2"] > 0, "{answers:?}");
    assert!(seen.episodes[0].after.unwrap().used_again_us.is_some(), "{:?}", seen.episodes);

    let first = files(&dir.path().join("reports/out"));
    let names: Vec<_> = first.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["index.html", "report.md", "timeline-mio.csv", "timeline-mio.png", "timeline-mio.svg"]
    );
    let told = text(&output);
    assert!(
        told.contains("What clients noticed") && told.contains("mio, kill-backend b2 at 0.3 s: "),
        "{told}"
    );
    assert!(told.contains("\nreport: reports/out/index.html (trials: out)\n"), "{told}");
    let again =
        roundtable(&dir, &["report", "out", "--reports", "again", "--results", "."]).output().unwrap();
    assert!(again.status.success(), "{}", text(&again));
    assert_eq!(files(&dir.path().join("again/out")), first);
    let refused = roundtable(&dir, &["compare", "out", "--results", "."]).output().unwrap();
    assert!(!refused.status.success() && text(&refused).contains("holds a fault run"), "{}", text(&refused));
    let complete = roundtable(&dir, &["run", "--resume", "out"]).output().unwrap();
    assert!(complete.status.success(), "{}", text(&complete));
    assert!(text(&complete).contains("nothing is left to measure"), "{}", text(&complete));
}

#[test]
fn a_backend_that_refuses_is_left_out_without_an_error_and_used_again() {
    let (dir, output) = play("refuse=1@300ms,restore@600ms", "threads");
    assert!(output.status.success(), "{}", text(&output));
    let stored = stored(&dir);
    let seen = seen(&stored);
    assert_eq!(seen.errors.total(), 0, "{:?}", seen.errors);
    assert!(seen.episodes[0].after.unwrap().used_again_us.is_some(), "{:?}", seen.episodes);
}

#[test]
fn a_slow_backend_is_noticed_and_prompt_again_when_it_is_restored() {
    let (dir, output) = play("slow-backend@200ms,restore@1s", "tokio");
    assert!(output.status.success(), "{}", text(&output));
    let stored = stored(&dir);
    let seen = seen(&stored);
    let episode = seen.episodes[0];
    assert!(episode.late > 0 && seen.slowest_us >= 500_000, "{episode:?}");
    assert!(episode.after.unwrap().used_again_us.is_some(), "{episode:?}");
}

#[test]
fn a_run_with_faults_that_was_interrupted_is_resumed() {
    let dir = tempdir().unwrap();
    let script = "refuse@200ms,restore@400ms";
    let args = [
        "run",
        "--fault",
        script,
        "--models",
        "mio,threads",
        "--backends",
        "2",
        "--blocks",
        "1",
        "--out",
        "out",
    ];
    let done = roundtable(&dir, &args).output().unwrap();
    assert!(done.status.success(), "{}", text(&done));
    let whole = stored(&dir).trials;
    assert_eq!(whole.len(), 2);
    // As if it had been interrupted before its last trial.
    let path = dir.path().join("out/trials.jsonl");
    let first = fs::read_to_string(&path).unwrap().lines().next().unwrap().to_owned() + "\n";
    fs::write(&path, first).unwrap();
    let other = roundtable(&dir, &["run", "--resume", "out", "--fault", "refuse@1s"]).output().unwrap();
    assert!(text(&other).contains("was begun with another plan: --fault refuse"), "{}", text(&other));
    let resumed = roundtable(&dir, &["run", "--resume", "out"]).output().unwrap();
    assert!(resumed.status.success(), "{}", text(&resumed));
    let after = stored(&dir).trials;
    assert_eq!((after.len(), &after[0], &after[1].cell), (2, &whole[0], &whole[1].cell));
    // What a fault trial costs is measured as in any other.
    let cost =
        |trial: &roundtable_harness::record::Trial| trial.outcome.sample().and_then(|sample| sample.balancer);
    assert!(after.iter().all(|trial| cost(trial).is_some_and(|usage| usage.cpu_ns() > 0)));
}

#[test]
fn a_scenario_that_makes_no_sense_leaves_nothing_behind() {
    for (scenario, told) in [
        ("kill@2s", "the events are kill-backend"),
        ("restore@2s", "put one there"),
        ("kill-backend=3@2s", "name one of 1 to 2"),
        ("kill-backend@4s,restore@2s", "in the order of their times"),
    ] {
        let (dir, output) = play(scenario, "mio");
        assert!(!output.status.success(), "{scenario}");
        assert!(text(&output).contains(told), "{scenario}: {}", text(&output));
        assert!(!dir.path().join("out").exists(), "{scenario}");
    }
}

#[test]
fn an_interrupt_ends_the_run_and_every_process_of_it() {
    let dir = tempdir().unwrap();
    let args = ["run", "--fault", "kill-backend@20s,restore@40s", "--models", "mio", "--out", "out"];
    let mut run = roundtable(&dir, &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Three backends, the balancer and the load generator.
    let begin = Instant::now();
    let mut children = Vec::new();
    while children.len() < 5 {
        assert!(begin.elapsed() < PATIENCE, "only {children:?} were started");
        std::thread::sleep(Duration::from_millis(20));
        children = children_of(run.id());
    }
    kill(pid(run.id()), Signal::SIGINT).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    for child in children {
        assert_eq!(kill(pid(child), None), Err(Errno::ESRCH), "process {child} outlived the run");
    }
    assert_eq!(stored(&dir).trials.len(), 0);
}

fn children_of(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| parent_of(*id) == Some(parent)).collect()
}

/// The second field after the name, which stands in parentheses.
fn parent_of(id: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap())
}
