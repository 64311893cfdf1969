//! Responses: the exact bytes that a client gets of each, what becomes of its connection, and of the backend's.
//!
//! Every response is delivered whole and one byte per write, by a scripted backend, to every model.

use std::net::{Shutdown, TcpStream};

use crate::stage::{
    DELIVERIES, Delivery, End, Stage, is_left_open, is_replaced, is_used_again, next_own, next_relayed,
    reset, undated, until_end,
};
use crate::support::{for_every_model, read_head};

pub const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
pub const GET_1_0: &str = "GET / HTTP/1.0\r\n\r\n";
pub const VIA: &str = "Via: 1.1 roundtable\r\n";

/// What the backend does when it has said all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Waits,
    Closes,
    Resets,
}

/// Has a backend answer `request` with `says`. The client, and the backend's connection where it still has one.
pub fn answered(
    stage: &Stage,
    request: &str,
    says: &[u8],
    delivery: Delivery,
    then: Then,
) -> (TcpStream, Option<TcpStream>) {
    let client = stage.client_sending(request, Delivery::Whole);
    let mut backend = stage.backend();
    read_head(&mut backend);
    delivery.send(&backend, says);
    match then {
        Then::Waits => {}
        // The balancer may have reset it for what was said.
        Then::Closes => drop(backend.shutdown(Shutdown::Write)),
        Then::Resets => {
            reset(backend);
            return (client, None);
        }
    }
    (client, Some(backend))
}

#[test]
fn more_than_was_promised_is_neither_forwarded_nor_taken_for_the_next_response() {
    let promise = |fields: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{fields}{VIA}\r\n{body}");
    for_every_model(|model| {
        let stage = Stage::new(model, &[]);
        for (request, says, expected) in [
            (
                GET,
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
                promise("Content-Length: 2\r\n", "ok"),
            ),
            (
                GET,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nevil",
                promise("Transfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n"),
            ),
            (HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", promise("Content-Length: 4\r\n", "")),
            (
                GET,
                "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil",
                format!("HTTP/1.1 204 No Content\r\n{VIA}\r\n"),
            ),
            (GET, "HTTP/1.1 204 No Content\r\n\r\nevil", format!("HTTP/1.1 204 No Content\r\n{VIA}\r\n")),
            (
                GET,
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil",
                format!("HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n{VIA}\r\n"),
            ),
        ] {
            for delivery in DELIVERIES {
                let (mut client, backend) = answered(&stage, request, says.as_bytes(), delivery, Then::Waits);
                let got = next_relayed(&mut client, expected.len());
                assert_eq!(String::from_utf8_lossy(&got), expected, "{model}: {says:?} {delivery:?}");
                assert!(is_replaced(&stage), "{model}: used again after {says:?} {delivery:?}");
                let (_, end) = until_end(&mut backend.unwrap());
                assert_ne!(end, End::Open, "{model}: not closed after {says:?} {delivery:?}");
                client.shutdown(Shutdown::Write).unwrap();
                assert_eq!(until_end(&mut client), (Vec::new(), End::Closed), "{model}: {says:?}");
            }
        }
    });
}

#[test]
fn what_keeps_its_promise_leaves_both_connections_open() {
    for_every_model(|model| {
        let stage = Stage::new(model, &[]);
        for (request, says, expected) in [
            (
                GET,
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{VIA}\r\nhello"),
            ),
            (
                GET,
                "HTTP/1.1 200 \r\nContent-Length: 00\r\nContent-Length: 0\r\n\r\n",
                format!("HTTP/1.1 200 \r\nContent-Length: 0\r\n{VIA}\r\n"),
            ),
            (
                GET,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nX: 1\r\nHost: b\r\n\r\n",
                format!(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{VIA}\r\n5\r\nhello\r\n0\r\nX: 1\r\n\r\n"
                ),
            ),
            (
                HEAD,
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{VIA}\r\n"),
            ),
            (GET, "HTTP/1.1 204 No Content\r\n\r\n", format!("HTTP/1.1 204 No Content\r\n{VIA}\r\n")),
            (
                GET,
                "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\n",
                format!("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 5\r\n{VIA}\r\n"),
            ),
        ] {
            for delivery in DELIVERIES {
                let (mut client, backend) = answered(&stage, request, says.as_bytes(), delivery, Then::Waits);
                let got = next_relayed(&mut client, expected.len());
                assert_eq!(String::from_utf8_lossy(&got), expected, "{model}: {says:?} {delivery:?}");
                let mut backend = backend.unwrap();
                if !expected.ends_with("hello") {
                    // Long enough for a body to show that must not be: until then the connection is kept back.
                    std::thread::sleep(std::time::Duration::from_millis(150));
                }
                // The client's connection carries another request, and the backend's too.
                Delivery::Whole.send(&client, GET.as_bytes());
                assert!(read_head(&mut backend).starts_with("GET / "), "{model}: {says:?} {delivery:?}");
                Delivery::Whole.send(&backend, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                assert!(read_head(&mut client).starts_with("HTTP/1.1 200 OK\r\n"), "{model}: {says:?}");
                assert!(is_used_again(&stage, &mut backend), "{model}: {says:?} {delivery:?}");
                backend.shutdown(Shutdown::Both).unwrap();
            }
        }
    });
}

#[test]
fn a_backend_of_http_1_0_is_kept_only_if_it_says_so() {
    let via = "Via: 1.0 roundtable\r\n";
    for_every_model(|model| {
        let stage = Stage::new(model, &[]);
        for (fields, is_kept) in [("", false), ("Connection: keep-alive\r\n", true)] {
            for delivery in DELIVERIES {
                let says = format!("HTTP/1.0 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok");
                let (mut client, backend) = answered(&stage, GET, says.as_bytes(), delivery, Then::Waits);
                let expected = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{via}\r\nok");
                let got = next_relayed(&mut client, expected.len());
                assert_eq!(String::from_utf8_lossy(&got), expected, "{model}: {delivery:?}");
                let mut backend = backend.unwrap();
                if is_kept {
                    assert!(is_used_again(&stage, &mut backend), "{model}: {delivery:?}");
                    backend.shutdown(Shutdown::Both).unwrap();
                } else {
                    assert_eq!(until_end(&mut backend), (Vec::new(), End::Closed), "{model}: {delivery:?}");
                }
            }
        }
    });
}

#[test]
fn hop_by_hop_fields_of_a_response_end_here() {
    let says = b"HTTP/1.1 200 OK\r\nConnection: X-Gone, close\r\nX-Gone: 1\r\nKeep-Alive: timeout=5\r\n\
                 Proxy-Connection: x\r\nTE: x\r\nUpgrade: h2c\r\nX-Kept: 2\r\nContent-Length: 0\r\n\r\n";
    let expected = format!("HTTP/1.1 200 OK\r\nX-Kept: 2\r\nContent-Length: 0\r\n{VIA}\r\n");
    for_every_model(|model| {
        let stage = Stage::new(model, &[]);
        for delivery in DELIVERIES {
            let (mut client, backend) = answered(&stage, GET, says, delivery, Then::Waits);
            let got = next_relayed(&mut client, expected.len());
            assert_eq!(String::from_utf8_lossy(&got), expected, "{model}: {delivery:?}");
            assert_eq!(until_end(&mut backend.unwrap()), (Vec::new(), End::Closed), "{model}: it said close");
        }
    });
}

#[test]
fn a_response_without_a_date_gets_the_time_that_it_is_and_another_keeps_its_own() {
    use std::time::{Duration, SystemTime};
    let own = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    for_every_model(|model| {
        let stage = Stage::new(model, &[]);
        for (request, head) in [
            (GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"),
            (HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"),
            (GET, "HTTP/1.1 304 Not Modified\r\n"),
            (GET, "HTTP/1.1 204 No Content\r\n"),
            (GET, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n"),
        ] {
            for delivery in DELIVERIES {
                let hints = "HTTP/1.1 103 Early Hints\r\n\r\n";
                let says = format!("{hints}{head}Connection: close\r\n\r\n");
                let (mut client, _backend) =
                    answered(&stage, request, says.as_bytes(), delivery, Then::Waits);
                assert_eq!(read_head(&mut client), hints, "{model}");
                let got = read_head(&mut client);
                let date = got.lines().find_map(|line| line.strip_prefix("Date: "));
                let date = httpdate::parse_http_date(date.expect("a date")).unwrap();
                let now = SystemTime::now();
                let age = now.duration_since(date).expect("no date is from the future");
                assert!(age < Duration::from_secs(20), "{model}: {date:?} is told at {now:?}");

                let says = format!("{head}{own}Connection: close\r\n\r\n");
                let (mut client, _backend) =
                    answered(&stage, request, says.as_bytes(), delivery, Then::Waits);
                let got = read_head(&mut client);
                assert!(got.contains(own) && got.matches("Date: ").count() == 1, "{model}: {got}");
            }
        }
    });
}

#[test]
fn interim_responses_are_forwarded_but_not_to_http_1_0() {
    let interims = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
                    HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nConnection: x\r\n\r\n";
    let relayed = interims.replace("Connection: x\r\n", "");
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n";
    let says = format!("{interims}{last}\r\nok");
    for_every_model(|model| {
        let stage = Stage::new(model, &[]);
        for delivery in DELIVERIES {
            let (mut client, backend) = answered(&stage, GET, says.as_bytes(), delivery, Then::Waits);
            let expected = format!("{relayed}{last}{VIA}\r\nok");
            let got = next_relayed(&mut client, expected.len());
            assert_eq!(String::from_utf8_lossy(&got), expected, "{model}: {delivery:?}");
            let mut backend = backend.unwrap();
            assert!(is_used_again(&stage, &mut backend), "{model}: {delivery:?}");
            backend.shutdown(Shutdown::Both).unwrap();

            let (mut old, backend) = answered(&stage, GET_1_0, says.as_bytes(), delivery, Then::Waits);
            let (got, end) = until_end(&mut old);
            let expected = format!("{last}{VIA}Connection: close\r\n\r\nok");
            assert_eq!(
                (String::from_utf8_lossy(&undated(&got)).as_ref(), end),
                (expected.as_str(), End::Closed),
                "{model}"
            );
            backend.unwrap().shutdown(Shutdown::Both).unwrap();
        }
    });
}

/// The data of a chunked body, which must be whole.
fn dechunked(mut body: &str) -> String {
    let mut data = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n").expect("a size line");
        let size = usize::from_str_radix(size, 16).expect("a size");
        if size == 0 {
            assert_eq!(rest, "\r\n", "the last chunk, and nothing behind it");
            return data;
        }
        data.push_str(&rest[..size]);
        body = rest[size..].strip_prefix("\r\n").expect("a line end behind the data");
    }
}

#[test]
fn a_body_until_close_is_chunked_for_1_1_and_until_close_for_1_0() {
    for_every_model(|model| {
        let stage = Stage::new(model, &[]);
        for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n"] {
            let via = if head.contains("1.0") { "Via: 1.0 roundtable\r\n" } else { VIA };
            let says = format!("{head}until close");
            for delivery in DELIVERIES {
                let closing = GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
                let (mut new, _) = answered(&stage, &closing, says.as_bytes(), delivery, Then::Closes);
                let (got, end) = until_end(&mut new);
                let got = String::from_utf8(undated(&got)).unwrap();
                let (head, body) = got.split_once("\r\n\r\n").unwrap();
                assert_eq!(
                    format!("{head}\r\n"),
                    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{via}Connection: close\r\n"),
                    "{model}"
                );
                assert_eq!((dechunked(body).as_str(), end), ("until close", End::Closed), "{model}");

                let (mut old, _) = answered(&stage, GET_1_0, says.as_bytes(), delivery, Then::Closes);
                let (got, end) = until_end(&mut old);
                let expected = format!("HTTP/1.1 200 OK\r\n{via}Connection: close\r\n\r\nuntil close");
                assert_eq!(
                    (String::from_utf8_lossy(&undated(&got)).as_ref(), end),
                    (expected.as_str(), End::Closed),
                    "{model}"
                );
            }
        }
    });
}

#[test]
fn a_chunked_body_is_data_alone_for_1_0() {
    let says =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n1\r\n!\r\n0\r\nX: y\r\n\r\n";
    let expected = format!("HTTP/1.1 200 OK\r\n{VIA}Connection: close\r\n\r\nhello!");
    for_every_model(|model| {
        let stage = Stage::new(model, &[]);
        for delivery in DELIVERIES {
            let (mut old, backend) = answered(&stage, GET_1_0, says, delivery, Then::Waits);
            let (got, end) = until_end(&mut old);
            assert_eq!(
                (String::from_utf8_lossy(&undated(&got)).as_ref(), end),
                (expected.as_str(), End::Closed),
                "{model}"
            );
            backend.unwrap().shutdown(Shutdown::Both).unwrap();
        }
    });
}

#[test]
fn a_backend_that_never_answers_is_504_and_one_that_stalls_in_the_body_is_cut() {
    for_every_model(|model| {
        let stage = Stage::new(model, &["--backend-timeout", "300ms"]);
        for (says, expected) in [
            ("", "HTTP/1.1 504 "),
            ("HTTP/1.1 2", "HTTP/1.1 504 "),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
                "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nVia: 1.1 roundtable\r\n\r\nabc",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nVia: 1.1 roundtable\r\n\r\n3\r\nabc\r\n",
            ),
        ] {
            for delivery in DELIVERIES {
                let (mut client, backend) = answered(&stage, GET, says.as_bytes(), delivery, Then::Waits);
                if expected.ends_with(' ') {
                    let got = next_own(&mut client);
                    assert!(got.starts_with(expected), "{model}: {says:?} {delivery:?}: {got}");
                    assert!(is_left_open(&mut client), "{model}: {says:?} {delivery:?}");
                } else {
                    let (got, end) = until_end(&mut client);
                    let got = undated(&got);
                    assert_eq!(String::from_utf8_lossy(&got), expected, "{model}: {says:?} {delivery:?}");
                    assert_eq!(end, End::Closed, "{model}: {says:?} {delivery:?}");
                }
                assert_ne!(until_end(&mut backend.unwrap()).1, End::Open, "{model}: {says:?} {delivery:?}");
            }
        }
    });
}
