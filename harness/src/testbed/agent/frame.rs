//! What the harness and an agent say to each other: one frame of JSON a line.
//!
//! Owns the shapes and how they stand on a line, and nothing of what is done about them. Rules: commands travel as data, so
//! that no shell on the way can take them apart; what was started is named by the number that the harness gave it.

use std::net::{IpAddr, SocketAddr};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::host::{Counters, Host};

/// From the harness to an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Order {
    /// Start your own program with these arguments.
    Start { id: u64, args: Vec<String> },
    /// Write this line to its standard input.
    Say { id: u64, line: String },
    /// Close its standard input.
    Close { id: u64 },
    /// Kill it and its process group.
    Kill { id: u64 },
    /// I am here.
    Beat { number: u64 },
    /// Tell me this.
    Ask { id: u64, question: Question },
}

/// From an agent to the harness.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Report {
    /// The first frame.
    Hello(Box<Hello>),
    /// It has been started.
    Started { id: u64, pid: u32 },
    /// It has not.
    NotStarted { id: u64, reason: String },
    /// It wrote this line to its standard output.
    Line { id: u64, line: String },
    /// It wrote this line to its standard error.
    Error { id: u64, line: String },
    /// It has ended: the last frame about it.
    Ended { id: u64, status: String },
    /// I am here too, at this time of my machine's monotonic clock.
    Beat { number: u64, monotonic_ns: u64 },
    /// What you asked for.
    Answered { id: u64, answer: Answer },
}

/// Who an agent is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Version of its roundtable.
    pub version: String,
    /// SHA-256 of its executable, in hexadecimal digits.
    pub sha256: String,
    /// Its machine.
    pub host: Host,
    /// The processors that it may use, by number.
    pub processors: Vec<usize>,
}

/// What an agent can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Question {
    /// The kernel's counters now.
    Counters,
    /// Where at this address you can be connected to.
    Listen { address: IpAddr },
    /// How long it takes to connect there.
    Connect { address: SocketAddr },
}

/// What it tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// They.
    Counters(Counters),
    /// There.
    Listening(SocketAddr),
    /// The shortest of several, nanoseconds.
    Connected { fastest_ns: u64 },
    /// Why there is no answer.
    Failed(String),
}

/// `frame` on a line of its own.
pub(crate) fn line(frame: &impl Serialize) -> String {
    let mut line = serde_json::to_string(frame).expect("a frame has string keys and finite numbers only");
    line.push('\n');
    line
}

/// The frame on `line`.
pub(crate) fn parse<T: DeserializeOwned>(line: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_itself_again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(frame: T) {
        let text = line(&frame);
        assert!(text.ends_with('\n') && text.trim_end().lines().count() == 1, "{text}");
        assert_eq!(parse::<T>(text.trim_end()).unwrap(), frame);
    }

    #[test]
    fn a_frame_is_one_line_whatever_is_in_it_and_is_read_as_it_was_written() {
        let line = "two\nlines, \"quotes\" and ümlauts\u{0}".to_owned();
        is_itself_again(Order::Start { id: 1, args: vec!["--data".into(), line.clone()] });
        is_itself_again(Order::Say { id: u64::MAX, line: line.clone() });
        is_itself_again(Order::Ask {
            id: 3,
            question: Question::Connect { address: "[::1]:80".parse().unwrap() },
        });
        is_itself_again(Report::Line { id: 1, line });
        is_itself_again(Report::Ended { id: 1, status: "signal: 9 (SIGKILL)".into() });
        is_itself_again(Report::Answered { id: 4, answer: Answer::Counters(Counters::now().unwrap()) });
        let host = crate::host::facts();
        let hello = Hello { version: "1".into(), sha256: "ab".into(), host, processors: vec![0, 3] };
        is_itself_again(Report::Hello(Box::new(hello)));
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for line in [
            "",
            "hello",
            "{}",
            r#"{"start":{"id":1}}"#,
            r#"{"start":{"id":-1,"args":[]}}"#,
            r#"{"run":{"id":1}}"#,
        ] {
            assert!(parse::<Order>(line).is_err(), "{line}");
        }
    }
}
