//! The passes beside the trials: the cross-check with other load generators, and system calls per request.
//!
//! Owns when they are made (after the last trial, never between), and what the user is told; how they are made is the
//! harness's. Rule: what they find is printed and kept apart from the tables of the trials.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use roundtable_harness::plan::{Competitor, Kind, Plan};
use roundtable_harness::probes::PassError;
use roundtable_harness::probes::cross_check::{self, CrossCheck};
use roundtable_harness::probes::system_calls::{self, SystemCalls};
use roundtable_harness::record::store;
use roundtable_harness::report::render::terminal;
use roundtable_harness::report::section::Table;
use roundtable_harness::report::sections;

use super::Args;
use crate::console::tell;

/// Pairs of the cross-check, each model and tool.
const PAIRS: u32 = 5;
/// Columns of a terminal.
const WIDTH: u16 = 120;

/// Makes the passes that were asked for; their tables.
pub(super) fn run(
    args: &Args,
    plan: &Plan,
    dir: &Path,
    interrupt: &Arc<AtomicBool>,
) -> anyhow::Result<String> {
    let testbed = super::testbed(interrupt);
    // Each balancer once: neither the direct row nor those that are a model under another name.
    let once = |competitor: &&Competitor| !competitor.is_control() && !competitor.is_direct();
    let balancers: Vec<Competitor> = plan.competitors.iter().filter(once).cloned().collect();
    let models: Vec<Competitor> =
        balancers.iter().filter(|balancer| balancer.kind == Kind::Model).cloned().collect();
    let mut text = String::new();
    let mut tell = |what: &str| tell(format_args!("{what}"));
    if args.cross_check {
        match cross_check::measure(&testbed, &plan.base, &models, PAIRS, &mut tell) {
            Err(PassError::Interrupted) => return Ok(left_out("cross-check")),
            check => text.push_str(&keep_cross_check(&check?, dir)?),
        }
    }
    if args.system_calls {
        match system_calls::measure(&testbed, &plan.base, &balancers, &mut tell) {
            Err(PassError::Interrupted) => return Ok(text + &left_out("pass of system calls")),
            calls => text.push_str(&keep_system_calls(&calls?, dir)?),
        }
    }
    Ok(text)
}

fn left_out(pass: &str) -> String {
    format!("\nThe {pass} was interrupted and not kept.\n")
}

fn keep_cross_check(check: &CrossCheck, dir: &Path) -> anyhow::Result<String> {
    let path = store::keep(dir, cross_check::FILE, check)?;
    let title = format!(
        "Cross-check: requests per second by `load` divided by another tool's, {} backends, concurrency {}",
        check.backends, check.concurrency
    );
    let notes = check.missing.iter().map(|missing| format!("left out: {missing}\n")).collect::<String>();
    Ok(section(&title, &sections::cross_check::table(check), &notes, &path))
}

fn keep_system_calls(calls: &SystemCalls, dir: &Path) -> anyhow::Result<String> {
    let path = store::keep(dir, system_calls::FILE, calls)?;
    let title = format!(
        "System calls of the balancer (traced, untimed) and its context switches (not traced), {} backends, \
         concurrency {}",
        calls.backends, calls.concurrency
    );
    let untraced = calls.rows.iter().any(|row| row.calls.is_none());
    let note = if untraced { format!("no system calls: {}\n", calls.strace) } else { String::new() };
    Ok(section(&title, &sections::system_calls::table(calls), &note, &path))
}

fn section(title: &str, table: &Table, notes: &str, path: &Path) -> String {
    let table = if table.rows.is_empty() { String::new() } else { terminal::table(table, WIDTH) };
    format!("\n{title}\n\n{table}{notes}kept in: {}\n", path.display())
}
