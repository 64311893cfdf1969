//! Runs that go on at the same time on this machine: both measure less than the machine can do.
//!
//! Owns how runs learn of each other, and what the user is told. Every run listens at an abstract Unix socket (Linux; the
//! names are the same for all of a network namespace): no file is left behind, no folder need be writable, and the name is
//! free again when its process ends, however it ends. A run that begins connects to all of these names; the others see that
//! when they look, between trials. Rule: a run is told of, never kept from measuring, and nothing of it gets into what is
//! stored.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use roundtable_harness::plan::schedule::{Forecast, Job};
use roundtable_harness::record::Trial;
use roundtable_harness::trial::runner::Observer;

/// Runs that can learn of each other at a time.
const MOST_RUNS: u32 = 32;

/// This run, as others see it.
#[derive(Debug)]
pub(super) struct OtherRuns {
    /// None where no socket was to be had: then others do not see this run.
    listener: Option<UnixListener>,
}

impl OtherRuns {
    /// Lets others know of this run, and tells of those that are there.
    pub(super) fn announce(mut tell: impl FnMut(&str)) -> Self {
        let mut listener = None;
        for place in 0..MOST_RUNS {
            let Ok(name) = SocketAddr::from_abstract_name(format!("roundtable-run-{place}")) else {
                continue;
            };
            // Connecting first: what this process listens at itself is not another run.
            match UnixStream::connect_addr(&name) {
                Ok(other) => tell(&told(&other)),
                Err(_) if listener.is_none() => match listen(&name) {
                    Ok(own) => listener = Some(own),
                    // Somebody was quicker.
                    Err(_) => drop(UnixStream::connect_addr(&name).map(|other| tell(&told(&other)))),
                },
                Err(_) => {}
            }
        }
        OtherRuns { listener }
    }

    /// Tells of the runs that have begun since it was last asked.
    pub(super) fn look(&self, mut tell: impl FnMut(&str)) {
        let Some(listener) = &self.listener else { return };
        while let Ok((other, _)) = listener.accept() {
            tell(&told(&other));
        }
    }
}

fn listen(name: &SocketAddr) -> io::Result<UnixListener> {
    let listener = UnixListener::bind_addr(name)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn told(other: &UnixStream) -> String {
    let process =
        getsockopt(other, PeerCredentials).map_or(String::new(), |peer| format!(" (process {})", peer.pid()));
    format!(
        "another `roundtable run`{process} measures on this machine at the same time, and both find less than it can do; \
         measure one after the other"
    )
}

/// An observer that is warned of other runs, too: of those that are there when the first trial begins, and of those that
/// come later.
pub(super) struct Watched {
    observer: Box<dyn Observer>,
    others: Option<OtherRuns>,
}

impl Watched {
    /// For a run that has been announced already, or is to be with its first trial.
    pub(super) fn new(observer: Box<dyn Observer>, others: Option<OtherRuns>) -> Self {
        Watched { observer, others }
    }

    fn look(&mut self) {
        let warn = |line: &str| self.observer.warn(line);
        match &self.others {
            Some(others) => others.look(warn),
            None => self.others = Some(OtherRuns::announce(warn)),
        }
    }
}

impl Observer for Watched {
    fn begins(&mut self, job: &Job, forecast: &Forecast) {
        self.look();
        self.observer.begins(job, forecast);
    }

    fn ended(&mut self, trial: &Trial, forecast: &Forecast) {
        self.look();
        self.observer.ended(trial, forecast);
    }

    fn warn(&mut self, text: &str) {
        self.observer.warn(text);
    }
}
