//! Which request is due when, and how well that was kept: the clockless half of the two loops.
//!
//! Owns the intended times, the count of what has been sent and the verdict whether a rate was sustained; reads no
//! clock (every time is an argument, measured from the phase's beginning), owns no connection. In the closed loop
//! every request is due at once, and only a free connection is waited for. A phase ends with its requests, with its
//! duration, or with whichever comes first.
//!
//! The open loop's requests are evenly spaced unless asked otherwise: request i is due i/R seconds after the beginning,
//! whatever became of those before it. That is what wrk2 and its like do, adds no variance of its own to a trial, and is the
//! milder test: a queue that a burst would have caused is not seen. Poisson arrivals, as of many independent users, have
//! exponential times between them, drawn from a fixed seed, so that every model meets the same.
//!
//! Sources: Schroeder, Wierman, Harchol-Balter, "Open versus closed" (NSDI 2006); Tene, "How not to measure latency".

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::part::Part;
use super::surge::Surge;

/// A rate whose requests were answered at less than this share of it was not sustained, percent.
pub const SUSTAINED_PERCENT: u64 = 99;

/// How long after the end of a duration a request of the open loop that was due within it is still sent: a thread that
/// sleeps is woken late, which is no backlog.
const LATE: Duration = Duration::from_millis(100);

const SECOND_NS: u128 = 1_000_000_000;

/// From `at` on so many requests per second are due; `before` it so many were, in requests times nanoseconds per second.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    at_ns: u128,
    before: u128,
    per_second: u128,
}

/// The order and times of one phase's requests.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    /// Requests per second; `None`: all are due at once.
    rate: Option<u64>,
    /// The rate over time, where it changes: the first one begins at zero.
    stretches: Vec<Stretch>,
    arrivals: Arrivals,
    /// Of all that is due, what is issued here.
    part: Part,
    requests: u64,
    /// When nothing is issued any more, whatever is left.
    ends: Option<Duration>,
    issued: u64,
    /// Requests of the open loop that were due and were not issued before the end.
    unsent: u64,
    behind: Duration,
    waited: u64,
    third: Quarter,
    fourth: Quarter,
}

/// When the requests of the open loop are due.
#[derive(Debug, Clone)]
enum Arrivals {
    Even,
    Poisson {
        random: Box<ChaCha8Rng>,
        /// When the next request is due: as long after the beginning as so many evenly spaced requests are, in requests
        /// times nanoseconds per second.
        come: u128,
    },
}

/// What the requests of a quarter of the schedule had to wait.
#[derive(Debug, Clone, Copy, Default)]
struct Quarter {
    requests: u64,
    waited: u64,
    behind: Duration,
}

/// How a phase kept to its schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Answered requests, per thousand seconds. The window lasts until the last response, and at least as long as
    /// all intervals together.
    pub(crate) achieved_milli_per_s: u64,
    /// The longest time from when a request was due to when it was sent.
    pub(crate) behind: Duration,
    /// Requests that came due while no connection was free.
    pub(crate) waited: u64,
    /// At the end, no request found a free connection and they waited ever longer.
    pub(crate) backlog_grew: bool,
    pub(crate) sustained: bool,
}

impl Pace {
    pub(crate) fn new(rate: Option<u64>, requests: u64) -> Self {
        Pace {
            rate,
            stretches: Vec::new(),
            arrivals: Arrivals::Even,
            part: Part::WHOLE,
            requests,
            ends: None,
            issued: 0,
            unsent: 0,
            behind: Duration::ZERO,
            waited: 0,
            third: Quarter::default(),
            fourth: Quarter::default(),
        }
    }

    /// The same, of whose open loop only `part` is issued, of all that is due at the rate; `requests` are those of the part.
    /// Before [`Pace::poisson`] and [`Pace::ending`].
    pub(crate) fn part(mut self, part: Part) -> Self {
        self.part = part;
        self
    }

    /// The same, with more due than the rate of the open loop during each of `surges`, which follow one another.
    pub(crate) fn surging(mut self, surges: &[Surge]) -> Self {
        let Some(rate) = self.rate.filter(|_| !surges.is_empty()) else { return self };
        let rate = u128::from(rate.max(1));
        let mut last = Stretch { at_ns: 0, before: 0, per_second: rate };
        self.stretches.push(last);
        let changes = surges.iter().flat_map(|surge| {
            let end = surge.until.map(|until| (until, rate));
            [Some((surge.from, rate * u128::from(surge.times))), end].into_iter().flatten()
        });
        for (at, per_second) in changes {
            let at_ns = at.as_nanos().max(last.at_ns);
            last =
                Stretch { at_ns, before: last.before + (at_ns - last.at_ns) * last.per_second, per_second };
            self.stretches.push(last);
        }
        self
    }

    /// The same, with the arrivals of a Poisson process in the open loop.
    pub(crate) fn poisson(mut self) -> Self {
        if let Some(rate) = self.rate {
            // The same for every model, and another at another rate.
            let mut random = Box::new(ChaCha8Rng::seed_from_u64(rate));
            let come = (0..self.part.number()).map(|_| gap(&mut random)).sum();
            self.arrivals = Arrivals::Poisson { random, come };
        }
        self
    }

    /// The same, ended after `duration` at the latest.
    pub(crate) fn ending(mut self, duration: Duration) -> Self {
        self.ends = Some(duration);
        if let Some(rate) = self.rate {
            let due = self.come_by(duration.as_nanos(), rate).div_ceil(SECOND_NS);
            self.requests = self.requests.min(self.part.own(u64::try_from(due).unwrap_or(u64::MAX)));
            self.ends = Some(duration + LATE);
        }
        self
    }

    pub(crate) fn is_open(&self) -> bool {
        self.rate.is_some()
    }

    pub(crate) fn issued(&self) -> u64 {
        self.issued
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    pub(crate) fn unsent(&self) -> u64 {
        self.unsent
    }

    /// When the next request is due; `None` when all have been issued.
    pub(crate) fn upcoming(&self) -> Option<Duration> {
        (self.issued < self.requests).then(|| match &self.arrivals {
            Arrivals::Even => self.due(self.part.place(self.issued)),
            Arrivals::Poisson { come, .. } => self.at(*come),
        })
    }

    /// Issues the next request if it is due at `now`: its number and when it was due. `waited` says that no
    /// connection was free when it came due.
    pub(crate) fn take(&mut self, now: Duration, waited: bool) -> Option<(u64, Duration)> {
        if self.ends.is_some_and(|ends| now >= ends) {
            self.end();
        }
        let due = self.upcoming().filter(|due| *due <= now)?;
        let index = self.issued;
        self.issued += 1;
        if let Arrivals::Poisson { random, come } = &mut self.arrivals {
            *come += (0..self.part.of()).map(|_| gap(random)).sum::<u128>();
        }
        if self.is_open() {
            self.note(index, now - due, waited);
        }
        Some((index, due))
    }

    /// How the schedule was kept, once `answered` of its requests have been, the last one at `end`.
    pub(crate) fn kept(&self, answered: u64, end: Duration) -> Kept {
        // All that was due, unless the phase was broken off.
        let all = self.issued + self.unsent;
        let until = self.due(all.saturating_mul(self.part.of()));
        let window = end.max(until);
        let achieved = u128::from(answered) * 1000 * SECOND_NS / window.as_nanos().max(1);
        let achieved_milli_per_s = u64::try_from(achieved).unwrap_or(u64::MAX);
        let (third, fourth) = (&self.third, &self.fourth);
        let backlog_grew = fourth.requests > 0
            && fourth.waited == fourth.requests
            // Means, without the division.
            && fourth.behind.as_nanos() * u128::from(third.requests)
                > third.behind.as_nanos() * u128::from(fourth.requests);
        let enough = self.rate.is_none_or(|rate| {
            // On average, where it changes.
            let due_milli_per_s = match self.stretches.is_empty() {
                true => u128::from(rate) * 1000 / u128::from(self.part.of()),
                false => u128::from(all) * 1000 * SECOND_NS / until.as_nanos().max(1),
            };
            u128::from(achieved_milli_per_s) * 100 >= due_milli_per_s * u128::from(SUSTAINED_PERCENT)
        });
        Kept {
            achieved_milli_per_s,
            behind: self.behind,
            waited: self.waited,
            backlog_grew,
            sustained: enough && !backlog_grew && self.unsent == 0,
        }
    }

    /// When a request is due where all are evenly spaced, and on average otherwise.
    fn due(&self, index: u64) -> Duration {
        self.at(u128::from(index) * SECOND_NS)
    }

    /// When so many evenly spaced requests have come, in requests times nanoseconds per second.
    fn at(&self, come: u128) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        let ns = match self.stretches.iter().rfind(|stretch| stretch.before <= come) {
            Some(of) => of.at_ns + (come - of.before) / of.per_second,
            None => come / u128::from(rate.max(1)),
        };
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }

    /// How many have come by then, likewise.
    fn come_by(&self, ns: u128, rate: u64) -> u128 {
        match self.stretches.iter().rfind(|stretch| stretch.at_ns <= ns) {
            Some(of) => of.before + (ns - of.at_ns) * of.per_second,
            None => ns * u128::from(rate),
        }
    }

    /// Nothing more is issued.
    fn end(&mut self) {
        if self.is_open() {
            self.unsent += self.requests - self.issued;
        }
        self.requests = self.issued;
    }

    fn note(&mut self, index: u64, behind: Duration, waited: bool) {
        self.behind = self.behind.max(behind);
        self.waited += u64::from(waited);
        let quarter = match u128::from(index) * 4 / u128::from(self.requests) {
            2 => &mut self.third,
            3 => &mut self.fourth,
            _ => return,
        };
        quarter.requests += 1;
        quarter.waited += u64::from(waited);
        quarter.behind += behind;
    }
}

/// The distance between two arrivals of a Poisson process, in requests times nanoseconds per second: exponential, by its inverse.
fn gap(random: &mut ChaCha8Rng) -> u128 {
    // 1 - u is never zero.
    (-(1.0 - random.random::<f64>()).ln() * SECOND_NS as f64) as u128
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Drives `pace` over `connections` against a server that works on each request alone, and answers what it gets
    /// at `t` at `serve(t)`. Returns each request's due, sent and answered times.
    fn simulate(
        pace: &mut Pace,
        connections: usize,
        serve: impl Fn(Duration) -> Duration,
    ) -> Vec<[Duration; 3]> {
        let mut free_at = vec![Duration::ZERO; connections];
        let mut done = Vec::new();
        while let Some(due) = pace.upcoming() {
            let soonest = free_at.iter_mut().min().unwrap();
            let now = due.max(*soonest);
            let waited = *soonest > due;
            let Some((index, due)) = pace.take(now, waited) else { break };
            assert_eq!(index, done.len() as u64);
            *soonest = serve(now);
            done.push([due, now, *soonest]);
        }
        done
    }

    fn kept(pace: &Pace, done: &[[Duration; 3]]) -> Kept {
        pace.kept(done.len() as u64, done.iter().map(|times| times[2]).max().unwrap())
    }

    #[test]
    fn nothing_is_issued_before_it_is_due() {
        let mut pace = Pace::new(Some(100), 3);
        assert_eq!(pace.take(ms(0), false), Some((0, ms(0))));
        assert_eq!(pace.take(ms(9), false), None);
        assert_eq!(pace.upcoming(), Some(ms(10)));
        assert_eq!(pace.take(ms(35), false), Some((1, ms(10))));
        assert_eq!(pace.take(ms(35), true), Some((2, ms(20))));
        assert_eq!((pace.take(ms(99), false), pace.upcoming()), (None, None));
        let kept = pace.kept(3, ms(40));
        assert_eq!((kept.behind, kept.waited), (ms(25), 1));
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_gaps_as_long_as_their_spread_and_are_the_same_again() {
        let dues = || -> Vec<f64> {
            let mut pace = Pace::new(Some(1000), 20_000).poisson();
            let mut dues = Vec::new();
            while let Some(due) = pace.upcoming() {
                assert_eq!(pace.take(due, false).map(|(_, at)| at), Some(due));
                dues.push(due.as_secs_f64());
            }
            dues
        };
        let first = dues();
        assert_eq!(first, dues());
        let gaps: Vec<f64> = first.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean - 0.001).abs() < 0.00003, "{mean}");
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05, "{variance}");
    }

    #[test]
    fn a_surge_has_so_many_times_as_many_requests_due_and_nothing_else_changes() {
        let surge: Surge = "3@2s-4s".parse().unwrap();
        let mut pace = Pace::new(Some(100), 1100).surging(&[surge]);
        let mut dues = Vec::new();
        while let Some(due) = pace.upcoming() {
            dues.push(pace.take(due, false).unwrap().1);
        }
        let within = |from: u64, to: u64| {
            dues.iter().filter(|due| (ms(1000 * from)..ms(1000 * to)).contains(*due)).count()
        };
        assert_eq!([within(0, 2), within(2, 4), within(4, 7)], [200, 600, 300]);
        assert!(dues.is_sorted());
        assert_eq!(dues[..3], [ms(0), ms(10), ms(20)]);
        assert!(pace.kept(1100, ms(7000)).sustained);
        // At the base rate, it would have been.
        assert!(!pace.kept(1000, ms(7000)).sustained);
        let ended = Pace::new(Some(100), 5000).surging(&[surge]).ending(ms(3000));
        assert_eq!(ended.requests(), 500);
        let mut independent = Pace::new(Some(1000), 11_000).surging(&[surge]).poisson();
        let mut during = 0;
        while let Some(due) = independent.upcoming() {
            independent.take(due, false).unwrap();
            during += u64::from((ms(2000)..ms(4000)).contains(&due));
        }
        assert!((5700..6300).contains(&during), "{during}");
        let lasting: Surge = "2@1s-".parse().unwrap();
        let to_the_end = Pace::new(Some(100), 500).surging(&[lasting]);
        assert_eq!(to_the_end.due(499), ms(1000 + 399 * 5));
    }

    #[test]
    fn the_parts_of_a_schedule_are_together_the_whole_of_it() {
        let surge: Surge = "3@2s-4s".parse().unwrap();
        let dues = |pace: &mut Pace| {
            let mut dues = Vec::new();
            while let Some(due) = pace.upcoming() {
                dues.push(pace.take(due, false).unwrap().1);
            }
            dues
        };
        for (requests, poisson, surges, ends) in [
            (1001, false, &[][..], None),
            (1001, true, &[][..], None),
            (1001, true, &[surge][..], None),
            (u64::MAX, false, &[surge][..], Some(ms(3000))),
        ] {
            let of = |part: Part| {
                let requests = if requests == u64::MAX { requests } else { part.share(requests) };
                let pace = Pace::new(Some(100), requests).part(part).surging(surges);
                let pace = if poisson { pace.poisson() } else { pace };
                if let Some(ends) = ends { pace.ending(ends) } else { pace }
            };
            let whole = dues(&mut of(Part::WHOLE));
            let mut together: Vec<Duration> = Vec::new();
            for part in Part::each(3) {
                let mut pace = of(part);
                let own = dues(&mut pace);
                let end = own.last().copied().unwrap();
                assert!(poisson || pace.kept(own.len() as u64, end).sustained, "{part}");
                assert!(poisson || !pace.kept(own.len() as u64 * 98 / 100, end).sustained, "{part}");
                together.extend(own);
            }
            together.sort();
            assert_eq!(together, whole);
        }
    }

    #[test]
    fn the_closed_loop_has_everything_due_at_once_and_is_never_late() {
        let mut pace = Pace::new(None, 2);
        assert_eq!(pace.take(ms(5), true), Some((0, ms(0))));
        assert_eq!(pace.take(ms(7), true), Some((1, ms(0))));
        assert_eq!(pace.upcoming(), None);
        let kept = pace.kept(2, ms(1000));
        assert_eq!((kept.behind, kept.waited, kept.sustained), (ms(0), 0, true));
        assert_eq!(kept.achieved_milli_per_s, 2000);
    }

    #[test]
    fn one_stall_delays_all_that_came_due_in_it_and_the_rate_is_sustained_after_all() {
        let mut pace = Pace::new(Some(1000), 20_000);
        // From 5 s on the server stands still for 200 ms.
        let stalls = ms(5000)..ms(5200);
        let done = simulate(&mut pace, 1, |t| if stalls.contains(&t) { ms(5200) } else { t } + ms(1) / 2);
        let service_slow = done.iter().filter(|[_, sent, end]| *end - *sent > ms(1)).count();
        let corrected_slow = done.iter().filter(|[due, _, end]| *end - *due > ms(1)).count();
        // The queue of 200 ms is worked off at twice the rate at which it grows.
        assert_eq!(service_slow, 1);
        assert!((395..=405).contains(&corrected_slow), "{corrected_slow}");
        let kept = kept(&pace, &done);
        assert!(kept.sustained && !kept.backlog_grew, "{kept:?}");
        assert!(kept.behind > ms(195) && kept.behind < ms(205), "{kept:?}");
        assert!((395..=405).contains(&kept.waited), "{kept:?}");
    }

    #[test]
    fn a_server_that_is_too_slow_does_not_sustain_the_rate() {
        let mut pace = Pace::new(Some(1000), 1000);
        let done = simulate(&mut pace, 2, |t| t + ms(4));
        let kept = kept(&pace, &done);
        assert!(!kept.sustained && kept.backlog_grew, "{kept:?}");
        assert!((499_000..=501_000).contains(&kept.achieved_milli_per_s), "{kept:?}");
        assert!(kept.behind > ms(900), "{kept:?}");
    }

    #[test]
    fn a_backlog_that_grows_slowly_is_seen_before_it_shows_in_the_rate() {
        let mut pace = Pace::new(Some(1000), 10_000);
        // Half a percent too slow.
        let done = simulate(&mut pace, 1, |t| t + Duration::from_micros(1005));
        let kept = kept(&pace, &done);
        assert!(kept.achieved_milli_per_s >= 990_000, "{kept:?}");
        assert!(kept.backlog_grew && !kept.sustained, "{kept:?}");
    }

    /// A schedule that was kept to the end.
    fn issued(rate: u64, requests: u64) -> Pace {
        let mut pace = Pace::new(Some(rate), requests);
        while let Some(due) = pace.upcoming() {
            pace.take(due, false).unwrap();
        }
        pace
    }

    #[test]
    fn the_closed_loop_issues_nothing_after_its_duration() {
        let mut pace = Pace::new(None, u64::MAX).ending(ms(10));
        assert_eq!(pace.take(ms(9), true), Some((0, ms(0))));
        assert_eq!(pace.take(ms(10), true), None);
        assert_eq!((pace.upcoming(), pace.issued(), pace.unsent()), (None, 1, 0));
        let mut pace = Pace::new(None, 1).ending(ms(10));
        assert_eq!(pace.take(ms(1), false), Some((0, ms(0))));
        assert_eq!(pace.upcoming(), None);
    }

    #[test]
    fn the_open_loop_issues_all_that_is_due_within_its_duration() {
        // At 0, 3.3 and 6.6 ms; and not at 10 ms.
        for (duration, due) in [(ms(10), 3), (Duration::from_nanos(10_000_001), 4), (ms(1), 1)] {
            let mut pace = Pace::new(Some(300), u64::MAX).ending(duration);
            let mut issued = 0;
            // Each is sent 50 ms late.
            while let Some(due) = pace.upcoming() {
                assert!(pace.take(due + ms(50), false).is_some());
                issued += 1;
            }
            assert_eq!((issued, pace.unsent()), (due, 0), "{duration:?}");
            assert!(pace.kept(due, ms(1)).sustained);
        }
        assert_eq!(Pace::new(Some(1000), 5).ending(ms(10)).requests(), 5);
    }

    #[test]
    fn a_backlog_at_the_end_of_the_duration_is_not_sent_and_the_rate_not_sustained() {
        let mut pace = Pace::new(Some(1000), u64::MAX).ending(ms(10_000));
        // The server stands still shortly before the end.
        let done = simulate(&mut pace, 1, |t| if t > ms(9900) { ms(10_200) } else { t } + ms(1) / 2);
        assert_eq!(done.len(), 9902);
        let kept = kept(&pace, &done);
        assert_eq!((kept.sustained, kept.backlog_grew, pace.unsent()), (false, false, 98));
    }

    #[test]
    fn a_schedule_that_was_broken_off_is_judged_by_what_had_come_due() {
        let mut pace = Pace::new(Some(1000), 1_000_000);
        for request in 0..500 {
            pace.take(ms(request), false).unwrap();
        }
        assert!(pace.kept(500, ms(500)).sustained);
    }

    #[test]
    fn requests_that_were_not_answered_count_against_the_rate() {
        let pace = issued(1000, 1000);
        assert!(pace.kept(1000, ms(1001)).sustained);
        assert!(!pace.kept(980, ms(1001)).sustained);
        // The last interval belongs to the window.
        assert_eq!(pace.kept(1000, ms(999)).achieved_milli_per_s, 1_000_000);
    }

    proptest! {
        #[test]
        fn any_rate_is_kept_evenly(rate in 1_u64..=1_000_000, index in 0_u64..1_000_000_000) {
            let pace = Pace::new(Some(rate), u64::MAX);
            let due = pace.due(index).as_nanos();
            let exact = u128::from(index) * SECOND_NS;
            prop_assert!(due * u128::from(rate) <= exact && exact < (due + 1) * u128::from(rate));
        }
    }
}
