//! Balancers and backends as processes, raw clients and raw backends as sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roundtable_harness::record::ModelInfo;
use roundtable_harness::testbed::control::Ready;
use socket2::{Domain, Protocol, Socket, Type};

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_roundtable"))
}

/// A model as `roundtable models --json` lists it.
#[derive(serde::Deserialize)]
struct Listed {
    available: bool,
    #[serde(flatten)]
    info: ModelInfo,
}

/// The models that this machine has what it needs for.
static INFOS: LazyLock<Vec<ModelInfo>> = LazyLock::new(|| {
    let output = binary().args(["models", "--json"]).output().unwrap();
    let listed: Vec<Listed> = serde_json::from_slice(&output.stdout).unwrap();
    for missing in listed.iter().filter(|model| !model.available) {
        eprintln!("skipped: {} is not available on this machine", missing.info.competitor);
    }
    listed.into_iter().filter(|model| model.available).map(|model| model.info).collect()
});

/// Every model's name.
pub static MODELS: LazyLock<Vec<String>> =
    LazyLock::new(|| INFOS.iter().map(|info| info.competitor.name.clone()).collect());

/// Options with which this model keeps idle connections to backends in one pool: where workers share nothing, one worker.
pub fn with_one_idle_pool(model: &str) -> &'static [&'static str] {
    let shares_nothing = |info: &ModelInfo| info.manifest["threads"].ends_with("which share no connections");
    match INFOS.iter().find(|info| info.competitor.name == model) {
        Some(info) if shares_nothing(info) => &["--workers", "1"],
        _ => &[],
    }
}

/// A child that announced its address; it dies with this value.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts what announces its address.
    pub fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Ready = serde_json::from_str(&line).unwrap();
        assert_eq!(ready.pid, child.id());
        Server { child, address: ready.listening }
    }

    /// A balancer of `model` in front of `backends`, with further options.
    pub fn balancer(model: &str, backends: &[SocketAddr], options: &[&str]) -> Self {
        let mut command = binary();
        command.args(["balance", "--listen", "127.0.0.1:0", "--model", model]).args(options);
        for backend in backends {
            command.args(["--backend", &backend.to_string()]);
        }
        Server::start(&mut command)
    }

    /// The same with no more than so many descriptors.
    pub fn balancer_with_descriptors(
        descriptors: usize,
        model: &str,
        backends: &[SocketAddr],
        options: &[&str],
    ) -> Self {
        Server::balancer_in(&format!("ulimit -n {descriptors}; exec \"$@\""), model, backends, options)
    }

    /// The same, started by this shell script, which has the command as its arguments.
    pub fn balancer_in(script: &str, model: &str, backends: &[SocketAddr], options: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]);
        command.arg(binary().get_program());
        command.args(["balance", "--listen", "127.0.0.1:0", "--model", model]).args(options);
        for backend in backends {
            command.args(["--backend", &backend.to_string()]);
        }
        Server::start(&mut command)
    }

    /// An origin server that names itself so.
    pub fn backend(name: &str, options: &[&str]) -> Self {
        Server::start(binary().args(["backend", "--listen", "127.0.0.1:0", "--name", name]).args(options))
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Waits for the end; the exit code.
    pub fn exit_code(mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(start.elapsed() < PATIENCE, "it does not exit");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Descriptors that the process has open now.
    pub fn open_descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// A figure of the process's `status`, such as `Threads`, or `VmRSS` in KiB.
    pub fn status(&self, key: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap();
        value.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// CPU time that the process has used, in ticks of ten milliseconds.
    pub fn cpu_ticks(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name, in parentheses, may hold anything; user and system time are the 12th and 13th fields behind it.
        let fields: Vec<&str> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address at which nothing listens. It stays reserved: the kernel gives the port to nobody else meanwhile.
pub struct DeadAddress {
    socket: Socket,
    pub address: SocketAddr,
}

impl DeadAddress {
    pub fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        DeadAddress { socket, address }
    }

    /// From now on somebody listens there.
    pub fn revive(self) -> TcpListener {
        self.socket.listen(16).unwrap();
        self.socket.into()
    }
}

/// A backend whose every connection is served by `serve` on a thread of its own.
pub fn raw_backend(serve: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Reads one head; without the empty line's CRLF when the stream ends first.
pub fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// A client's connection.
pub struct Client {
    pub stream: TcpStream,
}

/// One response as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn status(&self) -> &str {
        self.head.get(9..12).unwrap_or("---")
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends `bytes` in segments of one byte, as far as the other side takes them.
    pub fn drip(&mut self, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref() {
            if self.stream.write_all(&[*byte]).is_err() {
                return;
            }
        }
    }

    /// One response with a Content-Length.
    pub fn response(&mut self) -> Response {
        let head = read_head(&mut self.stream);
        let mut response = Response { head, body: Vec::new() };
        let length = response.field("Content-Length").map_or(0, |length| length.parse().unwrap());
        response.body = vec![0; length];
        self.stream.read_exact(&mut response.body).unwrap();
        response
    }

    pub fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.response()
    }

    /// Everything until the other side closes or resets.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let mut buffer = [0; 65536];
        while let Ok(count @ 1..) = self.stream.read(&mut buffer) {
            rest.extend_from_slice(&buffer[..count]);
        }
        rest
    }
}

/// Waits until `happened`.
pub fn eventually(happened: impl Fn() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < PATIENCE, "it does not happen");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Set to `full`, every test goes through every model; see "Representatives" in `main.rs`.
const MODE: &str = "ROUNDTABLE_CONFORMANCE";

/// A model of each driver, for tests that load the whole machine and find what the driver decides.
const REPRESENTATIVES: [&str; 5] = ["threads", "pool", "mio", "tokio", "uring"];

/// Runs `test` for every model, all at the same time: most tests wait rather than compute.
pub fn for_every_model(test: impl Fn(&str) + Sync) {
    assert!(!MODELS.is_empty());
    let failed: Vec<&str> = thread::scope(|scope| {
        let test = &test;
        let running: Vec<_> = MODELS.iter().map(|model| (model, scope.spawn(move || test(model)))).collect();
        running
            .into_iter()
            .filter_map(|(model, test)| test.join().is_err().then_some(model.as_str()))
            .collect()
    });
    assert!(failed.is_empty(), "the failing models are {failed:?}");
}

/// Runs `test` for one model after the other, where two at a time would disturb each other.
pub fn for_every_model_in_turn(test: impl Fn(&str) + std::panic::RefUnwindSafe) {
    in_turn(MODELS.iter().map(String::as_str), test);
}

/// The same for a model of each driver alone, or for every model in the full mode.
pub fn for_a_model_of_each_driver_in_turn(test: impl Fn(&str) + std::panic::RefUnwindSafe) {
    let is_full = std::env::var(MODE).is_ok_and(|mode| mode == "full");
    let is_chosen = |model: &&str| is_full || REPRESENTATIVES.contains(model);
    in_turn(MODELS.iter().map(String::as_str).filter(is_chosen), test);
}

fn in_turn<'a>(models: impl Iterator<Item = &'a str>, test: impl Fn(&str) + std::panic::RefUnwindSafe) {
    let mut count = 0;
    for model in models {
        if let Err(cause) = std::panic::catch_unwind(|| test(model)) {
            eprintln!("the failing model is {model}");
            std::panic::resume_unwind(cause);
        }
        count += 1;
    }
    assert!(count > 0, "there is no model to test");
}
