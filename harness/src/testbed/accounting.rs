//! What all that a process has started has used, as the kernel tells (Linux: `/proc`).
//!
//! For programs that speak none of our lines and may be many processes: ours tell of themselves
//! ([`crate::host::usage_of_self`]). Rules: memory that processes share is counted for each of them; what an ended
//! descendant used is counted once it was waited for by one that is still there; processor time comes from each
//! process's own clock, which counts nanoseconds where the files count ticks.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::host::Usage;

/// What stands in `/proc/PID/stat`, as far as it is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    user_ticks: u64,
    system_ticks: u64,
    /// Of children that ended and were waited for.
    ended_user_ticks: u64,
    ended_system_ticks: u64,
    threads: u64,
}

/// The processes that `root` has started and those that they have started, as far as they are there.
pub(crate) fn processes_below(root: u32) -> io::Result<Vec<u32>> {
    let all = processes()?;
    Ok(all.keys().copied().filter(|&pid| pid != root && is_of_tree(&all, root, pid)).collect())
}

/// The processes whose parent `root` is, as far as they are there, ended ones that nobody has waited for included.
pub(crate) fn processes_of(root: u32) -> io::Result<Vec<u32>> {
    Ok(processes()?.into_iter().filter(|(_, stat)| stat.parent == root).map(|(pid, _)| pid).collect())
}

/// What the processes that `root` has started and those that they have started have used so far.
pub(crate) fn usage_below(root: u32) -> io::Result<Usage> {
    let all = processes()?;
    usage_of(all.iter().filter(|(pid, _)| **pid != root && is_of_tree(&all, root, **pid)))
}

/// Every process of this machine.
fn processes() -> io::Result<BTreeMap<u32, Stat>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that ends meanwhile is not there any more.
        if let Some(stat) = fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|text| stat(&text))
        {
            all.insert(pid, stat);
        }
    }
    Ok(all)
}

fn usage_of<'a>(some: impl Iterator<Item = (&'a u32, &'a Stat)>) -> io::Result<Usage> {
    let tick_ns =
        sysconf(SysconfVar::CLK_TCK).ok().flatten().map_or(10_000_000, |hz| 1_000_000_000 / hz.max(1));
    let tick_ns = u64::try_from(tick_ns).unwrap_or(10_000_000);
    let mut usage = Usage::default();
    let mut count = 0;
    for (pid, stat) in some {
        count += 1;
        let ticks = stat.user_ticks + stat.system_ticks;
        let clock_ns = processor_time_ns(*pid).unwrap_or(ticks * tick_ns);
        // The clock says how much; the ticks say in which mode.
        let user_ns = match ticks {
            0 => clock_ns,
            _ => (u128::from(clock_ns) * u128::from(stat.user_ticks) / u128::from(ticks)) as u64,
        };
        usage.user_ns += user_ns + stat.ended_user_ticks * tick_ns;
        usage.system_ns += clock_ns - user_ns + stat.ended_system_ticks * tick_ns;
        usage.threads += stat.threads;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        usage.peak_rss_bytes += field(&status, "VmHWM:") * 1024;
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().filter_map(Result::ok) {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            usage.voluntary_switches += field(&status, "voluntary_ctxt_switches:");
            usage.involuntary_switches += field(&status, "nonvoluntary_ctxt_switches:");
        }
    }
    if count == 0 {
        return Err(io::Error::new(io::ErrorKind::NotFound, "there is no such process any more"));
    }
    Ok(usage)
}

/// Whether `pid` is `root` or one of its descendants.
fn is_of_tree(all: &BTreeMap<u32, Stat>, root: u32, mut pid: u32) -> bool {
    // Numbers are used again, so that what was read at different moments could be a circle.
    for _ in 0..all.len() {
        if pid == root {
            return true;
        }
        match all.get(&pid) {
            Some(stat) => pid = stat.parent,
            None => return false,
        }
    }
    false
}

fn processor_time_ns(pid: u32) -> Option<u64> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
    u64::try_from(clock_gettime(clock).ok()?.num_nanoseconds()).ok()
}

fn stat(text: &str) -> Option<Stat> {
    // The name stands in parentheses and may hold any character.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        user_ticks: number(11)?,
        system_ticks: number(12)?,
        ended_user_ticks: number(13)?,
        ended_system_ticks: number(14)?,
        threads: number(17)?,
    })
}

fn field(status: &str, name: &str) -> u64 {
    let found =
        status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    found.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;
    use crate::host::usage_of_self;

    #[test]
    fn a_line_of_stat_is_read_whatever_the_process_is_called() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194304 10 0 0 0 5 6 7 8 20 0 3 0 100 0 0\n";
        let expected = Stat {
            parent: 7,
            user_ticks: 5,
            system_ticks: 6,
            ended_user_ticks: 7,
            ended_system_ticks: 8,
            threads: 3,
        };
        assert_eq!(stat(line), Some(expected));
        assert_eq!(stat("42 (a"), None);
    }

    #[test]
    fn what_a_child_of_a_child_burns_is_in_the_usage_below_its_first_parent() {
        // A shell waits for a second, which waits for a third that counts until the test has seen enough.
        let script = "sh -c 'sh -c \"echo; i=0; while :; do i=\\$((i+1)); done\" & wait' & wait";
        let mut tree =
            Command::new("setsid").args(["sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(tree.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let below = processes_below(tree.id()).unwrap();
        let begun = std::time::Instant::now();
        let mut seen = usage_below(tree.id()).unwrap();
        while seen.cpu_ns() < 50_000_000 && begun.elapsed() < std::time::Duration::from_secs(60) {
            seen = usage_below(tree.id()).unwrap();
        }
        // It leads a session, and its group with it.
        nix::sys::signal::killpg(Pid::from_raw(tree.id().try_into().unwrap()), nix::sys::signal::SIGKILL)
            .unwrap();
        tree.wait().unwrap();
        assert!(below.len() == 2 && !below.contains(&tree.id()), "{below:?}");
        assert!(seen.cpu_ns() >= 50_000_000, "{seen:?}");
        assert!(seen.threads == 2 && seen.peak_rss_bytes > 0, "{seen:?}");
        assert!(usage_below(u32::MAX).is_err());
    }

    #[test]
    fn a_process_is_seen_from_outside_as_it_sees_itself() {
        let before = usage_of_self().unwrap();
        let all = processes().unwrap();
        let seen = usage_of(all.iter().filter(|(pid, _)| **pid == std::process::id())).unwrap();
        let after = usage_of_self().unwrap();
        // What other tests' children used is in it, once they have ended.
        assert!(seen.cpu_ns() >= before.cpu_ns(), "{before:?} {seen:?} {after:?}");
        assert!(seen.peak_rss_bytes >= before.peak_rss_bytes.min(after.peak_rss_bytes));
    }
}
