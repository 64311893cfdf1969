//! `roundtable compare`: threaded against async in a stored run, or what changed between two runs.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use roundtable_harness::analysis::difference::{Difference, Outcome};
use roundtable_harness::analysis::families::Families;
use roundtable_harness::analysis::findings::Finding;
use roundtable_harness::analysis::published::{self, Published};
use roundtable_harness::record::{Stored, store};
use roundtable_harness::report::export::comparison::Comparison;
use roundtable_harness::report::render::terminal;
use roundtable_harness::report::sections;
use serde::Serialize;

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
    /// Print one JSON object in place of the tables
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    families: &'a Families,
    sentence: String,
    findings: Vec<Finding>,
    published: &'a [Published],
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { run, new, margin, force, results, json } = args;
    match (run, new) {
        (Some(base), Some(new)) => {
            Ok(two_runs(&results, [&base, &new], margin, force, json).unwrap_or_else(|error| {
                // `eprintln!` would panic when nobody reads it any more.
                drop(writeln!(io::stderr(), "roundtable: {error:#}"));
                ExitCode::from(CANNOT_TELL)
            }))
        }
        (run, _) => families(&results, run.as_deref(), json),
    }
}

/// Threaded against async.
fn families(results: &Path, run: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    let stored = read(results, run)?;
    let families = Families::of(&stored)?;
    // What was published is a closed loop's throughput, of which an open loop says nothing.
    let published =
        if families.load.is_closed() { published::read(&results.join("published"))? } else { Vec::new() };
    let sentence = sections::families::sentence(&families);

    let mut text = String::new();
    if json {
        let findings = families.findings();
        text = object(&Answer { families: &families, sentence, findings, published: &published })?;
    } else {
        text.push_str(&format!(
            "{}\n{}\n",
            terminal::table(&sections::families::table(&families), width()),
            wrapped(&sections::families::method(&families))
        ));
        if !families.load.is_closed() {
            text.push_str(&wrapped(
                "The tables of 2021 are of a closed loop's requests per second: this run says nothing about them. For that, \
                 compare a run without --rate.",
            ));
            text.push('\n');
        }
        if !published.is_empty() {
            let table = sections::published::table(&published, &families);
            text.push_str(&terminal::table(&table, width()));
            text.push_str(&format!("\n{}\n", wrapped(&sections::published::remark(&published))));
        }
        text.push_str(&wrapped(&sentence));
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// What changed.
fn two_runs(
    results: &Path,
    [base, new]: [&str; 2],
    Percent(margin): Percent,
    force: bool,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let (base, new) = (read(results, Some(base))?, read(results, Some(new))?);
    let difference = Difference::of(&base, &new, margin, force)?;
    let sentence = sections::difference::sentence(&difference);
    let text = if json {
        object(&Comparison::of(&difference))?
    } else {
        let table = |heading: &str, table| format!("{heading}\n{}\n", terminal::table(&table, width()));
        let cells = match sections::difference::cells(&difference) {
            Some(cells) => table("Cells that changed:", cells),
            None => "No single cell changed beyond noise.\n\n".to_owned(),
        };
        let beside = sections::difference::beside(&difference);
        let beside = beside
            .map_or(String::new(), |beside| table("Beside it, without a part in the decision:", beside));
        let notes: String =
            sections::difference::notes(&difference).iter().map(|note| wrapped(note) + "\n").collect();
        let deciding = table(
            "What decides, each model over all conditions:",
            sections::difference::deciding(&difference),
        );
        format!(
            "{notes}{deciding}{beside}{cells}{}\n{}",
            wrapped(&sections::difference::method(&difference)),
            wrapped(&sentence)
        )
    };
    print(&text)?;
    Ok(match difference.outcome {
        Outcome::NoRegression => ExitCode::SUCCESS,
        Outcome::Regression => ExitCode::from(REGRESSION),
        Outcome::CannotTell => ExitCode::from(CANNOT_TELL),
    })
}

fn read(results: &Path, run: Option<&str>) -> anyhow::Result<Stored> {
    Ok(store::read_comparable(&store::locate(results, run)?)?)
}

fn object(answer: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(answer)? + "\n")
}

fn wrapped(text: &str) -> String {
    roundtable_harness::report::wrapped(text, width().into())
}
