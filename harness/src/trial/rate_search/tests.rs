//! The search in a made-up world.

use super::*;
use crate::fixtures::{self, measured};
use crate::load::OpenLoop;
use crate::record::Sample;

fn cell(model: &str) -> Cell {
    fixtures::cell(model, 1, 5)
}

/// Each cell's closed-loop throughput, the rate up to which it holds, and how many trials spoil first.
struct World(Vec<(Cell, u64, u64, u32)>, Vec<(String, Option<u64>)>);

impl World {
    fn of(rows: &[(&str, u64, u64, u32)]) -> Self {
        World(rows.iter().map(|&(row, loose, kept, bad)| (cell(row), loose, kept, bad)).collect(), Vec::new())
    }

    fn find(&mut self) -> Result<Found, RateError> {
        self.watched(&mut Seen::default())
    }

    fn watched(&mut self, seen: &mut Seen) -> Result<Found, RateError> {
        let cells: Vec<_> = self.0.iter().map(|(cell, ..)| cell.clone()).collect();
        find(&cells, self, seen)
    }
}

impl Executor for World {
    fn attempt(&mut self, cell: &Cell) -> Result<Attempt, Interrupted> {
        if cell.competitor.name == "stop" {
            return Err(Interrupted);
        }
        let rate = cell.condition.rate;
        self.1.push((cell.competitor.name.clone(), rate));
        let (_, loose, kept, bad) =
            self.0.iter_mut().find(|(known, ..)| known.competitor == cell.competitor).unwrap();
        let Outcome::Measured(sample) = measured() else { panic!("not measured") };
        let open_loop =
            rate.map(|rate| OpenLoop { sustained: rate <= *kept, ..fixtures::open_loop(rate, 0) });
        let sample = Sample { completed: *loose, elapsed_ns: 1_000_000_000, open_loop, ..*sample };
        let outcome = match *bad {
            0 => Outcome::Measured(Box::new(sample)),
            _ => Outcome::Invalid { reasons: vec![Reason::Words("moody".into())] },
        };
        *bad = bad.saturating_sub(1);
        Ok(Attempt { started_unix_ms: 0, took_ms: 1, came_up: true, outcome, warnings: Vec::new() })
    }
}

/// What a search told.
#[derive(Default)]
struct Seen {
    steps: Vec<(u64, u64)>,
    tried: Vec<(u64, Option<u64>)>,
    warnings: Vec<String>,
}

impl Watch for Seen {
    fn probing(&mut self, step: &Step<'_>) {
        self.steps.push((step.done, step.total));
    }

    fn trying(&mut self, rate: u64, refused: Option<(u64, &Cell)>) {
        self.tried.push((rate, refused.map(|(rate, _)| rate)));
    }

    fn warn(&mut self, text: &str) {
        self.warnings.push(text.to_owned());
    }
}

#[test]
fn half_of_the_slowest_rows_throughput_is_taken_when_all_sustain_it() {
    let mut world = World::of(&[("a", 9000, 9000, 0), ("b", 4321, 4000, 0), ("c", 5000, 2100, 0)]);
    let found = world.find().unwrap();
    assert_eq!((found.rate, &found.slowest, found.refused.len()), (2100, &cell("b"), 0));
    let verified: Vec<_> = world.1[3..].iter().map(|(row, rate)| (row.as_str(), *rate)).collect();
    assert_eq!(verified, [("b", Some(2100)), ("a", Some(2100)), ("c", Some(2100))]);
    let told = found.to_string();
    assert!(
        told.contains("2100 requests per second, from 50 %") && told.contains("b with 1 backend"),
        "{told}"
    );
}

#[test]
fn a_rate_that_a_row_does_not_sustain_is_lowered_until_it_does() {
    let mut world = World::of(&[("a", 9000, 9000, 0), ("b", 4000, 4000, 0), ("c", 5000, 1300, 0)]);
    let found = world.find().unwrap();
    assert_eq!(found.rate, 1200);
    assert_eq!(found.refused, [(2000, cell("c")), (1600, cell("c"))]);
    assert!(
        found.to_string().contains("lowered because c with 1 backend at concurrency 5 did not sustain 2000")
    );
}

#[test]
fn a_trial_that_the_machine_spoiled_is_run_again() {
    let found = World::of(&[("a", 9000, 9000, 2), ("b", 4000, 4000, 1)]).find().unwrap();
    assert_eq!((found.rate, found.refused.len()), (2000, 0));
}

#[test]
fn whoever_watches_is_told_each_step_each_rate_and_each_trial_that_was_spoilt() {
    let mut seen = Seen::default();
    let mut world = World::of(&[("a", 9000, 9000, 1), ("b", 4000, 1700, 0)]);
    let found = world.watched(&mut seen).unwrap();
    assert_eq!(found.rate, 1600);
    // a fails once in the closed loop, b three times at 2000.
    let done: Vec<_> = seen.steps.iter().map(|(done, _)| *done).collect();
    assert_eq!(done, [0, 0, 1, 2, 2, 2, 2, 3]);
    assert!(seen.steps.iter().all(|(_, total)| *total == 4));
    assert_eq!(seen.tried, [(2000, None), (1600, Some(2000))]);
    assert!(
        seen.warnings.len() == 1 && seen.warnings[0].ends_with("concurrency 5): moody"),
        "{:?}",
        seen.warnings
    );
}

#[test]
fn a_process_that_does_not_come_up_is_no_rate_that_is_not_sustained() {
    struct Dead(u32);
    impl Executor for Dead {
        fn attempt(&mut self, cell: &Cell) -> Result<Attempt, Interrupted> {
            let rate = cell.condition.rate;
            self.0 += 1;
            let dead = Outcome::Invalid { reasons: vec![Reason::Words("no such model".into())] };
            let outcome = if rate.is_none() { measured() } else { dead };
            let came_up = rate.is_none();
            Ok(Attempt { started_unix_ms: 0, took_ms: 1, came_up, outcome, warnings: Vec::new() })
        }
    }
    let mut dead = Dead(0);
    let error = find(&[cell("a")], &mut dead, &mut Seen::default()).unwrap_err();
    assert!(error.to_string().contains("could not be measured (no such model)"), "{error}");
    assert_eq!(dead.0, 1 + MOST_SPOILT);
}

#[test]
fn what_cannot_be_found_is_told_with_its_cell() {
    let error = World::of(&[("a", 9000, 9000, 9)]).find().unwrap_err();
    assert!(matches!(&error, RateError::Unmeasurable { reasons, .. } if reasons == "moody"), "{error:?}");
    let error = World::of(&[("a", 9000, 0, 0)]).find().unwrap_err();
    assert!(matches!(&error, RateError::NotSustained { rate, .. } if *rate < 900), "{error:?}");
    assert_eq!(World::of(&[]).find(), Err(RateError::NoCells));
    assert_eq!(World::of(&[("stop", 1, 1, 0)]).find(), Err(RateError::Interrupted));
}

#[test]
fn a_trial_that_something_else_spoilt_does_not_lower_the_rate() {
    // Every trial at 2000 per second has these reasons.
    struct Loud(Vec<Reason>);
    impl Executor for Loud {
        fn attempt(&mut self, cell: &Cell) -> Result<Attempt, Interrupted> {
            let rate = cell.condition.rate;
            let reasons = match rate {
                Some(2000) => self.0.clone(),
                _ => Vec::new(),
            };
            let Outcome::Measured(sample) = measured() else { panic!("not measured") };
            let open_loop = rate.map(|rate| fixtures::open_loop(rate, 0));
            let sample = Sample { completed: 4000, elapsed_ns: 1_000_000_000, open_loop, ..*sample };
            let outcome = match reasons.is_empty() {
                true => Outcome::Measured(Box::new(sample)),
                false => Outcome::Invalid { reasons },
            };
            Ok(Attempt { started_unix_ms: 0, took_ms: 1, came_up: true, outcome, warnings: Vec::new() })
        }
    }
    let find = |loud: Vec<Reason>| find(&[cell("a")], &mut Loud(loud), &mut Seen::default());
    let overflow = Reason::ListenOverflows { connections: 3 };
    let error = find(vec![overflow.clone()]).unwrap_err();
    assert!(
        matches!(&error, RateError::Unmeasurable { reasons, .. } if *reasons == overflow.to_string()),
        "{error:?}"
    );
    let slow = Reason::NotSustained {
        rate: 2000,
        achieved_milli_per_s: 1000,
        backlog_grew: false,
        waited: 0,
        of: 10,
        behind_ns: 0,
    };
    assert_eq!(find(vec![overflow, slow]).unwrap().rate, 1600);
}

#[test]
fn a_probe_is_short_and_a_verification_takes_a_second() {
    let asked = |concurrency| fixtures::cell("mio", 2, concurrency).condition;
    let closed = short(&asked(100), None);
    assert_eq!((closed.rate, closed.requests, closed.warmup), (None, 2000, 1000));
    let open = short(&asked(2), Some(3000));
    assert_eq!((open.rate, open.requests, open.warmup), (Some(3000), 3000, 150));
    // What else was asked for stays.
    assert_eq!(Condition { rate: None, requests: 100, warmup: 10, ..open }, asked(2));
}

#[test]
fn a_rate_is_a_number_or_auto() {
    assert_eq!("auto".parse(), Ok(Rate::Auto));
    assert_eq!("2000".parse(), Ok(Rate::Fixed(2000)));
    for text in ["", "0", "-1", "1000001", "automatic", "1.5"] {
        assert!(text.parse::<Rate>().is_err(), "{text:?}");
    }
    assert_eq!([7, 99, 101, 4567, 123_456].map(rounded), [7, 99, 100, 4500, 120_000]);
    assert_eq!(rounded(0), 1);
}
