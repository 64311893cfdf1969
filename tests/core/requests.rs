//! What a client may send, what is refused, and what a backend sees of it.

use crate::world::{OK, Script, World};

fn get(extra: &str) -> String {
    format!("GET /x HTTP/1.1\r\nHost: a\r\n{extra}\r\n")
}

/// The status for this input, with the certainty that no backend was asked, whole and byte by byte.
fn refused(input: impl AsRef<[u8]>) -> String {
    let input = input.as_ref();
    let whole = World::new(input).run();
    let dripped = World::new(input).pieces(&[1]).run();
    let shown = String::from_utf8_lossy(input);
    assert!(!whole.saw_backends() && !dripped.saw_backends(), "a backend was asked: {shown:?}");
    assert_eq!(whole.client_text(), dripped.client_text(), "{shown:?}");
    assert!(whole.client_text().contains("Connection: close\r\n"), "{shown:?}: {}", whole.client_text());
    assert!(whole.half_closed, "{shown:?}");
    whole.status().to_owned()
}

#[test]
fn a_request_is_forwarded_with_via_and_the_client_named() {
    let outcome = World::new(get("Accept: */*\r\n")).run();
    assert_eq!(
        outcome.backend_text(0),
        "GET /x HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nVia: 1.1 roundtable\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n"
    );
    assert_eq!(
        outcome.client_text(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 roundtable\r\n\r\nok"
    );
}

#[test]
fn the_client_is_appended_to_those_that_forwarded_before() {
    let outcome = World::new(get("X-Forwarded-For: 10.0.0.1\r\nVia: 1.0 first\r\n")).run();
    assert!(outcome.backend_text(0).contains("X-Forwarded-For: 10.0.0.1, 192.0.2.7\r\n"));
    assert!(outcome.backend_text(0).contains("Via: 1.0 first\r\nVia: 1.1 roundtable\r\n"));
}

#[test]
fn hop_by_hop_fields_and_those_named_in_connection_end_here() {
    let outcome = World::new(get(
        "Connection: X-Secret, keep-alive\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\n\
         Proxy-Connection: x\r\nX-Kept: 2\r\n",
    ))
    .run();
    let seen = outcome.backend_text(0);
    for gone in ["X-Secret", "Keep-Alive", "TE:", "Upgrade", "Proxy-Connection", "Connection"] {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
    assert!(seen.contains("X-Kept: 2\r\n"));
}

#[test]
fn earlier_forwarders_named_in_connection_end_here_too() {
    let outcome = World::new(get("X-Forwarded-For: 10.0.0.1\r\nConnection: x-forwarded-for\r\n")).run();
    assert!(outcome.backend_text(0).contains("X-Forwarded-For: 192.0.2.7\r\n"));
}

#[test]
fn naming_host_or_framing_in_connection_strips_nothing() {
    let outcome = World::new(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: host, content-length, transfer-encoding\r\nContent-Length: 2\r\n\r\nhi",
    )
    .run();
    let seen = outcome.backend_text(0);
    assert!(
        seen.contains("Host: a\r\n")
            && seen.contains("Content-Length: 2\r\n")
            && seen.ends_with("\r\n\r\nhi")
    );
}

#[test]
fn an_absolute_target_replaces_the_host() {
    let outcome = World::new("GET http://other:81/p?q HTTP/1.1\r\nHost: a\r\n\r\n").run();
    assert!(outcome.backend_text(0).starts_with("GET /p?q HTTP/1.1\r\nHost: other:81\r\n"));
    let outcome = World::new("GET http://other?q HTTP/1.1\r\nHost: a\r\n\r\n").run();
    assert!(outcome.backend_text(0).starts_with("GET /?q HTTP/1.1\r\nHost: other\r\n"));
    let outcome = World::new("OPTIONS http://other HTTP/1.1\r\nHost: a\r\n\r\n").run();
    assert!(outcome.backend_text(0).starts_with("OPTIONS * HTTP/1.1\r\nHost: other\r\n"));
}

#[test]
fn a_client_of_http_1_0_needs_no_host_and_is_closed_unless_it_asks() {
    let outcome = World::new("GET / HTTP/1.0\r\n\r\n").run();
    assert!(outcome.backend_text(0).starts_with("GET / HTTP/1.1\r\nHost: balancer\r\n"));
    assert!(outcome.backend_text(0).contains("Via: 1.0 roundtable\r\n"));
    assert!(outcome.client_text().contains("Connection: close\r\n"));
    let outcome = World::new("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n".repeat(2)).run();
    assert_eq!(outcome.client_text().matches("Connection: keep-alive\r\n").count(), 2);
}

#[test]
fn http_1_2_is_read_as_1_1() {
    for pieces in [vec![], vec![1]] {
        let outcome = World::new("GET / HTTP/1.2\r\nHost: a\r\n\r\n").pieces(&pieces).run();
        assert_eq!(outcome.status(), "200");
    }
}

#[test]
fn one_empty_line_before_a_request_is_forgiven() {
    for pieces in [vec![], vec![1]] {
        assert_eq!(World::new(format!("\r\n{}", get(""))).pieces(&pieces).run().status(), "200");
    }
    assert_eq!(refused(format!("\r\n\r\n{}", get(""))), "400");
    assert_eq!(refused(format!("\n{}", get(""))), "400");
}

#[test]
fn unknown_methods_are_forwarded() {
    let outcome = World::new("BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n").run();
    assert!(outcome.backend_text(0).starts_with("BREW /pot HTTP/1.1\r\n"));
}

#[test]
fn a_content_length_with_leading_zeros_is_decimal_and_written_plainly() {
    let outcome = World::new("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 010\r\n\r\n0123456789").run();
    assert!(outcome.backend_text(0).contains("Content-Length: 10\r\n"));
    assert!(outcome.backend_text(0).ends_with("\r\n\r\n0123456789"));
}

#[test]
fn ambiguous_framing_is_refused() {
    let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n0\r\n\r\n");
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert_eq!(refused(post(fields)), "400", "{fields:?}");
    }
    for value in ["-5", "+5", "0x5", "5x", "1_0", "", " ", "18446744073709551616", "5,", "5 5"] {
        assert_eq!(refused(post(&format!("Content-Length: {value}\r\n"))), "400", "{value:?}");
    }
    for value in
        ["chunked, gzip", "gzip, chunked", "xchunked", "\"chunked\"", "identity", "chunked,chunked", ""]
    {
        assert_eq!(refused(post(&format!("Transfer-Encoding: {value}\r\n"))), "501", "{value:?}");
    }
    assert_eq!(refused(post("Transfer-Encoding: \u{b}chunked\r\n")), "400");
    assert_eq!(refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "400");
}

#[test]
fn broken_chunks_are_refused_before_a_backend_sees_anything() {
    for body in [
        "x\r\n",
        "\r\n",
        "0x5\r\nhello\r\n",
        "+5\r\nhello\r\n",
        " 5\r\nhello\r\n",
        "5\r\nhello!\r\n",
        "5\nhello\r\n",
    ] {
        let input =
            format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}0\r\n\r\n");
        assert_eq!(refused(input), "400", "{body:?}");
    }
}

#[test]
fn malformed_heads_are_refused() {
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX(: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /<x> HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://u@h/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\n",
        "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
        "GET / http/1.1 \r\nHost: a\r\n\r\n",
    ] {
        let status = refused(head);
        assert!(status == "400" || head.contains("http/1.1") && status == "505", "{head:?}: {status}");
    }
}

#[test]
fn other_protocols_are_refused_at_once() {
    assert_eq!(refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "505");
    assert_eq!(refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), "505");
    assert_eq!(refused("\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03"), "400");
    assert_eq!(refused("\0\0\0\0\0\0"), "400");
}

#[test]
fn a_fault_in_a_line_that_never_ends_is_seen_however_the_line_came() {
    for input in [
        "GET /x\u{1}".to_owned(),
        get("X y"),
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\nY\0", "y".repeat(2000)),
    ] {
        let input = input.trim_end_matches("\r\n");
        assert_eq!(refused(input), "400", "{input:?}");
        let waiting = World::new(input).pieces(&[1]).client_waits().run();
        assert_eq!(waiting.status(), "400", "{input:?}");
        let at_once = waiting.elapsed.as_secs() < 2;
        assert!(at_once || input.len() > 1024, "{input:?} was answered after {:?}", waiting.elapsed);
    }
}

#[test]
fn trace_and_connect_are_not_allowed() {
    assert_eq!(refused("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"), "405");
    assert_eq!(refused("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), "405");
}

#[test]
fn what_is_over_a_limit_is_refused_with_the_limit_s_status() {
    assert_eq!(refused(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000))), "414");
    assert_eq!(refused(get(&format!("X: {}\r\n", "y".repeat(13_000)))), "431");
    assert_eq!(refused(get(&"A: b\r\n".repeat(101))), "431");
    assert_eq!(refused(get(&"A: b\r\n".repeat(200))), "431");
    assert_eq!(refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n"), "413");
    let limited =
        World::new("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            .limits(|limits| limits.body_bytes = 4)
            .run();
    assert_eq!((limited.status(), limited.saw_backends()), ("413", false));
}

#[test]
fn a_head_as_long_as_the_limit_is_accepted() {
    let fixed = get("X: \r\n").len();
    let head = get(&format!("X: {}\r\n", "y".repeat(12 * 1024 - fixed)));
    assert_eq!(head.len(), 12 * 1024);
    for pieces in [vec![], vec![1]] {
        assert_eq!(World::new(&head).pieces(&pieces).run().status(), "200");
    }
}

#[test]
fn an_expectation_is_met_before_the_body_is_relayed() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi";
    let outcome = World::new(head).run();
    assert!(outcome.client_text().starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"));
    assert!(!outcome.backend_text(0).contains("Expect"));
    let old = World::new(head.replace("HTTP/1.1", "HTTP/1.0")).run();
    assert!(old.client_text().starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(refused(get("Expect: miracles\r\n")), "417");
}

#[test]
fn a_long_body_is_streamed_and_arrives_whole() {
    let body: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    let mut input =
        format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    input.extend_from_slice(&body);
    input.extend_from_slice(get("").as_bytes());
    let outcome = World::new(input).backend(Script::says(OK)).run();
    assert!(outcome.to_backends[0].1.windows(body.len()).any(|window| window == body));
    assert_eq!(outcome.client_text().matches("200 OK").count(), 1, "the script answers once");
}

#[test]
fn chunk_extensions_and_dangerous_trailers_are_taken_off_a_body() {
    let outcome = World::new(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nHost: evil\r\nX: 1\r\n\r\n",
    )
    .run();
    assert!(outcome.backend_text(0).ends_with("\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\n\r\n"));
}

#[test]
fn a_body_that_ends_early_is_refused() {
    assert_eq!(refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhi"), "400");
}

#[test]
fn a_refused_head_request_is_answered_without_a_body() {
    for input in [
        "HEAD / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: \0\r\n\r\n",
        "\r\nHEAD / HTTP/9.9\r\n\r\n",
    ] {
        let outcome = World::new(input).run();
        assert!(outcome.status().starts_with(['4', '5']), "{input:?}");
        assert!(outcome.client_text().ends_with("Connection: close\r\n\r\n"), "{input:?}");
    }
}

#[test]
fn a_broken_version_is_seen_whatever_the_input_ends_with() {
    assert_eq!(refused("GET / HTTP/1\u{1}\n HTTP/1.2"), "505");
    assert_eq!(refused("GET / HTTP/2 HTTP/1.2"), "505");
}

#[test]
fn noise_that_is_followed_by_nothing_is_refused_for_what_it_is() {
    let input = "GET / HTTP/1.1\r\nHost: a\r\nX: \0";
    assert_eq!(refused(input), "400");
    for pieces in [vec![], vec![1]] {
        assert_eq!(World::new(input).client_waits().pieces(&pieces).run().status(), "400");
    }
}

#[test]
fn what_browsers_leave_bare_in_a_target_is_forwarded_byte_for_byte() {
    let bare = "[]{}|^`\\\"'%%zz%2f";
    for target in [format!("/{bare}/x"), format!("/?{bare}"), format!("/{bare}?{bare}=?")] {
        let outcome = World::new(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).run();
        assert!(outcome.backend_text(0).starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{target}");
    }
    let outcome = World::new(format!("GET http://b/{bare} HTTP/1.1\r\nHost: a\r\n\r\n")).run();
    assert!(outcome.backend_text(0).starts_with(&format!("GET /{bare} HTTP/1.1\r\nHost: b\r\n")));
    for target in ["/#", "/?#x", "/<", "/>", "/\u{e9}", "/?\u{e9}", "/\u{80}", "\\", "\\/x"] {
        assert_eq!(refused(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")), "400", "{target}");
    }
}

#[test]
fn max_forwards_of_options_counts_down() {
    let options = |fields: &str| format!("OPTIONS /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    for (received, forwarded) in [
        ("Max-Forwards: 1\r\n", "Max-Forwards: 0\r\n"),
        ("max-forwards: 0010\r\n", "Max-Forwards: 9\r\n"),
        ("Max-Forwards: 3\r\nConnection: max-forwards\r\n", "Max-Forwards: 2\r\n"),
        ("Max-Forwards: 99999999999999999999\r\n", "Max-Forwards: 18446744073709551614\r\n"),
    ] {
        let outcome = World::new(options(received)).run();
        assert!(outcome.backend_text(0).contains(&format!("\r\n{forwarded}")), "{}", outcome.backend_text(0));
        assert_eq!(outcome.backend_text(0).matches("ax-").count(), 1, "{}", outcome.backend_text(0));
    }
    for value in ["", "x", "-1", "+1", "1.5", "1, 1", "1\r\nMax-Forwards: 1", "0\r\nMax-Forwards: 1"] {
        assert_eq!(refused(options(&format!("Max-Forwards: {value}\r\n"))), "400", "{value:?}");
    }
    let outcome = World::new(get("Max-Forwards: 0\r\n")).run();
    assert!(outcome.backend_text(0).contains("\r\nMax-Forwards: 0\r\n"), "it means OPTIONS and TRACE alone");
}

#[test]
fn options_that_may_be_forwarded_no_more_is_answered_here() {
    let options = "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n";
    let allow = "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n";
    for pieces in [vec![], vec![1]] {
        let outcome = World::new(format!("{options}{}", get(""))).pieces(&pieces).run();
        let text = outcome.client_text();
        assert!(
            text.starts_with(&format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{allow}\r\nHTTP/1.1 200"))
        );
        assert_eq!(outcome.to_backends.len(), 1, "the next request is forwarded");
    }
    let with_body = options.replace("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nhi");
    let outcome = World::new(with_body).run();
    assert_eq!((outcome.status(), outcome.saw_backends(), outcome.half_closed), ("200", false, true));
    assert!(outcome.client_text().contains("\r\nConnection: close\r\n"), "a body is not waited for");
}

#[test]
fn credentials_for_a_proxy_end_here() {
    let fields = "Proxy-Authorization: Basic YTpi\r\nAuthorization: Basic YzpkCg==\r\n";
    let seen = World::new(get(fields)).run().backend_text(0);
    assert!(
        !seen.contains("Proxy-Authorization") && seen.contains("\r\nAuthorization: Basic YzpkCg=="),
        "{seen}"
    );
}

#[test]
fn an_escape_in_a_host_that_is_not_one_is_refused() {
    for input in ["GET / HTTP/1.1\r\nHost: a%2\r\n\r\n", "GET http://a%/ HTTP/1.1\r\nHost: a\r\n\r\n"] {
        assert_eq!(refused(input), "400", "{input:?}");
    }
    assert_eq!(World::new("GET /%2f?%41 HTTP/1.1\r\nHost: %61\r\n\r\n").run().status(), "200");
}

#[test]
fn trailer_fields_named_in_connection_end_here() {
    let body = "Transfer-Encoding: chunked\r\n\r\n0\r\nX-Hop: 1\r\n\r\n";
    let outcome =
        World::new(format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x-hop\r\n{body}")).run();
    assert!(outcome.backend_text(0).ends_with("\r\n\r\n0\r\n\r\n"));
    let response = Script::says(format!("HTTP/1.1 200 OK\r\nConnection: x-hop\r\n{body}"));
    let outcome = World::new("GET / HTTP/1.1\r\nHost: a\r\n\r\n").backend(response).run();
    assert!(outcome.client_text().ends_with("\r\n\r\n0\r\n\r\n"));
}

#[test]
fn a_head_with_too_many_fields_is_refused_for_that_whatever_follows() {
    assert_eq!(refused(format!("GET / HTTP/1.1\r\n{}\n\r\n", "A: b\r\n".repeat(130))), "431");
    assert_eq!(refused(format!("GET / HTTP/1.1\r\nA: b\n{}\r\n", "A: b\r\n".repeat(130))), "400");
}

#[test]
fn a_chunk_over_the_limit_is_413_whatever_is_wrong_behind_it() {
    let post = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX";
    for pieces in [vec![], vec![1]] {
        let outcome = World::new(post).limits(|limits| limits.body_bytes = 4).pieces(&pieces).run();
        assert_eq!((outcome.status(), outcome.saw_backends()), ("413", false));
    }
}
