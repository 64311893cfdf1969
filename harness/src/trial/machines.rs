//! The kernel's counters of every host around a timed window.
//!
//! Owns whose counters are read: this machine's, or those of each host that has a role, from its agent. Rule: a gate holds for
//! each host by itself, so that hosts which share a machine are not counted twice.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use thiserror::Error;

use crate::host::{Counters, HostError, HostWindow};
use crate::testbed::Testbed;
use crate::testbed::process::ChildError;

/// Why they could not be read.
#[derive(Debug, Error)]
pub(super) enum CountError {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Child(ChildError),
}

/// The counters of every host at one moment. The balancer's host is the first.
pub(super) struct Moment(Vec<Counted>);

struct Counted {
    /// `None`: this machine, which needs no name.
    name: Option<String>,
    processors: usize,
    counters: Counters,
}

/// What every host did during a window.
pub(crate) struct Machines {
    /// The balancer's.
    pub(crate) host: HostWindow,
    /// Each by its name, where there are several.
    pub(crate) each: BTreeMap<String, HostWindow>,
    /// What part of all its processors' time the hypervisor took, of the host where that was most, nanoseconds a processor.
    stolen_ns_a_processor: f64,
}

impl Moment {
    /// Now.
    pub(super) fn now(testbed: &Testbed) -> Result<Self, CountError> {
        let links = testbed.links();
        if links.is_empty() {
            let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
            return Ok(Moment(vec![Counted { name: None, processors, counters: Counters::now()? }]));
        }
        let balancer = &testbed.topology().balancer.name;
        let mut all = Vec::new();
        for link in links {
            let counters =
                link.counters(testbed.interrupt()).map_err(|error| CountError::Child(error.into()))?;
            let processors = link.hello().processors.len();
            all.push(Counted { name: Some(link.host().to_owned()), processors, counters });
        }
        all.sort_by_key(|counted| counted.name.as_ref() != Some(balancer));
        Ok(Moment(all))
    }

    /// What happened from `self` until the later `end`.
    pub(super) fn until(&self, end: &Moment) -> Machines {
        let windows = self.0.iter().zip(&end.0).map(|(start, end)| start.counters.until(&end.counters));
        let windows: Vec<HostWindow> = windows.collect();
        let stolen = self.0.iter().zip(&windows);
        let stolen = stolen.map(|(of, window)| window.steal_ns as f64 / of.processors.max(1) as f64);
        let named = self.0.iter().zip(&windows);
        Machines {
            host: windows.first().copied().unwrap_or_default(),
            stolen_ns_a_processor: stolen.fold(0.0, f64::max),
            each: named.filter_map(|(of, window)| Some((of.name.clone()?, *window))).collect(),
        }
    }
}

impl Machines {
    /// What share of its processors' time in `elapsed_ns` the hypervisor took, percent, of the host where that was most.
    pub(super) fn steal_percent(&self, elapsed_ns: u64) -> f64 {
        100.0 * self.stolen_ns_a_processor / elapsed_ns.max(1) as f64
    }

    /// Connections that met a full accept queue, of the host that had most.
    pub(super) fn listen_overflows(&self) -> u64 {
        let each = self.each.values().chain([&self.host]);
        each.map(|window| window.listen_overflows).max().unwrap_or(0)
    }
}
