//! `roundtable compare`: threaded against async in a stored run.

use std::path::PathBuf;
use std::process::ExitCode;

use roundtable_harness::report::comparison::Comparison;
use roundtable_harness::report::published::{self, Published};
use roundtable_harness::store;
use serde::Serialize;

use super::output::print;

/// Width of the tables, columns.
const WIDTH: u16 = 120;

/// Arguments of `roundtable compare`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run: its name under the results folder, or a path [default: the newest run]
    run: Option<String>,
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
    comparison: &'a Comparison,
    sentence: String,
    published: &'a [Published],
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { run, results, json } = args;
    let stored = store::read(&store::locate(&results, run.as_deref())?)?;
    let comparison = Comparison::of(&stored)?;
    let published = published::read(&results.join("published"))?;
    let sentence = comparison.sentence();

    let mut text = String::new();
    if json {
        let answer = Answer { comparison: &comparison, sentence, published: &published };
        text.push_str(&serde_json::to_string_pretty(&answer)?);
        text.push('\n');
    } else {
        text.push_str(&format!(
            "{}\n{}\n",
            comparison.table().terminal(WIDTH),
            wrapped(&comparison.method())
        ));
        if !published.is_empty() {
            text.push_str(&published::table(&published, &comparison).terminal(WIDTH));
            text.push_str(&format!("\n{}\n", wrapped(&published::remark(&published))));
        }
        text.push_str(&wrapped(&sentence));
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn wrapped(text: &str) -> String {
    roundtable_harness::report::wrapped(text, WIDTH.into())
}
