//! Facts about a trial's processes, played by a shell script.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::fixtures;
use crate::load::{Failures, LoadReport, OpenLoop};
use crate::plan::{DIRECT, Length};
use crate::record::in_words;
use crate::testbed::launcher::Program;

/// Every server listens somewhere, tells 1 ns more of usage each time, and obeys. `@LOAD@` is what the load generator
/// does on `go`, `@BALANCE@` what the balancer does before it listens.
const ROLES: &str = r#"
ready() { echo '{"listening":"127.0.0.1:'$1'","pid":'$$'}'; }
asked=0
usage() {
    asked=$((asked + 1))
    echo '{"user_ns":'$asked',"system_ns":0,"voluntary_switches":0,"involuntary_switches":0,"threads":3,"peak_rss_bytes":7}'
}
obey() {
    while read word; do
        case $word in
            usage) usage ;;
            go) @LOAD@ ;;
        esac
    done
}
case $1 in
    backend) ready 1 ;;
    balance) @BALANCE@; ready 2 ;;
    load) echo "$@" >&2; echo '{"ready":true}' ;;
esac
obey
"#;

fn executor(balance: &str, load: &str) -> TestbedExecutor {
    interruptible(balance, load, Arc::default())
}

fn interruptible(balance: &str, load: &str, interrupt: Arc<AtomicBool>) -> TestbedExecutor {
    let script = ROLES.replace("@BALANCE@", balance).replace("@LOAD@", load);
    let testbed = Testbed::local(Program::script(&script), interrupt);
    TestbedExecutor::new(testbed, &fixtures::plan(Length::Blocks(1)))
}

fn cell(model: &str) -> Cell {
    fixtures::cell(model, 2, 5)
}

/// `echo` of a report of a hundred requests, of which `failed` failed.
fn report(failed: u64) -> String {
    printed(&load_report(failed))
}

fn printed(report: &LoadReport) -> String {
    format!("echo '{}'", serde_json::to_string(report).unwrap())
}

fn load_report(failed: u64) -> LoadReport {
    let mut histogram = crate::load::latency::histogram();
    histogram.saturating_record_n(2_000, 100 - failed);
    LoadReport {
        concurrency: 5,
        requests: 100,
        completed: 100 - failed,
        failed: Failures { receive: failed, ..Failures::default() },
        elapsed_ns: 5,
        received_bytes: 9,
        latency_ns_hdr: crate::load::latency::encode(&histogram),
        per_backend: [("b1".to_owned(), 50), ("b2".to_owned(), 50 - failed)].into(),
        connections_opened: 100,
        warmup_requests: 10,
        ..LoadReport::default()
    }
}

fn reasons(attempt: &Attempt) -> String {
    match &attempt.outcome {
        Outcome::Invalid { reasons } => in_words(reasons),
        Outcome::Measured(_) => panic!("measured"),
    }
}

#[test]
fn a_valid_trial_is_measured_with_the_usage_of_its_window_alone() {
    let mut executor = executor(":", &report(0));
    for _ in 0..2 {
        let attempt = executor.attempt(&cell("threads")).unwrap();
        let Outcome::Measured(sample) = attempt.outcome else { panic!("{:?}", attempt.outcome) };
        assert!(attempt.came_up && attempt.warnings.is_empty());
        assert_eq!((sample.completed, sample.received_bytes), (100, 9));
        let balancer = sample.balancer.unwrap();
        assert_eq!((balancer.user_ns, balancer.threads, balancer.peak_rss_bytes), (1, 3, 7));
        assert_eq!((sample.client.user_ns, sample.backends.user_ns), (1, 2));
        assert_eq!((sample.backends.threads, sample.backends.peak_rss_bytes), (6, 14));
    }
}

#[test]
fn the_direct_row_has_no_balancer_and_is_given_every_backend() {
    let mut executor = executor("exit 1", &report(0));
    let attempt = executor.attempt(&cell(DIRECT)).unwrap();
    let Outcome::Measured(sample) = attempt.outcome else { panic!("{:?}", attempt.outcome) };
    assert_eq!(sample.balancer, None);

    let mut executor = self::executor("exit 1", "exit 9");
    let said = reasons(&executor.attempt(&cell(DIRECT)).unwrap());
    let told = "load http://127.0.0.1:1/ http://127.0.0.1:1/ -n 100 -c 5 --warmup 10 --expect-body-bytes 16 --json --supervised";
    assert!(said.contains(told), "{said}");
}

#[test]
fn a_trial_that_fails_a_gate_is_invalid() {
    let attempt = executor(":", &report(3)).attempt(&cell("threads")).unwrap();
    assert!(attempt.came_up);
    let said = reasons(&attempt);
    assert!(said.starts_with("3 of 100 requests failed (cut short 3); 97 of 100"), "{said}");
}

#[test]
fn a_balancer_that_does_not_come_up_is_named_with_its_stderr_tail() {
    let attempt = executor("echo no such model >&2; exit 2", &report(0)).attempt(&cell("threads")).unwrap();
    assert!(!attempt.came_up);
    let said = reasons(&attempt);
    assert!(
        said.starts_with("the balancer (threads) ended unasked") && said.ends_with("no such model"),
        "{said}"
    );
}

#[test]
fn a_load_generator_that_dies_makes_its_trial_invalid() {
    let attempt = executor(":", "echo lost >&2; exit 7").attempt(&cell("threads")).unwrap();
    assert!(attempt.came_up);
    let said = reasons(&attempt);
    assert!(said.starts_with("the load generator ended unasked (exit status: 7)"), "{said}");
}

#[test]
fn a_backend_that_died_is_started_again_with_a_warning() {
    let mut executor = executor(":", &report(0));
    executor.attempt(&cell("threads")).unwrap();
    let first = executor.backends[0].as_ref().unwrap().process.pid();
    kill(Pid::from_raw(first.try_into().unwrap()), Signal::SIGKILL).unwrap();
    while executor.backends[0].as_mut().unwrap().process.exit_report().is_none() {
        std::thread::yield_now();
    }
    let attempt = executor.attempt(&cell("threads")).unwrap();
    assert!(matches!(attempt.outcome, Outcome::Measured(_)), "{:?}", attempt.outcome);
    assert!(matches!(attempt.warnings.as_slice(), [told] if told.contains("backend b1")), "{attempt:?}");
}

#[test]
fn a_backend_that_dies_in_the_window_is_among_the_reasons() {
    // The load generator kills it; the test tells the process id through a file.
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    let load = format!("kill -9 $(cat {}); {}", victim.display(), report(0));
    let mut executor = executor(":", &load);
    executor.start_backends(&cell("threads").condition, &mut Vec::new()).unwrap();
    let pid = executor.backends[1].as_ref().unwrap().process.pid();
    std::fs::write(&victim, pid.to_string()).unwrap();
    let said = reasons(&executor.attempt(&cell("threads")).unwrap());
    assert!(said.contains("backend b2 ended unasked (signal: 9"), "{said}");
}

#[test]
fn an_interrupt_during_the_window_voids_the_trial() {
    let interrupt = Arc::new(AtomicBool::new(false));
    let mut executor = interruptible(":", ":", Arc::clone(&interrupt));
    executor.start_backends(&cell("threads").condition, &mut Vec::new()).unwrap();
    let stopper = std::thread::spawn(move || interrupt.store(true, Ordering::Relaxed));
    assert_eq!(executor.attempt(&cell("threads")), Err(Interrupted));
    stopper.join().unwrap();
}

#[test]
fn a_plan_with_a_rate_has_its_load_driven_at_it() {
    let mut at_a_rate = cell("threads");
    at_a_rate.condition.rate = Some(500);
    let said = reasons(&executor(":", "exit 9").attempt(&at_a_rate).unwrap());
    assert!(said.contains("--expect-body-bytes 16 --rate 500 --json --supervised"), "{said}");
}

#[test]
fn a_trial_whose_rate_was_sustained_is_measured_and_one_whose_was_not_is_invalid() {
    let at = |open_loop: OpenLoop| {
        let mut executor =
            executor(":", &printed(&LoadReport { open_loop: Some(open_loop), ..load_report(0) }));
        let mut cell = cell("threads");
        cell.condition.rate = Some(500);
        executor.attempt(&cell).unwrap()
    };
    let kept = fixtures::open_loop(500, 100);
    let Outcome::Measured(sample) = at(kept.clone()).outcome else { panic!("not measured") };
    assert_eq!(sample.open_loop, Some(kept.clone()));
    let slow = OpenLoop { sustained: false, achieved_milli_per_s: 400_000, ..kept.clone() };
    let said = reasons(&at(slow));
    assert!(
        said.starts_with("the rate of 500 per second was not sustained: 400.0 per second were"),
        "{said}"
    );
    // Times from when the requests were due are missing.
    let fewer = fixtures::open_loop(500, 90);
    let said = reasons(&at(OpenLoop { latency_ns_hdr: fewer.latency_ns_hdr, ..kept }));
    assert_eq!(said, "90 response times for 100 completed requests");
}

#[test]
fn backends_that_are_to_send_other_bodies_are_other_backends() {
    let mut executor = executor(":", &report(0));
    let pids = |executor: &TestbedExecutor| -> Vec<u32> {
        executor.backends.iter().flatten().map(|server| server.process.pid()).collect()
    };
    let mut cell = cell("threads");
    executor.attempt(&cell).unwrap();
    let first = pids(&executor);
    executor.attempt(&cell).unwrap();
    assert_eq!(pids(&executor), first);
    cell.condition.body_bytes += 1;
    executor.attempt(&cell).unwrap();
    let second = pids(&executor);
    assert!(second.len() == 2 && second.iter().all(|pid| !first.contains(pid)), "{first:?} {second:?}");
}
