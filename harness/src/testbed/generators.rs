//! The load generators of one trial, as one: what they are told they are told together, and what they tell is added up.
//!
//! Owns the barrier (all have warmed up before the first is let go) and what is made of several reports; how one load is divided
//! between them is [`super::role`]'s. Rules: each generator's window is timed by its own machine's monotonic clock, and the
//! window of all is the longest of these, as they begin together; how far apart they began is told, by the harness's clock.

use std::time::Duration;

use serde::de::IgnoredAny;

use super::control::ReportLine;
use super::process::{ChildError, Supervised};
use crate::host::Usage;
use crate::load::{LoadReport, Recording};

/// The load generators of one trial. They end with this value.
#[derive(Debug)]
pub(crate) struct Generators {
    each: Vec<Supervised>,
}

/// What all generators together have measured.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) report: LoadReport,
    /// How long after the first the last one began, nanoseconds: to within half a round trip to each host.
    pub(crate) began_apart_ns: u64,
}

impl Generators {
    pub(crate) fn new(each: Vec<Supervised>) -> Self {
        Generators { each }
    }

    /// Waits until every one has warmed up.
    pub(crate) fn warm_up(&mut self, patience: Duration) -> Result<(), ChildError> {
        self.each.iter_mut().try_for_each(|load| load.read::<IgnoredAny>("warm up", patience).map(drop))
    }

    /// Lets all go.
    pub(crate) fn go(&mut self) -> Result<(), ChildError> {
        self.each.iter_mut().try_for_each(|load| load.say("go"))
    }

    /// What they have used so far, together.
    pub(crate) fn usage(&mut self) -> Result<Usage, ChildError> {
        self.each.iter_mut().map(Supervised::usage).sum()
    }

    /// Waits until the last one has finished.
    pub(crate) fn finish(&mut self, patience: Duration) -> Result<Finished, ChildError> {
        let (mut reports, mut began) = (Vec::new(), Vec::new());
        for load in &mut self.each {
            let told: ReportLine = load.read("finish its requests", patience)?;
            began.push(told.began_monotonic_ns.and_then(|there_ns| load.here_ns(there_ns)));
            reports.push(told.report);
        }
        if let [only] = reports.as_slice() {
            return Ok(Finished { report: only.clone(), began_apart_ns: 0 });
        }
        let nonsense = |reason: String| ChildError::Nonsense {
            role: "a load generator".to_owned(),
            reason,
            line: "its report".to_owned(),
        };
        let began = began.into_iter().collect::<Option<Vec<i128>>>();
        let began = began.ok_or_else(|| nonsense("it does not say when it began".to_owned()))?;
        let apart = began.iter().max().zip(began.iter().min()).map_or(0, |(last, first)| last - first);
        let report = LoadReport::merged(&reports).map_err(|error| nonsense(error.to_string()))?;
        Ok(Finished { report, began_apart_ns: u64::try_from(apart).unwrap_or(u64::MAX) })
    }

    /// What became of each request, where there is one generator that was asked for it. It began by the clock of this process, to
    /// within half a round trip to its host.
    pub(crate) fn recording(&mut self, patience: Duration) -> Result<Recording, ChildError> {
        let [only] = self.each.as_mut_slice() else { return Ok(Recording::default()) };
        let mut recording: Recording = only.read("tell what became of each request", patience)?;
        if let Some(here_ns) = only.here_ns(recording.began_monotonic_ns) {
            recording.began_monotonic_ns = u64::try_from(here_ns).unwrap_or(0);
        }
        Ok(recording)
    }

    /// How one ended, if any has.
    pub(crate) fn exit_report(&mut self) -> Option<ChildError> {
        self.each.iter_mut().find_map(Supervised::exit_report)
    }
}
