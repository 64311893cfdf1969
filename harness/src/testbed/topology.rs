//! Where each role runs: on which host, at which address, on which processors.
//!
//! Rule: two processes share a clock only where they are on one host; whoever subtracts a time of one from a time of the
//! other asks [`Topology::is_one_host`] first.

use std::net::{IpAddr, Ipv4Addr};

use crate::plan::Layout;

/// A host, as the launcher knows it and as the other roles reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// What stands for it in the launcher's template.
    pub name: String,
    /// Where its servers listen.
    pub address: IpAddr,
}

/// Which role runs on which host. Backends take turns between theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// The load generators', one each: at least one.
    pub load: Vec<Host>,
    /// The balancer's.
    pub balancer: Host,
    /// The backends', in turn: at least one.
    pub backends: Vec<Host>,
}

/// Who gets which processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// The balancer's own.
    Balancer,
    /// What the others share.
    Other,
}

impl Topology {
    /// Every role on this machine.
    pub fn local() -> Self {
        let host = Host { name: "localhost".to_owned(), address: IpAddr::V4(Ipv4Addr::LOCALHOST) };
        Topology { load: vec![host.clone()], balancer: host.clone(), backends: vec![host] }
    }

    /// The host of the backend of that number (from 1).
    pub(crate) fn backend(&self, number: u32) -> &Host {
        let place = (number as usize).saturating_sub(1).checked_rem(self.backends.len()).unwrap_or(0);
        self.backends.get(place).unwrap_or(&self.balancer)
    }

    /// Each host that has a role, once.
    pub fn hosts(&self) -> Vec<&Host> {
        let mut hosts: Vec<&Host> = Vec::new();
        for host in self.load.iter().chain([&self.balancer]).chain(&self.backends) {
            if hosts.iter().all(|known| known.name != host.name) {
                hosts.push(host);
            }
        }
        hosts
    }

    /// Whether all roles are on one host, so that their clocks are one.
    pub fn is_one_host(&self) -> bool {
        self.hosts().len() == 1
    }
}

/// The option that confines a role to its share of its host's `processors`; none where it may use all of them. Nothing is set
/// apart for a balancer on a host where there is none.
pub(crate) fn confined(
    layout: Layout,
    processors: &[usize],
    share: Share,
    beside_balancer: bool,
) -> Vec<String> {
    match (layout, processors.split_first()) {
        (Layout::Pinned, _) if !beside_balancer => Vec::new(),
        (Layout::Pinned, Some((first, others))) if !others.is_empty() => {
            let own = match share {
                Share::Balancer => std::slice::from_ref(first),
                Share::Other => others,
            };
            let own: Vec<_> = own.iter().map(ToString::to_string).collect();
            vec!["--processors".to_owned(), own.join(",")]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, last: u8) -> Host {
        Host { name: name.to_owned(), address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)) }
    }

    #[test]
    fn backends_take_turns_between_their_hosts_and_one_host_is_one_clock() {
        assert!(Topology::local().is_one_host());
        let (a, b, c) = (host("a", 1), host("b", 2), host("c", 3));
        let spread =
            Topology { load: vec![a.clone()], balancer: b.clone(), backends: vec![a.clone(), c.clone()] };
        let of: Vec<_> = (1..=3).map(|number| spread.backend(number).name.as_str()).collect();
        assert_eq!(of, ["a", "c", "a"]);
        assert!(!spread.is_one_host());
        let names: Vec<_> = spread.hosts().into_iter().map(|host| host.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert!(!Topology { backends: vec![b.clone()], load: vec![a], balancer: b.clone() }.is_one_host());
        assert!(Topology { backends: vec![b.clone()], load: vec![b.clone()], balancer: b }.is_one_host());
    }

    #[test]
    fn a_pinned_balancer_has_a_processor_to_itself_where_there_are_two() {
        let of = |layout, processors: &[usize], share| confined(layout, processors, share, true).join(" ");
        assert_eq!(of(Layout::Pinned, &[0, 2, 3], Share::Balancer), "--processors 0");
        assert_eq!(of(Layout::Pinned, &[0, 2, 3], Share::Other), "--processors 2,3");
        assert_eq!(of(Layout::Pinned, &[0], Share::Balancer), "");
        assert_eq!(of(Layout::Shared, &[0, 2, 3], Share::Balancer), "");
        assert!(confined(Layout::Pinned, &[0, 2, 3], Share::Other, false).is_empty());
    }
}
