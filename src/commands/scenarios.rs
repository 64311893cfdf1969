//! `roundtable scenarios`: each experiment with what it asks and about how long it takes.

use std::process::ExitCode;
use std::time::Duration;

use roundtable_harness::plan::scenario::{BUILT_IN, Scenario, parse};
use roundtable_harness::report::wrapped;

use super::usage::OfUsage;
use crate::console::{print, width};

/// Arguments of `roundtable scenarios`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print the file of this scenario, to begin one of your own with
    name: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(asked) = &args.name {
        let known = BUILT_IN.iter().find(|(name, _)| name == asked);
        let names = || BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let unknown = || anyhow::anyhow!("there is no scenario {asked:?}; the scenarios are {}", names());
        let (_, text) = known.ok_or_else(unknown).usage()?;
        print(text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let scenarios = BUILT_IN.iter().map(|(name, text)| parse(name, text)).collect::<Result<Vec<_>, _>>()?;
    let mut text: String = scenarios.iter().map(|scenario| listed(scenario, width())).collect();
    let all: u64 = scenarios.iter().map(Scenario::budget_ms).sum();
    text.push_str(&wrapped(
        &format!(
            "`roundtable run --scenario NAME` runs one, `--scenario all` all of them in about {}; --budget sets another \
             time, --quick takes a first look; `roundtable scenarios NAME` prints its file, to write your own.",
            time(all)
        ),
        width().into(),
    ));
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// A scenario's name, time, runs and question.
fn listed(scenario: &Scenario, width: u16) -> String {
    let runs = match scenario.runs.len() {
        1 => String::new(),
        several => format!(" in {several} runs"),
    };
    let indented = |text: &str| -> String {
        wrapped(text, usize::from(width.saturating_sub(2)).max(20))
            .lines()
            .map(|line| format!("  {line}\n"))
            .collect()
    };
    let mut text = format!("{} (about {}{runs})\n", scenario.name, time(scenario.budget_ms()));
    text.push_str(&indented(&scenario.question));
    text + "\n"
}

/// "5min".
fn time(ms: u64) -> String {
    humantime::format_duration(Duration::from_millis(ms)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_listed_with_its_question_and_its_time() {
        let text = "question = \"Why is it so that questions are long enough to be wrapped?\"\n[[run]]\nname = \"a\"\n\
                    budget = \"90s\"\n[[run]]\nname = \"b\"\nbudget = \"2min\"\n";
        let scenario = parse("mine", text).unwrap();
        assert_eq!(
            listed(&scenario, 40),
            "mine (about 3m 30s in 2 runs)\n  Why is it so that questions are long\n  enough to be wrapped?\n\n"
        );
    }
}
