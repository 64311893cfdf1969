//! `run --peers`: which products and floors a run measures, and how they are described.
//!
//! Rule: one that is not there (not installed, or this machine lacks something for it) is told in a line and left out; the run
//! goes on without it.

use roundtable_harness::plan::{Competitor, Condition, Family, Kind, Plan, PlanError};
use roundtable_harness::record::ModelInfo;
use roundtable_harness::testbed::peers::{self, Workers};

use crate::console::tell;
use crate::floor;
use crate::models::Unavailable;

/// The peers of `list` that are there.
pub(super) fn asked(list: Option<&str>) -> Result<Vec<Competitor>, PlanError> {
    let mut all = list.map_or(Ok(Vec::new()), peers::parse)?;
    all.retain(|peer| match absence(peer) {
        None => true,
        Some(Absence::NotInstalled) => {
            tell(format_args!("{} is not installed: left out; install it to measure it too", peer.name));
            false
        }
        Some(Absence::Unavailable(reason)) => {
            tell(format_args!("{} is left out: {reason}", peer.name));
            false
        }
    });
    Ok(all)
}

/// The peers that `plan` measures.
pub(super) fn of(plan: &Plan) -> Vec<Competitor> {
    let is_peer = |row: &&Competitor| matches!(row.kind, Kind::Peer | Kind::Floor) && !row.is_control();
    plan.competitors.iter().filter(is_peer).cloned().collect()
}

/// Why a peer cannot be started here.
#[derive(Debug, thiserror::Error)]
pub(super) enum Absence {
    #[error("is not installed; install it")]
    NotInstalled,
    #[error("is not available on this machine: {0}")]
    Unavailable(Unavailable),
}

/// What keeps it from being started here, if anything does.
pub(super) fn absence(peer: &Competitor) -> Option<Absence> {
    match peer.kind {
        Kind::Floor => (floor::find(&peer.name)?.available)().err().map(Absence::Unavailable),
        _ => {
            let is_there = peers::find(&peer.name).is_some_and(|peer| peer.program().is_some());
            (!is_there).then_some(Absence::NotInstalled)
        }
    }
}

/// How many workers it has, where nobody can choose their number.
pub(super) fn fixed_workers(peer: &Competitor) -> Option<&'static str> {
    match peer.kind {
        Kind::Floor => Some("one thread"),
        _ => match peers::find(&peer.name)?.workers {
            Workers::AsNeeded(words) => Some(words),
            Workers::Count(_) => None,
        },
    }
}

/// It, as it is stored beside the trials.
pub(super) fn info(row: &Competitor, condition: &Condition) -> Option<ModelInfo> {
    if row.kind == Kind::Floor {
        let floor = floor::find(&row.name)?;
        return Some(ModelInfo {
            competitor: row.clone(),
            family: Family::None,
            summary: floor.summary.to_owned(),
            unit_of_work: "an event of one connection".to_owned(),
            workers: Some(1),
            manifest: [].into(),
        });
    }
    let peer = peers::find(&row.name)?;
    Some(ModelInfo {
        competitor: row.clone(),
        family: peer.family,
        summary: peer.summary.to_owned(),
        unit_of_work: peer.unit_of_work.to_owned(),
        workers: peer.count(condition.workers),
        manifest: peer.manifest(condition),
    })
}
