//! What a process has used, as it tells of itself.

use std::io;
use std::iter::Sum;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

/// What one role used between the start and the end of the timed window (Linux: `getrusage` and
/// `/proc/self/status`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time in user mode, nanoseconds.
    pub user_ns: u64,
    /// CPU time in the kernel, nanoseconds.
    pub system_ns: u64,
    /// Context switches because the process waited.
    pub voluntary_switches: u64,
    /// Context switches because its time was up.
    pub involuntary_switches: u64,
    /// Threads alive at the end of the window.
    pub threads: u64,
    /// Peak resident memory since the process began, bytes.
    pub peak_rss_bytes: u64,
}

impl Usage {
    /// User and system time together, nanoseconds.
    pub fn cpu_ns(&self) -> u64 {
        self.user_ns + self.system_ns
    }
}

impl Sum for Usage {
    /// Of several processes: threads and peak memory are added up, too.
    fn sum<I: Iterator<Item = Usage>>(all: I) -> Self {
        all.fold(Usage::default(), |a, b| Usage {
            user_ns: a.user_ns + b.user_ns,
            system_ns: a.system_ns + b.system_ns,
            voluntary_switches: a.voluntary_switches + b.voluntary_switches,
            involuntary_switches: a.involuntary_switches + b.involuntary_switches,
            threads: a.threads + b.threads,
            peak_rss_bytes: a.peak_rss_bytes + b.peak_rss_bytes,
        })
    }
}

/// What this process has used since it began. Threads that have ended are included, which a sum over
/// `/proc/<pid>/task` would miss. Peak memory is `VmHWM`: `ru_maxrss` survives `exec` and would report the parent's.
pub fn usage_of_self() -> io::Result<Usage> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| -> u64 {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
    };
    Ok(Usage {
        user_ns: u64::try_from(usage.user_time().num_nanoseconds()).unwrap_or(0),
        system_ns: u64::try_from(usage.system_time().num_nanoseconds()).unwrap_or(0),
        voluntary_switches: u64::try_from(usage.voluntary_context_switches()).unwrap_or(0),
        involuntary_switches: u64::try_from(usage.involuntary_context_switches()).unwrap_or(0),
        threads: field("Threads:"),
        peak_rss_bytes: field("VmHWM:") * 1024,
    })
}
