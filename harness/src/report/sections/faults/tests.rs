//! Facts about a fault run's report.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use tempfile::tempdir;

use super::*;
use crate::fixtures::invalid;
use crate::load::End;
use crate::record::Stored;
use crate::report::render::markdown;
use crate::report::terminal::of_faults;
use crate::report::write_faults;
use crate::trial::faults::fixtures::{observed, outcome, seen, stored, trial};

fn of(stored: &Stored) -> FaultRun<'_> {
    FaultRun::of(stored).unwrap()
}

fn terminal(stored: &Stored) -> String {
    of_faults(of(stored), 120)
}

fn simple() -> Stored {
    let trials = ["threads", "mio"].into_iter().flat_map(|model| [observed(model, 0), observed(model, 1)]);
    stored("kill-backend@1s,restore@2s", trials.collect())
}

fn written(stored: &Stored) -> BTreeMap<String, Vec<u8>> {
    let dir = tempdir().unwrap();
    let files = write_faults(of(stored), dir.path()).unwrap();
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

#[test]
fn the_same_run_gives_the_same_bytes_and_a_timeline_for_each_model() {
    let files = written(&simple());
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    let charts = ["mio.csv", "mio.png", "mio.svg", "threads.csv", "threads.png", "threads.svg"]
        .map(|name| format!("timeline-{name}"));
    assert_eq!(
        names,
        [&["index.html", "report.md"], charts.each_ref().map(String::as_str).as_slice()].concat()
    );
    assert_eq!(files, written(&simple()));
    let svg = String::from_utf8_lossy(&files["timeline-mio.svg"]);
    for text in ["kill-backend b2", "restore b2", "late: over 100 ms", "seconds since the first request"] {
        assert!(svg.contains(text), "{text} is not in the chart");
    }
}

#[test]
fn the_table_has_what_clients_saw_of_each_model() {
    insta::assert_snapshot!(markdown::table(&table(of(&simple()))), @r"
    | model | errors | errors by kind, all repetitions | late answers | slowest answer (ms) | left out after (ms) | used again after (ms) | calm after (ms) |
    | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |
    | threads | 1 | status 5xx 2 | 0 | 1 | 11 | 10 | 0 |
    | mio | 1 | status 5xx 2 | 0 | 1 | 11 | 10 | 0 |
    ");
}

#[test]
fn several_faults_have_a_row_each() {
    let text = "refuse@1s,restore@2s,slow-backend=1@3s";
    let slow = seen(text, |request| {
        if request.due_us >= 3_000_000 && request.backend == Some(0) {
            request.ended_us = request.due_us + 500_000;
        }
    });
    let trials = vec![trial("mio", 0, outcome(slow))];
    let table = super::table(of(&stored(text, trials)));
    let row = |index: usize| table.plain_row(index);
    assert_eq!(row(0)[..3], ["threads", "refuse b2 at 1 s", "–"]);
    assert_eq!(row(2), ["mio", "refuse b2 at 1 s", "0", "none", "0", "500", "0", "10", "0"]);
    assert_eq!(row(3), ["", "slow-backend b1 at 3 s", "0", "–", "50", "–", "never", "–", "–"]);
}

#[test]
fn invalid_trials_are_told_and_counted_nowhere() {
    let invalid = trial("mio", 0, invalid("<b>moody</b>"));
    let stored = stored("kill-backend@1s,restore@2s", vec![invalid, observed("threads", 0)]);
    assert_eq!(table(of(&stored)).plain_row(1)[1], "–");
    let files = written(&stored);
    assert!(!files.contains_key("timeline-mio.svg"));
    let page = String::from_utf8_lossy(&files["index.html"]);
    assert!(page.contains("mio, block 1: &#60;b&#62;moody"), "{page}");
    let markdown = String::from_utf8_lossy(&files["report.md"]);
    assert!(markdown.contains("> **Note:** Not every trial is valid: mio, block 1."), "{markdown}");
    assert!(terminal(&stored).contains("invalid: mio, block 1"));
}

#[test]
fn a_timeline_that_is_no_longer_drawn_is_removed_and_no_other_file() {
    let dir = tempdir().unwrap();
    let folder = dir.path().join("faulty");
    fs::create_dir(&folder).unwrap();
    for name in ["timeline-gone.svg", "timeline-gone.png", "timeline-notes.txt"] {
        fs::write(folder.join(name), "x").unwrap();
    }
    write_faults(of(&simple()), dir.path()).unwrap();
    assert!(!folder.join("timeline-gone.svg").exists() && !folder.join("timeline-gone.png").exists());
    assert!(folder.join("timeline-notes.txt").exists());
}

#[test]
fn answers_that_were_late_without_a_fault_are_warned_of() {
    assert!(!terminal(&simple()).contains("busy"));
    let text = "kill-backend@1s,restore@2s";
    let paused = seen(text, |request| {
        if request.due_us == 500_000 {
            request.ended_us = 700_000;
        }
    });
    let stored = stored(text, vec![trial("mio", 0, outcome(paused))]);
    assert!(terminal(&stored).contains("In 1 trial answers were late before the first event already"));
    let markdown = String::from_utf8(written(&stored).remove("report.md").unwrap()).unwrap();
    assert!(markdown.contains("> **Note:** In 1 trial answers were late"), "{markdown}");
}

#[test]
fn errors_of_every_kind_are_named() {
    let text = "kill-backend@1s";
    let errors = seen(text, |request| match request.due_us {
        1_000_000 => request.end = End::Failed(crate::load::Failure::Receive),
        1_010_000 => request.end = End::Failed(crate::load::Failure::Timeout),
        1_020_000 => request.end = End::Status(503),
        _ => {}
    });
    let stored = stored(text, vec![trial("mio", 0, outcome(errors))]);
    assert_eq!(table(of(&stored)).plain_row(1)[2], "cut or reset 1, status 5xx 1, timeout 1");
    assert_eq!(table(of(&stored)).plain_row(1)[6], "–");
}
