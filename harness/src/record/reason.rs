//! Why a trial is invalid, with the counts behind it.
//!
//! Owns the stored form and the words; which gate fails when is [`crate::trial::gates`]'s affair. Rule: whoever must tell
//! one reason from another matches on it, and reads no words.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A validity gate that a trial did not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Requests without a whole and right answer.
    Failed {
        /// How many.
        requests: u64,
        /// Of how many.
        of: u64,
        /// By what went wrong, in words.
        kinds: Vec<(String, u64)>,
    },
    /// Requests of the warm-up that failed or were not answered with 2xx.
    WarmupFailed {
        /// How many.
        requests: u64,
    },
    /// Responses that were not 2xx.
    Not2xx {
        /// How many.
        responses: u64,
        /// Of how many.
        of: u64,
    },
    /// Requests are missing.
    Incomplete {
        /// Answered.
        completed: u64,
        /// Of how many.
        of: u64,
    },
    /// Response times are missing.
    Untimed {
        /// Recorded.
        timed: u64,
        /// Requests answered.
        completed: u64,
    },
    /// The timed window had no length.
    NoLength,
    /// Responses came from backends that the trial does not have.
    ForeignBackend {
        /// As they named themselves.
        names: Vec<String>,
    },
    /// The backends' turns were not equal.
    UnequalTurns {
        /// Of each backend, by name.
        turns: Vec<(String, u64)>,
    },
    /// Responses in which no backend named itself.
    Unnamed {
        /// Those in which one did.
        named: u64,
        /// Of how many.
        completed: u64,
    },
    /// A cache gave more or fewer answers than it was asked to.
    OtherHits {
        /// How many it gave.
        hits: u64,
        /// How many it was to give.
        expected: u64,
        /// Of how many.
        of: u64,
    },
    /// Connections that were not closed though the client had asked for it.
    LeftOpen {
        /// How many.
        connections: u64,
    },
    /// Connections met a full accept queue.
    ListenOverflows {
        /// How many, on the whole machine.
        connections: u64,
    },
    /// The hypervisor took too much of the processors' time.
    Steal {
        /// Thousandths of their time.
        per_mille: u64,
        /// The limit.
        limit_percent: u32,
    },
    /// The load generator drove another loop than it was asked to.
    OtherLoop {
        /// Requests per second that it drove; absent: a closed loop.
        driven: Option<u64>,
        /// Requests per second that were asked for; absent: a closed loop.
        asked: Option<u64>,
    },
    /// Whether it was the model or the machine that could not, this cannot tell: it says what was seen.
    NotSustained {
        /// Requests per second that were due.
        rate: u64,
        /// Requests per second that were answered, thousandths.
        achieved_milli_per_s: u64,
        /// Whether the backlog still grew at the end.
        backlog_grew: bool,
        /// Requests that found no free connection.
        waited: u64,
        /// Of how many.
        of: u64,
        /// How long after it was due the latest was sent, nanoseconds.
        behind_ns: u64,
    },
    /// What is stored of the trial cannot be: its file was altered since.
    AlteredRecord {
        /// What the record says.
        what: String,
    },
    /// Requests failed while no fault was there to blame.
    FailedBeforeFault {
        /// How many.
        requests: u64,
        /// By what the client got, in words.
        kinds: Vec<(String, u64)>,
    },
    /// A host was lost while the trial was under way: the run ends with it.
    HostLost {
        /// Its name.
        host: String,
        /// What became of its agent.
        how: String,
    },
    /// Several load generators did not begin together.
    BeganApart {
        /// How long after the first the last one began, nanoseconds.
        apart_ns: u64,
        /// Length of the window, nanoseconds.
        of_ns: u64,
    },
    /// A process did not do its part; or the reason of a trial that an earlier roundtable stored.
    #[serde(rename = "words")]
    Words(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |counts: &[(String, u64)]| {
            counts.iter().map(|(what, count)| format!("{what} {count}")).collect::<Vec<_>>().join(", ")
        };
        match self {
            Reason::Failed { requests, of, kinds } => {
                write!(f, "{requests} of {of} requests failed ({})", listed(kinds))
            }
            Reason::WarmupFailed { requests } => {
                write!(f, "warm-up requests that failed or were not answered with 2xx: {requests}")
            }
            Reason::Not2xx { responses, of } => write!(f, "{responses} of {of} responses were not 2xx"),
            Reason::Incomplete { completed, of } => write!(f, "{completed} of {of} requests were completed"),
            Reason::Untimed { timed, completed } => {
                write!(f, "{timed} response times for {completed} completed requests")
            }
            Reason::NoLength => f.write_str("the timed window had no length"),
            Reason::ForeignBackend { names } => {
                write!(f, "responses came from {}, which this trial does not have", names.join(", "))
            }
            Reason::UnequalTurns { turns } => {
                write!(f, "the backends' turns were not equal: {}", listed(turns))
            }
            Reason::Unnamed { named, completed } => {
                write!(f, "the backends named themselves in {named} of {completed} responses")
            }
            Reason::OtherHits { hits, expected, of } => {
                let why = if hits < expected { ": it may have too little room" } else { "" };
                write!(f, "a cache gave {hits} of {of} answers in place of {expected}{why}")
            }
            Reason::LeftOpen { connections } => {
                write!(f, "{connections} connections were not closed though the client had asked for it")
            }
            Reason::ListenOverflows { connections } => write!(
                f,
                "{connections} connections met a full accept queue (ListenOverflows, which counts the whole machine)"
            ),
            Reason::Steal { per_mille, limit_percent } => write!(
                f,
                "the hypervisor took {:.1} % of the processors' time (the limit is {limit_percent} %)",
                *per_mille as f64 / 10.0
            ),
            Reason::OtherLoop { driven, asked } => {
                let of = |rate: &Option<u64>| {
                    rate.map_or("a closed loop".to_owned(), |rate| format!("{rate} per second"))
                };
                write!(f, "the load generator drove {} in place of {}", of(driven), of(asked))
            }
            Reason::NotSustained { rate, achieved_milli_per_s, backlog_grew, waited, of, behind_ns } => {
                let grew = if *backlog_grew { ", with a backlog that still grew at the end" } else { "" };
                write!(
                    f,
                    "the rate of {rate} per second was not sustained: {:.1} per second were answered{grew} ({waited} of {of} \
                     requests found no free connection; the latest was sent {:.1} ms after it was due)",
                    *achieved_milli_per_s as f64 / 1e3,
                    *behind_ns as f64 / 1e6
                )
            }
            Reason::AlteredRecord { what } => {
                write!(f, "the record says {what}: the trials file was altered: run the cell again")
            }
            Reason::FailedBeforeFault { requests, kinds } => {
                write!(f, "{requests} requests failed before the first event ({})", listed(kinds))
            }
            Reason::HostLost { host, how } => write!(f, "host {host} was lost: {how}"),
            Reason::BeganApart { apart_ns, of_ns } => write!(
                f,
                "the load generators began {:.1} ms apart in a window of {:.1} ms: what they did is not of one time",
                *apart_ns as f64 / 1e6,
                *of_ns as f64 / 1e6
            ),
            Reason::Words(words) => f.write_str(words),
        }
    }
}

/// All of `reasons`, one after the other.
pub fn in_words(reasons: &[Reason]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
