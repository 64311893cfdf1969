//! The load generator: one thread that drives a closed loop, with `ab`'s meanings of n, c and k, or an open one, at a
//! fixed rate, and verifies every response; or several, each of which drives a part of the one load.
//!
//! In scope: HTTP/1.1 over TCP, persistent or one connection a request, one or more URLs in strict turn, one body for
//! all requests, a warm-up that is not counted. Out of scope: TLS. Rules: a failed request is counted by
//! what went wrong and never stops the others; every wait is bounded; the parser is its own, so that it shares no
//! bug with what it measures; targets beyond this machine need explicit consent.
//!
//! How a connection ends without keep-alive: the request says `Connection: close`, and the slot waits for the
//! server's close before it goes on, so that the server's end has the TIME_WAIT. A server that does not close within
//! [`CLOSE_PATIENCE`] of a complete response is closed upon, and that is counted. With keep-alive, a connection that the
//! server closes between two responses is opened again and is no failure; one that it closes after the next request
//! has been written is a `receive` failure.
//!
//! Through a cache, a share of the requests repeats (`mix.rs` says which). What a cache says in `Cache-Status` that it has given
//! itself is counted apart, and is no backend's.
//!
//! A window ends with its requests, with its duration, or with whichever comes first; what is then in hand is waited for,
//! so that the slowest responses are not left out. One that is broken off, by a signal or because nobody answers any
//! more, is reported with what there is, and says that it is incomplete and why.
//!
//! The open loop's requests are due at fixed times (`pace.rs` says how they are spaced and why). One that is due while
//! all C connections are busy waits here, and that wait counts: its latency runs from when it was due. The service
//! time, from when it was sent, stands beside it; the difference is what a closed loop does not see.
//!
//! ```no_run
//! use roundtable_harness::load::{Load, LoadConfig};
//!
//! let urls = vec!["http://127.0.0.1:18000/".to_owned()];
//! let config = LoadConfig { urls, requests: Some(10_000), concurrency: 10, ..LoadConfig::default() };
//! let mut load = Load::prepare(config)?;
//! load.warm_up()?;
//! let report = load.measure()?;
//! println!("{} of {}", report.completed, report.requests);
//! # Ok::<(), roundtable_harness::load::LoadError>(())
//! ```

mod answer;
mod bounds;
mod config;
mod connection;
mod engine;
mod error;
mod failure;
pub mod latency;
mod merge;
mod mix;
mod pace;
mod part;
mod progress;
mod record;
mod report;
mod response;
mod summary;
mod surge;
mod tally;
mod target;
mod threads;
mod timer;
mod verify;

pub use bounds::{
    LEAST_DURATION, LEAST_TIMEOUT, MAX_CONCURRENCY, MAX_DATA_BYTES, MAX_DURATION, MAX_RATE, MAX_REQUESTS,
    MOST_TIMEOUT,
};
pub use config::LoadConfig;
pub use engine::{CLOSE_PATIENCE, Load};
pub use error::LoadError;
pub use failure::{Failure, Failures};
pub(crate) use mix::repeated;
pub use pace::SUSTAINED_PERCENT;
pub use part::{NoPart, Part};
pub use progress::{Phase, Progress, bar};
pub use record::{End, Recorded, Recording};
pub use report::{Incomplete, LoadReport, OpenLoop, Percentile, Told};
pub use response::MAX_HEAD_BYTES;
pub use surge::{NoSurge, Surge};
pub use threads::ThreadedLoad;
