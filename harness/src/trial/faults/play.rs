//! The events of a scenario, each at its time.
//!
//! Owns the order and the waiting; who is killed how is a [`Stage`]'s affair. Reads no clock of its own, so that it is
//! tested without waiting.

use super::data::Applied;
use super::scenario::{Event, Scenario};

/// Where a scenario is played.
pub trait Stage {
    /// Why it could not go on.
    type Error;

    /// Nanoseconds, on the clock of [`monotonic_ns`](crate::host::monotonic_ns).
    fn now_ns(&self) -> u64;
    /// Returns at that time or later.
    fn wait_until(&mut self, ns: u64) -> Result<(), Self::Error>;
    /// Has `event` come about, and returns when it has.
    fn perform(&mut self, event: &Event) -> Result<(), Self::Error>;
}

/// When an event began and when it had taken effect, nanoseconds on the stage's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    event: Event,
    began_ns: u64,
    effective_ns: u64,
}

/// Plays `scenario` from now on.
pub fn play<S: Stage>(scenario: &Scenario, stage: &mut S) -> Result<Vec<Moment>, S::Error> {
    let from_ns = stage.now_ns();
    let mut moments = Vec::with_capacity(scenario.events.len());
    for event in &scenario.events {
        stage.wait_until(from_ns.saturating_add(event.at_ms.saturating_mul(1_000_000)))?;
        let began_ns = stage.now_ns();
        stage.perform(event)?;
        moments.push(Moment { event: *event, began_ns, effective_ns: stage.now_ns() });
    }
    Ok(moments)
}

/// `moments` as times since the window's beginning.
pub fn since(began_monotonic_ns: u64, moments: &[Moment]) -> Vec<Applied> {
    let relative = |ns: u64| ns.saturating_sub(began_monotonic_ns) / 1000;
    let applied = moments.iter().map(|moment| Applied {
        event: moment.event,
        began_us: relative(moment.began_ns),
        effective_us: relative(moment.effective_ns),
    });
    applied.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::faults::scenario::{Act, Sketch};

    /// Time passes when it is waited for, a millisecond late, and each event takes three milliseconds.
    #[derive(Default)]
    struct Mock {
        now_ns: u64,
        performed: Vec<(Act, u32)>,
        fails: Option<Act>,
    }

    impl Stage for Mock {
        type Error = Act;

        fn now_ns(&self) -> u64 {
            self.now_ns
        }

        fn wait_until(&mut self, ns: u64) -> Result<(), Act> {
            self.now_ns = self.now_ns.max(ns + 1_000_000);
            Ok(())
        }

        fn perform(&mut self, event: &Event) -> Result<(), Act> {
            if self.fails == Some(event.act) {
                return Err(event.act);
            }
            self.performed.push((event.act, event.backend));
            self.now_ns += 3_000_000;
            Ok(())
        }
    }

    fn scenario(text: &str) -> Scenario {
        text.parse::<Sketch>().unwrap().over(3).unwrap()
    }

    #[test]
    fn each_event_comes_at_its_time_and_is_noted_with_the_time_it_took() {
        let mut stage = Mock { now_ns: 70_000_000, ..Mock::default() };
        let moments = play(&scenario("kill-backend=2@2s,restore@4s"), &mut stage).unwrap();
        assert_eq!(stage.performed, [(Act::KillBackend, 2), (Act::Restore, 2)]);
        // The window began two milliseconds after the order was given.
        let applied = since(72_000_000, &moments);
        let times: Vec<_> = applied.iter().map(|event| (event.began_us, event.effective_us)).collect();
        assert_eq!(times, [(1_999_000, 2_002_000), (3_999_000, 4_002_000)]);
    }

    #[test]
    fn events_that_take_longer_than_the_time_between_them_follow_at_once() {
        let mut stage = Mock::default();
        let moments = play(&scenario("refuse@1ms,restore@2ms,slow-backend@3ms"), &mut stage).unwrap();
        let began: Vec<_> = since(0, &moments).iter().map(|event| event.began_us).collect();
        assert_eq!(began, [2000, 5000, 8000]);
    }

    #[test]
    fn an_event_that_cannot_be_had_ends_the_scenario() {
        let mut stage = Mock { fails: Some(Act::Restore), ..Mock::default() };
        let ended = play(&scenario("refuse@1ms,restore@2ms,slow-backend@3ms"), &mut stage);
        assert_eq!((ended, stage.performed.len()), (Err(Act::Restore), 1));
    }
}
