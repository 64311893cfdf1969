//! Response times beside those of the M/M/c queue, where one backend is that: Poisson arrivals, exponential service times, so
//! many requests at a time.
//!
//! By Erlang's C formula a request waits, on average, C(c, a) / (c μ − λ) before it is worked on for 1 / μ, where a = λ / μ
//! (Kleinrock, *Queueing Systems*, vol. 1, 1975, § 3.5). What a row takes longer than that is its own: proxying, and the
//! machine. Rule: a condition with several backends is another queue, since a balancer decides before it knows who will be
//! free, and one whose rate is as much as the backend can do has no mean; both are left out.

use super::Common;
use crate::analysis::summary::Summary;
use crate::plan::{Arrivals, Competitor, Condition};
use crate::statistics::Spread;
use roundtable_backends::ServiceTime;

/// A row under a condition that is such a queue.
#[derive(Debug, Clone)]
pub struct QueueRow {
    /// Who.
    pub row: Competitor,
    /// What the run varies, in this condition.
    pub common: Common,
    /// Share of what the backend can do that is asked of it, 0 to 1.
    pub load: f64,
    /// Mean response time of the model, ms.
    pub expected_ms: f64,
    /// Mean response time that was measured, from when each request was due, ms.
    pub measured_ms: Option<Spread>,
}

/// Every row under every such condition.
pub(super) fn of(summary: &Summary) -> Vec<QueueRow> {
    let varied = |condition: &Condition| -> Common {
        let dimensions = summary.grid.dimensions().iter().filter(|of| of.levels.len() > 1);
        dimensions.map(|of| (of.factor, of.factor.get(condition))).collect()
    };
    let conditions: Vec<(&Condition, Expected)> =
        summary.conditions().iter().filter_map(|condition| Some((condition, expected(condition)?))).collect();
    let row = |row: &Competitor, (condition, expected): &(&Condition, Expected)| QueueRow {
        row: row.clone(),
        common: varied(condition),
        load: expected.load,
        expected_ms: expected.response_s * 1e3,
        measured_ms: summary.cell(row, condition).spread(|trial| Some(trial.latency.mean() / 1e6)),
    };
    summary.shown().flat_map(|who| conditions.iter().map(move |of| row(who, of))).collect()
}

/// What the model says of a condition.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Expected {
    load: f64,
    response_s: f64,
}

fn expected(condition: &Condition) -> Option<Expected> {
    let ServiceTime::Exponential(mean) = condition.delay else { return None };
    let (rate, servers) = (condition.rate? as f64, condition.at_a_time?);
    let is_queue = condition.backends == 1 && condition.arrivals == Arrivals::Poisson;
    let service = mean.as_secs_f64();
    let load = rate * service / f64::from(servers);
    (is_queue && load < 1.0).then(|| {
        let wait = erlang_c(servers, rate * service) * service / (f64::from(servers) * (1.0 - load));
        Expected { load, response_s: wait + service }
    })
}

/// The chance that a request has to wait, with `servers` servers and an offered load of `offered`, less than `servers`. By the
/// recursion of Erlang's B formula, which stays within bounds where factorials do not.
fn erlang_c(servers: u32, offered: f64) -> f64 {
    let blocked = (1..=servers).fold(1.0, |blocked, number| {
        let carried = offered * blocked;
        carried / (f64::from(number) + carried)
    });
    let load = offered / f64::from(servers);
    blocked / (1.0 - load + load * blocked)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn condition(rate: u64, servers: u32) -> Condition {
        Condition {
            backends: 1,
            rate: Some(rate),
            arrivals: Arrivals::Poisson,
            delay: ServiceTime::Exponential(Duration::from_millis(10)),
            at_a_time: Some(servers),
            ..Condition::default()
        }
    }

    #[test]
    fn one_server_waits_as_the_m_m_1_queue_does_and_many_as_the_tables_of_erlang_say() {
        // M/M/1: T = 1 / (μ − λ) = 1 / (100 − 50).
        let one = expected(&condition(50, 1)).unwrap();
        assert!((one.response_s - 0.020).abs() < 1e-12 && (one.load - 0.5).abs() < 1e-12, "{one:?}");
        // Two servers, a = 1: C = 1/3.
        assert!((erlang_c(2, 1.0) - 1.0 / 3.0).abs() < 1e-12);
        // Ten servers, a = 8: C = 0.4092 (tables of Erlang C).
        assert!((erlang_c(10, 8.0) - 0.4092).abs() < 1e-4, "{}", erlang_c(10, 8.0));
        assert!(erlang_c(10_000, 9_000.0).is_finite());
    }

    #[test]
    fn what_is_no_such_queue_is_left_out() {
        assert_eq!(expected(&condition(100, 1)), None, "as much as it can do");
        let several = Condition { backends: 2, ..condition(50, 1) };
        let even = Condition { arrivals: Arrivals::Even, ..condition(50, 1) };
        let fixed = Condition { delay: ServiceTime::Fixed(Duration::from_millis(10)), ..condition(50, 1) };
        let unbounded = Condition { at_a_time: None, ..condition(50, 1) };
        for other in [several, even, fixed, unbounded] {
            assert_eq!(expected(&other), None);
        }
    }
}
