//! `roundtable load` from outside: how it ends, with which exit code, and what it sends.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::tempdir;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// A server that answers every request, `pause` after it has come, until its process ends; what it was sent, request
/// by request. It takes `connections` of them and then listens no more.
fn server(connections: usize, pause: Duration) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (send, requests) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(connections) {
            let (mut stream, send) = (stream.unwrap(), send.clone());
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while let Some(request) = request(&mut reader) {
                    let closes = request.contains("Connection: close\r\n");
                    std::thread::sleep(pause);
                    if stream.write_all(OK).is_err() || send.send(request).is_err() || closes {
                        return;
                    }
                }
            });
        }
    });
    (address, requests)
}

/// A request with its body; `None` when the client is gone.
fn request(reader: &mut impl BufRead) -> Option<String> {
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        if reader.read_line(&mut request).ok()? == 0 {
            return None;
        }
    }
    let length = request.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(request + &String::from_utf8(body).unwrap())
}

fn load(address: SocketAddr, options: &str) -> Command {
    // Where this suite runs under `nohup`, the load must not take over what is ignored here.
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_roundtable")]);
    command.args(["load", &format!("http://{address}/")]).args(options.split_whitespace());
    command.stdin(Stdio::null());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, signal).unwrap();
}

#[test]
fn a_signal_ends_a_load_with_the_report_of_what_there_is_and_a_code_of_its_own() {
    for (number, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        for options in
            ["-n 1000000000 -c 2 -k --json", "-z 1h -c 2 --json", "-z 1h -c 2 --rate 500 -k --json"]
        {
            let (address, requests) = server(usize::MAX, Duration::ZERO);
            let mut load = load(address, options);
            let load = load.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            assert_eq!(requests.iter().take(100).count(), 100);
            signal(&load, number);
            let output = load.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{options}: {}", stderr(&output));
            let report = report(&output);
            assert!(report["completed"].as_u64().unwrap() >= 98, "{report}");
            let reason = report["incomplete"]["reason"].as_str().unwrap();
            assert!(reason.starts_with("interrupted"), "{reason}");
            assert_eq!(stderr(&output), format!("roundtable: the report is incomplete: {reason}\n"));
        }
    }
}

#[test]
fn a_signal_in_the_warm_up_says_that_nothing_was_measured() {
    let (address, requests) = server(usize::MAX, Duration::ZERO);
    let mut load = load(address, "-n 1 -c 1 -k --warmup 1000000000 --json");
    let load = load.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(requests.iter().take(10).count(), 10);
    signal(&load, Signal::SIGINT);
    let output = load.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(130), 0), "{}", stderr(&output));
    assert!(stderr(&output).contains("nothing was measured yet"), "{}", stderr(&output));
}

#[test]
fn a_second_signal_ends_a_load_that_cannot_get_its_report_out() {
    let (address, requests) = server(usize::MAX, Duration::ZERO);
    let (reader, mut writer) = std::io::pipe().unwrap();
    // As much as a pipe holds: nobody takes it out, so that the report waits for ever.
    writer.write_all(&[0; 1 << 16]).unwrap();
    let mut child = load(address, "-z 1h -c 2 -k").stdout(writer).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(requests.iter().take(10).count(), 10);
    let status = loop {
        signal(&child, Signal::SIGINT);
        std::thread::sleep(Duration::from_millis(50));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
    };
    assert_eq!(status.code(), Some(130));
    drop(reader);
}

#[test]
fn a_server_that_dies_is_a_failure_with_a_report() {
    let (address, requests) = server(20, Duration::ZERO);
    let output = load(address, "-n 1000000000 -c 1 --json").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report = report(&output);
    assert_eq!(report["completed"], 20, "{report}");
    let reason = report["incomplete"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("gave up after") && stderr(&output).contains(reason), "{reason}");
    assert_eq!(requests.iter().count(), 20);
}

#[test]
fn a_server_that_was_never_there_is_an_error_without_a_report() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = load(address, "-z 1h -c 1 --json").output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(stderr(&output).contains("start a server there"), "{}", stderr(&output));
}

#[test]
fn a_rate_that_was_not_sustained_has_an_exit_code_of_its_own() {
    let (address, _requests) = server(usize::MAX, Duration::from_millis(10));
    let output = load(address, "-n 50 -c 1 -k --rate 1000").output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("Rate sustained:         NO"));
    let output = load(address, "-n 5 -c 1 -k --rate 10").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn percentiles_stand_in_text_and_json_where_enough_requests_lie_beyond_them() {
    let (address, _requests) = server(usize::MAX, Duration::ZERO);
    let told = |options: &str| {
        let json = report(&load(address, &format!("{options} --json")).output().unwrap());
        let json = json["percentiles"].as_array().unwrap();
        let json: Vec<u64> = json.iter().map(|percentile| percentile["percent"].as_u64().unwrap()).collect();
        let text = load(address, options).output().unwrap().stdout;
        let text: Vec<u64> = String::from_utf8(text)
            .unwrap()
            .lines()
            .filter_map(|line| line.get(..5)?.trim_start().strip_suffix('%')?.parse().ok())
            .collect();
        assert_eq!(text, json, "{options}");
        json
    };
    assert_eq!(told("-n 1 -c 1"), [100]);
    assert_eq!(told("-n 40 -c 1 -k"), [50, 100]);
    assert_eq!(told("-n 2000 -c 2 -k"), [50, 66, 75, 80, 90, 95, 98, 99, 100]);
    assert_eq!(told("-n 100 -c 2 -k --rate 1000"), [50, 66, 75, 80, 100]);
}

#[test]
fn a_request_is_as_its_options_say() {
    let (address, requests) = server(usize::MAX, Duration::ZERO);
    let dir = tempdir().unwrap();
    let file = dir.path().join("body");
    fs::write(&file, "from\r\na file").unwrap();
    let options = |options: &[&str]| {
        let output = load(address, "-n 1 -c 1").args(options).output().unwrap();
        assert!(output.status.success(), "{options:?}: {}", stderr(&output));
        requests.recv().unwrap()
    };
    let told = options(&["-d", "a=1", "-A", "user:pass", "-H", "X-Y: z", "-H", "Content-Type: text/x"]);
    assert!(told.starts_with("POST / HTTP/1.1\r\n") && told.ends_with("\r\n\r\na=1"), "{told}");
    for field in ["Content-Length: 3", "Authorization: Basic dXNlcjpwYXNz", "X-Y: z", "Content-Type: text/x"]
    {
        assert!(told.contains(&format!("\r\n{field}\r\n")), "{field} is missing in {told}");
    }
    let told = options(&["-m", "PUT", "--data-file", file.to_str().unwrap()]);
    assert!(told.starts_with("PUT / HTTP/1.1\r\n") && told.ends_with("\r\n\r\nfrom\r\na file"), "{told}");
    let told = options(&[]);
    assert!(told.starts_with("GET / HTTP/1.1\r\n") && !told.contains("Content-Length"), "{told}");
}

#[test]
fn what_cannot_be_sent_is_refused_in_one_line_with_its_remedy() {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let refused = |options: &[&str]| {
        let output = load(address, "-c 1").args(options).output().unwrap();
        // What is wrong with a file, and not with the command, is no error of usage.
        let code = if options.contains(&"/nowhere") { 1 } else { 2 };
        assert_eq!(output.status.code(), Some(code), "{options:?}");
        stderr(&output)
    };
    for (options, remedy) in [
        (&["-n", "1", "-A", "user"][..], "write them as user:password"),
        (&["-n", "1", "-A", "u:p", "-H", "Authorization: x"], "(--auth)"),
        (&["-n", "1", "-m", "TRACE", "-d", "x"], "another method"),
        (&["-n", "1", "--data-file", "/nowhere"], "give a file that can be read"),
        (&["-n", "1", "--data-file", "/dev/zero"], "longer than 64 MiB"),
        (&["-n", "1", "-H", "Content-Length: 1"], "decides on framing"),
    ] {
        let told = refused(options);
        assert!(told.starts_with("roundtable: ") && told.lines().count() == 1, "{told}");
        assert!(told.contains(remedy), "{options:?}: {told}");
    }
    for out_of_bounds in ["0s", "1000d"] {
        assert!(refused(&["-z", out_of_bounds]).contains("give 1ms to 7days"), "{out_of_bounds}");
    }
    let told = refused(&[]);
    assert!(told.contains("--requests <N>|--duration <DURATION>"), "{told}");
    let told = refused(&["-n", "1", "-d", "x", "--data-file", "y"]);
    assert!(told.contains("cannot be used with"), "{told}");
}
