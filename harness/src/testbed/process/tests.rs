//! Facts about children, with shell scripts in the part of the child.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

const LONG: Duration = Duration::from_secs(30);
/// Answers `usage` and `go`, leaves at the end of input.
const OBEDIENT: &str = r#"
    echo $$
    while read word; do
        case $word in
            usage) echo '{"user_ns":1,"system_ns":2,"voluntary_switches":3,"involuntary_switches":4,"threads":5,"peak_rss_bytes":6}' ;;
            go) echo '"gone"' ;;
        esac
    done
"#;

fn script(text: &str) -> Supervised {
    interruptible(text, &Arc::default())
}

fn interruptible(text: &str, interrupt: &Arc<AtomicBool>) -> Supervised {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", text]);
    Supervised::start("the script", command, interrupt).unwrap()
}

/// Ended, though perhaps not yet reaped by whoever inherited it.
fn has_left(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')),
        Err(_) => true,
    }
}

fn wait_until(holds: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + LONG;
    while !holds() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    holds()
}

#[test]
fn a_child_answers_and_leaves_when_it_is_dropped() {
    let mut child = script(OBEDIENT);
    let pid: u32 = child.read("print its pid", LONG).unwrap();
    let usage = child.usage().unwrap();
    assert_eq!((usage.user_ns, usage.threads, usage.peak_rss_bytes), (1, 5, 6));
    child.say("go").unwrap();
    assert_eq!(child.read::<String>("go", LONG).unwrap(), "gone");
    assert!(child.exit_report().is_none());
    drop(child);
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "left and reaped");
}

#[test]
fn a_child_that_ignores_the_end_of_input_is_killed() {
    let mut child = script("echo $$; exec sleep 600");
    let pid: u32 = child.read("print its pid", LONG).unwrap();
    drop(child);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_child_that_dies_is_reported_with_its_status_and_stderr_tail() {
    let mut child = script("echo first >&2; echo 'port is taken' >&2; exit 3");
    let error = child.read::<u32>("get ready", LONG).unwrap_err();
    assert!(matches!(error, ChildError::Died { .. }));
    let text = error.to_string();
    assert!(text.contains("exit status: 3") && text.ends_with("first / port is taken"), "{text}");
}

#[test]
fn a_child_that_was_killed_has_an_exit_report() {
    let mut child = script(OBEDIENT);
    let pid: i32 = child.read("print its pid", LONG).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    assert!(child.usage().unwrap_err().to_string().contains("signal: 9"));
    assert!(child.exit_report().unwrap().to_string().contains("signal: 9"));
}

#[test]
fn a_silent_child_and_a_babbling_one_are_told_apart() {
    let mut silent = script("read word");
    let error = silent.read::<u32>("get ready", Duration::from_millis(1)).unwrap_err();
    assert!(error.to_string().starts_with("the script did not get ready within"), "{error}");
    let mut babbling = script("echo hello; read word");
    assert!(matches!(babbling.read::<u32>("get ready", LONG), Err(ChildError::Nonsense { .. })));
}

#[test]
fn a_binary_that_is_not_there_is_named_by_its_role() {
    let missing = Command::new("/nonexistent/roundtable");
    let error = Supervised::start("backend b1", missing, &Arc::default()).unwrap_err();
    assert!(error.to_string().starts_with("backend b1 could not be started"), "{error}");
}

#[test]
fn an_interrupt_ends_the_wait() {
    let interrupt = Arc::new(AtomicBool::new(false));
    let mut child = interruptible("read word", &interrupt);
    interrupt.store(true, Ordering::Relaxed);
    assert!(matches!(child.read::<u32>("get ready", LONG), Err(ChildError::Interrupted)));
}

#[test]
fn only_the_end_of_a_long_standard_error_is_kept() {
    let mut child = script("i=0; while [ $i -lt 100 ]; do echo line $i >&2; i=$((i+1)); done; exit 1");
    let text = child.read::<u32>("get ready", LONG).unwrap_err().to_string();
    assert!(text.contains("line 92 /") && text.ends_with("line 99") && !text.contains("line 91"), "{text}");
}

/// The harness of the next test: starts two children and prints their ids, then waits to be killed.
#[test]
#[ignore = "runs as a process of its own, below"]
fn a_harness_with_two_children() {
    let mut children = [script(OBEDIENT), script(OBEDIENT)];
    let pids = children.each_mut().map(|child| child.read::<u32>("print its pid", LONG).unwrap());
    eprintln!("pids {} {}", pids[0], pids[1]);
    std::thread::sleep(Duration::from_secs(600));
}

#[test]
fn no_child_outlives_a_harness_that_is_killed() {
    let mut harness = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "testbed::process::tests::a_harness_with_two_children", "--ignored", "--nocapture"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let line = BufReader::new(harness.stderr.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("pids ")?.1.to_owned()))
        .unwrap();
    let pids: Vec<u32> = line.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 2);
    assert!(pids.iter().all(|&pid| !has_left(pid)));
    harness.kill().unwrap();
    harness.wait().unwrap();
    assert!(wait_until(|| pids.iter().all(|&pid| has_left(pid))), "{pids:?} still run");
}
