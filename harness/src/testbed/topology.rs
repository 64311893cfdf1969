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
    /// The load generator's.
    pub load: Host,
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
        Topology { load: host.clone(), balancer: host.clone(), backends: vec![host] }
    }

    /// The host of the backend of that number (from 1).
    pub(crate) fn backend(&self, number: u32) -> &Host {
        let place = (number as usize).saturating_sub(1).checked_rem(self.backends.len()).unwrap_or(0);
        self.backends.get(place).unwrap_or(&self.balancer)
    }

    /// Whether all roles are on one host, so that their clocks are one.
    pub fn is_one_host(&self) -> bool {
        let others = self.backends.iter().chain([&self.load]);
        others.into_iter().all(|host| host.name == self.balancer.name)
    }
}

/// The option that confines a role to its share of `processors`; none where it may use all of them.
pub(crate) fn confined(layout: Layout, processors: &[usize], share: Share) -> Vec<String> {
    match (layout, processors.split_first()) {
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
        let spread = Topology { load: a.clone(), balancer: b.clone(), backends: vec![a.clone(), c.clone()] };
        let of: Vec<_> = (1..=3).map(|number| spread.backend(number).name.as_str()).collect();
        assert_eq!(of, ["a", "c", "a"]);
        assert!(!spread.is_one_host());
        assert!(!Topology { backends: vec![b.clone()], load: a, balancer: b.clone() }.is_one_host());
        assert!(Topology { backends: vec![b.clone()], load: b.clone(), balancer: b }.is_one_host());
    }

    #[test]
    fn a_pinned_balancer_has_a_processor_to_itself_where_there_are_two() {
        let of = |layout, processors: &[usize], share| confined(layout, processors, share).join(" ");
        assert_eq!(of(Layout::Pinned, &[0, 2, 3], Share::Balancer), "--processors 0");
        assert_eq!(of(Layout::Pinned, &[0, 2, 3], Share::Other), "--processors 2,3");
        assert_eq!(of(Layout::Pinned, &[0], Share::Balancer), "");
        assert_eq!(of(Layout::Shared, &[0, 2, 3], Share::Balancer), "");
    }
}
