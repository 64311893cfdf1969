//! What a run measures: the grid, and the bounds that keep a mistyped option from becoming a day's work.
//!
//! Owns the parsing of lists, the defaults and the checks; not the order in which cells are run
//! ([`crate::schedule`]). Rule: whatever passes [`Plan::check`] can be run on some machine.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::data::{Cell, DIRECT, Length, Plan};
use crate::load::MAX_RATE;
use crate::row::{MOST_HANDICAP_PERCENT, Row};

/// Requests in a trial's timed window unless told otherwise: the published tables' number.
pub const REQUESTS: u64 = 10_000;
/// Length of each response body unless told otherwise, bytes.
pub const BODY_BYTES: u64 = 1024;
/// Wall-clock budget unless told otherwise, milliseconds.
pub const BUDGET_MS: u64 = 5 * 60 * 1000;
/// Blocks that are run however short the budget is: fewer have no spread to speak of.
pub const MINIMUM_BLOCKS: u32 = 3;

/// Most backends of a cell.
pub const MOST_BACKENDS: u32 = 64;
/// Most requests outstanding at a time.
pub const MOST_CONCURRENCY: u32 = 20_000;
/// Most requests of a trial.
pub const MOST_REQUESTS: u64 = 100_000_000;
/// Longest response body, bytes.
pub const MOST_BODY_BYTES: u64 = 64 << 20;
/// Most blocks that can be asked for.
pub const MOST_BLOCKS: u32 = 1000;
/// Most worker threads that can be asked for.
pub const MOST_WORKERS: u32 = 1024;
/// Longest window at a fixed rate, seconds.
const MOST_SECONDS: u64 = 600;
/// Shortest window at a fixed rate, milliseconds: a hundredth of it is what the last answer may be late.
const LEAST_MS: u64 = 100;
/// Shortest budget, milliseconds.
pub const LEAST_BUDGET_MS: u64 = 1000;
/// Longest budget, milliseconds.
pub const MOST_BUDGET_MS: u64 = 7 * 24 * 3600 * 1000;
/// Values in one list.
const MOST_VALUES: usize = 256;

/// A plan that cannot be run: the caller's doing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// Nothing in a list.
    #[error("the list is empty; give numbers as 1-5 or 2,5,10")]
    EmptyList,
    /// A part of a list that is neither a number nor a range.
    #[error("{0:?} is neither a number nor a range; give numbers as 1-5 or 2,5,10")]
    NotANumber(String),
    /// A range that counts down.
    #[error("the range {0}-{1} counts down; write {1}-{0}")]
    Backwards(u32, u32),
    /// A range of which nobody means every value.
    #[error("the list has more than {MOST_VALUES} values; name fewer")]
    TooMany,
    /// A number outside its bounds.
    #[error("{what} {value} is out of bounds; give {least} to {most}")]
    OutOfBounds {
        /// The option.
        what: &'static str,
        /// What was given.
        value: u64,
        /// Smallest value taken.
        least: u64,
        /// Largest value taken.
        most: u64,
    },
    /// A budget outside its bounds.
    #[error("a --budget of {0} ms is out of bounds; give 1s to 7days")]
    Budget(u64),
    /// More connections than requests to send over them.
    #[error(
        "--concurrency {concurrency} is more than --requests {requests}: some connections would carry nothing; \
         ask for at least as many requests"
    )]
    MoreConnectionsThanRequests {
        /// The largest concurrency.
        concurrency: u32,
        /// Requests in a trial.
        requests: u64,
    },
    /// A rate at which one trial takes too long.
    #[error(
        "{requests} requests at --rate {rate} take {} s, and neither window nor warm-up may take over {MOST_SECONDS} s; ask \
         for a higher rate, or for fewer --requests or --warmup", .requests / .rate
    )]
    TooSlow {
        /// Requests of the window, or of the warm-up where these are more.
        requests: u64,
        /// Requests per second.
        rate: u64,
    },
    /// A rate at which one trial is over before it can show anything.
    #[error(
        "{requests} requests at --rate {rate} are sent in less than {LEAST_MS} ms, which does not show whether the rate is \
         sustained; ask for at least {} requests", (.rate * LEAST_MS).div_ceil(1000)
    )]
    TooShort {
        /// Requests of the window.
        requests: u64,
        /// Requests per second.
        rate: u64,
    },
    /// A model with more extra work than there can be, or none.
    #[error(
        "{label:?} asks for extra CPU work that there cannot be; give 1 to {MOST_HANDICAP_PERCENT} percent, as in \
         {model}+10%"
    )]
    Handicap {
        /// What was asked for.
        label: String,
        /// The model in it.
        model: String,
    },
    /// A name that is no model.
    #[error("there is no model {name:?}; the models are {known}")]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// All of them.
        known: String,
    },
}

/// Whole numbers, as `1-5`, `2,5,10` or `1-3,8`: in the order given, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers(pub Vec<u32>);

impl FromStr for Numbers {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let number = |text: &str| {
            text.trim().parse::<u32>().map_err(|_| PlanError::NotANumber(text.trim().to_owned()))
        };
        let mut values = Vec::new();
        if text.trim().is_empty() {
            return Err(PlanError::EmptyList);
        }
        for part in text.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            if first > last {
                return Err(PlanError::Backwards(first, last));
            }
            for value in first..=last {
                if !values.contains(&value) {
                    values.push(value);
                }
                if values.len() > MOST_VALUES {
                    return Err(PlanError::TooMany);
                }
            }
        }
        Ok(Numbers(values))
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&words.join(","))
    }
}

/// The model that others are compared with unless it is not measured.
pub const REFERENCE: &str = "threads";
/// Share of the processors' time that the hypervisor may take during a valid trial, percent, unless told otherwise.
pub const STEAL_LIMIT_PERCENT: u32 = 25;

/// The rows for a list of labels: `known` when none is given; always led by [`DIRECT`], each once, and with an A/A
/// pair: the second of `again`, else of the reference model, else of the first model.
pub fn rows(asked: Option<&str>, again: Option<&str>, known: &[&str]) -> Result<Vec<String>, PlanError> {
    let asked: Vec<&str> = match asked {
        Some(list) => list.split(',').map(str::trim).collect(),
        None => known.to_vec(),
    };
    let mut rows = vec![DIRECT.to_owned()];
    for label in asked.into_iter().chain(again) {
        let row = Row::of(label);
        if !known.contains(&row.model.as_str()) && label != DIRECT {
            if let Some((model, _)) = label.split_once('+').filter(|(model, _)| known.contains(model)) {
                return Err(PlanError::Handicap { label: label.to_owned(), model: model.to_owned() });
            }
            let known = [known, &[DIRECT]].concat().join(", ");
            return Err(PlanError::UnknownModel { name: label.to_owned(), known });
        }
        if !rows.iter().any(|row| row == label) {
            rows.push(label.to_owned());
        }
    }
    let model = |label: &&String| !Row::of(label).is_direct();
    let paired = match again {
        Some(label) => Some(label),
        None => rows
            .iter()
            .find(|label| *label == REFERENCE)
            .or_else(|| rows.iter().find(model))
            .map(String::as_str),
    };
    if let Some(label) = paired {
        let twin = Row::of(label).again().to_string();
        if !rows.contains(&twin) {
            rows.push(twin);
        }
    }
    Ok(rows)
}

/// Requests of a window at a fixed rate unless told otherwise: one second's, but at least as many as a p99 of one trial
/// takes (a percentile is printed where 20 requests lie beyond it), and at most half a minute's.
pub fn requests_at(rate: u64) -> u64 {
    const FOR_A_P99: u64 = 2000;
    const MOST_SECONDS_BY_DEFAULT: u64 = 30;
    rate.max(FOR_A_P99).min(rate.saturating_mul(MOST_SECONDS_BY_DEFAULT))
}

/// Requests sent and discarded before the timed window: ten for each connection and at least 5 % of the window, so
/// that connections, pools, threads and the allocator have been through a whole cycle.
pub fn warmup(requests: u64, concurrency: &[u32]) -> u64 {
    let connections = u64::from(concurrency.iter().copied().max().unwrap_or(1));
    (10 * connections).max(requests.div_ceil(20))
}

/// The same at a fixed rate, where it may take ten seconds unless that were fewer than the connections.
pub fn warmup_at(rate: u64, requests: u64, concurrency: &[u32]) -> u64 {
    let connections = u64::from(concurrency.iter().copied().max().unwrap_or(1));
    warmup(requests, concurrency).min(rate.saturating_mul(10)).max(connections)
}

impl Plan {
    /// Every combination of model, backend count and concurrency, in the order of the tables.
    pub fn cells(&self) -> Vec<Cell> {
        self.conditions().flat_map(|condition| self.rows_of(condition)).collect()
    }

    /// Every combination of backend count and concurrency.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.backends.iter().flat_map(|&b| self.concurrency.iter().map(move |&c| (b, c)))
    }

    /// The cells that are compared with each other.
    pub(crate) fn rows_of(&self, (backends, concurrency): (u32, u32)) -> impl Iterator<Item = Cell> + '_ {
        self.models.iter().map(move |model| Cell { model: model.clone(), backends, concurrency })
    }

    /// Refuses what nobody can mean.
    pub fn check(&self) -> Result<(), PlanError> {
        let within = |what, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(PlanError::OutOfBounds { what, value, least, most })
            }
        };
        if self.backends.is_empty() || self.concurrency.is_empty() || self.models.is_empty() {
            return Err(PlanError::EmptyList);
        }
        for &count in &self.backends {
            within("--backends", count.into(), 1, MOST_BACKENDS.into())?;
        }
        for &count in &self.concurrency {
            within("--concurrency", count.into(), 1, MOST_CONCURRENCY.into())?;
        }
        within("--requests", self.requests, 1, MOST_REQUESTS)?;
        within("--warmup", self.warmup, 0, MOST_REQUESTS)?;
        within("--body-bytes", self.body_bytes, 0, MOST_BODY_BYTES)?;
        within("--steal-limit", self.steal_limit_percent.into(), 0, 100)?;
        if let Some(workers) = self.workers {
            within("--workers", workers.into(), 1, MOST_WORKERS.into())?;
        }
        if let Some(percent) = self.precision_percent {
            within("--precision", percent.into(), 1, 100)?;
        }
        match self.length {
            Length::Blocks(blocks) => within("--blocks", blocks.into(), 1, MOST_BLOCKS.into())?,
            Length::Budget { budget_ms, .. } if !(LEAST_BUDGET_MS..=MOST_BUDGET_MS).contains(&budget_ms) => {
                return Err(PlanError::Budget(budget_ms));
            }
            Length::Budget { .. } => {}
        }
        if let Some(rate) = self.rate {
            within("--rate", rate, 1, MAX_RATE)?;
            let requests = self.requests.max(self.warmup);
            if requests / rate > MOST_SECONDS {
                return Err(PlanError::TooSlow { requests, rate });
            }
            if self.requests * 1000 / rate < LEAST_MS {
                return Err(PlanError::TooShort { requests: self.requests, rate });
            }
        }
        let concurrency = self.most_concurrency();
        if u64::from(concurrency) > self.requests {
            return Err(PlanError::MoreConnectionsThanRequests { concurrency, requests: self.requests });
        }
        Ok(())
    }

    /// The largest concurrency of the grid.
    pub fn most_concurrency(&self) -> u32 {
        self.concurrency.iter().copied().max().unwrap_or(0)
    }

    /// The largest backend count of the grid.
    pub fn most_backends(&self) -> u32 {
        self.backends.iter().copied().max().unwrap_or(0)
    }

    /// Open files that any one process of a trial may need: the balancer holds two sockets a connection, an idle one
    /// for each of them in the worst case, and its own.
    pub fn descriptors(&self) -> u64 {
        3 * u64::from(self.most_concurrency()) + 3 * u64::from(self.most_backends()) + 64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Connections, Layout};

    fn plan() -> Plan {
        Plan {
            models: vec!["direct".into(), "threads".into()],
            backends: vec![1, 3],
            concurrency: vec![2, 5],
            requests: 100,
            warmup: 10,
            connections: Connections::Close,
            body_bytes: 0,
            seed: 1,
            length: Length::Blocks(2),
            layout: Layout::Shared,
            workers: None,
            steal_limit_percent: STEAL_LIMIT_PERCENT,
            precision_percent: None,
            rate: None,
        }
    }

    fn numbers(text: &str) -> Result<Vec<u32>, PlanError> {
        text.parse().map(|Numbers(values)| values)
    }

    #[test]
    fn ranges_and_lists_mix_and_each_value_counts_once() {
        assert_eq!(numbers("1-5"), Ok(vec![1, 2, 3, 4, 5]));
        assert_eq!(numbers("1,3,5"), Ok(vec![1, 3, 5]));
        assert_eq!(numbers(" 10 , 2-3,3"), Ok(vec![10, 2, 3]));
        assert_eq!(numbers("7-7"), Ok(vec![7]));
    }

    #[test]
    fn what_is_no_list_is_refused_in_words() {
        assert_eq!(numbers(""), Err(PlanError::EmptyList));
        assert_eq!(numbers("5-1"), Err(PlanError::Backwards(5, 1)));
        for text in ["1,", "x", "-1", "1-2-3", "1.5", "99999999999"] {
            assert!(matches!(numbers(text), Err(PlanError::NotANumber(_))), "{text}");
        }
        assert_eq!(numbers("0-4294967295"), Err(PlanError::TooMany));
    }

    #[test]
    fn direct_leads_the_rows_whatever_is_asked() {
        let known = ["threads", "mio"];
        assert_eq!(rows(None, None, &known).unwrap(), ["direct", "threads", "mio", "threads#2"]);
        assert_eq!(rows(Some("mio, mio"), None, &known).unwrap(), ["direct", "mio", "mio#2"]);
        assert_eq!(rows(Some("direct"), None, &known).unwrap(), ["direct"]);
    }

    #[test]
    fn every_run_carries_a_pair_and_the_pair_can_be_chosen() {
        let known = ["threads", "mio"];
        assert_eq!(
            rows(Some("threads"), Some("mio"), &known).unwrap(),
            ["direct", "threads", "mio", "mio#2"]
        );
        assert_eq!(
            rows(Some("mio,mio#2,mio+10%"), None, &known).unwrap(),
            ["direct", "mio", "mio#2", "mio+10%"]
        );
        assert!(rows(None, Some("thread"), &known).is_err());
    }

    #[test]
    fn an_unknown_model_is_answered_with_the_known_ones() {
        for asked in ["thread", "", "mio,", "mio#3", "direct+10%", "direct#2"] {
            let error = rows(Some(asked), None, &["threads", "mio"]).unwrap_err();
            assert!(error.to_string().ends_with("threads, mio, direct"), "{error}");
        }
    }

    #[test]
    fn extra_work_out_of_bounds_is_answered_with_the_bounds() {
        for asked in ["mio+0%", "mio+1000000%", "mio+1001%", "mio+-5%", "mio+x%", "mio+10", "mio+0%#2"] {
            let error = rows(Some(asked), None, &["threads", "mio"]).unwrap_err().to_string();
            assert!(error.contains("give 1 to 1000 percent, as in mio+10%"), "{asked}: {error}");
        }
    }

    #[test]
    fn the_grid_is_every_combination() {
        let cells = plan().cells();
        assert_eq!(cells.len(), 8);
        assert_eq!(cells[0], Cell { model: "direct".into(), backends: 1, concurrency: 2 });
        assert_eq!(cells[7], Cell { model: "threads".into(), backends: 3, concurrency: 5 });
    }

    #[test]
    fn a_plan_within_bounds_passes_and_each_bound_holds() {
        assert_eq!(plan().check(), Ok(()));
        assert_eq!(Plan { rate: Some(1000), ..plan() }.check(), Ok(()));
        let broken: [fn(&mut Plan); 20] = [
            |plan| plan.rate = Some(0),
            |plan| plan.rate = Some(MAX_RATE + 1),
            // A hundred requests in a tenth of a second is the shortest window.
            |plan| plan.rate = Some(1001),
            |plan| (plan.rate, plan.requests) = (Some(1), 601),
            |plan| (plan.rate, plan.warmup) = (Some(1), 601),
            |plan| plan.workers = Some(0),
            |plan| plan.steal_limit_percent = 101,
            |plan| plan.precision_percent = Some(0),
            |plan| plan.backends = vec![0],
            |plan| plan.backends = vec![MOST_BACKENDS + 1],
            |plan| plan.backends.clear(),
            |plan| plan.concurrency = vec![0],
            |plan| plan.concurrency = vec![MOST_CONCURRENCY + 1],
            |plan| plan.requests = 0,
            |plan| plan.requests = u64::MAX,
            |plan| plan.warmup = u64::MAX,
            |plan| plan.body_bytes = u64::MAX,
            |plan| plan.length = Length::Blocks(0),
            |plan| plan.length = Length::Budget { budget_ms: 0, minimum_blocks: 3 },
            |plan| plan.requests = 4,
        ];
        for (index, alter) in broken.iter().enumerate() {
            let mut plan = plan();
            alter(&mut plan);
            assert!(plan.check().is_err(), "alteration {index}");
        }
    }

    #[test]
    fn a_trial_at_a_rate_takes_a_second_and_supports_a_p99_where_half_a_minute_allows_it() {
        assert_eq!([5000, 2000, 700, 60, 1].map(requests_at), [5000, 2000, 2000, 1800, 30]);
        let at =
            |rate, requests| Plan { rate: Some(rate), requests, ..plan() }.check().unwrap_err().to_string();
        assert!(at(1, 700).contains("take 700 s") && at(1, 700).contains("higher rate"), "{}", at(1, 700));
        assert!(at(10_000, 100).contains("ask for at least 1000 requests"), "{}", at(10_000, 100));
    }

    #[test]
    fn the_warmup_serves_every_connection_ten_times_and_a_twentieth_of_the_window() {
        assert_eq!(warmup(10_000, &[2, 5, 10]), 500);
        assert_eq!(warmup(10_000, &[2, 100]), 1000);
        assert_eq!(warmup(1, &[1]), 10);
        assert_eq!(warmup_at(2000, 2000, &[2, 5, 10]), 100);
        assert_eq!(warmup_at(1, 30, &[2, 5]), 10);
        assert_eq!(warmup_at(1, 30, &[20]), 20);
    }
}
