//! What may be asked of a load at most, and at least.

use std::time::Duration;

/// The highest concurrency, as `ab`'s.
pub const MAX_CONCURRENCY: u32 = 20_000;
/// The most requests that can be asked for, and the most of a warm-up.
pub const MAX_REQUESTS: u64 = 1_000_000_000;
/// The shortest window.
pub const LEAST_DURATION: Duration = Duration::from_millis(1);
/// The longest one.
pub const MAX_DURATION: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest request body: it is held in memory, once for each URL.
pub const MAX_DATA_BYTES: usize = 64 << 20;
/// The most requests per second of the open loop: beyond it, a nanosecond clock and one thread have no say.
pub const MAX_RATE: u64 = 1_000_000;

/// The shortest time that one response may be given.
pub const LEAST_TIMEOUT: Duration = Duration::from_millis(1);
/// The longest.
pub const MOST_TIMEOUT: Duration = Duration::from_secs(3600);
