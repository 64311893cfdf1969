//! The backend as a client meets it: over real sockets, at a port of its own.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use roundtable_backends::{
    BackendError, Config, Content, MAX_BODY_BYTES, MAX_HEAD_BYTES, Server, ServiceTime, Steering, Stopper,
    body,
};

struct Running {
    address: SocketAddr,
    stopper: Stopper,
    steering: Steering,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(body_bytes: usize, delay: Duration) -> Self {
        let config = Config {
            name: Some("one".into()),
            content: Content::Body { bytes: body_bytes },
            delay: ServiceTime::Fixed(delay),
            ..Config::default()
        };
        let server = Server::bind("127.0.0.1:0", &config).unwrap();
        let (address, stopper, steering) = (server.address(), server.stopper(), server.steering());
        let thread = std::thread::spawn(move || server.run().unwrap());
        Running { address, stopper, steering, thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// One head, byte by byte, so that nothing of what follows is taken.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn answer(stream: &mut TcpStream, body_bytes: usize) -> (String, Vec<u8>) {
    let head = head(stream);
    let mut body = vec![0; body_bytes];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

fn rest(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_persistent_connection_answers_again_and_again() {
    let server = Running::start(1000, Duration::ZERO);
    let mut stream = server.connect();
    for _ in 0..100 {
        stream.write_all(b"GET /any HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let (head, served) = answer(&mut stream, 1000);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\nServer: roundtable-backend/"), "{head}");
        assert!(head.contains("\r\nX-Backend: one\r\n"), "{head}");
        assert!(head.contains("\r\nContent-Length: 1000\r\n"), "{head}");
        assert!(!head.contains("Connection"), "{head}");
        assert_eq!(served, body(1000));
    }
}

#[test]
fn a_connection_that_asks_to_close_is_closed_after_the_answer() {
    let server = Running::start(10, Duration::ZERO);
    for request in ["GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"] {
        let mut stream = server.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let text = rest(&mut stream);
        assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
        assert!(text.as_bytes().ends_with(&body(10)), "{text}");
    }
}

#[test]
fn a_client_that_closes_its_half_is_answered_first() {
    let server = Running::start(10, Duration::ZERO);
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(rest(&mut stream).as_bytes().ends_with(&body(10)));
}

#[test]
fn pipelined_requests_are_answered_in_order_and_whole() {
    let server = Running::start(100_000, Duration::ZERO);
    let mut stream = server.connect();
    let mut writer = stream.try_clone().unwrap();
    let requests = "GET / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(200);
    let sender = std::thread::spawn(move || writer.write_all(requests.as_bytes()).unwrap());
    let expected = body(100_000);
    for _ in 0..200 {
        assert!(answer(&mut stream, 100_000).1 == expected);
        assert!(head(&mut stream).contains("Content-Length: 100000\r\n"));
    }
    sender.join().unwrap();
}

#[test]
fn a_request_that_comes_byte_by_byte_is_answered() {
    let server = Running::start(10, Duration::ZERO);
    let mut stream = server.connect();
    stream.set_nodelay(true).unwrap();
    for byte in b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" {
        stream.write_all(&[*byte]).unwrap();
    }
    assert_eq!(answer(&mut stream, 10).1, body(10));
}

#[test]
fn a_client_that_waits_to_continue_is_told_to() {
    let server = Running::start(10, Duration::ZERO);
    let mut stream = server.connect();
    stream
        .write_all(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        .unwrap();
    assert_eq!(head(&mut stream), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").unwrap();
    assert_eq!(answer(&mut stream, 10).1, body(10));
}

#[test]
fn a_refusal_reaches_a_client_that_goes_on_sending() {
    let server = Running::start(10, Duration::ZERO);
    let mut stream = server.connect();
    let mut flood = vec![b'x'; 20 * MAX_HEAD_BYTES];
    flood[..5].copy_from_slice(b"GET /");
    stream.write_all(&flood).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(rest(&mut stream).starts_with("HTTP/1.1 431 "));

    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nno colon\r\n\r\n").unwrap();
    stream.write_all(&vec![b'x'; 100_000]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(rest(&mut stream).starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_slow_reader_of_a_long_body_gets_it_whole_and_holds_nobody_up() {
    const LONG: usize = 50 << 20;
    let server = Running::start(LONG, Duration::ZERO);
    let mut slow = server.connect();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.0\r\n\r\n").unwrap();
    for _ in 0..5 {
        let mut other = server.connect();
        other.write_all(b"HEAD / HTTP/1.0\r\n\r\n").unwrap();
        assert!(rest(&mut other).starts_with("HTTP/1.1 200 OK\r\n"));
    }
    assert!(answer(&mut slow, LONG).1 == body(LONG));
    assert!(rest(&mut slow).contains("Content-Length: 52428800\r\n"));
}

#[test]
fn a_response_leaves_no_earlier_than_its_delay() {
    let delay = Duration::from_millis(50);
    let server = Running::start(10, delay);
    let begin = Instant::now();
    let mut streams: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    }
    for stream in &mut streams {
        assert!(rest(stream).starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(begin.elapsed() >= delay);
    }
}

#[test]
fn a_delayed_response_holds_nobody_up() {
    let server = Running::start(10, Duration::from_secs(3600));
    let mut waiting = server.connect();
    waiting.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut refused = server.connect();
    refused.write_all(b"nonsense\r\n\r\n").unwrap();
    assert!(rest(&mut refused).starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_client_that_leaves_during_its_delay_harms_nobody() {
    let server = Running::start(10, Duration::from_millis(50));
    for _ in 0..20 {
        server.connect().write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    }
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert!(rest(&mut stream).starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_server_that_refuses_ends_what_it_has_and_accepts_again_at_the_same_address() {
    let server = Running::start(10, Duration::ZERO);
    let (mut idle, mut busy) = (server.connect(), server.connect());
    for stream in [&mut idle, &mut busy] {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        answer(stream, 10);
    }
    busy.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    // Answered after it, so that the half of a request has been read.
    idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    answer(&mut idle, 10);
    server.steering.refuse();
    assert_eq!(rest(&mut idle), "");
    let refused = TcpStream::connect(server.address).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    busy.write_all(b"Host: a\r\n\r\n").unwrap();
    assert!(rest(&mut busy).contains("Connection: close\r\n"));
    server.steering.accept();
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(!answer(&mut stream, 10).0.contains("Connection: close"));
}

#[test]
fn a_delay_is_set_and_taken_back_while_the_server_runs() {
    let server = Running::start(10, Duration::ZERO);
    let delay = Duration::from_secs(3600);
    server.steering.delay(delay);
    let mut waiting = server.connect();
    waiting.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    server.steering.delay(Duration::ZERO);
    let mut prompt = server.connect();
    prompt.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert!(rest(&mut prompt).starts_with("HTTP/1.1 200 OK\r\n"));
    server.steering.delay(Duration::from_millis(20));
    let begin = Instant::now();
    let mut late = server.connect();
    late.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert!(rest(&mut late).starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(begin.elapsed() >= Duration::from_millis(20));
}

#[test]
fn many_connections_at_once_are_all_answered() {
    let server = Running::start(10, Duration::ZERO);
    let mut streams: Vec<_> = (0..300).map(|_| server.connect()).collect();
    for _ in 0..3 {
        for stream in &mut streams {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        }
        for stream in &mut streams {
            assert_eq!(answer(stream, 10).1, body(10));
        }
    }
}

#[test]
fn what_cannot_be_served_is_refused_with_its_remedy() {
    let taken = Running::start(10, Duration::ZERO);
    let config = Config::default();
    let error = Server::bind(&taken.address.to_string(), &config).unwrap_err();
    assert!(error.to_string().ends_with("choose another port, or stop the process that has this one"));
    for address in ["nonsense", "127.0.0.1:99999", "no.such.host.invalid:80", ""] {
        let error = Server::bind(address, &config).unwrap_err();
        assert!(matches!(error, BackendError::Unresolvable { .. }), "{address}: {error}");
    }
    let large = Config { content: Content::Body { bytes: MAX_BODY_BYTES + 1 }, ..Config::default() };
    assert!(matches!(Server::bind("127.0.0.1:0", &large), Err(BackendError::BodyTooLarge { .. })));
    let late = Config { delay: ServiceTime::Fixed(Duration::MAX), ..Config::default() };
    assert!(matches!(Server::bind("127.0.0.1:0", &late), Err(BackendError::DelayTooLong { .. })));
    for name in ["", "a\r\nb", "é"] {
        let named = Config { name: Some(name.into()), ..Config::default() };
        assert!(matches!(Server::bind("127.0.0.1:0", &named), Err(BackendError::Name { .. })), "{name:?}");
    }
}
