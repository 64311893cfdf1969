//! Which requests are read, which are refused, cut in every way.

use proptest::prelude::*;

use super::*;

const NEW: Request = Request { old: false, head_only: false, persistent: true };

/// Everything that `pieces` amount to, up to a refusal.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Option<Refusal>) {
    read_by(Parser::default(), pieces)
}

fn read_by<'a>(
    mut parser: Parser,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Event>, Option<Refusal>) {
    let mut events = Vec::new();
    for mut piece in pieces {
        loop {
            match parser.next(&mut piece) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(refusal) => return (events, Some(refusal)),
            }
        }
        assert!(piece.is_empty(), "bytes were left that led to no event");
    }
    (events, None)
}

fn whole(text: &str) -> (Vec<Event>, Option<Refusal>) {
    read([text.as_bytes()])
}

fn one(text: &str) -> Request {
    match whole(text) {
        (events, None) if events.len() == 1 => match events[0] {
            Event::Request(request) => request,
            Event::ExpectsContinue => panic!("no request in {text:?}"),
        },
        other => panic!("{other:?} in {text:?}"),
    }
}

fn refused(text: &str) -> Refusal {
    whole(text).1.unwrap_or_else(|| panic!("{text:?} was accepted"))
}

#[test]
fn a_connection_persists_as_its_version_and_connection_field_say() {
    assert_eq!(one("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), NEW);
    assert_eq!(one("GET / HTTP/1.2\r\nHost: a\r\n\r\n"), NEW);
    assert!(!one("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n").persistent);
    assert!(!one("GET / HTTP/1.0\r\n\r\n").persistent);
    assert!(one("GET / HTTP/1.0\r\nconnection:keep-alive\r\n\r\n").persistent);
    assert!(!one("GET / HTTP/1.0\r\nconnection:keep-alive, close\r\n\r\n").persistent);
}

#[test]
fn head_is_told_apart() {
    assert!(one("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n").head_only);
}

#[test]
fn one_blank_line_may_stand_before_a_request() {
    assert_eq!(one("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), NEW);
    assert_eq!(refused("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), Refusal::Malformed);
}

#[test]
fn pipelined_requests_come_out_one_by_one() {
    let text = "GET /a HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 010\r\n\r\n0123456789HEAD / HTTP/1.0\r\n\r\n";
    let last = Request { old: true, head_only: true, persistent: false };
    let events = vec![Event::Request(NEW), Event::Request(NEW), Event::Request(last)];
    assert_eq!(whole(text), (events, None));
}

#[test]
fn a_chunked_body_with_extensions_and_trailers_is_discarded() {
    let text = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n00A \r\n0123456789\r\n0\r\nX-T: 1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(whole(text), (vec![Event::Request(NEW); 2], None));
}

#[test]
fn a_client_that_waits_to_continue_is_told_apart_only_with_a_body() {
    let text = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(whole(text), (vec![Event::ExpectsContinue, Event::Request(NEW)], None));
    assert_eq!(one("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"), NEW);
}

#[test]
fn malformed_heads_are_refused() {
    for text in [
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / http/1.1\r\n",
        "GET /\r\n",
        "GET x HTTP/1.1\r\n",
        "GET /\x01 HTTP/1.1\r\n",
        "G@T / HTTP/1.1\r\n",
        "GET / HTTP/1.10\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\n: a\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
        "\x16\x03\x01\x02\n",
    ] {
        assert_eq!(refused(text), Refusal::Malformed, "{text:?}");
    }
}

#[test]
fn malformed_framing_is_refused() {
    for length in ["-5", "+5", "0x5", "5x", "1_0", "", "5, 5", "18446744073709551616"] {
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        assert_eq!(refused(&text), Refusal::Malformed, "{text:?}");
    }
    for fields in [
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 1",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ] {
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        assert_eq!(refused(&text), Refusal::Malformed, "{text:?}");
    }
    for chunks in
        ["\r\n", "0x5\r\n", "+5\r\n", " 5\r\n", "5x\r\n", "5\r\nhello0\r\n", "10000000000000000\r\n", "5\n"]
    {
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        assert_eq!(refused(&text), Refusal::Malformed, "{text:?}");
    }
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refused(old), Refusal::Malformed);
}

#[test]
fn what_this_server_does_not_do_is_refused_as_such() {
    assert_eq!(refused("GET / HTTP/2.0\r\n"), Refusal::VersionNotSupported);
    assert_eq!(refused("CONNECT / HTTP/1.1\r\n"), Refusal::NotImplemented);
    let coded = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
    assert_eq!(refused(coded), Refusal::NotImplemented);
}

#[test]
fn a_head_beyond_the_limit_is_refused_before_it_ends() {
    let long = format!("GET /{} ", "x".repeat(MAX_HEAD_BYTES));
    assert_eq!(refused(&long), Refusal::HeadTooLarge);
    let many = format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(MAX_HEAD_BYTES / 6));
    assert_eq!(refused(&many), Refusal::HeadTooLarge);
}

#[test]
fn the_limit_counts_each_head_anew() {
    let text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(MAX_HEAD_BYTES / 10);
    assert_eq!(whole(&text).1, None);
    let chunks = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        "1\r\nx\r\n".repeat(MAX_HEAD_BYTES)
    );
    assert_eq!(whole(&chunks), (vec![Event::Request(NEW)], None));
}

fn piece() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Just("\r\nHEAD /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        Just("POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n\r\n\r\nab\n"),
        Just(
            "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;e\r\n\r\n0\r\n0\r\nT: u\r\n\r\n"
        ),
        Just("GET / HTTP/1.1\r\nHost: a\r\nbroken\r\n\r\n"),
        Just("\n"),
    ]
}

proptest! {
    #[test]
    fn any_cut_of_the_stream_gives_the_same_requests(
        pieces in prop::collection::vec(piece(), 1..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let stream = pieces.concat().into_bytes();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        prop_assert_eq!(read(at.windows(2).map(|ends| &stream[ends[0]..ends[1]])), read([&stream[..]]));
        prop_assert_eq!(read(stream.chunks(1)), read([&stream[..]]));
    }

    #[test]
    fn noise_never_panics_and_keeps_no_more_than_a_head(noise in prop::collection::vec(any::<u8>(), 0..512)) {
        let mut parser = Parser::default();
        let mut input = &noise[..];
        while let Ok(Some(_)) = parser.next(&mut input) {}
        prop_assert!(parser.lines.partial.len() <= MAX_HEAD_BYTES);
    }
}

/// What a parser that keeps has kept of each request, up to a refusal.
fn kept<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Kept> {
    let mut parser = Parser::keeping();
    let mut all = Vec::new();
    for mut piece in pieces {
        loop {
            match parser.next(&mut piece) {
                Ok(Some(Event::Request(_))) => all.extend(parser.take_kept()),
                Ok(Some(Event::ExpectsContinue)) => {}
                Ok(None) => break,
                Err(_) => return all,
            }
        }
    }
    all
}

#[test]
fn a_head_is_kept_only_when_it_was_asked_for() {
    let mut parser = Parser::default();
    let mut input = &b"GET /a HTTP/1.1\r\nHost: a\r\nRange: bytes=0-\r\n\r\n"[..];
    assert!(parser.next(&mut input).unwrap().is_some());
    assert_eq!(parser.take_kept(), None);
}

#[test]
fn what_a_server_of_files_needs_is_kept() {
    let text = "\r\nGET /a%20b?q HTTP/1.1\r\nHost: a\r\nRange:bytes=0- \r\nIF-RANGE: \"r\"\r\nIf-None-Match: \"x\"\r\n\
                if-none-match: \"y\"\r\nIf-Match: *\r\nIf-Modified-Since: now\r\nIf-Unmodified-Since: \r\n\
                X-Range: no\r\n\r\nHEAD * HTTP/1.0\r\n\r\nOPTIONS http://a/ HTTP/1.0\r\n\r\nget / HTTP/1.0\r\n\r\n";
    let some = |value: &str| Some(value.as_bytes().to_vec());
    let first = Kept {
        method: Method::Get,
        target: b"/a%20b?q".to_vec(),
        if_match: some("*"),
        if_modified_since: some("now"),
        if_none_match: some("\"x\", \"y\""),
        if_range: some("\"r\""),
        if_unmodified_since: some(""),
        range: some("bytes=0-"),
    };
    let bare = |method, target: &str| Kept { method, target: target.into(), ..Kept::default() };
    let expected =
        [first, bare(Method::Head, "*"), bare(Method::Options, "http://a/"), bare(Method::Other, "/")];
    assert_eq!(kept([text.as_bytes()]), expected);
    assert_eq!(kept(text.as_bytes().chunks(1)), expected);
}

#[test]
fn nothing_is_kept_of_trailers() {
    let text = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nRange: bytes=0-\r\n\r\n";
    assert_eq!(kept([text.as_bytes()])[0].range, None);
}

#[test]
fn a_head_that_is_kept_is_no_longer_than_a_head() {
    let many = "Range: x\r\n".repeat(2 * MAX_HEAD_BYTES / 10);
    let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n");
    let mut parser = Parser::keeping();
    let mut input = text.as_bytes();
    assert_eq!(parser.next(&mut input), Err(Refusal::HeadTooLarge));
    assert!(parser.take_kept().unwrap().range.unwrap().len() < MAX_HEAD_BYTES);
}

#[test]
fn an_upload_that_is_not_the_one_to_come_is_refused_however_it_is_cut_and_framed() {
    let expected = crate::body(1000);
    let plain = |body: &[u8]| {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    let chunked = |body: &[u8]| {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
        let chunks = body
            .chunks(77)
            .map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
        [head.into_bytes(), chunks.collect::<Vec<_>>().concat(), b"0\r\n\r\n".to_vec()].concat()
    };
    let mut altered = expected.clone();
    altered[500] ^= 1;
    for each in [1, 7, 300, 5000] {
        let of = |bytes: Vec<u8>| {
            // Another one comes on the same connection.
            let both = [bytes, plain(&expected)].concat();
            read_by(Parser::expecting(expected.clone().into()), both.chunks(each))
        };
        assert_eq!(of(plain(&expected)), (vec![Event::Request(NEW); 2], None));
        assert_eq!(of(chunked(&expected)), (vec![Event::Request(NEW); 2], None));
        for wrong in [&altered[..], &expected[..999], &[&expected[..], b"x"].concat(), b""] {
            assert_eq!(of(plain(wrong)), (vec![], Some(Refusal::WrongUpload)), "{} bytes", wrong.len());
        }
        assert_eq!(of(chunked(&altered)), (vec![], Some(Refusal::WrongUpload)));
    }
}
