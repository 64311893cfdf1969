//! The floors: relays that parse nothing, so that everybody can see what the kernel alone costs.
//!
//! A floor makes the system calls that a balancer cannot do without, and does nothing beside: it is no proxy, and its only use is
//! to be measured beside the models (`run --peers floor`). What it takes for granted, because the harness sees to it: a client
//! sends the next request when it has the answer to the last; each request fits into one read; every backend answers every
//! request with as many bytes as it did the first time. So a client's bytes are read and thrown away, and the backend is
//! sent a request that stays the same; strict turns and kept connections to the backends are as in our models.
//! `epoll` holds the readiness way, `uring` the completion way; the table lists what there is.

mod epoll;
mod uring;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use roundtable::proxy::Limits;

use crate::models::{self, Unavailable};

/// How long a backend may take for its first answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest head that is understood.
const LONGEST_HEAD: usize = 16 * 1024;

/// One of them.
pub(crate) struct Floor {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    /// Whether it can relay on this machine.
    pub(crate) available: fn() -> Result<(), Unavailable>,
    /// Relays until it fails.
    pub(crate) serve: fn(TcpListener, FloorConfig) -> io::Result<()>,
}

/// All of them.
const FLOORS: &[Floor] = &[epoll::FLOOR, uring::FLOOR];

/// The one of that name.
pub(crate) fn find(name: &str) -> Option<&'static Floor> {
    FLOORS.iter().find(|floor| floor.name == name)
}

/// A listener with our models' settings.
pub(crate) fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    models::listen(address, &Limits::default(), backlog, false)
}

/// What a floor knows.
#[derive(Debug)]
pub(crate) struct FloorConfig {
    backends: Vec<Origin>,
    /// Whether a client's connection is closed after the answer.
    close: bool,
}

/// A backend, what it is sent and how long its answers are.
#[derive(Debug)]
struct Origin {
    address: SocketAddr,
    request: Vec<u8>,
    /// Head and body.
    answer_bytes: u64,
}

impl FloorConfig {
    /// Asks each of `backends` once.
    pub(crate) fn learn(backends: &[SocketAddr], close: bool) -> io::Result<Self> {
        let backends = backends.iter().map(|&address| Origin::learn(address)).collect::<io::Result<_>>()?;
        Ok(FloorConfig { backends, close })
    }
}

impl Origin {
    fn learn(address: SocketAddr) -> io::Result<Self> {
        let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes();
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&request)?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
            if head.len() > LONGEST_HEAD {
                return Err(io::Error::other("the head of its answer does not end"));
            }
        }
        let body = body_bytes(&head).ok_or_else(|| io::Error::other("its answer has no Content-Length"))?;
        Ok(Origin { address, request, answer_bytes: head.len() as u64 + body })
    }

    /// One more connection. Everybody waits for it: that is so until there are as many as are ever used at a time.
    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// The length in the head of a response.
fn body_bytes(head: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(head).ok()?;
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    });
    value?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use roundtable_harness::plan;

    use super::*;

    #[test]
    fn the_harness_knows_the_names_of_all_floors_and_no_other() {
        assert!(FLOORS.iter().map(|floor| floor.name).eq(plan::FLOORS));
    }

    #[test]
    fn the_length_of_an_answer_is_that_of_its_head_and_its_body() {
        assert_eq!(body_bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 17\r\nX: 1\r\n\r\n"), Some(17));
        assert_eq!(body_bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), None);
    }
}
