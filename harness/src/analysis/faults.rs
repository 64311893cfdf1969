//! What clients saw of a fault run, model by model: each figure over a model's repetitions.
//!
//! Rules: a time that never came is longer than any other (infinite), so that a median of such times is still right; only
//! valid trials count, and models keep the plan's order, so that nothing is ranked.

pub mod timeline;

use crate::plan::fault::Event;
use crate::plan::{Competitor, Faults, Plan};
use crate::record::timeline::{Episode, Errors, LeftOut, Observation};
use crate::record::{Outcome, Reason, Stored, Trial};
use crate::statistics::Spread;

/// A run in which faults befell the backends: it has one condition.
#[derive(Debug, Clone, Copy)]
pub struct FaultRun<'a> {
    /// The run.
    pub stored: &'a Stored,
    /// What befell them.
    pub faults: &'a Faults,
}

impl<'a> FaultRun<'a> {
    /// `stored`, if it is one.
    pub fn of(stored: &'a Stored) -> Option<Self> {
        Some(FaultRun { stored, faults: stored.environment.plan.base.fault.as_ref()? })
    }

    /// What was to be run.
    pub fn plan(self) -> &'a Plan {
        &self.stored.environment.plan
    }

    /// What was seen in each valid trial.
    fn seen(self) -> impl Iterator<Item = (&'a Competitor, &'a Observation)> {
        self.stored.trials.iter().filter_map(|trial| Some((&trial.cell.competitor, seen(trial).ok()?)))
    }

    /// The valid trials of `model`.
    pub fn observations(self, model: &Competitor) -> impl Iterator<Item = &'a Observation> {
        self.seen().filter(move |(of, _)| *of == model).map(|(_, seen)| seen)
    }
}

/// What clients saw in `trial`, or why it does not count.
pub fn seen(trial: &Trial) -> Result<&Observation, Vec<Reason>> {
    match &trial.outcome {
        Outcome::Measured(sample) => {
            let missing = || vec![Reason::AlteredRecord { what: "nothing of what clients saw".to_owned() }];
            sample.timeline.as_deref().ok_or_else(missing)
        }
        Outcome::Invalid { reasons } => Err(reasons.clone()),
    }
}

/// One model and one of the script's faults.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFault {
    /// The model.
    pub model: Competitor,
    /// The fault.
    pub fault: Option<Event>,
    /// What was seen; `None` where the model has no valid trial.
    pub seen: Option<Seen>,
    /// What is of the whole trial, in the entry of a model's first fault.
    pub whole_trial: Option<WholeTrial>,
}

/// What clients saw of a fault, over the repetitions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Requests without a good answer: in the whole trial where the script has one fault, else while it lasted.
    pub errors: Option<Spread>,
    /// Good answers that were late, counted likewise.
    pub late: Option<Spread>,
    /// From the fault to the end of the last request that suffered while it lasted, ms.
    pub left_out_ms: Option<Spread>,
    /// From the restoration to the backend's first good answer, ms; `None` where nothing was restored.
    pub used_again_ms: Option<Spread>,
    /// From the restoration to the end of the last request that suffered, ms.
    pub calm_ms: Option<Spread>,
}

/// What clients saw of a model's whole trials.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WholeTrial {
    /// Errors of all repetitions together, by kind.
    pub errors: Errors,
    /// The slowest good answer, ms.
    pub slowest_ms: Option<Spread>,
}

/// Every model with every fault of the script, in the plan's order.
pub fn by_model(run: FaultRun<'_>) -> Vec<ModelFault> {
    let script = &run.faults.script;
    let episodes = script.episodes();
    let several = episodes.len() > 1;
    let each = run.plan().competitors.iter().flat_map(|model| {
        let trials: Vec<_> = run.observations(model).collect();
        let of = |(index, (fault, _)): (usize, &(usize, Option<usize>))| ModelFault {
            model: model.clone(),
            fault: script.events.get(*fault).copied(),
            seen: (!trials.is_empty()).then(|| {
                let seen = Seen::of(&trials, index, several);
                // No backend had gone.
                let of_the_load = script.events.get(*fault).is_some_and(|event| event.act.is_of_the_load());
                if of_the_load { Seen { used_again_ms: None, ..seen } } else { seen }
            }),
            whole_trial: (!trials.is_empty() && index == 0).then(|| WholeTrial::of(&trials)),
        };
        episodes.iter().enumerate().map(of).collect::<Vec<_>>()
    });
    each.collect()
}

/// Valid trials in which answers were late before the first event already.
pub fn noisy_trials(run: FaultRun<'_>) -> usize {
    run.seen().filter(|(_, seen)| seen.late_before > 0).count()
}

/// From the fault to the end of the last request that suffered, ms; 0: none did.
pub fn left_out_ms(episode: &Episode) -> f64 {
    match episode.left_out {
        LeftOut::Unnoticed => 0.0,
        LeftOut::AfterUs(us) => us as f64 / 1e3,
        LeftOut::Never => f64::INFINITY,
    }
}

/// From the restoration to the backend's first good answer, ms; `None` where nothing was restored.
pub fn used_again_ms(episode: &Episode) -> Option<f64> {
    Some(episode.after?.used_again_us.map_or(f64::INFINITY, |us| us as f64 / 1e3))
}

/// From the restoration to the end of the last request that suffered, ms; `None` where nothing was restored.
pub fn calm_ms(episode: &Episode) -> Option<f64> {
    Some(episode.after?.calm_us as f64 / 1e3)
}

impl Seen {
    /// Of the episode at `index`, one of `several` or the only one.
    fn of(trials: &[&Observation], index: usize, several: bool) -> Self {
        let episodes: Vec<&Episode> = trials.iter().filter_map(|seen| seen.episodes.get(index)).collect();
        let of_trials =
            |figure: fn(&Observation) -> u64| spread(trials.iter().map(|seen| figure(seen) as f64));
        let counted =
            |figure: fn(&Episode) -> u64| spread(episodes.iter().map(|episode| figure(episode) as f64));
        let timed = |figure: fn(&Episode) -> Option<f64>| {
            spread(episodes.iter().filter_map(|episode| figure(episode)))
        };
        let (errors, late) = if several {
            (counted(|episode| episode.errors), counted(|episode| episode.late))
        } else {
            (of_trials(|seen| seen.errors.total()), of_trials(|seen| seen.late))
        };
        Seen {
            errors,
            late,
            left_out_ms: timed(|episode| Some(left_out_ms(episode))),
            used_again_ms: timed(used_again_ms),
            calm_ms: timed(calm_ms),
        }
    }
}

impl WholeTrial {
    fn of(trials: &[&Observation]) -> Self {
        WholeTrial {
            errors: trials.iter().fold(Errors::default(), |sum, seen| sum + seen.errors),
            slowest_ms: spread(trials.iter().map(|seen| seen.slowest_us as f64 / 1e3)),
        }
    }
}

/// Median and range, where values may be infinite.
fn spread(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let (below, above) = (*sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted[sorted.len() / 2]);
    // A mean with what never came has never come.
    let median = if above.is_infinite() && sorted.len() > 1 { above } else { (below + above) / 2.0 };
    Some(Spread { min: sorted[0], median, max: sorted[sorted.len() - 1], count: sorted.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Option<[f64; 3]> {
        spread(values.iter().copied()).map(|spread| [spread.median, spread.min, spread.max])
    }

    #[test]
    fn what_never_came_is_longest() {
        let never = f64::INFINITY;
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[0.0, 0.0]), Some([0.0, 0.0, 0.0]));
        assert_eq!(of(&[30.0, 10.0, 20.0]), Some([20.0, 10.0, 30.0]));
        assert_eq!(of(&[1.0, 2.0]), Some([1.5, 1.0, 2.0]));
        assert_eq!(of(&[never; 3]), Some([never; 3]));
        assert_eq!(of(&[never, 5.0, 7.0]), Some([7.0, 5.0, never]));
        assert_eq!(of(&[5.0, never]), Some([never, 5.0, never]));
    }
}
