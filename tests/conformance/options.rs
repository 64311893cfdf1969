//! What an operator may ask for in error: one message with its remedy, a failing exit code, no panic.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Stdio;

use crate::support::{Client, MODELS, Server, binary};

/// What `roundtable balance` says of these options, on its way out.
pub fn refused(options: &[&str]) -> String {
    let mut command = binary();
    command.arg("balance").args(options).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    if !ready.is_empty() {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert!(ready.is_empty() && !output.status.success(), "{options:?} serves: {ready}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("panicked"), "{options:?}: {said}");
    said
}

#[test]
fn options_that_cannot_work_are_refused_with_one_message() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    // Nothing ever listens here: the refusal comes after the balancer has bound it, and it needs no privilege.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (anywhere, here) = (format!("0.0.0.0:{free}"), format!("127.0.0.1:{free}"));
    let usual = ["--model", "mio", "--listen", "127.0.0.1:0", "--backend", "127.0.0.1:1"];
    for (options, hint) in [
        (&["--model", "x", "--backend", "127.0.0.1:1"][..], "choose one of"),
        (&["--model", "mio", "--listen", &taken, "--backend", "127.0.0.1:1"], "choose a free address"),
        (&["--model", "mio", "--listen", "nonsense", "--backend", "127.0.0.1:1"], "write HOST:PORT"),
        (&["--model", "mio", "--backend", "127.0.0.1"], "write HOST:PORT"),
        (
            &["--model", "mio", "--listen", "127.0.0.1:0", "--backend", "127.0.0.1:0"],
            "give --backend the port",
        ),
        (&["--model", "mio", "--listen", &anywhere, "--backend", &here], "name another backend"),
        (&["--model", "mio", "--listen", &here, "--backend", &anywhere], "name another backend"),
        (&["--model", "mio", "--listen", &here, "--backend", &here], "name another backend"),
        (&["--model", "mio", "--listen", "192.0.2.1:0", "--backend", "127.0.0.1:1"], "choose a free address"),
        (&[usual[0], usual[1], usual[2], usual[3], "--route", "*.a/=127.0.0.1:1"], "looks like a pattern"),
        (
            &[
                "--model",
                "mio",
                "--listen",
                "127.0.0.1:0",
                "--backend",
                "127.0.0.1:1,weight=1000",
                "--backend",
                "127.0.0.1:2,weight=999",
            ],
            "turns a round",
        ),
    ] {
        let said = refused(options);
        assert!(said.contains(hint) && said.lines().count() == 1, "{options:?}: {said}");
        // What is checked may be what is served by another process already.
        if !options.contains(&taken.as_str()) {
            assert_eq!(
                refused(&[options, &["--check"]].concat()),
                said,
                "{options:?}: the check says something else"
            );
        }
    }
    for (option, value, hint) in [
        ("--workers", "0", "from 1 to 1024"),
        ("--workers", "100000000", "from 1 to 1024"),
        ("--drain-timeout", "500000000000years", "drain-timeout"),
        ("--drain-timeout", "30000000000years", "drain-timeout"),
        ("--header-timeout", "0s", "give 1ms to 1day"),
        ("--write-timeout", "10000years", "to 1day"),
        ("--connect-timeout", "1ns", "give 1ms to 1day"),
        ("--retry-interval", "10000years", "give 0s to 1day"),
        ("--max-head-bytes", "1000000", "from 256 to"),
        ("--max-request-line-bytes", "0", "from 16 to"),
        ("--max-request-line-bytes", "12289", "request line limit"),
        ("--max-fields", "0", "from 1 to 128"),
        ("--access-log", "/nowhere/at/all", "choose another file"),
    ] {
        let said = refused(&[&usual[..], &[option, value]].concat());
        assert!(said.contains(hint), "{option} {value}: {said}");
        assert_eq!(refused(&[&usual[..], &[option, value, "--check"]].concat()), said, "{option} {value}");
    }
}

#[test]
fn a_check_needs_no_free_address_and_leaves_no_file_behind() {
    let serving = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = serving.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let (new, old) = (folder.path().join("new"), folder.path().join("old"));
    std::fs::write(&old, "a line\n").unwrap();
    for log in [&new, &old] {
        let mut command = binary();
        command.args([
            "balance",
            "--check",
            "--model",
            "mio",
            "--backend",
            "127.0.0.1:1",
            "--listen",
            &address,
        ]);
        let output = command.arg("--access-log").arg(log).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).starts_with("The configuration can work: mio"));
    }
    assert_eq!((new.exists(), std::fs::read_to_string(&old).unwrap().as_str()), (false, "a line\n"));
}

#[test]
fn unusual_addresses_work() {
    let origin = Server::backend("a", &[]);
    let backend = format!("localhost:{}", origin.address.port());
    for model in MODELS.iter() {
        let mut command = binary();
        command.args(["balance", "--listen", "[::1]:0", "--model", model]);
        command.args(["--backend", &backend, "--backend", &backend]);
        let balancer = Server::start(&mut command);
        assert!(balancer.address.is_ipv6(), "{model}");
        assert_eq!(Client::connect(balancer.address).get("/").status(), "200", "{model}");
    }
}
