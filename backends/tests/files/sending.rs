//! Long files, slow clients, and files that change on their way.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::FileExt;

use roundtable_backends::body;

use crate::support::{Answer, Site, request};

/// More than the buffers of both sockets hold.
const LONG: usize = 16 << 20;

#[test]
fn a_slow_reader_gets_all_and_holds_nobody_up() {
    let long = body(LONG);
    let site = Site::with("long.bin", &long).and("a.txt", "12345");
    let mut slow: Vec<_> = (0..3).map(|_| site.connect()).collect();
    for stream in &mut slow {
        stream
            .write_all(&[request("GET", "/long.bin", &[]), request("GET", "/a.txt", &[])].concat())
            .unwrap();
    }
    for _ in 0..5 {
        assert_eq!(site.get("/a.txt").text(), "12345");
    }
    for stream in &mut slow {
        assert!(Answer::read(stream, "GET").body == long);
        assert_eq!(Answer::read(stream, "GET").text(), "12345");
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_harms_nobody() {
    let site = Site::with("long.bin", body(LONG)).and("a.txt", "12345");
    for _ in 0..20 {
        let mut stream = site.connect();
        stream.write_all(&request("GET", "/long.bin", &[])).unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
    }
    assert_eq!(site.get("/a.txt").text(), "12345");
}

#[test]
fn a_client_that_closes_its_half_is_sent_all() {
    let long = body(LONG);
    let site = Site::with("long.bin", &long);
    let mut stream = site.connect();
    stream.write_all(&request("GET", "/long.bin", &[])).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(Answer::read(&mut stream, "GET").body == long);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn offsets_beyond_four_gibibytes_are_offsets() {
    const FAR: u64 = 5 << 30;
    let site = Site::empty();
    let file = File::create(site.path("huge.bin")).unwrap();
    file.set_len(FAR).unwrap();
    file.write_all_at(b"the end", FAR - 7).unwrap();
    let head = site.ask("HEAD", "/huge.bin", &[]);
    assert_eq!(head.field("Content-Length"), Some("5368709120"));
    assert_eq!(site.ask("GET", "/huge.bin", &[("Range", "bytes=5368709113-")]).text(), "the end");
    assert_eq!(site.ask("GET", "/huge.bin", &[("Range", "bytes=-7")]).text(), "the end");
    // The whole of it begins, too.
    let mut stream = site.connect();
    stream.write_all(&request("GET", "/huge.bin", &[])).unwrap();
    assert_eq!(Answer::read_head(&mut stream).field("Content-Length"), Some("5368709120"));
    let mut beginning = vec![1; 10 << 20];
    stream.read_exact(&mut beginning).unwrap();
    assert!(beginning.iter().all(|&byte| byte == 0));
}

#[test]
fn a_file_that_becomes_shorter_cuts_the_connection() {
    let long = body(LONG);
    let site = Site::with("long.bin", &long).and("a.txt", "12345");
    let mut stream = site.connect();
    stream.write_all(&[request("GET", "/long.bin", &[]), request("GET", "/a.txt", &[])].concat()).unwrap();
    let answer = Answer::read_head(&mut stream);
    assert_eq!(answer.field("Content-Length"), Some("16777216"));
    File::options().write(true).open(site.path("long.bin")).unwrap().set_len(LONG as u64 - 1).unwrap();
    let mut sent = Vec::new();
    // The end of the stream, or a reset because the second request was never read.
    drop(stream.read_to_end(&mut sent));
    assert!(sent.len() < LONG && sent == long[..sent.len()], "{} bytes", sent.len());
    assert_eq!(site.get("/a.txt").text(), "12345");
}

#[test]
fn a_file_that_becomes_longer_is_sent_as_it_was_promised() {
    let long = body(LONG);
    let site = Site::with("long.bin", &long).and("a.txt", "12345");
    let mut stream = site.connect();
    stream.write_all(&[request("GET", "/long.bin", &[]), request("GET", "/a.txt", &[])].concat()).unwrap();
    let answer = Answer::read_head(&mut stream);
    assert_eq!(answer.status, 200);
    File::options().append(true).open(site.path("long.bin")).unwrap().write_all(b"more").unwrap();
    let mut sent = vec![0; LONG];
    stream.read_exact(&mut sent).unwrap();
    assert!(sent == long);
    assert_eq!(Answer::read(&mut stream, "GET").text(), "12345");
}

#[test]
fn a_file_that_is_replaced_is_sent_as_it_was() {
    let long = body(LONG);
    let site = Site::with("long.bin", &long).and("new.bin", "new");
    let mut stream = site.connect();
    stream.write_all(&[request("GET", "/long.bin", &[]), request("GET", "/long.bin", &[])].concat()).unwrap();
    assert_eq!(Answer::read_head(&mut stream).status, 200);
    fs::rename(site.path("new.bin"), site.path("long.bin")).unwrap();
    let mut sent = vec![0; LONG];
    stream.read_exact(&mut sent).unwrap();
    assert!(sent == long);
    assert_eq!(Answer::read(&mut stream, "GET").text(), "new");
}
