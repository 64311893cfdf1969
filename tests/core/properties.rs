//! What holds for every input: no panic, an end, and the same bytes however the input was split.

use std::io::ErrorKind;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::cache_history;
use crate::splits;
use crate::world::{Fault, Script, Then, World};

fn request() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        8 => Just("GET / HTTP/1.1\r\n"), 2 => Just("POST /x?y HTTP/1.1\r\n"), 2 => Just("PUT / HTTP/1.1\r\n"),
        1 => Just("HEAD / HTTP/1.0\r\n"), 1 => Just("GET / HTTP/1.2\r\n"), 1 => Just("GET / HTTP/1.23\r\n"),
        1 => Just("\r\nGET / HTTP/1.1\r\n"), 1 => Just("\n"), 1 => Just("get http://h HTTP/1.1\r\n"),
        1 => Just("GET / HTTP/2.0\n"), 1 => Just("GET / HTTP/1.1\n"), 2 => Just("OPTIONS * HTTP/1.1\r\n"),
        1 => Just("GET /a[1]|{x}?q=\\^`\"% HTTP/1.1\r\n"), 1 => Just("GET /<x>#y HTTP/1.1\r\n"),
    ];
    let field = prop_oneof![
        6 => Just("Host: a\r\n"), 2 => Just("Content-Length: 5\r\n"), 2 => Just("Transfer-Encoding: chunked\r\n"),
        1 => Just("Connection: close\r\n"), 1 => Just("Expect: 100-continue\r\n"), 1 => Just("X: y\n"),
        2 => Just("Max-Forwards: 0\r\n"), 1 => Just("Max-Forwards: 7\r\n"), 1 => Just("Max-Forwards: x\r\n"),
        1 => Just("Connection: max-forwards\r\n"), 1 => Just("Proxy-Authorization: x\r\n"),
        1 => Just("Connection: X, keep-alive\r\n"), 1 => Just("X : y\r\n"), 1 => Just("Content-Length: 6\r\n"),
    ];
    let body = prop_oneof![
        3 => Just(""), 3 => Just("hello"), 2 => Just("5\r\nhello\r\n0\r\n\r\n"), 1 => Just("5;x\r\nhello\r\n0\r\nA: b\r\n\r\n"),
        1 => Just("zz\r\n"), 1 => Just("5\r\nhel"),
    ];
    (line, proptest::collection::vec(field, 0..4), body)
        .prop_map(|(line, fields, body)| format!("{line}{}\r\n{body}", fields.concat()).into_bytes())
}

fn response() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_owned()),
        Just(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;e\r\nhello\r\n0\r\nX: y\r\n\r\n"
                .to_owned()
        ),
        Just("HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n".to_owned()),
        Just("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n".to_owned()),
        Just("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort".to_owned()),
        Just("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nlonger".to_owned()),
        Just("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n".to_owned()),
        Just("HTTP/1.1 200".to_owned()),
        Just("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 0\r\n\r\n".to_owned()),
        Just("HTTP/1.1 200 OK\r\nConnection: date\r\nDate: x\r\nContent-Length: 0\r\n\r\n".to_owned()),
        (0usize..40_000)
            .prop_map(|n| format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n{}", "b".repeat(n))),
    ]
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(prop_oneof![1usize..4, 1usize..40, 1usize..20_000], 1..12)
}

fn script() -> impl Strategy<Value = Script> {
    let then = prop_oneof![Just(Then::Stall), Just(Then::Close), Just(Then::Reset)];
    prop_oneof![
        4 => (response(), then.clone()).prop_map(|(says, then)| Script::says(says).then(then)),
        1 => Just(Script::refuses(ErrorKind::ConnectionRefused)),
        1 => Just(Script::refuses(ErrorKind::TimedOut)),
        1 => (proptest::collection::vec(any::<u8>(), 0..200), then).prop_map(|(says, then)| Script::says(says).then(then)),
        1 => (response(), 0usize..300).prop_map(|(says, accepts)| Script::says(says).accepts(accepts)),
    ]
}

/// A world without pieces, with these scripts, whose balancer knows the time.
fn world(client: &[u8], scripts: &[Script], backends: u16) -> World {
    scripts.iter().cloned().fold(World::new(client).backends(backends).tells_time(), World::backend)
}

fn answers() -> impl Strategy<Value = Vec<u8>> {
    response().prop_map(String::into_bytes)
}

fn chunks() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => (1usize..300).prop_map(|n| format!("{n:x}\r\n{}\r\n", "x".repeat(n))),
        2 => (1usize..20).prop_map(|n| format!("{n:X} ;a=\"b\";c\r\n{}\r\n", "\n".repeat(n))),
        1 => Just("5\r\nhello\n".to_owned()),
        1 => Just("00000000000000000\r\n".to_owned()),
    ];
    let trailer =
        prop_oneof![Just("X: y\r\n"), Just("Content-Length: 5\r\n"), Just("X : y\r\n"), Just("x\r\n")];
    (proptest::collection::vec(part, 0..5), proptest::collection::vec(trailer, 0..3)).prop_map(
        |(parts, trailers)| format!("{}0\r\n{}\r\nrest", parts.concat(), trailers.concat()).into_bytes(),
    )
}

/// With one byte changed, put in or taken out.
fn almost(whole: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![prop::sample::select(b"\r\n\0 \t:;,%\x0b\x80".to_vec()), any::<u8>()];
    (whole, any::<prop::sample::Index>(), byte, 0u8..3).prop_map(|(mut whole, at, byte, change)| {
        if whole.is_empty() {
            return whole;
        }
        let at = at.index(whole.len());
        match change {
            0 => whole[at] = byte,
            1 => whole.insert(at, byte),
            _ => drop(whole.remove(at)),
        }
        whole
    })
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![Just(Fault::TimesOut), Just(Fault::Resets), Just(Fault::Ends)]
}

#[test]
fn histories_of_a_cache_have_many_answers_from_it() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut from_cache = 0;
    for _ in 0..500 {
        let mut history = [0; 8 * 30];
        rng.fill(&mut history);
        from_cache += cache_history::play(&history);
    }
    assert!(from_cache > 300, "{from_cache} of 15000");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_history_of_a_cache_gives_anybody_what_is_not_for_them(
        history in proptest::collection::vec(any::<u8>(), 0..320),
    ) {
        cache_history::play(&history);
    }

    #[test]
    fn the_same_bytes_go_out_however_the_input_is_split(
        requests in proptest::collection::vec(request(), 1..4),
        scripts in proptest::collection::vec(
            (response(), prop_oneof![Just(Then::Stall), Just(Then::Close)]).prop_map(|(says, then)| Script::says(says).then(then)),
            0..4,
        ),
        pieces in pieces(),
    ) {
        splits::split(&world(&requests.concat(), &scripts, 2), &[vec![1], pieces]);
    }

    #[test]
    fn a_request_head_is_judged_as_a_strict_reader_does_wherever_it_is_cut(
        request in prop_oneof![request(), almost(request())],
    ) {
        splits::request_head(&request);
    }

    #[test]
    fn an_answer_is_relayed_as_a_strict_reader_reads_it_however_it_is_split(
        question in any::<u8>(),
        answer in prop_oneof![answers(), almost(answers())],
    ) {
        splits::answer(question, &answer);
    }

    #[test]
    fn a_chunked_body_is_scanned_as_a_strict_reader_does_however_it_is_split(
        body in prop_oneof![chunks(), almost(chunks())],
        pieces in pieces(),
    ) {
        splits::chunked_body(&body, &pieces);
    }

    #[test]
    fn a_failure_of_any_operation_leaves_nothing_wrong_on_either_side(
        requests in proptest::collection::vec(request(), 1..4),
        scripts in proptest::collection::vec(script(), 0..4),
        faults in proptest::collection::vec((0usize..40, fault()), 1..4),
        pieces in pieces(),
    ) {
        let world = world(&requests.concat(), &scripts, 3).pieces(&pieces);
        faults.into_iter().fold(world, |world, (operation, fault)| world.fault(operation, fault)).run();
    }

    #[test]
    fn every_session_ends_whatever_the_peers_do(
        requests in proptest::collection::vec(request(), 0..4),
        noise in proptest::collection::vec(any::<u8>(), 0..50),
        cut in any::<prop::sample::Index>(),
        scripts in proptest::collection::vec(script(), 0..6),
        backends in 1u16..4,
        pieces in pieces(),
        closes in any::<bool>(),
    ) {
        let mut input = requests.concat();
        input.truncate(cut.index(input.len() + 1));
        input.extend_from_slice(&noise);
        let mut world = world(&input, &scripts, backends).pieces(&pieces);
        if !closes {
            world = world.client_waits();
        }
        // `run` asserts the rest: no operation without room or bytes, nothing left in flight, an end.
        prop_assert_ne!(world.run().reason, roundtable::proxy::CloseReason::DriverFault);
    }

    #[test]
    fn a_body_of_any_length_and_form_reaches_the_backend_whole(
        length in 0usize..60_000,
        chunk in 1usize..30_000,
        chunked in any::<bool>(),
        pieces in pieces(),
    ) {
        let body: Vec<u8> = (0..length).map(|n| (n % 253) as u8).collect();
        let mut framed = Vec::new();
        let field = if chunked {
            for part in body.chunks(chunk) {
                framed.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                framed.extend_from_slice(part);
                framed.extend_from_slice(b"\r\n");
            }
            framed.extend_from_slice(b"0\r\n\r\n");
            "Transfer-Encoding: chunked".to_owned()
        } else {
            framed.extend_from_slice(&body);
            format!("Content-Length: {length}")
        };
        let mut input = format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n").into_bytes();
        input.extend_from_slice(&framed);
        input.extend_from_slice(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        let outcome = World::new(input).pieces(&pieces).run();
        let sent = &outcome.to_backends[0].1;
        let head = sent.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        prop_assert!(sent[head..].starts_with(&framed));
        prop_assert!(sent[head + framed.len()..].starts_with(b"GET /next HTTP/1.1\r\n"));
    }
}
