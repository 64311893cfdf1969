//! One model's means over its repetitions, interval by interval, while faults come and go.

use super::FaultRun;
use crate::plan::Competitor;
use crate::plan::backend_name;
use crate::plan::fault::{Act, Event};
use crate::record::timeline::Bucket;

/// One model's means, per second.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline {
    /// The model.
    pub model: Competitor,
    /// Its valid trials.
    pub trials: usize,
    /// Good answers in each interval, by backend, in the order of [`Backends`].
    pub by_backend: Vec<Vec<f64>>,
    /// Those of them that were late.
    pub late: Vec<f64>,
    /// Requests without a good answer.
    pub errors: Vec<f64>,
    /// Each event, and when it could first be felt, seconds.
    pub events: Vec<(Event, f64)>,
}

/// The backends of a script: first those that are left in peace, then those that a fault befalls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backends {
    /// Their names.
    pub names: Vec<String>,
    /// How many of them, at the front, no fault befalls.
    pub untouched: usize,
}

impl Backends {
    /// Of so many backends and these events.
    pub fn of(events: &[Event], backends: u32) -> Self {
        let is_faulty = |number: &u32| events.iter().any(|event| event.backend == *number);
        let (faulty, untouched): (Vec<u32>, Vec<u32>) = (1..=backends).partition(is_faulty);
        let names = untouched.iter().chain(&faulty).map(|number| backend_name(*number)).collect();
        Backends { names, untouched: untouched.len() }
    }
}

impl Timeline {
    /// Of each model that has a valid trial, in the plan's order.
    pub fn of_each(run: FaultRun<'_>, backends: &Backends) -> Vec<Self> {
        run.plan().competitors.iter().filter_map(|model| Timeline::of(run, model, backends)).collect()
    }

    fn of(run: FaultRun<'_>, model: &Competitor, backends: &Backends) -> Option<Self> {
        let trials: Vec<_> = run.observations(model).collect();
        let events = trials.first()?.applied.len();
        let intervals = trials.iter().map(|trial| trial.buckets.len()).max()?;
        let per_second = 1e3 / run.faults.bucket_ms.max(1) as f64 / trials.len() as f64;
        let mean = |count: &dyn Fn(&Bucket) -> u64| -> Vec<f64> {
            let sum = |interval: usize| -> u64 {
                trials.iter().filter_map(|trial| trial.buckets.get(interval)).map(count).sum()
            };
            (0..intervals).map(|interval| sum(interval) as f64 * per_second).collect()
        };
        let answers =
            |name: &String| mean(&|bucket: &Bucket| bucket.answered.get(name).copied().unwrap_or(0));
        let event = |index: usize| -> Option<(Event, f64)> {
            let applied: Vec<_> = trials.iter().filter_map(|trial| trial.applied.get(index)).collect();
            let event = applied.first()?.event;
            let us = applied.iter().map(|applied| match event.act {
                Act::Restore | Act::Calm => applied.effective_us,
                _ => applied.began_us,
            });
            Some((event, us.sum::<u64>() as f64 / applied.len() as f64 / 1e6))
        };
        Some(Timeline {
            model: model.clone(),
            trials: trials.len(),
            by_backend: backends.names.iter().map(answers).collect(),
            late: mean(&|bucket| bucket.late),
            errors: mean(&|bucket| bucket.errors.total()),
            events: (0..events).filter_map(event).collect(),
        })
    }

    /// Intervals that it has.
    pub fn intervals(&self) -> usize {
        self.late.len()
    }

    /// The largest figure of any interval: all good answers, or the errors.
    pub fn tallest(&self) -> f64 {
        let stacked = |interval: usize| self.by_backend.iter().map(|rates| rates[interval]).sum::<f64>();
        (0..self.intervals()).map(|interval| stacked(interval).max(self.errors[interval])).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::invalid;
    use crate::trial::faults::fixtures::{observed, stored, trial};

    #[test]
    fn each_model_with_a_valid_trial_has_the_means_of_its_trials() {
        let trials = vec![trial("threads", 0, invalid("x")), observed("mio", 0), observed("mio", 1)];
        let stored = stored("kill-backend@1s,restore@2s", trials);
        let run = FaultRun::of(&stored).unwrap();
        let backends = Backends::of(&run.faults.script.events, 2);
        let [mio] = &Timeline::of_each(run, &backends)[..] else { panic!("mio alone") };
        assert_eq!((mio.model.name.as_str(), mio.trials, mio.intervals()), ("mio", 2, 30));
        let events: Vec<_> = mio.events.iter().map(|(event, at)| (event.act.name(), *at)).collect();
        assert_eq!(events, [("kill-backend", 1.0), ("restore", 2.001)]);
        // A hundred requests a second take turns, and one failed.
        assert_eq!((mio.by_backend[0][5], mio.by_backend[1][5]), (50.0, 50.0));
        assert_eq!((mio.errors[10], mio.late[10]), (10.0, 0.0));
        assert_eq!(mio.tallest(), 100.0);
    }

    #[test]
    fn backends_that_a_fault_befalls_come_last() {
        let event = |backend| Event { act: Act::Refuse, backend, at_ms: 0 };
        assert_eq!(Backends::of(&[event(1)], 3).names, ["b2", "b3", "b1"]);
        let all = Backends::of(&[event(2), event(1)], 2);
        assert_eq!((all.names.as_slice(), all.untouched), (["b1", "b2"].map(String::from).as_slice(), 0));
    }
}
