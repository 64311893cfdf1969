//! Which signals end a command, and what a process inherits of them.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The signals that ask a command to end. That of a terminal that was closed stays ignored where the process was started
/// so, as under `nohup`.
pub(super) fn that_end() -> impl Iterator<Item = i32> {
    [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| signal != SIGHUP || !is_ignored(signal))
}

/// Whether this process was started with `signal` ignored. Linux: the ignored signals are a set of bits, in hexadecimal.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .is_some_and(|set| set >> (signal - 1) & 1 == 1)
}
