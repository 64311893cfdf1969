//! Values that the unit tests of fault runs start from: requests every ten milliseconds that take turns between two
//! backends and are answered within one, but for those that a test has fare otherwise.

use std::collections::BTreeMap;

use super::observe::observe;
use crate::fixtures;
use crate::load::{End, Recorded, Recording};
use crate::plan::fault::{Draft, Event, FaultScript, Faults};
use crate::plan::{Cell, Competitor, Length, Plan, factor};
use crate::record::timeline::{Applied, Observation};
use crate::record::{Environment, Outcome, Stored, Trial};

const EVERY_US: u64 = 10_000;
const TAKES_US: u64 = 1_000;

pub(crate) fn script(text: &str) -> FaultScript {
    text.parse::<Draft>().unwrap().over(2).unwrap()
}

pub(crate) fn plan(text: &str) -> Faults {
    Faults { script: script(text), after_ms: 1000, late_ms: 100, timeout_ms: 5000, bucket_ms: 100 }
}

pub(crate) fn environment(text: &str) -> Environment {
    let load = fixtures::plan(Length::Blocks(2));
    let load = fixtures::over(load, &factor::BACKENDS, &[2]);
    let load = fixtures::over(fixtures::over(load, &factor::CONCURRENCY, &[16]), &factor::RATE, &[100]);
    let plan_of_load = Plan { competitors: ["threads", "mio"].map(Competitor::of).to_vec(), ..load };
    let mut environment = Environment { plan: plan_of_load, ..fixtures::environment() };
    environment.plan.base.fault = Some(plan(text));
    environment
}

/// A run of that script.
pub(crate) fn stored(text: &str, trials: Vec<Trial>) -> Stored {
    Stored { name: "faulty".into(), environment: environment(text), trials }
}

/// Each event at its time, and effective a millisecond later.
pub(crate) fn on_time(script: &FaultScript) -> Vec<Applied> {
    let applied = |event: &Event| Applied {
        event: *event,
        began_us: event.at_ms * 1000,
        effective_us: event.at_ms * 1000 + 1000,
    };
    script.events.iter().map(applied).collect()
}

/// The requests of `plan`'s window, each changed by `change`.
pub(crate) fn recording(plan: &Faults, change: impl Fn(&mut Recorded)) -> Recording {
    let requests = (0..plan.window_ms() * 1000 / EVERY_US).map(|number| {
        let due_us = number * EVERY_US;
        let backend = u16::try_from(number % 2).ok();
        let end = End::Status(200);
        let mut request = Recorded { due_us, sent_us: due_us, ended_us: due_us + TAKES_US, backend, end };
        change(&mut request);
        request
    });
    Recording {
        began_monotonic_ns: 0,
        backends: vec!["b1".into(), "b2".into()],
        requests: requests.collect(),
    }
}

/// What is seen of it when everything happens on time.
pub(crate) fn seen(text: &str, change: impl Fn(&mut Recorded)) -> Observation {
    let plan = plan(text);
    observe(&plan, &recording(&plan, change), &on_time(&plan.script)).unwrap()
}

/// A model for which one request failed, ten milliseconds after the fault, and none later.
pub(crate) fn observed(model: &str, block: u32) -> Trial {
    let observation = seen("kill-backend@1s,restore@2s", |request| {
        if request.due_us == 1_010_000 {
            (request.end, request.backend) = (End::Status(502), None);
        }
    });
    trial(model, block, outcome(observation))
}

/// A valid trial's, in which clients saw that.
pub(crate) fn outcome(observation: Observation) -> Outcome {
    let Outcome::Measured(mut sample) = fixtures::measured() else { unreachable!("a sample was made") };
    sample.timeline = Some(Box::new(observation));
    Outcome::Measured(sample)
}

pub(crate) fn trial(model: &str, block: u32, outcome: Outcome) -> Trial {
    let cell = Cell { competitor: Competitor::of(model), ..fixtures::cell(model, 2, 16) };
    Trial { cell, ..fixtures::trial(block, outcome) }
}

/// Good answers by backend.
pub(crate) fn answers(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}
