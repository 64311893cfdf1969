//! What became of each request, one by one: for who must know when, and not only how many.
//!
//! Owns the shapes and their growth; [`super::connection`] says when a request has ended. Rules: times count from the
//! window's beginning, which is told on the clock that all processes share; what is recorded is bounded by the
//! requests of the window.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use crate::host::monotonic_ns;

/// Every request of one window, in the order in which they ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// When the window began, on the clock of [`monotonic_ns`].
    pub began_monotonic_ns: u64,
    /// The backends that answered, by the name in their `X-Backend` field.
    pub backends: Vec<String>,
    /// One by one.
    pub requests: Vec<Recorded>,
}

/// One request; times are microseconds from the window's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Fields", into = "Fields")]
pub struct Recorded {
    /// When it was due; in the closed loop, when it was sent.
    pub due_us: u64,
    /// When its connect, or its write on an open connection, began.
    pub sent_us: u64,
    /// When the last byte of the response had come, or it had failed.
    pub ended_us: u64,
    /// Who answered: a place in [`Recording::backends`].
    pub backend: Option<u16>,
    /// How it ended.
    pub end: End,
}

impl Recorded {
    /// From when it was due to its end, microseconds.
    pub fn since_due_us(&self) -> u64 {
        self.ended_us.saturating_sub(self.due_us)
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum End {
    /// With a whole response of this status.
    Status(u16),
    /// Without.
    Failed(Failure),
}

/// A line of five, without names: there are many.
type Fields = (u64, u64, u64, Option<u16>, End);

impl From<Fields> for Recorded {
    fn from((due_us, sent_us, ended_us, backend, end): Fields) -> Self {
        Recorded { due_us, sent_us, ended_us, backend, end }
    }
}

impl From<Recorded> for Fields {
    fn from(Recorded { due_us, sent_us, ended_us, backend, end }: Recorded) -> Self {
        (due_us, sent_us, ended_us, backend, end)
    }
}

/// Takes the requests of a window down.
#[derive(Debug)]
pub(crate) struct Recorder {
    began: Instant,
    recording: Recording,
}

impl Recorder {
    /// A recorder for a window of some `requests` that begins now.
    pub(crate) fn begin(requests: u64) -> Self {
        let requests = Vec::with_capacity(usize::try_from(requests).unwrap_or(0));
        let (began, began_monotonic_ns) = (Instant::now(), monotonic_ns());
        Recorder { began, recording: Recording { began_monotonic_ns, backends: Vec::new(), requests } }
    }

    /// A request was `due` then, sent, and has ended.
    pub(crate) fn ended(
        &mut self,
        due: Option<Instant>,
        sent: Instant,
        ended: Instant,
        backend: Option<usize>,
        end: End,
    ) {
        let [due_us, sent_us, ended_us] = [due.unwrap_or(sent), sent, ended].map(|time| self.time(time));
        let backend = backend.and_then(|place| u16::try_from(place).ok());
        self.recording.requests.push(Recorded { due_us, sent_us, ended_us, backend, end });
    }

    /// What was recorded, with the names of the `backends`.
    pub(crate) fn finish(self, backends: Vec<String>) -> Recording {
        Recording { backends, ..self.recording }
    }

    fn time(&self, time: Instant) -> u64 {
        microseconds(time.saturating_duration_since(self.began))
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_survives_its_text_form() {
        let one = |end| Recorded { due_us: 1, sent_us: 2, ended_us: 30, backend: None, end };
        let recording = Recording {
            began_monotonic_ns: 7,
            backends: vec!["b1".into()],
            requests: vec![
                Recorded { backend: Some(0), ..one(End::Status(200)) },
                one(End::Status(502)),
                one(End::Failed(Failure::Timeout)),
            ],
        };
        let text = serde_json::to_string(&recording).unwrap();
        assert!(text.contains("[1,2,30,0,200]") && text.contains("[1,2,30,null,\"timeout\"]"), "{text}");
        assert_eq!(serde_json::from_str::<Recording>(&text).unwrap(), recording);
    }

    #[test]
    fn times_count_from_the_beginning_and_never_before_it() {
        let mut recorder = Recorder::begin(1);
        let at = |us| recorder.began + Duration::from_micros(us);
        let (due, sent, ended) = (recorder.began - Duration::from_millis(1), at(5), at(900));
        recorder.ended(Some(due), sent, ended, Some(0), End::Status(200));
        recorder.ended(None, sent, ended, None, End::Failed(Failure::Connect));
        let recording = recorder.finish(vec!["b".into()]);
        let times: Vec<_> = recording.requests.iter().map(|r| (r.due_us, r.sent_us, r.ended_us)).collect();
        assert_eq!(times, [(0, 5, 900), (5, 5, 900)]);
    }
}
