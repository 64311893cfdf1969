//! How long a peer is waited for: pauses, drips, and what both add up to.

use std::time::Duration;

use roundtable::proxy::{CloseReason, Limits};

use crate::world::{OK, Outcome, Script, World};

const SECOND: Duration = Duration::from_secs(1);
/// One byte each: below any least rate but the lowest.
const DRIP: Duration = Duration::from_millis(800);

/// Twenty bytes, one by one, under a body timeout of a second.
fn dripped_upload(client_rate: u64) -> Outcome {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n";
    World::new(format!("{head}{}", "u".repeat(20)))
        .client_waits()
        .pieces(&[1])
        .client_pace(DRIP)
        .limits(|limits| {
            patient_but_for_bodies(limits);
            limits.body_timeout = SECOND;
            limits.client_rate = client_rate;
        })
        .run()
}

fn patient_but_for_bodies(limits: &mut Limits) {
    limits.header_timeout = 1000 * SECOND;
    limits.idle_timeout = SECOND;
    limits.write_timeout = 1000 * SECOND;
    limits.linger_timeout = Duration::from_millis(1);
}

#[test]
fn a_body_that_is_dripped_below_the_least_rate_is_408_soon_after_the_timeout() {
    let outcome = dripped_upload(500);
    assert_eq!(outcome.status(), "408");
    assert!(!outcome.saw_backends());
}

#[test]
fn a_body_at_the_least_rate_may_take_its_time() {
    assert_eq!(dripped_upload(1).status(), "200");
}

#[test]
fn without_a_least_rate_only_a_pause_counts() {
    assert_eq!(dripped_upload(0).status(), "200");
}

#[test]
fn a_fast_sender_may_pause_for_the_whole_timeout_and_no_longer() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n";
    let outcome = World::new([head.as_bytes(), &[b'u'; 40_000]].concat())
        .client_waits()
        .backend(Script::says(""))
        .limits(|limits| {
            limits.body_timeout = 3 * SECOND;
            limits.linger_timeout = Duration::from_millis(1);
        })
        .run();
    assert_eq!(outcome.status(), "408");
    assert!(outcome.elapsed >= 3 * SECOND && outcome.elapsed < 4 * SECOND, "{:?}", outcome.elapsed);
}

#[test]
fn time_in_which_the_backend_was_waited_for_is_not_charged_to_the_client() {
    // The backend takes a byte each 300 ms: a hundred times the client's timeout in all.
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200\r\n\r\n";
    let outcome = World::new(format!("{head}{}", "u".repeat(200)))
        .backend_pace(Duration::from_millis(300))
        .pieces(&[500, 500, 1])
        .limits(|limits| limits.body_timeout = SECOND)
        .run();
    assert_eq!(outcome.status(), "200");
}

/// What becomes of a response that is dripped byte by byte.
fn dripped_answer(answer: &str, backend_rate: u64) -> Outcome {
    World::new("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .backend(Script::says(answer))
        .pieces(&[1])
        .backend_pace(Duration::from_millis(100))
        .limits(|limits| {
            limits.backend_timeout = 4 * SECOND;
            limits.backend_rate = backend_rate;
        })
        .run()
}

#[test]
fn a_head_that_is_dripped_has_its_time_as_a_whole() {
    let long = OK.replace("\r\n\r\n", &format!("\r\nX: {}\r\n\r\n", "x".repeat(40)));
    let outcome = dripped_answer(&long, 0);
    assert_eq!(outcome.status(), "504");
    assert_eq!(dripped_answer(OK, 0).status(), "200", "40 bytes come in time");
}

#[test]
fn each_interim_response_has_its_own_time() {
    let hints = "HTTP/1.1 103 Early Hints\r\n\r\n";
    assert!(dripped_answer(&format!("{hints}{hints}{OK}"), 0).client_text().contains("200 OK"));
}

#[test]
fn a_response_body_may_trickle_unless_backends_have_a_least_rate() {
    let body = "x".repeat(100);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{body}");
    assert!(dripped_answer(&answer, 0).client_text().ends_with(&body));
    assert!(dripped_answer(&answer, 5).client_text().ends_with(&body));
    let outcome = dripped_answer(&answer, 500);
    assert_eq!((outcome.status(), outcome.reason), ("200", CloseReason::Truncated));
}

#[test]
fn a_reader_that_takes_a_response_in_drips_is_left() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_owned() + &"x".repeat(1000);
    let outcome = |client_rate| {
        World::new("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .backend(Script::says(&answer))
            .pieces(&[1])
            .client_pace(DRIP)
            .limits(|limits| {
                limits.header_timeout = 1000 * SECOND;
                limits.backend_timeout = 1000 * SECOND;
                limits.write_timeout = SECOND;
                limits.client_rate = client_rate;
            })
            .run()
    };
    assert_eq!(outcome(500).reason, CloseReason::ClientGone);
    assert_eq!(outcome(1).reason, CloseReason::Complete);
    assert_eq!(outcome(0).reason, CloseReason::Complete);
}
