//! A client, backends and a clock that exist in memory: the reference driver of the core, and the scenario builder.
//!
//! Owns what every test needs to say about a world and nothing about what should come of it.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use roundtable::proxy::{
    BackendId, CacheRules, CacheSize, CloseReason, Config, Done, Limits, Op, Peer, Proxy, Session, internals,
};

use crate::oracle;
use crate::peers::{Client, Connection};
pub use crate::peers::{Fault, OK, Refusal, Script, Then};

/// What the proxy calls the client.
pub const CLIENT: &str = "192.0.2.7";
/// What backends are told that a client of HTTP/1.0 asked.
pub const AUTHORITY: &str = "balancer";
/// What time it is for a balancer that is told.
pub const TIME: SystemTime = SystemTime::UNIX_EPOCH;
/// The same as `Date` has it.
pub const DATE: &str = "Thu, 01 Jan 1970 00:00:00 GMT";
/// Free buffers of each size before a scenario: more than one session uses.
const STOCK: usize = 4;

/// What became of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub to_client: Vec<u8>,
    /// What was read from the client, but for what is only read to be thrown away.
    pub from_client: Vec<u8>,
    /// For each connection attempt: which backend, and what it was sent.
    pub to_backends: Vec<(usize, Vec<u8>)>,
    /// For each connection attempt: what was read from it.
    pub from_backends: Vec<Vec<u8>>,
    pub reused: usize,
    pub reason: CloseReason,
    pub elapsed: Duration,
    pub half_closed: bool,
    /// The `Date` that the balancer knows, if it was told the time.
    pub date: Option<String>,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    pub(crate) client: Vec<u8>,
    pub(crate) client_closes: bool,
    /// After so long it is gone, which only a look tells.
    pub(crate) client_resets_at: Option<Duration>,
    pub(crate) scripts: VecDeque<Script>,
    pub(crate) backends: u16,
    /// Sizes of successive transfers, over and over; empty: as much as fits.
    pub(crate) pieces: Vec<usize>,
    pub(crate) limits: Limits,
    pub(crate) draining: bool,
    /// The balancer is told that it is [`TIME`].
    pub(crate) tells_time: bool,
    /// Time from one transfer with the client, or the backend, to the next that it is ready for.
    pub(crate) pace: [Duration; 2],
    /// It begins so long after now.
    pub(crate) later: Duration,
    /// By the number of the operation, from 0.
    pub(crate) faults: BTreeMap<usize, Fault>,
}

/// The shared half of a balancer of so many backends.
pub fn proxy(backends: u16, limits: Limits) -> Arc<Proxy> {
    let addresses = (1..=backends).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
    let config = Config::round_robin(addresses, AUTHORITY.into(), limits);
    Arc::new(Proxy::new(config, Instant::now()).unwrap())
}

/// The same with a cache of the least size, by the usual rules.
pub fn caching_proxy(backends: u16) -> Arc<Proxy> {
    let addresses = (1..=backends).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
    let mut config = Config::round_robin(addresses, AUTHORITY.into(), Limits::default());
    config.cache = Some(CacheSize { bytes: CacheSize::LEAST });
    config.routes[0].cache = Some(CacheRules::default());
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
            client_resets_at: None,
            scripts: VecDeque::new(),
            backends: 1,
            pieces: Vec::new(),
            limits: Limits::default(),
            draining: false,
            tells_time: false,
            pace: [Duration::ZERO; 2],
            later: Duration::ZERO,
            faults: BTreeMap::new(),
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

    /// The client is ready for a transfer only so long after the last one.
    pub fn client_pace(mut self, pace: Duration) -> Self {
        self.pace[0] = pace;
        self
    }

    /// The same for the backend.
    pub fn backend_pace(mut self, pace: Duration) -> Self {
        self.pace[1] = pace;
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

    /// The client resets its connection while the balancer waits for somebody else.
    pub fn client_resets_after(mut self, time: Duration) -> Self {
        self.client_resets_at = Some(time);
        self
    }

    pub fn draining(mut self) -> Self {
        self.draining = true;
        self
    }

    /// The balancer knows what time it is.
    pub fn tells_time(mut self) -> Self {
        self.tells_time = true;
        self
    }

    /// The connection begins so many seconds after now: for what earlier ones left behind.
    pub fn later(mut self, seconds: u64) -> Self {
        self.later = Duration::from_secs(seconds);
        self
    }

    /// The so-many-th operation fails, if it is one that can.
    pub fn fault(mut self, operation: usize, fault: Fault) -> Self {
        self.faults.insert(operation, fault);
        self
    }

    /// Runs, and checks what holds for every scenario.
    pub fn run(self) -> Outcome {
        self.save_as_seeds();
        let proxy = proxy(self.backends, self.limits.clone());
        if self.draining {
            proxy.drain();
        }
        self.run_with(&proxy)
    }

    /// Runs with what earlier connections left behind in `proxy`.
    pub fn run_with(self, proxy: &Arc<Proxy>) -> Outcome {
        let outcome = self.run_rewriting(proxy);
        oracle::judge(&outcome);
        outcome
    }

    /// The same where routes change targets and locations, so that no strict reader can tell what they should be.
    pub fn run_rewriting(self, proxy: &Arc<Proxy>) -> Outcome {
        let later = self.later;
        self.run_from(proxy, Instant::now() + later)
    }

    /// The same, beginning at that time.
    pub fn run_from(self, proxy: &Arc<Proxy>, start: Instant) -> Outcome {
        internals::stock_buffers(proxy, STOCK);
        let stock = internals::free_buffers(proxy);
        let outcome = self.serve_one(proxy, start);
        assert_eq!(internals::free_buffers(proxy), stock, "buffers were lost");
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
            from_client: Vec::new(),
            to_backends: Vec::new(),
            from_backends: Vec::new(),
            reused: 0,
            reason: CloseReason::DriverFault,
            elapsed: Duration::ZERO,
            half_closed: false,
            date: self.tells_time.then(|| DATE.to_owned()),
        };
        if self.tells_time {
            proxy.tell_time(TIME);
        }
        let mut backend: Option<Connection> = None;
        let mut idle: Vec<Connection> = Vec::new();
        let mut client = Client {
            says: std::mem::take(&mut self.client).into(),
            closes: self.client_closes,
            is_dead: false,
        };
        let address = SocketAddr::new(CLIENT.parse().unwrap(), 4711);
        let (mut session, mut op) = Session::start(Arc::clone(proxy), address, now);
        let mut reads = 0;
        // Operations since bytes last went anywhere: without progress a session comes to its end.
        let mut idle_steps: u16 = 0;
        let mut ready = [start; 2];
        for step in 0.. {
            idle_steps += 1;
            assert!(idle_steps < 32 + 4 * self.backends, "the session does not end");
            let fault = self.faults.get(&step).copied();
            let deadline = session.deadline();
            let deadline = || deadline.expect("an operation that waits has a deadline");
            // A peer that is not ready in time is as if it had nothing to say, and no room.
            let mut fault = fault;
            if let Op::Read(peer, _) | Op::Write(peer, _) = &op {
                let side = usize::from(*peer == Peer::Backend);
                if ready[side] > deadline() {
                    fault = Some(Fault::TimesOut);
                } else {
                    now = now.max(ready[side]);
                    ready[side] = now + self.pace[side];
                }
            }
            let mut wait = || now = now.max(deadline());
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
                    let result = self.connect(id, reuse, fault, &mut idle, &mut outcome).map(|connection| {
                        backend = Some(connection);
                        outcome.reused > reused
                    });
                    Done::Connected(result)
                }
                Op::Read(peer, mut buf) => {
                    // A driver tries in vain, never or once or more often: what the session has meanwhile makes no difference.
                    for _ in 0..reads % 3 {
                        session.reclaim(&mut buf);
                        session.lend(&mut buf);
                    }
                    reads += 1;
                    let room = buf.spare_mut();
                    assert!(!room.is_empty(), "a read with no room would look like the end");
                    let most = room.len().min(piece());
                    let result = match (peer, &mut backend) {
                        (Peer::Client, _) => {
                            let result = client.read(&mut room[..most], fault);
                            if !outcome.half_closed {
                                let said = &room[..*result.as_ref().unwrap_or(&0)];
                                outcome.from_client.extend_from_slice(said);
                            }
                            result
                        }
                        (Peer::Backend, Some(connection)) => {
                            let result = connection.read(&mut room[..most], fault);
                            let said = &room[..*result.as_ref().unwrap_or(&0)];
                            outcome.from_backends[connection.number].extend_from_slice(said);
                            result
                        }
                        (Peer::Backend, None) => panic!("a read from no backend"),
                    };
                    match result {
                        Err(ErrorKind::TimedOut) => wait(),
                        Ok(1..) => idle_steps = 0,
                        _ => {}
                    }
                    Done::Transferred(result.map_err(io::Error::from), buf)
                }
                Op::Write(peer, buf) => {
                    assert!(!buf.window().is_empty(), "a write of nothing");
                    let some = &buf.window()[..buf.window().len().min(piece())];
                    let (result, sent) = match (peer, &mut backend) {
                        (Peer::Client, _) => (client.write(some.len(), fault), &mut outcome.to_client),
                        (Peer::Backend, Some(connection)) => {
                            let sent = &mut outcome.to_backends[connection.number].1;
                            (connection.write(some.len(), fault), sent)
                        }
                        (Peer::Backend, None) => panic!("a write to no backend"),
                    };
                    match result {
                        Err(ErrorKind::TimedOut) => wait(),
                        Err(_) => {}
                        Ok(count) => {
                            idle_steps = 0;
                            sent.extend_from_slice(&some[..count]);
                        }
                    }
                    Done::Transferred(result.map_err(io::Error::from), buf)
                }
                Op::Release { backend: id, .. } => {
                    let connection = backend.take().expect("there is a connection to release");
                    assert_eq!(connection.backend, id.index());
                    idle.push(connection);
                    Done::Complete
                }
                Op::Discard => {
                    backend = None;
                    Done::Complete
                }
                Op::Look => {
                    // The wait before it took its share of the deadline's time, which is bounded.
                    idle_steps = idle_steps.saturating_sub(2);
                    let has_spoken = |connection: &Connection| connection.has_spoken();
                    Done::Looked {
                        client_is_gone: self.client_resets_at.is_some_and(|at| now >= start + at),
                        backend_has_spoken: backend.as_ref().is_some_and(has_spoken),
                    }
                }
                Op::HalfClose => {
                    outcome.half_closed = true;
                    Done::Complete
                }
            };
            op = session.step(done, now);
        }
        unreachable!("steps are counted without end");
    }

    fn connect(
        &mut self,
        id: BackendId,
        reuse: bool,
        fault: Option<Fault>,
        idle: &mut Vec<Connection>,
        outcome: &mut Outcome,
    ) -> io::Result<Connection> {
        // Drivers hand out no connection that is not silent.
        let is_fit =
            |connection: &Connection| connection.backend == id.index() && connection.script.says.is_empty();
        if reuse
            && fault.is_none()
            && let Some(at) = idle.iter().position(is_fit)
        {
            outcome.reused += 1;
            return Ok(idle.remove(at));
        }
        let number = outcome.to_backends.len();
        outcome.to_backends.push((id.index(), Vec::new()));
        outcome.from_backends.push(Vec::new());
        if let Some(fault) = fault {
            return Err(fault.of_write().into());
        }
        let script = self.scripts.pop_front().unwrap_or_else(Script::always_ok);
        script.connect.map_err(io::Error::from)?;
        Ok(Connection { backend: id.index(), script, number })
    }
}
