//! Where responses end, and what is none, cut in every way.

use proptest::prelude::*;

use super::*;

/// Status, backend, server, whether a body may follow.
type SeenHead = (u16, Option<Vec<u8>>, Option<Vec<u8>>, bool);

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    heads: Vec<SeenHead>,
    body: Vec<u8>,
}

impl Sink for Seen {
    fn head(&mut self, head: &Head<'_>) {
        let owned = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
        self.heads.push((head.status, owned(head.backend), owned(head.server), head.may_have_body));
    }

    fn body(&mut self, piece: &[u8]) {
        assert!(!piece.is_empty());
        self.body.extend_from_slice(piece);
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// Bytes that belonged to the response; all of them when the stream ended first.
    result: Result<usize, Fault>,
    persistent: bool,
    seen: Seen,
}

fn read<'a>(head_only: bool, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut parser = Parser::new();
    parser.begin(head_only);
    let (mut seen, mut total) = (Seen::default(), 0);
    for piece in pieces {
        match parser.read(piece, &mut seen) {
            Ok(Progress::Partial) => total += piece.len(),
            Ok(Progress::Complete { used }) => {
                return Outcome { result: Ok(total + used), persistent: parser.persistent(), seen };
            }
            Err(fault) => return Outcome { result: Err(fault), persistent: false, seen },
        }
    }
    let result = parser.end().map(|()| total);
    Outcome { result, persistent: result.is_ok() && parser.persistent(), seen }
}

fn whole(text: &str) -> Outcome {
    read(false, [text.as_bytes()])
}

#[test]
fn a_response_of_known_length_ends_there() {
    let text = "HTTP/1.1 200 OK\r\nServer: s\r\nX-Backend:  b1 \r\nContent-Length: 5\r\n\r\nhello";
    let outcome = whole(&format!("{text}HTTP/1.1"));
    assert_eq!(outcome.result, Ok(text.len()));
    assert!(outcome.persistent);
    assert_eq!(outcome.seen.body, b"hello");
    assert_eq!(outcome.seen.heads, [(200, Some(b"b1".to_vec()), Some(b"s".to_vec()), true)]);
}

#[test]
fn a_chunked_response_ends_after_its_trailers() {
    let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n00A \r\n0123456789\r\n0\r\nT: u\r\n\r\n";
    let outcome = whole(text);
    assert_eq!(outcome.result, Ok(text.len()));
    assert!(outcome.persistent);
    assert_eq!(outcome.seen.body, b"hello0123456789");
}

#[test]
fn a_response_without_framing_ends_with_the_stream() {
    let text = "HTTP/1.1 200 OK\r\n\r\nhello";
    let outcome = whole(text);
    assert_eq!((outcome.result, outcome.persistent), (Ok(text.len()), false));
    assert_eq!(outcome.seen.body, b"hello");
}

#[test]
fn head_no_content_and_not_modified_have_no_body() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let outcome = read(true, [head.as_bytes()]);
    assert_eq!((outcome.result, outcome.persistent), (Ok(head.len()), true));
    for status in ["204 No Content", "304 Not Modified"] {
        let text = format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(whole(&text).result, Ok(text.len()));
    }
}

#[test]
fn interim_responses_are_skipped() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n";
    let outcome = whole(text);
    assert_eq!(outcome.result, Ok(text.len()));
    assert_eq!(outcome.seen.heads, [(404, None, None, true)]);
}

#[test]
fn a_connection_persists_as_its_version_and_connection_field_say() {
    let persists = |version: &str, connection: &str| {
        whole(&format!("{version} 200 OK\r\nContent-Length: 0\r\nConnection: {connection}\r\n\r\n"))
            .persistent
    };
    assert!(persists("HTTP/1.1", "x"));
    assert!(!persists("HTTP/1.1", "x, Close"));
    assert!(!persists("HTTP/1.0", "x"));
    assert!(persists("HTTP/1.0", "keep-alive"));
}

#[test]
fn a_response_that_the_stream_cuts_is_seen_as_cut() {
    for text in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        assert_eq!(whole(text).result, Err(Fault::Cut), "{text:?}");
    }
}

#[test]
fn what_is_no_response_is_refused() {
    for text in [
        "nonsense",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 99 x\r\n\r\n",
        "HTTP/1.1 2000\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\nA: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
    ] {
        assert!(matches!(whole(text).result, Err(Fault::Malformed(_))), "{text:?}");
    }
}

/// What a server sends that waits for the client to go on: the stream does not end.
fn unended(text: &str, cut: usize) -> Result<Progress, Fault> {
    let mut parser = Parser::new();
    parser.begin(false);
    let mut seen = Seen::default();
    text.as_bytes().chunks(cut).try_fold(Progress::Partial, |_, piece| parser.read(piece, &mut seen))
}

#[test]
fn a_bare_line_feed_is_refused_where_it_stands_and_not_waited_beyond() {
    for text in [
        "HTTP/1.1 200 OK\n",
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\n",
        "HTTP/1.1 200 OK\n\r\n",
        "HTTP/1.1 100 Continue\n\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: u\n",
    ] {
        for cut in [text.len(), 7, 1] {
            assert!(matches!(unended(text, cut), Err(Fault::Malformed(_))), "{text:?} in pieces of {cut}");
        }
    }
}

#[test]
fn any_broken_line_of_a_head_is_refused_before_the_head_ends() {
    for text in ["HTTP/1.1 2xx\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n", "HTTP/1.1 200 OK\r\n A: b\r\n"] {
        for cut in [text.len(), 7, 1] {
            assert!(matches!(unended(text, cut), Err(Fault::Malformed(_))), "{text:?} in pieces of {cut}");
        }
    }
    let right = "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\n";
    for cut in [right.len(), 7, 1] {
        assert_eq!(unended(right, cut), Ok(Progress::Partial), "in pieces of {cut}");
    }
}

#[test]
fn a_head_beyond_the_limit_is_refused() {
    let text = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(MAX_HEAD_BYTES));
    assert!(matches!(whole(&text).result, Err(Fault::Malformed(_))));
    let parts = read(false, text.as_bytes().chunks(1000));
    assert!(matches!(parts.result, Err(Fault::Malformed(_))));
}

fn response() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("HTTP/1.1 200 OK\r\nX-Backend: b\r\nContent-Length: 9\r\n\r\n\r\n\r\nhello"),
        Just(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;e\r\n\r\n0\r\n1\r\nx\r\n0\r\nT: u\r\n\r\n"
        ),
        Just("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 302 Found\r\nServer: s\r\n\r\nuntil close"),
        Just("HTTP/1.1 204 No Content\r\n\r\n"),
        Just("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd"),
        Just("HTTP/1.1 200 OK\r\nbroken\r\n\r\n"),
        Just("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut"),
    ]
}

proptest! {
    #[test]
    fn any_cut_of_the_stream_gives_the_same_response(
        text in response(),
        excess in prop_oneof![Just(""), Just("HTTP/1.1 200 OK\r\n\r\n")],
        head_only: bool,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let stream = [text, excess].concat().into_bytes();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        let expected = read(head_only, [&stream[..]]);
        prop_assert_eq!(&read(head_only, at.windows(2).map(|ends| &stream[ends[0]..ends[1]])), &expected);
        prop_assert_eq!(&read(head_only, stream.chunks(1)), &expected);
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..300), begin in response()) {
        let stream = [begin.as_bytes(), &noise].concat();
        for cut in [1, 7, 300] {
            drop(read(false, stream.chunks(cut)));
            drop(read(false, noise.chunks(cut)));
        }
    }
}
