//! Requests that no backend may see: the status, `Connection: close`, the end of the connection, and silence behind it.
//!
//! Every input is delivered whole and one byte per write, to every model, and the answers must be the same bytes. No
//! timeout that could answer instead is shorter than a test's patience.

use crate::stage::{DELIVERIES, End, Stage, undated, until_end};
use crate::support::for_every_model;

/// An answer that only a timeout brings does not come.
pub const PATIENT: [&str; 8] =
    ["--header-timeout", "1h", "--body-timeout", "1h", "--idle-timeout", "1h", "--linger-timeout", "20s"];

/// Each of these is refused with one of `statuses`, under `options`.
fn are_refused_under(options: &[&str], statuses: &[&str], inputs: &[Vec<u8>]) {
    for_every_model(|model| {
        let stage = Stage::new(model, &[&PATIENT[..], options].concat());
        for input in inputs {
            let shown = String::from_utf8_lossy(&input[..input.len().min(300)]);
            let [whole, dripped] = DELIVERIES.map(|delivery| {
                let mut client = stage.client_sending(input, delivery);
                let (answer, end) = until_end(&mut client);
                assert_eq!(end, End::Closed, "{model}: {shown:?} {delivery:?}");
                assert!(
                    undated(&answer).len() < answer.len(),
                    "{model}: {shown:?} is answered without a date"
                );
                String::from_utf8(undated(&answer)).unwrap()
            });
            let status = whole.get(9..12).unwrap_or("---");
            assert!(statuses.contains(&status), "{model}: {shown:?}: {whole:?}");
            assert!(whole.starts_with("HTTP/1.1 "), "{model}: {shown:?}: {whole:?}");
            assert!(whole.contains("\r\nConnection: close\r\n"), "{model}: {shown:?}: {whole:?}");
            assert_eq!(whole.matches("HTTP/1.1 ").count(), 1, "{model}: {shown:?}: {whole:?}");
            assert_eq!(whole, dripped, "{model}: {shown:?}");
            assert!(!stage.is_asked(0), "{model}: a backend was asked: {shown:?}");
        }
    });
}

pub fn are_refused(statuses: &[&str], inputs: &[Vec<u8>]) {
    are_refused_under(&[], statuses, inputs);
}

/// A request without a body, with these lines after the request line.
fn get(lines: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\n{lines}\r\n").into_bytes()
}

/// A request with these fields, and something behind them that would do for a body or another request.
fn post(fields: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        .into_bytes()
}

pub fn chunked(body: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}").into_bytes()
}

pub fn all<const N: usize>(make: impl Fn(&str) -> Vec<u8>, parts: [&str; N]) -> Vec<Vec<u8>> {
    parts.iter().map(|part| make(part)).collect()
}

#[test]
fn content_length_beside_transfer_encoding_is_400() {
    are_refused(
        &["400"],
        &all(
            post,
            [
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                "Transfer-Encoding: chunked\r\nX: y\r\nContent-Length: 0\r\n",
                "content-length: 5\r\nTRANSFER-ENCODING: Chunked\r\n",
                "Connection: content-length\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                "Connection: transfer-encoding\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            ],
        ),
    );
}

#[test]
fn content_lengths_that_differ_are_400() {
    are_refused(
        &["400"],
        &all(
            post,
            [
                "Content-Length: 5\r\nContent-Length: 6\r\n",
                "Content-Length: 5, 6\r\n",
                "Content-Length: 5, 5, 6\r\n",
                "Content-Length: 5\r\nX: y\r\nContent-Length: 5, 6\r\n",
                "Content-Length: 0\r\ncontent-length: 5\r\n",
            ],
        ),
    );
}

#[test]
fn a_content_length_that_is_no_decimal_number_is_400() {
    let values = [
        "-5",
        "+5",
        "0x5",
        "5x",
        "1_0",
        "",
        "18446744073709551616",
        "99999999999999999999999999",
        "5 5",
        "5,",
        ",5",
        "5.0",
        "\"5\"",
        "5;q=1",
        "\u{665}",
    ];
    are_refused(&["400"], &all(|value| post(&format!("Content-Length: {value}\r\n")), values));
}

#[test]
fn a_transfer_encoding_that_is_not_exactly_chunked_is_400_or_501() {
    let values = [
        "chunked, gzip",
        "gzip, chunked",
        "gzip",
        "xchunked",
        "chunkedx",
        "\"chunked\"",
        "\u{b}chunked",
        "chunked, chunked",
        "chunked\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: identity",
        "identity\r\nTransfer-Encoding: chunked",
        "identity",
        "",
        "chunked,",
        "chunked;q=1",
        "chun ked",
    ];
    are_refused(&["400", "501"], &all(|value| post(&format!("Transfer-Encoding: {value}\r\n")), values));
}

#[test]
fn a_transfer_encoding_in_http_1_0_is_400() {
    are_refused(
        &["400"],
        &[
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
            b"POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
            b"POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                .to_vec(),
        ],
    );
}

#[test]
fn a_missing_second_or_invalid_host_is_400() {
    are_refused(
        &["400"],
        &all(
            get,
            [
                "",
                "X: y\r\n",
                "Host: a\r\nHost: a\r\n",
                "Host: a\r\nX: y\r\nhost: b\r\n",
                "Host:\r\n",
                "Host: \r\n",
                "Host: a b\r\n",
                "Host: u@a\r\n",
                "Host: a/b\r\n",
                "Host: http://a\r\n",
                "Host: a:b\r\n",
                "Host: a:1:2\r\n",
                "Host: a:123456\r\n",
                "Host: [::1\r\n",
                "Host: [x]\r\n",
                "Host: a\\b\r\n",
                "Host: <a>\r\n",
                "Host: a?b\r\n",
                "Host: a#b\r\n",
                "Host: \u{e4}\r\n",
            ],
        ),
    );
}

#[test]
fn fields_that_are_no_fields_are_400() {
    are_refused(
        &["400"],
        &all(
            get,
            [
                "Host: a\r\nX: 1\r\n 2\r\n",
                "Host: a\r\nX: 1\r\n\t2\r\n",
                " Host: a\r\n",
                "Host: a\r\n X: 1\r\n",
                "Host : a\r\n",
                "Host: a\r\nX : 1\r\n",
                "Host: a\r\nX\t: 1\r\n",
                "Host: a\r\nContent-Length : 5\r\n",
                "Host: a\r\nTransfer-Encoding : chunked\r\n",
                "Host: a\r\n: 1\r\n",
                "Host: a\r\nX(: 1\r\n",
                "Host: a\r\nX y: 1\r\n",
                "Host: a\r\n\u{e4}: 1\r\n",
                "Host: a\r\n\"X\": 1\r\n",
                "Host: a\r\nno colon\r\n",
                "Host: a\r\nX\r\n",
                "Host: a\r\n\0\r\n",
            ],
        ),
    );
}

#[test]
fn control_bytes_in_a_value_a_target_or_a_method_are_400() {
    let bytes = (0..=31_u8).chain([127]).filter(|byte| !matches!(byte, b'\t' | b'\n'));
    let inputs: Vec<Vec<u8>> = bytes
        .flat_map(|byte| {
            [
                [b"GET / HTTP/1.1\r\nHost: a\r\nX: b".as_slice(), &[byte], b"c\r\n\r\n"].concat(),
                [b"GET /b".as_slice(), &[byte], b"c HTTP/1.1\r\nHost: a\r\n\r\n"].concat(),
                [b"G".as_slice(), &[byte], b"T / HTTP/1.1\r\nHost: a\r\n\r\n"].concat(),
            ]
        })
        .collect();
    are_refused(&["400"], &inputs);
}

#[test]
fn lines_that_end_in_a_bare_lf_are_400() {
    are_refused(
        &["400"],
        &[
            b"GET / HTTP/1.1\nHost: a\n\n".to_vec(),
            b"GET / HTTP/1.1\nHost: a\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a\r\n\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n".to_vec(),
            b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        ],
    );
}

#[test]
fn a_request_line_that_is_none_is_400() {
    let lines = [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET x HTTP/1.1",
        "GET x/y HTTP/1.1",
        "GET ../x HTTP/1.1",
        "GET ?x HTTP/1.1",
        "GET a:80 HTTP/1.1",
        "GET * HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /<x> HTTP/1.1",
        "GET /\u{e4} HTTP/1.1",
        "GET /#x HTTP/1.1",
        "GET /?#x HTTP/1.1",
        "GET /?\u{e4} HTTP/1.1",
        "GET /\u{80} HTTP/1.1",
        "GET \\x HTTP/1.1",
        "GET http:// HTTP/1.1",
        "GET http:///x HTTP/1.1",
        "GET http://u@h/ HTTP/1.1",
        "GET ftp://h/ HTTP/1.1",
        "G(T / HTTP/1.1",
        "GET / FTP/1.1",
        "GET /",
        "GET",
        "/ HTTP/1.1",
    ];
    are_refused(&["400"], &all(|line| format!("{line}\r\nHost: a\r\n\r\n").into_bytes(), lines));
}

#[test]
fn what_is_over_a_limit_has_the_status_of_that_limit() {
    let options = ["--max-request-line-bytes", "500", "--max-head-bytes", "1500", "--max-fields", "10"];
    are_refused_under(
        &options,
        &["414"],
        &[
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(500)).into_bytes(),
            // Nothing more of a line that is too long is waited for.
            format!("GET /{}", "x".repeat(600)).into_bytes(),
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(20_000)).into_bytes(),
        ],
    );
    are_refused_under(
        &options,
        &["431"],
        &[
            get(&format!("Host: a\r\nX: {}\r\n", "y".repeat(1500))),
            get(&format!("Host: a\r\nX: {}", "y".repeat(1500))),
            get(&format!("Host: a\r\n{}: y\r\n", "x".repeat(1500))),
            get(&format!("Host: a\r\n{}", format!("X: {}\r\n", "y".repeat(300)).repeat(6))),
            get(&format!("Host: a\r\n{}", "X: y\r\n".repeat(10))),
        ],
    );
    are_refused_under(
        &["--max-body-bytes", "100"],
        &["413"],
        &[
            post("Content-Length: 101\r\n"),
            post("Content-Length: 18446744073709551615\r\n"),
            post("Expect: 100-continue\r\nContent-Length: 101\r\n"),
            chunked(&format!("65\r\n{}\r\n0\r\n\r\n", "x".repeat(101))),
            chunked(&format!("{}0\r\n\r\n", format!("32\r\n{}\r\n", "x".repeat(50)).repeat(3))),
            chunked("ffffffffffffffff\r\n"),
        ],
    );
    are_refused(&["414"], &[format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000)).into_bytes()]);
    are_refused(
        &["431"],
        &[
            get(&format!("Host: a\r\nX: {}\r\n", "y".repeat(13_000))),
            get(&format!("Host: a\r\n{}", "X: y\r\n".repeat(100))),
        ],
    );
}

#[test]
fn other_protocols_and_noise_are_400_or_505_at_once() {
    let mut inputs: Vec<Vec<u8>> = [
        "GET /\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/0.9\r\nHost: a\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET / HTTP/3\r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTp/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.01\r\nHost: a\r\n\r\n",
        "GET / HTTP/11\r\nHost: a\r\n\r\n",
        "GET / HTTP/1,1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.\r\nHost: a\r\n\r\n",
        "GET / HTTP 1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1x\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "EHLO example.org\r\n",
        // No line of these ever ends.
        "GET /\0",
        "GET /x\u{1}",
        "GET  /",
        "G(T /",
        "GET / HTTQ",
        "GET / HTTP/1.1\r\nHost: a\r\nX y",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \u{7f}",
    ]
    .iter()
    .map(|input| input.as_bytes().to_vec())
    .collect();
    // A client hello of TLS 1.3, as far as its random bytes.
    inputs.push(
        [
            &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..],
            &(0..32_u8).map(|n| n.wrapping_mul(37)).collect::<Vec<u8>>(),
        ]
        .concat(),
    );
    inputs.push(vec![0; 6]);
    inputs.push(vec![0xff; 3]);
    inputs.push(vec![0x80, 0x0a]);
    inputs.push((0..200_u8).rev().collect());
    are_refused(&["400", "505"], &inputs);
}

#[test]
fn trace_and_connect_are_405_and_never_a_tunnel() {
    are_refused(
        &["405"],
        &[
            b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            b"TRACE / HTTP/1.0\r\n\r\n".to_vec(),
            b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n\x16\x03\x01".to_vec(),
            b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nContent-Length: 5\r\n\r\nhello".to_vec(),
        ],
    );
}

#[test]
fn a_max_forwards_of_options_that_is_not_one_number_is_400() {
    let options =
        |value: &str| format!("OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: {value}\r\n\r\n").into_bytes();
    are_refused(
        &["400"],
        &all(
            options,
            ["", "x", "-1", "+1", "0x1", "1.0", "1, 1", "1\r\nMax-Forwards: 1", "0\r\nmax-forwards: 0"],
        ),
    );
}

#[test]
fn an_expectation_other_than_100_continue_is_417() {
    are_refused(
        &["417"],
        &all(get, ["Host: a\r\nExpect: miracles\r\n", "Host: a\r\nExpect: 100-continue, miracles\r\n"]),
    );
}
