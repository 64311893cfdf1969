//! Timeouts mean the same in every model, whatever progress there was, and silent peers hold up nobody.
//!
//! Nothing here asserts a duration. What must come first is compared with something else that takes a known time by the
//! same clock: a *marker*, a connection that says nothing and is closed by the balancer at its header timeout.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::stage::{Stage, next_own, until_end};
use crate::support::{Client, PATIENCE, Server, for_every_model, raw_backend, read_head};

/// A connection that says nothing.
struct Marker(TcpStream);

impl Marker {
    fn new(balancer: SocketAddr) -> Self {
        Marker(TcpStream::connect(balancer).unwrap())
    }

    /// Returns when the balancer has closed it.
    fn wait(mut self) {
        assert!(self.0.read(&mut [0]).is_ok_and(|count| count == 0), "it is closed without an answer");
    }

    /// Whether the balancer has not closed it yet.
    fn is_open(&mut self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        matches!(self.0.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

/// Tells when everything that can be written to this connection was, or it has ended.
fn write_to_the_end(mut stream: TcpStream, length: usize) -> Receiver<()> {
    let (ended, end) = channel();
    thread::spawn(move || {
        // In small pieces: a hundred megabytes for each model would take a loaded machine seconds to fill.
        let piece = [b'x'; 65536];
        let mut left = length;
        while left > 0 && stream.write_all(&piece[..left.min(piece.len())]).is_ok() {
            left = left.saturating_sub(piece.len());
        }
        ended.send(())
    });
    end
}

#[test]
fn a_client_that_stops_reading_is_left_at_the_write_timeout_whatever_it_took_before() {
    for_every_model(|model| {
        let stage = Stage::new(model, &["--write-timeout", "4s", "--header-timeout", "7s"]);
        let client = stage.client_sending("GET / HTTP/1.1\r\nHost: a\r\n\r\n", crate::stage::Delivery::Whole);
        let mut backend = stage.backend();
        read_head(&mut backend);
        backend.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n").unwrap();
        let marker = Marker::new(stage.balancer.address);
        let end = write_to_the_end(backend, 100_000_000);
        marker.wait();
        assert!(end.try_recv().is_ok(), "{model}: the response is still being sent");
        drop(client);
    });
}

#[test]
fn a_backend_that_stops_reading_is_answered_for_at_the_backend_timeout_whatever_it_took_before() {
    for_every_model(|model| {
        let stage = Stage::new(model, &["--backend-timeout", "4s", "--header-timeout", "7s"]);
        let mut client = stage.client();
        client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n").unwrap();
        let marker = Marker::new(stage.balancer.address);
        let end = write_to_the_end(client.try_clone().unwrap(), 100_000_000);
        let backend = stage.backend();
        marker.wait();
        assert!(end.try_recv().is_ok(), "{model}: the upload still goes on");
        let (answer, _) = until_end(&mut client);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 504 "), "{model}");
        drop(backend);
    });
}

/// Writes a byte at a time, until the other side has ended the connection, or for as long as any test waits; what it has
/// said by then.
fn drip(stream: &mut TcpStream, pause: Duration) -> Vec<u8> {
    let mut said = Vec::new();
    let mut buffer = [0; 1024];
    stream.set_nonblocking(true).unwrap();
    let start = Instant::now();
    loop {
        let _ = stream.write(b"x");
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => said.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => return said,
        }
        if start.elapsed() > PATIENCE {
            return said;
        }
        thread::sleep(pause);
    }
}

#[test]
fn an_upload_that_drips_below_the_least_rate_is_408_and_frees_its_backend() {
    for_every_model(|model| {
        let stage = Stage::new(model, &["--body-timeout", "500ms"]);
        let mut client = stage.client();
        let begin =
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n{}", "u".repeat(20_000));
        client.write_all(begin.as_bytes()).unwrap();
        let mut backend = stage.backend();
        thread::spawn(move || until_end(&mut backend));
        // The next byte always comes well within the timeout.
        let said = drip(&mut client, Duration::from_millis(50));
        assert!(said.starts_with(b"HTTP/1.1 408 "), "{model}: {}", String::from_utf8_lossy(&said));
    });
}

#[test]
fn a_response_head_that_drips_is_504_at_a_total_deadline() {
    for_every_model(|model| {
        let stage = Stage::new(model, &["--backend-timeout", "500ms"]);
        let mut client =
            stage.client_sending("GET / HTTP/1.1\r\nHost: a\r\n\r\n", crate::stage::Delivery::Whole);
        let mut backend = stage.backend();
        read_head(&mut backend);
        backend.write_all(b"HTTP/1.1 200 OK\r\nX: ").unwrap();
        drip(&mut backend, Duration::from_millis(50));
        let answer = next_own(&mut client);
        assert!(answer.starts_with("HTTP/1.1 504 "), "{model}: {answer}");
    });
}

#[test]
fn hundreds_of_silent_peers_hold_up_nobody() {
    let silent = raw_backend(|mut stream| {
        // The second head never comes.
        read_head(&mut stream);
        read_head(&mut stream);
    });
    let fast = Server::backend("fast", &[]);
    let routed = format!("/silent/={silent}");
    for_every_model(|model| {
        let options = ["--route", &routed, "--header-timeout", "15s", "--body-timeout", "1h"];
        let balancer = Server::balancer(model, &[fast.address], &options);
        let requests = [
            "GET /silent/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
            "",
        ];
        let _silent: Vec<Client> = (0..600)
            .map(|number| {
                let mut client = Client::connect(balancer.address);
                client.send(requests[number % requests.len()]);
                client
            })
            .collect();
        // Long enough for looks and deadlines to come round.
        thread::sleep(Duration::from_millis(600));
        let mut marker = Marker::new(balancer.address);
        for _ in 0..100 {
            assert_eq!(Client::connect(balancer.address).get("/").status(), "200", "{model}");
        }
        assert!(marker.is_open(), "{model}: a hundred requests took longer than the header timeout");
    });
}
