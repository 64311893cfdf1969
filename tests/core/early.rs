//! Answers that come while the request is still on its way.

use std::time::Duration;

use roundtable::proxy::CloseReason;

use crate::world::{OK, Outcome, Script, Then, World};

const DENIED: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\n\r\ndenied";
const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
/// Within which an answer is relayed.
const AT_ONCE: Duration = Duration::from_millis(500);

/// An upload of so many bytes, of which so many are sent.
fn upload(length: usize, sent: usize) -> World {
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    World::new([head.into_bytes(), vec![b'u'; sent]].concat())
        .client_waits()
        .limits(|limits| limits.linger_timeout = Duration::from_millis(1))
}

fn assert_denied(outcome: &Outcome) {
    assert_eq!(outcome.status(), "401");
    assert!(outcome.client_text().contains("Connection: close\r\n"), "{}", outcome.client_text());
    assert!(outcome.client_text().ends_with("\r\n\r\ndenied"));
    assert_eq!((outcome.half_closed, outcome.reason), (true, CloseReason::Complete));
}

#[test]
fn an_answer_to_a_client_that_waits_for_it_is_relayed_at_once() {
    for then in [Then::Stall, Then::Close] {
        let outcome =
            upload(1_000_000, 20_000).backend(Script::says_at(Script::says(""), 1, DENIED).then(then)).run();
        assert_denied(&outcome);
        assert!(outcome.elapsed <= AT_ONCE, "{:?}", outcome.elapsed);
    }
}

#[test]
fn an_answer_to_a_client_that_goes_on_sending_is_relayed_at_once() {
    let pace = Duration::from_millis(5);
    let outcome =
        upload(10_000_000, 10_000_000).backend(Script::says("").says_at(1, DENIED)).client_pace(pace).run();
    assert_denied(&outcome);
    assert!(outcome.elapsed <= AT_ONCE, "{:?}", outcome.elapsed);
}

#[test]
fn an_answer_of_a_backend_that_stops_reading_is_relayed_at_once() {
    for accepted in [30, 10_000, 20_000] {
        let script = Script::says("").says_at(1, DENIED).accepts(accepted).stops_reading();
        let outcome = upload(100_000, 100_000).backend(script).run();
        assert_denied(&outcome);
        assert!(outcome.elapsed <= AT_ONCE, "{accepted}: {:?}", outcome.elapsed);
    }
}

#[test]
fn an_answer_of_a_backend_that_hangs_up_is_relayed() {
    let script = Script::says("").says_at(1, DENIED).accepts(20_000).then(Then::Close);
    assert_denied(&upload(100_000, 100_000).backend(script).run());
}

#[test]
fn a_backend_that_hangs_up_without_an_answer_is_noticed_at_once() {
    for then in [Then::Close, Then::Reset] {
        let outcome = upload(1_000_000, 20_000).backend(Script::says("").then(then)).run();
        assert_eq!(outcome.status(), "502", "{then:?}");
        assert!(outcome.elapsed <= AT_ONCE, "{:?}", outcome.elapsed);
    }
}

#[test]
fn interim_responses_pass_during_an_upload_which_then_goes_on() {
    let pace = Duration::from_millis(5);
    for pieces in [vec![], vec![7000]] {
        let script = Script::says("")
            .says_at(1, HINTS)
            .says_at(400_000, "HTTP/1.1 102 Processing\r\n\r\n")
            .says_at(1_000_000, OK);
        let outcome = upload(1_000_000, 1_000_000).backend(script).client_pace(pace).pieces(&pieces).run();
        let text = outcome.client_text();
        assert!(text.starts_with(HINTS), "{text}");
        assert!(text.contains("102 Processing"), "{text}");
        assert!(text.ends_with("\r\n\r\nok") && !text.contains("Connection: close"), "{text}");
        assert!(outcome.to_backends[0].1.ends_with(&[b'u'; 1_000_000]));
        assert_eq!(outcome.to_backends.len(), 1);
    }
}

#[test]
fn an_interim_response_while_the_first_bytes_find_no_room_loses_none_of_them() {
    // The first buffer is taken in small pieces, slowly.
    let outcome = upload(12_000, 12_000)
        .backend(Script::says("").says_at(100, HINTS).says_at(12_000, OK))
        .backend_pace(Duration::from_millis(40))
        .pieces(&[1000])
        .run();
    assert!(outcome.client_text().starts_with(HINTS), "{}", outcome.client_text());
    assert!(outcome.client_text().ends_with("ok"), "{}", outcome.client_text());
    assert!(outcome.to_backends[0].1.ends_with(&[b'u'; 12_000]));
}

#[test]
fn a_client_that_is_gone_frees_a_backend_that_does_not_read() {
    let outcome = upload(100_000, 100_000)
        .backend(Script::says("").accepts(20_000).stops_reading())
        .client_resets_after(Duration::from_secs(1))
        .run();
    assert_eq!(outcome.reason, CloseReason::ClientGone);
    assert!(outcome.elapsed <= Duration::from_secs(2), "{:?}", outcome.elapsed);
}
