//! Where a run's figures come from: build, machine and plan, with every factor of a trial.

use std::collections::BTreeMap;

use super::Source;
use crate::plan::{FACTORS, Factor, Length};
use crate::record::Environment;
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
    let values =
        |factor: &Factor| -> Vec<_> { plan.values(factor).iter().map(|value| factor.told(value)).collect() };
    facts.extend(FACTORS.iter().map(|factor| (factor.title, values(factor).join(", "))));
    Table::of_facts(facts)
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
    fn a_debug_build_is_warned_of() {
        let mut environment = Run::new().blocks(0).build().environment;
        assert!(warnings(&environment).is_empty());
        environment.build.profile = "debug".into();
        assert!(warnings(&environment)[0].contains("nothing about a release build"));
    }
}
