//! The figures of a fault run: each the median over a model's repetitions, with their range.
//!
//! Rules: a time that never came is longer than any other, so that a median of such times is still right; only valid
//! trials count, and rows keep the plan's order, so that nothing is ranked.

use crate::plan::Competitor;
use crate::plan::backend_name;
use crate::plan::fault::Event;
use crate::record::faults::{FaultOutcome, FaultTrial, StoredFaults};
use crate::record::timeline::{Episode, Errors, LeftOut, Observation};
use crate::record::timeline::{answered, in_words};
use crate::report::table::{Column, Table};
use crate::report::tables::NOTHING;

/// What stands for a time that did not come.
const NEVER: &str = "never";

/// A row a model, or a row a model and fault.
pub fn table(stored: &StoredFaults) -> Table {
    let plan = &stored.environment.environment.plan;
    let scenario = &stored.environment.fault.script;
    let episodes = scenario.episodes();
    let several = episodes.len() > 1;
    let mut columns = vec![Column::words("model")];
    if several {
        columns.push(Column::words("fault"));
    }
    columns.extend([
        Column::numbers("errors"),
        Column::words("errors by kind, all repetitions").short("errors by kind"),
        Column::numbers("late answers").short("late\nanswers"),
        Column::numbers("slowest answer (ms)").short("slowest\nanswer (ms)"),
        Column::numbers("left out after (ms)").short("left out\nafter (ms)"),
        Column::numbers("used again after (ms)").short("used again\nafter (ms)"),
        Column::numbers("calm after (ms)").short("calm\nafter (ms)"),
    ]);
    let mut rows = Vec::new();
    for model in &plan.competitors {
        let seen: Vec<_> = observations(stored, model).collect();
        for (place, (fault, _)) in episodes.iter().enumerate() {
            let name = if place == 0 { model.to_string() } else { String::new() };
            let mut row = vec![name];
            if several {
                row.push(scenario.events.get(*fault).map_or_else(String::new, described));
            }
            row.extend(figures(&seen, place, several));
            rows.push(row);
        }
    }
    Table { columns, rows }
}

/// A row a trial, valid or not.
pub(super) fn trials(stored: &StoredFaults) -> Table {
    let numbers = |title: &str| Column::numbers(title);
    let columns = vec![
        numbers("block"),
        Column::words("model"),
        numbers("requests"),
        Column::words("errors"),
        numbers("late"),
        numbers("late before the first event"),
        numbers("slowest answer (ms)"),
        numbers("left out after (ms)"),
        numbers("used again after (ms)"),
        numbers("calm after (ms)"),
        Column::words("good answers by backend"),
    ];
    let row = |trial: &FaultTrial| {
        let mut row = vec![(u64::from(trial.block) + 1).to_string(), trial.model.to_string()];
        match &trial.outcome {
            FaultOutcome::Invalid { .. } => {
                row.push("invalid".into());
                row.resize(11, NOTHING.into());
            }
            FaultOutcome::Observed(seen) => row.extend(one(seen)),
        }
        row
    };
    let mut order: Vec<_> = stored.trials.iter().collect();
    order.sort_by_key(|trial| (trial.block, trial.position, trial.attempt));
    Table { columns, rows: order.into_iter().map(row).collect() }
}

/// "kill-backend b3 at 2 s".
pub(super) fn described(event: &Event) -> String {
    let at = event.at_ms as f64 / 1e3;
    format!("{} {} at {at} s", event.act.name(), backend_name(event.backend))
}

/// The valid trials of `model`.
pub(super) fn observations<'a>(
    stored: &'a StoredFaults,
    model: &'a Competitor,
) -> impl Iterator<Item = &'a Observation> {
    stored.trials.iter().filter(move |trial| trial.model == *model).filter_map(|trial| match &trial.outcome {
        FaultOutcome::Observed(observation) => Some(&**observation),
        FaultOutcome::Invalid { .. } => None,
    })
}

/// What stands after the names in the row of the episode at `place`. With `several` of them, errors and late answers are
/// those while it lasted, and what is of the whole trial stands in the first one's row.
fn figures(seen: &[&Observation], place: usize, several: bool) -> Vec<String> {
    if seen.is_empty() {
        return vec![NOTHING.into(); 7];
    }
    let episodes: Vec<&Episode> = seen.iter().filter_map(|seen| seen.episodes.get(place)).collect();
    let of_trials = |figure: &dyn Fn(&Observation) -> f64| {
        spread(&seen.iter().map(|seen| figure(seen)).collect::<Vec<_>>())
    };
    let of_episodes = |figure: &dyn Fn(&Episode) -> Option<f64>| {
        spread(&episodes.iter().filter_map(|episode| figure(episode)).collect::<Vec<_>>())
    };
    let (errors, late) = if several {
        (
            of_episodes(&|episode| Some(episode.errors as f64)),
            of_episodes(&|episode| Some(episode.late as f64)),
        )
    } else {
        (of_trials(&|seen| seen.errors.total() as f64), of_trials(&|seen| seen.late as f64))
    };
    let all = seen.iter().fold(Errors::default(), |sum, seen| sum + seen.errors);
    let first = |text: String| if place == 0 { text } else { NOTHING.into() };
    vec![
        errors,
        first(kinds(&all)),
        late,
        first(of_trials(&|seen| seen.slowest_us as f64 / 1e3)),
        of_episodes(&|episode| Some(left_out_ms(episode))),
        of_episodes(&used_again_ms),
        of_episodes(&|episode| Some(episode.after?.calm_us as f64 / 1e3)),
    ]
}

/// One trial's figures; those of several faults one after the other.
fn one(seen: &Observation) -> Vec<String> {
    let each = |figure: &dyn Fn(&Episode) -> Option<f64>| {
        let texts = seen.episodes.iter().map(|episode| figure(episode).map_or(NOTHING.into(), number));
        texts.collect::<Vec<_>>().join(", ")
    };
    let backends = answered(&seen.buckets).into_iter().map(|(name, count)| format!("{name} {count}"));
    vec![
        seen.requests.to_string(),
        kinds(&seen.errors),
        seen.late.to_string(),
        seen.late_before.to_string(),
        number(seen.slowest_us as f64 / 1e3),
        each(&|episode| Some(left_out_ms(episode))),
        each(&used_again_ms),
        each(&|episode| Some(episode.after?.calm_us as f64 / 1e3)),
        backends.collect::<Vec<_>>().join(", "),
    ]
}

fn kinds(errors: &Errors) -> String {
    if errors.total() == 0 { "none".to_owned() } else { in_words(errors) }
}

fn left_out_ms(episode: &Episode) -> f64 {
    match episode.left_out {
        LeftOut::Unnoticed => 0.0,
        LeftOut::AfterUs(us) => us as f64 / 1e3,
        LeftOut::Never => f64::INFINITY,
    }
}

/// None where nothing was restored.
fn used_again_ms(episode: &Episode) -> Option<f64> {
    Some(episode.after?.used_again_us.map_or(f64::INFINITY, |us| us as f64 / 1e3))
}

/// "12 (10–15)": median and range, or the one value that they all have as it is written.
fn spread(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(&least), Some(&most)) = (sorted.first(), sorted.last()) else { return NOTHING.into() };
    let (below, above) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    // A mean with what never came has never come.
    let median = if above.is_infinite() && sorted.len() > 1 { above } else { (below + above) / 2.0 };
    let [least, median, most] = [least, median, most].map(number);
    if least == most { median } else { format!("{median} ({least}–{most})") }
}

/// With a decimal where it says something.
fn number(value: f64) -> String {
    match value {
        value if value.is_infinite() => NEVER.to_owned(),
        value if value < 10.0 && value.fract() != 0.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn a_spread_is_median_and_range_and_what_never_came_is_longest() {
        let never = f64::INFINITY;
        assert_eq!(spread(&[]), NOTHING);
        assert_eq!(spread(&[0.0, 0.0]), "0");
        assert_eq!(spread(&[3.26]), "3.3");
        assert_eq!(spread(&[30.0, 10.0, 20.0]), "20 (10–30)");
        assert_eq!(spread(&[1.0, 2.0]), "1.5 (1–2)");
        assert_eq!(spread(&[never; 3]), "never");
        assert_eq!(spread(&[never, 5.0, 7.0]), "7 (5–never)");
        assert_eq!(spread(&[5.0, never]), "never (5–never)");
    }
}
