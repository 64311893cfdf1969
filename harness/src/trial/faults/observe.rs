//! From the record of every request and the times of the events to what clients saw of a fault.
//!
//! Pure functions: no clock, no process. The definitions, all times from when a request was *due*: a good answer is a
//! whole, right 2xx response; it is late when it ended more than the plan's bound after its request was due; a request
//! suffered when it had no good answer, or a late one. A fault lasts from when it began to when its restoration began,
//! or to the window's end. Its backend was left out from the end of the last request that suffered while it lasted; never,
//! when requests that came due in the last [`SETTLED_US`] of the fault (in its second half, if that is shorter) still
//! did, in each third of that time: a single pause of the machine does not look like that.

use crate::load::{End, Failure, Recorded, Recording};
use crate::plan::backend_name;
use crate::plan::fault::{FaultScript, Faults};
use crate::record::Reason;
use crate::record::timeline::{After, Applied, Bucket, Episode, Errors, LeftOut, Observation, SETTLED_US};

const PARTS: u64 = 3;

/// What `recording` shows of the script whose events came about as in `applied`; a reason against it, when requests failed
/// while no fault was there to blame.
pub fn observe(plan: &Faults, recording: &Recording, applied: &[Applied]) -> Result<Observation, Reason> {
    let view = View { plan, recording, applied };
    let first = applied.first().map_or(u64::MAX, |event| event.began_us);
    let before = view.errors(|request| request.ended_us < first);
    if before.total() > 0 {
        let kinds = before.kinds().into_iter().filter(|(_, count)| *count > 0);
        let kinds = kinds.map(|(kind, count)| (kind.to_owned(), count)).collect();
        return Err(Reason::FailedBeforeFault { requests: before.total(), kinds });
    }
    Ok(Observation {
        requests: recording.requests.len() as u64,
        errors: view.errors(|_| true),
        late: view.late(|_| true),
        late_before: view.late(|request| request.ended_us < first),
        slowest_us: view.good().map(Recorded::since_due_us).max().unwrap_or(0),
        applied: applied.to_vec(),
        episodes: view.episodes(),
        buckets: view.buckets(),
    })
}

fn is_good(request: &Recorded) -> bool {
    matches!(request.end, End::Status(200..=299))
}

fn error(request: &Recorded) -> Errors {
    let mut errors = Errors::default();
    *match request.end {
        End::Status(200..=299) => return errors,
        End::Status(500..=599) => &mut errors.status_5xx,
        End::Status(_) => &mut errors.status_other,
        End::Failed(Failure::Connect) => &mut errors.connect,
        End::Failed(Failure::Receive) => &mut errors.cut,
        End::Failed(Failure::Timeout) => &mut errors.timeout,
        End::Failed(Failure::Length | Failure::Content | Failure::Malformed) => &mut errors.wrong,
    } = 1;
    errors
}

struct View<'a> {
    plan: &'a Faults,
    recording: &'a Recording,
    applied: &'a [Applied],
}

impl View<'_> {
    fn good(&self) -> impl Iterator<Item = &Recorded> {
        self.recording.requests.iter().filter(|request| is_good(request))
    }

    fn is_late(&self, request: &Recorded) -> bool {
        is_good(request) && request.since_due_us() > self.plan.late_ms * 1000
    }

    fn errors(&self, which: impl Fn(&Recorded) -> bool) -> Errors {
        let of = self.recording.requests.iter().filter(|request| which(request));
        of.fold(Errors::default(), |sum, request| sum + error(request))
    }

    fn late(&self, which: impl Fn(&Recorded) -> bool) -> u64 {
        self.recording.requests.iter().filter(|request| self.is_late(request) && which(request)).count()
            as u64
    }

    fn suffered(&self) -> impl Iterator<Item = &Recorded> {
        self.recording.requests.iter().filter(|request| !is_good(request) || self.is_late(request))
    }

    fn episodes(&self) -> Vec<Episode> {
        let script = FaultScript { events: self.applied.iter().map(|applied| applied.event).collect() };
        script.episodes().into_iter().map(|(fault, restore)| self.episode(fault, restore)).collect()
    }

    fn episode(&self, fault: usize, restore: Option<usize>) -> Episode {
        let from = self.applied[fault].began_us;
        let to = restore.map_or(self.plan.window_ms() * 1000, |restore| self.applied[restore].began_us);
        let during = |request: &Recorded| request.ended_us >= from && request.due_us < to;
        let settled_us = SETTLED_US.min(to.saturating_sub(from) / 2);
        let part = |place: u64| to - settled_us + place * settled_us / PARTS;
        let suffered = || self.suffered().filter(|request| during(request));
        let left_out = match suffered().map(|request| request.ended_us).max() {
            None => LeftOut::Unnoticed,
            Some(_)
                if (0..PARTS).all(|place| {
                    suffered().any(|request| (part(place)..part(place + 1)).contains(&request.due_us))
                }) =>
            {
                LeftOut::Never
            }
            Some(last) => LeftOut::AfterUs(last - from),
        };
        Episode {
            fault,
            errors: self.errors(during).total(),
            late: self.late(during),
            left_out,
            after: restore.map(|restore| self.after(restore)),
        }
    }

    fn after(&self, restore: usize) -> After {
        let Applied { event, began_us, effective_us } = self.applied[restore];
        let next = self.applied[restore..].iter().find(|later| !later.event.act.is_end());
        let end = next.map_or(u64::MAX, |next| next.began_us);
        let name = backend_name(event.backend);
        let place = self.recording.backends.iter().position(|known| *known == name);
        let is_its = |request: &&Recorded| place.is_some() && request.backend.map(usize::from) == place;
        let answered = self.good().filter(is_its).filter(|request| request.sent_us >= began_us);
        let first = answered.map(|request| request.ended_us).filter(|ended| *ended < end).min();
        let troubled = self.suffered().filter(|request| request.due_us < end);
        let last = troubled.map(|request| request.ended_us).max().unwrap_or(0);
        After {
            used_again_us: first.map(|first| first.saturating_sub(effective_us)),
            calm_us: last.saturating_sub(effective_us),
        }
    }

    fn buckets(&self) -> Vec<Bucket> {
        let length_us = self.plan.bucket_ms * 1000;
        let place = |request: &Recorded| usize::try_from(request.ended_us / length_us).unwrap_or(usize::MAX);
        let window = usize::try_from(self.plan.window_ms().div_ceil(self.plan.bucket_ms)).unwrap_or(0);
        // A request ends by its timeout at the latest, so that there are not many more than the window has.
        let count = self.recording.requests.iter().map(|r| place(r) + 1).max().unwrap_or(0).max(window);
        let mut buckets = vec![Bucket::default(); count];
        for request in &self.recording.requests {
            let bucket = &mut buckets[place(request)];
            bucket.errors += error(request);
            if is_good(request) {
                *bucket.answered.entry(self.name_of(request)).or_default() += 1;
                bucket.late += u64::from(self.is_late(request));
                bucket.slowest_us = bucket.slowest_us.max(request.since_due_us());
            }
        }
        buckets
    }

    fn name_of(&self, request: &Recorded) -> String {
        let name = request.backend.and_then(|place| self.recording.backends.get(usize::from(place)));
        name.map_or("unnamed", String::as_str).to_owned()
    }
}

#[cfg(test)]
mod tests;
