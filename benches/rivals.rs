//! `cargo bench --bench rivals`: our balancers beside nginx and HAProxy on the same work in the same run.
//!
//! Owns the rivals' configurations (one worker each, persistent connections to the backends, no log) and one
//! interleaved measurement: blocks in random order, a fresh balancer process for each trial, load by `wrk` (persistent
//! client connections) and `ab` (one request a connection), CPU time from the kernel's clock of each process.
//! The ratio is taken within a block. A rival or a client that is not installed is left out with one line.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a benchmark that cannot go on ends with a panic")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use roundtable_harness::testbed::accounting::usage_of_tree;
use roundtable_harness::testbed::control::Ready;

const ROUNDTABLE: &str = env!("CARGO_BIN_EXE_roundtable");

/// Compare roundtable's models with nginx and HAProxy.
#[derive(Debug, Parser)]
struct Args {
    /// Blocks: each holds every balancer once, in random order
    #[arg(long, default_value_t = 10)]
    blocks: u32,
    /// Requests of one `ab` trial
    #[arg(long, default_value_t = 10_000)]
    requests: u64,
    /// Seconds of one `wrk` trial
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Requests outstanding at any time
    #[arg(long, default_value_t = 10)]
    concurrency: u32,
    /// Backends behind each balancer
    #[arg(long, default_value_t = 3)]
    backends: u32,
    /// Balancers, of `threads,pool,mio,tokio,nginx,haproxy`
    #[arg(long, value_delimiter = ',', default_value = "mio,tokio,threads,pool,nginx,haproxy")]
    balancers: Vec<String>,
    /// Seed of the order
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What `cargo bench` passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// One trial's outcome.
#[derive(Debug, Clone, Copy)]
struct Trial {
    requests_per_second: f64,
    cpu_us_per_request: f64,
}

fn main() {
    let args = Args::parse();
    let mut balancers = args.balancers.clone();
    balancers.retain(|name| {
        let needed = matches!(name.as_str(), "nginx" | "haproxy");
        let found = !needed || is_installed(name);
        if !found {
            println!("{name} is not installed: left out");
        }
        found
    });
    let backends: Vec<Process> = (0..args.backends).map(|_| Process::backend()).collect();
    let addresses: Vec<SocketAddr> = backends.iter().map(|backend| backend.address).collect();
    for (client, connections) in [("wrk", "persistent connections"), ("ab", "one request a connection")] {
        if !is_installed(client) {
            println!("{client} is not installed: {connections} left out");
            continue;
        }
        let trials = measure(&args, client, &balancers, &addresses);
        println!(
            "\n{client}, {connections}, c = {}, {} backends, {} blocks (median, minimum to maximum)",
            args.concurrency, args.backends, args.blocks
        );
        print!("{}", table(&balancers, &trials));
    }
}

/// By balancer, the trials in the order of the blocks.
fn measure(
    args: &Args,
    client: &str,
    balancers: &[String],
    backends: &[SocketAddr],
) -> BTreeMap<String, Vec<Trial>> {
    let mut random = ChaCha8Rng::seed_from_u64(args.seed);
    let mut trials = BTreeMap::<String, Vec<Trial>>::new();
    for _ in 0..args.blocks {
        let mut order: Vec<&String> = balancers.iter().collect();
        order.shuffle(&mut random);
        for name in order {
            let balancer = Process::balancer(name, backends);
            trials.entry(name.clone()).or_default().push(trial(args, client, &balancer));
        }
    }
    trials
}

fn trial(args: &Args, client: &str, balancer: &Process) -> Trial {
    let url = format!("http://{}/", balancer.address);
    let concurrency = args.concurrency.to_string();
    // Connections to the backends are made before the window.
    drive(Command::new("ab").args(["-q", "-k", "-n", "500", "-c", &concurrency, &url]), "Complete requests:");
    let cpu = balancer.cpu();
    let start = Instant::now();
    let requests = match client {
        "wrk" => {
            let seconds = format!("{}s", args.seconds);
            drive(Command::new("wrk").args(["-t1", "-c", &concurrency, "-d", &seconds, &url]), "requests in")
        }
        _ => {
            let number = args.requests.to_string();
            drive(
                Command::new("ab").args(["-q", "-n", &number, "-c", &concurrency, &url]),
                "Complete requests:",
            )
        }
    };
    let elapsed = start.elapsed();
    Trial {
        requests_per_second: requests / elapsed.as_secs_f64(),
        cpu_us_per_request: (balancer.cpu() - cpu).as_secs_f64() * 1e6 / requests,
    }
}

/// Runs a client to its end; the number on the line of its output that has `marker`.
fn drive(command: &mut Command, marker: &str) -> f64 {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for bad in ["Non-2xx", "Socket errors"] {
        assert!(!text.contains(bad), "the client saw errors: {text}");
    }
    assert!(
        !text.contains("Failed requests:") || text.contains("Failed requests:        0"),
        "failures: {text}"
    );
    let line = text.lines().find(|line| line.contains(marker)).unwrap_or_else(|| panic!("no result: {text}"));
    line.split_whitespace().find_map(|word| word.parse().ok()).unwrap()
}

fn table(balancers: &[String], trials: &BTreeMap<String, Vec<Trial>>) -> String {
    let mut text = format!(
        "{:<10}{:>12}{:>28}{:>26}{:>26}\n",
        "balancer", "requests/s", "CPU µs a request", "CPU ratio to nginx", "CPU ratio to HAProxy"
    );
    for name in balancers {
        let own = &trials[name];
        let rate = spread(own.iter().map(|trial| trial.requests_per_second));
        let cpu = spread(own.iter().map(|trial| trial.cpu_us_per_request));
        let _ = write!(text, "{name:<10}{:>12.0}{:>28}", rate[1], shown(cpu));
        for rival in ["nginx", "haproxy"] {
            let ratio = trials.get(rival).map(|theirs| {
                shown(spread(
                    own.iter().zip(theirs).map(|(a, b)| a.cpu_us_per_request / b.cpu_us_per_request),
                ))
            });
            let _ = write!(text, "{:>26}", ratio.unwrap_or_default());
        }
        text.push('\n');
    }
    text
}

fn shown([least, median, most]: [f64; 3]) -> String {
    format!("{median:.2} ({least:.2} to {most:.2})")
}

/// Minimum, median, maximum.
fn spread(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let median = if values.len().is_multiple_of(2) {
        (values[middle - 1] + values[middle]) / 2.0
    } else {
        values[middle]
    };
    [values[0], median, values[values.len() - 1]]
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into()]).any(|folder| folder.join(program).is_file())
}

/// A server that ends with this value.
struct Process {
    child: Child,
    address: SocketAddr,
    /// Its configuration, while it lives.
    _folder: Option<tempfile::TempDir>,
}

impl Process {
    fn backend() -> Self {
        Process::announced(Command::new(ROUNDTABLE).args(["backend", "--listen", "127.0.0.1:0"]))
    }

    fn balancer(name: &str, backends: &[SocketAddr]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let config = folder.path().join("config");
        let mut command = match name {
            "nginx" => {
                std::fs::write(&config, nginx_config(address, backends, folder.path())).unwrap();
                let mut command = Command::new("nginx");
                command.arg("-p").arg(folder.path()).arg("-e").arg(folder.path().join("error.log"));
                command.arg("-c").arg(&config);
                command
            }
            "haproxy" => {
                std::fs::write(&config, haproxy_config(address, backends)).unwrap();
                let mut command = Command::new("haproxy");
                command.arg("-db").arg("-f").arg(&config);
                command
            }
            model => {
                let mut command = Command::new(ROUNDTABLE);
                command.args(["balance", "--model", model, "--listen", "127.0.0.1:0"]);
                if model == "tokio" {
                    // One worker each, like the rivals. A pool of one would not be a pool.
                    command.args(["--workers", "1"]);
                }
                for backend in backends {
                    command.args(["--backend", &backend.to_string()]);
                }
                return Process::announced(&mut command);
            }
        };
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "{name} does not accept connections");
            std::thread::sleep(Duration::from_millis(10));
        }
        Process { child, address, _folder: Some(folder) }
    }

    fn announced(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Ready = serde_json::from_str(&line).unwrap();
        Process { child, address: ready.listening, _folder: None }
    }

    /// CPU time used so far by the process and by workers that it has forked.
    fn cpu(&self) -> Duration {
        Duration::from_nanos(usage_of_tree(self.child.id()).unwrap().cpu_ns())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // nginx ends its worker on SIGTERM only.
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn nginx_config(address: SocketAddr, backends: &[SocketAddr], folder: &Path) -> String {
    let servers: String = backends.iter().map(|backend| format!("server {backend};")).collect();
    let folder = folder.display();
    format!(
        "daemon off; master_process on; worker_processes 1; pid {folder}/pid; user root;\n\
         error_log {folder}/error.log crit;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 100000000; tcp_nodelay on; server_tokens off;\n\
         client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;\n\
         uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;\n\
         upstream all {{ {servers} keepalive 64; keepalive_requests 100000000; }}\n\
         server {{ listen {address} backlog=1024; location / {{ proxy_pass http://all; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_set_header Host $host; proxy_set_header Via \"1.1 nginx\";\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; add_header Via \"1.1 nginx\"; }} }} }}\n"
    )
}

fn haproxy_config(address: SocketAddr, backends: &[SocketAddr]) -> String {
    let servers: String =
        backends.iter().enumerate().map(|(n, backend)| format!("  server s{n} {backend}\n")).collect();
    format!(
        "global\n  nbthread 1\n  maxconn 4096\n\
         defaults\n  mode http\n  timeout connect 2s\n  timeout client 60s\n  timeout server 30s\n\
         \x20 timeout http-request 10s\n  timeout http-keep-alive 60s\n  option http-keep-alive\n\
         \x20 http-reuse always\n  option forwardfor\n\
         frontend f\n  bind {address} backlog 1024\n  default_backend b\n\
         backend b\n  balance roundrobin\n  http-request add-header Via \"1.1 haproxy\"\n\
         \x20 http-response add-header Via \"1.1 haproxy\"\n{servers}"
    )
}
