//! `run --hosts`: the hosts of a run, brought up, compared with each other and described.
//!
//! Owns what must hold for all hosts before anything is measured, and what of them is stored; how they are reached is the
//! harness's. Rule: every host runs the very same program as this one, or nothing is measured.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, anyhow, bail, ensure};
use roundtable_harness::host::HostError;
use roundtable_harness::plan::{Layout, Plan};
use roundtable_harness::record;
use roundtable_harness::record::{Connect, Environment, RunHost};
use roundtable_harness::testbed::Testbed;
use roundtable_harness::testbed::agent::sha256_of_this_program;
use roundtable_harness::testbed::hosts::{self, Hosts, HostsError};
use roundtable_harness::testbed::launcher::{Launcher, Program};
use roundtable_harness::testbed::topology::{Host, Topology};

use super::Args;
use crate::console::tell;

/// Digits of a hash that tell two apart.
const DIGITS: usize = 12;

/// The hosts that `args` ask for; none where everything is to run on this machine.
pub(super) fn asked(args: &Args) -> Result<Option<Hosts>, HostsError> {
    args.hosts.as_deref().map(hosts::read).transpose()
}

/// The hosts of a run that is gone on with: those that `args` name, or those that it had.
pub(super) fn of_resumed(asked: Option<Hosts>, stored: &Environment) -> anyhow::Result<Option<Hosts>> {
    match (asked, &stored.hosts) {
        (Some(_), None) => {
            bail!("this run was begun on one machine; leave --hosts out, or begin a new run without --resume")
        }
        (Some(asked), Some(_)) => Ok(Some(asked)),
        (None, stored) => stored.as_ref().map(stored_hosts).transpose(),
    }
}

/// What is refused with hosts, before any is brought up.
pub(super) fn check(args: &Args) -> anyhow::Result<()> {
    ensure!(
        !args.cross_check && !args.system_calls,
        "--cross-check and --system-calls run tools beside the roles, on this machine; leave them out where a run has hosts"
    );
    Ok(())
}

/// Where the roles of `plan` are played: on this machine, or on `hosts`, which are brought up.
pub(super) fn testbed(
    hosts: Option<&Hosts>,
    plan: &Plan,
    interrupt: &Arc<AtomicBool>,
) -> anyhow::Result<Testbed> {
    let Some(hosts) = hosts else {
        return Ok(Testbed::local(Program::running(), Arc::clone(interrupt)));
    };
    let names: Vec<_> = hosts.topology.hosts().into_iter().map(|host| host.name.as_str()).collect();
    tell(format_args!("bringing up {}", names.join(", ")));
    let testbed = Testbed::launch(hosts, &own_program()?, plan.descriptors(), Arc::clone(interrupt))?;
    check_programs(&testbed)?;
    let is_pinned = plan.conditions().iter().any(|condition| condition.layout == Layout::Pinned);
    let balancer = &hosts.topology.balancer.name;
    let of_balancer = testbed.links().into_iter().find(|link| link.host() == balancer);
    if let Some(link) = of_balancer.filter(|link| is_pinned && link.hello().processors.len() < 2) {
        let few = HostError::TooFewProcessors(link.hello().processors.len());
        return Err(few).with_context(|| format!("host {balancer} cannot hold the plan"));
    }
    Ok(testbed)
}

/// This program's path, for hosts on which it is at the same place.
fn own_program() -> anyhow::Result<String> {
    let path =
        std::env::current_exe().context("cannot tell the path of this program; name it in the hosts file")?;
    Ok(path.to_string_lossy().into_owned())
}

/// Refuses hosts that run another program than this one.
fn check_programs(testbed: &Testbed) -> anyhow::Result<()> {
    let own = sha256_of_this_program().context("cannot read this program's own file; start it again")?;
    let others = testbed.links().into_iter().filter(|link| link.hello().sha256 != own);
    let others: Vec<_> = others
        .map(|link| {
            let hello = link.hello();
            format!("{} ({}, SHA-256 {}…)", link.host(), hello.version, shortened(&hello.sha256))
        })
        .collect();
    ensure!(
        others.is_empty(),
        "another roundtable than this one ({}, SHA-256 {}…) runs on {}: copy this program's file there, and name its path as \
         `program` in the hosts file",
        env!("CARGO_PKG_VERSION"),
        shortened(&own),
        others.join(" and ")
    );
    Ok(())
}

fn shortened(hash: &str) -> &str {
    hash.get(..DIGITS).unwrap_or(hash)
}

/// The hosts of `testbed` and the ways between them, to be stored; none where there is but this machine.
pub(super) fn described(testbed: &Testbed, hosts: Option<&Hosts>) -> anyhow::Result<Option<record::Hosts>> {
    let Some(hosts) = hosts else { return Ok(None) };
    let topology = testbed.topology();
    let names = |hosts: &[Host]| hosts.iter().map(|host| host.name.clone()).collect();
    let each = topology.hosts().into_iter().filter_map(|host| {
        let link = testbed.links().into_iter().find(|link| link.host() == host.name)?;
        let hello = link.hello().clone();
        Some(RunHost {
            name: host.name.clone(),
            address: host.address,
            version: hello.version,
            sha256: hello.sha256,
            processors: hello.processors,
            host: hello.host,
            round_trip_ns: link.round_trip_ns(),
        })
    });
    let program = hosts.program.clone().map_or_else(own_program, Ok)?;
    Ok(Some(record::Hosts {
        launch: hosts.launcher.template().to_vec(),
        program,
        load: names(&topology.load),
        balancer: topology.balancer.name.clone(),
        backends: names(&topology.backends),
        each: each.collect(),
        connects: connects(testbed)?,
    }))
}

/// How long it takes to connect between hosts whose roles talk to each other; that a host cannot be reached is told here, and
/// not by trials that fail.
fn connects(testbed: &Testbed) -> anyhow::Result<Vec<Connect>> {
    let topology = testbed.topology();
    let mut pairs: Vec<(&str, &Host)> = Vec::new();
    let to_balancer = topology.load.iter().map(|load| (load.name.as_str(), &topology.balancer));
    let to_backends = topology.backends.iter().flat_map(|backend| {
        // Without a balancer the load goes to the backends themselves.
        let clients = topology.load.iter().chain([&topology.balancer]);
        clients.map(move |client| (client.name.as_str(), backend))
    });
    for (from, to) in to_balancer.chain(to_backends) {
        if from != to.name && !pairs.iter().any(|(a, b)| *a == from && b.name == to.name) {
            pairs.push((from, to));
        }
    }
    let mut connects = Vec::new();
    let find = |name: &str| testbed.links().into_iter().find(|link| link.host() == name);
    for (from, to) in pairs {
        let (Some(client), Some(server)) = (find(from), find(&to.name)) else { continue };
        let address = server.be_reached(to.address, testbed.interrupt())?;
        let fastest_ns = client.reach_ns(address, testbed.interrupt()).with_context(|| {
            format!(
                "{} is to be reached at {}; see that it has this address and that no firewall is between the two",
                to.name, to.address
            )
        })?;
        connects.push(Connect { from: from.to_owned(), to: to.name.clone(), fastest_ns });
    }
    Ok(connects)
}

fn stored_hosts(stored: &record::Hosts) -> anyhow::Result<Hosts> {
    let host = |name: &String| match stored.find(name) {
        Some(host) => Ok(Host { name: name.clone(), address: host.address }),
        None => Err(anyhow!(
            "its environment.json names a host {name:?} and not where that is; give --hosts FILE behind --resume"
        )),
    };
    let each = |names: &[String]| names.iter().map(host).collect::<anyhow::Result<Vec<_>>>();
    let topology = Topology {
        load: each(&stored.load)?,
        balancer: host(&stored.balancer)?,
        backends: each(&stored.backends)?,
    };
    Ok(Hosts { launcher: Launcher::of(&stored.launch), program: Some(stored.program.clone()), topology })
}
