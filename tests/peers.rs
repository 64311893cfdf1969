//! Products beside our models, from outside: that each one serves, and that nothing of it is left behind. A product that is not
//! installed is skipped.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roundtable_harness::host::Usage;
use roundtable_harness::plan::{Competitor, FLOORS, Kind};
use roundtable_harness::probes::system_calls::{self, SystemCalls};
use roundtable_harness::record::Outcome;
use roundtable_harness::record::store;
use roundtable_harness::testbed::control::Ready;
use roundtable_harness::testbed::peers::{self, PEERS};
use tempfile::{TempDir, tempdir};

/// How long anything here may take on a machine that is busy otherwise.
const LONG: Duration = Duration::from_secs(120);
/// One condition, in which each client connection carries many requests.
const CONDITION: &str =
    "--backends 3 --concurrency 4 --requests 600 --blocks 1 --steal-limit 100 --seed 1 --out out";

fn roundtable() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(dir: &TempDir, args: &str) -> Command {
    let mut command = roundtable();
    command.current_dir(dir.path()).arg("run").args(args.split_whitespace()).stdin(Stdio::null());
    command
}

fn output(dir: &TempDir, args: &str) -> Output {
    run(dir, args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn is_installed(name: &str) -> bool {
    peers::find(name).unwrap().program().is_some()
}

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// State and parent of every process.
fn processes() -> Vec<(i32, char, i32)> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter_map(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        Some((pid, fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
    })
    .collect()
}

/// All that `root` has started, and what that has started.
fn below(root: u32) -> BTreeSet<i32> {
    let all = processes();
    let mut below = BTreeSet::from([i32::try_from(root).unwrap()]);
    loop {
        let before = below.len();
        below.extend(
            all.iter()
                .filter(|(_, _, parent)| below.contains(parent))
                .map(|(pid, ..)| *pid)
                .collect::<Vec<_>>(),
        );
        if below.len() == before {
            below.remove(&i32::try_from(root).unwrap());
            return below;
        }
    }
}

/// Gone, or dead and not yet waited for by whoever inherited it.
fn has_left(pid: i32) -> bool {
    !processes().iter().any(|(other, state, _)| *other == pid && *state != 'Z')
}

/// A product with its parent, before one backend that is not there.
struct Product {
    parent: Child,
    lines: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Product {
    fn start(name: &str, before: &[&str]) -> Self {
        let mut command = roundtable();
        command.args(before).args(["peer", name, "--listen", "127.0.0.1:0", "--backend", "127.0.0.1:9"]);
        let mut parent =
            command.args(["--concurrency", "4", "--workers", "2", "--supervised"]).spawn().unwrap();
        let mut lines = BufReader::new(parent.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let Ready { listening: address, .. } = serde_json::from_str(&line).unwrap();
        Product { parent, lines, address }
    }

    fn usage(&mut self) -> Usage {
        self.parent.stdin.as_mut().unwrap().write_all(b"usage\n").unwrap();
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Its exit code, and what it wrote to standard error.
    fn end(mut self) -> (Option<i32>, String) {
        drop(self.parent.stdin.take());
        let mut text = String::new();
        self.parent.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (self.parent.wait().unwrap().code(), text)
    }
}

#[test]
fn every_installed_product_passes_the_gates_in_the_same_block_as_a_model() {
    let dir = tempdir().unwrap();
    let names: Vec<_> = PEERS.iter().map(|peer| peer.name).chain(FLOORS).collect();
    let args = format!("--models mio --peers {} --connections keepalive {CONDITION}", names.join(","));
    let done = output(&dir, &args);
    assert!(done.status.success(), "{}", stderr(&done));
    let stored = store::read(&dir.path().join("out")).unwrap();
    let has_uring = !stderr(&done).contains("floor-uring is left out: ");
    let there = |kind: Kind, name: &str| match kind {
        Kind::Floor => has_uring || name != "floor-uring",
        _ => is_installed(name),
    };
    let mut expected: Vec<_> = peers::parse(&names.join(",")).unwrap();
    expected.retain(|peer| there(peer.kind, &peer.name));
    let measured: Vec<&Competitor> = expected
        .iter()
        .filter(|peer| {
            stored.trials.iter().any(|trial| {
                let Outcome::Measured(sample) = &trial.outcome else { return false };
                // What a product used is that of its own processes, which is not nothing.
                trial.cell.competitor == **peer
                    && sample.per_backend.len() == 3
                    && sample.balancer.is_some_and(|usage| usage.cpu_ns() > 0 && usage.peak_rss_bytes > 0)
            })
        })
        .collect();
    assert_eq!(measured, expected.iter().collect::<Vec<_>>());
    for peer in expected.iter().filter(|peer| peer.kind == Kind::Peer) {
        let info = stored.environment.models.iter().find(|info| info.competitor == *peer).unwrap();
        assert!(
            info.manifest["version"].contains('.') && info.manifest["configuration"].contains("192.0.2.1")
        );
    }
    let report = fs::read_to_string(dir.path().join("reports/out/report.md")).unwrap();
    for peer in &expected {
        let mark = if peer.kind == Kind::Floor { "no proxy" } else { "product" };
        assert!(report.contains(&format!("| {} ({mark}) |", peer.name)), "{report}");
    }
}

#[test]
fn what_is_not_installed_is_told_in_a_line_and_the_run_goes_on() {
    let dir = tempdir().unwrap();
    let args = format!("--models direct --peers nginx,floor {CONDITION}");
    let done = run(&dir, &args).env("PATH", "/nonexistent").output().unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(stderr(&done).contains("nginx is not installed: left out; install it"), "{}", stderr(&done));
    let rows: Vec<_> = store::read(&dir.path().join("out")).unwrap().environment.plan.competitors;
    assert_eq!(rows.iter().map(ToString::to_string).collect::<Vec<_>>(), ["direct", "floor", "floor#2"]);
    // With one request a connection it serves as well.
    let resumed = output(&dir, "--resume out --models direct --peers floor");
    assert!(resumed.status.success() && stderr(&resumed).contains("nothing is left"), "{}", stderr(&resumed));
    let unknown = output(&dir, "--peers apache --out other");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("the peers are nginx, haproxy"), "{}", stderr(&unknown));
}

#[test]
fn a_product_ends_with_all_its_processes_when_nobody_needs_it_any_more() {
    for name in PEERS.iter().map(|peer| peer.name).filter(|name| is_installed(name)) {
        let mut product = Product::start(name, &[]);
        let processes = below(product.parent.id());
        let usage = product.usage();
        assert!(usage.threads >= processes.len() as u64, "{name}: {usage:?} {processes:?}");
        let address = product.address;
        let (code, text) = product.end();
        assert_eq!(code, Some(0), "{name}: {text}");
        assert!(!processes.is_empty() && processes.iter().all(|&pid| has_left(pid)), "{name}: {processes:?}");
        assert!(TcpStream::connect(address).is_err(), "{name} still listens");
    }
}

#[test]
fn a_product_that_ends_by_itself_is_a_failure_that_names_it_and_leaves_nothing_running() {
    if !is_installed("nginx") {
        return;
    }
    let product = Product::start("nginx", &[]);
    // A master and two workers, which it may still be about to start.
    wait_for("three processes", || below(product.parent.id()).len() == 3);
    let parent_id = i32::try_from(product.parent.id()).unwrap();
    let (master, ..) = processes().into_iter().find(|(.., parent)| *parent == parent_id).unwrap();
    let all = below(product.parent.id());
    kill(Pid::from_raw(master), Signal::SIGKILL).unwrap();
    let mut parent = product.parent;
    let mut text = String::new();
    parent.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(parent.wait().unwrap().code(), Some(1));
    assert!(text.contains("nginx ended by itself (signal: 9"), "{text}");
    assert!(all.iter().all(|&pid| has_left(pid)), "{all:?}");
}

#[test]
fn all_processes_of_a_product_are_confined_with_their_parent() {
    if !is_installed("nginx") {
        return;
    }
    let allowed = fs::read_to_string("/proc/self/status").unwrap();
    let list = |status: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
        line.trim().to_owned()
    };
    let first = list(&allowed).split(['-', ',']).next().unwrap().to_owned();
    let product = Product::start("nginx", &["--processors", &first]);
    for pid in below(product.parent.id()) {
        assert_eq!(list(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap()), first);
    }
    product.end();
}

#[test]
fn no_process_of_a_product_outlives_a_run_that_is_killed() {
    if !is_installed("nginx") {
        return;
    }
    let dir = tempdir().unwrap();
    let args =
        "--models direct --peers nginx --backends 1 --concurrency 2 --requests 2000 --blocks 50 --out out";
    let mut run = run(&dir, args).spawn().unwrap();
    let is_nginx =
        |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "nginx\n");
    wait_for("a product", || below(run.id()).iter().filter(|pid| is_nginx(pid)).count() >= 2);
    let started = below(run.id());
    run.kill().unwrap();
    run.wait().unwrap();
    wait_for("the end of every process", || started.iter().all(|&pid| has_left(pid)));
}

#[test]
fn system_calls_of_a_product_are_those_of_all_its_processes() {
    if !is_installed("nginx") {
        return;
    }
    let dir = tempdir().unwrap();
    let args = "--models direct --peers nginx --backends 1 --concurrency 2 --requests 50 --blocks 1 \
                --connections close,keepalive --system-calls --out out";
    let done = output(&dir, args);
    assert!(done.status.success(), "{}", stderr(&done));
    let text = fs::read_to_string(dir.path().join("out").join(system_calls::FILE)).unwrap();
    let found: SystemCalls = serde_json::from_str(&text).unwrap();
    assert_eq!(found.rows.len(), 2);
    for row in &found.rows {
        // Each request is read and answered, and so is the backend's side of it.
        assert!(row.calls_a_request().is_none_or(|calls| calls >= 4.0), "{row:?}");
    }
}

#[test]
fn where_there_is_no_user_but_root_a_product_says_so_and_is_not_started() {
    let args = ["peer", "nginx", "--listen", "127.0.0.1:0", "--backend", "127.0.0.1:9", "--concurrency", "1"];
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", env!("CARGO_BIN_EXE_roundtable")])
        .args(args)
        .arg("--supervised");
    let output = command.stdin(Stdio::null()).output();
    let Some(output) =
        output.ok().filter(|output| is_installed("nginx") && !stderr(output).contains("unshare"))
    else {
        eprintln!("skipped: no nginx, or no user namespace to be had");
        return;
    };
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("start the run as another user"), "{}", stderr(&output));
}
