//! The retry rule: which broken connection to a backend a client never notices, and which it must be told of.
//!
//! Two scripted backends; the first request of a balancer is the first one's turn. Requests are delivered whole and one
//! byte per write, to every model.

use std::net::TcpStream;

use crate::stage::{
    DELIVERIES, Delivery, OK, OK_RELAYED, Stage, is_left_open, next_bytes, next_own, next_relayed, reset,
};
use crate::support::{for_every_model, read_head};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const PUT: &str = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
const BREW: &str = "BREW / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Reads what the balancer sends of one of the requests above, to its last byte.
fn read_request(stream: &mut TcpStream) -> String {
    let head = read_head(stream);
    let body = if head.contains("Content-Length") {
        5
    } else if head.contains("Transfer-Encoding") {
        15
    } else {
        0
    };
    head + &String::from_utf8(next_bytes(stream, body)).unwrap()
}

/// Ends the connection before any byte of an answer.
fn breaks(mut stream: TcpStream, by_reset: bool) -> String {
    let request = read_request(&mut stream);
    if by_reset {
        reset(stream);
    }
    request
}

/// How a client is told that its request may have been carried out, or not.
fn is_told_502(client: &mut TcpStream) -> bool {
    next_own(client).starts_with("HTTP/1.1 502 ") && is_left_open(client)
}

#[test]
fn an_idempotent_request_is_sent_once_more_to_another_backend_when_a_fresh_connection_breaks() {
    for_every_model(|model| {
        for delivery in DELIVERIES {
            for (request, by_reset) in [(GET, false), (GET, true), (PUT, false), (PUT, true)] {
                let stage = Stage::with_backends(2, model, &[]);
                let mut client = stage.client_sending(request, delivery);
                let first = breaks(stage.backend_number(0), by_reset);
                let mut second = stage.backend_number(1);
                assert_eq!(read_request(&mut second), first, "{model}: {delivery:?}");
                Delivery::Whole.send(&second, OK);
                let got = next_relayed(&mut client, OK_RELAYED.len());
                assert_eq!(String::from_utf8_lossy(&got), OK_RELAYED, "{model}: {request:?} {delivery:?}");
            }
        }
    });
}

#[test]
fn it_is_sent_no_third_time() {
    for_every_model(|model| {
        let stage = Stage::with_backends(3, model, &[]);
        for by_reset in [false, true] {
            let mut client = stage.client_sending(GET, Delivery::Whole);
            let turn = usize::from(by_reset);
            breaks(stage.backend_number(turn), by_reset);
            breaks(stage.backend_number(turn + 1), by_reset);
            assert!(is_told_502(&mut client), "{model}");
            assert!((0..3).all(|number| !stage.is_asked(number)), "{model}");
        }
    });
}

#[test]
fn any_other_request_is_502_when_a_fresh_connection_breaks() {
    for_every_model(|model| {
        let stage = Stage::with_backends(2, model, &[]);
        let mut turn = 0;
        for delivery in DELIVERIES {
            for (request, by_reset) in [(POST, false), (POST, true), (BREW, false), (BREW, true)] {
                let mut client = stage.client_sending(request, delivery);
                breaks(stage.backend_number(turn % 2), by_reset);
                assert!(is_told_502(&mut client), "{model}: {request:?} {delivery:?}");
                assert!(!stage.is_asked(0) && !stage.is_asked(1), "{model}: {request:?} was sent again");
                turn += 1;
            }
        }
    });
}

/// A connection to the only backend that has answered once and is kept.
fn used_connection(stage: &Stage) -> TcpStream {
    let mut client = stage.client_sending(GET, Delivery::Whole);
    let mut backend = stage.backend();
    read_head(&mut backend);
    Delivery::Whole.send(&backend, OK);
    assert_eq!(next_relayed(&mut client, OK_RELAYED.len()), OK_RELAYED.as_bytes());
    backend
}

#[test]
fn a_reused_connection_that_breaks_is_not_noticed_by_who_sent_a_replayable_request() {
    for_every_model(|model| {
        for delivery in DELIVERIES {
            for (request, by_reset) in [(GET, false), (GET, true), (PUT, false), (PUT, true)] {
                let stage = Stage::new(model, &[]);
                let used = used_connection(&stage);
                let mut client = stage.client_sending(request, delivery);
                let first = breaks(used, by_reset);
                let mut fresh = stage.backend();
                assert_eq!(read_request(&mut fresh), first, "{model}: {delivery:?}");
                Delivery::Whole.send(&fresh, OK);
                let got = next_relayed(&mut client, OK_RELAYED.len());
                assert_eq!(String::from_utf8_lossy(&got), OK_RELAYED, "{model}: {request:?} {delivery:?}");
            }
        }
    });
}

#[test]
fn a_post_on_a_reused_connection_that_breaks_is_502_and_was_sent_once_only() {
    for_every_model(|model| {
        for delivery in DELIVERIES {
            for (request, by_reset) in [(POST, false), (POST, true), (BREW, false), (BREW, true)] {
                let stage = Stage::new(model, &[]);
                let used = used_connection(&stage);
                let mut client = stage.client_sending(request, delivery);
                breaks(used, by_reset);
                assert!(is_told_502(&mut client), "{model}: {request:?} {delivery:?}");
                assert!(!stage.is_asked(0), "{model}: {request:?} was sent again");
            }
        }
    });
}

#[test]
fn a_body_that_no_buffer_holds_is_not_sent_again() {
    let body = "u".repeat(100_000);
    let request = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    for_every_model(|model| {
        let stage = Stage::with_backends(2, model, &[]);
        let mut client = stage.client_sending(&request, Delivery::Whole);
        let mut backend = stage.backend_number(0);
        let head = read_head(&mut backend);
        assert_eq!(next_bytes(&mut backend, body.len()).len(), body.len(), "{model}: {head}");
        drop(backend);
        assert!(is_told_502(&mut client), "{model}");
        assert!(!stage.is_asked(0) && !stage.is_asked(1), "{model}");
    });
}

#[test]
fn nothing_is_sent_again_once_a_byte_of_an_answer_came() {
    for_every_model(|model| {
        let stage = Stage::with_backends(2, model, &[]);
        for (turn, delivery) in DELIVERIES.into_iter().enumerate() {
            let mut client = stage.client_sending(GET, Delivery::Whole);
            let mut backend = stage.backend_number(turn);
            read_head(&mut backend);
            delivery.send(&backend, b"HTTP/1.1 2");
            drop(backend);
            assert!(is_told_502(&mut client), "{model}: {delivery:?}");
            assert!(!stage.is_asked(0) && !stage.is_asked(1), "{model}: {delivery:?}");
        }
    });
}

#[test]
fn a_refused_connection_goes_on_with_the_next_backend_for_any_method() {
    use crate::support::{DeadAddress, Server};
    let dead = DeadAddress::new();
    let alive = Server::backend("alive", &[]);
    for_every_model(|model| {
        for request in [GET, PUT, POST, BREW] {
            let balancer = Server::balancer(model, &[dead.address, alive.address], &[]);
            let mut client = crate::support::Client::connect(balancer.address);
            client.send(request);
            // The origin server refuses what it does not know by its own means, which is an answer too.
            let status = client.response().status().to_owned();
            assert!(!status.starts_with("50") || status == "501", "{model}: {request:?}: {status}");
        }
    });
}
