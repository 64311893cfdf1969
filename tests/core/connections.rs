//! How a client's connection begins, waits and ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roundtable::proxy::{CloseReason, Limits, Op, Peer, Session, internals};

use crate::world::{Script, World, proxy};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn pipelined_requests_are_answered_in_order() {
    let outcome = World::new("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        .backends(2)
        .backend(Script::says("HTTP/1.1 200 One\r\nContent-Length: 0\r\n\r\n"))
        .backend(Script::says("HTTP/1.1 200 Two\r\nContent-Length: 0\r\n\r\n"))
        .run();
    let text = outcome.client_text();
    assert!(text.find("200 One") < text.find("200 Two"));
    assert_eq!(outcome.reason, CloseReason::Idle);
}

#[test]
fn the_connection_ends_when_the_client_says_close() {
    let outcome = World::new("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").client_waits().run();
    assert!(outcome.client_text().contains("Connection: close\r\n"));
    assert_eq!((outcome.reason, outcome.half_closed), (CloseReason::Complete, false));
}

#[test]
fn bytes_behind_the_last_request_do_not_destroy_its_response() {
    let outcome = World::new(format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n{GET}")).run();
    assert_eq!(outcome.client_text().matches("200 OK").count(), 1);
    assert!(outcome.half_closed);
}

#[test]
fn a_silent_client_is_closed_without_an_answer() {
    let outcome = World::new("").client_waits().run();
    assert_eq!((outcome.to_client.len(), outcome.elapsed.as_secs()), (0, 10));
    assert_eq!(outcome.reason, CloseReason::Idle);
}

#[test]
fn an_idle_client_is_closed_after_the_idle_timeout() {
    let outcome = World::new(GET).client_waits().run();
    assert_eq!((outcome.status(), outcome.elapsed.as_secs()), ("200", 60));
    assert_eq!(outcome.reason, CloseReason::Idle);
}

#[test]
fn half_a_head_is_answered_with_408_at_the_header_deadline() {
    let outcome = World::new("GET / HT").client_waits().run();
    assert_eq!(outcome.status(), "408");
    // The refused client's silence is then waited for, for the linger timeout.
    assert_eq!(outcome.elapsed.as_secs(), 11);
}

#[test]
fn half_a_body_is_answered_with_408_and_no_backend_is_asked() {
    let outcome =
        World::new("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhi").client_waits().run();
    assert_eq!((outcome.status(), outcome.saw_backends()), ("408", false));
}

#[test]
fn a_draining_balancer_closes_after_the_response() {
    let outcome = World::new(GET.repeat(2)).draining().run();
    assert_eq!(outcome.client_text().matches("200 OK").count(), 1);
    assert!(outcome.client_text().contains("Connection: close\r\n"));
}

#[test]
fn a_client_that_is_gone_frees_its_backend_long_before_a_timeout() {
    for begun in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"] {
        let outcome = World::new(GET)
            .client_waits()
            .client_resets_after(Duration::from_millis(700))
            .backend(Script::says(begun))
            .run();
        assert_eq!((outcome.reason, outcome.elapsed.as_secs()), (CloseReason::ClientGone, 1), "{begun:?}");
    }
}

/// Ten thousand of them must cost little: what a driver adds has to fit beside it in a KiB.
#[test]
fn an_idle_connection_holds_no_buffer_however_often_it_is_looked_at_in_vain() {
    let proxy = proxy(1, Limits::default());
    let now = Instant::now();
    let (mut session, op) = Session::start(Arc::clone(&proxy), ([192, 0, 2, 7], 4711).into(), now);
    let Op::Read(Peer::Client, mut buf) = op else { panic!("{op:?}") };
    let room = buf.spare_mut().len();
    for _ in 0..3 {
        session.reclaim(&mut buf);
        assert_eq!(internals::free_buffers(&proxy), (1, 0));
        session.lend(&mut buf);
        assert_eq!(buf.spare_mut().len(), room);
    }
    assert!(size_of::<Session>() <= 160, "{}", size_of::<Session>());
}
