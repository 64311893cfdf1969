//! One input, whole and in pieces: the same must come of it, and it must be what a strict reader says.
//!
//! Owns what the properties and the fuzz targets share: each function takes any input and panics when the core does
//! anything else than the documents say.

use roundtable::proxy::internals::{self, Judgement};
use roundtable::proxy::{CloseReason, Error, LARGE, Limits};

use crate::oracle;
use crate::strict::{self, Reading, Response};
use crate::world::{AUTHORITY, CLIENT, Outcome, Script, Then, World};

/// Up to this length a head is cut at every place, bytes.
const SHORT: usize = 600;

/// Judges a request's head, whole and at every prefix.
pub fn request_head(input: &[u8]) {
    let limits = Limits::default();
    let mut out = internals::large_buffer();
    let mut judge = |input: &[u8]| internals::judge_request(input, &limits, CLIENT, AUTHORITY, &mut out);
    let whole = judge(input);
    let step = input.len().div_ceil(SHORT).max(1);
    for end in (0..input.len()).step_by(step) {
        let earlier = judge(&input[..end]);
        if earlier != Judgement::Incomplete {
            assert_eq!(earlier, whole, "{:?} up to {end}", String::from_utf8_lossy(input));
            break;
        }
    }
    let shown = || String::from_utf8_lossy(input);
    let read = strict::request(input, Reading::Received);
    match (whole, read) {
        (Judgement::Forwarded { head, length }, Ok(Some(mut received))) => {
            let mut forwarded = strict::request(&head, Reading::Sent)
                .unwrap_or_else(|fault| {
                    panic!("{fault}: {:?} from {:?}", String::from_utf8_lossy(&head), shown())
                })
                .expect("a head is forwarded whole");
            let bodies = (std::mem::take(&mut received.body), std::mem::take(&mut forwarded.body));
            assert_eq!(received.length - bodies.0.length, length, "{:?}", shown());
            if let Err(complaint) = oracle::same_request(&received, &forwarded) {
                panic!("{complaint}: {:?} from {:?}", String::from_utf8_lossy(&head), shown());
            }
        }
        (Judgement::Answered { length }, Ok(Some(received))) => {
            assert_eq!(received.length - received.body.length, length, "{:?}", shown());
            let hops = oracle::value(&received.fields, "max-forwards").map(String::from_utf8_lossy);
            assert_eq!(received.start.method, "OPTIONS", "{:?}", shown());
            assert!(hops.is_some_and(|hops| hops.parse() == Ok(0u64)), "{:?}", shown());
        }
        (Judgement::Forwarded { .. } | Judgement::Answered { .. }, other) => {
            panic!("forwarded, although {other:?}: {:?}", shown());
        }
        (Judgement::Refused(Error::Malformed(reason)), Ok(Some(received))) => {
            // Narrower than the RFC on purpose: ports have at most five digits.
            let authorities = [
                received.start.authority.as_deref().map(str::as_bytes),
                oracle::value(&received.fields, "host"),
            ];
            let is_long = |authority: &[u8]| {
                authority.iter().rev().take_while(|byte| byte.is_ascii_digit()).count() > 5
            };
            assert!(authorities.into_iter().flatten().any(is_long), "refused, but {reason:?}: {:?}", shown());
        }
        (Judgement::Incomplete, Ok(Some(_))) => panic!("taken for incomplete: {:?}", shown()),
        _ => {}
    }
}

/// Scans a chunked body whole, byte by byte and in `pieces`, with its framing and without.
pub fn chunked_body(body: &[u8], pieces: &[usize]) {
    let received = strict::chunked(body, Reading::Received);
    for framed in [true, false] {
        let whole = internals::scan_in_pieces(body, &[], framed);
        for pieces in [&[1], pieces] {
            let split = internals::scan_in_pieces(body, pieces, framed);
            assert_eq!(whole, split, "{:?}", String::from_utf8_lossy(body));
        }
        let shown = || format!("{:?}: {whole:?}", String::from_utf8_lossy(body));
        let Ok(chunks) = &whole else {
            let has_limit = received.fault.is_some() || body.len() > 4096 || is_beyond_limits(body);
            assert!(has_limit, "refused without need: {}", shown());
            continue;
        };
        assert_eq!(received.fault, None, "{}", shown());
        assert_eq!(
            (chunks.is_done, chunks.is_done && received.length != chunks.used),
            (received.is_whole, false),
            "{}",
            shown()
        );
        if framed {
            let sent = strict::chunked(&chunks.kept, Reading::Sent);
            assert_eq!((sent.fault, sent.is_whole), (None, received.is_whole), "{}", shown());
            assert_eq!((&sent.data, sent.length), (&received.data, chunks.kept.len()), "{}", shown());
        } else {
            assert_eq!(chunks.kept, received.data, "{}", shown());
        }
    }
}

/// Narrower than the RFC on purpose: a size has at most sixteen digits, and all of them together can be counted.
fn is_beyond_limits(body: &[u8]) -> bool {
    body.split(|byte| !byte.is_ascii_hexdigit()).any(|digits| digits.len() > 15)
}

/// Relays `answer` to one of four questions, in several splits and with several ends.
pub fn answer(question: u8, answer: &[u8]) {
    let method = ["GET", "HEAD"][usize::from(question & 1)];
    let version = ["1.1", "1.0"][usize::from(question >> 1 & 1)];
    let then = [Then::Close, Then::Reset, Then::Stall][usize::from(question >> 2) % 3];
    let request = format!("{method} / HTTP/{version}\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").repeat(2);
    // The second one tells whether the connection was kept.
    let world = World::new(request)
        .backend(Script::says(answer).then(then))
        .backend(Script::says("").then(Then::Close));
    split(&world, &[vec![1], vec![usize::from(question), 3]]);
    let outcome = world.clone().run();
    let expected = oracle::acceptable_answer(answer, method == "HEAD", then == Then::Close);
    let relayed = oracle::responses(&outcome).0;
    let relayed = relayed.iter().map(|response| response.start.code).find(|code| *code >= 200);
    assert!(
        expected.is_none_or(|code| relayed == Some(code)),
        "{expected:?} was answered with {relayed:?}: {:?}",
        String::from_utf8_lossy(answer)
    );
}

/// Plays a scenario as it is; where nothing in it depends on how its bytes are split, also in other splits.
pub fn session(world: &World) {
    let is_plain =
        |script: &Script| script.accepts == usize::MAX && script.connect.is_ok() && script.early.is_empty();
    if !world.is_paced() && world.faults.is_empty() && world.scripts.iter().all(is_plain) {
        split(world, &[vec![1], world.pieces.clone()]);
    } else {
        world.clone().run();
    }
}

/// Plays a scenario whole and in each of these splits.
pub fn split(world: &World, splits: &[Vec<usize>]) {
    let whole = world.clone().pieces(&[]).run();
    for pieces in splits {
        let split = world.clone().pieces(pieces).run();
        if !is_excused(world, &whole, &split) {
            let (mut one, mut other) = (oracle::responses(&whole), oracle::responses(&split));
            if was_cut(&whole) && was_cut(&split) {
                cut_alike(&mut one.0, &mut other.0);
            }
            assert!(
                one == other,
                "in pieces of {pieces:?} {:?} became {:?}",
                whole.client_text(),
                split.client_text()
            );
            assert_eq!(whole.to_backends, split.to_backends, "in pieces of {pieces:?}");
            assert_eq!(whole.reason, split.reason, "in pieces of {pieces:?}");
        }
    }
}

fn was_cut(outcome: &Outcome) -> bool {
    matches!(outcome.reason, CloseReason::Truncated | CloseReason::Aborted)
}

/// How much of a broken body got through is chance, as long as it is the same body.
fn cut_alike(one: &mut [Response], other: &mut [Response]) {
    let (Some(one), Some(other)) = (one.last_mut(), other.last_mut()) else { return };
    let shorter = one.body.data.len().min(other.body.data.len());
    one.body.data.truncate(shorter);
    other.body.data.truncate(shorter);
}

/// What may depend on the moment at which a fault is found: a backend's body that breaks is a 502 while its head has not
/// gone out, and cuts the client off from then on; an upload that breaks behind the first buffer may have begun to go out.
fn is_excused(world: &World, whole: &Outcome, split: &Outcome) -> bool {
    let is_refused = |outcome: &Outcome| outcome.client_text().contains("HTTP/1.1 502 ");
    let is_long = world.client.len() > LARGE && !oracle::is_sound(&world.client);
    (is_refused(whole) && was_cut(split)) || is_long
}
