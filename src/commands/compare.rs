//! `roundtable compare`: threaded against async in a stored run, or what changed between two runs.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use roundtable_harness::analysis::difference::{Difference, Outcome};
use roundtable_harness::analysis::published;
use roundtable_harness::record::{Stored, store};
use roundtable_harness::report::{self, Beside, ComparisonForm};

use crate::commands::number::{self, Percent};
use crate::console::{print, width};

/// Exit code of a regression.
const REGRESSION: u8 = 1;
/// Exit code of two runs that cannot be compared, or that cannot tell.
const CANNOT_TELL: u8 = 2;

/// Arguments of `roundtable compare`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Exit codes of `compare BASE NEW`: 0 a regression as large as the margin is excluded for every model, 1 something is worse in \
NEW, 2 neither (more blocks are needed: it says how many), or the runs do not match or cannot be read. With one run: 0, or 1 when it cannot be read or has only one family.")]
pub(crate) struct Args {
    /// The run: its name under the results folder, or a path [default: the newest run]
    run: Option<String>,
    /// A later run of the same grid: tell what changed from RUN to it, model by model
    new: Option<String>,
    /// A change for the worse of so many percent is a regression: of CPU time per request and throughput (of open loops:
    /// response times), over all conditions
    #[arg(long, value_name = "PERCENT", default_value = "10%", requires = "new", value_parser = number::percent)]
    margin: Percent,
    /// Compare two runs although their grids, loads or machines differ: the cells that they have in common
    #[arg(long, requires = "new")]
    force: bool,
    /// Folder that holds the runs, and the tables of 2021 in `published`
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// In which form: html is one page, json of the published schema
    #[arg(long, value_name = "FORM", default_value = "text")]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// A form of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Markdown,
    Html,
    Json,
}

impl Args {
    fn form(&self) -> ComparisonForm {
        match self.format {
            _ if self.json => ComparisonForm::Json,
            Format::Text => ComparisonForm::Text(width()),
            Format::Markdown => ComparisonForm::Markdown,
            Format::Html => ComparisonForm::Html,
            Format::Json => ComparisonForm::Json,
        }
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match (&args.run, &args.new) {
        (Some(base), Some(new)) => Ok(two_runs(args, [base, new]).unwrap_or_else(|error| {
            // `eprintln!` would panic when nobody reads it any more.
            drop(writeln!(io::stderr(), "roundtable: {error:#}"));
            ExitCode::from(CANNOT_TELL)
        })),
        (run, _) => families(args, run.as_deref()),
    }
}

/// Threaded against async.
fn families(args: &Args, run: Option<&str>) -> anyhow::Result<ExitCode> {
    let stored = read(&args.results, run)?;
    let published = published::rows(&args.results.join("published"))?;
    let beside = Beside { published, ..Beside::default() };
    print(&report::families_in_form(&stored, &beside, args.form())?)?;
    Ok(ExitCode::SUCCESS)
}

/// What changed.
fn two_runs(args: &Args, [base, new]: [&str; 2]) -> anyhow::Result<ExitCode> {
    let [base, new] = [read(&args.results, Some(base))?, read(&args.results, Some(new))?];
    let Percent(margin) = args.margin;
    let difference = Difference::of(&base, &new, margin, args.force)?;
    print(&report::difference_in_form(&difference, args.form())?)?;
    Ok(match difference.outcome {
        Outcome::NoRegression => ExitCode::SUCCESS,
        Outcome::Regression => ExitCode::from(REGRESSION),
        Outcome::CannotTell => ExitCode::from(CANNOT_TELL),
    })
}

fn read(results: &Path, run: Option<&str>) -> anyhow::Result<Stored> {
    Ok(store::read_comparable(&store::locate(results, run)?)?)
}
