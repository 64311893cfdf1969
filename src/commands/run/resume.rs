//! `run --resume`: a run that was interrupted, and whether it can be gone on with.
//!
//! Owns what is checked before the first trial is added: that the stored plan is whole, that nothing else is asked for, and that what
//! it measures is still to be had. What differs from before without being an obstacle is told, and stored as a note.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{anyhow, bail};
use roundtable_harness::plan::Candidates;
use roundtable_harness::plan::schedule::{self, Schedule};
use roundtable_harness::record::Trial;
use roundtable_harness::record::environment;
use roundtable_harness::record::store::{self, Store};
use roundtable_harness::testbed::Testbed;
use roundtable_harness::trial::runner;

use super::{
    Args, RESULTS, check_machine, check_reports, describe, described, hosts, names, peers, unavailable,
};
use crate::commands::usage::OfUsage;
use crate::console::tell;

/// A run that was interrupted, with its trials and where the others are to be measured.
pub(super) fn resume(
    args: &Args,
    run: Option<&str>,
    interrupt: &Arc<AtomicBool>,
) -> anyhow::Result<(Store, Vec<Trial>, Testbed)> {
    let asked = hosts::asked(args).usage()?;
    let dir = store::locate(Path::new(RESULTS), run)?;
    let (mut store, stored) = Store::resume(&dir)?;
    let plan = stored.environment.plan.clone();
    if let Err(error) = plan.check() {
        bail!("{} holds a plan that was altered ({error}); begin a new run without --resume", dir.display());
    }
    if let Some(foreign) = schedule::foreign(&plan, &stored.trials) {
        bail!(
            "{} holds a trial that its plan does not have ({}); delete that line of trials.jsonl, or begin a new run \
             without --resume",
            dir.display(),
            runner::place(foreign)
        );
    }
    let peers = match &args.peers {
        Some(list) => peers::asked(Some(list)).usage()?,
        None => peers::of(&plan),
    };
    let known = Candidates { models: &names(), peers: &peers };
    let contradictions = args.contradictions(&plan, known).usage()?;
    if !contradictions.is_empty() {
        return Err(anyhow!(
        "{} was begun with another plan: {}; leave these options out, or begin a new run without --resume",
            dir.display(),
            contradictions.join(", ")
        ))
        .usage();
    }
    if let Some(gone) = plan.competitors.iter().find(|row| described(row, &plan.base).is_none()) {
        bail!(
            "{} measures {gone}, which this roundtable does not have; resume it with the roundtable that began it",
            dir.display()
        );
    }
    if let Some((name, reason)) = unavailable(&plan).first() {
        bail!(
            "{} measures {name}, which is not available on this machine: {reason}, or begin a new run without \
             --resume",
            dir.display()
        );
    }
    for peer in peers::of(&plan) {
        if let Some(absence) = peers::absence(&peer) {
            let (dir, name) = (dir.display(), &peer.name);
            bail!("{dir} measures {name}, which {absence}, or begin a new run without --resume");
        }
    }
    let hosts = hosts::of_resumed(asked, &stored.environment).usage()?;
    if hosts.is_some() {
        hosts::check(args, &plan).usage()?;
    } else {
        check_machine(&plan)?;
    }
    check_reports(&args.reports)?;
    if Schedule::new(&plan, &stored.trials).upcoming().is_none() {
        tell(format_args!("{} is complete: nothing is left to measure", dir.display()));
        return Ok((store, stored.trials, hosts::testbed(None, &plan, interrupt)?));
    }
    let testbed = hosts::testbed(hosts.as_ref(), &plan, interrupt)?;
    let now = describe(plan, &testbed, hosts.as_ref())?;
    for note in environment::differences(&stored.environment, &now) {
        tell(format_args!("warning: {note}"));
        store.annotate(note)?;
    }
    tell(format_args!("resuming {} after {} trials", dir.display(), stored.trials.len()));
    Ok((store, stored.trials, testbed))
}
