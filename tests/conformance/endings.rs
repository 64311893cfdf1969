//! How a balancer stops, and what it must not leak until then.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use nix::sys::signal::Signal;

use crate::stage::{Delivery, Stage, until_end};
use crate::support::{Client, Server, eventually, for_every_model, raw_backend, read_head};

#[test]
fn sigterm_finishes_what_is_in_hand_and_exits_with_zero() {
    finishes_what_is_in_hand(&[Signal::SIGTERM]);
}

#[test]
fn sighup_finishes_what_is_in_hand_however_often_it_comes() {
    finishes_what_is_in_hand(&[Signal::SIGHUP, Signal::SIGHUP, Signal::SIGUSR1]);
}

/// Sends these one after the other while an exchange is in hand.
fn finishes_what_is_in_hand(signals: &[Signal]) {
    for_every_model(|model| {
        let (asked, wait_asked) = channel();
        let (go, wait_go) = channel::<()>();
        let gate = std::sync::Arc::new(Mutex::new((asked, wait_go)));
        let backend = raw_backend(move |mut stream| {
            read_head(&mut stream);
            let gate = gate.lock().unwrap();
            gate.0.send(()).unwrap();
            let _ = gate.1.recv();
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast");
        });
        // Where this suite runs under `nohup`, the balancer must not take over what is ignored here.
        let balancer = Server::balancer_in("exec env --default-signal=HUP \"$@\"", model, &[backend], &[]);
        let mut idle = Client::connect(balancer.address);
        let mut client = Client::connect(balancer.address);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        wait_asked.recv().unwrap();
        for signal in signals {
            balancer.signal(*signal);
            // Accepting ends before the answer is let go.
            eventually(|| TcpStream::connect(balancer.address).is_err());
        }
        // The listener is shut down just before the proxy is told to drain.
        std::thread::sleep(std::time::Duration::from_millis(50));
        go.send(()).unwrap();
        let response = client.response();
        assert_eq!(
            (response.body.as_slice(), response.field("Connection")),
            (b"last".as_slice(), Some("close"))
        );
        assert_eq!(balancer.exit_code(), Some(0), "{model}");
        assert!(idle.rest().is_empty());
    });
}

#[test]
fn what_is_not_finished_by_the_deadline_does_not_keep_it_from_exiting_with_zero() {
    for_every_model(|model| {
        let stage = Stage::new(model, &["--drain-timeout", "300ms", "--backend-timeout", "1h"]);
        let mut client = stage.client_sending("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Delivery::Whole);
        let mut backend = stage.backend();
        read_head(&mut backend);
        stage.balancer.signal(Signal::SIGTERM);
        assert_eq!(stage.balancer.exit_code(), Some(0), "{model}");
        assert!(until_end(&mut client).0.is_empty(), "{model}: nothing is made up");
    });
}

#[test]
fn a_second_signal_ends_at_once() {
    for_every_model(|model| {
        let (asked, wait_asked) = channel();
        let asked = Mutex::new(asked);
        let asked = std::sync::Arc::new(asked);
        let backend = raw_backend(move |mut stream| {
            read_head(&mut stream);
            asked.lock().unwrap().send(()).unwrap();
            read_head(&mut stream);
        });
        let balancer = Server::balancer(model, &[backend], &["--drain-timeout", "1h"]);
        let mut client = Client::connect(balancer.address);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        wait_asked.recv().unwrap();
        balancer.signal(Signal::SIGINT);
        while TcpStream::connect(balancer.address).is_ok() {
            std::thread::yield_now();
        }
        balancer.signal(Signal::SIGINT);
        assert_eq!(balancer.exit_code(), Some(1), "{model}");
    });
}

#[test]
fn sighup_is_ignored_where_it_was_before_as_under_nohup() {
    let backend = Server::backend("a", &[]);
    for_every_model(|model| {
        let balancer = Server::balancer_in("trap '' HUP; exec \"$@\"", model, &[backend.address], &[]);
        balancer.signal(Signal::SIGHUP);
        for _ in 0..20 {
            assert_eq!(Client::connect(balancer.address).get("/").status(), "200", "{model}");
        }
    });
}

#[test]
fn clients_that_come_and_go_leave_no_descriptor_behind() {
    let backend = Server::backend("a", &[]);
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend.address], &[]);
        assert_eq!(Client::connect(balancer.address).get("/").status(), "200");
        // One client's descriptor may not be closed yet when the count is taken.
        let before = balancer.open_descriptors() + 1;
        for number in 0..300 {
            let mut client = Client::connect(balancer.address);
            match number % 3 {
                0 => {}
                1 => client.send("GET / HTTP/1.1\r\nHo"),
                _ => assert_eq!(client.get("/").status(), "200"),
            }
        }
        let mut patience = 1000;
        while balancer.open_descriptors() > before && patience > 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
            patience -= 1;
        }
        assert!(balancer.open_descriptors() <= before, "{model}: {} > {before}", balancer.open_descriptors());
    });
}

#[test]
fn the_access_log_names_who_came_and_where_each_request_went() {
    let backends = [Server::backend("a", &[]), Server::backend("b", &[])];
    let addresses = backends.each_ref().map(|backend| backend.address);
    for_every_model(|model| {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("access.log");
        let balancer = Server::balancer(model, &addresses, &["--access-log", log.to_str().unwrap()]);
        let mut client = Client::connect(balancer.address);
        client.get("/");
        client.get("/");
        let expected = format!(
            "connection from {}\nforwarded to {}\nforwarded to {}\n",
            client.stream.local_addr().unwrap(),
            addresses[0],
            addresses[1]
        );
        let mut patience = 1000;
        while std::fs::read_to_string(&log).unwrap() != expected && patience > 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
            patience -= 1;
        }
        assert_eq!(std::fs::read_to_string(&log).unwrap(), expected, "{model}");
    });
}

#[test]
fn on_sigusr1_the_access_log_is_opened_anew_and_no_line_is_lost_or_cut() {
    const CLIENTS: usize = 4;
    const REQUESTS: usize = 100;
    let backend = Server::backend("a", &[]);
    for_every_model(|model| {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let options = ["--access-log", log.to_str().unwrap(), "--access-log-format", "common"];
        let balancer = Server::balancer(model, &[backend.address], &options);
        let rotated = |number: usize| folder.path().join(format!("log.{number}"));
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let address = balancer.address;
                scope.spawn(move || {
                    let mut persistent = Client::connect(address);
                    for number in 0..REQUESTS {
                        let path = format!("/{client}/{number}");
                        assert_eq!(persistent.get(&path).status(), "200");
                    }
                });
            }
            for number in 0..5 {
                std::fs::rename(&log, rotated(number)).unwrap();
                balancer.signal(Signal::SIGUSR1);
                eventually(|| log.exists());
            }
        });
        // What is written last is in the new file, which the balancer has open.
        assert_eq!(Client::connect(balancer.address).get("/last").status(), "200", "{model}");
        let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap();
        eventually(|| read(&log).contains("\"GET /last HTTP/1.1\" 200 "));
        let all: String = (0..5).map(|number| read(&rotated(number))).chain([read(&log)]).collect();
        let mut requests: Vec<&str> = all
            .lines()
            .map(|line| line.split('"').nth(1).unwrap_or_else(|| panic!("{model}: a line was cut: {line}")))
            .collect();
        assert!(
            all.lines().all(|line| line.starts_with("127.0.0.1 - - [") && line.contains("\" 200 ")),
            "{model}"
        );
        requests.sort_unstable();
        requests.dedup();
        assert_eq!(
            (all.lines().count(), requests.len()),
            (CLIENTS * REQUESTS + 1, CLIENTS * REQUESTS + 1),
            "{model}"
        );
    });
}

#[test]
fn sigusr1_without_a_log_or_with_a_folder_that_is_gone_changes_nothing() {
    let backend = Server::backend("a", &[]);
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend.address], &[]);
        balancer.signal(Signal::SIGUSR1);
        assert_eq!(Client::connect(balancer.address).get("/").status(), "200", "{model}");
        let folder = tempfile::tempdir().unwrap();
        let (path, told) = (folder.path().join("logs"), folder.path().join("told"));
        std::fs::create_dir(&path).unwrap();
        let log = path.join("log");
        let options = ["--access-log", log.to_str().unwrap()];
        let script = format!("exec \"$@\" 2>{}", told.to_str().unwrap());
        let balancer = Server::balancer_in(&script, model, &[backend.address], &options);
        let moved = folder.path().join("moved");
        std::fs::rename(&path, &moved).unwrap();
        balancer.signal(Signal::SIGUSR1);
        eventually(|| std::fs::read_to_string(&told).unwrap().contains("send SIGUSR1 again"));
        assert_eq!(Client::connect(balancer.address).get("/").status(), "200", "{model}");
        eventually(|| std::fs::read_to_string(moved.join("log")).unwrap().contains("forwarded to "));
    });
}
