//! Routes, shares, bounds, health checks, configuration files and logs: the same under every model.

use std::fs;
use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{Client, DeadAddress, Server, binary, for_every_model, raw_backend, read_head};

/// No test waits longer for something to become so.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `holds`.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it never came to this: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A backend that answers with the request's first line.
fn echo() -> std::net::SocketAddr {
    raw_backend(|mut stream| {
        while let Some(line) = read_head(&mut stream).lines().next() {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{line}", line.len());
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    })
}

#[test]
fn the_path_and_the_host_pick_the_backend_and_the_prefix_is_taken_off() {
    let (images, hosted) = (echo().to_string(), echo().to_string());
    let default = Server::backend("default", &[]);
    for_every_model(|model| {
        let routes = [format!("/images/={images}"), format!("files.example/={hosted}")];
        let options = ["--route", &routes[0], "--route", &routes[1]];
        let balancer = Server::balancer(model, &[default.address], &options);
        let mut client = Client::connect(balancer.address);
        let body = |client: &mut Client, host: &str, path: &str| {
            client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            String::from_utf8(client.response().body).unwrap()
        };
        assert_eq!(body(&mut client, "a", "/images/pokijan.jpg?x"), "GET /pokijan.jpg?x HTTP/1.1", "{model}");
        assert_eq!(body(&mut client, "a", "/images/"), "GET / HTTP/1.1", "{model}");
        assert_eq!(body(&mut client, "files.example:80", "/images"), "GET /images HTTP/1.1", "{model}");
        assert_eq!(client.get("/imagesque").field("X-Backend"), Some("default"), "{model}");
        let only = ["--route", &routes[0]];
        let balancer = Server::balancer(model, &[], &only);
        assert_eq!(Client::connect(balancer.address).get("/").status(), "404", "{model}");
    });
}

#[test]
fn a_redirect_leads_back_through_the_route() {
    let backend = raw_backend(|mut stream| {
        read_head(&mut stream);
        let _ = stream
            .write_all(b"HTTP/1.1 301 Moved Permanently\r\nLocation: /there/\r\nContent-Length: 0\r\n\r\n");
    });
    let route = format!("/images/={backend}");
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[], &["--route", &route]);
        let response = Client::connect(balancer.address).get("/images/here");
        assert_eq!(response.field("Location"), Some("/images/there/"), "{model}");
        let balancer = Server::balancer(model, &[], &["--route", &route, "--keep-prefix"]);
        let response = Client::connect(balancer.address).get("/images/here");
        assert_eq!(response.field("Location"), Some("/there/"), "{model}");
    });
}

#[test]
fn a_location_that_would_lead_a_browser_to_another_host_stays_as_it_was() {
    const RESTS: [&str; 5] =
        ["//evil.example/x", "/\\evil.example/x", "/\t/evil.example", "\\\\evil.example/", "//"];
    // It says where in the answer to /0, /1 and so on, with the host that was asked.
    let backend = raw_backend(|mut stream| {
        loop {
            let head = read_head(&mut stream);
            let Some(number) =
                head.split(' ').nth(1).and_then(|path| path.rsplit('/').next()?.parse::<usize>().ok())
            else {
                return;
            };
            let rest = RESTS[number];
            let fields = format!("Location: http://h.example{rest}\r\nContent-Location: {rest}\r\n");
            let answer = format!("HTTP/1.1 302 Found\r\n{fields}Content-Length: 0\r\n\r\n");
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    for_every_model(|model| {
        for (place, options) in [("h.example/", &[][..]), ("/a/", &[]), ("/a/", &["--keep-prefix"])] {
            let route = format!("{place}={backend}");
            let balancer = Server::balancer(model, &[], &[&["--route", &route], options].concat());
            let mut client = Client::connect(balancer.address);
            let path = place.strip_prefix("h.example").unwrap_or(place);
            for (number, rest) in RESTS.into_iter().enumerate() {
                client.send(format!("GET {path}{number} HTTP/1.1\r\nHost: h.example\r\n\r\n"));
                let answer = client.response();
                let whole = format!("http://h.example{rest}");
                assert_eq!(answer.field("Location"), Some(whole.as_str()), "{model} {place} {options:?}");
                assert_eq!(answer.field("Content-Location"), Some(rest), "{model} {place} {options:?}");
            }
        }
    });
}

#[test]
fn weights_are_shares_of_the_turns() {
    let backends = [Server::backend("a", &[]), Server::backend("b", &[])];
    for_every_model(|model| {
        let heavy = format!("{},weight=3", backends[0].address);
        let balancer = Server::balancer(
            model,
            &[],
            &["--backend", &heavy, "--backend", &backends[1].address.to_string()],
        );
        let mut client = Client::connect(balancer.address);
        let names: String = (0..8).map(|_| client.get("/").field("X-Backend").unwrap().to_owned()).collect();
        assert_eq!(names, "aabaaaba", "{model}");
    });
}

/// A backend whose connections wait for a word each before they answer; the other end tells of each that waits.
fn held() -> (std::net::SocketAddr, Receiver<Sender<()>>) {
    let (arrived, arrivals) = channel::<Sender<()>>();
    let arrived = Arc::new(Mutex::new(arrived));
    let address = raw_backend(move |mut stream| {
        while !read_head(&mut stream).is_empty() {
            let (release, released) = channel();
            if arrived.lock().unwrap().send(release).is_err() || released.recv().is_err() {
                return;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld");
        }
    });
    (address, arrivals)
}

#[test]
fn a_backend_that_is_full_is_passed_over_while_another_has_room() {
    let free = Server::backend("free", &[]);
    for_every_model(|model| {
        for policy in ["round-robin", "least-busy"] {
            let (held, arrivals) = held();
            let (full, free) = (format!("{held},max=1"), free.address.to_string());
            let options = ["--backend", &full, "--backend", &free, "--policy", policy];
            let balancer = Server::balancer(model, &[], &options);
            let mut first = Client::connect(balancer.address);
            first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            let release = arrivals.recv_timeout(PATIENCE).unwrap();
            for _ in 0..4 {
                let response = Client::connect(balancer.address).get("/");
                assert_eq!(response.field("X-Backend"), Some("free"), "{model} {policy}");
            }
            release.send(()).unwrap();
            assert_eq!(first.response().body, b"held", "{model} {policy}");
            let alone = Server::balancer(model, &[], &["--backend", &full]);
            let mut first = Client::connect(alone.address);
            first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            let release = arrivals.recv_timeout(PATIENCE).unwrap();
            assert_eq!(Client::connect(alone.address).get("/").status(), "503", "{model} {policy}");
            drop(release);
        }
    });
}

#[test]
fn a_backend_that_fails_health_checks_is_left_out_until_it_answers_them() {
    let folder = tempfile::tempdir().unwrap();
    let good = Server::backend("good", &[]);
    for_every_model(|model| {
        let well = Arc::new(Mutex::new(true));
        let is_well = Arc::clone(&well);
        // It answers clients all the time: only the checks tell.
        let moody = raw_backend(move |mut stream| {
            while let Some(line) = read_head(&mut stream).lines().next() {
                let is_check = line.starts_with("GET /health ");
                let status = if is_check && !*is_well.lock().unwrap() { "500 No" } else { "200 OK" };
                let answer = format!("HTTP/1.1 {status}\r\nX-Backend: moody\r\nContent-Length: 0\r\n\r\n");
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        });
        let path = folder.path().join(format!("{model}.toml"));
        let check = "{ path = \"/health\", interval = \"10ms\", timeout = \"5s\", fall = 2, rise = 2 }";
        let backends = format!("[\"{}\", \"{moody}\"]", good.address);
        let text = format!("[[group]]\nname = \"a\"\nbackends = {backends}\nhealth_check = {check}\n");
        fs::write(&path, text).unwrap();
        let told = folder.path().join(format!("{model}.told"));
        let script = format!("exec \"$@\" 2>{}", told.to_str().unwrap());
        let balancer = Server::balancer_in(&script, model, &[], &["--config", path.to_str().unwrap()]);
        let mut client = Client::connect(balancer.address);
        let mut answers =
            |name: &str| (0..4).filter(|_| client.get("/").field("X-Backend") == Some(name)).count();
        assert_eq!(answers("moody"), 2, "{model}");
        *well.lock().unwrap() = false;
        until("left out", || answers("moody") == 0);
        *well.lock().unwrap() = true;
        until("in turn again", || answers("moody") == 2);
        let lines = [
            format!("roundtable: backend {moody} is left out: its health checks fail: status 500"),
            format!("roundtable: backend {moody} is back"),
        ];
        until("two lines", || fs::read_to_string(&told).unwrap().lines().eq(&lines));
    });
}

#[test]
fn the_log_has_the_form_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let backend = Server::backend("a", &["--body-bytes", "5"]);
    let dead = DeadAddress::new();
    for_every_model(|model| {
        let log_of = |format: &str, backend: std::net::SocketAddr| {
            let path = folder.path().join(format!("{model}-{format}-{}", backend.port()));
            let options = ["--access-log", path.to_str().unwrap(), "--access-log-format", format];
            let balancer = Server::balancer(model, &[backend], &options);
            let mut client = Client::connect(balancer.address);
            client.send("GET /x HTTP/1.1\r\nHost: h\r\nUser-Agent: u\"\r\nConnection: close\r\n\r\n");
            assert!(!client.rest().is_empty());
            let lines = if format == "turns" { 2 } else { 1 };
            until("a whole log", || {
                fs::read_to_string(&path).is_ok_and(|log| log.lines().count() == lines && log.ends_with('\n'))
            });
            fs::read_to_string(&path).unwrap()
        };
        let turns = log_of("turns", backend.address);
        let forwarded = format!("forwarded to {}", backend.address);
        assert!(turns.starts_with("connection from 127.0.0.1:") && turns.contains(&forwarded), "{turns}");
        let common = log_of("common", backend.address);
        assert!(common.starts_with("127.0.0.1 - - ["), "{model}: {common}");
        assert!(common.ends_with("] \"GET /x HTTP/1.1\" 200 5\n"), "{model}: {common}");
        let combined = log_of("combined", backend.address);
        assert!(combined.ends_with("\"GET /x HTTP/1.1\" 200 5 \"-\" \"u\\\"\"\n"), "{model}: {combined}");
        let json: serde_json::Value = serde_json::from_str(&log_of("json", backend.address)).unwrap();
        assert_eq!(
            (&json["status"], &json["body_bytes"], &json["whole"]),
            (&200.into(), &5.into(), &true.into())
        );
        assert_eq!(json["backend"], backend.address.to_string(), "{model}");
        let refused = log_of("common", dead.address);
        assert!(refused.contains("\" 503 "), "{model}: {refused}");
    });
}

#[test]
fn a_refused_request_is_logged_as_far_as_it_came_and_can_break_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let dead = DeadAddress::new();
    let sent = [
        (&b"GET /<x> HTTP/1.1\r\nHost: a\r\n\r\n"[..], "GET /<x> HTTP/1.1", "400"),
        (b"GET /\"\x1b[2J HTTP/1.1\r\nHost: a\r\n\r\n", "GET /\"\u{1b}[2J HTTP/1.1", "400"),
        (b"\x16\x03\x01\xc2\x9b", "\u{16}\u{3}\u{1}\u{9b}", "400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: \0 forged\r\n\r\n", "GET / HTTP/1.1", "400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "POST / HTTP/1.1", "400"),
        (b"GET / HTTP/3.0\r\n", "GET / HTTP/3.0", "505"),
        (b"GET /late HT", "GET /late HT", "408"),
    ];
    for_every_model(|model| {
        for format in ["common", "combined", "json"] {
            let path = folder.path().join(format!("{model}-{format}"));
            let options = [
                "--access-log",
                path.to_str().unwrap(),
                "--access-log-format",
                format,
                "--header-timeout",
                "300ms",
            ];
            let balancer = Server::balancer(model, &[dead.address], &options);
            for (request, _, status) in sent {
                let mut client = Client::connect(balancer.address);
                client.send(request);
                let answer = String::from_utf8(client.rest()).unwrap();
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{model}: {answer}");
            }
            until("a whole log", || {
                fs::read_to_string(&path)
                    .is_ok_and(|log| log.lines().count() >= sent.len() && log.ends_with('\n'))
            });
            let log = fs::read(&path).unwrap();
            assert!(log.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n')), "{model}: {log:?}");
            let log = String::from_utf8(log).unwrap();
            assert_eq!(log.lines().count(), sent.len(), "{model}: {log}");
            for ((_, line, status), told) in sent.into_iter().zip(log.lines()) {
                if format == "json" {
                    let told: serde_json::Value = serde_json::from_str(told).unwrap();
                    assert_eq!((&told["request"], told["status"].to_string()), (&line.into(), status.into()));
                } else {
                    let line = line.as_bytes().escape_ascii();
                    assert!(told.contains(&format!("\"{line}\" {status} ")), "{model}: {told}");
                }
            }
        }
    });
}

#[test]
fn the_last_lines_of_the_log_are_written_before_the_balancer_ends() {
    let folder = tempfile::tempdir().unwrap();
    let backend = Server::backend("a", &[]);
    for_every_model(|model| {
        let path = folder.path().join(model);
        let options = ["--access-log", path.to_str().unwrap(), "--access-log-format", "common"];
        let balancer = Server::balancer(model, &[backend.address], &options);
        let mut client = Client::connect(balancer.address);
        for _ in 0..200 {
            assert_eq!(client.get("/").status(), "200");
        }
        balancer.signal(Signal::SIGTERM);
        assert_eq!(balancer.exit_code(), Some(0), "{model}");
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 200, "{model}");
    });
}

#[test]
fn a_configuration_can_be_checked_without_serving() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    let check = |text: &str, more: &[&str]| {
        fs::write(&path, text).unwrap();
        let output =
            binary().args(["balance", "--check", "--config"]).arg(&path).args(more).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let group = "[[group]]\nname = \"default\"\nbackends = [{ address = \"127.0.0.1:1\", weight = 2 }]\n";
    let (works, said, _) = check(group, &[]);
    assert!(works && said.contains("/ -> default: 127.0.0.1:1 x2"), "{said}");
    for (text, more, told) in [
        ("x = 1", &[][..], "unknown field `x`"),
        (group, &["--model", "none"][..], "choose one of"),
        (group, &["--backend", "127.0.0.1:2"][..], "cannot be used with"),
        (group, &["--idle-timeout", "5s"][..], "cannot be used with"),
    ] {
        let (works, _, said) = check(text, more);
        assert!(!works && said.contains(told), "{text} {more:?}: {said}");
    }
}
