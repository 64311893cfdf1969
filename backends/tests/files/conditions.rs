//! Conditional requests and ranges: what is sent, and what is not.

use std::fs;
use std::io::Write;

use roundtable_backends::body;

use crate::support::{Answer, MODIFIED, Site, request};

const TAG: &str = "\"2ebc98a1-0-5\"";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

#[test]
fn what_the_client_has_already_is_not_sent_again() {
    let site = Site::with("a.txt", "12345");
    for (name, value) in [
        ("If-None-Match", TAG),
        ("If-None-Match", "\"x\", W/\"2ebc98a1-0-5\""),
        ("If-None-Match", "*"),
        ("if-modified-since", MODIFIED),
        ("If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT"),
    ] {
        for method in ["GET", "HEAD"] {
            let mut stream = site.connect();
            stream.write_all(&request(method, "/a.txt", &[(name, value)])).unwrap();
            let answer = Answer::read(&mut stream, method);
            assert_eq!(answer.status, 304, "{name}: {value}");
            assert_eq!((answer.field("ETag"), answer.field("Last-Modified")), (Some(TAG), Some(MODIFIED)));
            assert_eq!((answer.field("Content-Length"), answer.field("Content-Type")), (None, None));
            // The next answer begins where a body would have.
            stream.write_all(&request("GET", "/a.txt", &[])).unwrap();
            assert_eq!(Answer::read(&mut stream, "GET").text(), "12345");
        }
    }
}

#[test]
fn what_has_changed_is_sent() {
    let site = Site::with("a.txt", "12345");
    for fields in [
        &[("If-None-Match", "\"x\"")][..],
        &[("If-Modified-Since", BEFORE)],
        &[("If-Modified-Since", "nonsense")],
        &[("If-None-Match", "\"x\""), ("If-Modified-Since", MODIFIED)],
    ] {
        let answer = site.ask("GET", "/a.txt", fields);
        assert_eq!((answer.status, answer.text()), (200, "12345"), "{fields:?}");
    }
    let answer = site.ask("GET", "/a.txt", &[("If-None-Match", "\"x\""), ("If-None-Match", TAG)]);
    assert_eq!(answer.status, 304, "two lines of one list");
    fs::write(site.path("a.txt"), "54321").unwrap();
    let answer = site.ask("GET", "/a.txt", &[("If-None-Match", TAG)]);
    assert_eq!((answer.status, answer.text()), (200, "54321"));
}

#[test]
fn a_precondition_that_fails_is_told() {
    let site = Site::with("a.txt", "12345");
    for field in [("If-Match", "\"x\""), ("If-Unmodified-Since", BEFORE)] {
        assert_eq!(site.ask("GET", "/a.txt", &[field]).status, 412, "{field:?}");
    }
    for field in [("If-Match", TAG), ("If-Match", "*"), ("If-Unmodified-Since", MODIFIED)] {
        assert_eq!(site.ask("GET", "/a.txt", &[field]).status, 200, "{field:?}");
    }
}

#[test]
fn conditions_of_an_index_are_the_files() {
    let site = Site::with("index.html", "12345");
    assert_eq!(site.ask("GET", "/", &[("If-None-Match", TAG)]).status, 304);
    assert_eq!(site.ask("GET", "/", &[("Range", "bytes=0-1")]).text(), "12");
}

#[test]
fn a_range_is_a_part_of_the_file() {
    let bytes = body(200_000);
    let site = Site::with("a.bin", &bytes);
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=100-99999", 100, 99_999),
        ("bytes=199999-", 199_999, 199_999),
        ("bytes=1-", 1, 199_999),
        ("bytes=-1", 199_999, 199_999),
        ("bytes=-300000", 0, 199_999),
        ("bytes=150000-300000", 150_000, 199_999),
    ] {
        let answer = site.ask("GET", "/a.bin", &[("Range", range)]);
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.field("Content-Range").unwrap(), format!("bytes {first}-{last}/200000"));
        assert_eq!(answer.field("Content-Length").unwrap(), (last - first + 1).to_string());
        assert_eq!(answer.field("Content-Type"), Some("application/octet-stream"));
        assert_eq!(answer.field("ETag"), Some("\"2ebc98a1-0-30d40\""));
        assert!(answer.body == bytes[first..=last], "{range}");
    }
}

#[test]
fn the_parts_make_up_the_whole() {
    let bytes = body(100_000);
    let site = Site::with("a.bin", &bytes);
    let mut stream = site.connect();
    let mut whole = Vec::new();
    while whole.len() < bytes.len() {
        let range = format!("bytes={}-{}", whole.len(), whole.len() + 7776);
        stream.write_all(&request("GET", "/a.bin", &[("Range", &range)])).unwrap();
        whole.extend(Answer::read(&mut stream, "GET").body);
    }
    assert!(whole == bytes);
}

#[test]
fn a_range_beyond_the_end_is_unsatisfiable() {
    let site = Site::with("a.txt", "12345").and("none.txt", "");
    for (target, range, length) in [
        ("/a.txt", "bytes=5-", "bytes */5"),
        ("/a.txt", "bytes=-0", "bytes */5"),
        ("/a.txt", "bytes=99999999999999999999-", "bytes */5"),
        ("/none.txt", "bytes=0-", "bytes */0"),
    ] {
        let answer = site.ask("GET", target, &[("Range", range)]);
        assert_eq!((answer.status, answer.field("Content-Range")), (416, Some(length)), "{range}");
    }
}

#[test]
fn a_range_that_is_not_understood_is_ignored() {
    let site = Site::with("a.txt", "12345");
    for range in ["bytes=0-1,3-4", "bytes=3-1", "lines=1-2", "bytes", "bytes=x-y", "1-2"] {
        let answer = site.ask("GET", "/a.txt", &[("Range", range)]);
        assert_eq!((answer.status, answer.text()), (200, "12345"), "{range}");
        assert_eq!(answer.field("Content-Range"), None);
    }
    let answer = site.ask("GET", "/a.txt", &[("Range", "bytes=0-1"), ("Range", "bytes=3-4")]);
    assert_eq!((answer.status, answer.text()), (200, "12345"), "two fields");
    let answer = site.ask("HEAD", "/a.txt", &[("Range", "bytes=0-1")]);
    assert_eq!((answer.status, answer.field("Content-Length")), (200, Some("5")), "HEAD");
}

#[test]
fn if_range_sends_the_part_or_all() {
    let site = Site::with("a.txt", "12345");
    for (validator, text) in [
        (TAG, "23"),
        (MODIFIED, "23"),
        ("\"x\"", "12345"),
        ("W/\"2ebc98a1-0-5\"", "12345"),
        (BEFORE, "12345"),
        ("*", "12345"),
    ] {
        let answer = site.ask("GET", "/a.txt", &[("Range", "bytes=1-2"), ("If-Range", validator)]);
        assert_eq!(answer.text(), text, "{validator}");
    }
    // What the range says does not matter when it must not be looked at.
    let answer = site.ask("GET", "/a.txt", &[("Range", "bytes=9-"), ("If-Range", "\"x\"")]);
    assert_eq!(answer.status, 200);
}
