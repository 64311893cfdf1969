//! Several runs of one command: each after the other, one report over all of them, and going on after an interruption.
//!
//! Owns the order of the runs and what becomes of the others when one fails; a run itself is as any other. Rule: what was asked
//! for is stored before the first run, so that a run that never began is told as missing and begun by `--resume`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::anyhow;
use clap::{CommandFactory, FromArgMatches, Parser};
use roundtable_harness::plan::schedule::Schedule;
use roundtable_harness::record::store::suite::{self, Suite, SuiteRun};
use roundtable_harness::record::store::{self, StoreError};

use super::scenario::{self, Asked};
use super::{Args, INTERRUPTED, RESULTS, begin_and_measure, planned, resume_and_measure};
use crate::commands::report::print_suite;
use crate::commands::taken_as_values;
use crate::commands::usage::OfUsage;
use crate::console::tell;

/// The subcommand that a stored command line names.
const RUN: &str = "run";

/// A run of a suite that is to be measured.
enum Part {
    /// From the beginning.
    Begin(Box<Args>),
    /// What is left of the run in this folder.
    Resume(PathBuf),
}

/// Measures `runs`, a new suite in `dir`, which `args` ask for.
pub(super) fn begin(
    dir: &Path,
    runs: Vec<(SuiteRun, Args)>,
    args: &Args,
    interrupt: &Arc<AtomicBool>,
) -> anyhow::Result<ExitCode> {
    // A run that cannot be is left out; where none can be, nothing is begun.
    let mistakes: Option<Vec<_>> = runs.iter().map(|(_, args)| planned(args).err()).collect();
    if let Some(mistake) = mistakes.and_then(|all| all.into_iter().next()) {
        return Err(mistake);
    }
    let (runs, asked): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
    suite::begin(dir, &Suite::new(std::env::args().collect(), runs))?;
    let parts = asked.into_iter().map(|run| Part::Begin(Box::new(run))).collect();
    one_after_another(dir, parts, args, interrupt)
}

/// Goes on with the suite that `args` want resumed, if it is one: with the run that was interrupted, and with those that never
/// began.
pub(super) fn resume(args: &Args, interrupt: &Arc<AtomicBool>) -> anyhow::Result<Option<ExitCode>> {
    let Some(named) = &args.resume else { return Ok(None) };
    let located = store::locate(Path::new(RESULTS), named.as_deref())?;
    // Who names nothing means all that the newest command asked for.
    let dir = if named.is_none() { store::suite_of(&located).unwrap_or(located) } else { located };
    let Some(suite) = suite::asked_for(&dir)? else { return Ok(None) };
    let asked = asked_then(&suite, &dir).ok_or_else(|| {
        let dir = dir.display();
        anyhow!(
            "the command that began {dir} asks for other runs now (its scenario has changed, or is not there); resume the runs one \
             by one, as in {dir}/RUN"
        )
    });
    let mut parts = Vec::new();
    for begun in asked.usage()? {
        let out = begun.out.clone().unwrap_or_default();
        match store::read(&out) {
            Ok(stored) if Schedule::new(&stored.environment.plan, &stored.trials).upcoming().is_none() => {
                tell(format_args!("{} is complete: nothing is left to measure", out.display()));
            }
            Err(StoreError::NoSuchRun { .. }) => {
                parts.push(Part::Begin(Box::new(Args { reports: args.reports.clone(), ..begun })));
            }
            // What is wrong with it is told when it is opened.
            Ok(_) | Err(_) => parts.push(Part::Resume(out)),
        }
    }
    one_after_another(&dir, parts, args, interrupt).map(Some)
}

/// What the command asked for that began `suite`, into `dir`; `None` where it asks for other runs now.
fn asked_then(suite: &Suite, dir: &Path) -> Option<Vec<Args>> {
    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }
    // What stands before it is the program's name, and options of every subcommand.
    let at = suite.command.iter().skip(1).position(|word| word == RUN)? + 1;
    let line = taken_as_values(Line::command());
    let matches = line.try_get_matches_from(&suite.command[at..]).ok()?;
    let Line { args } = Line::from_arg_matches(&matches).ok()?;
    match scenario::asked(&Args { out: Some(dir.to_path_buf()), ..args }).ok()? {
        Asked::Several { runs, .. } if runs.iter().map(|(run, _)| run).eq(&suite.runs) => {
            Some(runs.into_iter().map(|(_, args)| args).collect())
        }
        _ => None,
    }
}

/// Measures each of `parts`, then reports the suite. One that fails keeps none of the others from being measured.
fn one_after_another(
    dir: &Path,
    parts: Vec<Part>,
    args: &Args,
    interrupt: &Arc<AtomicBool>,
) -> anyhow::Result<ExitCode> {
    let mut worst = ExitCode::SUCCESS;
    let count = parts.len();
    for (place, part) in (1..).zip(parts) {
        let (name, done) = match part {
            Part::Begin(run) => {
                let name = run.out.as_deref().map(|out| out.display().to_string()).unwrap_or_default();
                tell(format_args!("\nrun {place} of {count}: {name}"));
                (name, begin_and_measure(&run, interrupt))
            }
            Part::Resume(run) => {
                let name = run.display().to_string();
                tell(format_args!("\nrun {place} of {count}: {name}"));
                let done = resume_and_measure(args, Some(&name), interrupt);
                (name, done)
            }
        };
        match done {
            Ok(code) if code == ExitCode::from(INTERRUPTED) => {
                tell(format_args!(
                    "go on with this run and those after it: `roundtable run --resume {}`",
                    dir.display()
                ));
                return Ok(code);
            }
            Ok(ExitCode::SUCCESS) => {}
            Ok(code) => worst = code,
            Err(error) => {
                tell(format_args!("roundtable: {name} is left out: {error:#}"));
                worst = ExitCode::FAILURE;
            }
        }
    }
    if let Some(suite) = suite::read(dir)? {
        print_suite(&suite, dir, &args.reports)?;
    }
    Ok(worst)
}
