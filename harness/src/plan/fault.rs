//! Faults that befall backends, and surges of the load: the grammar of `--fault`, what makes no sense in it, and what is called suffering.
//!
//! Owns the parsing and the checks; carrying a script out is [`crate::trial::faults`]'s affair. An event is NAME@TIME, or
//! NAME=BACKEND@TIME for another backend than the last one; events are separated by commas, in the order of their times,
//! which count from the first request of the timed window. A surge multiplies the rate until it calms down: surge=3@2s,calm@4s.
//! Rule: a fault that begins is over before the same backend's next one, and a surge before the next one.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The latest that an event may come, after the beginning.
pub const LATEST: Duration = Duration::from_secs(60);
/// Events of one script at most.
pub const MOST_EVENTS: usize = 16;
/// How much later a slow backend's responses leave.
pub const SLOW_BY: Duration = Duration::from_millis(500);

const NAMES: &str = "kill-backend, slow-backend, refuse, restore, surge and calm";
/// The most times the rate that a surge is.
pub const MOST_TIMES: u32 = 100;
/// Stands for the load where an event has a backend.
pub const LOAD: u32 = 0;

/// What befalls a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Its process gets SIGKILL.
    KillBackend,
    /// Each of its responses leaves [`SLOW_BY`] later.
    SlowBackend,
    /// It stops listening and ends its connections in order, an idle one at once and the others with the response in hand:
    /// whoever connects is refused.
    Refuse,
    /// It is again as it was: started at the same address, prompt, listening.
    Restore,
    /// From then on so many times the rate is due.
    Surge {
        /// How many times.
        times: u32,
    },
    /// The rate is again what it was.
    Calm,
}

impl Act {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Act::KillBackend => "kill-backend",
            Act::SlowBackend => "slow-backend",
            Act::Refuse => "refuse",
            Act::Restore => "restore",
            Act::Surge { .. } => "surge",
            Act::Calm => "calm",
        }
    }

    /// Whether it ends what another event began.
    pub fn is_end(self) -> bool {
        matches!(self, Act::Restore | Act::Calm)
    }

    /// Whether it is of the load, not of a backend.
    pub fn is_of_the_load(self) -> bool {
        matches!(self, Act::Surge { .. } | Act::Calm)
    }
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Event {
    /// What.
    pub act: Act,
    /// To which backend: 1 is the first, [`LOAD`] the load.
    pub backend: u32,
    /// When it is to happen, milliseconds after the beginning of the timed window.
    pub at_ms: u64,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backend = Some(self.backend).filter(|_| !self.act.is_of_the_load());
        DraftEvent { act: self.act, backend, at_ms: self.at_ms }.fmt(f)
    }
}

/// A script whose backends are all named: its events in order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FaultScript {
    /// In the order of their times.
    pub events: Vec<Event>,
}

impl fmt::Display for FaultScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events: Vec<_> = self.events.iter().map(ToString::to_string).collect();
        f.write_str(&events.join(","))
    }
}

impl FaultScript {
    /// How long it takes until the last event, from the beginning.
    pub fn length(&self) -> Duration {
        Duration::from_millis(self.events.last().map_or(0, |event| event.at_ms))
    }

    /// Its surges, in order.
    pub fn surges(&self) -> Vec<Surge> {
        let surge = |(place, end): (usize, Option<usize>)| {
            let Event { act: Act::Surge { times }, at_ms, .. } = self.events[place] else { return None };
            Some(Surge { times, from_ms: at_ms, until_ms: end.map(|end| self.events[end].at_ms) })
        };
        self.episodes().into_iter().filter_map(surge).collect()
    }

    /// Each fault's place among the events, with that of the event that ends it.
    pub fn episodes(&self) -> Vec<(usize, Option<usize>)> {
        let is_fault = |&(_, event): &(usize, &Event)| !event.act.is_end();
        let end = |(place, fault): (usize, &Event)| {
            let after = self.events[place..].iter();
            let ends = |event: &Event| event.act.is_end() && event.backend == fault.backend;
            (place, after.clone().position(ends).map(|steps| place + steps))
        };
        self.events.iter().enumerate().filter(is_fault).map(end).collect()
    }
}

/// When so many times the rate is due, milliseconds after the beginning of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surge {
    /// How many times.
    pub times: u32,
    /// From then on…
    pub from_ms: u64,
    /// …until then; `None`: to the end.
    pub until_ms: Option<u64>,
}

/// What is done to the backends of a trial, and what is called suffering.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Faults {
    /// The events, in order.
    #[serde(alias = "scenario")]
    pub script: FaultScript,
    /// How long requests go on coming due after the last event, milliseconds.
    pub after_ms: u64,
    /// A response that ends later than this after its request was due is late, milliseconds.
    pub late_ms: u64,
    /// How long a request may take from when it is sent, milliseconds.
    pub timeout_ms: u64,
    /// Length of a bucket of the timeline, milliseconds.
    pub bucket_ms: u64,
}

impl Faults {
    /// `script` with what is usual: a balancer tries a backend again within a second, so that three tell whether it did; late
    /// is two hundred times what an answer takes, and no pause of a busy machine that is common.
    pub fn of(script: FaultScript) -> Self {
        Faults { script, after_ms: 3000, late_ms: 100, timeout_ms: 5000, bucket_ms: 100 }
    }

    /// Length of the timed window, milliseconds.
    pub fn window_ms(&self) -> u64 {
        u64::try_from(self.script.length().as_millis()).unwrap_or(u64::MAX).saturating_add(self.after_ms)
    }

    /// Requests that come due in the window.
    pub fn requests_at(&self, rate: u64) -> u64 {
        let surplus = self.script.surges().into_iter().map(|surge| {
            let until = surge.until_ms.unwrap_or(self.window_ms());
            u64::from(surge.times - 1).saturating_mul(until.saturating_sub(surge.from_ms))
        });
        rate.saturating_mul(self.window_ms().saturating_add(surplus.sum())) / 1000
    }
}

/// A script as it was written: backends may be left unnamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft(Vec<DraftEvent>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DraftEvent {
    act: Act,
    backend: Option<u32>,
    at_ms: u64,
}

/// A script that cannot be carried out: the caller's doing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FaultError {
    /// Not NAME@TIME.
    #[error("{0:?} is no event; write NAME@TIME, as in kill-backend@2s,restore@4s")]
    Shape(String),
    /// No such fault.
    #[error("there is no fault {0:?}; the events are {NAMES}")]
    Unknown(String),
    /// Not a number from 1.
    #[error("{0:?} is no backend; count them from 1, as in kill-backend=2@2s")]
    Backend(String),
    /// Not a time.
    #[error("{0:?} is no time; write it with a unit, as in 2s or 200ms")]
    Time(String),
    /// Too late for anybody to wait for.
    #[error("{0:?} is later than the {secs} s that a script may take; let it happen earlier", secs = LATEST.as_secs())]
    TooLate(String),
    /// More than anybody can mean.
    #[error("the script has more than {MOST_EVENTS} events; leave some out")]
    TooMany,
    /// The second event is not after the first.
    #[error(
        "{later:?} is not later than {earlier:?} before it; write the events in the order of their times"
    )]
    Order {
        /// Written first.
        earlier: String,
        /// Written next.
        later: String,
    },
    /// A number that no backend has.
    #[error(
        "there is no backend {backend}: there are {backends}; name one of 1 to {backends}, or ask for more with --backends"
    )]
    OutOfRange {
        /// As it was given.
        backend: u32,
        /// How many there are.
        backends: u32,
    },
    /// No surge.
    #[error(
        "{0:?} is no surge; write how many times the rate is due, from 2 to {MOST_TIMES}, as in surge=3@2s"
    )]
    NoSurge(String),
    /// A surge within a surge.
    #[error("{0:?} comes while the load surges already; write calm before it")]
    AlreadySurging(String),
    /// No surge to end.
    #[error("{0:?} has no surge before it to end; put one there, as in surge=3@2s,calm@4s")]
    NothingToCalm(String),
    /// Nothing to restore.
    #[error("{0:?} has no fault before it to end; put one there, as in kill-backend@2s,restore@4s")]
    NothingToRestore(String),
    /// Several backends to restore, none named.
    #[error("{0:?} could mean several backends; name one, as in restore=1@4s")]
    Ambiguous(String),
    /// The backend has a fault already.
    #[error("{event:?} befalls backend {backend}, which has a fault already; restore it before")]
    AlreadyFaulty {
        /// As it was given.
        event: String,
        /// Which backend.
        backend: u32,
    },
}

impl FromStr for Draft {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let events = text.split(',').map(event).collect::<Result<Vec<_>, _>>()?;
        if events.len() > MOST_EVENTS {
            return Err(FaultError::TooMany);
        }
        for pair in events.windows(2) {
            if pair[0].at_ms >= pair[1].at_ms {
                let [earlier, later] = [pair[0], pair[1]].map(|event| event.to_string());
                return Err(FaultError::Order { earlier, later });
            }
        }
        Ok(Draft(events))
    }
}

fn event(text: &str) -> Result<DraftEvent, FaultError> {
    let text = text.trim();
    let (what, at) = text.split_once('@').ok_or_else(|| FaultError::Shape(text.to_owned()))?;
    let (name, backend) = match what.split_once('=') {
        Some((name, backend)) => (name, Some(backend)),
        None => (what, None),
    };
    let acts =
        [Act::KillBackend, Act::SlowBackend, Act::Refuse, Act::Restore, Act::Surge { times: 0 }, Act::Calm];
    let act = acts.into_iter().find(|act| act.name() == name.trim());
    let act = act.ok_or_else(|| FaultError::Unknown(name.to_owned()))?;
    let number = |text: &str| text.trim().parse().ok().filter(|&number: &u32| number > 0);
    let (act, backend) = match (act, backend) {
        (Act::Surge { .. }, times) => {
            let times = times.and_then(number).filter(|times| (2..=MOST_TIMES).contains(times));
            (Act::Surge { times: times.ok_or_else(|| FaultError::NoSurge(text.to_owned()))? }, None)
        }
        (Act::Calm, Some(_)) => return Err(FaultError::NothingToCalm(text.to_owned())),
        (act, backend) => {
            let numbered = |text: &str| number(text).ok_or_else(|| FaultError::Backend(text.to_owned()));
            (act, backend.map(numbered).transpose()?)
        }
    };
    let time = humantime::parse_duration(at.trim()).map_err(|_| FaultError::Time(at.trim().to_owned()))?;
    if time > LATEST {
        return Err(FaultError::TooLate(text.to_owned()));
    }
    Ok(DraftEvent { act, backend, at_ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX) })
}

impl fmt::Display for DraftEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.act.name())?;
        if let Act::Surge { times } = self.act {
            write!(f, "={times}")?;
        }
        if let Some(backend) = self.backend {
            write!(f, "={backend}")?;
        }
        write!(f, "@{}", humantime::format_duration(Duration::from_millis(self.at_ms)))
    }
}

impl Draft {
    /// The script for so many backends: a fault befalls the last one, and a restore ends the one fault that lasts,
    /// unless they name another.
    pub fn over(&self, backends: u32) -> Result<FaultScript, FaultError> {
        let mut faulty: Vec<u32> = Vec::new();
        let mut events = Vec::with_capacity(self.0.len());
        for event in &self.0 {
            if let Some(backend) = event.backend.filter(|backend| *backend > backends) {
                return Err(FaultError::OutOfRange { backend, backends });
            }
            let backend = if event.act.is_of_the_load() {
                let surges = faulty.contains(&LOAD);
                match (event.act, surges) {
                    (Act::Calm, false) => return Err(FaultError::NothingToCalm(event.to_string())),
                    (Act::Calm, true) => faulty.retain(|faulty| *faulty != LOAD),
                    (_, true) => return Err(FaultError::AlreadySurging(event.to_string())),
                    (_, false) => faulty.push(LOAD),
                }
                LOAD
            } else if event.act == Act::Restore {
                let broken: Vec<u32> = faulty.iter().copied().filter(|faulty| *faulty != LOAD).collect();
                let backend = match (event.backend, broken.as_slice()) {
                    (Some(backend), _) => backend,
                    (None, [only]) => *only,
                    (None, []) => return Err(FaultError::NothingToRestore(event.to_string())),
                    (None, _) => return Err(FaultError::Ambiguous(event.to_string())),
                };
                if !faulty.contains(&backend) {
                    return Err(FaultError::NothingToRestore(event.to_string()));
                }
                faulty.retain(|faulty| *faulty != backend);
                backend
            } else {
                let backend = event.backend.unwrap_or(backends);
                if faulty.contains(&backend) {
                    return Err(FaultError::AlreadyFaulty { event: event.to_string(), backend });
                }
                faulty.push(backend);
                backend
            };
            events.push(Event { act: event.act, backend, at_ms: event.at_ms });
        }
        Ok(FaultScript { events })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(text: &str, backends: u32) -> Result<FaultScript, FaultError> {
        text.parse::<Draft>()?.over(backends)
    }

    fn refusal(text: &str) -> String {
        over(text, 3).unwrap_err().to_string()
    }

    #[test]
    fn a_fault_befalls_the_last_backend_unless_it_names_another() {
        let script = over("kill-backend@2s,restore@4s", 3).unwrap();
        let event = |act, backend, at_ms| Event { act, backend, at_ms };
        assert_eq!(script.events, [event(Act::KillBackend, 3, 2000), event(Act::Restore, 3, 4000)]);
        assert_eq!(script.to_string(), "kill-backend=3@2s,restore=3@4s");
        let script = over("refuse=1@200ms, slow-backend@1s 500ms,restore=1@2s,restore@3s", 2).unwrap();
        assert_eq!(script.to_string(), "refuse=1@200ms,slow-backend=2@1s 500ms,restore=1@2s,restore=2@3s");
        assert_eq!(script.length(), Duration::from_secs(3));
        assert_eq!(script.episodes(), [(0, Some(2)), (1, Some(3))]);
    }

    #[test]
    fn a_backend_may_have_one_fault_after_another_and_the_last_one_for_good() {
        let script = over("refuse@1s,restore@2s,kill-backend@3s", 1).unwrap();
        assert_eq!(script.episodes(), [(0, Some(1)), (2, None)]);
    }

    #[test]
    fn a_surge_is_of_the_load_and_its_requests_are_counted() {
        let script = over("surge=3@2s,refuse@2500ms,restore@3s,calm@4s", 3).unwrap();
        assert_eq!(script.to_string(), "surge=3@2s,refuse=3@2s 500ms,restore=3@3s,calm@4s");
        assert_eq!(script.episodes(), [(0, Some(3)), (1, Some(2))]);
        assert_eq!(script.surges(), [Surge { times: 3, from_ms: 2000, until_ms: Some(4000) }]);
        assert_eq!(over(&script.to_string(), 3).unwrap(), script);
        // Seven seconds, and two of them twice more.
        assert_eq!(Faults::of(script).requests_at(100), 1100);
        for (text, remedy) in [
            ("surge@2s", "as in surge=3@2s"),
            ("surge=1@2s", "from 2 to 100"),
            ("surge=101@2s", "from 2 to 100"),
            ("calm@2s", "as in surge=3@2s,calm@4s"),
            ("surge=2@1s,calm=1@2s", "as in surge=3@2s,calm@4s"),
            ("surge=2@1s,surge=3@2s", "write calm before it"),
        ] {
            assert!(refusal(text).contains(remedy), "{text}: {}", refusal(text));
        }
    }

    #[test]
    fn what_it_prints_is_read_back_the_same() {
        let script = over("slow-backend=2@0s,refuse=1@10ms,restore=2@60s", 2).unwrap();
        assert_eq!(over(&script.to_string(), 2).unwrap(), script);
    }

    #[test]
    fn what_makes_no_sense_is_told_in_one_message_with_its_remedy() {
        for (text, remedy) in [
            ("", "write NAME@TIME"),
            ("kill-backend", "write NAME@TIME"),
            ("kill@2s", "the events are kill-backend, slow-backend, refuse, restore, surge and calm"),
            ("kill-backend@2", "write it with a unit"),
            ("kill-backend@-2s", "write it with a unit"),
            ("kill-backend@", "write it with a unit"),
            ("kill-backend@61s", "let it happen earlier"),
            ("kill-backend=0@2s", "count them from 1"),
            ("kill-backend=x@2s", "count them from 1"),
            ("kill-backend=4@2s", "there are 3; name one of 1 to 3, or ask for more with --backends"),
            ("kill-backend@4s,restore@2s", "in the order of their times"),
            ("kill-backend@2s,restore@2s", "in the order of their times"),
            ("restore@2s", "put one there"),
            ("kill-backend=1@1s,restore=2@2s", "put one there"),
            ("kill-backend@1s,restore@2s,restore@3s", "put one there"),
            ("kill-backend=1@1s,refuse=2@2s,restore@3s", "name one, as in restore=1@4s"),
            ("kill-backend@1s,refuse@2s", "restore it before"),
        ] {
            let told = refusal(text);
            assert!(told.contains(remedy) && !told.contains('\n'), "{text}: {told}");
        }
        assert_eq!(refusal(&vec!["refuse=1@1s"; MOST_EVENTS + 1].join(",")), FaultError::TooMany.to_string());
    }
}
