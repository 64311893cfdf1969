//! The smaller subcommands from outside: what they print, to whom, and what they refuse.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::fs::{self, File};
use std::process::{Command, Output, Stdio};

use tempfile::tempdir;

fn roundtable(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
    command.args(args).stdin(Stdio::null());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    for args in [&["models"][..], &["models", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = roundtable(args).stdout(writer).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        assert_eq!(stderr(&output), "", "{args:?}");
    }
}

#[test]
fn an_output_that_takes_nothing_is_a_failure_in_one_line() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = roundtable(&["models"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.starts_with("roundtable: cannot print") && told.lines().count() == 1, "{told}");
}

#[test]
fn a_backend_that_nobody_can_reach_is_refused() {
    let output =
        roundtable(&["balance", "--model", "mio", "--listen", "127.0.0.1:0", "--backend", "127.0.0.1:0"])
            .output()
            .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("port 0 of 127.0.0.1:0"), "{}", stderr(&output));
}

#[test]
fn nobody_is_told_to_delete_a_folder_that_may_not_be_a_run() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("precious"), "").unwrap();
    let output = roundtable(&["report", dir.path().to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains("no environment.json") && !told.contains("delete"), "{told}");
}

#[test]
fn an_error_that_nobody_reads_is_no_panic() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = roundtable(&["report", "nowhere"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(1));
}
