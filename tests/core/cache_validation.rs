//! Stored answers that are validated: what a 304 and an answer to HEAD change of them, and what follows a 304 about something else.

use std::io::ErrorKind;
use std::time::Instant;

use crate::cache::{ask, get, response};
use crate::world::{Script, Then, World, caching_proxy};

#[test]
fn a_stale_answer_is_validated_and_updated() {
    let proxy = caching_proxy(1);
    let fields = "Cache-Control: max-age=10\r\nETag: \"1\"\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\nX-Old: 1\r\nX-Both: old\r\n";
    ask(&proxy, 0, &get(""), &response(fields, "hello"));
    let unchanged =
        "HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=100\r\nETag: \"1\"\r\nX-Both: new\r\n\r\n";
    let validated =
        ask(&proxy, 10, &get("If-None-Match: \"0\"\r\nRange: bytes=0-0\r\nX-Mine: 1\r\n"), unchanged);
    let asked = validated.backend_text(0);
    assert!(
        asked.contains("If-None-Match: \"1\"\r\nIf-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n"),
        "{asked}"
    );
    assert!(
        !asked.contains("\"0\"") && !asked.contains("Range") && asked.contains("X-Mine: 1\r\n"),
        "{asked}"
    );
    assert!(
        validated.client_text().starts_with("HTTP/1.1 206 "),
        "the client's own range is cut from what is stored"
    );
    let again = ask(&proxy, 100, &get(""), "").client_text();
    assert!(
        again.contains("X-Old: 1\r\n")
            && again.contains("X-Both: new\r\n")
            && again.ends_with("\r\n\r\nhello"),
        "{again}"
    );
    assert_eq!((again.matches("ETag").count(), again.matches("X-Both").count()), (1, 1), "{again}");
    let changed =
        ask(&proxy, 110, &get(""), &response("Cache-Control: max-age=10\r\nETag: \"2\"\r\n", "news"));
    assert!(
        changed.client_text().contains("fwd=stale; stored") && changed.client_text().ends_with("news"),
        "{changed:?}"
    );
    assert!(ask(&proxy, 111, &get(""), "").client_text().ends_with("news"));
}

/// An answer that says that nothing has changed, with these fields.
fn unchanged(fields: &str) -> String {
    format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n")
}

#[test]
fn a_304_about_something_else_is_neither_given_nor_stored_and_the_request_is_sent_as_it_was_asked() {
    let time = |hour: u64| format!("Last-Modified: Thu, 01 Jan 1970 0{hour}:00:00 GMT\r\n");
    let fresh = "Cache-Control: max-age=100\r\n";
    for (stored, said) in [
        ("ETag: \"1\"\r\n".to_owned(), "ETag: \"2\"\r\n".to_owned()),
        ("ETag: W/\"1\"\r\n".to_owned(), "ETag: W/\"2\"\r\n".to_owned()),
        ("ETag: \"1\"\r\n".to_owned(), "ETag: \"1\"\r\nETag: \"2\"\r\n".to_owned()),
        (format!("ETag: \"1\"\r\n{}", time(1)), format!("ETag: \"2\"\r\n{}", time(1))),
        (time(1), "ETag: \"2\"\r\n".to_owned()),
        (time(1), time(2)),
        ("ETag: \"1\"\r\n".to_owned(), time(1)),
    ] {
        for closes in ["", "Connection: close\r\n"] {
            let proxy = caching_proxy(1);
            ask(
                &proxy,
                0,
                &get(""),
                &response(&format!("Cache-Control: max-age=10, stale-if-error=90\r\n{stored}"), "old"),
            );
            let other = unchanged(&format!("{fresh}{said}{closes}"));
            let news = response(&format!("{fresh}ETag: \"2\"\r\n"), "news");
            let script = Script::says(&other).and_then_says(&news);
            let world = World::new(get("X-Mine: 1\r\n")).backend(script).backend(Script::says(&news));
            let outcome = world.later(10).run_rewriting(&proxy);
            let text = outcome.client_text();
            assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nnews"), "{text}");
            assert!(text.contains("fwd=stale; stored"), "{text}");
            assert_eq!(
                outcome.reused,
                usize::from(closes.is_empty()),
                "the connection is kept where it may be"
            );
            let sent: String =
                outcome.to_backends.iter().map(|(_, sent)| String::from_utf8_lossy(sent)).collect();
            let requests: Vec<_> = sent.split_terminator("\r\n\r\n").collect();
            let [first, second] = requests[..] else { panic!("{sent}") };
            assert!(first.contains("\r\nIf-") && !second.contains("\r\nIf-"), "{sent}");
            assert!(second.contains("X-Mine: 1"), "{sent}");
            let again = ask(&proxy, 60, &get(""), "");
            assert!(!again.saw_backends() && again.client_text().ends_with("news"), "{again:?}");
            assert_eq!(proxy.status(Instant::now()).cache.unwrap().validations, 0);
        }
    }
}

#[test]
fn a_304_that_names_what_is_stored_or_nothing_validates_it_and_a_weak_tag_stays_weak() {
    let time = "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    for (stored, said) in [
        ("ETag: \"1\"\r\n".to_owned(), "ETag: \"1\"\r\n".to_owned()),
        ("ETag: \"1\"\r\n".to_owned(), "ETag: W/\"1\"\r\n".to_owned()),
        ("ETag: W/\"1\"\r\n".to_owned(), "ETag: \"1\"\r\n".to_owned()),
        ("ETag: \"1\"\r\n".to_owned(), String::new()),
        (time.to_owned(), time.to_owned()),
        (time.to_owned(), String::new()),
        (format!("ETag: \"1\"\r\n{time}"), time.to_owned()),
        (format!("ETag: \"1\"\r\n{time}"), "ETag: \"1\"\r\n".to_owned()),
    ] {
        let proxy = caching_proxy(1);
        ask(&proxy, 0, &get(""), &response(&format!("Cache-Control: max-age=10\r\n{stored}"), "old"));
        let said = unchanged(&format!("Cache-Control: max-age=100\r\n{said}"));
        let outcome = ask(&proxy, 10, &get(""), &said);
        assert!(outcome.client_text().ends_with("\r\n\r\nold"), "{said}: {outcome:?}");
        let again = ask(&proxy, 60, &get(""), "");
        let text = again.client_text();
        assert!(!again.saw_backends() && stored.lines().all(|line| text.contains(line)), "{text}");
        assert_eq!(proxy.status(Instant::now()).cache.unwrap().validations, 1);
    }
}

#[test]
fn a_304_about_something_else_is_asked_about_once_and_the_old_answer_stands_in_for_nothing() {
    let other = unchanged("ETag: \"2\"\r\n");
    for (then, status) in [
        (Script::says(&other), "304"),
        (Script::says("HTTP/1.1 503 Oh\r\nContent-Length: 0\r\n\r\n"), "503"),
        (Script::refuses(ErrorKind::ConnectionRefused), "503"),
        (Script::says("").then(Then::Stall), "504"),
        (Script::says("noise\r\n\r\n"), "502"),
    ] {
        let proxy = caching_proxy(1);
        let fields = "Cache-Control: max-age=10, stale-if-error=90\r\nETag: \"1\"\r\n";
        ask(&proxy, 0, &get(""), &response(fields, "old"));
        let closing = unchanged("ETag: \"2\"\r\nConnection: close\r\n");
        let world = World::new(get("")).backend(Script::says(&closing)).backend(then);
        let outcome = world.later(11).run_rewriting(&proxy);
        assert_eq!((outcome.status(), outcome.to_backends.len()), (status, 2), "{outcome:?}");
        assert!(!outcome.client_text().contains("old"), "{outcome:?}");
    }
}

#[test]
fn a_condition_of_the_clients_own_is_what_is_asked_after_a_304_about_something_else() {
    let proxy = caching_proxy(1);
    ask(&proxy, 0, &get(""), &response("Cache-Control: max-age=10\r\nETag: \"1\"\r\n", "old"));
    let script = Script::says(unchanged("ETag: \"2\"\r\n")).and_then_says(unchanged("ETag: \"3\"\r\n"));
    let world = World::new(get("If-None-Match: \"3\"\r\n")).backend(script);
    let outcome = world.later(10).run_rewriting(&proxy);
    assert!(outcome.status() == "304" && outcome.client_text().contains("ETag: \"3\"\r\n"), "{outcome:?}");
    let sent = outcome.backend_text(0);
    let (first, second) = sent.split_once("\r\n\r\n").unwrap();
    assert!(
        first.contains("\r\nIf-None-Match: \"1\"") && second.contains("\r\nIf-None-Match: \"3\""),
        "{sent}"
    );
}

#[test]
fn behind_an_answer_too_a_304_about_something_else_leads_to_a_fetch() {
    let proxy = caching_proxy(1);
    let fields = "Cache-Control: max-age=10, stale-while-revalidate=20\r\nETag: \"1\"\r\n";
    ask(&proxy, 0, &get(""), &response(fields, "old"));
    let news = response("Cache-Control: max-age=10\r\nETag: \"2\"\r\n", "news");
    let script = Script::says(unchanged("ETag: \"2\"\r\n")).and_then_says(news);
    let two = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2);
    let outcome = World::new(two).backend(script).later(12).run_rewriting(&proxy);
    let text = outcome.client_text();
    assert_eq!((text.matches("\r\n\r\nold").count(), text.matches("\r\n\r\nnews").count()), (1, 1), "{text}");
}

#[test]
fn what_turns_out_to_be_for_one_client_alone_is_stored_no_longer() {
    let stale = "Cache-Control: max-age=10\r\nETag: \"1\"\r\n";
    for (said, asked, is_gone) in [
        ("Cache-Control: max-age=100\r\n", "", false),
        ("Cache-Control: private, max-age=100\r\n", "", true),
        ("Cache-Control: no-store, max-age=100\r\n", "", true),
        ("Cache-Control: max-age=100\r\nVary: *\r\n", "", true),
        ("Cache-Control: max-age=100\r\n", "Authorization: x\r\n", true),
        ("Cache-Control: public, max-age=100\r\n", "Authorization: x\r\n", false),
        ("Cache-Control: max-age=100\r\n", "Cache-Control: no-store\r\n", true),
        ("Cache-Control: max-age=100\r\nVary: X-A\r\n", "X-A: 1\r\n", true),
        ("Cache-Control: max-age=100\r\nVary: X-A\r\n", "", false),
        ("Cache-Control: private\r\nConnection: Cache-Control\r\n", "", true),
    ] {
        for method in ["GET", "HEAD"] {
            let proxy = caching_proxy(1);
            ask(&proxy, 0, &get(""), &response(stale, "old"));
            let request = get(asked).replace("GET", method);
            let told = if method == "GET" {
                let hides = said.contains("Connection");
                let script = Script::says(unchanged(said)).and_then_says(response("", "old"));
                let outcome = World::new(&request).backend(script).later(10).run_rewriting(&proxy);
                assert_eq!(outcome.reused, usize::from(hides), "{outcome:?}");
                outcome
            } else {
                ask(&proxy, 10, &request, &format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n{said}\r\n"))
            };
            assert_eq!(told.client_text().ends_with("\r\n\r\nold"), method == "GET", "{told:?}");
            let again = ask(&proxy, 20, &get(""), &response("", "new"));
            assert_eq!(again.saw_backends(), is_gone, "{method} {said:?} {asked:?}: {again:?}");
        }
    }
}

#[test]
fn a_connection_on_which_more_comes_behind_a_304_is_not_kept() {
    for tag in ["\"1\"", "\"2\""] {
        let proxy = caching_proxy(1);
        ask(&proxy, 0, &get(""), &response("Cache-Control: max-age=10\r\nETag: \"1\"\r\n", "old"));
        let forged =
            unchanged(&format!("ETag: {tag}\r\n")) + &response("Cache-Control: max-age=60\r\n", "forged");
        let script = Script::says(forged).and_then_says(response("", "late"));
        let kept = "GET /x HTTP/1.1\r\nHost: a\r\n\r\nGET /y HTTP/1.1\r\nHost: a\r\n\r\n";
        let outcome = World::new(kept).backend(script).later(10).run_rewriting(&proxy);
        assert_eq!(outcome.backend_text(0).matches("GET ").count(), 1, "{outcome:?}");
        assert!(!outcome.client_text().contains("forged"), "{outcome:?}");
    }
}

#[test]
fn a_stale_answer_is_given_while_it_is_validated() {
    let proxy = caching_proxy(1);
    ask(
        &proxy,
        0,
        &get(""),
        &response("Cache-Control: max-age=10, stale-while-revalidate=20\r\nETag: \"1\"\r\n", "old"),
    );
    for request in [get(""), "GET /x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()] {
        let unchanged =
            "HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=0, stale-while-revalidate=20\r\n\r\n";
        let outcome = ask(&proxy, 12, &request, unchanged);
        let text = outcome.client_text();
        assert!(text.ends_with("\r\n\r\nold") && text.contains("hit; ttl="), "{text}");
        assert!(
            outcome.backend_text(0).contains("If-None-Match: \"1\"\r\n"),
            "it is validated behind the answer"
        );
        assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
    }
    let news = ask(&proxy, 13, &get(""), &response("Cache-Control: max-age=10\r\n", "new"));
    assert!(news.client_text().ends_with("\r\n\r\nold"), "{news:?}");
    assert!(ask(&proxy, 14, &get(""), "").client_text().ends_with("\r\n\r\nnew"));
    assert!(
        ask(&proxy, 60, &get(""), &response("", "late")).client_text().ends_with("late"),
        "the window is over"
    );
}

#[test]
fn behind_an_answer_all_is_fetched_whatever_part_the_client_wants() {
    let stale = "Cache-Control: max-age=10, stale-while-revalidate=20\r\n";
    let news = response("Cache-Control: max-age=10\r\n", "news");
    for tag in ["", "ETag: \"1\"\r\n"] {
        for own in [
            "If-None-Match: \"0\"\r\n",
            "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
            "Range: bytes=0-0\r\n",
        ] {
            let proxy = caching_proxy(1);
            ask(&proxy, 0, &get(""), &response(&format!("{stale}{tag}"), "old"));
            let script = Script::says(unchanged("ETag: \"2\"\r\n")).and_then_says(&news);
            let script = if tag.is_empty() { Script::says(&news) } else { script };
            let outcome = World::new(get(own)).backend(script).later(12).run_rewriting(&proxy);
            let sent = outcome.backend_text(0);
            let last = sent.trim_end().rsplit("\r\n\r\n").next().unwrap();
            assert!(!last.contains("If-") && !last.contains("Range") && last.contains("Via: "), "{sent}");
            assert!(ask(&proxy, 13, &get(""), "").client_text().ends_with("\r\n\r\nnews"), "{own}");
        }
    }
}

#[test]
fn a_failed_validation_behind_an_answer_disturbs_nobody() {
    for failure in [
        Script::refuses(ErrorKind::ConnectionRefused),
        Script::says("").then(Then::Close),
        Script::says("HTTP/1.1 500 Oh\r\n\r\noh").then(Then::Close),
    ] {
        let proxy = caching_proxy(1);
        let fields = "Cache-Control: max-age=10, stale-while-revalidate=100\r\n";
        ask(&proxy, 0, &get(""), &response(fields, "old"));
        let two = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2);
        let outcome =
            World::new(two).backend(failure.clone()).backend(failure).later(12).run_rewriting(&proxy);
        assert_eq!(outcome.client_text().matches("\r\n\r\nold").count(), 2, "{outcome:?}");
    }
}
