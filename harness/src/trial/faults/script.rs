//! The events of a fault script, each at its time.
//!
//! Owns the order and the waiting; who is killed how is an [`EventTarget`]'s affair. Reads no clock of its own, so that it is
//! tested without waiting.

use crate::plan::fault::{Event, FaultScript};
use crate::record::timeline::Applied;

/// What the events befall.
pub(super) trait EventTarget {
    /// Why it could not go on.
    type Error;

    /// Nanoseconds, on the clock of [`monotonic_ns`](crate::host::monotonic_ns).
    fn now_ns(&self) -> u64;
    /// Returns at that time or later.
    fn wait_until(&mut self, ns: u64) -> Result<(), Self::Error>;
    /// Has `event` come about, and returns when it has.
    fn apply(&mut self, event: &Event) -> Result<(), Self::Error>;
}

/// When an event began and when it had taken effect, nanoseconds on the target's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    event: Event,
    began_ns: u64,
    effective_ns: u64,
}

/// Carries `script` out, from now on.
pub(super) fn carry_out<T: EventTarget>(
    script: &FaultScript,
    target: &mut T,
) -> Result<Vec<Moment>, T::Error> {
    let from_ns = target.now_ns();
    let mut moments = Vec::with_capacity(script.events.len());
    for event in &script.events {
        target.wait_until(from_ns.saturating_add(event.at_ms.saturating_mul(1_000_000)))?;
        let began_ns = target.now_ns();
        target.apply(event)?;
        moments.push(Moment { event: *event, began_ns, effective_ns: target.now_ns() });
    }
    Ok(moments)
}

/// `moments` as times since the window's beginning.
pub(super) fn since(began_monotonic_ns: u64, moments: &[Moment]) -> Vec<Applied> {
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
    use crate::plan::fault::{Act, Draft};

    /// Time passes when it is waited for, a millisecond late, and each event takes three milliseconds.
    #[derive(Default)]
    struct Mock {
        now_ns: u64,
        applied_to: Vec<(Act, u32)>,
        fails: Option<Act>,
    }

    impl EventTarget for Mock {
        type Error = Act;

        fn now_ns(&self) -> u64 {
            self.now_ns
        }

        fn wait_until(&mut self, ns: u64) -> Result<(), Act> {
            self.now_ns = self.now_ns.max(ns + 1_000_000);
            Ok(())
        }

        fn apply(&mut self, event: &Event) -> Result<(), Act> {
            if self.fails == Some(event.act) {
                return Err(event.act);
            }
            self.applied_to.push((event.act, event.backend));
            self.now_ns += 3_000_000;
            Ok(())
        }
    }

    fn script(text: &str) -> FaultScript {
        text.parse::<Draft>().unwrap().over(3).unwrap()
    }

    #[test]
    fn each_event_comes_at_its_time_and_is_noted_with_the_time_it_took() {
        let mut target = Mock { now_ns: 70_000_000, ..Mock::default() };
        let moments = carry_out(&script("kill-backend=2@2s,restore@4s"), &mut target).unwrap();
        assert_eq!(target.applied_to, [(Act::KillBackend, 2), (Act::Restore, 2)]);
        // The window began two milliseconds after the order was given.
        let applied = since(72_000_000, &moments);
        let times: Vec<_> = applied.iter().map(|event| (event.began_us, event.effective_us)).collect();
        assert_eq!(times, [(1_999_000, 2_002_000), (3_999_000, 4_002_000)]);
    }

    #[test]
    fn events_that_take_longer_than_the_time_between_them_follow_at_once() {
        let mut target = Mock::default();
        let moments = carry_out(&script("refuse@1ms,restore@2ms,slow-backend@3ms"), &mut target).unwrap();
        let began: Vec<_> = since(0, &moments).iter().map(|event| event.began_us).collect();
        assert_eq!(began, [2000, 5000, 8000]);
    }

    #[test]
    fn an_event_that_cannot_be_had_ends_the_script() {
        let mut target = Mock { fails: Some(Act::Restore), ..Mock::default() };
        let ended = carry_out(&script("refuse@1ms,restore@2ms,slow-backend@3ms"), &mut target);
        assert_eq!((ended, target.applied_to.len()), (Err(Act::Restore), 1));
    }
}
