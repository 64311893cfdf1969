//! Why a plan cannot be run, each with what to ask for instead.

use thiserror::Error;

use super::bounds::{LEAST_MS, MOST_SECONDS};
use super::competitor::MOST_SLOWDOWN_PERCENT;
use super::fault::FaultError;

/// A plan that cannot be run: the caller's doing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// Nothing in a list.
    #[error("the list is empty; give numbers as 1-5 or 2,5,10")]
    EmptyList,
    /// A range that counts down.
    #[error("the range {0}-{1} counts down; write {1}-{0}")]
    Backwards(u64, u64),
    /// A range of which nobody means every value.
    #[error("the list has more than 256 values; name fewer")]
    TooMany,
    /// Something that a factor cannot be.
    #[error("--{factor} cannot be {value}: {remedy}")]
    NoValue {
        /// The factor's name.
        factor: &'static str,
        /// What was given.
        value: String,
        /// What it can be.
        remedy: String,
    },
    /// A number outside its bounds.
    #[error("--{what} {value} is out of bounds; give {least} to {most}")]
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
    /// A fault script that cannot be carried out.
    #[error(transparent)]
    Fault(#[from] FaultError),
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
    /// A window that may end before its faults have.
    #[error("a run with faults lasts until its script is over; leave --duration out")]
    DurationWithFaults,
    /// Arrivals of a loop that has none.
    #[error("--arrivals poisson says how the requests of an open loop come; give --rate as well")]
    ArrivalsWithoutRate,
    /// A bound on what takes no time.
    #[error("--at-a-time bounds requests that a backend works on; give --delay as well, as in --delay 10ms")]
    AtATimeWithoutDelay,
    /// A floor cannot tell where a request with a body ends.
    #[error("{0} is no proxy and relays no uploads; leave it out of --peers, or leave --upload-bytes out")]
    FloorUploads(String),
    /// Only models are measured with a cache.
    #[error("{0} is measured without a cache; leave it out of --peers, or leave --cache out")]
    NoCacheOf(String),
    /// What no cache may keep.
    #[error(
        "answers to uploads are not stored, so that there is no --hit-ratio; leave it out, or --upload-bytes"
    )]
    HitsOfUploads,
    /// Loops of both kinds.
    #[error("a run is a closed loop or an open one, not both; give --rate numbers alone, or leave it out")]
    MixedLoops,
    /// Several conditions in a run with faults.
    #[error("a run with faults has one condition; give --{0} one value, and begin a run for each other one")]
    SweptWithFaults(&'static str),
    /// A model with more extra work than there can be, or none.
    #[error(
        "{label:?} asks for extra CPU work that there cannot be; give 1 to {MOST_SLOWDOWN_PERCENT} percent, as in \
         {model}+10%"
    )]
    Slowdown {
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
    /// A name that is no product of the table of peers.
    #[error("there is no peer {name:?}; the peers are {known}")]
    UnknownPeer {
        /// What was asked for.
        name: String,
        /// All of them.
        known: String,
    },
}
