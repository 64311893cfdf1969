//! The validity gates: what must hold for a trial before any number of it is believed.
//!
//! Pure: counts in, reasons out. Rule: every gate that failed is named with the counts behind it, and none is skipped
//! because another failed.

use std::collections::BTreeMap;

use crate::load::OpenLoop;
use crate::record::Reason;
use crate::testbed::peers::Turns;

/// One in so many answers may come from a backend although a cache could have had it, where one was asked for: the first one of all,
/// and what has gone for want of room.
const HITS_ONE_IN: u64 = 100;

/// What the client saw in the timed window.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Requests answered correctly.
    pub completed: u64,
    /// Requests without a whole and right answer, by what went wrong, in words.
    pub failed: Vec<(&'static str, u64)>,
    /// The same of the warm-up, without the words.
    pub warmup_failed: u64,
    /// Answers that were not 2xx.
    pub non_2xx: u64,
    /// Response times recorded.
    pub timed: u64,
    /// Length of the window, nanoseconds.
    pub elapsed_ns: u64,
    /// Answers by the backend that named itself in them, but for those from a cache.
    pub per_backend: BTreeMap<String, u64>,
    /// Answers that a cache has given: no backend had a turn for them.
    pub from_cache: u64,
    /// Connections that the server was asked to close and did not: each made the client wait.
    pub left_open: u64,
    /// Increase of the kernel's `ListenOverflows`.
    pub listen_overflows: u64,
    /// Share of the processors' time that the hypervisor gave to others, percent.
    pub steal_percent: f64,
    /// How long after the first the last load generator began, nanoseconds.
    pub began_apart_ns: u64,
    /// How a rate was kept; absent in the closed loop.
    pub open_loop: Option<OpenLoop>,
}

/// Load generators that began further apart than this share of the window did not measure the same, percent.
const APART_PERCENT: u64 = 5;

/// What a trial was to be.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Requests of the timed window.
    pub requests: u64,
    /// Requests per second; `None`: a closed loop.
    pub rate: Option<u64>,
    /// The backends behind the balancer, by name.
    pub backends: &'a [String],
    /// How equal their turns are to be.
    pub turns: Turns,
    /// Answers that a cache is to have given.
    pub from_cache: u64,
    /// Share of the processors' time that the hypervisor may take, percent.
    pub steal_limit_percent: u32,
    /// Whether faults befall the backends: then requests may fail, turns differ, and a rate fall behind.
    pub under_faults: bool,
    /// Whether more may be asked than can be answered: the same, and accept queues may overflow.
    pub overload_allowed: bool,
    /// Whether the length of accept queues is asked about: they may overflow.
    pub queues_may_overflow: bool,
}

/// The gates that `seen` does not pass; none when the trial is valid.
pub fn reasons(seen: &Seen, asked: &Asked<'_>) -> Vec<Reason> {
    let Asked { requests, rate, backends, turns: promised, steal_limit_percent, .. } = *asked;
    let overload_allowed = asked.overload_allowed;
    let is_lenient = asked.under_faults || overload_allowed;
    let mut reasons = Vec::new();
    let mut gate = |holds: bool, reason: &dyn Fn() -> Reason| {
        if !holds {
            reasons.push(reason());
        }
    };
    let failed: u64 = seen.failed.iter().map(|(_, count)| count).sum();
    gate(is_lenient || failed == 0, &|| {
        let kinds = seen.failed.iter().filter(|(_, count)| *count > 0);
        let kinds = kinds.map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
        Reason::Failed { requests: failed, of: requests, kinds }
    });
    gate(seen.warmup_failed == 0, &|| Reason::WarmupFailed { requests: seen.warmup_failed });
    gate(is_lenient || seen.non_2xx == 0, &|| Reason::Not2xx { responses: seen.non_2xx, of: requests });
    let completed = seen.completed;
    gate(is_lenient || completed == requests, &|| Reason::Incomplete { completed, of: requests });
    gate(seen.timed == completed, &|| Reason::Untimed { timed: seen.timed, completed });
    gate(seen.elapsed_ns > 0, &|| Reason::NoLength);

    let names: Vec<_> = seen.per_backend.keys().filter(|&name| !backends.contains(name)).cloned().collect();
    gate(names.is_empty(), &|| Reason::ForeignBackend { names: names.clone() });
    let turns = || backends.iter().map(|name| seen.per_backend.get(name).copied().unwrap_or(0));
    let (least, most) = (turns().min().unwrap_or(0), turns().max().unwrap_or(0));
    gate(is_lenient || most - least <= promised.tolerance(requests), &|| Reason::UnequalTurns {
        turns: backends.iter().cloned().zip(turns()).collect(),
    });
    let named: u64 = seen.per_backend.values().sum();
    // What came from a cache, no backend had a turn for: the turns above are those of what did not.
    let hits = seen.from_cache;
    gate(is_lenient || named + hits == completed, &|| Reason::Unnamed {
        named,
        completed: completed.saturating_sub(hits),
    });
    let expected = asked.from_cache;
    let tolerance = if expected == 0 { 0 } else { 1 + requests / HITS_ONE_IN };
    gate(is_lenient || hits.abs_diff(expected) <= tolerance, &|| Reason::OtherHits {
        hits,
        expected,
        of: requests,
    });
    gate(is_lenient || seen.left_open == 0, &|| Reason::LeftOpen { connections: seen.left_open });
    let overflows = seen.listen_overflows;
    gate(overload_allowed || asked.queues_may_overflow || overflows == 0, &|| Reason::ListenOverflows {
        connections: overflows,
    });
    gate(seen.steal_percent <= f64::from(steal_limit_percent), &|| Reason::Steal {
        per_mille: (seen.steal_percent * 10.0).round() as u64,
        limit_percent: steal_limit_percent,
    });
    let (apart_ns, of_ns) = (seen.began_apart_ns, seen.elapsed_ns);
    gate(apart_ns.saturating_mul(100) <= of_ns.saturating_mul(APART_PERCENT), &|| Reason::BeganApart {
        apart_ns,
        of_ns,
    });
    let kept = seen.open_loop.as_ref();
    let driven = kept.map(|open| open.rate);
    gate(driven == rate, &|| Reason::OtherLoop { driven, asked: rate });
    if let Some(open) = kept {
        gate(is_lenient || open.sustained, &|| Reason::NotSustained {
            rate: open.rate,
            achieved_milli_per_s: open.achieved_milli_per_s,
            backlog_grew: open.backlog_grew,
            waited: open.waited,
            of: requests,
            behind_ns: open.behind_ns,
        });
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    fn backends() -> Vec<String> {
        ["b1", "b2", "b3"].map(str::to_owned).to_vec()
    }

    fn per_backend(turns: [u64; 3]) -> BTreeMap<String, u64> {
        backends().into_iter().zip(turns).collect()
    }

    /// Ten requests over three backends, all well.
    fn fine() -> Seen {
        Seen {
            completed: 10,
            timed: 10,
            elapsed_ns: 1,
            per_backend: per_backend([3, 4, 3]),
            ..Seen::default()
        }
    }

    /// The reasons in a closed loop, of ten requests and ten percent of steal.
    fn said(seen: &Seen) -> Vec<String> {
        let backends = backends();
        let asked = Asked {
            requests: 10,
            rate: None,
            backends: &backends,
            turns: Turns::Equal,
            from_cache: 0,
            steal_limit_percent: 10,
            under_faults: false,
            overload_allowed: false,
            queues_may_overflow: false,
        };
        reasons(seen, &asked).iter().map(ToString::to_string).collect()
    }

    /// The same at 2000 requests per second.
    fn said_at_a_rate(open_loop: Option<OpenLoop>) -> Vec<String> {
        let backends = backends();
        let asked = Asked {
            requests: 10,
            rate: Some(2000),
            backends: &backends,
            turns: Turns::Equal,
            from_cache: 0,
            steal_limit_percent: 10,
            under_faults: false,
            overload_allowed: false,
            queues_may_overflow: false,
        };
        reasons(&Seen { open_loop, ..fine() }, &asked).iter().map(ToString::to_string).collect()
    }

    /// The only reason that `alter` leads to.
    fn only_reason(alter: impl FnOnce(&mut Seen)) -> String {
        let mut seen = fine();
        alter(&mut seen);
        match said(&seen).as_slice() {
            [reason] => reason.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_trial_without_fault_is_valid() {
        assert_eq!(said(&fine()), Vec::<String>::new());
    }

    #[test]
    fn turns_that_differ_by_one_are_equal_and_by_two_are_not() {
        let one_apart = Seen { per_backend: per_backend([4, 3, 3]), ..fine() };
        assert_eq!(said(&one_apart), Vec::<String>::new());
        let reason = only_reason(|seen| seen.per_backend = per_backend([5, 3, 2]));
        assert_eq!(reason, "the backends' turns were not equal: b1 5, b2 3, b3 2");
    }

    #[test]
    fn turns_of_a_product_that_counts_them_loosely_may_differ_by_one_in_a_hundred_more() {
        let backends = backends();
        let of = |turns| {
            let seen =
                Seen { completed: 300, timed: 300, per_backend: per_backend([102, 100, 98]), ..fine() };
            let asked = Asked {
                requests: 300,
                rate: None,
                backends: &backends,
                turns,
                from_cache: 0,
                steal_limit_percent: 10,
                under_faults: false,
                overload_allowed: false,
                queues_may_overflow: false,
            };
            reasons(&seen, &asked).len()
        };
        assert_eq!((of(Turns::Equal), of(Turns::Nearly)), (1, 0));
    }

    #[test]
    fn a_backend_that_never_answered_is_an_unequal_turn() {
        let reason = only_reason(|seen| {
            seen.per_backend = BTreeMap::from([("b1".to_owned(), 5), ("b2".to_owned(), 5)]);
        });
        assert!(reason.ends_with("b1 5, b2 5, b3 0"), "{reason}");
    }

    #[test]
    fn a_backend_of_another_trial_is_noticed() {
        let per_backend = BTreeMap::from([("stranger".to_owned(), 10)]);
        let reasons = said(&Seen { per_backend, ..fine() });
        assert!(reasons[0].contains("stranger"), "{reasons:?}");
    }

    #[test]
    fn each_count_that_should_be_zero_is_a_reason_of_its_own() {
        assert_eq!(only_reason(|seen| seen.non_2xx = 8), "8 of 10 responses were not 2xx");
        let reason = only_reason(|seen| seen.warmup_failed = 1);
        assert_eq!(reason, "warm-up requests that failed or were not answered with 2xx: 1");
        let reason = only_reason(|seen| seen.left_open = 4);
        assert_eq!(reason, "4 connections were not closed though the client had asked for it");
        let reason = only_reason(|seen| seen.listen_overflows = 3);
        assert_eq!(
            reason,
            "3 connections met a full accept queue (ListenOverflows, which counts the whole machine)"
        );
        let reason = only_reason(|seen| seen.steal_percent = 12.34);
        assert_eq!(reason, "the hypervisor took 12.3 % of the processors' time (the limit is 10 %)");
        assert_eq!(only_reason(|seen| seen.elapsed_ns = 0), "the timed window had no length");
    }

    #[test]
    fn through_a_cache_backends_take_turns_at_the_rest_and_the_hits_are_as_many_as_were_asked_for() {
        let backends = backends();
        let said = |turns, hits, expected| {
            let seen = Seen {
                completed: 1000,
                timed: 1000,
                per_backend: per_backend(turns),
                from_cache: hits,
                ..fine()
            };
            let asked = Asked {
                requests: 1000,
                rate: None,
                backends: &backends,
                turns: Turns::Equal,
                from_cache: expected,
                steal_limit_percent: 10,
                under_faults: false,
                overload_allowed: false,
                queues_may_overflow: false,
            };
            reasons(&seen, &asked).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(said([33, 34, 33], 900, 900), Vec::<String>::new());
        assert_eq!(said([0, 0, 0], 1000, 1000), Vec::<String>::new());
        assert_eq!(said([37, 37, 37], 889, 900), Vec::<String>::new());
        let told = "a cache gave 860 of 1000 answers in place of 900: it may have too little room";
        assert_eq!(said([47, 47, 46], 860, 900), [told]);
        assert_eq!(said([31, 37, 32], 900, 900), ["the backends' turns were not equal: b1 31, b2 37, b3 32"]);
        assert_eq!(said([30, 30, 30], 900, 900), ["the backends named themselves in 90 of 100 responses"]);
        // Nobody asked for a cache.
        assert_eq!(said([333, 333, 333], 1, 0).len(), 1);
    }

    #[test]
    fn failures_are_told_by_their_kind() {
        let reason = only_reason(|seen| {
            seen.failed = vec![("no connection", 2), ("not HTTP", 0), ("wrong content", 1)];
        });
        assert_eq!(reason, "3 of 10 requests failed (no connection 2, wrong content 1)");
    }

    #[test]
    fn load_generators_that_began_apart_measured_different_times() {
        let apart = |began_apart_ns| said(&Seen { began_apart_ns, elapsed_ns: 1_000_000_000, ..fine() });
        assert_eq!(apart(50_000_000), Vec::<String>::new());
        assert_eq!(
            apart(51_000_000),
            [
                "the load generators began 51.0 ms apart in a window of 1000.0 ms: what they did is not of one time"
            ]
        );
    }

    #[test]
    fn response_times_that_are_missing_are_noticed() {
        assert_eq!(only_reason(|seen| seen.timed = 9), "9 response times for 10 completed requests");
    }

    #[test]
    fn a_rate_that_was_sustained_is_valid_and_one_that_was_not_is_told_with_its_figures() {
        let kept = fixtures::open_loop(2000, 10);
        assert_eq!(said_at_a_rate(Some(kept.clone())), Vec::<String>::new());
        let slow = OpenLoop { sustained: false, achieved_milli_per_s: 1_890_400, ..kept };
        assert_eq!(
            said_at_a_rate(Some(slow.clone())),
            [
                "the rate of 2000 per second was not sustained: 1890.4 per second were answered (0 of 10 requests found no \
              free connection; the latest was sent 0.0 ms after it was due)"
            ]
        );
        let growing = OpenLoop { backlog_grew: true, waited: 7, behind_ns: 1_234_000_000, ..slow };
        let reasons = said_at_a_rate(Some(growing));
        assert!(
            reasons[0].contains("with a backlog that still grew at the end (7 of 10")
                && reasons[0].contains("1234.0 ms"),
            "{reasons:?}"
        );
    }

    #[test]
    fn another_loop_than_the_one_asked_for_is_no_trial_of_this_plan() {
        let told = "the load generator drove a closed loop in place of 2000 per second";
        assert_eq!(said_at_a_rate(None), [told]);
        assert_eq!(said_at_a_rate(Some(fixtures::open_loop(1000, 10))).len(), 1);
        let reason = only_reason(|seen| seen.open_loop = Some(fixtures::open_loop(5, 10)));
        assert_eq!(reason, "the load generator drove 5 per second in place of a closed loop");
    }

    #[test]
    fn under_faults_answers_may_fail_and_the_machine_must_still_be_fit() {
        let open = OpenLoop { sustained: false, ..fixtures::open_loop(2000, 10) };
        let seen = Seen {
            completed: 7,
            timed: 7,
            failed: vec![("cut short", 2)],
            non_2xx: 1,
            per_backend: per_backend([7, 0, 0]),
            open_loop: Some(open),
            ..fine()
        };
        let backends = backends();
        let asked = Asked {
            requests: 10,
            rate: Some(2000),
            backends: &backends,
            turns: Turns::Equal,
            from_cache: 0,
            steal_limit_percent: 10,
            under_faults: true,
            overload_allowed: false,
            queues_may_overflow: false,
        };
        assert_eq!(reasons(&seen, &asked), []);
        let spoilt = Seen { steal_percent: 11.0, listen_overflows: 1, warmup_failed: 1, ..seen };
        assert_eq!(reasons(&spoilt, &asked).len(), 3);
    }

    #[test]
    fn every_failing_gate_is_named() {
        let seen = Seen {
            completed: 7,
            timed: 7,
            failed: vec![("cut short", 2)],
            non_2xx: 1,
            listen_overflows: 1,
            ..fine()
        };
        let reasons = said(&seen);
        assert_eq!(reasons.len(), 5, "{reasons:?}");
    }
}
