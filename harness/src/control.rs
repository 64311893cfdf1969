//! The child's side of the wire between the harness and the processes that it starts.
//!
//! A supervised child prints one JSON *ready* line, then obeys its standard input, a word a line:
//! `usage` is answered with one JSON line of [`Usage`], `go` opens the gate that
//! [`Control::wait_for_go`] waits at, an [`Order`] is carried out and then answered with it, and the end of input ends
//! the process, so that a killed harness leaves no orphans. Owns nothing of what the child does for a living.

use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvError, channel};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::data::Usage;

/// The first line that a server prints on its standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The address that it accepts connections at (port 0 resolved).
    pub listening: SocketAddr,
    /// Its process id.
    pub pid: u32,
}

impl Ready {
    /// The ready line of this process.
    pub fn at(listening: SocketAddr) -> Self {
        Ready { listening, pid: std::process::id() }
    }
}

/// What a backend can be told to do while it serves: the faults of a scenario, and their end. Its word is its JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Stop listening, and end each connection with the response in hand.
    Refuse,
    /// Listen again.
    Accept,
    /// Let each response leave so many milliseconds later; 0 ends it.
    DelayMs(u64),
}

/// Time since an unspecified point that is the same for all processes (Linux: `CLOCK_MONOTONIC`), nanoseconds.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| now.num_nanoseconds());
    u64::try_from(now).unwrap_or(0)
}

/// Prints `message` as one JSON line on standard output, at once.
pub fn announce(message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_string(message)?;
    line.push('\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(line.as_bytes())?;
    stdout.flush()
}

/// A supervised child's ear.
#[derive(Debug)]
pub struct Control {
    go: Receiver<()>,
}

impl Control {
    /// Starts to listen on standard input, in a thread of its own. Call it once, after the ready line.
    pub fn start() -> io::Result<Self> {
        Control::start_obeying(|_| {})
    }

    /// As [`Control::start`], for a child that has orders to carry out, which `carry_out` has done when it returns.
    pub fn start_obeying(carry_out: impl Fn(Order) + Send + 'static) -> io::Result<Self> {
        let (send_go, go) = channel();
        std::thread::Builder::new().name("control".into()).spawn(move || {
            for word in io::stdin().lock().lines().map_while(Result::ok) {
                match word.trim() {
                    "usage" => {
                        let told = usage_of_self().and_then(|usage| announce(&usage));
                        if told.is_err() {
                            break;
                        }
                    }
                    "go" => drop(send_go.send(())),
                    word => {
                        if let Ok(order) = serde_json::from_str::<Order>(word) {
                            carry_out(order);
                            if announce(&order).is_err() {
                                break;
                            }
                        }
                    }
                }
            }
            // The harness is gone or has no more use for this process.
            std::process::exit(0);
        })?;
        Ok(Control { go })
    }

    /// Blocks until the harness says `go`.
    pub fn wait_for_go(&self) -> Result<(), RecvError> {
        self.go.recv()
    }
}

/// What this process has used since it began. Threads that have ended are included, which a sum over
/// `/proc/<pid>/task` would miss. Peak memory is `VmHWM`: `ru_maxrss` survives `exec` and would report the parent's.
pub fn usage_of_self() -> io::Result<Usage> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| -> u64 {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
    };
    Ok(Usage {
        user_ns: u64::try_from(usage.user_time().num_nanoseconds()).unwrap_or(0),
        system_ns: u64::try_from(usage.system_time().num_nanoseconds()).unwrap_or(0),
        voluntary_switches: u64::try_from(usage.voluntary_context_switches()).unwrap_or(0),
        involuntary_switches: u64::try_from(usage.involuntary_context_switches()).unwrap_or(0),
        threads: field("Threads:"),
        peak_rss_bytes: field("VmHWM:") * 1024,
    })
}
