//! The cache between requests and backends, in virtual time: what is stored, for how long, and who gets it.
//!
//! Each request is a connection of its own to one balancer; a backend that is not asked is the proof of an answer from the cache.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;
use roundtable::proxy::{CloseReason, Proxy};

use crate::world::{Outcome, Script, Then, World, caching_proxy};

/// A response with these field lines and this body.
pub fn response(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

pub fn get(fields: &str) -> String {
    format!("GET /x HTTP/1.1\r\nHost: a\r\n{fields}Connection: close\r\n\r\n")
}

/// Asks, so many seconds from now, with a backend that would answer like this on whichever connection.
pub fn ask(proxy: &Arc<Proxy>, later: u64, request: &str, answer: &str) -> Outcome {
    World::new(request).backend(Script::says(answer)).later(later).run_rewriting(proxy)
}

/// Whether the answer to a second request comes from the cache when the first was answered like this.
fn is_reused(first: &str, answer: &str, later: u64, second: &str) -> bool {
    let proxy = caching_proxy(1);
    ask(&proxy, 0, first, answer);
    !ask(&proxy, later, second, &response("", "another")).saw_backends()
}

#[test]
fn a_fresh_answer_is_given_again_without_a_backend() {
    let proxy = caching_proxy(1);
    let answer = response(
        "Cache-Control: max-age=60\r\nX-Kept: 1\r\nKeep-Alive: 5\r\nConnection: X-Hop\r\nX-Hop: 1\r\n",
        "hello",
    );
    let first = ask(&proxy, 0, &get(""), &answer);
    assert!(
        first.client_text().contains("\r\nCache-Status: roundtable; fwd=uri-miss; stored\r\n"),
        "{first:?}"
    );
    let again = ask(&proxy, 7, &get(""), "");
    let text = again.client_text();
    assert!(!again.saw_backends() && text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    for field in [
        "X-Kept: 1",
        "Age: 7",
        "Content-Length: 5",
        "Via: 1.1 roundtable",
        "Cache-Status: roundtable; hit; ttl=53",
        "Connection: close",
    ] {
        assert_eq!(text.matches(&format!("\r\n{field}\r\n")).count(), 1, "{field}: {text}");
    }
    assert!(
        !text.contains("Hop") && !text.contains("Keep-Alive") && text.ends_with("\r\n\r\nhello"),
        "{text}"
    );
    let head = ask(&proxy, 7, &get("").replace("GET", "HEAD"), "");
    assert!(!head.saw_backends() && head.client_text().ends_with("\r\n\r\n"), "{head:?}");
    assert!(head.client_text().contains("\r\nContent-Length: 5\r\n"), "{head:?}");
    let status = proxy.status(Instant::now()).cache.unwrap();
    assert_eq!((status.hits, status.misses, status.stored, status.entries), (2, 1, 1, 1));
}

#[test]
fn a_connection_goes_on_behind_an_answer_from_the_cache() {
    let proxy = caching_proxy(1);
    ask(&proxy, 0, &get(""), &response("Cache-Control: max-age=60\r\n", "hello"));
    let kept = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    let outcome = ask(&proxy, 0, &kept.repeat(3), "");
    assert_eq!((outcome.client_text().matches("hello").count(), outcome.reason), (3, CloseReason::Idle));
    let old = ask(&proxy, 0, "GET /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", "");
    assert!(old.client_text().contains("\r\nConnection: keep-alive\r\n"), "{old:?}");
}

#[test]
fn what_may_not_be_stored_or_reused_is_fetched_again() {
    let fresh = "Cache-Control: max-age=60\r\n";
    for (asked, fields, again) in [
        ("", "", ""),
        ("", "Cache-Control: no-store, max-age=60\r\n", ""),
        ("", "Cache-Control: max-age=60\r\nCache-Control: NO-STORE\r\n", ""),
        ("", "Cache-Control: private, max-age=60\r\n", ""),
        ("", "Cache-Control: private=\"x-a\", max-age=60\r\n", ""),
        ("", "Cache-Control: no-cache, max-age=60\r\n", ""),
        ("", "Cache-Control: no-cache=\"set-cookie\", max-age=60\r\n", ""),
        ("", "Cache-Control: max-age=0\r\n", ""),
        ("", "Cache-Control: s-maxage=0, max-age=60\r\n", ""),
        ("", "Cache-Control: max-age=60\r\nAge: 60\r\n", ""),
        ("", "Cache-Control: max-age=60\r\nVary: *\r\n", ""),
        ("", "Cache-Control: max-age=60\r\nVary: X-A, *\r\n", ""),
        ("", "Cache-Control: must-understand, no-store, max-age=x\r\n", ""),
        ("", "Expires: 0\r\n", ""),
        (
            "",
            "Cache-Control: no-store\r\nConnection: cache-control\r\nExpires: Thu, 01 Jan 1970 00:01:00 GMT\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
            "",
        ),
        ("", "Cache-Control: max-age=60\r\nVary: *\r\nConnection: Vary\r\n", ""),
        (
            "",
            "Expires: Thu, 01 Jan 1970 00:01:00 GMT\r\nExpires: Thu, 01 Jan 1970 00:01:00 GMT\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
            "",
        ),
        (
            "",
            "Set-Cookie: a=b\r\nDate: Thu, 01 Jan 1970 01:00:00 GMT\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
            "",
        ),
        ("", "CDN-Cache-Control: no-store\r\nCache-Control: max-age=60\r\n", ""),
        ("Authorization: x\r\n", fresh, ""),
        ("Authorization: x\r\n", fresh, "Authorization: x\r\n"),
        ("Authorization: x\r\n", "Cache-Control: max-age=60, proxy-revalidate\r\n", ""),
        ("Cache-Control: no-store\r\n", fresh, ""),
        ("", fresh, "Cache-Control: no-cache\r\n"),
        ("", fresh, "Pragma: no-cache\r\n"),
        ("", fresh, "Cache-Control: max-age=0, max-stale\r\n"),
        ("", fresh, "Cache-Control: min-fresh=60\r\n"),
        (
            "Connection: Authorization, X-A\r\nX-A: 1\r\n",
            "Cache-Control: max-age=60\r\nVary: X-A\r\n",
            "X-A: 1\r\n",
        ),
        ("", fresh, "If-Match: \"x\"\r\n"),
        ("", fresh, "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n"),
    ] {
        assert!(
            !is_reused(&get(asked), &response(fields, "one"), 1, &get(again)),
            "{asked:?} {fields:?} {again:?}"
        );
    }
    let fresh = response(fresh, "one");
    for (asked, again) in [
        ("GET /x HTTP/1.1\r\nHost: a\r\n", "GET /x HTTP/1.1\r\nHost: b\r\n"),
        ("GET /x HTTP/1.1\r\nHost: a\r\n", "GET /x HTTP/1.1\r\nHost: a:81\r\n"),
        ("GET /x HTTP/1.1\r\nHost: a\r\n", "GET /X HTTP/1.1\r\nHost: a\r\n"),
        ("GET /x HTTP/1.1\r\nHost: a\r\n", "GET /x? HTTP/1.1\r\nHost: a\r\n"),
        ("GET /x HTTP/1.1\r\nHost: a\r\n", "GET //x HTTP/1.1\r\nHost: a\r\n"),
        ("GET /x HTTP/1.1\r\nHost: a\r\n", "GET /%78 HTTP/1.1\r\nHost: a\r\n"),
        ("GET /x HTTP/1.1\r\nHost: a\r\n", "POST /x HTTP/1.1\r\nHost: a\r\n"),
        ("HEAD /x HTTP/1.1\r\nHost: a\r\n", "GET /x HTTP/1.1\r\nHost: a\r\n"),
        ("POST /x HTTP/1.1\r\nHost: a\r\n", "GET /x HTTP/1.1\r\nHost: a\r\n"),
        ("GET /x HTTP/1.1\r\nHost: b\r\nX-Forwarded-Host: a\r\n", "GET /x HTTP/1.1\r\nHost: a\r\n"),
        ("GET /x HTTP/1.1\r\nHost: a\r\n", "GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"),
    ] {
        let [asked, again] = [asked, again].map(|head| format!("{head}Connection: close\r\n\r\n"));
        assert!(!is_reused(&asked, &fresh, 1, &(again.clone() + "y")), "{asked} {again}");
    }
}

#[test]
fn what_may_be_reused_is() {
    let fresh = "Cache-Control: max-age=60\r\n";
    for (asked, fields, again) in [
        ("", fresh, ""),
        ("", "Cache-Control: public, S-MAXAGE=60, max-age=0\r\n", ""),
        ("", "Cache-Control: max-age=60\r\nExpires: 0\r\n", ""),
        ("", "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nExpires: Thu, 01 Jan 1970 00:01:00 GMT\r\n", ""),
        ("", "Date: Thu, 01 Jan 1970 01:00:00 GMT\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n", ""),
        ("", "CDN-Cache-Control: max-age=60\r\nCache-Control: no-store\r\nExpires: 0\r\n", ""),
        ("", "Cache-Control: must-understand, no-store, max-age=60\r\n", ""),
        ("", "Set-Cookie: a=b\r\nCache-Control: max-age=60\r\n", ""),
        ("Authorization: x\r\n", "Cache-Control: max-age=60, public\r\n", ""),
        ("Authorization: x\r\n", "Cache-Control: max-age=60, must-revalidate\r\n", "Authorization: y\r\n"),
        ("Authorization: x\r\n", "Cache-Control: s-maxage=60\r\n", ""),
        ("Cookie: a\r\n", fresh, "Cookie: b\r\n"),
        ("", fresh, "Cache-Control: min-fresh=30, max-age=30\r\n"),
        ("", "Cache-Control: max-age=60\r\nVary: X-A, x-b\r\n", ""),
        ("X-A: 1\r\nX-A:  2\r\n", "Cache-Control: max-age=60\r\nVary: X-A\r\n", "x-a: 1,2\r\n"),
    ] {
        assert!(
            is_reused(&get(asked), &response(fields, "one"), 1, &get(again)),
            "{asked:?} {fields:?} {again:?}"
        );
    }
    assert!(is_reused(&get(""), &response(fresh, "one"), 1, &get("").replace("Host: a", "Host: A")));
    assert!(is_reused(&get(""), &response(fresh, "one"), 1, &get("").replace("GET /x", "GET http://a/x")));
}

#[test]
fn a_lifetime_is_counted_to_the_second() {
    for (fields, lifetime) in [
        ("Cache-Control: max-age=60\r\n", 60),
        ("Cache-Control: max-age=60\r\nAge: 50\r\n", 10),
        ("Cache-Control: max-age=10, s-maxage=60\r\n", 60),
        ("Cache-Control: max-age=60, max-age=5\r\n", 60),
        ("Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nExpires: Thu, 01 Jan 1970 00:01:00 GMT\r\n", 60),
        // A tenth of ten minutes.
        ("Date: Thu, 01 Jan 1970 00:10:00 GMT\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n", 60),
        // A day at most.
        ("Date: Fri, 01 Jan 1971 00:00:00 GMT\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n", 86_400),
    ] {
        let answer = response(fields, "one");
        assert!(is_reused(&get(""), &answer, lifetime - 1, &get("")), "{fields}");
        assert!(!is_reused(&get(""), &answer, lifetime, &get("")), "{fields}");
    }
}

#[test]
fn each_variant_is_kept_for_the_requests_that_select_it() {
    let proxy = caching_proxy(1);
    let answer = |body| response("Cache-Control: max-age=60\r\nVary: Accept-Language\r\n", body);
    ask(&proxy, 0, &get("Accept-Language: de\r\n"), &answer("hallo"));
    let english = ask(&proxy, 0, &get("Accept-Language: en\r\n"), &answer("hello"));
    assert!(english.client_text().contains("fwd=vary-miss; stored"), "{english:?}");
    for (fields, body) in [("Accept-Language: de\r\n", "hallo"), ("accept-language: en\r\n", "hello")] {
        let outcome = ask(&proxy, 1, &get(fields), "");
        assert!(!outcome.saw_backends() && outcome.client_text().ends_with(body), "{outcome:?}");
    }
    assert!(ask(&proxy, 1, &get(""), &answer("?")).saw_backends());
}

#[test]
fn what_a_backend_is_told_of_the_client_selects_a_variant_too() {
    let proxy = caching_proxy(1);
    let answer = response("Cache-Control: max-age=60\r\nVary: X-Forwarded-For\r\n", "for 192.0.2.7");
    ask(&proxy, 0, &get("X-Forwarded-For: 10.0.0.1\r\n"), &answer);
    assert!(ask(&proxy, 0, &get(""), &answer).saw_backends());
    assert!(!ask(&proxy, 0, &get(""), &answer).saw_backends());
}

#[test]
fn a_client_that_has_it_already_is_told_so() {
    let proxy = caching_proxy(1);
    let fields = "Cache-Control: max-age=60\r\nETag: W/\"a,b\"\r\nLast-Modified: Thu, 01 Jan 1970 00:01:00 GMT\r\nContent-Type: text/plain\r\n";
    ask(&proxy, 0, &get(""), &response(fields, "hello"));
    for (condition, status) in [
        ("If-None-Match: \"a,b\"\r\n", "304"),
        ("If-None-Match: \"x\", W/\"a,b\"\r\n", "304"),
        ("If-None-Match: *\r\n", "304"),
        ("If-None-Match: \"x\"\r\nIf-Modified-Since: Fri, 01 Jan 1971 00:00:00 GMT\r\n", "200"),
        ("If-Modified-Since: Thu, 01 Jan 1970 00:01:00 GMT\r\n", "304"),
        ("If-Modified-Since: Thu, 01 Jan 1970 00:00:59 GMT\r\n", "200"),
        ("If-Modified-Since: yesterday\r\n", "200"),
    ] {
        let outcome = ask(&proxy, 1, &get(condition), "");
        assert_eq!((outcome.status(), outcome.saw_backends()), (status, false), "{condition}");
        let text = outcome.client_text();
        assert_eq!(text.contains("Content-"), status == "200", "{text}");
        assert!(text.contains("ETag: W/\"a,b\"\r\n"), "{text}");
    }
}

#[test]
fn a_range_is_cut_from_what_is_stored_whole() {
    let proxy = caching_proxy(1);
    ask(&proxy, 0, &get(""), &response("Cache-Control: max-age=60\r\nETag: \"1\"\r\n", "0123456789"));
    for (fields, status, told, body) in [
        ("Range: bytes=2-4\r\n", "206", "Content-Range: bytes 2-4/10\r\n", "234"),
        ("Range: bytes=-2\r\n", "206", "Content-Range: bytes 8-9/10\r\n", "89"),
        ("Range: bytes=2-4\r\nIf-Range: \"1\"\r\n", "206", "Content-Length: 3\r\n", "234"),
        ("Range: bytes=2-4\r\nIf-Range: \"2\"\r\n", "200", "Content-Length: 10\r\n", "0123456789"),
        ("Range: bytes=2-4,6-7\r\n", "200", "Content-Length: 10\r\n", "0123456789"),
        ("Range: bytes=10-\r\n", "416", "Content-Range: bytes */10\r\n", ""),
    ] {
        let outcome = ask(&proxy, 1, &get(fields), "");
        let text = outcome.client_text();
        assert_eq!((outcome.status(), outcome.saw_backends()), (status, false), "{text}");
        assert!(text.contains(told) && text.ends_with(&format!("\r\n\r\n{body}")), "{text}");
    }
}

#[test]
fn an_unsafe_request_that_succeeds_removes_what_is_stored() {
    let stored = response("Cache-Control: max-age=60\r\n", "one");
    for (method, status, location, is_gone) in [
        ("POST", "200 OK", "", true),
        ("PUT", "204 No Content", "", true),
        ("BREW", "303 See Other", "", true),
        ("DELETE", "500 Oh", "", false),
        ("OPTIONS", "200 OK", "", false),
        ("POST /y", "201 Created", "Location: /x\r\n", true),
        ("POST /y", "200 OK", "Content-Location: http://a/x\r\n", true),
        ("POST /y", "200 OK", "Location: http://b/x\r\n", false),
    ] {
        let proxy = caching_proxy(1);
        ask(&proxy, 0, &get(""), &stored);
        let target = if method.contains('/') { String::new() } else { " /x".to_owned() };
        let request = format!("{method}{target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        ask(
            &proxy,
            1,
            &request,
            &format!("HTTP/1.1 {status}\r\n{location}Content-Length: 0\r\n\r\n")
                .replace("204 No Content\r\nContent-Length: 0", "204 No Content"),
        );
        assert_eq!(ask(&proxy, 1, &get(""), &stored).saw_backends(), is_gone, "{method} {status} {location}");
    }
}

#[test]
fn nothing_but_what_is_stored_is_given_to_whoever_wants_nothing_else() {
    let proxy = caching_proxy(1);
    let wish = get("Cache-Control: only-if-cached\r\n");
    let nothing = ask(&proxy, 0, &wish, "");
    assert_eq!((nothing.status(), nothing.saw_backends()), ("504", false));
    ask(&proxy, 0, &get(""), &response("Cache-Control: max-age=60\r\n", "one"));
    assert_eq!(ask(&proxy, 1, &wish, "").status(), "200");
}

#[test]
fn a_stale_answer_stands_in_for_an_error_within_its_bound() {
    let failures = [
        ("refuses", Script::refuses(ErrorKind::ConnectionRefused)),
        ("hangs up", Script::says("").then(Then::Close)),
        ("noise", Script::says("noise\r\n\r\n")),
        ("never answers", Script::says("").then(Then::Stall)),
        ("503", Script::says("HTTP/1.1 503 Oh\r\nContent-Length: 3\r\n\r\noh!")),
        ("500 until close", Script::says("HTTP/1.1 500 Oh\r\n\r\noh!").then(Then::Close)),
    ];
    for (fields, later, stands_in) in [
        ("Cache-Control: max-age=10, stale-if-error=60\r\n", 30, true),
        ("Cache-Control: max-age=10, stale-if-error=60\r\n", 71, false),
        ("Cache-Control: max-age=10, stale-if-error=20, must-revalidate\r\n", 11, false),
        ("Cache-Control: s-maxage=10, stale-if-error=20\r\n", 11, false),
        ("Cache-Control: max-age=10\r\n", 11, false),
    ] {
        for (name, failure) in &failures {
            let proxy = caching_proxy(1);
            ask(&proxy, 0, &get(""), &response(fields, "good"));
            let world = World::new(get("")).backend(failure.clone()).backend(failure.clone());
            let outcome = world.later(later).run_rewriting(&proxy);
            let text = outcome.client_text();
            assert_eq!(text.ends_with("\r\n\r\ngood"), stands_in, "{fields} {name}: {text}");
            assert_eq!(text.contains("detail=stale-if-error"), stands_in, "{text}");
            assert_eq!(outcome.status().starts_with('5'), !stands_in, "{text}");
        }
    }
}

#[test]
fn a_body_that_is_not_whole_within_its_framing_is_never_stored() {
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";
    for (name, answer) in [
        ("too short", Script::says(format!("{head}Content-Length: 5\r\n\r\nhell")).then(Then::Close)),
        ("reset", Script::says(format!("{head}Content-Length: 5\r\n\r\nhell")).then(Then::Reset)),
        ("too long", Script::says(format!("{head}Content-Length: 5\r\n\r\nhello!"))),
        (
            "a second response",
            Script::says(format!(
                "{head}Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            )),
        ),
        (
            "no last chunk",
            Script::says(format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")).then(Then::Close),
        ),
        (
            "a broken chunk",
            Script::says(format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n\r\n")),
        ),
        ("until close", Script::says(format!("{head}\r\nhello")).then(Then::Close)),
        ("no response", Script::says(format!("{head}Content-Length: 5, 6\r\n\r\nhello"))),
    ] {
        let proxy = caching_proxy(1);
        World::new(get("")).backend(answer).run_rewriting(&proxy);
        let again = ask(&proxy, 1, &get(""), &response("", "good"));
        assert!(again.saw_backends() && again.client_text().ends_with("good"), "{name}: {again:?}");
    }
}

#[test]
fn memory_stays_within_the_size_and_what_is_too_large_passes_unstored() {
    let proxy = caching_proxy(1);
    let body = "x".repeat(50_000);
    for number in 0..100 {
        ask(
            &proxy,
            0,
            &get("").replace("/x", &format!("/{number}")),
            &response("Cache-Control: max-age=60\r\n", &body),
        );
    }
    let status = proxy.status(Instant::now()).cache.unwrap();
    assert!(status.bytes <= status.capacity && status.evictions > 50 && status.entries > 5, "{status:?}");
    let large = "y".repeat(300_000);
    let told =
        ask(&proxy, 0, &get("").replace("/x", "/large"), &response("Cache-Control: max-age=60\r\n", &large));
    assert!(told.client_text().contains("detail=too-large\r\n") && told.to_client.len() > 300_000);
    assert_eq!(proxy.purge_cache(), status.entries);
    assert_eq!(proxy.status(Instant::now()).cache.unwrap().entries, 0);
}

/// The rules in their plainest form, for a part of all directives: whether a stored answer may be given.
fn may_be_reused(asked: &[usize], said: &[usize], again: &[usize], later: u64) -> bool {
    let has = |list: &[usize], number| list.contains(&number);
    let lifetime = if has(said, 2) {
        30
    } else if has(said, 0) {
        10
    } else {
        0
    };
    !has(said, 1)
        && !has(said, 3)
        && !has(said, 4)
        && (!has(asked, 0) || has(said, 2) || has(said, 5) || has(said, 6))
        && !has(asked, 1)
        && !has(again, 2)
        && (!has(said, 7) || has(asked, 3) == has(again, 3))
        && later < lifetime
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn no_answer_is_ever_given_to_a_request_that_may_not_have_it(
        asked in proptest::sample::subsequence(vec![0usize, 1, 2, 3], 0..3),
        said in proptest::sample::subsequence(vec![0usize, 1, 2, 3, 4, 5, 6, 7], 0..5),
        again in proptest::sample::subsequence(vec![0usize, 2, 3], 0..3),
        later in 0u64..40,
    ) {
        let requests = ["Authorization: x\r\n", "Cache-Control: no-store\r\n", "Cache-Control: no-cache\r\n", "X-A: 1\r\n"];
        let responses = [
            "Cache-Control: max-age=10\r\n", "Cache-Control: no-store\r\n", "Cache-Control: s-maxage=30\r\n",
            "Cache-Control: private\r\n", "Cache-Control: no-cache\r\n", "Cache-Control: must-revalidate\r\n",
            "Cache-Control: public\r\n", "Vary: X-A\r\n",
        ];
        let lines = |from: &[&str], chosen: &[usize]| chosen.iter().map(|number| from[*number]).collect::<String>();
        let reused = is_reused(&get(&lines(&requests, &asked)), &response(&lines(&responses, &said), "one"), later, &get(&lines(&requests, &again)));
        prop_assert_eq!(reused, may_be_reused(&asked, &said, &again, later));
    }

    #[test]
    fn what_is_stored_does_not_depend_on_how_the_bytes_came(
        body in proptest::collection::vec(any::<u8>(), 0..3000),
        chunks in proptest::collection::vec(1usize..700, 0..8),
        pieces in proptest::collection::vec(1usize..400, 1..6),
        is_old in any::<bool>(),
    ) {
        let proxy = caching_proxy(1);
        let mut answer = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n".to_vec();
        if chunks.is_empty() {
            answer.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            answer.extend_from_slice(&body);
        } else {
            answer.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            let mut rest = body.as_slice();
            for size in chunks.iter().cycle() {
                if rest.is_empty() { break; }
                let (chunk, behind) = rest.split_at(rest.len().min(*size));
                // Many extensions are refused.
                let extension = if rest.len() == body.len() { ";a=b" } else { "" };
                answer.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
                answer.extend_from_slice(chunk);
                answer.extend_from_slice(b"\r\n");
                rest = behind;
            }
            answer.extend_from_slice(b"0\r\nX-Trailer: 1\r\n\r\n");
        }
        let request = if is_old { "GET /x HTTP/1.0\r\nHost: a\r\n\r\n".to_owned() } else { get("") };
        World::new(request).backend(Script::says(&answer)).pieces(&pieces).run_rewriting(&proxy);
        let again = World::new(get("")).pieces(&pieces).later(1).run_rewriting(&proxy);
        prop_assert!(!again.saw_backends());
        let head_end = again.to_client.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        prop_assert_eq!(&again.to_client[head_end..], &body[..]);
        prop_assert!(!again.client_text().contains("X-Trailer"));
    }
}
