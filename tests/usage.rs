//! Errors of usage from outside, of every subcommand: exit code 2, a message that says what may be given, and never the
//! parser's tip about `--`. What the machine, a file or a peer is in the way of is exit code 1.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::fs;
use std::process::{Command, Output, Stdio};

use tempfile::tempdir;

const BALANCE: &str = "balance --model mio --listen 127.0.0.1:0 --backend 127.0.0.1:1";
const LOAD: &str = "load http://127.0.0.1:1/ -n 2 -c 1";
const BACKEND: &str = "backend --listen 127.0.0.1:0";

/// What `roundtable LINE` does in a folder of its own.
fn roundtable(line: &str) -> Output {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("unknown.toml"), "weights = 1\n").unwrap();
    fs::write(
        dir.path().join("brackets.toml"),
        "listen = \"127.0.0.1:0\"\n[[group]]\nname = \"a\"\nbackends = [\"::1:9101\"]\n",
    )
    .unwrap();
    let listens = "listen = \"::1:9101\"\n[[group]]\nname = \"a\"\nbackends = [\"127.0.0.1:1\"]\n";
    fs::write(dir.path().join("listens.toml"), listens).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
    command.current_dir(dir.path()).args(line.split_whitespace()).stdin(Stdio::null()).output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn is_refused(line: &str, code: i32, remedy: &str) {
    let output = roundtable(line);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(code), "{line}: {told}");
    assert!(told.contains(remedy), "{line}: {told}");
    assert!(!told.contains("tip:") && !told.contains("panicked"), "{line}: {told}");
}

#[test]
fn a_negative_number_is_told_what_may_be_given() {
    for (line, remedy) in [
        ("run --backends -1", "give whole numbers from 1 to 64"),
        ("run --concurrency -2,5", "give whole numbers from 1 to 20000"),
        ("run --seed -1", "from 0 to 18446744073709551615"),
        ("run --rate -5", "1 to 1000000, or auto"),
        ("run --budget -5m", "give 1s to 7days"),
        ("run --steal-limit -1", "from 0 to 100"),
        (&format!("{BACKEND} --body-bytes -1"), "from 0 to"),
        (&format!("{BACKEND} --delay -1s"), "give 0s to 1h"),
        ("load http://127.0.0.1:1/ -c 1 -n -1", "from 1 to 1000000000"),
        ("load http://127.0.0.1:1/ -n 1 -c -1", "from 1 to 20000"),
        (&format!("{LOAD} --rate -5"), "from 1 to 1000000"),
        (&format!("{BALANCE} --workers -1"), "from 1 to 1024"),
        (&format!("{BALANCE} --max-fields -1"), "from 1 to 128"),
        (&format!("{BALANCE},weight=-1"), "from 1 to 1000"),
        (&format!("{BALANCE},max=-1"), "from 1 to 4294967295"),
    ] {
        is_refused(line, 2, remedy);
    }
}

#[test]
fn no_timeout_is_told_in_the_units_of_the_command_line() {
    let output = roundtable(&format!("{LOAD} --timeout 0s"));
    assert_eq!(output.status.code(), Some(2));
    let told = told(&output);
    assert!(told.contains("give 1ms to 1h") && !told.contains("0ns"), "{told}");
}

#[test]
fn every_error_of_usage_is_exit_code_2_whoever_finds_it() {
    for (line, remedy) in [
        ("", "Usage"),
        ("run --no-such-option", "unexpected argument"),
        ("run --models thread", "the models are threads"),
        ("run --models mio+1000000%", "give 1 to 1000 percent, as in mio+10%"),
        ("run --concurrency 20 --requests 10", "ask for at least as many requests"),
        ("run --rate 1 --requests 1000", "ask for a higher rate"),
        ("run --fault restore@2s", "put one there"),
        ("run --fault refuse@2s --backends 1-5", "give --backends one number"),
        ("run --fault refuse@2s --rate auto", "give --rate a number"),
        (&format!("{BACKEND} --name \u{7f}"), "use 1 to 256 printable"),
        ("backend --listen nonsense", "write HOST:PORT"),
        ("balance --model x --backend 127.0.0.1:1", "choose one of"),
        ("balance --model mio --backend 127.0.0.1:0", "give --backend the port"),
        ("balance --model mio --route x=127.0.0.1:1", "does not begin with a slash"),
        ("balance --config unknown.toml", "change what is named"),
        (&format!("{BALANCE} --max-request-line-bytes 12289"), "change the option named"),
        (&format!("{BALANCE} --health-check x"), "begin with '/'"),
        (&format!("{BALANCE} --manager x"), "write one such as /balancer-manager"),
        ("load ftp://a/ -n 1 -c 1", "write it as http://host:port/path"),
        ("load http://192.0.2.1/ -n 1 -c 1", "--allow-remote"),
        ("load http://127.0.0.1:1/ -n 2 -c 3", "ask for more requests"),
        (&format!("{LOAD} --method CONNECT"), "another token but CONNECT"),
        (&format!("{LOAD} --header x"), "write it as 'Name: value'"),
    ] {
        is_refused(line, 2, remedy);
    }
}

#[test]
fn what_the_machine_or_a_file_is_in_the_way_of_is_exit_code_1() {
    for (line, remedy) in [
        ("report nowhere", "start one with `roundtable run`"),
        ("run --resume nowhere", "start one with `roundtable run`"),
        ("balance --config nowhere.toml", "name a file that is there"),
        (LOAD, "start a server there"),
        ("backend --listen 192.0.2.1:1", "choose an address of this machine"),
    ] {
        is_refused(line, 1, remedy);
    }
}

#[test]
fn an_ipv6_address_without_brackets_is_told_how_to_be_written() {
    for line in [
        "balance --model mio --backend ::1:9101",
        "balance --model mio --backend ::1:9101,weight=2",
        "balance --model mio --route /x/=::1:9101",
        "balance --model mio --listen ::1:9101 --backend 127.0.0.1:1",
        "balance --config brackets.toml",
        "balance --config brackets.toml --check",
        "balance --config listens.toml",
        "backend --listen ::1:9101",
        "load http://::1:9101/ -n 1 -c 1",
    ] {
        is_refused(line, 2, "write [::1]:9101");
    }
}

#[test]
fn workers_that_a_model_has_no_use_for_are_told_and_others_are_not() {
    for (model, told) in [
        ("threads", Some("3 workers do not apply to threads, which has a thread for each connection")),
        ("mio", Some("3 workers do not apply to mio, which has one thread")),
        ("pool", None),
        ("tokio", None),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
        command.args(["balance", "--listen", "127.0.0.1:0", "--backend", "127.0.0.1:1", "--workers", "3"]);
        command.args(["--model", model]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut ready = String::new();
        let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut stdout, &mut ready).unwrap();
        child.kill().unwrap();
        let said = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
        assert!(ready.contains("listening"), "{model}: {said}");
        match told {
            Some(told) => assert!(said.contains(told) && said.lines().count() == 1, "{model}: {said}"),
            None => assert_eq!(said, "", "{model}"),
        }
    }
}
