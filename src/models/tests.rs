//! What no client and no backend can provoke, so that no test from outside can: a panic in one connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use roundtable::proxy::{Config, Limits, Proxy};

use super::{MODELS, Server, listen};

/// Whoever forwards a request to this address next panics.
static SABOTAGED: Mutex<Option<SocketAddr>> = Mutex::new(None);

pub(super) fn panic_if_sabotaged(address: SocketAddr) {
    let mut sabotaged = SABOTAGED.lock().unwrap_or_else(PoisonError::into_inner);
    if *sabotaged == Some(address) {
        *sabotaged = None;
        drop(sabotaged);
        panic!("on purpose: a test wants to see what dies with this connection");
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A backend that answers every request on every connection.
fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(
                move || {
                    while !read_head(&mut stream).is_empty() && stream.write_all(OK).is_ok() {}
                },
            );
        }
    });
    address
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// The head of the answer; empty when the connection ends without one.
fn get(client: &mut TcpStream) -> String {
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    read_head(client)
}

#[test]
fn a_panic_in_one_connection_ends_that_connection_alone() {
    let backend = backend();
    for model in MODELS.iter().filter(|model| (model.available)().is_ok()) {
        let limits = Limits::default();
        let listener = listen(([127, 0, 0, 1], 0).into(), &limits, super::BACKLOG, false).unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config::round_robin(vec![backend], "localhost".into(), limits);
        let proxy = Arc::new(Proxy::new(config, Instant::now()).unwrap());
        // A model that has workers has only one to lose.
        let server = Arc::new(Server::new(listener, Arc::clone(&proxy), 1));
        thread::spawn(move || (model.serve)(server));
        let connect = || TcpStream::connect(address).unwrap();
        let (mut bystander, mut unlucky) = (connect(), connect());
        for round in 0..3 {
            assert!(get(&mut bystander).starts_with("HTTP/1.1 200 "), "{}: round {round}", model.name);
            *SABOTAGED.lock().unwrap_or_else(PoisonError::into_inner) = Some(backend);
            assert_eq!(get(&mut unlucky), "", "{}: round {round}", model.name);
            unlucky = connect();
        }
        assert!(get(&mut bystander).starts_with("HTTP/1.1 200 "), "{}", model.name);
        assert!(get(&mut connect()).starts_with("HTTP/1.1 200 "), "{}", model.name);
        let start = Instant::now();
        while proxy.in_flight() > 0 {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{}: an exchange is still counted",
                model.name
            );
            thread::yield_now();
        }
    }
}
