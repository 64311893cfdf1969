//! `roundtable report`: makes the report of a stored run or suite again, whole or in one form, or puts parts of it into another
//! document.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::ValueEnum;
use roundtable_harness::analysis::faults::FaultRun;
use roundtable_harness::analysis::published;
use roundtable_harness::probes::Passes;
use roundtable_harness::record::Stored;
use roundtable_harness::record::store;
use roundtable_harness::record::store::suite::{self, StoredSuite};
use roundtable_harness::report::{self, Beside, Form};

use crate::console::{print, width};

/// Arguments of `roundtable report`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run, or the suite of several: its name under the results folder, or a path [default: the newest]
    run: Option<String>,
    /// Folder that holds the runs
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Folder that the report's own folder is made in
    #[arg(long, value_name = "DIR", default_value = "reports")]
    reports: PathBuf,
    /// Print the report in one form and write no file: csv has every trial as a row, json is of the published schema
    #[arg(long, value_name = "FORM", conflicts_with_all = ["full", "splice"])]
    format: Option<Format>,
    /// Print every table of the report
    #[arg(long, conflicts_with = "splice")]
    full: bool,
    /// Put tables and findings into FILE, between its lines `<!-- BEGIN: NAME (roundtable report RUN) -->` and
    /// `<!-- END -->`, and write nothing else
    #[arg(long, value_name = "FILE")]
    splice: Option<PathBuf>,
}

/// A form of a report.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Csv,
    Json,
    Markdown,
    Html,
}

impl Format {
    fn form(self) -> Form {
        match self {
            Format::Csv => Form::Csv,
            Format::Json => Form::Json,
            Format::Markdown => Form::Markdown,
            Format::Html => Form::Html,
        }
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut dir = store::locate(&args.results, args.run.as_deref())?;
    if args.run.is_none() {
        // Who asks for the newest means all that its command measured.
        dir = store::suite_of(&dir).unwrap_or(dir);
    }
    if let Some(suite) = suite::read(&dir)? {
        return of_suite(args, &suite, &dir);
    }
    let stored = store::read(&dir)?;
    let beside = beside(&dir)?;
    let text = match (FaultRun::of(&stored), args.format, &args.splice) {
        (Some(_), None, Some(_)) => bail!("{} is a fault run, of which nothing can be quoted", dir.display()),
        (None, None, Some(file)) => splice(&stored, &beside, file)?,
        (run, Some(format), _) => in_form(run, &stored, &beside, format)?,
        (Some(run), None, None) => {
            report::write_faults(run, &args.reports)?;
            report::terminal::of_faults(run, width()) + &place(&stored, &dir, &args.reports)
        }
        (None, None, None) => {
            report::write(&stored, &beside, &args.reports)?;
            let text = if args.full {
                report::terminal::full(&stored, &beside, width())
            } else {
                report::terminal::of_run(&stored, width())
            };
            text + &place(&stored, &dir, &args.reports)
        }
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The report of several runs, in the form that is asked for, and those of its runs to which it leads.
fn of_suite(args: &Args, suite: &StoredSuite, dir: &Path) -> anyhow::Result<ExitCode> {
    if let Some(format) = args.format {
        print(&report::suite::in_form(suite, format.form())?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.full || args.splice.is_some() {
        let option = if args.full { "--full" } else { "--splice" };
        bail!("{option} is of one run; name one of those of {0}, as in {0}/RUN", suite.name);
    }
    for (run, stored) in suite.suite.runs.iter().zip(&suite.runs) {
        let Ok(stored) = stored else { continue };
        match FaultRun::of(stored) {
            Some(run) => report::write_faults(run, &args.reports)?,
            None => report::write(stored, &beside(&dir.join(&run.folder))?, &args.reports)?,
        };
    }
    print_suite(suite, dir, &args.reports)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the report over the runs of `suite` in `dir`, and prints what they found.
pub(super) fn print_suite(suite: &StoredSuite, dir: &Path, reports: &Path) -> anyhow::Result<()> {
    report::suite::write(suite, reports)?;
    let page = reports.join(&suite.name).join("index.html");
    let place = format!("\nreport: {} (runs: {})\n", page.display(), dir.display());
    print(&(report::terminal::of_suite(suite, width()) + &place))
}

/// What stands beside the run in `dir`: its passes, and the tables of 2021 where its folder's neighbour, or its suite's, holds
/// them.
pub(super) fn beside(dir: &Path) -> anyhow::Result<Beside> {
    let suite = store::suite_of(dir);
    let outermost = suite.as_deref().unwrap_or(dir);
    let published =
        outermost.parent().map(|results| published::rows(&results.join("published"))).transpose()?;
    Ok(Beside { passes: Passes::read(dir)?, published: published.unwrap_or_default() })
}

/// The last line that is printed: where the whole report is, and what it was made from.
pub(super) fn place(stored: &Stored, dir: &Path, reports: &Path) -> String {
    let page = reports.join(&stored.name).join("index.html");
    format!("\nreport: {} (trials: {})\n", page.display(), dir.display())
}

fn in_form(
    run: Option<FaultRun<'_>>,
    stored: &Stored,
    beside: &Beside,
    format: Format,
) -> anyhow::Result<String> {
    Ok(match run {
        Some(run) => report::faults_in_form(run, format.form())?,
        None => report::in_form(stored, beside, format.form())?,
    })
}

/// Writes `file` anew, where it changes.
fn splice(stored: &Stored, beside: &Beside, file: &Path) -> anyhow::Result<String> {
    let shown = file.display();
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {shown}; name a file of text"))?;
    let spliced = report::spliced(stored, beside, &text).with_context(|| shown.to_string())?;
    if spliced == text {
        return Ok(format!("{shown} is as the report has it\n"));
    }
    fs::write(file, spliced)
        .with_context(|| format!("cannot write {shown}; see to it that you may, and that there is space"))?;
    Ok(format!("{shown} has the report's tables and findings now\n"))
}
