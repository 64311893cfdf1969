//! What a backend may answer, and what the client gets of it.

use roundtable::proxy::CloseReason;

use crate::world::{DATE, Script, Then, World};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn answered(response: &str, then: Then) -> crate::world::Outcome {
    World::new(GET).backend(Script::says(response).then(then)).run()
}

#[test]
fn hop_by_hop_fields_end_here() {
    let outcome = answered(
        "HTTP/1.1 200 OK\r\nConnection: X-Gone\r\nX-Gone: 1\r\nKeep-Alive: 1\r\nX-Kept: 2\r\nContent-Length: 0\r\n\r\n",
        Then::Stall,
    );
    let text = outcome.client_text();
    assert!(!text.contains("X-Gone") && !text.contains("Keep-Alive") && text.contains("X-Kept: 2\r\n"));
}

#[test]
fn a_response_without_a_date_gets_one_when_the_time_is_known() {
    let dated = format!("Date: {DATE}\r\n");
    for (says, gets) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", true),
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nConnection: date\r\nDate: x\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\ndATE: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nDate: soon\r\nContent-Length: 0\r\n\r\n", false),
        ("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        ("noise\r\n\r\n", true),
    ] {
        for (request, knows) in [(GET, true), ("HEAD / HTTP/1.0\r\n\r\n", true), (GET, false)] {
            let mut world = World::new(request).backend(Script::says(says));
            world.tells_time = knows;
            let text = world.run().client_text();
            assert_eq!(text.matches(&dated).count(), usize::from(gets && knows), "{says:?}: {text}");
            assert!(!text.contains("Hints\r\nDate"), "{text}");
        }
    }
    for own in ["GET / HTTP/1.1\r\n\r\n", "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n", "\0"] {
        let text = World::new(own).tells_time().run().client_text();
        assert!(text.contains(&dated), "{own:?}: {text}");
    }
}

#[test]
fn a_failure_of_a_backend_leaves_the_client_s_connection_open() {
    let failing = Script::says("noise\r\n\r\n");
    for (request, is_kept) in [
        (GET, true),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", true),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", true),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
    ] {
        for pieces in [vec![], vec![1]] {
            let world = World::new(format!("{request}{GET}")).pieces(&pieces);
            let outcome = world.backend(failing.clone()).run();
            let text = outcome.client_text();
            assert_eq!(outcome.status(), "502", "{request:?}");
            assert_eq!(text.contains("HTTP/1.1 200 OK"), is_kept, "{request:?}: {text}");
            assert_eq!(text.contains("Connection: close"), !is_kept, "{request:?}: {text}");
            let is_told = request.contains("keep-alive");
            assert_eq!(text.contains("Connection: keep-alive"), is_told, "{request:?}: {text}");
        }
    }
    let body = "x".repeat(100_000);
    let long = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let refusing = Script::refuses(std::io::ErrorKind::ConnectionRefused);
    let outcome = World::new(format!("{long}{GET}")).backend(refusing).run();
    assert_eq!((outcome.status(), outcome.half_closed), ("503", true), "its body was not read");
    let drained = World::new(GET.repeat(2)).draining().backend(failing).run();
    assert_eq!((drained.status(), drained.half_closed), ("502", true));
}

#[test]
fn what_is_no_response_is_answered_with_502() {
    for response in [
        "nonsense\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 99 Low\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nContent-",
        &format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(20_000)),
        &"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(20),
    ] {
        let outcome = answered(response, Then::Close);
        let last = outcome.client_text();
        let last = last.rsplit_once("HTTP/1.1 5").map(|(_, last)| last.to_owned());
        assert!(last.is_some_and(|last| last.starts_with("02 ")), "{response:?}: {}", outcome.client_text());
    }
}

#[test]
fn a_body_that_ends_early_cuts_the_client_off() {
    let outcome = answered("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", Then::Close);
    assert!(outcome.client_text().ends_with("\r\n\r\nabc"));
    assert_eq!(outcome.reason, CloseReason::Truncated);
}

#[test]
fn a_chunked_body_that_breaks_off_gets_no_last_chunk() {
    for then in [Then::Close, Then::Reset, Then::Stall] {
        let outcome = answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", then);
        assert!(outcome.client_text().ends_with("\r\n\r\n3\r\nabc\r\n"));
        assert_eq!(outcome.reason, CloseReason::Truncated);
    }
}

#[test]
fn a_body_until_close_is_chunked_for_1_1_and_plain_for_1_0() {
    let response = "HTTP/1.1 200 OK\r\n\r\nhello";
    let outcome = World::new(GET.repeat(2)).backend(Script::says(response).then(Then::Close)).run();
    let text = outcome.client_text();
    assert!(text.contains("Transfer-Encoding: chunked\r\n"));
    assert!(text.contains("\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK"), "{text}");
    let old = World::new("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        .backend(Script::says(response).then(Then::Close))
        .run();
    assert!(old.client_text().ends_with("Connection: close\r\n\r\nhello"), "{}", old.client_text());
}

#[test]
fn a_body_until_close_that_is_reset_is_not_passed_off_as_whole() {
    let response = Script::says("HTTP/1.1 200 OK\r\n\r\nhello").then(Then::Reset);
    let outcome = World::new(GET).backend(response.clone()).run();
    assert!(outcome.client_text().ends_with("5\r\nhello\r\n"));
    assert_eq!(outcome.reason, CloseReason::Truncated);
    let old = World::new("GET / HTTP/1.0\r\n\r\n").backend(response).run();
    assert_eq!(old.reason, CloseReason::Aborted);
}

#[test]
fn a_chunked_body_is_data_alone_for_1_0() {
    let outcome = World::new("GET / HTTP/1.0\r\n\r\n")
        .backend(Script::says(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n",
        ))
        .run();
    assert!(outcome.client_text().ends_with("Connection: close\r\n\r\nabcde"), "{}", outcome.client_text());
    assert!(!outcome.client_text().contains("Transfer-Encoding"));
}

#[test]
fn no_more_than_the_promise_is_forwarded_and_the_connection_is_not_reused() {
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 Evil\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 304 Not Modified\r\n\r\nbody",
    ] {
        let outcome = World::new(GET.repeat(2)).backend(Script::says(response)).run();
        assert_eq!(outcome.to_backends.len(), 2, "a fresh connection for the second request: {response:?}");
        assert!(!outcome.client_text().contains("Evil") && !outcome.client_text().contains("body"));
    }
}

#[test]
fn a_response_to_head_has_no_body_and_keeps_its_length() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let outcome = World::new("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2))
        .backend(Script::says(head).and_then_says(head))
        .run();
    assert_eq!(outcome.client_text().matches("Content-Length: 5\r\n").count(), 2);
    assert!(outcome.client_text().ends_with("\r\n\r\n"));
    assert_eq!(outcome.reused, 1);
}

#[test]
fn interim_responses_are_forwarded_but_not_to_1_0() {
    let response = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let outcome = answered(response, Then::Stall);
    assert!(
        outcome.client_text().starts_with("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n")
    );
    let old = World::new("GET / HTTP/1.0\r\n\r\n").backend(Script::says(response)).run();
    assert!(old.client_text().starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_long_body_arrives_whole_in_any_pieces() {
    let body = "0123456789".repeat(10_000);
    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    for pieces in [vec![], vec![1000, 1, 16_000], vec![7]] {
        let outcome = World::new(GET).backend(Script::says(&response)).pieces(&pieces).run();
        assert!(outcome.client_text().ends_with(&format!("\r\n\r\n{body}")));
    }
}

#[test]
fn a_silent_backend_is_answered_for_with_504() {
    let outcome = answered("", Then::Stall);
    assert_eq!(outcome.status(), "504");
    assert_eq!(outcome.elapsed.as_secs(), 30);
}

#[test]
fn an_early_refusal_of_an_upload_is_relayed_and_both_sides_closed() {
    let body = "x".repeat(100_000);
    let outcome =
        World::new(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
            .backend(
                Script::says("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n").accepts(40_000),
            )
            .run();
    assert_eq!(outcome.status(), "413");
    assert!(outcome.client_text().contains("Connection: close\r\n"));
    assert!(outcome.half_closed);
}

#[test]
fn noise_that_is_followed_by_nothing_is_a_502_in_any_pieces() {
    for then in [Then::Stall, Then::Close, Then::Reset] {
        for pieces in [vec![], vec![1]] {
            let script = Script::says("HTTP/1.1 200 OK\r\nX: \0").then(then);
            assert_eq!(World::new(GET).backend(script).pieces(&pieces).run().status(), "502", "{then:?}");
        }
    }
}
