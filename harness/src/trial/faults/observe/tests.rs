//! Facts about what is concluded from a record, with requests every ten milliseconds.

use super::*;
use crate::record::timeline::answered;
use crate::trial::faults::fixtures::{answers, on_time, plan, recording, seen};

const KILL: &str = "kill-backend@1s,restore@3s";

/// Dead from 1 s to 3 s: its turns are the other's.
fn failed_over(request: &mut Recorded) {
    if (1_000_000..3_000_000).contains(&request.due_us) {
        request.backend = Some(0);
    }
}

fn episode(seen: &Observation) -> Episode {
    assert_eq!(seen.episodes.len(), 1);
    seen.episodes[0]
}

#[test]
fn a_fault_that_nobody_suffered_from_was_unnoticed() {
    let seen = seen(KILL, failed_over);
    let after = After { used_again_us: Some(10_000), calm_us: 0 };
    assert_eq!(
        episode(&seen),
        Episode { fault: 0, errors: 0, late: 0, left_out: LeftOut::Unnoticed, after: Some(after) }
    );
    assert_eq!((seen.requests, seen.errors.total(), seen.late, seen.slowest_us), (400, 0, 0, 1000));
}

#[test]
fn a_backend_is_left_out_when_the_last_request_that_suffered_has_ended() {
    let seen = seen(KILL, |request| {
        failed_over(request);
        match request.due_us {
            1_010_000 => request.end = End::Failed(Failure::Receive),
            1_030_000 => request.end = End::Status(502),
            // Late, by a retry.
            1_200_000 => request.ended_us = 1_450_000,
            _ => {}
        }
    });
    let episode = episode(&seen);
    assert_eq!((episode.errors, episode.late), (2, 1));
    assert_eq!(episode.left_out, LeftOut::AfterUs(450_000));
    assert_eq!((seen.errors.cut, seen.errors.status_5xx, seen.slowest_us), (1, 1, 250_000));
}

#[test]
fn a_backend_that_still_hurts_when_it_is_restored_was_never_left_out() {
    let slow = |request: &mut Recorded| {
        if (1_000_000..3_000_000).contains(&request.due_us) && request.backend == Some(1) {
            request.ended_us = request.due_us + 500_000;
        }
    };
    let seen = seen("slow-backend@1s,restore@3s", slow);
    let episode = episode(&seen);
    assert_eq!((episode.errors, episode.late, episode.left_out), (0, 100, LeftOut::Never));
    // The last slow answer, to a request that was due at 2.99 s, ended at 3.49 s; effective was the end at 3.001 s.
    let after = After { used_again_us: Some(10_000), calm_us: 489_000 };
    assert_eq!(episode.after, Some(after));
}

#[test]
fn a_slow_answer_to_an_earlier_request_does_not_count_as_being_used_again() {
    let seen = seen(KILL, |request| {
        failed_over(request);
        if request.due_us == 990_000 {
            request.ended_us = 3_002_000;
        }
        if (3_000_000..3_200_000).contains(&request.due_us) {
            request.backend = Some(0);
        }
    });
    assert_eq!(episode(&seen).after.unwrap().used_again_us, Some(210_000));
}

#[test]
fn a_backend_that_never_answers_again_has_no_time_and_one_for_good_no_restoration() {
    let dead = |request: &mut Recorded| {
        if request.due_us >= 1_000_000 {
            request.backend = Some(0);
        }
    };
    assert_eq!(episode(&seen(KILL, dead)).after.unwrap().used_again_us, None);
    assert_eq!(episode(&seen("kill-backend@1s", dead)).after, None);
}

#[test]
fn a_later_fault_does_not_count_against_the_restoration_before_it() {
    let seen = seen("refuse@1s,restore@2s,slow-backend=1@3s,restore@4s", |request| {
        if (3_000_000..4_000_000).contains(&request.due_us) {
            request.ended_us = request.due_us + 300_000;
        }
    });
    assert_eq!(seen.episodes[0].left_out, LeftOut::Unnoticed);
    assert_eq!(seen.episodes[0].after.unwrap().calm_us, 0);
    assert_eq!((seen.episodes[1].left_out, seen.episodes[1].late), (LeftOut::Never, 100));
}

#[test]
fn the_second_half_of_a_short_fault_tells_whether_its_backend_was_left_out() {
    let suffer_until = |end_us: u64| {
        move |request: &mut Recorded| {
            if (1_000_000..end_us).contains(&request.due_us) {
                request.end = End::Status(502);
            }
        }
    };
    let short = "kill-backend@1s,restore@1s 200ms";
    assert_eq!(episode(&seen(short, suffer_until(1_160_000))).left_out, LeftOut::AfterUs(151_000));
    assert_eq!(episode(&seen(short, suffer_until(1_170_000))).left_out, LeftOut::AfterUs(161_000));
    assert_eq!(episode(&seen(short, suffer_until(1_180_000))).left_out, LeftOut::Never);
}

#[test]
fn one_pause_before_the_end_of_a_fault_does_not_make_it_endless() {
    let seen = seen(KILL, |request| {
        failed_over(request);
        // Everybody waits from 2.6 s to 2.84 s.
        if (2_600_000..2_840_000).contains(&request.due_us) {
            request.ended_us = 2_840_000;
        }
    });
    assert_eq!((episode(&seen).left_out, episode(&seen).late), (LeftOut::AfterUs(1_840_000), 14));
}

#[test]
fn failures_before_the_first_event_make_a_trial_invalid() {
    let plan = plan(KILL);
    let recording = recording(&plan, |request| {
        if request.due_us == 500_000 {
            request.end = End::Failed(Failure::Connect);
        }
    });
    let reason = observe(&plan, &recording, &on_time(&plan.script)).unwrap_err();
    assert_eq!(reason.to_string(), "1 requests failed before the first event (no connection 1)");
}

#[test]
fn a_bucket_holds_what_ended_in_it() {
    let seen = seen(KILL, |request| {
        failed_over(request);
        match request.due_us {
            1_010_000 => request.end = End::Status(404),
            // Ends after the window.
            3_990_000 => request.ended_us = 4_150_000,
            _ => {}
        }
    });
    assert_eq!(seen.buckets.len(), 42);
    assert_eq!(seen.buckets[0].answered, answers(&[("b1", 5), ("b2", 5)]));
    let bucket = &seen.buckets[10];
    assert_eq!((bucket.good(), bucket.errors.status_other, bucket.late), (9, 1, 0));
    assert_eq!((seen.buckets[41].late, seen.buckets[41].slowest_us), (1, 160_000));
    assert_eq!(seen.buckets.iter().map(Bucket::good).sum::<u64>(), 399);
    assert_eq!(answered(&seen.buckets), answers(&[("b1", 299), ("b2", 100)]));
}
