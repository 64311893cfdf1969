//! Backends that go and come back, and attempts to connect that never end.
//!
//! No test asserts a duration: an interval of an hour stands for "never by time alone", and the access log tells how
//! often a backend was tried.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tempfile::TempDir;

use crate::support::{Client, DeadAddress, PATIENCE, Server, eventually, for_every_model, read_head};

const NEVER: &str = "1h";

/// Where a balancer writes whom it forwards to.
struct Log {
    _folder: TempDir,
    path: PathBuf,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Log { path: folder.path().join("log"), _folder: folder }
    }

    fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// How often a connection to `backend` was used or tried.
    fn turns_of(&self, backend: SocketAddr) -> usize {
        let text = std::fs::read_to_string(&self.path).unwrap();
        text.lines().filter(|line| line.ends_with(&format!("forwarded to {backend}"))).count()
    }

    /// The same, once the log is written as far as `requests` turns in all.
    fn turns_of_either(&self, backends: [SocketAddr; 2], requests: usize) -> [usize; 2] {
        eventually(|| backends.map(|backend| self.turns_of(backend)).iter().sum::<usize>() >= requests);
        backends.map(|backend| self.turns_of(backend))
    }
}

/// Answers one request on every connection.
fn serve(listener: TcpListener) {
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            read_head(&mut stream);
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\nX-Backend: back\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            );
        }
    });
}

#[test]
fn with_all_backends_down_the_answer_is_503_without_spinning_and_recovery_is_prompt() {
    for_every_model(|model| {
        let (first, second) = (DeadAddress::new(), DeadAddress::new());
        let options = ["--retry-interval", NEVER];
        let balancer = Server::balancer(model, &[first.address, second.address], &options);
        let mut waiting = Client::connect(balancer.address);
        for _ in 0..4 {
            let response = Client::connect(balancer.address).get("/");
            assert_eq!((response.status(), response.field("Connection")), ("503", None), "{model}");
        }
        let before = balancer.cpu_ticks();
        thread::sleep(Duration::from_millis(300));
        // A tick is ten milliseconds: spinning takes thirty, fewer on a busy machine.
        assert!(balancer.cpu_ticks() - before <= 2, "{model} spins while nothing is asked");
        // Only by trying one anyway can it be found to be back: no interval ends within this test.
        serve(first.revive());
        serve(second.revive());
        assert_eq!(waiting.get("/").status(), "200", "{model}");
    });
}

#[test]
fn a_backend_that_refuses_is_left_out_and_tried_again_only_after_the_interval() {
    let alive = Server::backend("alive", &[]);
    for_every_model(|model| {
        let (dead, log) = (DeadAddress::new(), Log::new());
        let options = ["--retry-interval", NEVER, "--access-log", log.path()];
        let balancer = Server::balancer(model, &[dead.address, alive.address], &options);
        for _ in 0..20 {
            assert_eq!(Client::connect(balancer.address).get("/").status(), "200", "{model}");
        }
        assert_eq!(log.turns_of_either([dead.address, alive.address], 21), [1, 20], "{model}");
    });
}

#[test]
fn a_backend_that_returns_is_back_in_rotation() {
    let alive = Server::backend("alive", &[]);
    for_every_model(|model| {
        let dead = DeadAddress::new();
        let balancer =
            Server::balancer(model, &[dead.address, alive.address], &["--retry-interval", "100ms"]);
        let names = |count: usize| -> BTreeSet<String> {
            let one = |_| {
                let response = Client::connect(balancer.address).get("/");
                assert_eq!(response.status(), "200", "{model}");
                response.field("X-Backend").unwrap().to_owned()
            };
            (0..count).map(one).collect()
        };
        assert_eq!(names(4), BTreeSet::from(["alive".to_owned()]), "{model}");
        serve(dead.revive());
        eventually(|| names(1).contains("back"));
        assert_eq!(names(2).len(), 2, "{model}: equal turns again");
    });
}

#[test]
fn an_outage_has_one_line_on_standard_error_when_it_begins_and_one_when_it_ends() {
    let alive = Server::backend("alive", &[]);
    for_every_model(|model| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("told");
        let dead = DeadAddress::new();
        let name = dead.address;
        let script = format!("exec \"$@\" 2>{}", path.to_str().unwrap());
        let options = ["--retry-interval", "10ms"];
        let balancer = Server::balancer_in(&script, model, &[name, alive.address], &options);
        let lines = || std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
        let ask = || assert_eq!(Client::connect(balancer.address).get("/").status(), "200", "{model}");
        // It is tried again and again, and told of once.
        for _ in 0..20 {
            ask();
            thread::sleep(Duration::from_millis(10));
        }
        let beginning =
            format!("roundtable: backend {name} is left out: connecting to it fails: Connection refused");
        eventually(|| !lines().is_empty());
        serve(dead.revive());
        eventually(|| {
            ask();
            lines().len() > 1
        });
        let lines = lines();
        assert!(lines[0].starts_with(&beginning), "{model}: {lines:?}");
        assert_eq!(lines[1..], [format!("roundtable: backend {name} is back")], "{model}");
    });
}

/// Set when a test is over, be it by a panic: its clients must not go on for ever.
#[derive(Default)]
struct Over(AtomicBool);

impl Over {
    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set_at_the_end(&self) -> impl Drop + '_ {
        struct AtTheEnd<'a>(&'a Over);
        impl Drop for AtTheEnd<'_> {
            fn drop(&mut self) {
                self.0.0.store(true, Ordering::Relaxed);
            }
        }
        AtTheEnd(self)
    }
}

/// An address at which somebody listens now and then. It stays reserved meanwhile.
struct Flapping {
    _reserved: Socket,
    address: SocketAddr,
}

impl Flapping {
    fn new() -> Self {
        let reserved = Self::bound(([127, 0, 0, 1], 0).into());
        let address = reserved.local_addr().unwrap().as_socket().unwrap();
        Flapping { _reserved: reserved, address }
    }

    fn bound(address: SocketAddr) -> Socket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&address.into()).unwrap();
        socket
    }

    /// Listens and answers one request; then nobody listens any more.
    fn serves_one(&self) {
        let socket = Self::bound(self.address);
        socket.listen(128).unwrap();
        // Linux: accepting waits no longer than reading does.
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let listener: TcpListener = socket.into();
        let (mut stream, _) = listener.accept().unwrap();
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    }
}

#[test]
fn a_backend_that_flaps_is_found_each_time_and_no_client_sees_it() {
    const INTERVAL: Duration = Duration::from_millis(200);
    const CLIENTS: usize = 8;
    let alive = Server::backend("alive", &[]);
    for_every_model(|model| {
        let (flapping, log) = (Flapping::new(), Log::new());
        let interval = format!("{}ms", INTERVAL.as_millis());
        let options = ["--retry-interval", &interval, "--access-log", log.path()];
        let balancer = Server::balancer(model, &[flapping.address, alive.address], &options);
        let (start, over) = (Instant::now(), Over::default());
        let asked = AtomicUsize::new(0);
        thread::scope(|scope| {
            let _end = over.set_at_the_end();
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    while !over.is_set() {
                        // What is accepted while it stops listening is reset: GET may be sent again.
                        assert_eq!(Client::connect(balancer.address).get("/").status(), "200", "{model}");
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            // It is found twice, and goes again after one request each time.
            flapping.serves_one();
            flapping.serves_one();
            thread::sleep(2 * INTERVAL);
        });
        let intervals = start.elapsed().as_millis() / INTERVAL.as_millis();
        let asked = asked.load(Ordering::Relaxed);
        let [tried, _] = log.turns_of_either([flapping.address, alive.address], asked);
        // Each time that it goes, all clients may be on their way to it; else one in an interval.
        let most = 3 * CLIENTS + usize::try_from(intervals).unwrap() + 3;
        assert!(tried <= most && tried < asked / 2, "{model}: {tried} of {asked} tried it, {most} may");
    });
}

#[test]
fn no_get_fails_when_a_backend_is_killed_under_load() {
    for_every_model(|model| {
        let doomed = Server::backend("doomed", &[]);
        let alive = Server::backend("alive", &[]);
        let balancer = Server::balancer(model, &[doomed.address, alive.address], &[]);
        let (over, answered) = (Over::default(), AtomicUsize::new(0));
        thread::scope(|scope| {
            let _end = over.set_at_the_end();
            for client in 0..4 {
                let (over, answered, address) = (&over, &answered, balancer.address);
                scope.spawn(move || {
                    let mut persistent = Client::connect(address);
                    while !over.is_set() {
                        if client % 2 == 0 {
                            persistent = Client::connect(address);
                        }
                        // A response of one kibibyte is sent in one piece: none is half out.
                        assert_eq!(persistent.get("/").status(), "200", "{model}");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            eventually(|| answered.load(Ordering::Relaxed) > 100);
            drop(doomed);
            let then = answered.load(Ordering::Relaxed);
            eventually(|| answered.load(Ordering::Relaxed) > then + 200);
        });
    });
}

/// An address whose accept queue is full: an attempt to connect is neither accepted nor refused.
struct FullBacklog {
    _listener: Socket,
    _queued: Vec<Socket>,
    address: SocketAddr,
}

impl FullBacklog {
    fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        loop {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
            // On loopback a handshake that succeeds takes no time at all.
            let connected = socket.connect_timeout(&address.into(), Duration::from_millis(200)).is_ok();
            if !connected {
                break;
            }
            queued.push(socket);
        }
        FullBacklog { _listener: listener, _queued: queued, address }
    }
}

#[test]
fn a_connect_timeout_is_paid_once_and_then_the_backend_is_avoided() {
    let alive = Server::backend("alive", &[]);
    let full = FullBacklog::new();
    for_every_model(|model| {
        let log = Log::new();
        let options = ["--connect-timeout", "300ms", "--retry-interval", NEVER, "--access-log", log.path()];
        let balancer = Server::balancer(model, &[full.address, alive.address], &options);
        for _ in 0..10 {
            assert_eq!(Client::connect(balancer.address).get("/").status(), "200", "{model}");
        }
        assert_eq!(log.turns_of_either([full.address, alive.address], 11), [1, 10], "{model}");
    });
}

#[test]
fn with_no_backend_that_connects_in_time_the_answer_is_504() {
    let full = [FullBacklog::new(), FullBacklog::new()];
    for_every_model(|model| {
        let addresses = full.each_ref().map(|full| full.address);
        let balancer = Server::balancer(model, &addresses, &["--connect-timeout", "300ms"]);
        // The client's own patience is far longer than two timeouts, and far shorter than the kernel's.
        let response = Client::connect(balancer.address).get("/");
        assert_eq!((response.status(), response.field("Connection")), ("504", None), "{model}");
    });
}

#[test]
fn one_request_an_interval_tries_a_backend_that_does_not_connect_and_there_is_no_stampede() {
    const INTERVAL: Duration = Duration::from_millis(300);
    const CLIENTS: usize = 16;
    let alive = Server::backend("alive", &[]);
    for_every_model(|model| {
        let (full, log) = (FullBacklog::new(), Log::new());
        let interval = format!("{}ms", INTERVAL.as_millis());
        // Longer than an interval: whoever tries it is still waiting when the others might.
        let options =
            ["--connect-timeout", "700ms", "--retry-interval", &interval, "--access-log", log.path()];
        let balancer = Server::balancer(model, &[full.address, alive.address], &options);
        let start = Instant::now();
        assert_eq!(Client::connect(balancer.address).get("/").status(), "200", "{model}");
        let (over, asked) = (Over::default(), AtomicUsize::new(1));
        thread::scope(|scope| {
            let _end = over.set_at_the_end();
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    while !over.is_set() {
                        assert_eq!(Client::connect(balancer.address).get("/").status(), "200", "{model}");
                        asked.fetch_add(1, Ordering::Relaxed);
                        thread::sleep(Duration::from_millis(1));
                    }
                });
            }
            thread::sleep(2 * INTERVAL);
        });
        let intervals = start.elapsed().as_millis() / INTERVAL.as_millis();
        let [tried, _] = log.turns_of_either([full.address, alive.address], asked.load(Ordering::Relaxed));
        assert!(
            tried <= usize::try_from(intervals).unwrap() + 2,
            "{model}: {tried} tried in {intervals} intervals"
        );
    });
}
