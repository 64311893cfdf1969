//! A time in which more is due than an open loop's rate, and how that is written.
//!
//! Owns the grammar; what it does to the schedule is [`super::pace`]'s.

use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// A time in which more is due than the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surge {
    /// So many times the rate.
    pub times: u32,
    /// From then on, after the beginning of the window…
    pub from: Duration,
    /// …until then; `None`: to the end.
    pub until: Option<Duration>,
}

/// What is no surge.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no surge; write how many times the rate, 2 to 100, from when and until when, as in 3@2s-4s"
)]
pub struct NoSurge(String);

impl FromStr for Surge {
    type Err = NoSurge;

    fn from_str(text: &str) -> Result<Self, NoSurge> {
        let of = || {
            let (times, when) = text.split_once('@')?;
            let times = times.trim().parse().ok().filter(|times| (2..=100).contains(times))?;
            let (from, until) = when.split_once('-')?;
            let time = |text: &str| humantime::parse_duration(text.trim()).ok();
            let from = time(from)?;
            let until = if until.trim().is_empty() { None } else { Some(time(until)?) };
            until.is_none_or(|until| until > from).then_some(Surge { times, from, until })
        };
        of().ok_or_else(|| NoSurge(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surge_is_written_as_how_many_times_the_rate_from_when_until_when() {
        let second = Duration::from_secs;
        let of = |text: &str| text.parse::<Surge>().unwrap();
        assert_eq!(of("3@2s-4s"), Surge { times: 3, from: second(2), until: Some(second(4)) });
        assert_eq!(of(" 2 @ 1s - "), Surge { times: 2, from: second(1), until: None });
        for text in ["", "3", "3@2s", "1@2s-4s", "3@4s-2s", "x@1s-2s", "3@soon-2s"] {
            assert!(text.parse::<Surge>().unwrap_err().to_string().ends_with("as in 3@2s-4s"), "{text}");
        }
    }
}
