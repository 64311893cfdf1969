//! README tells what is there: its table is the reference report's, its commands exist, its links point at something.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

const REPORT: &str = "reports/reference/report.md";

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines between `<!-- BEGIN: … -->` and `<!-- END -->`, by the text of the first marker.
fn quotations(markdown: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut found = BTreeMap::new();
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("<!-- BEGIN: ").and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        let mut quoted = Vec::new();
        loop {
            match lines.next() {
                Some("<!-- END -->") => break,
                Some(line) => quoted.push(line),
                None => panic!("<!-- BEGIN: {name} --> has no <!-- END -->"),
            }
        }
        found.insert(name, quoted);
    }
    found
}

/// The words of each command line in README's console blocks: continued lines are joined, comments are off.
fn commands(markdown: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    let (mut console, mut continued) = (false, false);
    for line in markdown.lines() {
        match line {
            "```console" => console = true,
            line if line.starts_with("```") => console = false,
            line if console && (continued || line.starts_with("$ ")) => {
                let code = line.trim_start_matches("$ ").split(" #").next().unwrap_or_default().trim();
                let words = code.trim_end_matches(['\\', '&']).split_whitespace().map(str::to_owned);
                if continued {
                    let last: &mut Vec<String> = commands.last_mut().unwrap();
                    last.extend(words);
                } else {
                    commands.push(words.collect());
                }
                continued = code.ends_with('\\');
            }
            _ => {}
        }
    }
    commands
}

/// What follows `roundtable`, or `cargo run … --`, in `command`: a subcommand and its arguments.
fn own_arguments(command: &[String]) -> Option<&[String]> {
    match command {
        [program, rest @ ..] if program == "roundtable" => Some(rest),
        [cargo, run, rest @ ..] if cargo == "cargo" && run == "run" => {
            let at = rest.iter().position(|word| word == "--")?;
            Some(&rest[at + 1..])
        }
        _ => None,
    }
}

/// Every option that `roundtable SUBCOMMAND --help` names; `None` when there is no such subcommand.
fn options(subcommand: &str) -> Option<BTreeSet<String>> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_roundtable")).args([subcommand, "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let words = help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    output.status.success().then(|| words.filter(|word| word.starts_with('-')).map(str::to_owned).collect())
}

/// Targets of inline links and pictures, without their fragments.
fn links(markdown: &str) -> Vec<&str> {
    let targets = markdown.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.map(|target| target.split('#').next().unwrap_or_default()).collect()
}

#[test]
fn the_table_is_the_reference_reports() {
    let (readme, report) = (text("README.md"), text(REPORT));
    let (ours, theirs) = (quotations(&readme), quotations(&report));
    assert!(!ours.is_empty(), "README quotes nothing: put the block `<!-- BEGIN: … -->` of {REPORT} into it");
    for (name, quoted) in ours {
        let source =
            theirs.get(name).unwrap_or_else(|| panic!("{REPORT} has no block {name:?}, which README quotes"));
        assert_eq!(quoted, *source, "README's block {name:?} is not that of {REPORT}: copy it from there");
    }
}

#[test]
fn every_command_that_is_shown_exists() {
    let readme = text("README.md");
    let shown: Vec<_> =
        commands(&readme).into_iter().filter(|words| own_arguments(words).is_some()).collect();
    assert!(shown.len() >= 5, "README shows hardly any command: {shown:?}");
    for command in &shown {
        let [subcommand, arguments @ ..] = own_arguments(command).unwrap() else {
            panic!("{command:?} names no subcommand");
        };
        let known = options(subcommand).unwrap_or_else(|| panic!("{command:?}: no such subcommand"));
        let asked = arguments.iter().filter(|word| word.len() > 1 && word.starts_with('-'));
        for option in asked.map(|word| word.split('=').next().unwrap_or(word)) {
            assert!(known.contains(option), "{command:?}: {subcommand} has no {option}");
        }
    }
}

#[test]
fn every_subcommand_in_the_prose_exists() {
    let readme = text("README.md");
    let spans = readme.split('`').skip(1).step_by(2).filter(|span| !span.contains('\n'));
    for span in spans.filter_map(|span| span.strip_prefix("roundtable ")) {
        let mut words = span.split_whitespace();
        let known = options(words.next().unwrap()).unwrap_or_else(|| panic!("no such subcommand: {span:?}"));
        for option in words.filter(|word| word.starts_with('-')) {
            assert!(known.contains(option), "`roundtable {span}`: no such option {option}");
        }
    }
}

#[test]
fn every_relative_link_points_at_something() {
    let readme = text("README.md");
    let relative: Vec<_> =
        links(&readme).into_iter().filter(|link| !link.is_empty() && !link.contains("://")).collect();
    assert!(!relative.is_empty(), "README links to nothing");
    for link in relative {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(link);
        assert!(path.exists(), "README links to {link}, which is not there");
    }
}

#[test]
fn the_readers_of_readme_read_what_they_should() {
    let text = "\
[a](b/c.md#d) ![e](f.png)\n\
```console\n\
$ cargo run --release -- run --quick   # a comment --with a flag\n\
$ roundtable load http://x/ -n 1 \\\n      -c 2 &\n\
{\"listening\":\"…\"}\n\
```\n\
<!-- BEGIN: t -->\n| 1 |\n<!-- END -->\n";
    assert_eq!(links(text), ["b/c.md", "f.png"]);
    assert_eq!(quotations(text), BTreeMap::from([("t", vec!["| 1 |"])]));
    let commands = commands(text);
    let arguments: Vec<_> = commands.iter().map(|words| own_arguments(words).unwrap().join(" ")).collect();
    assert_eq!(arguments, ["run --quick", "load http://x/ -n 1 -c 2"]);
}
