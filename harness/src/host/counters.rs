//! The kernel's counters around a timed window.

use std::fs;

use nix::unistd::{SysconfVar, sysconf};
use serde::{Deserialize, Serialize};

use crate::host::HostError;

/// What the machine did during the timed window, read from `/proc`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostWindow {
    /// CPU time that the hypervisor gave to others, all processors together, nanoseconds.
    pub steal_ns: u64,
    /// CPU time spent idle, all processors together, nanoseconds.
    pub idle_ns: u64,
    /// Increase of the kernel's `ListenOverflows`: connections that met a full accept queue.
    pub listen_overflows: u64,
    /// Increase of `TCPTimeouts`: retransmission timers that fired.
    pub tcp_timeouts: u64,
    /// Sockets in TIME_WAIT when the window began.
    pub time_wait_at_start: u64,
}

const STAT: &str = "/proc/stat";
const NETSTAT: &str = "/proc/net/netstat";
const SOCKSTAT: &str = "/proc/net/sockstat";

/// The counters at one moment, since the machine (or the network namespace) began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    steal_ns: u64,
    idle_ns: u64,
    listen_overflows: u64,
    tcp_timeouts: u64,
    time_wait: u64,
}

impl Counters {
    /// Reads them now.
    pub fn now() -> Result<Self, HostError> {
        Self::parse(&read(STAT)?, &read(NETSTAT)?, &read(SOCKSTAT)?, tick_ns())
    }

    /// What happened between `self` and the later `end`.
    pub fn until(&self, end: &Counters) -> HostWindow {
        HostWindow {
            steal_ns: end.steal_ns.saturating_sub(self.steal_ns),
            idle_ns: end.idle_ns.saturating_sub(self.idle_ns),
            listen_overflows: end.listen_overflows.saturating_sub(self.listen_overflows),
            tcp_timeouts: end.tcp_timeouts.saturating_sub(self.tcp_timeouts),
            time_wait_at_start: self.time_wait,
        }
    }

    fn parse(stat: &str, netstat: &str, sockstat: &str, tick_ns: u64) -> Result<Self, HostError> {
        // user nice system idle iowait irq softirq steal …
        let ticks: Vec<u64> = stat
            .lines()
            .find_map(|line| line.strip_prefix("cpu "))
            .map(|cpu| cpu.split_whitespace().map_while(|ticks| ticks.parse().ok()).collect())
            .unwrap_or_default();
        let &[_, _, _, idle, iowait, _, _, steal, ..] = ticks.as_slice() else {
            return Err(missing(STAT, "the idle and steal times"));
        };
        Ok(Counters {
            steal_ns: steal * tick_ns,
            // A processor that waits for a disk is idle too.
            idle_ns: (idle + iowait) * tick_ns,
            listen_overflows: tcp_ext(netstat, "ListenOverflows")?,
            tcp_timeouts: tcp_ext(netstat, "TCPTimeouts")?,
            time_wait: sockstat
                .lines()
                .find_map(|line| line.strip_prefix("TCP:"))
                .and_then(|tcp| {
                    let mut words = tcp.split_whitespace();
                    words.find(|&word| word == "tw")?;
                    words.next()?.parse().ok()
                })
                .ok_or_else(|| missing(SOCKSTAT, "the sockets in TIME_WAIT"))?,
        })
    }
}

/// Two lines begin with `TcpExt:`: the names, then the values.
fn tcp_ext(netstat: &str, name: &'static str) -> Result<u64, HostError> {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let names = lines.next().unwrap_or_default().split_whitespace();
    let values = lines.next().unwrap_or_default().split_whitespace();
    names
        .zip(values)
        .find(|&(key, _)| key == name)
        .and_then(|(_, value)| value.parse().ok())
        .ok_or_else(|| missing(NETSTAT, name))
}

fn tick_ns() -> u64 {
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|hz| u64::try_from(hz).ok());
    1_000_000_000 / per_second.filter(|&hz| hz > 0).unwrap_or(100)
}

fn read(path: &'static str) -> Result<String, HostError> {
    fs::read_to_string(path).map_err(|error| HostError::Counter {
        path,
        field: "its counters",
        reason: error.to_string(),
    })
}

fn missing(path: &'static str, field: &'static str) -> HostError {
    HostError::Counter { path, field, reason: "no such field".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  10 0 20 300 4 0 6 7 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
    const NETSTAT: &str = "TcpExt: SyncookiesSent ListenOverflows TCPTimeouts\nTcpExt: 1 22 333\n\
                           IpExt: InNoRoutes ListenOverflows\nIpExt: 4 5\n";
    const SOCKSTAT: &str =
        "sockets: used 11\nTCP: inuse 1 orphan 0 tw 12 alloc 1 mem 246\nUDP: inuse 0 mem 0\n";

    #[test]
    fn each_counter_is_found_in_its_file() {
        let counters = Counters::parse(STAT, NETSTAT, SOCKSTAT, 10).unwrap();
        let expected =
            Counters { steal_ns: 70, idle_ns: 3040, listen_overflows: 22, tcp_timeouts: 333, time_wait: 12 };
        assert_eq!(counters, expected);
    }

    #[test]
    fn a_window_is_the_difference_and_starts_with_its_time_waits() {
        let start = Counters::parse(STAT, NETSTAT, SOCKSTAT, 10).unwrap();
        let end = Counters {
            steal_ns: start.steal_ns + 1,
            idle_ns: start.idle_ns + 2,
            listen_overflows: start.listen_overflows + 3,
            tcp_timeouts: start.tcp_timeouts + 4,
            time_wait: 99,
        };
        let expected = HostWindow {
            steal_ns: 1,
            idle_ns: 2,
            listen_overflows: 3,
            tcp_timeouts: 4,
            time_wait_at_start: 12,
        };
        assert_eq!(start.until(&end), expected);
    }

    #[test]
    fn a_counter_that_is_not_there_is_named() {
        let error = Counters::parse(STAT, "TcpExt: Other\nTcpExt: 1\n", SOCKSTAT, 10).unwrap_err();
        assert!(error.to_string().contains("ListenOverflows in /proc/net/netstat"), "{error}");
        assert!(Counters::parse("cpu  1 2\n", NETSTAT, SOCKSTAT, 10).is_err());
        assert!(Counters::parse(STAT, NETSTAT, "TCP: inuse 1\n", 10).is_err());
    }

    #[test]
    fn this_machine_has_them_and_they_do_not_run_backwards() {
        let start = Counters::now().unwrap();
        let end = Counters::now().unwrap();
        assert!(end.idle_ns >= start.idle_ns && end.tcp_timeouts >= start.tcp_timeouts);
    }
}
