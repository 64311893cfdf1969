//! The passes beside the trials: the cross-check with other load generators, and system calls per request.
//!
//! Owns when they are made (after the last trial, never between), and what the user is told meanwhile; how they are made is
//! the harness's, and the report shows what they found. Rule: what they find is kept apart from the trials.

use std::path::Path;

use roundtable_harness::plan::{Competitor, Kind, Plan};
use roundtable_harness::probes::PassError;
use roundtable_harness::probes::{cross_check, system_calls};
use roundtable_harness::record::store;
use roundtable_harness::testbed::Testbed;

use super::Args;
use crate::console::tell;

/// Pairs of the cross-check in all conditions together, for each model and tool, as far as a condition can do with fewer…
const PAIRS: usize = 30;
/// …than so many.
const MOST_PAIRS_A_CONDITION: usize = 5;

/// Makes the passes that were asked for and keeps what they found; what is to be told of one that was interrupted.
pub(super) fn run(args: &Args, plan: &Plan, dir: &Path, testbed: &Testbed) -> anyhow::Result<Option<String>> {
    // Each balancer once: neither the direct row nor those that are a model under another name.
    let once = |competitor: &&Competitor| !competitor.is_control() && !competitor.is_direct();
    let balancers: Vec<Competitor> = plan.competitors.iter().filter(once).cloned().collect();
    let models: Vec<Competitor> =
        balancers.iter().filter(|balancer| balancer.kind == Kind::Model).cloned().collect();
    let conditions = plan.conditions();
    let mut tell = |what: &str| tell(format_args!("{what}"));
    if args.cross_check {
        let pairs = (PAIRS / conditions.len().max(1)).clamp(1, MOST_PAIRS_A_CONDITION) as u32;
        match cross_check::measure(testbed, &conditions, &models, pairs, &mut tell) {
            Err(PassError::Interrupted) => return Ok(Some(left_out("cross-check"))),
            check => drop(store::keep(dir, cross_check::FILE, &check?)?),
        }
    }
    if args.system_calls {
        match system_calls::measure(testbed, &conditions, &balancers, &mut tell) {
            Err(PassError::Interrupted) => return Ok(Some(left_out("pass of system calls"))),
            calls => drop(store::keep(dir, system_calls::FILE, &calls?)?),
        }
    }
    Ok(None)
}

fn left_out(pass: &str) -> String {
    format!("the {pass} was interrupted and is not kept")
}
