//! Which part of the harness may know which other: read from the `use crate::` lines of its files.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each part, with all that it may know. A part knows those above it in this list and never one below.
const PARTS: [(&str, &[&str]); 11] = [
    ("text", &[]),
    ("statistics", &[]),
    ("host", &[]),
    ("load", &["host", "text"]),
    ("plan", &["load", "statistics", "text"]),
    ("record", &["host", "load", "plan"]),
    ("testbed", &["host", "load", "plan"]),
    ("trial", &["host", "load", "plan", "record", "testbed", "text"]),
    ("probes", &["host", "load", "plan", "record", "testbed"]),
    ("analysis", &["host", "load", "plan", "probes", "record", "statistics", "text"]),
    ("report", &["analysis", "host", "load", "plan", "probes", "record", "statistics", "text"]),
];

/// Every Rust file of `dir` and of the folders in it.
fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The part that `file` belongs to: its folder, or itself where it is the head of one.
fn part(source: &Path, file: &Path) -> String {
    let first = file.strip_prefix(source).unwrap().components().next().unwrap();
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The parts that the lines before the tests of a file name.
fn known(text: &str) -> BTreeSet<String> {
    let before_tests = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
    let used = before_tests.filter_map(|line| line.trim_start().strip_prefix("use crate::"));
    used.map(|rest| rest.split([':', ';', '{']).next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn no_part_of_the_harness_knows_one_that_is_built_on_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut read = 0;
    let mut wrong = Vec::new();
    for file in files(&source) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let own = part(&source, &file);
        let Some((_, allowed)) = PARTS.iter().find(|(part, _)| *part == own) else { continue };
        // Tests and what is made up for them may know everything.
        if ["tests.rs", "fixtures.rs", "synthetic.rs"].contains(&name.as_str()) {
            continue;
        }
        read += 1;
        for other in known(&fs::read_to_string(&file).unwrap()) {
            if other != own && !allowed.contains(&other.as_str()) {
                wrong.push(format!("{} uses {other}", file.strip_prefix(&source).unwrap().display()));
            }
        }
    }
    assert!(read > 60, "only {read} files were read");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_part_knows_only_parts_above_it() {
    for (place, (part, allowed)) in PARTS.iter().enumerate() {
        for other in *allowed {
            let above = PARTS[..place].iter().any(|(name, _)| name == other);
            assert!(above, "{part} may know {other}, which does not stand above it");
        }
    }
}

#[test]
fn renderers_write_values_and_know_no_run() {
    let renderers = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/render"));
    assert!(renderers.len() > 3, "only {} files were read", renderers.len());
    for file in renderers {
        let known = known(&fs::read_to_string(&file).unwrap());
        assert!(known.iter().all(|part| ["report", "text"].contains(&part.as_str())), "{file:?}: {known:?}");
    }
}
