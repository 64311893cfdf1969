//! What the balancer answers for itself, and what becomes of the connection: it lasts where the request was read whole.
//!
//! Every request is delivered whole and one byte per write, to every model; the next one comes right behind it.

use std::net::TcpStream;

use crate::stage::{
    DELIVERIES, Delivery, End, OK, OK_RELAYED, Stage, is_left_open, next_own, next_relayed, until_end,
};
use crate::support::{DeadAddress, Server, for_every_model, read_head};

const NEXT: &str = "GET /pdf/next HTTP/1.1\r\nHost: a\r\n\r\n";

/// A balancer with one backend, for what is below /pdf/ and nothing else.
fn stage(model: &str) -> Stage {
    Stage::with_route(model, "/pdf/")
}

/// The next request on the connection is forwarded and answered.
fn goes_on(stage: &Stage, client: &mut TcpStream) -> bool {
    let mut backend = stage.backend();
    let asked = read_head(&mut backend);
    Delivery::Whole.send(&backend, &[&OK[..17], b"Connection: close\r\n", &OK[17..]].concat());
    asked.starts_with("GET /next ") && next_relayed(client, OK_RELAYED.len()) == OK_RELAYED.as_bytes()
}

#[test]
fn a_connection_lasts_behind_a_redirect_or_a_404() {
    for_every_model(|model| {
        let stage = stage(model);
        for (request, status, location) in [
            ("GET /pdf HTTP/1.1\r\nHost: a\r\n\r\n", "301", Some("/pdf/")),
            ("HEAD /pdf?x HTTP/1.1\r\nHost: a\r\n\r\n", "301", Some("/pdf/?x")),
            ("POST /pdf HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "308", Some("/pdf/")),
            ("DELETE /pdf HTTP/1.1\r\nHost: a\r\n\r\n", "308", Some("/pdf/")),
            ("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", "404", None),
        ] {
            for delivery in DELIVERIES {
                let mut client = stage.client_sending(format!("{request}{NEXT}"), delivery);
                let head =
                    if request.starts_with("HEAD") { read_head(&mut client) } else { next_own(&mut client) };
                assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{model}: {request:?}: {head}");
                assert!(!head.contains("Connection:"), "{model}: {head}");
                let told = head.lines().find_map(|line| line.strip_prefix("Location: "));
                assert_eq!(told, location, "{model}: {request:?}");
                assert!(goes_on(&stage, &mut client), "{model}: {request:?} {delivery:?}");
            }
        }
    });
}

#[test]
fn a_connection_ends_where_a_body_is_left_or_the_client_wants_it_to() {
    for_every_model(|model| {
        let stage = stage(model);
        for (request, status) in [
            ("POST /pdf HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", "308"),
            (
                "PUT /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
                "404",
            ),
            ("PUT /pdf HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", "308"),
            ("GET /pdf HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "301"),
            ("GET /nowhere HTTP/1.0\r\n\r\n", "404"),
        ] {
            for delivery in DELIVERIES {
                let mut client = stage.client_sending(format!("{request}{NEXT}"), delivery);
                let (answer, end) = until_end(&mut client);
                let answer = String::from_utf8(answer).unwrap();
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{model}: {request:?}: {answer}");
                assert!(answer.contains("\r\nConnection: close\r\n"), "{model}: {answer}");
                assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{model}: {answer}");
                assert_eq!(end, End::Closed, "{model}: {request:?} {delivery:?}");
                assert!(!stage.is_asked(0), "{model}: {request:?}");
            }
        }
    });
}

#[test]
fn options_that_may_be_forwarded_no_more_is_answered_here() {
    for_every_model(|model| {
        let stage = stage(model);
        for target in ["*", "/pdf/x", "/nowhere"] {
            for delivery in DELIVERIES {
                let options =
                    format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n{NEXT}");
                let mut client = stage.client_sending(options, delivery);
                let head = next_own(&mut client);
                assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{model}: {target}: {head}");
                assert!(
                    head.contains("\r\nAllow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n"),
                    "{head}"
                );
                assert!(head.contains("\r\nContent-Length: 0\r\n"), "{model}: {head}");
                assert!(goes_on(&stage, &mut client), "{model}: {target} {delivery:?}");
            }
        }
    });
}

#[test]
fn a_client_goes_on_when_its_backend_has_failed() {
    let dead = DeadAddress::new();
    let post = "POST /pdf/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    for_every_model(|model| {
        let stage = stage(model);
        for delivery in DELIVERIES {
            let mut client = stage.client_sending(format!("{post}{NEXT}"), delivery);
            let mut backend = stage.backend();
            read_head(&mut backend);
            Delivery::Whole.send(&backend, b"noise\r\n\r\n");
            let head = next_own(&mut client);
            assert!(head.starts_with("HTTP/1.1 502 ") && !head.contains("Connection:"), "{model}: {head}");
            assert!(goes_on(&stage, &mut client), "{model}: {delivery:?}");
        }
        let unreachable = Server::balancer(model, &[dead.address], &[]);
        let mut client = TcpStream::connect(unreachable.address).unwrap();
        client.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
        for request in [post, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"] {
            Delivery::Whole.send(&client, request.as_bytes());
            let head = next_own(&mut client);
            assert!(head.starts_with("HTTP/1.1 503 "), "{model}: {head}");
            assert_eq!(
                head.contains("\r\nConnection: keep-alive\r\n"),
                request.contains("1.0"),
                "{model}: {head}"
            );
        }
        assert!(is_left_open(&mut client), "{model}");
    });
}
