//! What runs out on the balancer's own machine: descriptors, ports, and whatever a crowd of clients could leak.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::stage::reset;
use crate::support::{
    Client, PATIENCE, Server, eventually, for_a_model_of_each_driver_in_turn, for_every_model,
    for_every_model_in_turn,
};

/// Few enough that a test can use them all up.
const DESCRIPTORS: usize = 40;

/// Two backends and a balancer that would leave one out for an hour.
fn with_few_descriptors(model: &str) -> ([Server; 2], Server) {
    let backends = ["a", "b"].map(|name| Server::backend(name, &[]));
    let addresses = backends.each_ref().map(|backend| backend.address);
    // Whoever is refused keeps its descriptor as long as it likes.
    let options = ["--retry-interval", "1h", "--linger-timeout", "1h"];
    let balancer = Server::balancer_with_descriptors(DESCRIPTORS, model, &addresses, &options);
    (backends, balancer)
}

/// So many clients that the balancer has no descriptor left and most of them wait to be accepted.
fn crowd(balancer: &Server) -> Vec<Client> {
    let crowd = (0..2 * DESCRIPTORS).map(|_| Client::connect(balancer.address)).collect();
    eventually(|| balancer.open_descriptors() >= DESCRIPTORS);
    crowd
}

/// Both backends have their turns: none is left out.
fn has_equal_turns(address: SocketAddr) -> bool {
    let mut turns = BTreeMap::<String, usize>::new();
    for _ in 0..4 {
        let response = Client::connect(address).get("/");
        *turns.entry(response.field("X-Backend").unwrap_or("nobody").to_owned()).or_default() += 1;
    }
    turns == BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 2)])
}

#[test]
fn want_of_descriptors_at_accept_is_survived_without_spinning() {
    for_every_model(|model| {
        let (_backends, balancer) = with_few_descriptors(model);
        let crowd = crowd(&balancer);
        let before = balancer.cpu_ticks();
        thread::sleep(Duration::from_millis(500));
        // A tick is ten milliseconds: spinning takes fifty, fewer on a busy machine, and a look every 100 ms next to none.
        assert!(balancer.cpu_ticks() - before <= 3, "{model} spins");
        assert!(balancer.open_descriptors() >= DESCRIPTORS, "{model}: the want is over");
        drop(crowd);
        // Those that wait are accepted first, and may once more leave no descriptor for a backend.
        eventually(|| Client::connect(balancer.address).get("/").status() == "200");
    });
}

#[test]
fn want_of_a_descriptor_towards_a_backend_is_503_and_leaves_no_backend_out() {
    for_every_model(|model| {
        let (_backends, balancer) = with_few_descriptors(model);
        let mut crowd = crowd(&balancer);
        // The first ones were accepted.
        for client in &mut crowd[..2] {
            assert_eq!(client.get("/").status(), "503", "{model}");
        }
        drop(crowd);
        // A backend that was left out would be so for an hour.
        eventually(|| has_equal_turns(balancer.address));
    });
}

/// Set in the process that this test starts in a network of its own.
const IN_OWN_NETWORK: &str = "ROUNDTABLE_TEST_IN_OWN_NETWORK";

#[test]
fn want_of_a_port_towards_a_backend_is_503_and_leaves_no_backend_out() {
    if std::env::var_os(IN_OWN_NETWORK).is_some() {
        return with_few_ports();
    }
    // In a network namespace the whole range of ports can be small without anybody else noticing.
    let can = Command::new("unshare").args(["--user", "--map-root-user", "--net", "ip", "link"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no network namespace to be had (unshare --user --net and ip)");
        return;
    }
    let mut again = Command::new("unshare");
    again.args(["--user", "--map-root-user", "--net"]).arg(std::env::current_exe().unwrap());
    again.args(["--exact", "exhaustion::want_of_a_port_towards_a_backend_is_503_and_leaves_no_backend_out"]);
    let output = again.arg("--nocapture").env(IN_OWN_NETWORK, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn with_few_ports() {
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    for_every_model_in_turn(|model| {
        let backends = ["a", "b"].map(|name| Server::backend(name, &[]));
        let addresses = backends.each_ref().map(|backend| backend.address);
        let balancer = Server::balancer(model, &addresses, &["--retry-interval", "1h"]);
        let range = "/proc/sys/net/ipv4/ip_local_port_range";
        let usual = std::fs::read_to_string(range).unwrap();
        // None of these is listened at: a port serves once for each address connected to.
        std::fs::write(range, "20000 20009").unwrap();
        let taken: Vec<TcpStream> = (0..10)
            .flat_map(|_| addresses.map(TcpStream::connect))
            .map(|stream| stream.expect("a port for each"))
            .collect();
        assert!(TcpStream::connect(addresses[0]).is_err(), "there is a port left");
        for _ in 0..2 {
            assert_eq!(Client::connect(balancer.address).get("/").status(), "503", "{model}");
        }
        taken.into_iter().for_each(reset);
        assert!(has_equal_turns(balancer.address), "{model}: a backend is left out");
        std::fs::write(range, usual).unwrap();
    });
}

/// So many clients that connect, ask for something or not, and reset.
fn crowd_of_resets(address: SocketAddr, count: usize) {
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..count / 4 {
                    let mut client = Client::connect(address);
                    match number % 4 {
                        0 => {}
                        1 => client.send("GET / HTTP/1.1\r\nHo"),
                        2 => client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
                        _ => client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\nhello"),
                    }
                    reset(client.stream);
                }
            });
        }
    });
    assert_eq!(Client::connect(address).get("/").status(), "200");
}

/// What a balancer holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// Without those of connections to backends, which are kept for later use: as many as the backends have open.
    descriptors: isize,
    threads: u64,
    memory_kib: u64,
}

impl Held {
    /// As soon as the descriptors have not changed for a while.
    fn by(balancer: &Server, backends: &[Server]) -> Self {
        let count = || {
            let kept: usize = backends.iter().map(Server::open_descriptors).sum();
            balancer.open_descriptors().cast_signed() - kept.cast_signed()
        };
        let mut descriptors = count();
        let mut still = 0;
        while still < 10 {
            thread::sleep(Duration::from_millis(20));
            let now = count();
            still = if now == descriptors { still + 1 } else { 0 };
            descriptors = now;
        }
        Held { descriptors, threads: balancer.status("Threads"), memory_kib: balancer.status("VmRSS") }
    }

    /// The same, once descriptors and threads are back at `baseline` or a test's patience is over.
    fn by_in_the_end(balancer: &Server, backends: &[Server], baseline: Held) -> Self {
        let start = Instant::now();
        loop {
            let held = Held::by(balancer, backends);
            if held.is_back_at(baseline) || start.elapsed() > PATIENCE {
                return held;
            }
        }
    }

    fn is_back_at(self, baseline: Held) -> bool {
        self.descriptors <= baseline.descriptors + 8 && self.threads <= baseline.threads + 2
    }
}

#[test]
fn ten_thousand_clients_that_connect_and_reset_leave_nothing_behind() {
    const WAVE: usize = 5000;
    for_a_model_of_each_driver_in_turn(|model| {
        let backends = [Server::backend("a", &[])];
        let balancer = Server::balancer(model, &[backends[0].address], &[]);
        crowd_of_resets(balancer.address, WAVE);
        let baseline = Held::by(&balancer, &backends);
        let mut before = baseline;
        for _ in 0..6 {
            crowd_of_resets(balancer.address, WAVE);
            let after = Held::by_in_the_end(&balancer, &backends, baseline);
            assert!(after.is_back_at(baseline), "{model}: {baseline:?} became {after:?}");
            // A higher peak than any before may grow the heap for good; what leaks would grow it in every wave.
            if after.memory_kib <= before.memory_kib + WAVE as u64 / 4 {
                return;
            }
            before = after;
        }
        panic!("{model}: every wave costs memory: {baseline:?} became {before:?}");
    });
}

#[test]
#[ignore = "takes ten minutes, or as many seconds as ROUNDTABLE_SOAK_SECONDS says"]
fn a_soak_leaves_descriptors_threads_and_memory_flat() {
    let seconds = std::env::var("ROUNDTABLE_SOAK_SECONDS").map_or(600, |text| text.parse().unwrap());
    for_every_model(|model| {
        let backends = ["a", "b"].map(|name| Server::backend(name, &[]));
        let balancer = Server::balancer(model, &backends.each_ref().map(|backend| backend.address), &[]);
        let wave = || {
            crowd_of_resets(balancer.address, 200);
            let mut persistent = Client::connect(balancer.address);
            for _ in 0..200 {
                assert_eq!(persistent.get("/").status(), "200", "{model}");
                assert_eq!(Client::connect(balancer.address).get("/").status(), "200", "{model}");
            }
        };
        (0..10).for_each(|_| wave());
        let baseline = Held::by(&balancer, &backends);
        for tenth in 1..=10 {
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(seconds) / 10 {
                wave();
            }
            let now = Held::by_in_the_end(&balancer, &backends, baseline);
            println!("{model}: after {tenth}0 %: {now:?}");
            let flat = now.is_back_at(baseline) && now.memory_kib <= baseline.memory_kib + 16 * 1024;
            assert!(flat, "{model}: {baseline:?} became {now:?}");
        }
    });
}
