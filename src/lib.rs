//! roundtable's core: one round-robin HTTP/1.1 load-balancing reverse proxy, without I/O.
//!
//! In scope: HTTP/1.0 and 1.1 on both sides, persistent connections, bodies of every framing in bounded memory,
//! hop-by-hop fields, routes, turns, failover, retries, limits and timeouts. Out of scope: sockets, clocks, threads — a
//! *driver* has those, and the concurrency models of the `roundtable` binary are such drivers.
//!
//! Deliberate limits: bytes go one way at a time (an answer that comes during an upload is noticed within half a second, and
//! ends it; no answer is relayed while its request goes on); CONNECT and Upgrade are refused or ignored, never tunnelled; TLS is somebody else's.
//!
//! # A driver
//!
//! [`proxy::Session`] names one operation at a time and takes its outcome; the buffer travels along and comes
//! back. This is a whole driver for blocking sockets, without timeouts:
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::{Shutdown, TcpListener, TcpStream};
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use roundtable::proxy::{Config, Done, Limits, Op, Peer, Proxy, Session};
//!
//! fn serve(proxy: Arc<Proxy>, mut client: TcpStream) -> std::io::Result<()> {
//!     let mut backend: Option<TcpStream> = None;
//!     let (mut session, mut op) = Session::start(proxy.clone(), client.peer_addr()?, Instant::now());
//!     loop {
//!         let done = match op {
//!             Op::Connect { backend: id, .. } => Done::Connected(TcpStream::connect(proxy.address(id)).map(|stream| {
//!                 backend = Some(stream);
//!                 false
//!             })),
//!             Op::Read(peer, mut buf) => {
//!                 let socket = if peer == Peer::Client { &mut client } else { backend.as_mut().unwrap() };
//!                 let outcome = socket.read(buf.spare_mut());
//!                 Done::Transferred(outcome, buf)
//!             }
//!             Op::Write(peer, buf) => {
//!                 let socket = if peer == Peer::Client { &mut client } else { backend.as_mut().unwrap() };
//!                 let outcome = socket.write(buf.window());
//!                 Done::Transferred(outcome, buf)
//!             }
//!             Op::Release { .. } | Op::Discard => {
//!                 backend = None;
//!                 Done::Complete
//!             }
//!             Op::Look => Done::Looked { client_is_gone: false, backend_has_spoken: false },
//!             Op::HalfClose => {
//!                 client.shutdown(Shutdown::Write)?;
//!                 Done::Complete
//!             }
//!             Op::Finish(_) => return Ok(()),
//!         };
//!         op = session.step(done, Instant::now());
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let origin = TcpListener::bind("127.0.0.1:0")?;
//! let config = Config::round_robin(vec![origin.local_addr()?], "localhost".to_owned(), Limits::default());
//! let proxy = Arc::new(Proxy::new(config, Instant::now())?);
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//!
//! let mut client = TcpStream::connect(listener.local_addr()?)?;
//! client.write_all(b"GET / HTTP/1.1\r\nHost: example\r\nConnection: close\r\n\r\n")?;
//! let accepted = listener.accept()?.0;
//! let balancer = std::thread::spawn(move || serve(proxy, accepted));
//!
//! let mut forwarded = origin.accept()?.0;
//! let mut request = [0; 1024];
//! let length = forwarded.read(&mut request)?;
//! assert!(request[..length].starts_with(b"GET / HTTP/1.1\r\nHost: example\r\nVia: 1.1 roundtable\r\n"));
//! forwarded.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")?;
//!
//! let mut response = String::new();
//! client.read_to_string(&mut response)?;
//! assert!(response.ends_with("Connection: close\r\n\r\nhello"));
//! balancer.join().unwrap()?;
//! # Ok(())
//! # }
//! ```

// The core does no I/O and reads no clock; the binary, which does both, is a crate of its own.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod proxy;
