//! `backend --root` from outside: what it serves through a balancer, and what it refuses to start with.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};

use roundtable_backends::body;
use tempfile::tempdir;

/// A server that says where it listens, ended with the test.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(args: &[&str]) -> Self {
        let mut child = roundtable(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
        Running { address: ready["listening"].as_str().unwrap().to_owned(), child }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn roundtable(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
    command.args(args).stdin(Stdio::null());
    command
}

fn refused(args: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, stdout } = roundtable(args).output().unwrap();
    assert_eq!(stdout, b"", "{args:?} printed a ready line");
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn files_arrive_whole_through_a_balancer() {
    let dir = tempdir().unwrap();
    let files = [("pokijan.jpg", body(15_000)), ("paper.pdf", body(550_000)), ("long.bin", body(5 << 20))];
    for (name, content) in &files {
        fs::write(dir.path().join(name), content).unwrap();
    }
    let root = dir.path().to_str().unwrap();
    let listen = ["--listen", "127.0.0.1:0"];
    let backend = Running::start(&[&["backend", "--root", root, "--name", "files"], &listen[..]].concat());
    let backend = ["--backend", &backend.address];
    for model in ["threads", "mio"] {
        let balance = [&["balance", "--model", model], &listen[..], &backend[..]].concat();
        let balancer = Running::start(&balance);
        for (name, content) in &files {
            let mut stream = TcpStream::connect(&balancer.address).unwrap();
            write!(stream, "GET /{name} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
            let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
            assert!(answer[end..] == content[..], "{name} through {model}");
        }
    }
}

#[test]
fn a_root_that_cannot_be_served_is_refused_in_one_line_with_its_remedy() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    for (name, remedy) in [
        ("none", "make this directory, or give one that is there"),
        ("file", "give the directory that holds it"),
    ] {
        let root = dir.path().join(name);
        let args = ["backend", "--listen", "127.0.0.1:0", "--root", root.to_str().unwrap()];
        let (code, told) = refused(&args);
        assert_eq!(code, Some(1));
        assert!(
            told.starts_with("roundtable: cannot serve the files in ") && told.lines().count() == 1,
            "{told}"
        );
        assert!(told.trim_end().ends_with(remedy), "{told}");
    }
}

#[test]
fn files_and_a_body_exclude_each_other() {
    let (code, told) = refused(&["backend", "--listen", "127.0.0.1:0", "--root", ".", "--body-bytes", "10"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("'--root <DIR>' cannot be used with '--body-bytes <N>'"), "{told}");
}
