//! A client, backends and a clock that exist in memory: the reference driver of the core, and the scenario builder.
//!
//! Owns what every test needs to say about a world and nothing about what should come of it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use roundtable::proxy::{BackendId, CloseReason, Config, Done, Limits, Op, Peer, Proxy, Session};

/// How one connection to a backend behaves.
#[derive(Debug, Clone)]
pub struct Script {
    connect: Result<(), Refusal>,
    /// Bytes that it accepts before writing fails.
    accepts: usize,
    /// A write beyond these times out, instead of failing.
    stops_reading: bool,
    /// What is being said.
    says: Vec<u8>,
    /// Answers to later requests, each said when something has been written.
    later: VecDeque<Vec<u8>>,
    then: Then,
}

/// Why it does not connect.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    Kind(ErrorKind),
    /// As the operating system tells it.
    Errno(Errno),
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Kind(kind) => kind.into(),
            Refusal::Errno(errno) => errno.into(),
        }
    }
}

/// What follows when all has been said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Stall,
    Close,
    Reset,
}

impl Script {
    /// Accepts the connection and everything written, and says this when something has been written.
    pub fn says(bytes: impl AsRef<[u8]>) -> Self {
        let later = VecDeque::from([bytes.as_ref().to_vec()]);
        Script {
            connect: Ok(()),
            accepts: usize::MAX,
            stops_reading: false,
            says: Vec::new(),
            later,
            then: Then::Stall,
        }
    }

    /// Says this in answer to the next request.
    pub fn and_then_says(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.later.push_back(bytes.as_ref().to_vec());
        self
    }

    /// Answers every request with [`OK`].
    fn always_ok() -> Self {
        (0..20).fold(Script::says(OK), |script, _| script.and_then_says(OK))
    }

    /// Does not connect.
    pub fn refuses(kind: ErrorKind) -> Self {
        Script { connect: Err(Refusal::Kind(kind)), ..Script::says("") }
    }

    /// Does not connect, with the operating system's own error.
    pub fn fails_with(errno: Errno) -> Self {
        Script { connect: Err(Refusal::Errno(errno)), ..Script::says("") }
    }

    /// A write finds no room for ever: it times out once `accepts` bytes are taken.
    pub fn stops_reading(mut self) -> Self {
        self.stops_reading = true;
        self
    }

    pub fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }

    pub fn accepts(mut self, bytes: usize) -> Self {
        self.accepts = bytes;
        self
    }
}

/// A response that ends by its length and leaves the connection open.
pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What became of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub to_client: Vec<u8>,
    /// For each connection attempt: which backend, and what it was sent.
    pub to_backends: Vec<(usize, Vec<u8>)>,
    pub reused: usize,
    pub reason: CloseReason,
    pub elapsed: Duration,
    pub half_closed: bool,
}

impl Outcome {
    pub fn client_text(&self) -> String {
        String::from_utf8_lossy(&self.to_client).into_owned()
    }

    pub fn backend_text(&self, connection: usize) -> String {
        String::from_utf8_lossy(&self.to_backends[connection].1).into_owned()
    }

    /// The status line's code of the first response.
    pub fn status(&self) -> &str {
        std::str::from_utf8(self.to_client.get(9..12).unwrap_or(b"---")).unwrap_or("---")
    }

    pub fn saw_backends(&self) -> bool {
        !self.to_backends.is_empty()
    }
}

/// A scenario.
#[derive(Debug, Clone)]
pub struct World {
    client: Vec<u8>,
    client_closes: bool,
    scripts: VecDeque<Script>,
    backends: u16,
    /// Sizes of successive transfers, over and over; empty: as much as fits.
    pieces: Vec<usize>,
    limits: Limits,
    draining: bool,
}

struct Connection {
    backend: usize,
    script: Script,
    /// Place in `Outcome::to_backends`.
    number: usize,
}

/// The shared half of a balancer of so many backends.
pub fn proxy(backends: u16, limits: Limits) -> Arc<Proxy> {
    let addresses = (1..=backends).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
    let config = Config::round_robin(addresses, "balancer".into(), limits);
    Arc::new(Proxy::new(config, Instant::now()).unwrap())
}

/// A session in the middle of an exchange: the request has gone to a backend.
pub fn session_that_waits_for_an_answer(proxy: &Arc<Proxy>) -> Session {
    let now = Instant::now();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (mut session, mut op) = Session::start(Arc::clone(proxy), ([192, 0, 2, 7], 4711).into(), now);
    loop {
        let done = match op {
            Op::Read(Peer::Backend, _) => return session,
            Op::Read(Peer::Client, mut buf) => {
                buf.spare_mut()[..request.len()].copy_from_slice(request);
                Done::Transferred(Ok(request.len()), buf)
            }
            Op::Write(_, buf) => Done::Transferred(Ok(buf.window().len()), buf),
            Op::Connect { .. } => Done::Connected(Ok(false)),
            other => panic!("it does not get as far: {other:?}"),
        };
        op = session.step(done, now);
    }
}

impl World {
    /// A client that sends this, and one backend that answers [`OK`] on every connection.
    pub fn new(client: impl AsRef<[u8]>) -> Self {
        World {
            client: client.as_ref().to_vec(),
            client_closes: true,
            scripts: VecDeque::new(),
            backends: 1,
            pieces: Vec::new(),
            limits: Limits::default(),
            draining: false,
        }
    }

    /// The next connection attempt, to whichever backend, goes like this.
    pub fn backend(mut self, script: Script) -> Self {
        self.scripts.push_back(script);
        self
    }

    pub fn backends(mut self, count: u16) -> Self {
        self.backends = count;
        self
    }

    /// Every transfer, either way, moves at most so many bytes.
    pub fn pieces(mut self, sizes: &[usize]) -> Self {
        self.pieces = sizes.to_vec();
        self
    }

    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// The client sends no end of stream: it waits.
    pub fn client_waits(mut self) -> Self {
        self.client_closes = false;
        self
    }

    pub fn draining(mut self) -> Self {
        self.draining = true;
        self
    }

    pub fn run(self) -> Outcome {
        let proxy = proxy(self.backends, self.limits.clone());
        if self.draining {
            proxy.drain();
        }
        self.run_with(&proxy)
    }

    /// Runs with what earlier connections left behind in `proxy`.
    pub fn run_with(self, proxy: &Arc<Proxy>) -> Outcome {
        let outcome = self.serve_one(proxy, Instant::now());
        assert_eq!(proxy.in_flight(), 0, "an exchange was left in flight");
        let status = proxy.status(Instant::now());
        let in_use: u32 =
            status.groups.iter().flat_map(|group| &group.members).map(|member| member.in_use).sum();
        assert_eq!(in_use, 0, "a slot was not given back");
        outcome
    }

    /// Runs beside what other sessions have in hand.
    pub fn serve(self, proxy: &Arc<Proxy>) -> Outcome {
        self.serve_one(proxy, Instant::now())
    }

    fn serve_one(mut self, proxy: &Arc<Proxy>, start: Instant) -> Outcome {
        let mut now = start;
        let mut pieces = std::mem::take(&mut self.pieces).into_iter().cycle();
        let mut piece = move || pieces.next().unwrap_or(usize::MAX).max(1);
        let mut outcome = Outcome {
            to_client: Vec::new(),
            to_backends: Vec::new(),
            reused: 0,
            reason: CloseReason::DriverFault,
            elapsed: Duration::ZERO,
            half_closed: false,
        };
        let mut backend: Option<Connection> = None;
        let mut idle: Vec<Connection> = Vec::new();
        let mut incoming = std::mem::take(&mut self.client).into_iter();
        let (mut session, mut op) = Session::start(Arc::clone(proxy), ([192, 0, 2, 7], 4711).into(), now);
        for _ in 0..1_000_000 {
            let done = match op {
                Op::Finish(reason) => {
                    outcome.reason = reason;
                    outcome.elapsed = now - start;
                    drop(session);
                    return outcome;
                }
                Op::Connect { backend: id, reuse } => {
                    backend = None;
                    let reused = outcome.reused;
                    let result = self.connect(id, reuse, &mut idle, &mut outcome).map(|connection| {
                        backend = Some(connection);
                        outcome.reused > reused
                    });
                    Done::Connected(result)
                }
                Op::Read(peer, mut buf) => {
                    let room = buf.spare_mut();
                    assert!(!room.is_empty(), "a read with no room would look like the end");
                    let most = room.len().min(piece());
                    let result = match (peer, &mut backend) {
                        (Peer::Client, _) => {
                            let mut count = 0;
                            for (place, byte) in room[..most].iter_mut().zip(incoming.by_ref().take(most)) {
                                *place = byte;
                                count += 1;
                            }
                            if count > 0 || self.client_closes { Ok(count) } else { Err(ErrorKind::TimedOut) }
                        }
                        (Peer::Backend, Some(connection)) => {
                            let script = &mut connection.script;
                            let count = most.min(script.says.len());
                            room[..count].copy_from_slice(&script.says[..count]);
                            script.says.drain(..count);
                            match script.then {
                                _ if count > 0 => Ok(count),
                                _ if !script.later.is_empty() => Err(ErrorKind::TimedOut),
                                Then::Close => Ok(0),
                                Then::Reset => Err(ErrorKind::ConnectionReset),
                                Then::Stall => Err(ErrorKind::TimedOut),
                            }
                        }
                        (Peer::Backend, None) => panic!("a read from no backend"),
                    };
                    if result == Err(ErrorKind::TimedOut) {
                        now = session.deadline().expect("an operation that waits has a deadline");
                    }
                    Done::Transferred(result.map_err(io::Error::from), buf)
                }
                Op::Write(peer, buf) => {
                    assert!(!buf.window().is_empty(), "a write of nothing");
                    let count = buf.window().len().min(piece());
                    let result = match (peer, &mut backend) {
                        (Peer::Client, _) => {
                            outcome.to_client.extend_from_slice(&buf.window()[..count]);
                            Ok(count)
                        }
                        (Peer::Backend, Some(connection)) => {
                            let count = count.min(connection.script.accepts);
                            connection.script.accepts -= count;
                            if connection.script.says.is_empty() {
                                connection.script.says =
                                    connection.script.later.pop_front().unwrap_or_default();
                            }
                            outcome.to_backends[connection.number]
                                .1
                                .extend_from_slice(&buf.window()[..count]);
                            match count {
                                0 if connection.script.stops_reading => {
                                    now = session.deadline().expect("an operation that waits has a deadline");
                                    Err(ErrorKind::TimedOut.into())
                                }
                                0 => Err(ErrorKind::BrokenPipe.into()),
                                _ => Ok(count),
                            }
                        }
                        (Peer::Backend, None) => panic!("a write to no backend"),
                    };
                    Done::Transferred(result, buf)
                }
                Op::Release(id) => {
                    let connection = backend.take().expect("there is a connection to release");
                    assert_eq!(connection.backend, id.index());
                    idle.push(connection);
                    Done::Complete
                }
                Op::Discard => {
                    backend = None;
                    Done::Complete
                }
                Op::HalfClose => {
                    outcome.half_closed = true;
                    Done::Complete
                }
            };
            op = session.step(done, now);
        }
        panic!("the session does not end");
    }

    fn connect(
        &mut self,
        id: BackendId,
        reuse: bool,
        idle: &mut Vec<Connection>,
        outcome: &mut Outcome,
    ) -> io::Result<Connection> {
        if reuse && let Some(at) = idle.iter().position(|connection| connection.backend == id.index()) {
            outcome.reused += 1;
            return Ok(idle.remove(at));
        }
        let script = self.scripts.pop_front().unwrap_or_else(Script::always_ok);
        let number = outcome.to_backends.len();
        outcome.to_backends.push((id.index(), Vec::new()));
        script.connect.map_err(io::Error::from)?;
        Ok(Connection { backend: id.index(), script, number })
    }
}
