//! A test aid: extra CPU work for each request, so that anybody can check that the measurement finds a slowdown.
//!
//! Owns the calibration. The work is a share of what a request costs this process by itself, so that ten percent is ten
//! percent in every model and under every load: from one checkpoint to the next the process's CPU time, less the extra
//! work done, is divided by the requests forwarded. Until the first checkpoint there is no extra work.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// Requests from one checkpoint to the next.
const CHECKPOINT: u64 = 200;
/// Rounds of work whose time is taken at the start, several times over.
const SAMPLE_ROUNDS: u64 = 200_000;

/// The handicap of one balancer.
#[derive(Debug)]
pub(crate) struct Handicap {
    percent: u64,
    rounds_per_ms: u64,
    requests: AtomicU64,
    /// Rounds that each request does now.
    rounds: AtomicU64,
    /// CPU time and extra rounds at the last checkpoint.
    checkpoint_cpu_ns: AtomicU64,
    done_rounds: AtomicU64,
}

impl Handicap {
    /// Takes some milliseconds to find out how fast this processor works.
    pub(crate) fn new(percent: u32) -> Self {
        // The fastest of several: whatever else the machine does only makes a sample slower.
        let fastest = (0..10)
            .map(|_| {
                let start = Instant::now();
                work(SAMPLE_ROUNDS);
                start.elapsed()
            })
            .min()
            .unwrap_or(Duration::from_millis(1));
        let nanoseconds = u64::try_from(fastest.as_nanos()).unwrap_or(u64::MAX).max(1);
        Handicap {
            percent: percent.into(),
            rounds_per_ms: SAMPLE_ROUNDS * 1_000_000 / nanoseconds,
            requests: AtomicU64::new(0),
            rounds: AtomicU64::new(0),
            checkpoint_cpu_ns: AtomicU64::new(cpu_ns()),
            done_rounds: AtomicU64::new(0),
        }
    }

    /// One request's extra work.
    pub(super) fn burden(&self) {
        let rounds = self.rounds.load(Ordering::Relaxed);
        work(rounds);
        self.done_rounds.fetch_add(rounds, Ordering::Relaxed);
        if (self.requests.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(CHECKPOINT) {
            self.calibrate();
        }
    }

    fn calibrate(&self) {
        let now = cpu_ns();
        let used = now.saturating_sub(self.checkpoint_cpu_ns.swap(now, Ordering::Relaxed));
        let extra = self.done_rounds.swap(0, Ordering::Relaxed) * 1_000_000 / self.rounds_per_ms.max(1);
        let own_ns = used.saturating_sub(extra) / CHECKPOINT;
        self.rounds.store(own_ns * self.percent * self.rounds_per_ms / 100_000_000, Ordering::Relaxed);
    }
}

/// Work that no compiler can leave out, and that touches no memory.
fn work(rounds: u64) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..rounds {
        state = black_box(state.rotate_left(5).wrapping_mul(0x5851_f42d_4c95_7f2d));
    }
}

/// CPU time of this process so far.
fn cpu_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .map_or(0, |time| u64::try_from(Duration::from(time).as_nanos()).unwrap_or(u64::MAX))
}
