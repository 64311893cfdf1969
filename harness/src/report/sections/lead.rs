//! What stands at the head of a report: what was measured, what was found, how sure that is.

use super::Source;
use crate::analysis::loop_kind::Loop;
use crate::plan::{FACTORS, Kind};
use crate::report::prose;
use crate::report::section::Lead;
use crate::report::value::noise_floor;
use crate::text::{capitalised, counted};

pub(super) fn of(source: &Source<'_>) -> Option<Lead> {
    let answers = prose::answers::of_run(source.analysis).into_iter();
    let found = answers.chain(prose::claims::of_run(source.analysis)).next()?;
    Some(Lead { measured: measured(source), found, sure: sure(source) })
}

/// The same, of threaded against async alone.
pub(super) fn of_families(source: &Source<'_>) -> Option<Lead> {
    let found = prose::claims::of_families(source.analysis)?;
    Some(Lead { measured: measured(source), found, sure: sure(source) })
}

pub(super) fn measured(source: &Source<'_>) -> String {
    let (summary, environment) = (&source.analysis.summary, &source.stored.environment);
    let plan = &environment.plan;
    let grid = summary.grid.dimensions().iter().map(|of| {
        let values: Vec<_> = of.levels.iter().map(|level| of.factor.told(level)).collect();
        format!("{} {}", of.factor.title, values.join(", "))
    });
    let day = environment.created.split('T').next().unwrap_or_default();
    let of_kind = |kind: Kind, name: &str| {
        let count = summary.balancers().filter(|row| row.kind == kind).count();
        (count > 0).then(|| counted(count, name))
    };
    let kinds = [(Kind::Model, "concurrency model"), (Kind::Peer, "product"), (Kind::Floor, "floor")];
    let kinds: Vec<_> = kinds.into_iter().filter_map(|(kind, name)| of_kind(kind, name)).collect();
    format!(
        "{}; {}; {}, {}; {day}",
        kinds.join(", "),
        grid.collect::<Vec<_>>().join("; "),
        prose::load::length(plan),
        prose::blocks(summary),
    )
}

pub(super) fn sure(source: &Source<'_>) -> String {
    let (analysis, host) = (source.analysis, &source.stored.environment.host);
    let floors = analysis.summary.load().main_metrics().iter().filter_map(|&metric| {
        let floor = analysis.verdicts.on(metric)?.floor?;
        Some(format!("{} in {}", noise_floor(floor), metric.name()))
    });
    let floors: Vec<_> = floors.collect();
    let noise = if floors.is_empty() {
        "nothing tells how far a model differs from itself".to_owned()
    } else {
        format!("a model measured twice differed from itself by up to {}", floors.join(" and "))
    };
    let fixed = ["connections", "layout"].into_iter().filter_map(|name| {
        let factor = FACTORS.into_iter().find(|factor| factor.name == name)?;
        let [level] = &analysis.summary.grid.levels(factor)[..] else { return None };
        Some(factor.told(level))
    });
    let kind = match analysis.summary.load() {
        Loop::Closed => "closed loop".to_owned(),
        load @ Loop::Open { .. } => prose::load::name(load).unwrap_or_default(),
    };
    let network = prose::network(&source.stored.environment);
    let place: Vec<_> =
        fixed.chain([kind, counted(host.processors as usize, "processor"), network]).collect();
    format!(
        "{}: {noise}. It holds for: {}.",
        capitalised(&prose::blocks(&analysis.summary)),
        place.join(", ")
    )
}
