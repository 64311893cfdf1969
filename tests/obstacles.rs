//! What a run meets that is not its own doing, from outside: a disk that takes no more, a folder that may not be written
//! to, another run at the same time, trials of which none is valid. Each is told with what is kept and a way on that works.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roundtable_harness::record::store;
use tempfile::{TempDir, tempdir};

const GRID: &str = "--models mio --backends 1 --concurrency 2 --seed 1 --steal-limit 100 --requests 100";
/// How long anything here may take on a machine that is busy otherwise.
const LONG: Duration = Duration::from_secs(120);

fn roundtable(dir: &TempDir, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
    command.current_dir(dir.path()).args(line.split_whitespace());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(dir: &TempDir, line: &str) -> Output {
    roundtable(dir, line).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The same where no file may grow beyond so many KiB: to a program, a disk that takes no more. The signal that comes with
/// this limit is ignored, as there is none with a full disk.
fn with_little_room(dir: &TempDir, kib: u32, line: &str) -> Output {
    let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" {line}");
    let mut command = Command::new("bash");
    command.current_dir(dir.path()).args(["-c", &script, env!("CARGO_BIN_EXE_roundtable")]);
    command.stdin(Stdio::null()).output().unwrap()
}

fn stored(dir: &TempDir) -> usize {
    store::read(&dir.path().join("out")).unwrap().trials.len()
}

#[test]
fn a_full_disk_is_told_with_the_trials_that_are_kept_and_they_are_gone_on_with() {
    let dir = tempdir().unwrap();
    let full = with_little_room(&dir, 16, &format!("run {GRID} --out out --blocks 20"));
    assert_eq!(full.status.code(), Some(1), "{}", stderr(&full));
    let kept = stored(&dir);
    assert!(kept > 0 && kept < 60, "{kept} trials");
    let told = stderr(&full);
    assert!(told.contains("cannot write out/trials.jsonl") && told.contains("free some space"), "{told}");
    let way_on = format!("{kept} trials are kept: then go on with `roundtable run --resume out`");
    assert!(told.contains(&way_on) && !told.contains("--out"), "{told}");
    let resumed = output(&dir, "run --resume out");
    assert!(stderr(&resumed).contains(&format!("resuming out after {kept} trials")), "{}", stderr(&resumed));
    assert!(stored(&dir) >= 60);
}

#[test]
fn a_disk_that_is_full_when_the_report_is_written_costs_no_trial() {
    let dir = tempdir().unwrap();
    let full = with_little_room(&dir, 16, &format!("run {GRID} --out out --blocks 1"));
    assert_eq!(full.status.code(), Some(1), "{}", stderr(&full));
    let told = stderr(&full);
    let kept = stored(&dir);
    assert!(told.contains("cannot write reports/out/"), "{told}");
    let way_on = format!("{kept} trials are kept; `roundtable report out` makes their report");
    assert!(kept >= 3 && told.contains(&way_on), "{told}");
    assert!(output(&dir, "report out").status.success());
}

#[test]
fn a_full_disk_in_a_fault_run_is_told_with_the_trials_that_are_kept() {
    let dir = tempdir().unwrap();
    let scenario =
        "run --fault refuse@10ms,restore@20ms --models mio --backends 2 --blocks 9 --rate 100 --out out";
    let full = with_little_room(&dir, 12, scenario);
    let told = stderr(&full);
    assert_eq!(full.status.code(), Some(1), "{told}");
    let kept = roundtable_harness::record::store::read(&dir.path().join("out")).unwrap().trials.len();
    assert!(told.contains("cannot write out/trials.jsonl"), "{told}");
    assert!(
        told.contains(&format!("{kept} trials are kept: then go on with `roundtable run --resume out`")),
        "{told}"
    );
}

#[test]
fn a_run_that_may_not_be_written_to_is_not_resumed_and_not_sent_to_another_folder() {
    let dir = tempdir().unwrap();
    output(&dir, &format!("run {GRID} --out out --blocks 1"));
    assert!(stored(&dir) >= 3);
    // A mount, because no permission keeps a privileged user from writing.
    let script =
        "mount --bind out out && mount -o remount,ro,bind out || exit 77; exec \"$0\" run --resume out";
    let mut command = Command::new("unshare");
    command.current_dir(dir.path()).args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_roundtable")]);
    let refused = match command.stdin(Stdio::null()).output() {
        Ok(output) if !matches!(output.status.code(), Some(77)) && !stderr(&output).contains("unshare") => {
            output
        }
        _ => return eprintln!("skipped: no mount namespaces here"),
    };
    let told = stderr(&refused);
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("cannot write out/trials.jsonl (Read-only file system"), "{told}");
    assert!(told.contains("resume the copy") && !told.contains("--out"), "{told}");
    let copied = Command::new("cp").args(["-r", "out", "copy"]).current_dir(dir.path()).status().unwrap();
    let resumed = output(&dir, "run --resume copy");
    assert!(
        copied.success() && stderr(&resumed).contains("nothing is left to measure"),
        "{}",
        stderr(&resumed)
    );
}

#[test]
fn with_all_trials_invalid_nobody_is_sent_in_a_circle() {
    let dir = tempdir().unwrap();
    // Twenty microseconds for a connection, a request and its answer, one after another: too short on any machine.
    let grid = "--models threads,mio --backends 1 --concurrency 1 --steal-limit 100 --rate 50000 --requests 5000 --warmup 0";
    let run = output(&dir, &format!("run {grid} --out out --blocks 1"));
    assert_eq!(run.status.code(), Some(1), "{}", stderr(&run));
    let compared = output(&dir, "compare out");
    assert_eq!(compared.status.code(), Some(1));
    let told = stderr(&compared);
    assert!(told.contains("`roundtable report`: mend the cause, then begin a new run"), "{told}");
    assert!(!told.contains("--resume"), "{told}");
    let resumed = output(&dir, "run --resume out");
    let told = stderr(&resumed);
    assert_eq!(resumed.status.code(), Some(1));
    assert!(told.contains("nothing is left to measure") && told.contains("begin a new run"), "{told}");
    assert!(!told.contains("compare"), "{told}");
}

/// Waits until `what` is in the file that a run's standard error goes to.
fn wait_for(file: &Path, what: &str) {
    let deadline = Instant::now() + LONG;
    while !fs::read_to_string(file).unwrap_or_default().contains(what) {
        assert!(Instant::now() < deadline, "{what} did not come: {}", fs::read_to_string(file).unwrap());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn two_runs_at_once_warn_each_other_and_keep_nothing_of_it() {
    let dir = tempdir().unwrap();
    let begin = |name: &str| -> Child {
        let said = fs::File::create(dir.path().join(name)).unwrap();
        let line = format!("run {GRID} --out out-{name} --blocks 1000");
        // Neither run needs a folder for temporary files.
        roundtable(&dir, &line).env("TMPDIR", "/nowhere").stderr(said).spawn().unwrap()
    };
    let (first, second) = (begin("first"), begin("second"));
    for (name, other) in [("first", &second), ("second", &first)] {
        wait_for(&dir.path().join(name), &format!("another `roundtable run` (process {})", other.id()));
    }
    for (name, mut run) in [("first", first), ("second", second)] {
        kill(Pid::from_raw(run.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        assert_eq!(run.wait().unwrap().code(), Some(130));
        let kept = store::read(&dir.path().join(format!("out-{name}"))).unwrap();
        assert_eq!(kept.environment.notes, Vec::<String>::new());
    }
}

#[test]
fn workers_of_a_run_are_told_once_for_the_models_that_have_none() {
    let dir = tempdir().unwrap();
    let models = GRID.replace("mio", "threads,mio,tokio");
    let run = output(&dir, &format!("run {models} --workers 2 --out out --blocks 1"));
    let told = stderr(&run);
    assert!(stored(&dir) >= 5, "{told}");
    let warning = "--workers 2 does not apply to threads (a thread for each connection) and mio (one thread)";
    assert_eq!(told.matches(warning).count(), 1, "{told}");
    assert_eq!(told.matches("do not apply").count(), 0, "{told}");
}
