//! The clock that all processes of a machine share.

use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};

/// Time since an unspecified point that is the same for all processes (Linux: `CLOCK_MONOTONIC`), nanoseconds.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| now.num_nanoseconds());
    u64::try_from(now).unwrap_or(0)
}
