//! Responses that cannot be used, and those that break off: 502 while nothing has gone out, cut afterwards.
//!
//! Every response is delivered whole and one byte per write, by a scripted backend, to every model.

use crate::responses::{GET, GET_1_0, Then, VIA, answered};
use crate::stage::{
    DELIVERIES, Delivery, End, OK, Stage, is_left_open, next_own, next_relayed, reset, undated, until_end,
};
use crate::support::{Client, Server, for_every_model, raw_backend, read_head};

/// The backend's end of these exchanges is closed. The client gets exactly this, and is closed too, or a 502, after which it
/// may go on.
fn close_the_backend_s_end(exchanges: &[(&str, Vec<u8>, Then, Expected)]) {
    for_every_model(|model| {
        let stage = Stage::new(model, &[]);
        for (request, says, then, expected) in exchanges {
            for delivery in DELIVERIES {
                let shown = String::from_utf8_lossy(&says[..says.len().min(200)]);
                let (mut client, backend) = answered(&stage, request, says, delivery, *then);
                match expected {
                    Expected::Exactly(text, closing) => {
                        let (got, end) = until_end(&mut client);
                        assert_eq!(
                            String::from_utf8_lossy(&undated(&got)),
                            *text,
                            "{model}: {shown:?} {delivery:?} {then:?}"
                        );
                        assert_eq!(end, *closing, "{model}: {shown:?} {delivery:?} {then:?}");
                    }
                    Expected::BadGateway => {
                        let got = next_own(&mut client);
                        let is_kept = got.starts_with("HTTP/1.1 502 ") && is_left_open(&mut client);
                        assert!(is_kept, "{model}: {shown:?} {delivery:?} {then:?}: {got}");
                    }
                }
                if let Some(mut backend) = backend {
                    let (_, end) = until_end(&mut backend);
                    assert_ne!(end, End::Open, "{model}: not closed: {shown:?} {delivery:?} {then:?}");
                }
            }
        }
    });
}

#[derive(Debug)]
enum Expected {
    Exactly(String, End),
    BadGateway,
}

fn are_bad_gateways(responses: &[&str]) {
    let exchanges: Vec<_> = responses
        .iter()
        .flat_map(|says| {
            [Then::Waits, Then::Closes]
                .map(|then| (GET, says.as_bytes().to_vec(), then, Expected::BadGateway))
        })
        .collect();
    close_the_backend_s_end(&exchanges);
}

#[test]
fn what_is_no_response_is_502() {
    let oversize = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(13_000));
    let too_many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(101));
    are_bad_gateways(&[
        &oversize,
        &too_many,
        "SSH-2.0-OpenSSH_9.6\r\n",
        "nonsense\r\n\r\n",
        "\0\0\0",
        "\u{16}\u{3}\u{1}",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 20x OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : 1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n",
    ]);
}

#[test]
fn a_status_that_there_is_not_is_502() {
    are_bad_gateways(&[
        "HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 000 None\r\nContent-Length: 0\r\n\r\n",
    ]);
}

#[test]
fn an_unasked_101_is_502() {
    are_bad_gateways(&[
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\nGARBAGE",
    ]);
}

#[test]
fn half_a_head_is_502() {
    let exchanges: Vec<_> =
        ["H", "HTTP/1.1", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"]
            .iter()
            .flat_map(|says| {
                [Then::Closes, Then::Resets]
                    .map(|then| (GET, says.as_bytes().to_vec(), then, Expected::BadGateway))
            })
            .collect();
    close_the_backend_s_end(&exchanges);
}

#[test]
fn conflicting_or_invalid_framing_is_502() {
    are_bad_gateways(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ]);
}

#[test]
fn a_broken_chunk_is_502_or_cut_when_the_head_has_gone_out() {
    const FIRST: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for_every_model(|model| {
        let stage = Stage::new(model, &[]);
        for broken in
            ["zz\r\n", "-1\r\n", "5\r\nhello!\r\n0\r\n\r\n", "5\nhello\r\n", "10000000000000000\r\n"]
        {
            // All in one: no byte has gone out.
            let says = format!("{FIRST}{broken}");
            let (mut client, _backend) = answered(&stage, GET, says.as_bytes(), Delivery::Whole, Then::Waits);
            assert!(next_own(&mut client).starts_with("HTTP/1.1 502 "), "{model}: {broken:?}");
            assert!(is_left_open(&mut client), "{model}: {broken:?}");
            for delivery in DELIVERIES {
                // The head and a good chunk are with the client before the broken one comes.
                let says = format!("{FIRST}2\r\nok\r\n");
                let (mut client, backend) = answered(&stage, GET, says.as_bytes(), delivery, Then::Waits);
                let good = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{VIA}\r\n2\r\nok\r\n");
                let got = next_relayed(&mut client, good.len());
                assert_eq!(String::from_utf8_lossy(&got), good, "{model}: {broken:?}");
                let mut backend = backend.unwrap();
                delivery.send(&backend, broken.as_bytes());
                let (rest, end) = until_end(&mut client);
                let rest = String::from_utf8_lossy(&rest);
                assert!(!rest.contains("0\r\n\r\n") && !rest.contains("HTTP"), "{model}: {rest:?}");
                assert_ne!(end, End::Open, "{model}: {broken:?}");
                assert_ne!(until_end(&mut backend).1, End::Open, "{model}: {broken:?}");
            }
        }
    });
}

#[test]
fn a_body_shorter_than_promised_cuts_the_client_off() {
    let cut = |body: &str| format!("HTTP/1.1 200 OK\r\n{VIA}\r\n{body}");
    let length = |body: &str| cut(body).replace(VIA, &format!("Content-Length: 100\r\n{VIA}"));
    let chunked = |body: &str| cut(body).replace(VIA, &format!("Transfer-Encoding: chunked\r\n{VIA}"));
    let says = |expected: &str| expected.replace(VIA, "").into_bytes();
    let exchanges: Vec<_> = [length(""), length("abc"), chunked(""), chunked("3\r\nabc\r\n")]
        .into_iter()
        .map(|text| (GET, says(&text), Then::Closes, Expected::Exactly(text, End::Closed)))
        .collect();
    close_the_backend_s_end(&exchanges);
    let old = format!("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n{VIA}Connection: close\r\n\r\nabc");
    let says = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc".to_vec();
    close_the_backend_s_end(&[(GET_1_0, says, Then::Closes, Expected::Exactly(old, End::Closed))]);
}

#[test]
fn a_body_until_close_that_is_reset_is_not_passed_off_as_whole() {
    for_every_model(|model| {
        let stage = Stage::new(model, &[]);
        for delivery in DELIVERIES {
            for request in [GET, GET_1_0] {
                let (mut client, backend) =
                    answered(&stage, request, b"HTTP/1.1 200 OK\r\n\r\n", delivery, Then::Waits);
                // The head is out before the reset, which could overtake it.
                let head = read_head(&mut client);
                assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{model}: {head}");
                reset(backend.unwrap());
                let (rest, end) = until_end(&mut client);
                assert!(rest.is_empty(), "{model}: {}", String::from_utf8_lossy(&rest));
                // One is told by the missing last chunk, the other has nothing but the reset.
                let expected = if request == GET { End::Closed } else { End::Reset };
                assert_eq!(end, expected, "{model}: {request:?} {delivery:?}");
            }
        }
    });
}

#[test]
fn surplus_that_comes_late_is_not_taken_for_the_next_answer() {
    for (request, head) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\n\r\n"),
    ] {
        let backend = raw_backend(move |mut stream| {
            loop {
                let asked = read_head(&mut stream);
                if asked.contains("/bodiless") {
                    Delivery::Whole.send(&stream, head.as_bytes());
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    Delivery::Whole.send(&stream, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
                } else if asked.is_empty() {
                    return;
                } else {
                    Delivery::Whole.send(&stream, OK);
                }
            }
        });
        for_every_model(|model| {
            let balancer = Server::balancer(model, &[backend], &[]);
            for round in 0..8 {
                let mut first = Client::connect(balancer.address);
                first.send(format!("{request} /bodiless HTTP/1.1\r\nHost: a\r\n\r\n"));
                read_head(&mut first.stream);
                let answer = Client::connect(balancer.address).get("/next");
                assert_eq!(
                    (answer.status(), answer.body.as_slice()),
                    ("200", b"ok".as_slice()),
                    "{model}: {head} {round}"
                );
            }
        });
    }
}
