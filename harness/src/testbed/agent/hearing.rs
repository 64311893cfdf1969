//! What becomes of the frames that an agent sends.
//!
//! Owns who waits for what, the readings of the host's clock, and that an agent which is lost stays so. Rule: whoever waits is told of
//! a loss by the end of what it waits at.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::frame::{self, Answer, Hello, Order, Report};
use crate::host::monotonic_ns;
use crate::testbed::child::{Source, Tail, shortened};

/// How long a reading of a host's clock may be used where a newer one is less exact: clocks drift apart.
const CLOCK_LASTS: Duration = Duration::from_secs(20);

/// What the threads of a link share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    /// What the launched process wrote to standard error.
    pub(super) tail: Tail,
}

#[derive(Debug)]
pub(super) struct State {
    /// Why there is nobody any more.
    pub(super) lost: Option<String>,
    pub(super) heard: Instant,
    pub(super) children: BTreeMap<u64, Entry>,
    pub(super) answers: BTreeMap<u64, Sender<Answer>>,
    /// When each beat that is not answered yet was sent.
    pub(super) beats: BTreeMap<u64, u64>,
    pub(super) clock: Option<Clock>,
    pub(super) fastest_ns: Option<u64>,
}

/// A host's clock beside that of the harness.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) read: Instant,
    pub(super) round_trip_ns: u64,
    /// What the host's clock shows when the harness's shows zero.
    pub(super) offset_ns: i128,
}

impl Shared {
    /// What waits to be told of something is dropped where nobody will tell of it.
    pub(super) fn unless_lost(&self, what: impl FnOnce(&mut State)) {
        let mut state = lock(&self.state);
        if state.lost.is_none() {
            what(&mut state);
        }
    }
}

/// A child on the host, as far as frames about it are concerned.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) source: Source,
    pub(super) started: Option<Sender<Result<u32, String>>>,
    pub(super) status: Arc<Mutex<Option<String>>>,
}

pub(super) fn beat(shared: &Shared, orders: Option<&Sender<Order>>, number: u64) {
    let mut state = lock(&shared.state);
    if state.lost.is_some() {
        return;
    }
    state.beats.insert(number, monotonic_ns());
    if let Some(orders) = orders {
        let _ = orders.send(Order::Beat { number });
    }
}

/// Hears what the agent says. The agent is lost when this is dropped: its standard output has closed.
pub(super) struct Ear {
    pub(super) shared: Arc<Shared>,
    pub(super) hello: Option<Sender<Hello>>,
}

impl Ear {
    /// Whether to go on listening.
    pub(super) fn hear(&mut self, line: &str) -> bool {
        let mut state = lock(&self.shared.state);
        state.heard = Instant::now();
        let report = match frame::parse::<Report>(line) {
            Ok(report) => report,
            // A shell on the way may greet.
            Err(_) if self.hello.is_some() => {
                self.shared.tail.push(line);
                return true;
            }
            Err(error) => {
                state.lose(format!("it said what is no frame ({error}): {}", shortened(line)));
                return false;
            }
        };
        match report {
            Report::Hello(hello) => {
                if let Some(to) = self.hello.take() {
                    let _ = to.send(*hello);
                }
            }
            report => state.take(report),
        }
        state.lost.is_none()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        lock(&self.shared.state).lose("its agent ended".to_owned());
        self.hello = None;
    }
}

impl State {
    /// From now on there is nobody: who waits for something is told by the end of what it waits at.
    pub(super) fn lose(&mut self, how: String) {
        if self.lost.is_none() {
            self.lost = Some(how);
        }
        self.children.clear();
        self.answers.clear();
        self.beats.clear();
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Hello(_) => {}
            Report::Started { id, pid } => self.started(id, Ok(pid)),
            Report::NotStarted { id, reason } => {
                self.started(id, Err(reason));
                self.children.remove(&id);
            }
            // Whoever does not listen any more has no use for it.
            Report::Line { id, line } => {
                if let Some(child) = self.children.get(&id) {
                    let _ = child.source.lines.send(line);
                }
            }
            Report::Error { id, line } => {
                if let Some(child) = self.children.get(&id) {
                    child.source.tail.push(&line);
                }
            }
            Report::Ended { id, status } => {
                if let Some(child) = self.children.remove(&id) {
                    *lock(&child.status) = Some(status);
                }
            }
            Report::Beat { number, monotonic_ns: there } => {
                let Some(sent) = self.beats.remove(&number) else { return };
                let round_trip_ns = monotonic_ns().saturating_sub(sent);
                let middle = i128::from(sent) + i128::from(round_trip_ns / 2);
                let clock =
                    Clock { read: Instant::now(), round_trip_ns, offset_ns: i128::from(there) - middle };
                let is_better =
                    |known: Clock| round_trip_ns < known.round_trip_ns || known.read.elapsed() > CLOCK_LASTS;
                if self.clock.is_none_or(is_better) {
                    self.clock = Some(clock);
                }
                self.fastest_ns = Some(self.fastest_ns.unwrap_or(u64::MAX).min(round_trip_ns));
            }
            Report::Answered { id, answer } => {
                if let Some(to) = self.answers.remove(&id) {
                    let _ = to.send(answer);
                }
            }
        }
    }

    fn started(&mut self, id: u64, how: Result<u32, String>) {
        if let Some(to) = self.children.get_mut(&id).and_then(|child| child.started.take()) {
            let _ = to.send(how);
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
