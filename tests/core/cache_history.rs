//! Histories of a cache, written as bytes: requests, answers and faults one after the other, with time between them.
//!
//! Owns what such bytes mean, how they are played, and what each client's answer is compared with; whether a stored answer may be
//! given is judged in `cache_rules`. Every answer that a backend gives has a number (`X-N`), and a body that is made from it, so
//! that what comes from the cache is known by whose it is. Shared with the fuzz target `cache`: each input is a history, and each
//! eight bytes are a step.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::cache_rules::{Answer, Control, Memory, Question};
use crate::oracle::value;
use crate::strict::{self, Reading, Response};
use crate::world::{Outcome, Script, Then, World, caching_proxy};

/// Steps of a history at most.
const MOST_STEPS: usize = 40;
/// When everything was changed that says when it was.
const CHANGED: &str = "Thu, 01 Jan 1970 00:00:00 GMT";
/// A hundred seconds later, so that a tenth of the time since the change is ten seconds.
const DATE: &str = "Thu, 01 Jan 1970 00:01:40 GMT";

/// The status of an answer that nobody has asked for.
const NOT_ASKED_FOR: u16 = 299;

/// How an answer's body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length,
    Chunked,
    UntilClose,
    /// Half of it.
    Broken,
    /// With more behind it.
    Surplus,
}

/// What a backend does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Answers,
    Refuses,
    HangsUp,
}

#[derive(Debug)]
struct Step {
    seconds: u64,
    asks: Question,
    /// Conditions and ranges of the client's own.
    conditions: &'static str,
    is_pragma: bool,
    says: Answer,
    framing: Framing,
    deed: Deed,
    pieces: Vec<usize>,
}

impl Step {
    fn decode(bytes: &[u8; 8]) -> Step {
        let [who, wish, condition, control, age, more, shape, time] = *bytes;
        let of = |byte: u8, from: u32, count: u8| usize::from(byte >> from & (count - 1));
        let mut asks = Question {
            method: ["GET", "GET", "GET", "GET", "GET", "HEAD", "POST", "OPTIONS"][of(who, 0, 8)],
            path: of(who, 3, 2),
            host: of(who, 4, 2) & of(who, 7, 2),
            variant: [None, Some(1), Some(2), None][of(who, 5, 4)],
            is_authorized: of(wish, 0, 4) == 3,
            ..Question::default()
        };
        match of(wish, 2, 8) {
            3 => asks.no_store = true,
            4 => asks.no_cache = true,
            5 => asks.max_age = Some(5),
            6 => asks.min_fresh = Some(4),
            7 => asks.only_if_cached = true,
            _ => {}
        }
        asks.max_stale = [None, None, Some(3), Some(u64::MAX)][of(wish, 5, 4)];
        let is_pragma = of(condition, 5, 4) == 3;
        asks.no_cache |= is_pragma && asks.directives().is_empty();
        let mut said = Control::default();
        match of(control, 0, 8) {
            5 => said.no_store = true,
            6 => said.private = true,
            7 => said.no_cache = true,
            _ => {}
        }
        let lifetime = of(control, 3, 4);
        said.max_age = (lifetime < 3).then_some(2 * u64::from(age & 15));
        said.shared_max_age = (lifetime == 2).then_some(u64::from(age >> 4));
        said.must_revalidate = matches!(of(control, 5, 8), 3 | 6);
        said.proxy_revalidate = of(control, 5, 8) == 4;
        said.public = matches!(of(control, 5, 8), 5 | 6);
        said.while_revalidating = (of(more, 0, 2) == 1).then_some(5);
        said.if_error = (of(more, 1, 2) == 1).then_some(8);
        let says = Answer {
            status: [200, 200, 200, 304, 304, 404, 503, 206][of(shape, 2, 8)],
            control: Some(said).filter(|said| *said != Control::default()),
            for_shared_caches: match of(more, 6, 4) {
                2 => Some(Control { max_age: Some(3), ..Control::default() }),
                3 if said.if_error.is_some() => Some(Control { private: true, ..Control::default() }),
                _ => None,
            },
            varies: match of(more, 2, 4) {
                0 | 1 => None,
                3 if of(more, 4, 4) == 2 => Some("*"),
                _ => Some("X-V"),
            },
            sets_cookie: of(more, 4, 4) == 3,
            tag: [None, Some("\"1\""), Some("\"2\""), Some("W/\"1\"")][of(shape, 0, 4)],
            says_when_changed: of(condition, 7, 2) == 1,
        };
        Step {
            seconds: [0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 5, 7, 10, 15][of(time, 0, 16)],
            asks,
            conditions: [
                "",
                "",
                "",
                "If-None-Match: \"1\"\r\n",
                "If-None-Match: *\r\n",
                "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
                "Range: bytes=1-3\r\n",
                "Range: bytes=1-3\r\nIf-Range: \"1\"\r\n",
            ][of(condition, 0, 8)],
            is_pragma,
            says,
            framing: [
                Framing::Length,
                Framing::Length,
                Framing::Length,
                Framing::Chunked,
                Framing::Chunked,
                Framing::UntilClose,
                Framing::Broken,
                Framing::Surplus,
            ][of(shape, 5, 8)],
            deed: match of(condition, 3, 4) {
                3 if of(who, 7, 2) == 1 => Deed::Refuses,
                3 => Deed::HangsUp,
                _ => Deed::Answers,
            },
            pieces: [vec![], vec![1], vec![7, 1], vec![50]][of(time, 4, 4)].clone(),
        }
    }

    fn request(&self) -> String {
        let Question { method, path, host, variant, is_authorized, .. } = self.asks;
        let mut fields = String::from(self.conditions);
        if let Some(variant) = variant {
            fields += &format!("X-V: {variant}\r\n");
        }
        if is_authorized {
            fields += "Authorization: x\r\n";
        }
        let directives = self.asks.directives();
        // `Pragma` is its own directive where there is no other.
        if !directives.is_empty() && (!self.is_pragma || directives != ["no-cache"]) {
            fields += &format!("Cache-Control: {}\r\n", directives.join(", "));
        }
        if self.is_pragma {
            fields += "Pragma: no-cache\r\n";
        }
        let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
        format!("{method} /{path} HTTP/1.1\r\nHost: h{host}\r\n{length}{fields}Connection: close\r\n\r\n")
    }

    /// Answer `number`, with this status.
    fn answer(&self, number: usize, status: u16) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {status} Said\r\n{}", self.says.fields());
        if self.says.says_when_changed {
            head += &format!("Date: {DATE}\r\nLast-Modified: {CHANGED}\r\n");
        }
        if status == 304 {
            return format!("{head}\r\n").into_bytes();
        }
        // What a HEAD is told updates what is stored: a number would then stand for another one's body.
        if self.asks.method != "HEAD" {
            head += &format!("X-N: {number}\r\n");
        }
        let body = body(number);
        let mut answer = match self.framing {
            Framing::Chunked => {
                format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
            }
            Framing::UntilClose => format!("{head}\r\n{body}"),
            _ => format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()),
        };
        if self.asks.method == "HEAD" {
            answer.truncate(answer.find("\r\n\r\n").map_or(0, |end| end + 4));
        } else if self.framing == Framing::Broken {
            answer.truncate(answer.len() - body.len().div_ceil(2));
        } else if self.framing == Framing::Surplus {
            answer += &format!(
                "HTTP/1.1 {NOT_ASKED_FOR} OK\r\nX-N: 999\r\nCache-Control: max-age=99\r\nContent-Length: 4\r\n\r\nevil"
            );
        }
        answer.into_bytes()
    }

    /// The two answers that a backend may have to give in step `at`: the second one is to a request that is sent again.
    fn scripts(&self, at: usize) -> [Script; 2] {
        let [first, second] = [2 * at, 2 * at + 1];
        let again = if self.says.status == 304 { 200 } else { self.says.status };
        let then = if matches!(self.framing, Framing::UntilClose | Framing::Broken) {
            Then::Close
        } else {
            Then::Stall
        };
        match self.deed {
            Deed::Refuses => [(), ()].map(|()| Script::refuses(ErrorKind::ConnectionRefused)),
            Deed::HangsUp => [(), ()].map(|()| Script::says("").then(Then::Close)),
            Deed::Answers => {
                let first = Script::says(self.answer(first, self.says.status));
                let second = self.answer(second, again);
                [first.and_then_says(&second).then(then), Script::says(second).then(then)]
            }
        }
    }

    /// Whether its body may be whole within its framing. What comes behind it may come too late to be seen.
    fn may_be_whole(&self) -> bool {
        matches!(self.framing, Framing::Length | Framing::Chunked | Framing::Surplus)
    }

    /// Whether nothing of it depends on how its bytes come.
    fn is_plain(&self) -> bool {
        !matches!(self.framing, Framing::Broken | Framing::Surplus) && self.deed == Deed::Answers
    }
}

/// The body of answer `number`, in which each piece tells whose it is.
fn body(number: usize) -> String {
    format!("{number:03};").repeat(1 + number % 5)
}

/// Plays the history that `input` is, and again with its bytes in one piece; panics where a client gets what it may not. How many
/// answers came from the cache.
pub fn play(input: &[u8]) -> usize {
    let steps: Vec<Step> = input.as_chunks().0.iter().take(MOST_STEPS).map(Step::decode).collect();
    let split = play_steps(&steps, true);
    if steps.iter().all(Step::is_plain) {
        assert_eq!(split, play_steps(&steps, false), "in pieces and whole: {steps:#?}");
    }
    let is_stored =
        |(at, (_, number)): &(usize, &(u16, Option<usize>))| number.is_some_and(|number| number / 2 != *at);
    split.iter().enumerate().filter(is_stored).count()
}

/// What each client was told: the status, and the number of the answer.
fn play_steps(steps: &[Step], in_pieces: bool) -> Vec<(u16, Option<usize>)> {
    let proxy = caching_proxy(1);
    let (start, mut second) = (Instant::now(), 0);
    let (mut memory, mut told) = (Memory::default(), Vec::new());
    for (at, step) in steps.iter().enumerate() {
        second += step.seconds;
        let [first, other] = step.scripts(at);
        let mut world = World::new(step.request()).backend(first).backend(other);
        if in_pieces {
            world = world.pieces(&step.pieces);
        }
        let outcome = world.run_from(&proxy, start + Duration::from_secs(second));
        let is_head = step.asks.method == "HEAD";
        let response = strict::response(&outcome.to_client, is_head, Reading::Sent)
            .unwrap_or_else(|fault| panic!("{fault}: {}", outcome.client_text()));
        let number = response.as_ref().and_then(number);
        if let (Some(response), Some(number)) = (&response, number) {
            judge_body(at, response, number, is_head, &outcome);
        }
        let heard = Heard::of(&outcome);
        memory.judge(at, second, &step.asks, number, &heard);
        // What may be stored of this step, if it may: both answers, since it is not told which was read.
        for number in [2 * at, 2 * at + 1].into_iter().filter(|_| step.may_be_whole()) {
            memory.learn(number, second, &step.asks, &step.says);
        }
        memory.follow(at, second, &step.asks, &step.says, number, &heard);
        told.push((response.map_or(0, |response| response.start.code), number));
    }
    told
}

/// What was heard of backends in one step.
#[derive(Debug)]
pub struct Heard {
    /// Statuses, in their order.
    pub statuses: Vec<u16>,
    /// A backend was asked with a condition.
    pub had_condition: bool,
}

impl Heard {
    fn of(outcome: &Outcome) -> Heard {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let heard: Vec<String> = outcome.from_backends.iter().map(|bytes| text(bytes)).collect();
        let status = |rest: &str| {
            rest.get(..3).and_then(|code| code.parse().ok()).filter(|code| *code != NOT_ASKED_FOR)
        };
        let statuses =
            heard.iter().flat_map(|heard| heard.split("HTTP/1.1 ").skip(1).filter_map(status)).collect();
        let had_condition = outcome.to_backends.iter().any(|(_, sent)| text(sent).contains("\r\nIf-"));
        Heard { statuses, had_condition }
    }
}

fn number(response: &Response) -> Option<usize> {
    String::from_utf8_lossy(value(&response.fields, "x-n")?).parse().ok()
}

/// The body belongs to the number that the head tells.
fn judge_body(at: usize, response: &Response, number: usize, is_head: bool, outcome: &Outcome) {
    let whole = body(number);
    let (data, code) = (&response.body.data, response.start.code);
    let is_stored = number / 2 != at;
    let right = match code {
        304 | 416 => data.is_empty(),
        _ if is_head => data.is_empty(),
        206 if is_stored => *data == whole.as_bytes()[1..4.min(whole.len())],
        _ if response.body.is_whole || is_stored => *data == whole.as_bytes(),
        _ => whole.as_bytes().starts_with(data),
    };
    assert!(right, "the body of {number} is another one's: {}", outcome.client_text());
    assert!(
        !is_stored || code == 304 || response.body.is_whole,
        "half of what is stored: {}",
        outcome.client_text()
    );
}
