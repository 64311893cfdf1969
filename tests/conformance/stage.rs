//! A balancer between a scripted client and scripted backends, all of them in the hands of one test.
//!
//! Owns how bytes are delivered (whole, or one byte per write) and how a connection's end is told. The backends are
//! listeners that nobody serves: a test accepts each connection itself, so it knows which bytes came on which.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;

use crate::support::{PATIENCE, Server, read_head, with_one_idle_pool};

/// How bytes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Whole,
    ByteByByte,
}

pub const DELIVERIES: [Delivery; 2] = [Delivery::Whole, Delivery::ByteByByte];

impl Delivery {
    /// Sends `bytes`, as far as the other side takes them.
    pub fn send(self, mut stream: &TcpStream, bytes: &[u8]) {
        let most = match self {
            Delivery::Whole => bytes.len().max(1),
            Delivery::ByteByByte => 1,
        };
        for piece in bytes.chunks(most) {
            if stream.write_all(piece).is_err() {
                return;
            }
        }
    }
}

/// How a connection looks from one side after everything was read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Closed,
    Reset,
    /// Nothing came for longer than any test waits.
    Open,
}

/// Everything until the other side ends the connection, and how it does.
pub fn until_end(stream: &mut TcpStream) -> (Vec<u8>, End) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (bytes, End::Closed),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return (bytes, End::Open),
            Err(_) => return (bytes, End::Reset),
        }
    }
}

/// The next `length` bytes; fewer when the stream ends or stalls first.
pub fn next_bytes(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match stream.read(&mut bytes[filled..]) {
            Ok(count @ 1..) => filled += count,
            _ => break,
        }
    }
    bytes.truncate(filled);
    bytes
}

/// The `Date` of a response that has none is this long, with its line end.
const DATE_LENGTH: usize = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n".len();

/// What a client got without the first `Date` in it, so that all else can be compared byte for byte.
pub fn undated(bytes: &[u8]) -> Vec<u8> {
    let Some(at) = bytes.windows(8).position(|window| window == b"\r\nDate: ") else { return bytes.to_vec() };
    let (before, date) = bytes.split_at(at + 2);
    [before, &date[DATE_LENGTH.min(date.len())..]].concat()
}

/// The next bytes that a client gets of a response, `length` of them and its `Date`, without that.
pub fn next_relayed(client: &mut TcpStream, length: usize) -> Vec<u8> {
    undated(&next_bytes(client, length + DATE_LENGTH))
}

/// The head of an answer of the balancer's own, of which the body is read too, so that the connection can carry another
/// request.
pub fn next_own(client: &mut TcpStream) -> String {
    let head = read_head(client);
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
    let length = length.expect("the balancer's own answers have a length");
    assert_eq!(next_bytes(client, length).len(), length);
    assert!(head.contains("\r\nDate: "), "{head}");
    head
}

/// Whether nothing more comes, and the client itself has to end the connection.
pub fn is_left_open(client: &mut TcpStream) -> bool {
    // It may have been closed.
    let _ = client.shutdown(std::net::Shutdown::Write);
    until_end(client) == (Vec::new(), End::Closed)
}

/// Ends the connection with a reset.
pub fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// A balancer of one model and the listeners that it takes for backends. It keeps idle connections in one pool, so that it is
/// known which connection comes next.
pub struct Stage {
    pub balancer: Server,
    listeners: Vec<TcpListener>,
}

impl Stage {
    /// With one backend.
    pub fn new(model: &str, options: &[&str]) -> Self {
        Stage::with_backends(1, model, options)
    }

    pub fn with_backends(count: usize, model: &str, options: &[&str]) -> Self {
        let listeners: Vec<TcpListener> =
            (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses: Vec<SocketAddr> =
            listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        for listener in &listeners {
            // Linux: accepting waits no longer than reading does.
            SockRef::from(listener).set_read_timeout(Some(PATIENCE)).unwrap();
        }
        let options = [with_one_idle_pool(model), options].concat();
        Stage { balancer: Server::balancer(model, &addresses, &options), listeners }
    }

    /// With one backend, for the paths below `prefix` alone.
    pub fn with_route(model: &str, prefix: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        SockRef::from(&listener).set_read_timeout(Some(PATIENCE)).unwrap();
        let route = format!("{prefix}={}", listener.local_addr().unwrap());
        let balancer = Server::balancer(model, &[], &["--route", &route]);
        Stage { balancer, listeners: vec![listener] }
    }

    /// A new client.
    pub fn client(&self) -> TcpStream {
        prepared(TcpStream::connect(self.balancer.address).unwrap())
    }

    /// A new client that has sent this.
    pub fn client_sending(&self, bytes: impl AsRef<[u8]>, delivery: Delivery) -> TcpStream {
        let client = self.client();
        delivery.send(&client, bytes.as_ref());
        client
    }

    /// The next connection that the balancer opens to the only backend.
    pub fn backend(&self) -> TcpStream {
        self.backend_number(0)
    }

    /// The next connection that the balancer opens to that backend.
    pub fn backend_number(&self, number: usize) -> TcpStream {
        prepared(self.listeners[number].accept().expect("the balancer opens a connection to the backend").0)
    }

    /// Whether the balancer has opened a connection that was not accepted yet.
    pub fn is_asked(&self, number: usize) -> bool {
        let mut waiting = [PollFd::new(self.listeners[number].as_fd(), PollFlags::POLLIN)];
        poll(&mut waiting, PollTimeout::ZERO).unwrap() > 0
    }
}

fn prepared(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A response that ends by its length and leaves the connection open.
pub const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// What a client gets of it, but for the `Date`.
pub const OK_RELAYED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 roundtable\r\n\r\nok";

/// Asks once more and sees the request come to the backend on the connection `pooled`.
pub fn is_used_again(stage: &Stage, pooled: &mut TcpStream) -> bool {
    let mut client = stage.client_sending("GET /again HTTP/1.1\r\nHost: a\r\n\r\n", Delivery::Whole);
    if !read_head(pooled).starts_with("GET /again ") {
        return false;
    }
    Delivery::Whole.send(pooled, OK);
    next_relayed(&mut client, OK_RELAYED.len()) == OK_RELAYED.as_bytes()
}

/// Asks once more and sees the request come to the backend on a new connection, answered with what that one says.
pub fn is_replaced(stage: &Stage) -> bool {
    let mut client = stage.client_sending("GET /again HTTP/1.1\r\nHost: a\r\n\r\n", Delivery::Whole);
    let mut fresh = stage.backend();
    if !read_head(&mut fresh).starts_with("GET /again ") {
        return false;
    }
    // It is not kept, so that the next one is new again.
    Delivery::Whole.send(&fresh, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    next_relayed(&mut client, OK_RELAYED.len()) == OK_RELAYED.as_bytes()
}
