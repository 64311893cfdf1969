//! Bodies whose framing breaks: no backend sees a byte of them while they fit into a buffer, and never their end.

use crate::requests_refused::{PATIENT, all, are_refused, chunked};
use crate::stage::{DELIVERIES, Delivery, End, Stage, until_end};
use crate::support::for_every_model;

#[test]
fn broken_chunk_framing_is_400() {
    are_refused(
        &["400"],
        &all(
            chunked,
            [
                "\r\nhello\r\n0\r\n\r\n",
                ";x\r\nhello\r\n0\r\n\r\n",
                "0x5\r\nhello\r\n0\r\n\r\n",
                "+5\r\nhello\r\n0\r\n\r\n",
                "-1\r\nhello\r\n0\r\n\r\n",
                "5x\r\nhello\r\n0\r\n\r\n",
                " 5\r\nhello\r\n0\r\n\r\n",
                "\t5\r\nhello\r\n0\r\n\r\n",
                "5 \r\nhello\r\n0\r\n\r\n",
                "5 5\r\nhello\r\n0\r\n\r\n",
                "g\r\nhello\r\n0\r\n\r\n",
                "10000000000000005\r\nhello\r\n0\r\n\r\n",
                "00000000000000005\r\nhello\r\n0\r\n\r\n",
                "5\r\nhello\r\nffffffffffffffff\r\n",
                "5\r\nhello0\r\n\r\n",
                "5\r\nhelloworld\r\n0\r\n\r\n",
                "5\r\nhell\r\n0\r\n\r\n",
                "5\nhello\r\n0\r\n\r\n",
                "5\r\nhello\n0\r\n\r\n",
                "5\r\nhello\r0\r\n\r\n",
                "5\r\nhello\r\n0\n\r\n",
                "5\r\nhello\r\n0\r\n\n",
                "5\r\nhello\r\n0\r\nX: y\n\r\n",
                "5\rhello\r\n0\r\n\r\n\n",
                "5;a\rb\r\nhello\r\n0\r\n\r\n",
                "5;a\nb\r\nhello\r\n0\r\n\r\n",
                "5;a\0b\r\nhello\r\n0\r\n\r\n",
                "5\r\nhello\r\n0;\r\r\n\r\n",
                "0\r\nno colon\r\n\r\n",
                "0\r\nX : y\r\n\r\n",
                "0\r\nX: y\r\n z\r\n\r\n",
                "0\r\n: y\r\n\r\n",
                "0\r\nX: a\0b\r\n\r\n",
            ],
        ),
    );
}

#[test]
fn more_than_4_kib_of_chunk_extensions_are_400() {
    are_refused(
        &["400"],
        &[
            chunked(&format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(4096))),
            // Without the end of its line: nothing more is waited for.
            chunked(&format!("5;{}", "x".repeat(5000))),
            chunked(&format!("{}0\r\n\r\n", format!("1;{}\r\n!\r\n", "x".repeat(99)).repeat(41))),
        ],
    );
}

/// These come too late to be hidden from a backend: it sees the beginning of the body, and never its end.
#[test]
fn a_fault_behind_what_a_buffer_holds_is_refused_and_the_backend_cut_off() {
    let chunk = format!("4000\r\n{}\r\n", "u".repeat(0x4000));
    for_every_model(|model| {
        let stage = Stage::new(model, &[&PATIENT[..], &["--max-body-bytes", "60000"]].concat());
        for (rest, status) in [("zz\r\n", "400"), ("5\r\nhello!\r\n", "400"), (&chunk, "413")] {
            for delivery in DELIVERIES {
                let mut client = stage.client_sending(chunked(&chunk.repeat(3)), Delivery::Whole);
                let mut backend = stage.backend();
                delivery.send(&client, rest.as_bytes());
                let (answer, end) = until_end(&mut client);
                let answer = String::from_utf8(answer).unwrap();
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{model}: {rest:?}: {answer}");
                assert!(
                    answer.contains("\r\nConnection: close\r\n") && end == End::Closed,
                    "{model}: {answer}"
                );
                let (seen, end) = until_end(&mut backend);
                assert_ne!(end, End::Open, "{model}: {rest:?}");
                assert!(!seen.ends_with(b"0\r\n\r\n"), "{model}: a last chunk was made up: {rest:?}");
            }
        }
    });
}

#[test]
fn a_body_that_ends_before_its_framing_says_is_400() {
    for_every_model(|model| {
        let stage = Stage::new(model, &PATIENT);
        for delivery in DELIVERIES {
            for half in
                ["Content-Length: 5\r\n\r\nhell", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"]
            {
                let input = format!("POST / HTTP/1.1\r\nHost: a\r\n{half}");
                let mut client = stage.client_sending(input, delivery);
                client.shutdown(std::net::Shutdown::Write).unwrap();
                let (answer, end) = until_end(&mut client);
                assert!(answer.starts_with(b"HTTP/1.1 400 ") && end == End::Closed, "{model}: {half:?}");
                assert!(!stage.is_asked(0), "{model}: {half:?}");
            }
        }
    });
}
