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
    pub(super) lost: Option<Lost>,
    pub(super) heard: Instant,
    pub(super) children: BTreeMap<u64, Entry>,
    pub(super) answers: BTreeMap<u64, Sender<Answer>>,
    /// When each beat that is not answered yet was sent.
    pub(super) beats: BTreeMap<u64, u64>,
    pub(super) clock: Option<Clock>,
    pub(super) fastest_ns: Option<u64>,
}

/// What became of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    /// In words.
    pub(super) how: String,
    /// Its standard output has closed: its process has ended, or is about to.
    pub(super) is_closed: bool,
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
    /// Nothing is known yet.
    pub(super) fn new() -> Self {
        let state = State {
            lost: None,
            heard: Instant::now(),
            children: BTreeMap::new(),
            answers: BTreeMap::new(),
            beats: BTreeMap::new(),
            clock: None,
            fastest_ns: None,
        };
        Shared { state: Mutex::new(state), tail: Tail::default() }
    }

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
                state.lose(format!("it said what is no frame ({error}): {}", shortened(line)), false);
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
        lock(&self.shared.state).lose("its agent ended".to_owned(), true);
        self.hello = None;
    }
}

impl State {
    /// From now on there is nobody: who waits for something is told by the end of what it waits at.
    pub(super) fn lose(&mut self, how: String, is_closed: bool) {
        let first = self.lost.take().unwrap_or(Lost { how, is_closed });
        self.lost = Some(Lost { is_closed: first.is_closed || is_closed, ..first });
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::testbed::child::output;

    fn ear() -> (Arc<Shared>, Ear) {
        let shared = Arc::new(Shared::new());
        (Arc::clone(&shared), Ear { shared, hello: None })
    }

    fn hear(ear: &mut Ear, report: &Report) -> bool {
        ear.hear(frame::line(report).trim_end())
    }

    #[test]
    fn a_child_is_told_its_lines_and_its_end_and_one_that_is_not_known_is_nobodys() {
        let (shared, mut ear) = ear();
        let (source, output) = output();
        let status = Arc::default();
        shared.unless_lost(|state| {
            state.children.insert(7, Entry { source, started: None, status: Arc::clone(&status) });
        });
        for id in [7, 8] {
            assert!(hear(&mut ear, &Report::Line { id, line: format!("line of {id}") }));
            assert!(hear(&mut ear, &Report::Error { id, line: format!("error of {id}") }));
            assert!(hear(&mut ear, &Report::Ended { id, status: "exit status: 3".into() }));
        }
        assert_eq!(output.lines.iter().collect::<Vec<_>>(), ["line of 7"]);
        assert!(output.tail.told().ends_with("error of 7"), "{}", output.tail.told());
        assert_eq!(lock(&status).as_deref(), Some("exit status: 3"));
    }

    #[test]
    fn whoever_waits_is_told_when_the_agent_is_lost_and_the_first_reason_stays() {
        let (shared, mut ear) = ear();
        let ((source, output), (send, answer)) = (output(), channel());
        shared.unless_lost(|state| {
            state.children.insert(1, Entry { source, started: None, status: Arc::default() });
            state.answers.insert(2, send);
        });
        assert!(!ear.hear("what is no frame"));
        assert!(output.lines.recv().is_err() && answer.recv().is_err());
        shared.unless_lost(|_| panic!("it is lost"));
        drop(ear);
        let lost = lock(&shared.state).lost.clone().unwrap();
        assert!(lost.how.ends_with("what is no frame") && lost.is_closed, "{lost:?}");
    }

    #[test]
    fn what_comes_before_the_first_frame_is_kept_and_no_loss() {
        let (shared, mut ear) = ear();
        let (send, hello) = channel();
        ear.hello = Some(send);
        assert!(ear.hear("Welcome to host a"));
        assert!(hear(&mut ear, &Report::Hello(Box::default())));
        assert_eq!(hello.recv().unwrap(), Hello::default());
        assert!(shared.tail.told().ends_with("Welcome to host a"));
        assert!(!ear.hear("Welcome again"));
    }

    #[test]
    fn a_beats_answer_tells_the_round_trip_and_the_hosts_clock() {
        let (shared, mut ear) = ear();
        beat(&shared, None, 5);
        // A host whose clock is an hour ahead.
        let ahead = 3_600_000_000_000;
        assert!(hear(&mut ear, &Report::Beat { number: 5, monotonic_ns: monotonic_ns() + ahead }));
        let state = lock(&shared.state);
        let (clock, fastest) = (state.clock.unwrap(), state.fastest_ns.unwrap());
        assert_eq!(clock.round_trip_ns, fastest);
        assert!((clock.offset_ns - i128::from(ahead)).unsigned_abs() <= u128::from(fastest), "{clock:?}");
        assert!(state.beats.is_empty());
    }
}
