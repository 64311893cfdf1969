//! Tells the operator on standard error when a backend is left out, and when it is back, whatever the cause.
//!
//! Owns the lines and how many there are of them. Rules: whoever reports a change never waits; what is told is read from
//! the proxy's status, so that it does not matter in which order reports come, or whether one is lost beside others; of a
//! backend there is at most one line in [`SPACING`], and the last one tells how it is.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use roundtable::proxy::{BackendId, Condition, Proxy, Status, Watcher};

use crate::console::tell;

/// The least time between two lines about one backend.
const SPACING: Duration = Duration::from_secs(2);
/// Reports that may wait to be read.
const WAITING: usize = 256;
/// The thread calls nothing deep.
const STACK_BYTES: usize = 128 * 1024;

/// Something has changed about a backend; why, if it was for the worse.
#[derive(Debug)]
struct Report {
    backend: BackendId,
    cause: Option<String>,
}

/// The end that changes are reported to.
#[derive(Debug, Clone)]
pub(crate) struct Reporter(Sender<Report>);

/// The other end, for [`start`].
#[derive(Debug)]
pub(crate) struct Reports(Receiver<Report>);

/// Both ends.
pub(crate) fn reports() -> (Reporter, Reports) {
    let (reporter, reports) = bounded(WAITING);
    (Reporter(reporter), Reports(reports))
}

impl Reporter {
    /// Health checks have changed their mind: what has failed, or else all is well.
    pub(crate) fn checked(&self, backend: BackendId, failure: Option<impl fmt::Display>) {
        self.report(backend, failure.map(|failure| format!("its health checks fail: {failure}")));
    }

    fn report(&self, backend: BackendId, cause: Option<String>) {
        // A full channel is about to be read, and then everything is looked at.
        let _ = self.0.try_send(Report { backend, cause });
    }
}

impl Watcher for Reporter {
    fn left_out(&self, backend: BackendId, error: &io::Error) {
        self.report(backend, Some(format!("connecting to it fails: {error}")));
    }

    fn returned(&self, backend: BackendId) {
        self.report(backend, None);
    }
}

/// Tells what is reported about `proxy` from a thread of its own, for as long as the process lives.
pub(crate) fn start(proxy: Arc<Proxy>, reports: Reports) -> io::Result<()> {
    let tells = move || {
        let mut book = Book::default();
        let mut next: Option<Instant> = None;
        loop {
            let report = match next {
                None => reports.0.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => reports.0.recv_deadline(at),
            };
            match report {
                Ok(report) => {
                    book.note(report);
                    reports.0.try_iter().for_each(|report| book.note(report));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = Instant::now();
            let (lines, at) = book.lines(&proxy.status(now), now);
            lines.iter().for_each(|line| tell(format_args!("roundtable: {line}")));
            next = at;
        }
    };
    thread::Builder::new().name("outages".into()).stack_size(STACK_BYTES).spawn(tells).map(drop)
}

/// What has been told so far.
#[derive(Debug, Default)]
struct Book(HashMap<BackendId, Entry>);

#[derive(Debug, Default)]
struct Entry {
    cause: String,
    is_out: bool,
    told: Option<Instant>,
}

impl Book {
    fn note(&mut self, report: Report) {
        let entry = self.0.entry(report.backend).or_default();
        if let Some(cause) = report.cause {
            entry.cause = cause;
        }
    }

    /// What is to be told now, and when to look again if something has to wait.
    fn lines(&mut self, status: &Status, now: Instant) -> (Vec<String>, Option<Instant>) {
        let (mut lines, mut next): (Vec<String>, Option<Instant>) = (Vec::new(), None);
        for member in status.groups.iter().flat_map(|group| &group.members) {
            let entry = self.0.entry(member.id).or_default();
            let is_out = member.health != Condition::Up;
            if is_out == entry.is_out {
                continue;
            }
            if let Some(at) = entry.told.map(|told| told + SPACING).filter(|at| *at > now) {
                next = Some(next.map_or(at, |next| next.min(at)));
                continue;
            }
            entry.is_out = is_out;
            entry.told = Some(now);
            let name = member.name.escape_debug();
            lines.push(if is_out {
                format!("backend {name} is left out: {}", entry.cause)
            } else {
                format!("backend {name} is back")
            });
        }
        (lines, next)
    }
}

#[cfg(test)]
mod tests {
    use roundtable::proxy::{Config, Limits};

    use super::*;

    /// The status of two backends, of which these are left out.
    fn status(out: [bool; 2]) -> Status {
        let addresses = vec![([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into()];
        let now = Instant::now();
        let proxy = Proxy::new(Config::round_robin(addresses, "a".into(), Limits::default()), now).unwrap();
        let mut status = proxy.status(now);
        for (member, is_out) in status.groups[0].members.iter_mut().zip(out) {
            member.health = if is_out { Condition::LeftOut(Duration::ZERO) } else { Condition::Up };
        }
        status
    }

    fn report(index: usize, cause: Option<&str>) -> Report {
        let backend = status([false; 2]).groups[0].members[index].id;
        Report { backend, cause: cause.map(str::to_owned) }
    }

    #[test]
    fn an_outage_has_one_line_at_its_beginning_and_one_at_its_end() {
        let (mut book, start) = (Book::default(), Instant::now());
        assert_eq!(book.lines(&status([false, false]), start), (vec![], None));
        book.note(report(1, Some("it sleeps")));
        let line = "backend 127.0.0.1:2 is left out: it sleeps".to_owned();
        assert_eq!(book.lines(&status([false, true]), start), (vec![line], None));
        book.note(report(1, Some("it sleeps still")));
        assert_eq!(book.lines(&status([false, true]), start + SPACING), (vec![], None));
        book.note(report(1, None));
        let line = "backend 127.0.0.1:2 is back".to_owned();
        assert_eq!(book.lines(&status([false, false]), start + SPACING), (vec![line], None));
    }

    #[test]
    fn one_that_flaps_has_a_line_in_an_interval_and_the_last_one_is_true() {
        let (mut book, start) = (Book::default(), Instant::now());
        let mut told = Vec::new();
        for step in 0..400u32 {
            let now = start + SPACING * step / 100;
            book.note(report(0, Some("x")));
            let (lines, next) = book.lines(&status([step % 2 == 0, false]), now);
            assert!(next.is_none_or(|next| now < next && next <= now + SPACING));
            told.extend(lines);
        }
        assert!((2..=4).contains(&told.len()), "{told:?}");
        book.lines(&status([true, false]), start + SPACING * 10);
        let (_, next) = book.lines(&status([false, false]), start + SPACING * 10);
        assert_eq!(next, Some(start + SPACING * 11));
        assert_eq!(
            book.lines(&status([false, false]), start + SPACING * 11),
            (vec!["backend 127.0.0.1:1 is back".to_owned()], None)
        );
    }

    #[test]
    fn reports_never_wait_and_those_that_are_lost_change_nothing() {
        let (reporter, reports) = reports();
        for _ in 0..2 * WAITING {
            reporter.returned(report(0, None).backend);
        }
        let mut book = Book::default();
        reports.0.try_iter().for_each(|report| book.note(report));
        let (lines, _) = book.lines(&status([false, true]), Instant::now());
        assert_eq!(lines.len(), 1, "what was not reported is seen too: {lines:?}");
    }
}
