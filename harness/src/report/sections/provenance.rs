//! Where a run's figures come from: build, machine and plan, with every factor of a trial.

use std::collections::BTreeMap;

use super::Source;
use crate::plan::{FACTORS, Factor, Length};
use crate::record::{Environment, Hosts, RunHost};
use crate::report::section::{Section, Table};
use crate::text::counted;

pub(super) fn sections(source: &Source<'_>) -> Vec<Section> {
    vec![of(&source.stored.environment)]
}

/// Those of any kind of run.
pub(super) fn of(environment: &Environment) -> Section {
    Section::new("provenance", "Provenance").table(facts(environment))
}

/// Build, machine and plan, a fact a row.
fn facts(environment: &Environment) -> Table {
    let Environment { created, command_line, plan, build, host, .. } = environment;
    let changes = if build.dirty { " with uncommitted changes" } else { "" };
    let length = match plan.length {
        Length::Blocks(blocks) => counted(blocks as usize, "block"),
        Length::Budget { budget_ms, minimum_blocks } => {
            let blocks = counted(minimum_blocks as usize, "block");
            format!("as many blocks as fit {} s, at least {blocks}", budget_ms / 1000)
        }
    };
    let listed = |map: &BTreeMap<String, String>| {
        map.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
    };
    let of_hosts = environment.hosts.as_ref().map(hosts).unwrap_or_default();
    let mut facts = vec![
        ("begun", created.clone()),
        ("command line", command_line.join(" ")),
        ("roundtable", format!("{}, commit {}{changes}", build.version, build.commit)),
        ("compiler", format!("{}, profile {}, {}", build.rustc, build.profile, build.target)),
        ("crates", listed(&build.crates)),
        ("processor", format!("{}, {} usable", host.cpu, host.processors)),
        ("hypervisor", host.hypervisor.clone()),
        ("kernel", host.kernel.clone()),
        ("memory", format!("{} MiB", host.memory_bytes >> 20)),
        ("load average at the start", format!("{:.2}", host.load_average)),
        ("descriptor limit", host.descriptor_limit.to_string()),
        ("kernel settings", listed(&host.sysctls)),
        ("seed", plan.seed.to_string()),
        ("length", length),
        ("steal limit", format!("{} % of the processors' time", plan.gates.steal_limit_percent)),
        (
            "precision",
            plan.precision_percent.map_or("not asked for".into(), |percent| format!("±{percent} %")),
        ),
    ];
    facts.splice(2..2, of_hosts);
    let values =
        |factor: &Factor| -> Vec<_> { plan.values(factor).iter().map(|value| factor.told(value)).collect() };
    facts.extend(FACTORS.iter().map(|factor| (factor.title, values(factor).join(", "))));
    Table::of_facts(facts)
}

/// Who played what, and how far they are from each other. Beside them stand the machine's facts, which are the balancer's host's.
fn hosts(hosts: &Hosts) -> Vec<(&'static str, String)> {
    let listed = |facts: &mut dyn Iterator<Item = String>| facts.collect::<Vec<_>>().join("; ");
    let ms = |ns: u64| format!("{:.3} ms", ns as f64 / 1e6);
    let host = |host: &RunHost| {
        let count = |names: &[String]| names.iter().filter(|name| **name == host.name).count();
        let generators = count(&hosts.load);
        let (turns, of) = (count(&hosts.backends), hosts.backends.len());
        let roles = [
            (generators > 0).then(|| match generators {
                1 => "load generator".to_owned(),
                _ => counted(generators, "load generator"),
            }),
            (hosts.balancer == host.name).then(|| "balancer".to_owned()),
            (turns == of).then(|| "every backend".to_owned()),
            (turns > 0 && turns < of).then(|| format!("{turns} of {of} backends in turn")),
        ];
        let roles: Vec<_> = roles.into_iter().flatten().collect();
        let from_harness = host.round_trip_ns.map_or("unknown".to_owned(), ms);
        format!(
            "{} at {} ({}): {}, {} usable, Linux {}, round trip from the harness {from_harness}",
            host.name,
            host.address,
            roles.join(", "),
            host.host.cpu,
            counted(host.processors.len(), "processor"),
            host.host.kernel,
        )
    };
    let connects =
        hosts.connects.iter().map(|way| format!("{} to {} {}", way.from, way.to, ms(way.fastest_ns)));
    let program = hosts.each.first().map_or("", |host| host.sha256.as_str());
    vec![
        ("hosts", listed(&mut hosts.each.iter().map(host))),
        ("time to connect, the shortest", listed(&mut connects.into_iter())),
        ("launched by", format!("{} {}", hosts.launch.join(" "), hosts.program)),
        ("program on every host, SHA-256", program.to_owned()),
    ]
}

/// What a reader must be warned of before the figures.
pub(super) fn warnings(environment: &Environment) -> Vec<String> {
    let mut warnings = environment.notes.clone();
    if environment.build.profile != "release" {
        warnings.push(format!(
            "The binary was built with the profile {}: its figures say nothing about a release build.",
            environment.build.profile
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::synthetic::Run;

    #[test]
    fn every_factor_of_a_trial_is_named_with_its_values() {
        let environment = Run::new().backends(&[1, 2]).blocks(0).rate(2000).build().environment;
        let table = facts(&environment);
        let rows: Vec<_> = (0..table.rows.len()).map(|row| table.plain_row(row)).collect();
        for factor in FACTORS {
            assert!(rows.iter().any(|row| row[0] == factor.title), "{}", factor.title);
        }
        for [fact, value] in [
            ["backends", "1, 2"],
            ["workers", "each model's own number"],
            ["steal limit", "10 % of the processors' time"],
        ] {
            assert!(rows.iter().any(|row| row[0] == fact && row[1].contains(value)), "{fact}: {rows:?}");
        }
    }

    #[test]
    fn hosts_are_named_with_their_roles_and_the_ways_between_them() {
        let mut environment = Run::new().blocks(0).build().environment;
        let plain = facts(&environment).rows.len();
        environment.hosts = Some(crate::fixtures::hosts());
        let table = facts(&environment);
        let rows: Vec<_> = (0..table.rows.len()).map(|row| table.plain_row(row).join(": ")).collect();
        assert_eq!(rows.len(), plain + 4);
        for told in [
            "a at 10.0.0.1 (2 load generators, every backend)",
            "b at 10.0.0.2 (balancer)",
            "2 processors usable, Linux k, round trip from the harness 0.200 ms",
            "time to connect, the shortest: a to b 0.051 ms",
            "launched by: ssh {host} /opt/roundtable",
        ] {
            assert!(rows.iter().any(|row| row.contains(told)), "{told}: {rows:?}");
        }
    }

    #[test]
    fn a_debug_build_is_warned_of() {
        let mut environment = Run::new().blocks(0).build().environment;
        assert!(warnings(&environment).is_empty());
        environment.build.profile = "debug".into();
        assert!(warnings(&environment)[0].contains("nothing about a release build"));
    }
}
