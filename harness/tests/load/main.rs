//! The load generator against servers that do what they are told, right or wrong, over real sockets.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail as the test does")]

mod bodies;
mod endings;
mod open_loop;
mod scripted;
mod threads;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roundtable_harness::load::latency;
use roundtable_harness::load::{Failures, Load, LoadConfig, LoadError, LoadReport};
use socket2::SockRef;

use scripted::{OK, OK_CLOSE, Scripted, config, drive, request};

fn gives_up(config: LoadConfig) -> (ErrorKind, u64) {
    let mut load = Load::prepare(config).unwrap();
    match load.measure() {
        Err(LoadError::GaveUp { reason, completed, .. }) => (reason.kind(), completed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_keep_alive_each_request_has_a_connection_of_its_own() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = heads.clone();
    let server = Scripted::start(move |_, mut stream| {
        if let Some(head) = request(&mut stream) {
            seen.lock().unwrap().push(head);
            stream.write_all(OK.as_bytes()).unwrap();
        }
    });
    let report = drive(server.load(40, 4));
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.completed, report.connections_opened, report.keep_alive_requests), (40, 40, 0));
    assert_eq!(report.received_bytes, 40 * OK.len() as u64);
    assert_eq!((report.body_bytes, report.document_bytes), (200, 5));
    assert_eq!(report.per_backend, BTreeMap::from([("b".to_owned(), 40)]));
    assert_eq!(report.server_software.as_deref(), Some("scripted"));
    assert_eq!(latency::decode(&report.latency_ns_hdr).unwrap().len(), 40);
    assert_eq!(report.closed_by_client, 0);
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 40);
    let host = format!("Host: {}\r\n", server.address);
    let right = |head: &String| head.contains("Connection: close\r\n") && head.contains(&host);
    assert!(heads.iter().all(right), "{heads:?}");
}

#[test]
fn with_keep_alive_each_slot_keeps_its_connection() {
    let server = Scripted::persistent(OK);
    let report = drive(LoadConfig { keep_alive: true, ..server.load(100, 4) });
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.connections_opened, report.keep_alive_requests), (4, 100));
}

#[test]
fn the_warm_up_is_not_counted_and_its_connections_are_kept() {
    let server = Scripted::persistent(OK);
    let report = drive(LoadConfig { keep_alive: true, warmup: 20, ..server.load(30, 3) });
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.completed, report.connections_opened, report.warmup_requests), (30, 0, 20));
    assert_eq!(server.accepted.load(Ordering::SeqCst), 3);
    assert_eq!(latency::decode(&report.latency_ns_hdr).unwrap().len(), 30);
}

#[test]
fn a_failure_in_the_warm_up_is_told_apart() {
    let server = Scripted::closing(|i| if i == 0 { OK[..20].to_owned() } else { OK.to_owned() });
    let report = drive(LoadConfig { warmup: 3, ..server.load(10, 1) });
    assert_eq!((report.completed, report.warmup_failed, report.is_clean()), (10, 1, false));
}

#[test]
fn a_share_of_the_requests_repeats_and_the_others_were_never_asked_before() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let server = Scripted::start(move |_, mut stream| {
        while let Some(head) = request(&mut stream) {
            let target = head.split(' ').nth(1).unwrap().to_owned();
            let is_plain = target == "/";
            seen.lock().unwrap().push(target);
            let status = if is_plain { "a, b; hit; ttl=5" } else { "b; fwd=uri-miss; collapsed=?0; stored" };
            let answer = OK.replace("Server", &format!("Cache-Status: {status}\r\nServer"));
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    for keep_alive in [true, false] {
        for percent in [0, 50, 90, 100] {
            asked.lock().unwrap().clear();
            let config =
                LoadConfig { keep_alive, warmup: 10, hit_ratio: Some(percent), ..server.load(200, 3) };
            let report = drive(config);
            assert!(report.is_clean(), "{report:?}");
            let repeated = 2 * u64::from(percent);
            assert_eq!(report.from_cache, repeated);
            // What a cache gives is no backend's.
            let of_backend = report.per_backend.get("b").copied().unwrap_or(0);
            assert_eq!(of_backend, 200 - repeated);
            let asked = asked.lock().unwrap();
            let mut others: Vec<_> = asked.iter().filter(|target| *target != "/").collect();
            let count = others.len();
            others.sort();
            others.dedup();
            assert_eq!(others.len(), count, "each of the others is a URL of its own");
            assert!(asked.len() == 210 && count as u64 >= 200 - repeated, "{count}");
        }
    }
}

#[test]
fn several_urls_take_strict_turns() {
    let servers = [Scripted::persistent(OK), Scripted::persistent(OK), Scripted::persistent(OK)];
    for keep_alive in [true, false] {
        let before: Vec<_> = servers.iter().map(|server| server.accepted.load(Ordering::SeqCst)).collect();
        let urls = servers.iter().map(Scripted::url).collect();
        let report = drive(LoadConfig { keep_alive, ..config(urls, 30, 2) });
        assert!(report.is_clean(), "{report:?}");
        for (server, before) in servers.iter().zip(before) {
            let opened = server.accepted.load(Ordering::SeqCst) - before;
            assert!(if keep_alive { (1..=2).contains(&opened) } else { opened == 10 }, "{opened}");
        }
    }
}

#[test]
fn each_urls_bodies_are_compared_with_its_own_first_one() {
    let other = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbye";
    let servers = [Scripted::persistent(OK), Scripted::persistent(other)];
    let urls: Vec<_> = servers.iter().map(Scripted::url).collect();
    let report = drive(LoadConfig { keep_alive: true, ..config(urls.clone(), 20, 2) });
    assert!(report.is_clean(), "{report:?}");
    let expected_body = Some(b"hello".to_vec());
    let report = drive(LoadConfig { keep_alive: true, expected_body, ..config(urls, 20, 2) });
    assert_eq!(report.failed, Failures { length: 10, ..Failures::default() });
}

#[test]
fn a_response_that_is_cut_is_a_receive_failure_and_the_slot_goes_on() {
    let server =
        Scripted::closing(|i| if i % 5 == 0 { OK[..OK.len() - 1].to_owned() } else { OK.to_owned() });
    let report = drive(server.load(50, 5));
    assert_eq!(report.failed, Failures { receive: 10, ..Failures::default() });
    assert_eq!((report.completed, report.is_clean()), (40, false));
    assert_eq!(report.per_backend["b"], 40);
}

#[test]
fn a_reset_is_a_receive_failure() {
    let server = Scripted::start(|number, mut stream| {
        if request(&mut stream).is_some() {
            if number % 2 == 0 {
                SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                stream.write_all(&OK.as_bytes()[..30]).unwrap();
            } else {
                stream.write_all(OK.as_bytes()).unwrap();
            }
        }
    });
    let report = drive(server.load(20, 1));
    assert_eq!(report.failed, Failures { receive: 10, ..Failures::default() });
}

#[test]
fn wrong_bodies_are_told_apart_by_length_and_content() {
    let server = Scripted::closing(|i| match i % 4 {
        1 => OK.replace("hello", "hellO"),
        2 => OK.replace("5\r\n\r\nhello", "4\r\n\r\nhell"),
        3 => OK.replace("5\r\n\r\nhello", "7\r\n\r\nhello!!"),
        _ => OK.to_owned(),
    });
    let report = drive(server.load(40, 1));
    assert_eq!(report.failed, Failures { length: 20, content: 10, ..Failures::default() });
    let expected_body = Some(b"other".to_vec());
    let report = drive(LoadConfig { expected_body, ..Scripted::persistent(OK).load(7, 2) });
    assert_eq!(report.failed, Failures { content: 7, ..Failures::default() });
}

#[test]
fn bytes_after_a_response_are_a_length_failure() {
    for keep_alive in [false, true] {
        let server = Scripted::closing(|_| format!("{OK}!"));
        let report = drive(LoadConfig { keep_alive, ..server.load(10, 2) });
        assert_eq!(report.failed, Failures { length: 10, ..Failures::default() });
    }
}

#[test]
fn bytes_long_after_a_response_are_a_length_failure_too() {
    let server = Scripted::start(|_, mut stream| {
        if request(&mut stream).is_some() {
            stream.write_all(OK.as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(5));
            drop(stream.write_all(b"!"));
        }
    });
    let report = drive(server.load(3, 1));
    assert_eq!(report.failed, Failures { length: 3, ..Failures::default() });
    assert!(latency::decode(&report.latency_ns_hdr).unwrap().is_empty());
    assert_eq!(report.per_backend, BTreeMap::new());
}

#[test]
fn a_status_that_is_not_2xx_is_counted_apart_and_its_body_not_compared() {
    let server = Scripted::closing(|i| match i % 2 {
        0 => OK.to_owned(),
        _ => "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno".to_owned(),
    });
    let report = drive(server.load(20, 2));
    assert_eq!((report.completed, report.non_2xx, report.failed.total()), (20, 10, 0));
    assert!(!report.is_clean());
}

#[test]
fn every_framing_is_read_to_its_end() {
    for answer in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\nT: u\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ] {
        let persistent = Scripted::persistent(answer);
        let report = drive(LoadConfig { keep_alive: true, ..persistent.load(20, 2) });
        assert!(report.is_clean(), "{answer:?}: {report:?}");
        let report = drive(Scripted::closing(|_| answer.to_owned()).load(20, 2));
        assert!(report.is_clean(), "{answer:?}: {report:?}");
    }
    let server = Scripted::closing(|_| "HTTP/1.0 200 OK\r\n\r\nhello".to_owned());
    for keep_alive in [true, false] {
        let expected_body = Some(b"hello".to_vec());
        let report = drive(LoadConfig { keep_alive, expected_body, ..server.load(20, 2) });
        assert!(report.is_clean(), "{report:?}");
        assert_eq!((report.connections_opened, report.keep_alive_requests), (20, 0));
    }
}

#[test]
fn head_is_answered_without_a_body() {
    let server = Scripted::persistent("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    let method = "HEAD".to_owned();
    let report = drive(LoadConfig { method, keep_alive: true, ..server.load(20, 2) });
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.body_bytes, 0);
}

#[test]
fn a_response_that_comes_byte_by_byte_is_read() {
    let server = Scripted::start(|_, mut stream| {
        while request(&mut stream).is_some() {
            for byte in OK.bytes() {
                stream.write_all(&[byte]).unwrap();
                std::thread::yield_now();
            }
        }
    });
    let report = drive(LoadConfig { keep_alive: true, ..server.load(5, 1) });
    assert!(report.is_clean(), "{report:?}");
}

#[test]
fn a_long_body_is_compared_whole() {
    const LONG: usize = 6 << 20;
    for break_at in [None, Some(LONG - 1)] {
        let server = Scripted::start(move |number, mut stream| {
            if request(&mut stream).is_some() {
                let mut body = vec![b'x'; LONG];
                if let Some(at) = break_at
                    && number == 1
                {
                    body[at] = b'y';
                }
                stream
                    .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n").as_bytes())
                    .unwrap();
                stream.write_all(&body).unwrap();
            }
        });
        let report = drive(server.load(3, 1));
        let content = u64::from(break_at.is_some());
        assert_eq!(report.failed, Failures { content, ..Failures::default() });
        assert_eq!(report.body_bytes, 3 * LONG as u64);
    }
}

#[test]
fn what_is_no_response_is_counted_as_malformed() {
    let server = Scripted::closing(|_| "SSH-2.0-nonsense\r\n\r\n".to_owned());
    let report = drive(server.load(10, 2));
    assert_eq!(report.failed, Failures { malformed: 10, ..Failures::default() });
}

#[test]
fn a_server_that_ends_lines_with_bare_line_feeds_is_malformed_and_not_timed_out() {
    for answer in [
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\n\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
    ] {
        // It leaves the connection open, and would be waited for until the time is out.
        let server = Scripted::persistent(answer);
        for keep_alive in [true, false] {
            let mut load = Load::prepare(LoadConfig { keep_alive, ..server.load(6, 2) }).unwrap();
            let report = load.measure().unwrap();
            assert_eq!(report.failed, Failures { malformed: 6, ..Failures::default() }, "{answer:?}");
            assert!(load.summary(&report).contains("First malformed:        "), "{answer:?}");
        }
    }
}

#[test]
fn a_server_that_closes_each_persistent_connection_and_says_so_causes_no_failure() {
    let server = Scripted::closing(|_| OK_CLOSE.to_owned());
    let report = drive(LoadConfig { keep_alive: true, ..server.load(30, 3) });
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.connections_opened, report.keep_alive_requests), (30, 0));
}

#[test]
fn an_idle_connection_that_the_server_closes_is_opened_again() {
    let closes = Scripted::start(|_, mut stream| {
        if request(&mut stream).is_some() {
            stream.write_all(OK.as_bytes()).unwrap();
            stream.shutdown(Shutdown::Both).unwrap();
        }
    });
    let slow = Scripted::start(|_, mut stream| {
        while request(&mut stream).is_some() {
            std::thread::sleep(Duration::from_millis(50));
            stream.write_all(OK.as_bytes()).unwrap();
        }
    });
    // While a slot waits for the slow server, its other connection is idle, and its end is seen.
    let report = drive(LoadConfig { keep_alive: true, ..config(vec![closes.url(), slow.url()], 8, 1) });
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.connections_opened, 5);
}

#[test]
fn a_server_that_does_not_close_is_closed_upon() {
    let server = Scripted::persistent(OK);
    let report = drive(server.load(4, 4));
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.closed_by_client, 4);
    assert!(report.close_waited_ns >= 4 * 100_000_000, "{report:?}");
}

#[test]
fn a_response_that_does_not_come_in_time_is_a_timeout_and_the_slot_goes_on() {
    let server = Scripted::start(|number, mut stream| {
        if request(&mut stream).is_some() {
            if number % 2 == 0 {
                // It ends when the client has had enough.
                assert_eq!(request(&mut stream), None);
            } else {
                stream.write_all(OK.as_bytes()).unwrap();
            }
        }
    });
    let timeout = Duration::from_millis(100);
    let report = drive(LoadConfig { timeout, ..server.load(8, 1) });
    assert_eq!(report.failed, Failures { timeout: 4, ..Failures::default() });
}

#[test]
fn a_load_at_a_port_where_nothing_listens_is_given_up() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for keep_alive in [true, false] {
        for requests in [1, 10, 1_000_000_000] {
            let load = config(vec![format!("http://{address}/")], requests, 1);
            assert_eq!(gives_up(LoadConfig { keep_alive, ..load }), (ErrorKind::ConnectionRefused, 0));
        }
    }
}

#[test]
fn a_few_failed_connects_are_failures_like_others() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Scripted::closing(|_| OK.to_owned());
    let report = drive(config(vec![server.url(), format!("http://{address}/")], 40, 1));
    assert_eq!(report.failed, Failures { connect: 20, ..Failures::default() });
}

#[test]
fn a_load_at_a_server_that_never_answers_is_given_up() {
    let server = Scripted::start(|_, mut stream| while request(&mut stream).is_some() {});
    let timeout = Duration::from_millis(5);
    let load = LoadConfig { timeout, ..server.load(1_000_000_000, 4) };
    assert_eq!(gives_up(load), (ErrorKind::TimedOut, 0));
}

#[test]
fn the_summary_has_the_lines_that_a_user_of_ab_knows() {
    let server = Scripted::closing(|i| if i == 3 { OK.replace("hello", "hellO") } else { OK.to_owned() });
    let mut load = Load::prepare(server.load(20, 2)).unwrap();
    let report = load.measure().unwrap();
    let summary = load.summary(&report);
    for line in [
        "Server Software:        scripted\n",
        "Server Hostname:        127.0.0.1\n",
        "Document Path:          /\n",
        "Document Length:        5 bytes\n",
        "Concurrency Level:      2\n",
        "Complete requests:      19\n",
        "Failed requests:        1\n",
        "   (Connect:            0, Receive: 0, Length: 0, Content: 1, Malformed: 0, Timeout: 0)\n",
        "HTML transferred:       100 bytes\n",
        "Backend:                b  19 requests\n",
        "(mean, across all concurrent requests)\n",
        "Percentage of the requests served within a certain time (ms)\n 100%  ",
        "(longest request)\n",
        "(coordinated omission)",
    ] {
        assert!(summary.contains(line), "{line:?} is missing in\n{summary}");
    }
}

#[test]
fn a_report_survives_its_json_form() {
    let report = drive(Scripted::closing(|_| OK.to_owned()).load(5, 1));
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<LoadReport>(&text).unwrap(), report);
}
