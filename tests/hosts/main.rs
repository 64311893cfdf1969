//! `roundtable run --hosts` from outside: a run over agents, what is left of it when the harness or an agent is killed, and which
//! hosts are refused. The hosts are loopback addresses of this machine, each with an agent of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

mod walks;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roundtable_harness::plan::Kind;
use roundtable_harness::record::store;
use roundtable_harness::record::{Outcome, Reason, Stored, Trial};
use roundtable_harness::testbed::peers;
use tempfile::{TempDir, tempdir};

/// Two rows, two backend counts, one concurrency: six cells a block with the A/A pair.
const GRID: &str = "--models mio --backends 1-2 --concurrency 4 --seed 1 --steal-limit 100";
/// How long anything here may take on a machine that is busy otherwise.
const LONG: Duration = Duration::from_secs(120);
/// Within which nothing of a killed run may be left.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// A folder with a hosts file, whose agents and all that they start have its path in their environment.
struct Hosts {
    dir: TempDir,
}

impl Hosts {
    /// Hosts a and b, with these load generators.
    fn new(load: &str) -> Self {
        let hosts = Hosts { dir: tempdir().unwrap() };
        hosts.write(load, &format!("[\"env\", {:?}, \"HOST={{host}}\"]", hosts.mark()), "");
        hosts
    }

    fn write(&self, load: &str, launch: &str, more: &str) {
        let text = format!(
            "launch = {launch}\n{more}\n[host.a]\naddress = \"127.0.0.1\"\n[host.b]\naddress = \"127.0.0.2\"\n\
             [roles]\nload = {load}\nbalancer = \"b\"\nbackends = [\"a\", \"b\"]\n"
        );
        fs::write(self.path("hosts.toml"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What the environment of each of its processes holds and no other's does.
    fn mark(&self) -> String {
        format!("MARK={}", self.dir.path().display())
    }

    fn run(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
        command.current_dir(self.dir.path()).arg("run").args(args.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn output(&self, args: &str) -> Output {
        self.run(args).output().unwrap()
    }

    /// Starts a run that is long enough to be disturbed, and waits for its first trial.
    fn begin_long(&self, args: &str) -> Child {
        let args = format!("--hosts hosts.toml {args} --out out --requests 1000 --blocks 20");
        let run = self.run(&args).spawn().unwrap();
        let trials = self.path("out/trials.jsonl");
        wait_for("the first trial", || fs::metadata(&trials).is_ok_and(|file| file.len() > 0));
        run
    }

    fn stored(&self) -> Stored {
        store::read(&self.path("out")).unwrap()
    }

    /// Its processes: number and command line.
    fn processes(&self) -> Vec<(i32, String)> {
        let mark = self.mark();
        let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        all.filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            // That of an ended process is empty.
            let environment = fs::read(entry.path().join("environ")).ok()?;
            let is_ours = environment.split(|byte| *byte == 0).any(|word| word == mark.as_bytes());
            let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            is_ours.then(|| (pid, line.replace('\0', " ")))
        })
        .collect()
    }

    /// Nothing of it is left within five seconds from now.
    fn is_gone(&self) {
        let deadline = Instant::now() + GONE_WITHIN;
        while !self.processes().is_empty() {
            assert!(Instant::now() < deadline, "still there: {:?}", self.processes());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// Every cell of the grid was measured, so many requests each.
fn is_whole(stored: &Stored, requests: u64) {
    let cells: BTreeSet<_> = stored.trials.iter().map(|trial| (trial.block, trial.cell.clone())).collect();
    assert_eq!(cells.len(), 6);
    // A machine that is busy otherwise may let them begin apart: then the trial was measured again.
    let began_apart = |reason: &Reason| matches!(reason, Reason::BeganApart { .. });
    let spoilt = |trial: &&Trial| {
        let reasons = trial.outcome.reasons();
        !reasons.is_empty() && reasons.iter().all(began_apart)
    };
    for trial in stored.trials.iter().filter(|trial| !spoilt(trial)) {
        let Outcome::Measured(sample) = &trial.outcome else { panic!("{trial:?}") };
        assert_eq!((sample.completed, sample.non_2xx), (requests, 0));
        assert_eq!(sample.per_backend.len(), trial.cell.condition.backends as usize);
        assert_eq!(sample.hosts.keys().collect::<Vec<_>>(), ["a", "b"]);
    }
}

#[test]
fn a_run_over_two_hosts_measures_every_cell_and_stores_its_hosts() {
    let hosts = Hosts::new("[\"a\"]");
    let done = hosts.output(&format!("--hosts hosts.toml {GRID} --out out --requests 200 --blocks 1"));
    assert!(done.status.success(), "{}", stderr(&done));
    let stored = hosts.stored();
    is_whole(&stored, 200);
    let kept = stored.environment.hosts.unwrap();
    assert_eq!((kept.launch[0].as_str(), kept.balancer.as_str()), ("env", "b"));
    assert_eq!(kept.each.len(), 2);
    assert!(kept.each.iter().all(|host| host.sha256.len() == 64 && host.round_trip_ns > Some(0)));
    assert_eq!(kept.each[0].sha256, kept.each[1].sha256);
    assert!(kept.each.iter().all(|host| !host.processors.is_empty() && host.host.memory_bytes > 0));
    let ways: Vec<_> = kept.connects.iter().map(|way| (way.from.as_str(), way.to.as_str())).collect();
    assert_eq!(ways, [("a", "b"), ("b", "a")]);
    assert!(kept.connects.iter().all(|way| way.fastest_ns > 0));
    let page = fs::read_to_string(hosts.path("reports/out/index.html")).unwrap();
    assert!(page.contains("b at 127.0.0.2 (balancer, 1 of 2 backends in turn)"));
    assert!(page.contains("round trip from the harness") && page.contains("time to connect"));
    hosts.is_gone();
}

#[test]
fn several_load_generators_together_send_what_was_asked_for() {
    let hosts = Hosts::new("[\"a\", \"b\", \"a\"]");
    // Neither requests nor connections can be divided by three.
    let done = hosts.output(&format!("--hosts hosts.toml {GRID} --out out --requests 5000 --blocks 1"));
    assert!(done.status.success(), "{}", stderr(&done));
    is_whole(&hosts.stored(), 5000);
}

/// With so long an interval that a machine that is busy otherwise keeps it too.
#[test]
fn several_load_generators_keep_one_rate_together() {
    let hosts = Hosts::new("[\"a\", \"b\"]");
    let slow = "--rate 20 --requests 13 --warmup 2 --blocks 1 --models mio --backends 1 --concurrency 4 --steal-limit 100";
    let done = hosts.output(&format!("--hosts hosts.toml {slow} --out out"));
    let stored = hosts.stored();
    let measured: Vec<_> = stored.trials.iter().filter_map(|trial| trial.outcome.sample()).collect();
    assert!(!measured.is_empty(), "{}", stderr(&done));
    for sample in measured {
        let open = sample.open_loop.as_ref().unwrap();
        assert_eq!((open.rate, open.sustained, sample.completed), (20, true, 13));
        // Thirteen requests, one each fiftieth of a second: the last is due after 600 ms.
        assert!(sample.elapsed_ns >= 600_000_000, "{}", sample.elapsed_ns);
    }
}

#[test]
fn faults_befall_backends_on_their_hosts_and_are_told_by_one_clock() {
    let hosts = Hosts::new("[\"a\", \"b\"]");
    let faults =
        "--models mio --backends 2 --blocks 1 --steal-limit 100 --fault kill-backend@500ms,restore@1s";
    let done = hosts.output(&format!("--hosts hosts.toml {faults} --out out"));
    assert!(done.status.success(), "{}", stderr(&done));
    let stored = hosts.stored();
    let measured = stored.trials.iter().find_map(|trial| trial.outcome.sample()).unwrap();
    let seen = measured.timeline.as_ref().unwrap();
    let [killed, restored] = &seen.applied[..] else { panic!("{:?}", seen.applied) };
    // In the order in which they came about, within the window.
    let times = [0, killed.began_us, killed.effective_us, restored.began_us, restored.effective_us];
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    assert!(u128::from(restored.effective_us) < u128::from(measured.elapsed_ns) / 1000, "{times:?}");
    assert_eq!(measured.completed + measured.failed, seen.requests);
    hosts.is_gone();
}

#[test]
fn nothing_is_left_within_five_seconds_after_the_harness_was_killed() {
    let hosts = Hosts::new("[\"a\"]");
    let peers: Vec<_> = ["nginx", "haproxy"].into_iter().filter(|name| is_installed(name)).collect();
    let args = match peers.is_empty() {
        true => GRID.to_owned(),
        false => format!("{GRID} --peers {}", peers.join(",")),
    };
    let mut run = hosts.begin_long(&args);
    let balancer = if peers.is_empty() { " balance " } else { " peer " };
    wait_for("a balancer", || below(run.id()).iter().any(|process| process.line.contains(balancer)));
    let all = below(run.id());
    assert!(all.len() >= 5, "two agents, two backends and a balancer: {all:?}");
    run.kill().unwrap();
    let deadline = Instant::now() + GONE_WITHIN;
    let left = || all.iter().filter(|process| !has_left(process.pid)).collect::<Vec<_>>();
    while !left().is_empty() {
        assert!(Instant::now() < deadline, "still there: {:?}", left());
        std::thread::sleep(Duration::from_millis(20));
    }
    hosts.is_gone();
    run.wait().unwrap();
}

#[derive(Debug)]
struct Process {
    pid: i32,
    parent: i32,
    line: String,
}

/// Every process that `root` has started, and that those have started. A product may hide what its environment was, but not this.
fn below(root: u32) -> Vec<Process> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut all: Vec<Process> = entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            Some(Process { pid, parent, line: line.replace('\0', " ") })
        })
        .collect();
    let mut known = vec![i32::try_from(root).unwrap()];
    let mut below = Vec::new();
    loop {
        let (found, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|process| known.contains(&process.parent));
        if found.is_empty() {
            return below;
        }
        known.extend(found.iter().map(|process| process.pid));
        below.extend(found);
        all = others;
    }
}

/// The agents that a run has launched. What one is about to start looks like it until it has become what it is to be.
fn agents_of(run: &Child) -> Vec<i32> {
    let own = |process: &Process| u32::try_from(process.parent) == Ok(run.id());
    let agents = below(run.id()).into_iter().filter(own);
    agents.filter(|process| process.line.contains(" agent ")).map(|process| process.pid).collect()
}

/// Gone, or dead and not yet waited for by whoever inherited it.
fn has_left(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
}

#[test]
fn no_product_outlives_a_peer_process_that_was_killed() {
    if !is_installed("nginx") {
        return;
    }
    for args in ["", "--hosts hosts.toml"] {
        let hosts = Hosts::new("[\"a\"]");
        // So long that it does not end by itself while this looks.
        let args = format!("{args} --peers nginx {GRID} --out out --requests 30000 --blocks 1");
        let mut run = hosts.run(&args).spawn().unwrap();
        let peer = || below(run.id()).into_iter().find(|process| process.line.contains(" peer nginx "));
        let product = || peer().map_or(Vec::new(), |peer| below(u32::try_from(peer.pid).unwrap()));
        wait_for("a master and a worker", || product().len() >= 2);
        let (peer, product) = (peer().unwrap(), product());
        signal(peer.pid, Signal::SIGKILL);
        wait_for("the product's end", || product.iter().all(|process| has_left(process.pid)));
        let goes_on = run.try_wait().unwrap().is_none();
        signal(i32::try_from(run.id()).unwrap(), Signal::SIGINT);
        run.wait().unwrap();
        assert!(goes_on, "the product ended with its peer process, and not with the run: {args}");
        hosts.is_gone();
    }
}

fn is_installed(name: &str) -> bool {
    peers::parse(name).unwrap().iter().all(|peer| peer.kind == Kind::Peer)
        && peers::find(name).unwrap().program().is_some()
}

#[test]
fn a_killed_agent_makes_its_trial_invalid_and_the_run_is_gone_on_with_on_the_same_hosts() {
    let hosts = Hosts::new("[\"a\"]");
    let run = hosts.begin_long(GRID);
    let agents = agents_of(&run);
    assert_eq!(agents.len(), 2, "{:?}", hosts.processes());
    signal(agents[0], Signal::SIGKILL);
    let ended = run.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let told = stderr(&ended);
    let of_last = hosts.stored().trials.last().unwrap().outcome.reasons().to_vec();
    let lost = of_last.iter().find_map(|reason| match reason {
        Reason::HostLost { host, how } => Some((host.clone(), how.clone())),
        _ => None,
    });
    let (host, how) = lost.unwrap_or_else(|| panic!("{of_last:?}: {told}"));
    assert!(["a", "b"].contains(&host.as_str()) && how.contains("signal: 9"), "{host}: {how}");
    assert!(told.contains(&format!("host {host} was lost (")), "{told}");
    assert!(told.contains("go on with `roundtable run --resume out`"), "{told}");
    hosts.is_gone();
    let before = hosts.stored().trials.len();
    let mut resumed = hosts.run("--resume out").spawn().unwrap();
    wait_for("another trial", || hosts.stored().trials.len() > before);
    assert_eq!(agents_of(&resumed).len(), 2);
    signal(i32::try_from(resumed.id()).unwrap(), Signal::SIGINT);
    assert_eq!(resumed.wait().unwrap().code(), Some(130));
    hosts.is_gone();
    let stored = hosts.stored();
    let notes = stored.environment.notes.join("; ");
    assert!(!notes.contains("other hosts"), "{notes}");
}

#[test]
fn a_run_that_is_interrupted_leaves_no_agent_and_is_resumed_on_other_hosts_with_a_note() {
    let hosts = Hosts::new("[\"a\"]");
    let mut run = hosts.begin_long(GRID);
    signal(i32::try_from(run.id()).unwrap(), Signal::SIGINT);
    assert_eq!(run.wait().unwrap().code(), Some(130));
    hosts.is_gone();
    let launch = format!("[\"env\", {:?}, \"HOST={{host}}\"]", hosts.mark());
    hosts.write("[\"b\"]", &launch, "");
    let before = hosts.stored().trials.len();
    let mut resumed = hosts.run("--resume out --hosts hosts.toml").spawn().unwrap();
    wait_for("another trial", || hosts.stored().trials.len() > before);
    signal(i32::try_from(resumed.id()).unwrap(), Signal::SIGINT);
    resumed.wait().unwrap();
    let notes = hosts.stored().environment.notes.join("; ");
    assert!(notes.contains("on other hosts: load b (127.0.0.2)"), "{notes}");
}

/// A copy of the program with a byte behind it, which changes its hash and nothing else.
fn another_program(at: &Path) {
    let mut bytes = fs::read(env!("CARGO_BIN_EXE_roundtable")).unwrap();
    bytes.push(0);
    fs::write(at, bytes).unwrap();
    fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
}

fn is_refused(hosts: &Hosts, args: &str, code: i32, told: &[&str]) {
    let refused = hosts.output(args);
    let text = stderr(&refused);
    assert_eq!(refused.status.code(), Some(code), "{text}");
    assert!(told.iter().all(|told| text.contains(told)), "{text}");
    assert!(!hosts.path("out").exists());
}

#[test]
fn a_host_with_another_program_is_refused_by_its_name() {
    let hosts = Hosts::new("[\"a\"]");
    let other = hosts.path("other");
    another_program(&other);
    // Host b's agent is another program, whatever it is asked to start.
    let script = hosts.path("launch");
    let text = format!(
        "#!/bin/sh\nhost=$1; shift\n[ $host = b ] && {{ shift; set -- {other:?} \"$@\"; }}\nexec \"$@\"\n"
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    hosts.write("[\"a\"]", &format!("[{script:?}, \"{{host}}\"]"), "");
    let args = format!("--hosts hosts.toml {GRID} --out out");
    is_refused(
        &hosts,
        &args,
        1,
        &["another roundtable than this one", "runs on b (", "copy this program's file there"],
    );
}

#[test]
fn hosts_that_cannot_be_had_are_told_with_what_to_do() {
    let hosts = Hosts::new("[\"a\"]");
    let args = format!("--hosts hosts.toml {GRID} --out out");
    hosts.write("[\"c\"]", "[]", "");
    is_refused(&hosts, &args, 2, &["hosts.toml, line 8: there is no host \"c\"", "add a [host.c]"]);
    hosts.write("[\"a\"]", "[\"echo\", \"no such machine:\"]", "");
    is_refused(
        &hosts,
        &args,
        1,
        &["no agent came up on host a", "no such machine:", "see whether `echo no such machine:"],
    );
    hosts.write("[\"a\"]", "[]", "program = \"/no/such/roundtable\"");
    is_refused(&hosts, &args, 1, &["no agent came up on host", "/no/such/roundtable agent --open-files"]);
    hosts.write("[\"a\"]", "[]", "");
    // An address that this machine does not have.
    let text = fs::read_to_string(hosts.path("hosts.toml")).unwrap();
    fs::write(hosts.path("hosts.toml"), text.replace("127.0.0.2", "192.0.2.1")).unwrap();
    is_refused(&hosts, &args, 1, &["host b could not listen at 192.0.2.1, its address in the hosts file"]);
}

#[test]
fn a_run_of_one_machine_is_not_gone_on_with_on_hosts() {
    let hosts = Hosts::new("[\"a\"]");
    let done = hosts.output(&format!("{GRID} --out out --requests 100 --blocks 1"));
    assert!(done.status.success(), "{}", stderr(&done));
    let refused = hosts.output("--resume out --hosts hosts.toml");
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("leave --hosts out"), "{}", stderr(&refused));
}

/// A stand-in for `kubectl`: keeps its command line, and starts what stands behind `--` if that is as `kubectl exec -i POD --`.
#[test]
fn kubectl_is_given_the_pod_and_the_program_as_words_of_their_own() {
    let hosts = Hosts::new("[\"a\"]");
    let kubectl = hosts.path("kubectl");
    let text = "#!/bin/sh\n[ \"$1 $2 $4\" = \"exec -i --\" ] || { echo \"unknown command: $*\" >&2; exit 1; }\n\
                echo \"$3\" >> \"$(dirname \"$0\")/pods\"\nshift 4\nexec \"$@\"\n";
    fs::write(&kubectl, text).unwrap();
    fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
    hosts.write("[\"a\"]", &format!("[{kubectl:?}, \"exec\", \"-i\", \"{{host}}\", \"--\"]"), "");
    let done = hosts.output(&format!("--hosts hosts.toml {GRID} --out out --requests 100 --blocks 1"));
    assert!(done.status.success(), "{}", stderr(&done));
    let mut pods: Vec<_> =
        fs::read_to_string(hosts.path("pods")).unwrap().lines().map(str::to_owned).collect();
    pods.sort();
    assert_eq!(pods, ["a", "b"]);
}
