//! `roundtable run` from outside, with its real processes: what it leaves behind when it ends, is interrupted, is
//! killed, or loses a child.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roundtable_harness::record::store;
use roundtable_harness::record::{Outcome, Reason, Stored};
use tempfile::{TempDir, tempdir};

/// Two rows, two backend counts, one concurrency: four cells a block.
const GRID: &str = "--models mio --backends 1-2 --concurrency 2 --seed 1 --steal-limit 100";
/// How long anything here may take on a machine that is busy otherwise.
const LONG: Duration = Duration::from_secs(120);

fn roundtable(dir: &TempDir, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
    command.current_dir(dir.path()).arg("run").args(args.split_whitespace());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(dir: &TempDir, args: &str) -> Output {
    roundtable(dir, args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stored(dir: &TempDir) -> Stored {
    store::read(&dir.path().join("out")).unwrap()
}

/// Blocks and positions of the trials that were measured.
fn places(stored: &Stored) -> BTreeSet<(u32, u32)> {
    stored.trials.iter().map(|trial| (trial.block, trial.position)).collect()
}

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts a run that is long enough to be disturbed, and waits for its first trial.
fn begin_long(dir: &TempDir) -> Child {
    let run = roundtable(dir, &format!("{GRID} --out out --requests 1000 --blocks 8")).spawn().unwrap();
    let trials = dir.path().join("out/trials.jsonl");
    wait_for("the first trial", || fs::metadata(&trials).is_ok_and(|file| file.len() > 0));
    run
}

/// The command lines of the processes that `parent` started, by their ids.
fn children(parent: u32) -> Vec<(i32, String)> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|&pid| state_and_parent(pid).is_some_and(|(_, of)| of == parent))
        .map(|pid| {
            let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            (pid, words.replace('\0', " "))
        })
        .collect()
}

fn state_and_parent(pid: i32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Gone, or dead and not yet reaped by whoever inherited it.
fn has_left(pid: i32) -> bool {
    state_and_parent(pid).is_none_or(|(state, _)| state == 'Z')
}

/// What was printed, whatever lines it was set in.
fn one_line(printed: &[u8]) -> String {
    String::from_utf8_lossy(printed).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

#[test]
fn a_run_measures_every_cell_and_leaves_its_data_and_report() {
    let dir = tempdir().unwrap();
    let done = output(&dir, &format!("{GRID} --out out --requests 200 --blocks 2"));
    assert!(done.status.success(), "{}", stderr(&done));
    let stored = stored(&dir);
    let cells: BTreeSet<_> = stored.trials.iter().map(|trial| (trial.block, trial.cell.clone())).collect();
    assert_eq!(cells.len(), 12);
    for trial in &stored.trials {
        let Outcome::Measured(sample) = &trial.outcome else { panic!("{trial:?}") };
        assert_eq!((sample.completed, sample.non_2xx), (200, 0));
        assert_eq!(sample.per_backend.len(), trial.cell.condition.backends as usize);
        assert_eq!(sample.balancer.is_none(), trial.cell.competitor.is_direct());
    }
    let rows: Vec<_> = stored.environment.models.iter().map(|model| model.competitor.to_string()).collect();
    assert_eq!(rows, ["direct", "mio", "mio#2"]);
    assert_eq!(stored.environment.plan.seed, 1);
    let told = String::from_utf8(done.stdout).unwrap();
    assert!(told.ends_with("\nreport: reports/out/index.html (trials: out)\n"), "{told}");
    assert!(dir.path().join("reports/out/index.html").exists());
}

/// A rate with so long an interval that a machine that is busy otherwise keeps it too.
const SLOW: &str = "--rate 20 --requests 12 --warmup 2 --blocks 1";

#[test]
fn a_run_at_a_rate_keeps_times_from_when_requests_were_due_and_is_resumed_at_it() {
    let dir = tempdir().unwrap();
    let done = output(&dir, &format!("{GRID} --out out {SLOW}"));
    let first = stored(&dir);
    assert_eq!((first.environment.plan.base.rate, first.environment.plan.base.requests), (Some(20), 12));
    assert!(stderr(&done).contains("12 requests a trial at 20 per second (open loop)"), "{}", stderr(&done));
    let told = one_line(&done.stdout);
    assert!(
        told.contains("open loop at 20 requests per second, latency from the intended send time: medians"),
        "{told}"
    );
    assert!(first.trials.len() >= 6);
    for trial in &first.trials {
        match &trial.outcome {
            Outcome::Measured(sample) => {
                let open = sample.open_loop.as_ref().unwrap();
                assert!(open.sustained && open.rate == 20, "{open:?}");
            }
            // A machine that stalls, or somebody else's full queue, may spoil a trial: nothing else may.
            Outcome::Invalid { reasons } => {
                let spoilt = |reason: &Reason| {
                    matches!(reason, Reason::NotSustained { rate: 20, .. } | Reason::ListenOverflows { .. })
                };
                assert!(reasons.iter().all(spoilt), "{reasons:?}");
            }
        }
    }
    let report = fs::read_to_string(dir.path().join("reports/out/report.md")).unwrap();
    assert!(
        report.starts_with("# roundtable: the run out, open loop at 20 requests per second\n"),
        "{report}"
    );

    let other = output(&dir, "--resume out --rate 30");
    assert!(stderr(&other).contains("--rate 30 (the run has 20)"), "{}", stderr(&other));
    let again = output(&dir, "--resume out --rate 20");
    assert!(stderr(&again).contains("nothing is left to measure"), "{}", stderr(&again));
    assert_eq!(stored(&dir), first);
}

#[test]
fn a_rate_that_nobody_sustains_leaves_cells_invalid_and_the_run_failed() {
    let dir = tempdir().unwrap();
    // Twenty microseconds for a connection, a request and its answer, one after another: too short on any machine.
    let grid = "--models mio --backends 1 --concurrency 1 --seed 1 --steal-limit 100 --out out --blocks 1";
    let done = output(&dir, &format!("{grid} --rate 50000 --requests 5000 --warmup 0"));
    assert_eq!(done.status.code(), Some(1), "{}", stderr(&done));
    assert!(stderr(&done).contains("3 cells stayed invalid after 3 attempts"), "{}", stderr(&done));
    assert!(stderr(&done).contains("or give a lower --rate, and begin a new run"), "{}", stderr(&done));
    let told = "the rate of 50000 per second was not sustained: ";
    for trial in &stored(&dir).trials {
        let Outcome::Invalid { reasons } = &trial.outcome else { panic!("{trial:?}") };
        assert!(reasons.iter().any(|reason| reason.to_string().starts_with(told)), "{reasons:?}");
    }
    assert!(one_line(&done.stdout).contains(told));
}

#[test]
fn a_rate_that_is_looked_for_is_stored_with_how_it_was_found_and_not_looked_for_again() {
    let dir = tempdir().unwrap();
    let grid = "--models mio --backends 1 --concurrency 2 --seed 1 --steal-limit 100";
    let done = output(&dir, &format!("{grid} --out out --rate auto --blocks 1"));
    let told = stderr(&done);
    assert!(told.contains("looking for a rate that every row sustains"), "{told}");
    let before = stored(&dir);
    let rate = before.environment.plan.base.rate.unwrap();
    // A second of the rate, or what a p99 takes.
    assert_eq!(before.environment.plan.base.requests, rate.max(2000).min(30 * rate));
    let note = before.environment.rate_found.as_ref().unwrap();
    assert!(note.starts_with(&format!("--rate auto: {rate} requests per second, from 50 % of ")), "{note}");
    assert!(told.contains(&format!("trying {rate} requests per second")), "{told}");
    for trial in &before.trials {
        if let Outcome::Measured(sample) = &trial.outcome {
            assert_eq!(sample.open_loop.as_ref().unwrap().rate, rate);
        }
    }
    let report = fs::read_to_string(dir.path().join("reports/out/report.md")).unwrap();
    assert!(report.contains("How the rate was chosen: --rate auto: "), "{report}");

    // As if it had been interrupted before its last trials.
    let trials = dir.path().join("out/trials.jsonl");
    let first = fs::read_to_string(&trials).unwrap().lines().next().unwrap().to_owned() + "\n";
    fs::write(&trials, first).unwrap();
    let resumed = output(&dir, "--resume out --rate auto");
    assert!(!stderr(&resumed).contains("looking for"), "{}", stderr(&resumed));
    let after = stored(&dir);
    assert_eq!(after.environment.plan, before.environment.plan);
    assert!(after.trials.len() >= 3);
}

#[test]
fn a_search_for_a_rate_that_is_interrupted_leaves_nothing_behind() {
    let dir = tempdir().unwrap();
    let run = roundtable(&dir, &format!("{GRID} --out out --rate auto")).spawn().unwrap();
    wait_for("the first probe", || children(run.id()).iter().any(|(_, line)| line.contains(" load ")));
    signal(&run, Signal::SIGINT);
    let stopped = run.wait_with_output().unwrap();
    assert_eq!(stopped.status.code(), Some(130));
    assert!(stderr(&stopped).contains("interrupted while looking for rates"), "{}", stderr(&stopped));
    assert!(!dir.path().join("out").exists());
}

#[test]
fn an_interrupted_run_says_how_to_go_on_and_its_resumption_repeats_nothing() {
    let dir = tempdir().unwrap();
    let run = begin_long(&dir);
    signal(&run, Signal::SIGINT);
    let stopped = run.wait_with_output().unwrap();
    assert_eq!(stopped.status.code(), Some(130));
    assert!(stderr(&stopped).contains("go on with `roundtable run --resume out`"), "{}", stderr(&stopped));
    let before = stored(&dir).trials;
    assert!(!before.is_empty() && before.len() < 48, "{}", before.len());

    let resumed = output(&dir, "--resume out");
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    let after = stored(&dir);
    assert_eq!(after.trials[..before.len()], before);
    assert_eq!(places(&after).len(), after.trials.len());
    assert!(after.trials.len() >= 48);
}

#[test]
fn a_run_goes_on_after_its_terminal_was_closed_where_hangups_are_ignored() {
    let dir = tempdir().unwrap();
    let plain = roundtable(&dir, &format!("{GRID} --out out --requests 200 --blocks 2"));
    let mut under_nohup = Command::new("sh");
    under_nohup.current_dir(dir.path()).args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
    under_nohup.arg(plain.get_program()).args(plain.get_args());
    let run = under_nohup.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let trials = dir.path().join("out/trials.jsonl");
    wait_for("the first trial", || fs::metadata(&trials).is_ok_and(|file| file.len() > 0));
    signal(&run, Signal::SIGHUP);
    let done = run.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    assert_eq!(stored(&dir).trials.len(), 12);
}

#[test]
fn no_process_outlives_a_run_that_is_killed() {
    let dir = tempdir().unwrap();
    let mut run = begin_long(&dir);
    let started = children(run.id());
    assert!(started.iter().filter(|(_, line)| line.contains(" backend ")).count() == 2, "{started:?}");
    run.kill().unwrap();
    run.wait().unwrap();
    wait_for("the end of every child", || started.iter().all(|&(pid, _)| has_left(pid)));
    // What was measured is readable all the same.
    assert!(!stored(&dir).trials.is_empty());
}

#[test]
fn a_backend_that_is_killed_is_started_again_and_the_run_goes_on() {
    let dir = tempdir().unwrap();
    let run = begin_long(&dir);
    let (backend, _) = children(run.id()).into_iter().find(|(_, line)| line.contains(" b1 ")).unwrap();
    kill(Pid::from_raw(backend), Signal::SIGKILL).unwrap();
    let done = run.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(stderr(&done).contains("backend b1 ended unasked (signal: 9"), "{}", stderr(&done));
    let stored = stored(&dir);
    let measured: BTreeSet<_> = stored
        .trials
        .iter()
        .filter(|trial| matches!(trial.outcome, Outcome::Measured(_)))
        .map(|trial| (trial.block, trial.cell.clone()))
        .collect();
    assert_eq!(measured.len(), 48);
}

#[test]
fn a_run_that_cannot_be_begun_leaves_nothing_behind() {
    for (args, told) in [
        ("--models thread --out out", "the models are threads, pool, mio, tokio, "),
        ("--backends 65 --out out", "give whole numbers from 1 to 64"),
        ("--requests 0 --out out", "give whole numbers from 1 to 100000000"),
        ("--reports /proc/reports --out out", "give --reports a folder that you may write to"),
        ("--blocks 1 --budget 1m --out out", "cannot be used with"),
        ("--rate fast --out out", "or auto"),
        ("--rate 1 --requests 1000 --out out", "ask for a higher rate"),
    ] {
        let dir = tempdir().unwrap();
        let refused = output(&dir, args);
        assert!(!refused.status.success(), "{args}");
        assert!(stderr(&refused).contains(told), "{args}: {}", stderr(&refused));
        assert!(!dir.path().join("out").exists(), "{args}");
    }
}

#[test]
fn a_run_is_resumed_with_its_own_plan_or_not_at_all() {
    let dir = tempdir().unwrap();
    let one = output(&dir, "--models mio --backends 1 --concurrency 1 --requests 50 --blocks 1 --out out");
    assert!(one.status.success(), "{}", stderr(&one));
    let lines = fs::read_to_string(dir.path().join("out/trials.jsonl")).unwrap();
    for (args, code, told) in [
        ("--resume out --requests 60", 2, "--requests 60 (the run has 50)"),
        ("--resume nowhere", 1, "there is no run \"nowhere\""),
        ("--out out", 1, "already holds a run"),
    ] {
        let refused = output(&dir, args);
        assert_eq!(refused.status.code(), Some(code), "{args}");
        assert!(stderr(&refused).contains(told), "{args}: {}", stderr(&refused));
    }
    fs::create_dir(dir.path().join("altered")).unwrap();
    fs::copy(dir.path().join("out/environment.json"), dir.path().join("altered/environment.json")).unwrap();
    let altered = lines.replacen("\"block\":0", "\"block\":4294967295", 1);
    fs::write(dir.path().join("altered/trials.jsonl"), altered).unwrap();
    let refused = output(&dir, "--resume altered");
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("a trial that its plan does not have"), "{}", stderr(&refused));
    let again = output(&dir, "--resume");
    assert!(!again.status.success(), "there is no run under results/");
    let again = output(&dir, "--resume out");
    assert!(again.status.success() && stderr(&again).contains("nothing is left to measure"));
    assert_eq!(fs::read_to_string(dir.path().join("out/trials.jsonl")).unwrap(), lines);
    assert!(Path::new(&dir.path().join("reports/out")).exists());
}
