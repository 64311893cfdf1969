//! Requests with a body, and servers that answer before they have it.

use std::io::{Read, Write};
use std::net::TcpStream;

use roundtable_harness::load::{Failures, LoadConfig};

use crate::scripted::{OK, Scripted, drive, request};

/// More than the sockets of a connection hold.
const TOO_MUCH: usize = 32 << 20;
const TOO_LARGE: &str = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno";

/// Reads the body that `head` announces.
fn body(head: &str, stream: &mut TcpStream) -> Vec<u8> {
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    body
}

fn posting(server: &Scripted, data: Vec<u8>, keep_alive: bool) -> LoadConfig {
    let load = server.load(4, 2);
    LoadConfig { method: "POST".to_owned(), data: Some(data), keep_alive, ..load }
}

#[test]
fn each_request_carries_the_body_whole() {
    for data in [Vec::new(), b"a=1&b=2".to_vec(), vec![b'x'; TOO_MUCH]] {
        let expected = data.clone();
        let server = Scripted::start(move |_, mut stream| {
            while let Some(head) = request(&mut stream) {
                let right = body(&head, &mut stream) == expected;
                stream.write_all(if right { OK } else { TOO_LARGE }.as_bytes()).unwrap();
            }
        });
        for keep_alive in [true, false] {
            let report = drive(posting(&server, data.clone(), keep_alive));
            assert!(report.is_clean(), "{} bytes: {report:?}", data.len());
            assert_eq!(report.connections_opened, if keep_alive { 2 } else { 4 });
        }
    }
}

#[test]
fn an_answer_that_comes_before_the_body_is_sent_counts_and_ends_the_connection() {
    // It neither reads on nor closes.
    let server = Scripted::start(|_, mut stream| {
        if request(&mut stream).is_some() {
            stream.write_all(TOO_LARGE.as_bytes()).unwrap();
            while std::net::TcpStream::peek(&stream, &mut [0]).is_ok_and(|bytes| bytes > 0) {
                if stream.take_error().unwrap().is_some() {
                    return;
                }
                std::thread::yield_now();
            }
        }
    });
    for keep_alive in [true, false] {
        let report = drive(posting(&server, vec![b'x'; TOO_MUCH], keep_alive));
        assert_eq!((report.completed, report.non_2xx, report.failed.total()), (4, 4, 0), "{report:?}");
        assert_eq!((report.connections_opened, report.keep_alive_requests), (4, 0));
    }
}

#[test]
fn an_answer_is_read_although_the_server_resets_the_rest_of_the_request() {
    let server = Scripted::start(|_, mut stream| {
        if request(&mut stream).is_some() {
            // With the body unread, closing resets.
            stream.write_all(TOO_LARGE.as_bytes()).unwrap();
        }
    });
    let report = drive(posting(&server, vec![b'x'; TOO_MUCH], true));
    assert_eq!((report.completed, report.non_2xx, report.failed.total()), (4, 4, 0), "{report:?}");
}

#[test]
fn an_answer_that_a_reset_may_have_cut_is_a_receive_failure() {
    let server = Scripted::start(|_, mut stream| {
        if request(&mut stream).is_some() {
            // Its body ends with the connection, which ends with a reset.
            stream.write_all(b"HTTP/1.1 413 Content Too Large\r\n\r\nno").unwrap();
        }
    });
    let report = drive(posting(&server, vec![b'x'; TOO_MUCH], true));
    assert_eq!(report.failed, Failures { receive: 4, ..Failures::default() });
}
