//! `run --rate auto`: the search for a common rate, with this binary's processes.
//!
//! Owns which processes are probed and that the user sees it; the rule is the harness's. Rule: nothing is written, so that
//! a search that ends early leaves nothing behind.

use std::io::IsTerminal;

use roundtable_harness::plan::Plan;
use roundtable_harness::testbed::Testbed;
use roundtable_harness::trial::executor::TestbedExecutor;
use roundtable_harness::trial::progress::{Bar, Lines};
use roundtable_harness::trial::rate_search::{self, Found, RateError, Shares, Watch};

use crate::console::tell;

/// What a cell's two trials take, with their processes, on two cores.
const SECONDS_A_CELL: usize = 2;

/// A rate that every row of `plan` sustains at every condition.
pub(super) fn find(plan: &Plan, testbed: &Testbed) -> Result<Found, RateError> {
    let cells = plan.cells();
    tell(format_args!(
        "looking for a rate that every row sustains at every condition: {} short trials or more, about {} s",
        2 * cells.len(),
        SECONDS_A_CELL * cells.len()
    ));
    let mut executor = TestbedExecutor::new(testbed.clone(), plan);
    let found = rate_search::find(&cells, &mut executor, watch().as_mut())?;
    tell(format_args!("{found}"));
    Ok(found)
}

/// The rates that are so many percent of what the slowest row of `plan` answers in a closed loop.
pub(super) fn shares(plan: &Plan, percent: &[u32], testbed: &Testbed) -> Result<Shares, RateError> {
    let cells = plan.cells();
    let trials = cells.len();
    tell(format_args!(
        "looking for what the slowest row answers: {trials} short trials, about {} s",
        SECONDS_A_CELL * trials / 2
    ));
    let mut executor = TestbedExecutor::new(testbed.clone(), plan);
    let found = rate_search::shares(&cells, percent, &mut executor, watch().as_mut())?;
    tell(format_args!("{found}"));
    Ok(found)
}

fn watch() -> Box<dyn Watch> {
    let stderr = std::io::stderr();
    if stderr.is_terminal() { Box::new(Bar::new()) } else { Box::new(Lines::new(stderr)) }
}
