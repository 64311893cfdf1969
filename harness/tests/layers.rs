//! What a run says is computed without knowing how it is shown, and nothing that measures knows what will be said.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// Every source file under `folder`, or the one file.
fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_path_buf()];
    }
    fs::read_dir(path).unwrap().flat_map(|entry| sources(&entry.unwrap().path())).collect()
}

/// The files in question that import something of the module `imported`.
fn importers(imported: &str, is_in_question: impl Fn(&str) -> bool) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let import = format!("crate::{imported}::");
    let named = |path: &PathBuf| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    let names_it = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(&import))
    };
    let files = sources(&root).into_iter().filter(names_it);
    files.map(|path| named(&path)).filter(|name| is_in_question(name)).collect()
}

fn is_of(layer: &str, file: &str) -> bool {
    file.strip_prefix(layer).is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

#[test]
fn nothing_but_the_report_knows_the_report() {
    assert!(!importers("report", |file| is_of("report", file)).is_empty(), "the search finds nothing at all");
    assert_eq!(importers("report", |file| !is_of("report", file)), [""; 0]);
}

#[test]
fn only_the_report_stands_over_the_analysis() {
    let above = |file: &str| !is_of("report", file) && !is_of("analysis", file);
    assert_eq!(importers("analysis", above), [""; 0]);
}

#[test]
fn renderers_write_values_and_know_no_run() {
    for below in ["record", "plan", "trial", "testbed", "probes", "load"] {
        assert_eq!(importers(below, |file| is_of("report/render", file)), [""; 0]);
    }
}
