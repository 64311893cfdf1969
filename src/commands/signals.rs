//! What a process inherits of signals.

/// Whether this process was started with `signal` ignored, as under `nohup`: it should stay so. Linux: the ignored
/// signals are a set of bits, in hexadecimal.
pub(super) fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .is_some_and(|set| set >> (signal - 1) & 1 == 1)
}
