//! How long a request takes to be worked on, and who waits for a place: a queue with a number of servers.
//!
//! Requests are worked on in the order in which they came, so many at a time; one begins when a place is free, and its response
//! leaves when its time is over. Reads no clock: each time is an argument. Rules: work that has begun is done, also when its
//! client has gone, as it is where somebody computes; a place is free from when its request's time was over, however late that
//! is noticed, so that no lateness adds up.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use crate::deadlines::Id;

/// The longest that a request can be made to take.
pub const MAX_DELAY: Duration = Duration::from_secs(3600);

/// How long requests take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceTime {
    /// Each so long.
    Fixed(Duration),
    /// Exponentially distributed with this mean: many short ones and a few long ones, as in the models of queueing theory.
    Exponential(Duration),
}

/// What is no time that requests can take.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no service time; give 0s to 1h, as in 10ms, or exp:10ms for an exponential one of that mean"
)]
pub struct NoServiceTime(String);

impl Default for ServiceTime {
    fn default() -> Self {
        ServiceTime::Fixed(Duration::ZERO)
    }
}

impl ServiceTime {
    /// The mean.
    pub fn mean(self) -> Duration {
        match self {
            ServiceTime::Fixed(mean) | ServiceTime::Exponential(mean) => mean,
        }
    }
}

impl FromStr for ServiceTime {
    type Err = NoServiceTime;

    fn from_str(text: &str) -> Result<Self, NoServiceTime> {
        let (make, duration): (fn(Duration) -> Self, &str) = match text.trim().strip_prefix("exp:") {
            Some(mean) => (ServiceTime::Exponential, mean),
            None => (ServiceTime::Fixed, text.trim()),
        };
        let duration = humantime::parse_duration(duration).ok().filter(|duration| *duration <= MAX_DELAY);
        duration.map(make).ok_or_else(|| NoServiceTime(text.to_owned()))
    }
}

impl fmt::Display for ServiceTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if matches!(self, ServiceTime::Exponential(_)) { "exp:" } else { "" };
        write!(f, "{prefix}{}", humantime::format_duration(self.mean()).to_string().replace(' ', ""))
    }
}

/// Requests that are worked on, and those that wait.
#[derive(Debug)]
pub(crate) struct Service {
    time: ServiceTime,
    /// How much longer than that each takes.
    slower_by: Duration,
    /// So many at a time; `None`: all.
    at_a_time: Option<NonZeroU32>,
    waiting: VecDeque<(Instant, Id)>,
    working: BinaryHeap<Reverse<End>>,
    /// Requests that have begun.
    begun: u64,
    random: ChaCha8Rng,
}

/// When a request's time is over; of those that end together the one that began first leaves first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    at: Instant,
    begun: u64,
    id: Id,
}

impl Ord for End {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.begun).cmp(&(other.at, other.begun))
    }
}

impl PartialOrd for End {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Service {
    /// With nobody in it. `seed` decides the times that are drawn.
    pub(crate) fn new(time: ServiceTime, at_a_time: Option<NonZeroU32>, seed: u64) -> Self {
        Service {
            time,
            slower_by: Duration::ZERO,
            at_a_time,
            waiting: VecDeque::new(),
            working: BinaryHeap::new(),
            begun: 0,
            random: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// Whether requests take any time.
    pub(crate) fn takes_time(&self) -> bool {
        !self.time.mean().is_zero() || !self.slower_by.is_zero()
    }

    /// Requests that begin from now on take so much longer.
    pub(crate) fn slow_down_by(&mut self, by: Duration) {
        self.slower_by = by;
    }

    /// A request has come.
    pub(crate) fn arrive(&mut self, id: Id, now: Instant) {
        if self.has_place() { self.begin(id, now) } else { self.waiting.push_back((now, id)) }
    }

    /// When the next request's time is over.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.working.peek().map(|Reverse(end)| end.at)
    }

    /// A request whose time is over at `now`. Whoever has waited longest has its place.
    pub(crate) fn finish(&mut self, now: Instant) -> Option<Id> {
        let Reverse(end) = *self.working.peek().filter(|Reverse(end)| end.at <= now)?;
        self.working.pop();
        if self.has_place()
            && let Some((came, id)) = self.waiting.pop_front()
        {
            self.begin(id, end.at.max(came));
        }
        Some(end.id)
    }

    fn has_place(&self) -> bool {
        self.at_a_time.is_none_or(|most| self.working.len() < most.get() as usize)
    }

    fn begin(&mut self, id: Id, at: Instant) {
        let takes = match self.time {
            ServiceTime::Fixed(time) => time,
            // Inverse transform: 1 - u is never zero.
            ServiceTime::Exponential(mean) => mean.mul_f64(-(1.0 - self.random.random::<f64>()).ln()),
        };
        self.begun += 1;
        let at = at + takes.min(MAX_DELAY) + self.slower_by;
        self.working.push(Reverse(End { at, begun: self.begun, id }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn id(slot: usize) -> Id {
        Id { slot, generation: 0 }
    }

    fn service(text: &str, at_a_time: u32) -> Service {
        Service::new(text.parse().unwrap(), NonZeroU32::new(at_a_time), 7)
    }

    /// Everything that ends, with when.
    fn ends(service: &mut Service, begin: Instant) -> Vec<(usize, Duration)> {
        let mut ends = Vec::new();
        while let Some(at) = service.next() {
            ends.push((service.finish(at).unwrap().slot, at - begin));
        }
        ends
    }

    #[test]
    fn without_a_bound_each_request_takes_its_time_from_when_it_came() {
        let (mut service, begin) = (service("10ms", 0), Instant::now());
        service.arrive(id(1), begin);
        service.arrive(id(2), begin + ms(5));
        assert_eq!(service.finish(begin + ms(9)), None);
        assert_eq!(ends(&mut service, begin), [(1, ms(10)), (2, ms(15))]);
    }

    #[test]
    fn with_a_bound_the_others_wait_in_the_order_in_which_they_came() {
        let (mut service, begin) = (service("10ms", 2), Instant::now());
        (1..=5).for_each(|slot| service.arrive(id(slot), begin));
        assert_eq!(
            ends(&mut service, begin),
            [(1, ms(10)), (2, ms(10)), (3, ms(20)), (4, ms(20)), (5, ms(30))]
        );
    }

    #[test]
    fn a_place_is_free_from_when_the_time_was_over_however_late_that_is_noticed() {
        let (mut service, begin) = (service("10ms", 1), Instant::now());
        service.arrive(id(1), begin);
        service.arrive(id(2), begin);
        // Noticed 5 ms late.
        assert_eq!(service.finish(begin + ms(15)), Some(id(1)));
        assert_eq!(service.next(), Some(begin + ms(20)));
    }

    #[test]
    fn a_slower_service_is_slower_by_that_and_prompt_again_afterwards() {
        let (mut service, begin) = (service("10ms", 0), Instant::now());
        service.slow_down_by(ms(500));
        service.arrive(id(1), begin);
        service.slow_down_by(ms(0));
        service.arrive(id(2), begin);
        assert_eq!(ends(&mut service, begin), [(2, ms(10)), (1, ms(510))]);
        assert!(service.takes_time() && !Service::new(ServiceTime::default(), None, 0).takes_time());
    }

    #[test]
    fn exponential_times_have_their_mean_and_a_third_of_them_is_longer() {
        let (mut service, begin) = (service("exp:10ms", 0), Instant::now());
        (0..20_000).for_each(|slot| service.arrive(id(slot), begin));
        let ends = ends(&mut service, begin);
        let mean = ends.iter().map(|(_, at)| at.as_secs_f64()).sum::<f64>() / ends.len() as f64;
        let longer = ends.iter().filter(|(_, at)| *at > ms(10)).count() as f64 / ends.len() as f64;
        assert!((mean - 0.010).abs() < 0.0003, "{mean}");
        // exp(-1)
        assert!((longer - 0.368).abs() < 0.015, "{longer}");
    }

    #[test]
    fn a_service_time_is_read_back_as_it_is_printed_and_nonsense_is_refused() {
        for text in ["0s", "10ms", "1m30s", "exp:250us"] {
            assert_eq!(text.parse::<ServiceTime>().unwrap().to_string(), text);
        }
        for text in ["", "10", "exp:", "exp:soon", "2h", "-1s", "uniform:1s"] {
            let told = text.parse::<ServiceTime>().unwrap_err().to_string();
            assert!(told.contains("as in 10ms, or exp:10ms"), "{told}");
        }
    }
}
