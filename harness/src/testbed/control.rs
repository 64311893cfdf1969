//! The child's side of the wire between the harness and the processes that it starts.
//!
//! A supervised child prints one JSON *ready* line, then obeys its standard input, a word a line:
//! `usage` is answered with one JSON line of [`Account`], `go` opens the gate that
//! [`Control::wait_for_go`] waits at, an [`Order`] is carried out and then answered with it, and the end of input ends
//! the process, so that a killed harness leaves no orphans. Owns nothing of what the child does for a living.

use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvError, channel};

use serde::{Deserialize, Serialize};

use crate::host::{Usage, usage_of_self};
use crate::load::LoadReport;

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

/// The line that a load generator prints when its window is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportLine {
    /// When the window began, on the clock that all processes of its machine share ([`crate::host::monotonic_ns`]).
    #[serde(default)]
    pub began_monotonic_ns: Option<u64>,
    /// What it measured.
    #[serde(flatten)]
    pub report: LoadReport,
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

/// What a child tells when it is asked for its usage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// What it has used so far.
    #[serde(flatten)]
    pub usage: Usage,
    /// Connections that each worker got so far, where a balancer's workers share nothing; else empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connections_by_worker: Vec<u64>,
}

impl From<Usage> for Account {
    fn from(usage: Usage) -> Self {
        Account { usage, ..Account::default() }
    }
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
        // The harness is gone or has no more use for this process.
        Control::start_for(|| Ok(usage_of_self()?.into()), carry_out, || std::process::exit(0))
    }

    /// As [`Control::start`], for a balancer that knows how many connections each of its workers got.
    pub fn start_counting(connections: impl Fn() -> Vec<u64> + Send + 'static) -> io::Result<Self> {
        let account = move || Ok(Account { usage: usage_of_self()?, connections_by_worker: connections() });
        Control::start_for(account, |_| {}, || std::process::exit(0))
    }

    /// As [`Control::start_obeying`], for a child that stands for others: `account` is of what they have used, and `at_end` is
    /// called when the harness is gone or has no more use for them.
    pub(crate) fn start_for(
        account: impl Fn() -> io::Result<Account> + Send + 'static,
        carry_out: impl Fn(Order) + Send + 'static,
        at_end: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (send_go, go) = channel();
        std::thread::Builder::new().name("control".into()).spawn(move || {
            for word in io::stdin().lock().lines().map_while(Result::ok) {
                match word.trim() {
                    "usage" => {
                        let told = account().and_then(|account| announce(&account));
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
            at_end();
        })?;
        Ok(Control { go })
    }

    /// Blocks until the harness says `go`.
    pub fn wait_for_go(&self) -> Result<(), RecvError> {
        self.go.recv()
    }
}
