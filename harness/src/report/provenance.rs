//! Where a run's figures come from: build, machine, plan, the models' fairness manifests, and the machine's noise.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{Family, Length};
use crate::record::{Environment, Stored};
use crate::report::summary::{Measured, Summary};
use crate::report::table::{Column, Table};
use crate::report::tables::NOTHING;
use crate::report::words;
use crate::statistics::Spread;

/// Build, machine and plan, a fact a row.
pub(super) fn facts(environment: &Environment) -> Table {
    let Environment { created, command_line, plan, build, host, .. } = environment;
    let changes = if build.dirty { " with uncommitted changes" } else { "" };
    let length = match plan.length {
        Length::Blocks(blocks) => words::counted(blocks as usize, "block"),
        Length::Budget { budget_ms, minimum_blocks } => {
            let blocks = words::counted(minimum_blocks as usize, "block");
            format!("as many blocks as fit {} s, at least {blocks}", budget_ms / 1000)
        }
    };
    let listed = |map: &BTreeMap<String, String>| {
        map.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
    };
    Table::of_facts(vec![
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
        (
            "a trial",
            format!(
                "{} timed requests after {} discarded, {}{}, {} bytes a body",
                plan.base.requests,
                plan.base.warmup,
                plan.base.rate.map_or(String::new(), |rate| format!("{rate} per second (open loop), ")),
                words::connections(plan.base.connections),
                plan.base.body_bytes
            ),
        ),
    ])
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

/// The models, a row each.
pub(super) fn models(environment: &Environment) -> Table {
    let columns = ["model", "family", "unit of work", "summary"].map(Column::words).to_vec();
    let family = |family| match family {
        Family::Threaded => "threaded",
        Family::Async => "async",
        Family::None => NOTHING,
    };
    let rows = environment.models.iter().map(|model| {
        vec![
            words::row(&model.competitor),
            family(model.family).to_owned(),
            model.unit_of_work.clone(),
            model.summary.clone(),
        ]
    });
    Table { columns, rows: rows.collect() }
}

/// The fairness manifests side by side, and whether the models agree.
pub(super) fn manifest(environment: &Environment) -> Table {
    let models: Vec<_> = environment.models.iter().filter(|model| !model.competitor.is_direct()).collect();
    let mut columns = vec![Column::words("setting")];
    columns.extend(models.iter().map(|model| Column::words(words::row(&model.competitor))));
    columns.push(Column::words("equal"));
    let settings: BTreeSet<_> = models.iter().flat_map(|model| model.manifest.keys()).collect();
    let rows = settings.into_iter().map(|setting| {
        let values: Vec<_> = models.iter().map(|model| model.manifest.get(setting)).collect();
        let equal = if values.windows(2).all(|pair| pair[0] == pair[1]) { "yes" } else { "no" };
        let mut row = vec![setting.clone()];
        row.extend(values.into_iter().map(|value| value.map_or(NOTHING, String::as_str).to_owned()));
        row.push(equal.to_owned());
        row
    });
    Table { columns, rows: rows.collect() }
}

/// What the machine did besides, over the valid trials.
pub(super) fn noise(stored: &Stored, summary: &Summary) -> Table {
    let steal: Vec<_> = summary.valid().map(|trial| trial.steal * 100.0).collect();
    let share = |value: Option<f64>| value.map_or(NOTHING.into(), |share| format!("{share:.2} %"));
    let spread = Spread::of(&steal);
    let total = |count: fn(&Measured) -> u64| {
        let with = summary.valid().filter(|trial| count(trial) > 0).count();
        let sum: u64 = summary.valid().map(count).sum();
        format!("{sum} in all, in {}", words::counted(with, "trial"))
    };
    Table::of_facts(vec![
        ("trials", format!("{}, of which {} invalid", stored.trials.len(), summary.invalid.len())),
        ("time stolen by the hypervisor, median trial", share(spread.map(|s| s.median))),
        ("time stolen by the hypervisor, worst trial", share(spread.map(|s| s.max))),
        ("connections that met a full accept queue", total(|trial| trial.listen_overflows)),
        ("retransmission timers that fired", total(|trial| trial.tcp_timeouts)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic::Run;

    #[test]
    fn settings_that_differ_between_models_are_marked() {
        let environment = Run::new().models(&["direct", "threads", "mio"]).blocks(0).build().environment;
        insta::assert_snapshot!(manifest(&environment).markdown(), @r"
        | setting | threads | mio | equal |
        | --- | --- | --- | --- |
        | backlog | 1024 | 1024 | yes |
        | nodelay | yes | yes | yes |
        | threads | threads | mio | no |
        ");
    }

    #[test]
    fn a_debug_build_is_warned_of() {
        let mut environment = Run::new().blocks(0).build().environment;
        assert!(warnings(&environment).is_empty());
        environment.build.profile = "debug".into();
        assert!(warnings(&environment)[0].contains("nothing about a release build"));
    }

    #[test]
    fn steal_is_a_share_of_all_processors_time() {
        let mut run = Run::new().models(&["mio"]).backends(&[1]).concurrency(&[2]).blocks(1).build();
        if let crate::record::Outcome::Measured(sample) = &mut run.trials[0].outcome {
            sample.host.steal_ns = sample.elapsed_ns;
        }
        let table = noise(&run, &Summary::of(&run));
        assert_eq!(table.rows[2][1], "50.00 %");
    }
}
