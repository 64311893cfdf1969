//! Requests that are accepted: the exact bytes that a backend gets of each, and the conversation around them.
//!
//! Every input is delivered whole and one byte per write, to every model.

use crate::stage::{
    DELIVERIES, Delivery, End, OK_RELAYED, Stage, next_bytes, next_relayed, undated, until_end,
};
use crate::support::{for_every_model, read_head};

/// What the balancer adds to every head, with the empty line.
const ADDED: &str = "Via: 1.1 roundtable\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n";
const CLOSING: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

/// A backend gets exactly the second text of each pair when a client sends the first.
fn are_forwarded_as(pairs: &[(String, String)]) {
    for_every_model(|model| {
        let stage = Stage::new(model, &[]);
        for (input, expected) in pairs {
            // What a client that names no host is taken to have meant.
            let expected = expected.replace("BALANCER", &stage.balancer.address.to_string());
            for delivery in DELIVERIES {
                let mut client = stage.client_sending(input, delivery);
                let mut backend = stage.backend();
                let got = next_bytes(&mut backend, expected.len());
                assert_eq!(String::from_utf8_lossy(&got), expected, "{model}: {input:?} {delivery:?}");
                Delivery::Whole.send(&backend, CLOSING);
                let (more, end) = until_end(&mut backend);
                assert_eq!((more.as_slice(), end), (b"".as_slice(), End::Closed), "{model}: {input:?}");
                let answer = next_bytes(&mut client, 15);
                assert_eq!(answer, b"HTTP/1.1 200 OK", "{model}: {input:?} {delivery:?}");
            }
        }
    });
}

/// For each pair of a request's line and fields and what becomes of them. Nothing follows the head.
fn heads_are_forwarded_as(pairs: &[(&str, &str)]) {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(input, expected)| (format!("{input}\r\n"), format!("{expected}{ADDED}")))
        .collect();
    are_forwarded_as(&pairs);
}

/// For each pair of a chunked body and what becomes of it.
fn chunks_are_forwarded_as(pairs: &[(&str, &str)]) {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n";
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(input, expected)| (format!("{head}\r\n{input}"), format!("{head}{ADDED}{expected}")))
        .collect();
    are_forwarded_as(&pairs);
}

#[test]
fn a_plain_request_keeps_its_fields_and_their_order() {
    heads_are_forwarded_as(&[
        (
            "GET /x?y=%20z HTTP/1.1\r\nHost: a:80\r\nB: 1\r\nA: 2\r\nB: 3\r\nEmpty:\r\nSpaces: \t x  y \t\r\n",
            "GET /x?y=%20z HTTP/1.1\r\nHost: a:80\r\nB: 1\r\nA: 2\r\nB: 3\r\nEmpty: \r\nSpaces: x  y\r\n",
        ),
        ("HEAD / HTTP/1.1\r\nHost: [::1]:80\r\n", "HEAD / HTTP/1.1\r\nHost: [::1]:80\r\n"),
    ]);
}

#[test]
fn a_client_of_http_1_0_needs_no_host() {
    let added = ADDED.replace("1.1", "1.0");
    are_forwarded_as(&[(
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\nHost: BALANCER\r\n{added}"),
    )]);
}

#[test]
fn what_browsers_leave_bare_in_a_target_is_forwarded_byte_for_byte() {
    let targets = [
        "/?ids[]=1",
        "/?q=a|b",
        "/a[1]",
        "/{x}/^/`/\\",
        "/?{x}^`\\",
        "/?\"'\"",
        "/a\"b'c",
        "/100%",
        "/?q=100%&r=%zz",
        "/%2F%5c//..",
    ];
    let pairs = targets.map(|target| {
        (
            format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"),
            format!("GET {target} HTTP/1.1\r\nHost: a\r\n{ADDED}"),
        )
    });
    are_forwarded_as(&pairs);
}

#[test]
fn max_forwards_of_options_counts_down_and_means_nothing_to_other_methods() {
    heads_are_forwarded_as(&[
        (
            "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 10\r\nX: y\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\nX: y\r\nMax-Forwards: 9\r\n",
        ),
        (
            "OPTIONS /x HTTP/1.1\r\nHost: a\r\nmax-forwards: 01\r\nConnection: max-forwards\r\n",
            "OPTIONS /x HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n",
        ),
    ]);
}

#[test]
fn credentials_for_a_proxy_end_here_and_those_for_the_origin_do_not() {
    heads_are_forwarded_as(&[(
        "GET / HTTP/1.1\r\nHost: a\r\nproxy-authorization: Basic YTpi\r\nAuthorization: Basic YzpkCg==\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YzpkCg==\r\n",
    )]);
}

#[test]
fn equal_content_lengths_become_one() {
    let expected = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n{ADDED}hello");
    are_forwarded_as(
        &[
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "content-length:5 ,5\r\n",
        ]
        .map(|fields| (format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\nhello"), expected.clone())),
    );
}

#[test]
fn a_content_length_with_leading_zeros_is_decimal_and_written_plainly() {
    are_forwarded_as(&[(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 010\r\n\r\n0123456789".to_owned(),
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n{ADDED}0123456789"),
    )]);
}

#[test]
fn chunk_extensions_are_taken_off() {
    let extended = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(4000));
    chunks_are_forwarded_as(&[
        ("5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n", "5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n"),
        ("5;x=y\r\nhello\r\n0;last\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("5 ; a=\"b c\";d\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("05;0x5\r\nhello\r\n000\r\n\r\n", "05\r\nhello\r\n000\r\n\r\n"),
        (&extended, "5\r\nhello\r\n0\r\n\r\n"),
    ]);
}

#[test]
fn trailers_that_could_change_framing_or_routing_are_dropped_and_never_merged() {
    chunks_are_forwarded_as(&[
        (
            "5\r\nhello\r\n0\r\nContent-Length: 9\r\nX-Sum: 1\r\nTRANSFER-ENCODING: gzip\r\nhost: evil\r\n\r\n",
            "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
        ),
        ("0\r\nHost: evil\r\n\r\n", "0\r\n\r\n"),
        ("0\r\nConnection: close\r\nExpect: 100-continue\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n", "0\r\n\r\n"),
    ]);
}

#[test]
fn the_authority_of_an_absolute_target_replaces_host() {
    heads_are_forwarded_as(&[
        ("GET http://b:81/p?q HTTP/1.1\r\nHost: a\r\n", "GET /p?q HTTP/1.1\r\nHost: b:81\r\n"),
        ("GET HTTP://b HTTP/1.1\r\nHost: a\r\n", "GET / HTTP/1.1\r\nHost: b\r\n"),
        ("GET https://b?q HTTP/1.1\r\nHost: a\r\n", "GET /?q HTTP/1.1\r\nHost: b\r\n"),
        ("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n", "OPTIONS * HTTP/1.1\r\nHost: b\r\n"),
    ]);
}

#[test]
fn one_empty_line_before_a_request_is_accepted() {
    heads_are_forwarded_as(&[("\r\nGET / HTTP/1.1\r\nHost: a\r\n", "GET / HTTP/1.1\r\nHost: a\r\n")]);
}

#[test]
fn http_1_2_is_read_as_1_1() {
    heads_are_forwarded_as(&[
        ("GET / HTTP/1.2\r\nHost: a\r\n", "GET / HTTP/1.1\r\nHost: a\r\n"),
        ("GET / HTTP/1.9\r\nHost: a\r\n", "GET / HTTP/1.1\r\nHost: a\r\n"),
    ]);
}

#[test]
fn an_unknown_method_is_forwarded() {
    heads_are_forwarded_as(&[
        ("BREW /pot HTTP/1.1\r\nHost: a\r\n", "BREW /pot HTTP/1.1\r\nHost: a\r\n"),
        ("get / HTTP/1.1\r\nHost: a\r\n", "get / HTTP/1.1\r\nHost: a\r\n"),
    ]);
}

#[test]
fn options_of_the_server_itself_is_forwarded_as_an_asterisk() {
    heads_are_forwarded_as(&[("OPTIONS * HTTP/1.1\r\nHost: a\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n")]);
}

#[test]
fn hop_by_hop_fields_and_those_that_connection_names_end_here() {
    heads_are_forwarded_as(&[
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Secret , keep-alive,,\r\nx-secret: 1\r\nKeep-Alive: 5\r\n\
             TE: trailers\r\nUpgrade: h2c\r\nProxy-Connection: close\r\nX-Kept: 2\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX-Kept: 2\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 2\r\nConnection: x\r\nZ: 3\r\nConnection: y\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nZ: 3\r\n",
        ),
    ]);
}

#[test]
fn naming_host_or_framing_in_connection_strips_nothing() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\n";
    let names = "Connection: host, content-length, transfer-encoding\r\n";
    are_forwarded_as(&[
        (
            format!("{head}{names}Content-Length: 5\r\n\r\nhello"),
            format!("{head}Content-Length: 5\r\n{ADDED}hello"),
        ),
        (
            format!("{head}{names}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
            format!("{head}Transfer-Encoding: chunked\r\n{ADDED}5\r\nhello\r\n0\r\n\r\n"),
        ),
    ]);
}

#[test]
fn a_client_that_expects_100_gets_it_before_its_body_and_one_of_http_1_0_does_not() {
    const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    for_every_model(|model| {
        let stage = Stage::new(model, &[]);
        for delivery in DELIVERIES {
            for (framing, body) in
                [("Content-Length: 5", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")]
            {
                let head = format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n{framing}\r\n\r\n");
                let mut client = stage.client_sending(head, delivery);
                assert_eq!(next_bytes(&mut client, CONTINUE.len()), CONTINUE, "{model}: {framing}");
                delivery.send(&client, body.as_bytes());
                let mut backend = stage.backend();
                let expected = format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n{ADDED}{body}");
                let got = next_bytes(&mut backend, expected.len());
                assert_eq!(String::from_utf8_lossy(&got), expected, "{model}: {framing}");
                Delivery::Whole.send(&backend, CLOSING);
                assert_eq!(next_relayed(&mut client, OK_RELAYED.len()), OK_RELAYED.as_bytes(), "{model}");
            }
            let mut old = stage.client_sending(
                "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
                delivery,
            );
            let mut backend = stage.backend();
            assert!(!read_head(&mut backend).contains("Expect"), "{model}");
            Delivery::Whole.send(&backend, CLOSING);
            assert_eq!(next_bytes(&mut old, 15), b"HTTP/1.1 200 OK", "{model}");
        }
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    for_every_model(|model| {
        let stage = Stage::with_backends(2, model, &[]);
        for delivery in DELIVERIES {
            let input = "GET /0 HTTP/1.1\r\nHost: a\r\n\r\n\
                         POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
                         POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n\
                         GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            let mut client = stage.client_sending(input, delivery);
            for number in 0..4 {
                // Strict turns: the next one is not asked before this one has answered.
                assert!(!stage.is_asked((number + 1) % 2), "{model}: {delivery:?}");
                let mut backend = stage.backend_number(number % 2);
                let head = read_head(&mut backend);
                assert!(head.contains(&format!(" /{number} ")), "{model}: {delivery:?}: {head}");
                let body: &[u8] = match number {
                    1 => b"hello",
                    2 => b"5\r\nhello\r\n0\r\n\r\n",
                    _ => b"",
                };
                assert_eq!(next_bytes(&mut backend, body.len()), body, "{model}: {delivery:?}");
                let answer =
                    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n{number}");
                Delivery::Whole.send(&backend, answer.as_bytes());
                assert!(read_head(&mut client).starts_with("HTTP/1.1 200 OK\r\n"), "{model}");
                assert_eq!(next_bytes(&mut client, 1), number.to_string().as_bytes(), "{model}");
            }
            assert_eq!(until_end(&mut client), (Vec::new(), End::Closed), "{model}: {delivery:?}");
        }
    });
}

#[test]
fn a_client_that_half_closes_after_a_request_is_answered_and_then_closed() {
    for_every_model(|model| {
        let stage = Stage::new(model, &[]);
        for delivery in DELIVERIES {
            let mut client = stage.client_sending("GET / HTTP/1.1\r\nHost: a\r\n\r\n", delivery);
            client.shutdown(std::net::Shutdown::Write).unwrap();
            let mut backend = stage.backend();
            read_head(&mut backend);
            // It is looked at meanwhile whether the client is still there, and it is.
            std::thread::sleep(std::time::Duration::from_millis(700));
            Delivery::Whole.send(&backend, CLOSING);
            let expected = (OK_RELAYED.as_bytes().to_vec(), End::Closed);
            let (got, end) = until_end(&mut client);
            assert_eq!((undated(&got), end), expected, "{model}: {delivery:?}");
        }
    });
}
