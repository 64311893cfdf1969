//! Facts about a run's folder, whole, torn and broken.

use tempfile::{TempDir, tempdir};

use super::*;
use crate::fixtures::{self, environment};

fn trial(block: u32) -> Trial {
    fixtures::trial(block, fixtures::invalid(&format!("reason {block}")))
}

/// A folder with a run of `trials` trials that nobody writes to.
fn run_of(trials: u32) -> TempDir {
    let dir = tempdir().unwrap();
    let mut store = Store::create(dir.path(), &environment()).unwrap();
    for block in 0..trials {
        store.append(&trial(block)).unwrap();
    }
    dir
}

fn alter(dir: &Path, alteration: impl FnOnce(&mut Vec<u8>)) {
    let path = dir.join(TRIALS);
    let mut text = fs::read(&path).unwrap();
    alteration(&mut text);
    fs::write(path, text).unwrap();
}

fn blocks(stored: &Stored) -> Vec<u32> {
    stored.trials.iter().map(|trial| trial.block).collect()
}

#[test]
fn what_was_appended_is_read_back_in_order() {
    let dir = run_of(3);
    let stored = read(dir.path()).unwrap();
    assert_eq!(stored.environment, environment());
    assert_eq!(stored.trials, [trial(0), trial(1), trial(2)]);
    assert_eq!(stored.name, dir.path().file_name().unwrap().to_string_lossy());
}

#[test]
fn a_folder_that_holds_a_run_is_not_begun_again() {
    let dir = run_of(1);
    let error = Store::create(dir.path(), &environment()).unwrap_err();
    assert!(matches!(error, StoreError::Occupied(_)));
    assert!(error.to_string().contains("--resume"), "{error}");
    assert_eq!(blocks(&read(dir.path()).unwrap()), [0]);
}

#[test]
fn a_folder_is_free_where_a_run_could_be_made_and_asking_leaves_nothing_behind() {
    let dir = tempdir().unwrap();
    let new = dir.path().join("new");
    check_free(&new).unwrap();
    assert!(!new.exists());
    check_free(dir.path()).unwrap();
    assert!(dir.path().exists());
    let taken = run_of(1);
    assert!(matches!(check_free(taken.path()), Err(StoreError::Occupied(_))));
    fs::write(&new, "").unwrap();
    assert!(matches!(check_free(&new), Err(StoreError::Unwritable { .. })));
}

#[test]
fn a_line_torn_anywhere_is_no_trial_and_is_cut_off_on_resume() {
    let whole = run_of(2);
    let text = fs::read(whole.path().join(TRIALS)).unwrap();
    let first = text.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for cut in first..text.len() - 1 {
        let dir = run_of(0);
        fs::write(dir.path().join(TRIALS), &text[..cut]).unwrap();
        assert_eq!(blocks(&read(dir.path()).unwrap()), [0], "cut at {cut}");
        let (mut store, stored) = Store::resume(dir.path()).unwrap();
        assert_eq!(blocks(&stored), [0]);
        store.append(&trial(7)).unwrap();
        drop(store);
        assert_eq!(blocks(&read(dir.path()).unwrap()), [0, 7], "cut at {cut}");
    }
}

#[test]
fn a_trial_that_lacks_its_line_end_only_is_kept() {
    let dir = run_of(2);
    alter(dir.path(), |text| text.truncate(text.len() - 1));
    let (mut store, stored) = Store::resume(dir.path()).unwrap();
    assert_eq!(blocks(&stored), [0, 1]);
    store.append(&trial(2)).unwrap();
    assert_eq!(blocks(&read(dir.path()).unwrap()), [0, 1, 2]);
}

#[test]
fn a_broken_line_before_the_last_is_named() {
    let dir = run_of(3);
    alter(dir.path(), |text| {
        let second = text.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        text[second] = 0xff;
    });
    let error = read(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Broken { line: 2, .. }), "{error}");
    assert!(error.to_string().contains("line 2"), "{error}");
    assert!(matches!(Store::resume(dir.path()), Err(StoreError::Broken { line: 2, .. })));
}

#[test]
fn a_broken_last_line_that_was_finished_is_an_error() {
    let dir = run_of(1);
    alter(dir.path(), |text| text.extend_from_slice(b"{}\n"));
    assert!(matches!(read(dir.path()), Err(StoreError::Broken { line: 2, .. })));
}

#[test]
fn another_schema_is_refused_wherever_it_is_met() {
    let dir = run_of(1);
    alter(dir.path(), |text| text.extend_from_slice(b"{\"schema\":99,\"other\":true}"));
    let error = read(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Schema { found: 99, .. }), "{error}");

    fs::write(dir.path().join(ENVIRONMENT), "{\"schema\":0}").unwrap();
    assert!(matches!(read(dir.path()), Err(StoreError::Schema { found: 0, .. })));
}

#[test]
fn a_truncated_environment_is_an_error() {
    let dir = run_of(1);
    let path = dir.path().join(ENVIRONMENT);
    let text = fs::read(&path).unwrap();
    fs::write(&path, &text[..text.len() / 2]).unwrap();
    let error = read(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Broken { .. }), "{error}");
}

#[test]
fn a_missing_folder_and_a_missing_file_are_told_apart() {
    let dir = run_of(1);
    assert!(matches!(read(&dir.path().join("nowhere")), Err(StoreError::NoSuchRun { .. })));
    fs::remove_file(dir.path().join(TRIALS)).unwrap();
    assert!(matches!(read(dir.path()), Err(StoreError::Incomplete { file: TRIALS, .. })));
    assert!(matches!(Store::resume(dir.path()), Err(StoreError::Incomplete { file: TRIALS, .. })));
}

#[test]
fn a_target_below_a_file_is_unwritable() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::create(&file.join("run"), &environment()).unwrap_err();
    assert!(matches!(error, StoreError::Unwritable { .. }));
    assert!(error.to_string().contains("--out"), "{error}");
}

#[test]
fn a_run_has_one_writer() {
    let dir = run_of(1);
    let (_writer, _) = Store::resume(dir.path()).unwrap();
    assert!(matches!(Store::resume(dir.path()), Err(StoreError::Busy(_))));
}

#[test]
fn a_note_is_kept_once() {
    let dir = run_of(1);
    let (mut store, _) = Store::resume(dir.path()).unwrap();
    store.annotate("resumed".into()).unwrap();
    store.annotate("resumed".into()).unwrap();
    let stored = read(dir.path()).unwrap();
    assert_eq!(stored.environment.notes, ["resumed"]);
    assert_eq!(blocks(&stored), [0]);
}

#[test]
fn a_run_is_found_by_name_by_path_and_by_age() {
    let results = tempdir().unwrap();
    assert!(matches!(locate(results.path(), None), Err(StoreError::NoRuns(_))));
    // The name that sorts last is the older run, and the tables of 2021 are never a run.
    let made =
        [("z", "2026-01-01T00:00:00Z"), ("a", "2026-01-02T00:00:00Z"), ("published", "2027-01-01T00:00:00Z")];
    for (name, created) in made {
        let environment = Environment { created: created.into(), ..environment() };
        Store::create(&results.path().join(name), &environment).unwrap();
    }
    fs::create_dir(results.path().join("not-a-run")).unwrap();
    assert_eq!(locate(results.path(), None).unwrap(), results.path().join("a"));
    assert_eq!(locate(results.path(), Some("z")).unwrap(), results.path().join("z"));
    let path = results.path().join("z");
    assert_eq!(locate(Path::new("elsewhere"), path.to_str()).unwrap(), path);

    let error = locate(results.path(), Some("missing")).unwrap_err();
    assert!(error.to_string().contains("a, z"), "{error}");
    assert!(matches!(locate(results.path(), Some("")), Err(StoreError::NoSuchRun { .. })));
}

fn suite_of_two() -> suite::Suite {
    let run = |folder: &str| suite::SuiteRun {
        folder: folder.into(),
        scenario: "claims".into(),
        question: "Do they hold?".into(),
    };
    suite::Suite::new(vec!["roundtable".into(), "run".into()], vec![run("one"), run("two")])
}

#[test]
fn a_suites_runs_are_called_after_it_and_one_that_never_began_is_known_to_be_missing() {
    let results = tempdir().unwrap();
    let dir = results.path().join("all");
    suite::begin(&dir, &suite_of_two()).unwrap();
    Store::create(&dir.join("one"), &environment()).unwrap();
    let stored = suite::read(&dir).unwrap().unwrap();
    assert_eq!((stored.name.as_str(), &stored.suite.runs), ("all", &suite_of_two().runs));
    assert_eq!(stored.runs[0].as_ref().unwrap().name, "all/one");
    assert!(matches!(stored.runs[1], Err(StoreError::NoSuchRun { .. })));
    assert_eq!(suite_of(&dir.join("one")), Some(dir.canonicalize().unwrap()));

    // It is found as the newest, by its name, and what is of one run names its runs.
    assert_eq!(locate(results.path(), None).unwrap(), dir.join("one"));
    assert_eq!(locate(results.path(), Some("all/one")).unwrap(), dir.join("one"));
    let unknown = locate(results.path(), Some("missing")).unwrap_err().to_string();
    assert!(unknown.contains("holds all;"), "{unknown}");
    let several = read(&dir).unwrap_err().to_string();
    assert!(several.contains("holds several runs, one, two; name one of them"), "{several}");
}

#[test]
fn a_suite_is_not_begun_where_there_is_one_or_a_run() {
    let dir = tempdir().unwrap();
    suite::begin(dir.path(), &suite_of_two()).unwrap();
    assert!(matches!(suite::begin(dir.path(), &suite_of_two()), Err(StoreError::Occupied(_))));
    let of_a_run = run_of(1);
    assert!(matches!(suite::begin(of_a_run.path(), &suite_of_two()), Err(StoreError::Occupied(_))));
    assert!(suite::read(of_a_run.path()).unwrap().is_none());
}

#[test]
fn a_suite_of_another_schema_is_refused() {
    let dir = tempdir().unwrap();
    suite::begin(dir.path(), &suite::Suite { schema: 99, ..suite_of_two() }).unwrap();
    assert!(matches!(suite::read(dir.path()), Err(StoreError::Schema { found: 99, .. })));
}

#[test]
fn what_a_pass_found_is_kept_and_replaced_as_a_whole() {
    let dir = tempdir().unwrap();
    keep(dir.path(), "pass.json", &[1, 2]).unwrap();
    let path = keep(dir.path(), "pass.json", &[3]).unwrap();
    assert_eq!(serde_json::from_str::<Vec<u32>>(&fs::read_to_string(path).unwrap()).unwrap(), [3]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let error = keep(&dir.path().join("nowhere"), "pass.json", &[1]).unwrap_err();
    assert!(matches!(error, StoreError::Unwritable { .. }), "{error}");
}

#[test]
fn a_fault_run_of_schema_1_is_read_with_its_timelines_and_is_not_gone_on_with() {
    let observation = r#"{"requests":300,"errors":{"cut":2,"status_5xx":1},"late":4,"late_before":0,"slowest_us":900,
        "applied":[],"episodes":[],"buckets":[{"answered":{"b1":200,"b2":97}}]}"#;
    let line = |block: u32, outcome: &str| {
        let head = format!(r#""schema":1,"block":{block},"position":0,"attempt":1,"model":"mio""#);
        format!(r#"{{{head},"started_unix_ms":1,"took_ms":2,"outcome":{outcome}}}"#).replace('\n', "") + "\n"
    };
    let dir = tempdir().unwrap();
    fs::write(dir.path().join(ENVIRONMENT), EARLIER_FAULTS).unwrap();
    let lines = [
        line(0, &format!(r#"{{"observed":{observation}}}"#)),
        line(1, r#"{"invalid":{"reasons":["a backend died"]}}"#),
    ];
    fs::write(dir.path().join(FAULTS), lines.concat() + "{torn").unwrap();
    let stored = read(dir.path()).unwrap();
    let faults = stored.environment.plan.base.fault.as_ref().unwrap();
    assert_eq!((faults.script.to_string().as_str(), faults.window_ms()), ("refuse=2@1s", 4000));
    let sample = stored.trials[0].outcome.sample().unwrap();
    assert_eq!((sample.completed, sample.timeline.as_ref().unwrap().late), (297, 4));
    assert_eq!(sample.per_backend, [("b1".to_owned(), 200), ("b2".to_owned(), 97)].into());
    assert_eq!(stored.trials[1].outcome.reasons().len(), 1);
    assert_eq!(stored.trials[0].cell.condition, stored.environment.plan.base);
    assert!(matches!(Store::resume(dir.path()), Err(StoreError::Earlier(_))));
    assert!(matches!(read_comparable(dir.path()), Err(StoreError::OfFaults(_))));
    assert!(matches!(check_free(dir.path()), Err(StoreError::Occupied(_))));
}

const EARLIER_FAULTS: &str = r#"{
    "schema": 1, "created": "2026-01-02T03:04:05Z", "command_line": ["roundtable", "run"],
    "plan": {
        "models": ["mio"], "backends": [2], "concurrency": [256], "requests": 300, "warmup": 256, "connections": "close",
        "body_bytes": 1024, "seed": 7, "length": {"blocks": 2}, "rate": 75
    },
    "models": [],
    "build": {
        "version": "0.1.0", "commit": "c", "dirty": false, "rustc": "r", "profile": "release", "target": "t", "crates": {}
    },
    "host": {
        "kernel": "k", "cpu": "c", "processors": 2, "hypervisor": "none", "memory_bytes": 1, "load_average": 0.5,
        "descriptor_limit": 1024, "sysctls": {}
    },
    "fault": {
        "scenario": {"events": [{"act": "refuse", "backend": 2, "at_ms": 1000}]},
        "after_ms": 3000, "late_ms": 100, "timeout_ms": 5000, "bucket_ms": 100
    }
}"#;
