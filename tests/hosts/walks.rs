//! The walk-throughs of examples/several-machines, each with the script and the hosts file that stand there: namespaces joined by
//! veth, an sshd and a Slurm of the test's own. What this machine or this user cannot have is left out with a line that says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use roundtable_harness::record::store;
use roundtable_harness::record::{Outcome, Stored};
use tempfile::{TempDir, tempdir};

use crate::{GRID, stderr};

/// One of the walk-throughs in examples/several-machines, in a folder of its own; what was brought up ends with this value.
struct Walk {
    dir: TempDir,
    name: &'static str,
    /// What the script is given behind `up` and `down`.
    of: String,
}

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/several-machines").join(file)
}

impl Walk {
    /// `None`, with a line that says why, where this machine or this user cannot.
    fn begin(name: &'static str, of: &str) -> Option<Walk> {
        let walk = Walk { dir: tempdir().unwrap(), name, of: of.to_owned() };
        let up = walk.script("up");
        if !up.status.success() {
            eprintln!("{name} is left out: {}", stderr(&up).trim());
            return None;
        }
        Some(walk)
    }

    fn script(&self, action: &str) -> Output {
        let mut command = Command::new(example(&format!("{}.sh", self.name)));
        command.current_dir(self.dir.path()).arg(action).arg(&self.of).stdin(Stdio::null());
        // What stays in the background must not hold this process's pipes open.
        let said = fs::File::create(self.dir.path().join("said")).unwrap();
        let status = command.stdout(Stdio::null()).stderr(said).status().unwrap();
        Output { status, stdout: Vec::new(), stderr: fs::read(self.dir.path().join("said")).unwrap() }
    }

    /// The run that the README shows, shortened, with the hosts file that stands there.
    fn run(&self, file: &str) -> Stored {
        fs::write(self.dir.path().join("hosts.toml"), file).unwrap();
        let args = format!("--hosts hosts.toml {GRID} --requests 500 --blocks 1 --out out");
        let done = Command::new(env!("CARGO_BIN_EXE_roundtable"))
            .current_dir(self.dir.path())
            .arg("run")
            .args(args.split_whitespace())
            .env("SLURM_CONF", self.dir.path().join(&self.of).join("slurm.conf"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(done.status.success(), "{}: {}", self.name, stderr(&done));
        let stored = store::read(&self.dir.path().join("out")).unwrap();
        assert!(stored.trials.iter().all(|trial| matches!(trial.outcome, Outcome::Measured(_))));
        stored
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        self.script("down");
    }
}

fn of_example(file: &str) -> String {
    fs::read_to_string(example(file)).unwrap()
}

#[test]
fn hosts_may_be_namespaces_joined_by_veth() {
    let name = format!("rt{}", std::process::id());
    let Some(walk) = Walk::begin("namespaces", &name) else { return };
    let stored = walk.run(&of_example("namespaces.toml").replace("roundtable", &name));
    let hosts = stored.environment.hosts.unwrap();
    let addresses: Vec<_> = hosts.each.iter().map(|host| host.address.to_string()).collect();
    assert_eq!(addresses, ["10.99.0.1", "10.99.0.2"]);
    assert_eq!(hosts.connects.len(), 2);
}

#[test]
fn hosts_may_be_reached_by_ssh() {
    let Some(walk) = Walk::begin("ssh", "several-machines-ssh") else { return };
    let plain = Command::new("ssh")
        .current_dir(walk.dir.path())
        .args(["-oBatchMode=yes", "-F", "several-machines-ssh/ssh_config", "a", "true"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if !plain.status.success() {
        eprintln!("ssh is left out: this user cannot log in here: {}", stderr(&plain).trim());
        return;
    }
    let stored = walk.run(&of_example("ssh.toml"));
    assert_eq!(stored.environment.hosts.unwrap().launch[0], "ssh");
}

#[test]
fn hosts_may_be_nodes_of_slurm() {
    let Some(walk) = Walk::begin("slurm", "several-machines-slurm") else { return };
    let stored = walk.run(&of_example("slurm.toml"));
    assert_eq!(stored.environment.hosts.unwrap().launch, ["srun", "-w", "{host}"]);
}

#[test]
fn every_hosts_file_of_the_examples_can_be_read() {
    let files = fs::read_dir(example("")).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|of| of == "toml")).collect();
    assert_eq!(files.len(), 4);
    for file in files {
        roundtable_harness::testbed::hosts::read(&file).unwrap();
    }
}
