//! The machine that is measured on: its facts, its counters and its limit on open files.
//!
//! Linux's `/proc` and `/sys` are the source of everything here. Rule: a fact that cannot be found out is told as
//! `unknown`; a counter that a validity gate rests on must be there, or nothing is measured.

mod clock;
mod counters;
mod limit;
mod processors;
mod usage;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use clock::monotonic_ns;
pub(crate) use clock::unix_ms;
pub use counters::{Counters, HostWindow};
pub use limit::ensure_descriptors;
pub use processors::{allowed_processors, confine_to};
pub use usage::{Usage, usage_of_self};

/// Settings that bear on the result, by their names in `sysctl`.
const SYSCTLS: [&str; 10] = [
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_wmem",
];

/// Why this machine cannot be measured on.
#[derive(Debug, Error)]
pub enum HostError {
    /// A file of `/proc` is missing or has no such field.
    #[error("cannot find {field} in {path} ({reason}); measure on Linux, with /proc mounted")]
    Counter {
        /// The file.
        path: &'static str,
        /// What was looked for in it.
        field: &'static str,
        /// The system's or the parser's reason.
        reason: String,
    },
    /// The hard limit on open files is too low.
    #[error(
        "the concurrency asked needs {needed} open files a process, and this system allows {hard}; \
         lower --concurrency, or raise the hard limit (`ulimit -Hn {needed}` as root)"
    )]
    DescriptorLimit {
        /// What the plan needs.
        needed: u64,
        /// What can be had.
        hard: u64,
    },
    /// A role cannot have the processors that the layout gives it.
    #[error(
        "cannot run on processors {processors:?} ({reason}); name some that this process may use, or use --layout shared"
    )]
    Processors {
        /// By number.
        processors: Vec<usize>,
        /// The system's reason.
        reason: io::Error,
    },
    /// One processor cannot be shared out.
    #[error(
        "--layout pinned needs at least two processors and this process may use {0}; use --layout shared"
    )]
    TooFewProcessors(usize),
    /// The system does not tell or change its limit.
    #[error("cannot read or raise the limit on open files ({0}); set it before the run, with `ulimit -n`")]
    Limit(io::Error),
}

/// The machine that was measured on (Linux: `/proc`, `/sys`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Kernel release.
    pub kernel: String,
    /// Processor model.
    pub cpu: String,
    /// Processors that this process may use.
    pub processors: u32,
    /// Hypervisor, or `none`, as far as can be told.
    pub hypervisor: String,
    /// Physical memory, bytes.
    pub memory_bytes: u64,
    /// One-minute load average when the run began.
    pub load_average: f64,
    /// Descriptor limit of the children.
    pub descriptor_limit: u64,
    /// Kernel settings that bear on the result.
    pub sysctls: BTreeMap<String, String>,
}

/// The machine as it is now.
pub fn facts() -> Host {
    let cpuinfo = text("/proc/cpuinfo");
    Host {
        kernel: or_unknown(text("/proc/sys/kernel/osrelease")),
        cpu: or_unknown(field(&cpuinfo, "model name").unwrap_or_default()),
        processors: std::thread::available_parallelism()
            .map_or(0, |count| u32::try_from(count.get()).unwrap_or(u32::MAX)),
        hypervisor: hypervisor(&cpuinfo),
        memory_bytes: field(&text("/proc/meminfo"), "MemTotal")
            .and_then(|size| size.split_whitespace().next()?.parse::<u64>().ok())
            .map_or(0, |kib| kib * 1024),
        load_average: text("/proc/loadavg")
            .split_whitespace()
            .next()
            .and_then(|load| load.parse().ok())
            .unwrap_or(0.0),
        descriptor_limit: limit::soft().unwrap_or(0),
        sysctls: settings(),
    }
}

/// Closed connections hold their port for a minute unless the kernel may use it again: told when trials of so many
/// connections may run out.
pub fn port_warning(host: &Host, connections_a_trial: u64) -> Option<String> {
    let setting = |name: &str| host.sysctls.get(name).map_or("", String::as_str);
    let mut range =
        setting("net.ipv4.ip_local_port_range").split_whitespace().map_while(|port| port.parse().ok());
    let (first, last): (u64, u64) = (range.next()?, range.next()?);
    let ports = last.saturating_sub(first) + 1;
    let needed = connections_a_trial;
    // Three rows in a minute may have the same backend behind them.
    let short = 3 * needed > ports;
    (short && setting("net.ipv4.tcp_tw_reuse") == "0").then(|| {
        format!(
            "net.ipv4.tcp_tw_reuse is 0 and there are {ports} ephemeral ports for trials of {needed} connections: \
             set it to 2, or measure with --connections keepalive"
        )
    })
}

fn settings() -> BTreeMap<String, String> {
    let sysctls = SYSCTLS
        .iter()
        .map(|&name| (name.to_owned(), or_unknown(text(&format!("/proc/sys/{}", name.replace('.', "/"))))));
    // Not sysctls, but of their kind: what they allow is what was measured under.
    let affinity = field(&text("/proc/self/status"), "Cpus_allowed_list").unwrap_or_default();
    let others = [
        ("cpus_allowed", affinity),
        ("clocksource", text("/sys/devices/system/clocksource/clocksource0/current_clocksource")),
        ("cpu0.scaling_governor", text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
    ];
    sysctls.chain(others.map(|(name, value)| (name.to_owned(), or_unknown(value)))).collect()
}

/// x86 processors tell that there is one; its name is in the firmware's tables, where there are any.
fn hypervisor(cpuinfo: &str) -> String {
    let vendor = text("/sys/class/dmi/id/sys_vendor");
    let product = text("/sys/class/dmi/id/product_name");
    let named = [text("/sys/hypervisor/type"), format!("{vendor} {product}").trim().to_owned()];
    let flagged = field(cpuinfo, "flags")
        .is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor"));
    match (flagged, named.into_iter().find(|name| !name.is_empty())) {
        (true, Some(name)) => name,
        (true, None) => "present, unnamed".to_owned(),
        (false, _) if Path::new("/sys/hypervisor/type").exists() => text("/sys/hypervisor/type"),
        (false, _) => "none".to_owned(),
    }
}

/// The file on one line, or nothing.
fn text(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    // Only single values are put on one line; tables keep theirs.
    match text.trim_end().contains('\n') {
        true => text,
        false => text.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// The value of the first line `name: value`.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

fn or_unknown(text: String) -> String {
    if text.is_empty() { "unknown".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_facts() {
        let host = facts();
        assert!(host.processors >= 1);
        assert!(host.memory_bytes > 1 << 20);
        assert!(host.descriptor_limit >= 3);
        assert_ne!(host.kernel, "unknown");
        assert!(host.sysctls.contains_key("net.core.somaxconn"));
        assert!(host.sysctls.values().all(|value| !value.is_empty()));
    }

    #[test]
    fn ports_that_may_run_out_are_a_warning() {
        let host = |reuse: &str| {
            let settings =
                [("net.ipv4.ip_local_port_range", "32768 60999"), ("net.ipv4.tcp_tw_reuse", reuse)];
            let sysctls = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            Host { sysctls, ..crate::fixtures::environment().host }
        };
        assert!(port_warning(&host("0"), 10_010).is_some_and(|told| told.contains("28232 ephemeral")));
        assert_eq!(port_warning(&host("2"), 10_010), None);
        assert_eq!(port_warning(&host("0"), 1010), None);
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let cpuinfo = "model\t\t: 1\nmodel name\t: A: B\nflags\t\t: fpu hypervisor\n";
        assert_eq!(field(cpuinfo, "model name").as_deref(), Some("A: B"));
        assert_eq!(field(cpuinfo, "name"), None);
        assert_ne!(hypervisor(cpuinfo), "none");
    }
}
