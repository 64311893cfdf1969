//! The harness's end of the line to one host's agent.
//!
//! Owns launching the agent, its beats, and asking it for something; what becomes of its frames is [`super::hearing`]'s. Rules:
//! nothing here waits without a limit; an agent that has ended, or has given no sign of life for [`SILENCE`], is lost once and for all,
//! and every child on its host with it: whoever asks is told so. Round-trip times are those of beats; from the fastest of them
//! the host's clock is known to within half of it.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::frame::{self, Answer, Hello, Order, Question};
use super::hearing::{Ear, Entry, Shared, State, beat, lock};
use super::serve::SILENCE;
use crate::host::Counters;
use crate::testbed::child::{Local, Source, Tail};

/// Between two beats.
const BEAT: Duration = Duration::from_secs(1);
/// How long a launcher may take to bring the agent up: it may have to wait for a machine.
const HELLO_WITHIN: Duration = Duration::from_secs(60);
/// How long a host may take to answer.
const ANSWER_WITHIN: Duration = SILENCE;
/// How long an agent may take to leave: it gives its children two seconds.
const LEAVE_WITHIN: Duration = Duration::from_secs(4);
/// Between two looks at the interrupt, or at what is still there.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Beats that tell the round-trip time when a run begins.
const FIRST_BEATS: u64 = 20;

/// What is wrong with a host.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LinkError {
    /// Its agent could not be launched, or spoke otherwise than one does.
    #[error(
        "no agent came up on host {host}: {reason}; see whether `{command}` prints a line that begins with {{\"hello\" when you \
         enter it"
    )]
    NotUp {
        /// Its name.
        host: String,
        /// Why.
        reason: String,
        /// What was launched.
        command: String,
    },
    /// It was there and is no more.
    #[error("host {host} was lost: {how}")]
    Lost {
        /// Its name.
        host: String,
        /// What became of its agent.
        how: String,
    },
    /// It did not do what it was asked to.
    #[error("host {host} could not {what}: {reason}")]
    Refused {
        /// Its name.
        host: String,
        /// What it was asked for.
        what: String,
        /// Why not.
        reason: String,
    },
    /// The user wants to stop.
    #[error("interrupted")]
    Interrupted,
}

/// The line to the agent of one host. The agent ends with this value.
#[derive(Debug)]
pub struct Link {
    host: String,
    hello: Hello,
    orders: Option<Sender<Order>>,
    shared: Arc<Shared>,
    /// The launched process.
    process: Mutex<Local>,
    next: AtomicU64,
    /// Dropped to end the beats.
    beating: Option<Sender<()>>,
}

/// A child that an agent has started.
pub(super) struct Started {
    pub(super) id: u64,
    pub(super) pid: u32,
    /// How it ended, once that is known.
    pub(super) status: Arc<Mutex<Option<String>>>,
}

impl Link {
    /// Launches `command`, which starts an agent on `host`, and waits for its first words.
    pub(crate) fn launch(host: &str, command: Command, interrupt: &AtomicBool) -> Result<Self, LinkError> {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let told = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let not_up =
            |reason: String| LinkError::NotUp { host: host.to_owned(), reason, command: told.clone() };
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                lost: None,
                heard: Instant::now(),
                children: BTreeMap::new(),
                answers: BTreeMap::new(),
                beats: BTreeMap::new(),
                clock: None,
                fastest_ns: None,
            }),
            tail: Tail::default(),
        });
        let (send_hello, hello) = channel();
        let mut ear = Ear { shared: Arc::clone(&shared), hello: Some(send_hello) };
        let tail = shared.tail.clone();
        let mut process = Local::start(command, move |line| ear.hear(&line), move |line| tail.push(&line))
            .map_err(|reason| not_up(reason.to_string()))?;
        let (orders, beating) = begin(&shared, &mut process).map_err(|reason| not_up(reason.to_string()))?;
        let mut link = Link {
            host: host.to_owned(),
            hello: Hello::default(),
            orders: Some(orders),
            shared,
            process: Mutex::new(process),
            next: AtomicU64::new(0),
            beating: Some(beating),
        };
        match wait(&hello, HELLO_WITHIN, interrupt) {
            Ok(hello) => link.hello = hello,
            Err(Waited::Interrupted) => return Err(LinkError::Interrupted),
            Err(Waited::Over) => {
                let tail = link.shared.tail.told();
                return Err(not_up(format!("it said nothing within {} s{tail}", HELLO_WITHIN.as_secs())));
            }
            Err(Waited::Gone) => return Err(not_up(link.lost().unwrap_or_default())),
        }
        link.measure_round_trip(interrupt)?;
        Ok(link)
    }

    /// Who the agent is.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The host's name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The shortest time from a beat to its answer, nanoseconds.
    pub fn round_trip_ns(&self) -> Option<u64> {
        lock(&self.shared.state).fastest_ns
    }

    /// A time of the host's monotonic clock by the harness's, to within half a round trip, nanoseconds.
    pub(crate) fn here_ns(&self, there_ns: u64) -> Option<i128> {
        Some(i128::from(there_ns) - lock(&self.shared.state).clock?.offset_ns)
    }

    /// What became of the agent, if it is lost.
    pub(crate) fn lost(&self) -> Option<String> {
        let how = lock(&self.shared.state).lost.clone()?;
        // It may be reaped a moment after its output has closed, and what it wrote last be on its way.
        let deadline = Instant::now() + Duration::from_millis(500);
        let mut process = lock(&self.process);
        let mut ended = process.ended();
        while ended.is_none() && Instant::now() < deadline {
            std::thread::sleep(POLL_INTERVAL);
            ended = process.ended();
        }
        let ended = ended.map_or(String::new(), |status| format!(" ({status})"));
        Some(format!("{how}{ended}{}", self.shared.tail.told()))
    }

    /// The kernel's counters there, now.
    pub(crate) fn counters(&self, interrupt: &AtomicBool) -> Result<Counters, LinkError> {
        match self.ask(Question::Counters, interrupt)? {
            Answer::Counters(counters) => Ok(counters),
            other => Err(self.refused("tell its counters".to_owned(), other)),
        }
    }

    /// Has the agent take connections at `address`, at a port that this tells.
    pub fn be_reached(&self, address: IpAddr, interrupt: &AtomicBool) -> Result<SocketAddr, LinkError> {
        match self.ask(Question::Listen { address }, interrupt)? {
            Answer::Listening(address) => Ok(address),
            other => Err(self.refused(format!("listen at {address}, its address in the hosts file"), other)),
        }
    }

    /// The shortest time that it takes from there to connect to `address`, nanoseconds.
    pub fn reach_ns(&self, address: SocketAddr, interrupt: &AtomicBool) -> Result<u64, LinkError> {
        match self.ask(Question::Connect { address }, interrupt)? {
            Answer::Connected { fastest_ns } => Ok(fastest_ns),
            other => Err(self.refused(format!("connect to {address}"), other)),
        }
    }

    /// Has the agent start its own program with `args`; `source` is filled with what it says.
    pub(super) fn start(
        &self,
        args: Vec<String>,
        source: Source,
        interrupt: &AtomicBool,
    ) -> Result<Started, LinkError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (send, started) = channel();
        let status: Arc<Mutex<Option<String>>> = Arc::default();
        let entry = Entry { source, started: Some(send), status: Arc::clone(&status) };
        self.shared.unless_lost(|state| drop(state.children.insert(id, entry)));
        self.send(Order::Start { id, args });
        match wait(&started, ANSWER_WITHIN, interrupt) {
            Ok(Ok(pid)) => Ok(Started { id, pid, status }),
            Ok(Err(reason)) => Err(self.refusal("start a process".to_owned(), reason)),
            Err(over) => {
                // It may yet come up.
                self.send(Order::Kill { id });
                Err(self.not_waited(over, "start a process"))
            }
        }
    }

    fn ask(&self, question: Question, interrupt: &AtomicBool) -> Result<Answer, LinkError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (send, answer) = channel();
        self.shared.unless_lost(|state| drop(state.answers.insert(id, send)));
        self.send(Order::Ask { id, question });
        wait(&answer, ANSWER_WITHIN, interrupt).map_err(|over| self.not_waited(over, "answer"))
    }

    fn measure_round_trip(&self, interrupt: &AtomicBool) -> Result<(), LinkError> {
        // Other numbers than those of the steady beats.
        for number in 0..FIRST_BEATS {
            beat(&self.shared, self.orders.as_ref(), u64::MAX - number);
            let deadline = Instant::now() + ANSWER_WITHIN;
            while lock(&self.shared.state).beats.contains_key(&(u64::MAX - number)) {
                if interrupt.load(Ordering::Relaxed) {
                    return Err(LinkError::Interrupted);
                }
                if let Some(how) = self.lost() {
                    return Err(LinkError::Lost { host: self.host.clone(), how });
                }
                if Instant::now() >= deadline {
                    return Err(self.not_waited(Waited::Over, "answer"));
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        Ok(())
    }

    pub(super) fn send(&self, order: Order) {
        // When nobody takes it any more, the link is lost, or about to be.
        if let Some(orders) = &self.orders {
            let _ = orders.send(order);
        }
    }

    fn refused(&self, what: String, answer: Answer) -> LinkError {
        let reason = match answer {
            Answer::Failed(reason) => reason,
            other => format!("it answered something else ({other:?})"),
        };
        self.refusal(what, reason)
    }

    fn refusal(&self, what: String, reason: String) -> LinkError {
        LinkError::Refused { host: self.host.clone(), what, reason }
    }

    fn not_waited(&self, why: Waited, what: &'static str) -> LinkError {
        match why {
            Waited::Interrupted => LinkError::Interrupted,
            Waited::Over => {
                self.refusal(what.to_owned(), format!("it did not within {} s", ANSWER_WITHIN.as_secs()))
            }
            Waited::Gone => {
                let how = self.lost().unwrap_or_else(|| "its agent left it unanswered".to_owned());
                LinkError::Lost { host: self.host.clone(), how }
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        drop(self.beating.take());
        // With that its standard input closes.
        drop(self.orders.take());
        let mut process = lock(&self.process);
        let deadline = Instant::now() + LEAVE_WITHIN;
        while process.ended().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        process.kill();
    }
}

/// Starts the threads that write to the agent and beat.
fn begin(shared: &Arc<Shared>, process: &mut Local) -> std::io::Result<(Sender<Order>, Sender<()>)> {
    let stdin = process.take_stdin();
    let (orders, taken) = channel::<Order>();
    std::thread::Builder::new().name("orders".into()).spawn(move || {
        let Some(mut stdin) = stdin else { return };
        for order in taken {
            // Only an agent that no longer reads can make this fail.
            if stdin.write_all(frame::line(&order).as_bytes()).is_err() {
                return;
            }
        }
    })?;
    let (beating, stop) = channel::<()>();
    let (own, to) = (Arc::clone(shared), orders.clone());
    std::thread::Builder::new().name("beats".into()).spawn(move || {
        for number in 0.. {
            if !matches!(stop.recv_timeout(BEAT), Err(RecvTimeoutError::Timeout)) {
                return;
            }
            beat(&own, Some(&to), number);
            let mut state = lock(&own.state);
            if state.lost.is_none() && state.heard.elapsed() > SILENCE {
                state.lose(format!("it gave no sign of life for {} s", SILENCE.as_secs()));
            }
        }
    })?;
    Ok((orders, beating))
}

enum Waited {
    Interrupted,
    Over,
    /// Nobody will send it any more.
    Gone,
}

fn wait<T>(receiver: &Receiver<T>, within: Duration, interrupt: &AtomicBool) -> Result<T, Waited> {
    let deadline = Instant::now() + within;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left.min(POLL_INTERVAL)) {
            Ok(value) => return Ok(value),
            Err(RecvTimeoutError::Disconnected) => return Err(Waited::Gone),
            Err(RecvTimeoutError::Timeout) if interrupt.load(Ordering::Relaxed) => {
                return Err(Waited::Interrupted);
            }
            Err(RecvTimeoutError::Timeout) if left.is_zero() => return Err(Waited::Over),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}
