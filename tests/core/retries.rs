//! Which failures of backends a client never notices, and which it must be told of.

use std::io::ErrorKind;

use crate::world::{OK, Script, Then, World};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";

fn order(outcome: &crate::world::Outcome) -> Vec<usize> {
    outcome.to_backends.iter().map(|(backend, _)| *backend).collect()
}

#[test]
fn turns_go_round() {
    let outcome = World::new(GET.repeat(6)).backends(3).run();
    assert_eq!(order(&outcome), [0, 1, 2]);
    assert_eq!(outcome.reused, 3);
}

#[test]
fn a_refused_connection_goes_on_with_the_next_backend_for_any_method() {
    for request in [GET, POST] {
        let outcome =
            World::new(request).backends(2).backend(Script::refuses(ErrorKind::ConnectionRefused)).run();
        assert_eq!((outcome.status(), order(&outcome)), ("200", vec![0, 1]));
    }
}

#[test]
fn a_refusing_backend_is_left_out_of_later_turns() {
    let outcome =
        World::new(GET.repeat(4)).backends(2).backend(Script::refuses(ErrorKind::ConnectionRefused)).run();
    assert_eq!((order(&outcome), outcome.reused), (vec![0, 1], 3));
}

#[test]
fn with_no_backend_left_the_answer_is_503_or_504() {
    for (kind, status) in [(ErrorKind::ConnectionRefused, "503"), (ErrorKind::TimedOut, "504")] {
        let outcome =
            World::new(GET).backends(2).backend(Script::refuses(kind)).backend(Script::refuses(kind)).run();
        assert_eq!((outcome.status(), order(&outcome)), (status, vec![0, 1]));
    }
}

#[test]
fn want_of_ports_here_is_no_fault_of_the_backend_s() {
    // `AddrNotAvailable` made from its kind has no errno, so it is taken for the backend's; the driver's have one.
    let errno = std::io::Error::from_raw_os_error(nix::errno::Errno::EADDRNOTAVAIL as i32);
    assert_eq!(errno.kind(), ErrorKind::AddrNotAvailable);
}

#[test]
fn an_idempotent_request_that_got_no_answer_is_tried_once_more_elsewhere() {
    for then in [Then::Close, Then::Reset] {
        let silent = Script::says("").then(then);
        let outcome = World::new(GET).backends(3).backend(silent.clone()).run();
        assert_eq!((outcome.status(), order(&outcome)), ("200", vec![0, 1]));
        let outcome = World::new(GET).backends(3).backend(silent.clone()).backend(silent.clone()).run();
        assert_eq!((outcome.status(), order(&outcome)), ("502", vec![0, 1]));
        let outcome = World::new(POST).backends(3).backend(silent).run();
        assert_eq!((outcome.status(), order(&outcome)), ("502", vec![0]));
    }
}

#[test]
fn the_second_try_sends_the_same_bytes() {
    let request = "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let outcome = World::new(request).backends(2).backend(Script::says("").then(Then::Close)).run();
    assert_eq!(outcome.to_backends[0].1, outcome.to_backends[1].1);
    assert!(outcome.backend_text(1).ends_with("\r\n\r\nhello"));
}

#[test]
fn a_stale_idle_connection_is_replaced_unnoticed_and_takes_no_turn() {
    let once = Script::says(OK).then(Then::Close);
    let outcome = World::new(GET.repeat(2)).backend(once).run();
    assert_eq!((order(&outcome), outcome.reused), (vec![0, 0], 1));
    assert_eq!(outcome.client_text().matches("200 OK").count(), 2);
}

#[test]
fn a_post_on_a_stale_idle_connection_is_sent_once_only() {
    let once = Script::says(OK).then(Then::Close);
    let outcome = World::new(format!("{GET}{POST}")).backend(once).run();
    assert!(outcome.client_text().contains("502 Bad Gateway"));
    assert_eq!(order(&outcome), [0]);
}

#[test]
fn a_post_of_which_nothing_was_accepted_is_sent_elsewhere() {
    let outcome = World::new(POST).backends(2).backend(Script::says("").accepts(0)).run();
    assert_eq!((outcome.status(), order(&outcome)), ("200", vec![0, 1]));
}

#[test]
fn after_half_a_head_nothing_is_retried() {
    let outcome = World::new(GET).backends(2).backend(Script::says("HTTP/1.1 2").then(Then::Close)).run();
    assert_eq!((outcome.status(), order(&outcome)), ("502", vec![0]));
}

#[test]
fn a_streamed_body_is_not_sent_again() {
    let body = "x".repeat(50_000);
    let request = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let outcome = World::new(request).backends(2).backend(Script::says("").then(Then::Close)).run();
    assert_eq!((outcome.status(), order(&outcome)), ("502", vec![0]));
}
