//! Files, directories, methods, versions.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use roundtable_backends::{BackendError, Config, Content, Server, body};

use crate::support::{Answer, MODIFIED, Site, request};

#[test]
fn a_file_arrives_whole_with_its_fields() {
    let picture: Vec<u8> = (0..15_000_u32).map(|number| (number % 251) as u8).collect();
    let paper = body(550_000);
    let site = Site::with("pokijan.jpg", &picture).and("pdf/a b.pdf", &paper);
    let answer = site.get("/pokijan.jpg");
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert_eq!(answer.field("Content-Type"), Some("image/jpeg"));
    assert_eq!(answer.field("Content-Length"), Some("15000"));
    assert_eq!(answer.field("Last-Modified"), Some(MODIFIED));
    assert_eq!(answer.field("ETag"), Some("\"2ebc98a1-0-3a98\""));
    assert_eq!(answer.field("Accept-Ranges"), Some("bytes"));
    assert_eq!(answer.field("X-Backend"), Some("one"));
    assert!(answer.field("Date").unwrap().ends_with(" GMT"));
    assert!(answer.body == picture);
    let answer = site.get("/pdf/a%20b.pdf?page=1");
    assert_eq!((answer.status, answer.field("Content-Type")), (200, Some("application/pdf")));
    assert!(answer.body == paper);
}

#[test]
fn an_empty_file_is_a_file() {
    let site = Site::with("none.txt", "");
    let answer = site.get("/none.txt");
    assert_eq!((answer.status, answer.field("Content-Length"), &answer.body[..]), (200, Some("0"), &b""[..]));
}

#[test]
fn head_has_the_fields_of_get_and_no_body() {
    let site = Site::with("a.txt", "12345").and("d/b.txt", "");
    for target in ["/a.txt", "/d/", "/d", "/none", "/%zz"] {
        let mut stream = site.connect();
        let both = [request("HEAD", target, &[]), request("GET", target, &[])].concat();
        stream.write_all(&both).unwrap();
        let without_date = |answer: &Answer| {
            let lines = answer.head.lines().filter(|line| !line.starts_with("Date: "));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let head = Answer::read(&mut stream, "HEAD");
        let get = Answer::read(&mut stream, "GET");
        assert_eq!(without_date(&head), without_date(&get), "{target}");
        assert_eq!(get.field("Content-Length"), Some(&*get.body.len().to_string()), "{target}");
    }
}

#[test]
fn only_reading_is_allowed() {
    let site = Site::with("a.txt", "12345");
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "get", "X"] {
        let answer = site.ask(method, "/a.txt", &[]);
        assert_eq!((answer.status, answer.field("Allow")), (405, Some("GET, HEAD, OPTIONS")), "{method}");
    }
    for target in ["*", "/a.txt", "/none"] {
        let answer = site.ask("OPTIONS", target, &[]);
        assert_eq!((answer.status, answer.field("Allow")), (204, Some("GET, HEAD, OPTIONS")), "{target}");
        assert_eq!(answer.field("Content-Length"), None, "{}", answer.head);
    }
    assert_eq!(fs::read(site.path("a.txt")).unwrap(), b"12345");
}

#[test]
fn a_directory_has_its_index_or_a_listing() {
    let site = Site::with("a.txt", "12345").and("sub/index.html", "<p>hello").and("sub/b.txt", "");
    let listing = site.get("/");
    assert_eq!((listing.status, listing.field("Content-Type")), (200, Some("text/html; charset=utf-8")));
    assert!(listing.text().contains("<a href=\"./a.txt\">a.txt</a></td><td class=\"n\">5</td>"));
    assert!(listing.text().contains("<a href=\"./sub/\">sub/</a>"));
    let index = site.get("/sub/");
    assert_eq!((index.status, index.field("Content-Type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!((index.text(), index.field("Last-Modified")), ("<p>hello", Some(MODIFIED)));
}

#[test]
fn an_index_that_is_a_directory_is_listed() {
    let site = Site::with("index.html/a.txt", "");
    assert!(site.get("/").text().contains("<a href=\"./index.html/\">"));
}

#[test]
fn an_empty_root_says_so() {
    let answer = Site::empty().get("/");
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("There are no files here."), "{}", answer.text());
}

#[test]
fn a_directory_without_its_slash_is_redirected() {
    let site = Site::with("a/b/c.txt", "");
    for (target, location) in
        [("/a/b", "./b/"), ("/a?x=y", "./a/?x=y"), ("//a", "./a/"), ("http://h/a", "./a/")]
    {
        let answer = site.get(target);
        assert_eq!((answer.status, answer.field("Location")), (301, Some(location)), "{target}");
    }
    assert_eq!(site.get("/a/b/c.txt/").status, 404);
}

#[test]
fn what_is_missing_is_404_and_the_connection_goes_on() {
    let site = Site::with("a.txt", "12345");
    let mut stream = site.connect();
    for target in ["/none", "/a.txt/b", "/none/", "/a.txt"] {
        stream.write_all(&request("GET", target, &[])).unwrap();
        let expected = if target == "/a.txt" { (200, "12345") } else { (404, "404 Not Found\n") };
        let answer = Answer::read(&mut stream, "GET");
        assert_eq!((answer.status, answer.text()), expected, "{target}");
    }
}

#[test]
fn a_request_that_comes_byte_by_byte_is_answered_as_a_whole_one() {
    let site = Site::with("a.txt", "12345");
    let request = request("GET", "/a.txt", &[("Range", "bytes=1-2"), ("If-None-Match", "\"x\"")]);
    let mut stream = site.connect();
    for byte in &request {
        stream.write_all(&[*byte]).unwrap();
    }
    let slow = Answer::read(&mut stream, "GET");
    stream.write_all(&request).unwrap();
    let fast = Answer::read(&mut stream, "GET");
    assert_eq!((slow.status, slow.text()), (206, "23"));
    assert_eq!((fast.status, fast.text()), (206, "23"));
}

#[test]
fn nothing_of_a_request_is_left_for_the_next() {
    let site = Site::with("a.txt", "12345");
    let mut stream = site.connect();
    let conditions = [("Range", "bytes=1-2"), ("If-Range", "\"2ebc98a1-0-5\"")];
    stream
        .write_all(&[request("GET", "/a.txt", &conditions), request("GET", "/a.txt", &[])].concat())
        .unwrap();
    assert_eq!(Answer::read(&mut stream, "GET").text(), "23");
    assert_eq!(Answer::read(&mut stream, "GET").text(), "12345");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let long = body(300_000);
    let site = Site::with("long.txt", &long).and("a.txt", "12345");
    let asked = [
        ("GET", "/long.txt", [("X", "y")], 200),
        ("HEAD", "/long.txt", [("X", "y")], 200),
        ("GET", "/a.txt", [("If-None-Match", "*")], 304),
        ("GET", "/none", [("X", "y")], 404),
        ("POST", "/a.txt", [("Content-Length", "0")], 405),
        ("GET", "/long.txt", [("Range", "bytes=-7")], 206),
        ("OPTIONS", "*", [("X", "y")], 204),
        ("GET", "/a.txt", [("Range", "bytes=5-")], 416),
        ("GET", "/", [("X", "y")], 200),
    ];
    let round = asked.iter().map(|(method, target, fields, _)| request(method, target, fields));
    let all = round.collect::<Vec<_>>().concat().repeat(50);
    let mut stream = site.connect();
    let mut writer = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || writer.write_all(&all).unwrap());
    for _ in 0..50 {
        for (method, target, _, status) in &asked {
            let answer = Answer::read(&mut stream, method);
            assert_eq!(answer.status, *status, "{method} {target}");
            if (*target, *status) == ("/long.txt", 206) {
                assert!(answer.body == long[long.len() - 7..]);
            } else if *target == "/long.txt" && *method == "GET" {
                assert!(answer.body == long);
            }
        }
    }
    sender.join().unwrap();
}

#[test]
fn versions_and_connection_fields_mean_what_they_say() {
    let site = Site::with("a.txt", "12345");
    for (request, connection) in [
        ("GET /a.txt HTTP/1.0\r\n\r\n", "close"),
        ("GET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "close"),
        ("GET /a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "keep-alive"),
    ] {
        let mut stream = site.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let answer = Answer::read(&mut stream, "GET");
        assert_eq!((answer.text(), answer.field("Connection")), ("12345", Some(connection)));
        if connection == "keep-alive" {
            stream.write_all(request.as_bytes()).unwrap();
            assert_eq!(Answer::read(&mut stream, "GET").text(), "12345");
            stream.shutdown(Shutdown::Write).unwrap();
        }
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the connection goes on after {request:?}");
    }
}

#[test]
fn a_body_that_nobody_wants_is_read_and_the_connection_goes_on() {
    let site = Site::with("a.txt", "12345");
    let mut stream = site.connect();
    let chunked =
        "POST /a.txt HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n";
    stream.write_all(chunked.as_bytes()).unwrap();
    assert_eq!(Answer::read(&mut stream, "POST").status, 405);
    stream.write_all(&request("GET", "/a.txt", &[])).unwrap();
    assert_eq!(Answer::read(&mut stream, "GET").text(), "12345");
}

#[test]
fn what_is_no_request_is_refused_as_without_files() {
    let site = Site::empty();
    for (request, status) in
        [("GET /\r\n\r\n", 400), ("GET / HTTP/2.0\r\n\r\n", 505), ("GET / HTTP/1.1\r\n\r\n", 400)]
    {
        let mut stream = site.connect();
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(Answer::read(&mut stream, "GET").status, status, "{request:?}");
    }
}

#[test]
fn a_file_is_delayed_as_a_body_is() {
    let delay = Duration::from_millis(50);
    let site = Site::delayed(delay).and("a.txt", "12345").and("b.txt", "67890");
    let begin = Instant::now();
    let mut stream = site.connect();
    stream.write_all(&[request("GET", "/a.txt", &[]), request("GET", "/b.txt", &[])].concat()).unwrap();
    assert_eq!(Answer::read(&mut stream, "GET").text(), "12345");
    assert_eq!(Answer::read(&mut stream, "GET").text(), "67890");
    assert!(begin.elapsed() >= 2 * delay);
}

#[test]
fn only_a_directory_is_served() {
    let site = Site::with("a.txt", "12345");
    for (root, remedy) in [
        (site.path("none"), "make this directory, or give one that is there"),
        (site.path("a.txt"), "give the directory that holds it"),
    ] {
        let config = Config { content: Content::Files { root: root.clone() }, ..Config::default() };
        let error = Server::bind("127.0.0.1:0", &config).unwrap_err();
        assert!(matches!(&error, BackendError::Root { path, .. } if *path == root), "{error:?}");
        assert!(error.to_string().ends_with(remedy), "{error}");
    }
}
