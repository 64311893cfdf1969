//! How long a run and a trial are unless told otherwise, and the bounds of what can be asked for.

use crate::load::latency::REQUESTS_BEYOND_A_PERCENTILE;

/// Wall-clock budget unless told otherwise, milliseconds.
pub const BUDGET_MS: u64 = 5 * 60 * 1000;
/// Blocks that are run however short the budget is: fewer have no spread to speak of.
pub const MINIMUM_BLOCKS: u32 = 3;
/// Share of the processors' time that the hypervisor may take during a valid trial, percent, unless told otherwise.
pub const STEAL_LIMIT_PERCENT: u32 = 25;

/// Most blocks that can be asked for.
pub const MOST_BLOCKS: u32 = 1000;
/// Shortest budget, milliseconds.
pub const LEAST_BUDGET_MS: u64 = 1000;
/// Longest budget, milliseconds.
pub const MOST_BUDGET_MS: u64 = 7 * 24 * 3600 * 1000;
/// Longest window at a fixed rate, seconds.
pub(super) const MOST_SECONDS: u64 = 600;
/// Shortest window at a fixed rate, milliseconds: a hundredth of it is what the last answer may be late.
pub(super) const LEAST_MS: u64 = 100;

/// Requests of a window at a fixed rate unless told otherwise: one second's, but at least as many as a p99 of one trial
/// takes ([`REQUESTS_BEYOND_A_PERCENTILE`]), and at most half a minute's.
pub fn requests_at(rate: u64) -> u64 {
    const FOR_A_P99: u64 = 100 * REQUESTS_BEYOND_A_PERCENTILE;
    const MOST_SECONDS_BY_DEFAULT: u64 = 30;
    rate.max(FOR_A_P99).min(rate.saturating_mul(MOST_SECONDS_BY_DEFAULT))
}

/// Requests sent and discarded before the timed window: ten for each connection and at least 5 % of the window, so
/// that connections, pools, threads and the allocator have been through a whole cycle.
pub fn warmup(requests: u64, concurrency: u32) -> u64 {
    let connections = u64::from(concurrency.max(1));
    (10 * connections).max(requests.div_ceil(20))
}

/// The same at a fixed rate, where it may take ten seconds unless that were fewer than the connections.
pub fn warmup_at(rate: u64, requests: u64, concurrency: u32) -> u64 {
    let connections = u64::from(concurrency.max(1));
    warmup(requests, concurrency).min(rate.saturating_mul(10)).max(connections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_at_a_rate_takes_a_second_and_supports_a_p99_where_half_a_minute_allows_it() {
        assert_eq!([5000, 2000, 700, 60, 1].map(requests_at), [5000, 2000, 2000, 1800, 30]);
    }

    #[test]
    fn the_warmup_serves_every_connection_ten_times_and_a_twentieth_of_the_window() {
        assert_eq!(warmup(10_000, 10), 500);
        assert_eq!(warmup(10_000, 100), 1000);
        assert_eq!(warmup(1, 1), 10);
        assert_eq!(warmup_at(2000, 2000, 10), 100);
        assert_eq!(warmup_at(1, 30, 5), 10);
        assert_eq!(warmup_at(1, 30, 20), 20);
    }
}
