//! Which failures of backends a client never notices, and which it must be told of.

use std::io::ErrorKind;

use roundtable::proxy::Limits;

use crate::world::{OK, Script, Then, World, proxy};

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
fn want_of_anything_on_this_machine_is_no_fault_of_the_backend_s() {
    use nix::errno::Errno::{EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC};
    for errno in [EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC] {
        let proxy = proxy(2, Limits::default());
        let outcome = World::new(GET).backend(Script::fails_with(errno)).run_with(&proxy);
        assert_eq!((outcome.status(), order(&outcome)), ("503", vec![0]), "{errno}");
        // The turn went on, and nobody is left out.
        assert_eq!(order(&World::new(GET.repeat(4)).run_with(&proxy)), [1, 0], "{errno}");
    }
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

#[test]
fn an_answer_to_an_upload_that_the_backend_does_not_read_is_relayed() {
    let body = "x".repeat(50_000);
    let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let early = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n";
    let outcome = World::new(&request).backend(Script::says(early).accepts(20_000).stops_reading()).run();
    assert_eq!((outcome.status(), outcome.half_closed), ("413", true));
    assert!(outcome.client_text().contains("Connection: close\r\n"));
    let outcome = World::new(&request).backend(Script::says("").accepts(20_000).stops_reading()).run();
    assert_eq!((outcome.status(), order(&outcome)), ("504", vec![0]));
}
