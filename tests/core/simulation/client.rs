//! The simulated clients: what one connection asks, how it misbehaves, and what it may get.
//!
//! Owns the judgement of every response as soon as it is whole, and of the connection's end.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use roundtable::proxy::CloseReason;

use crate::oracle::{is_idempotent, value};
use crate::strict::{self, Framing, Reading, Response};

/// What time it is to an origin.
const ORIGIN_TIME: SystemTime = SystemTime::UNIX_EPOCH;
/// The same in an answer.
pub const ORIGIN_DATE: &str = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
/// Between two bytes of a client that drips.
const DRIP: Duration = Duration::from_secs(10);

/// The content of the answer to request `id`.
pub fn answer_of(id: u32) -> Vec<u8> {
    content(id, "answer", [0, 2, 700, 5_000, 20_000, 60_000][id as usize % 6])
}

/// Whether the answer to request `id` says what time it was.
pub fn tells_time(id: u32) -> bool {
    id.is_multiple_of(3)
}

/// The content of the request `id`, if it has one.
fn upload_of(id: u32) -> Vec<u8> {
    content(id, "upload", [3, 0, 900, 17_000, 40_000][id as usize % 5])
}

fn content(id: u32, kind: &str, length: usize) -> Vec<u8> {
    format!("{kind} {id}, ").bytes().cycle().take(length).collect()
}

/// One request.
#[derive(Debug, Clone)]
pub struct Ask {
    pub id: u32,
    pub method: &'static str,
    minor: u8,
    upload: Framing,
    closes: bool,
    expects: bool,
}

impl Ask {
    pub fn random(id: u32, rng: &mut ChaCha8Rng) -> Self {
        let method = ["GET", "GET", "GET", "HEAD", "PUT", "POST", "POST", "DELETE"][rng.random_range(0..8)];
        let minor = u8::from(rng.random_ratio(7, 8));
        let upload = match rng.random_range(0..4) {
            _ if !matches!(method, "PUT" | "POST") => Framing::None,
            0 if minor > 0 => Framing::Chunked,
            _ => Framing::Length(upload_of(id).len() as u64),
        };
        let expects = upload != Framing::None && rng.random_ratio(1, 8);
        Ask { id, method, minor, upload, closes: rng.random_ratio(1, 16), expects }
    }

    pub fn is_idempotent(&self) -> bool {
        is_idempotent(self.method)
    }

    /// Whether a cache may have the answer.
    pub fn may_be_kept(&self) -> bool {
        self.method == "GET" && self.id.is_multiple_of(2)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let Ask { id, method, minor, .. } = self;
        let mut bytes = format!("{method} /{id} HTTP/1.{minor}\r\nHost: simulated\r\n").into_bytes();
        if self.closes {
            bytes.extend_from_slice(b"Connection: close\r\n");
        } else if *minor == 0 {
            bytes.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        if self.expects {
            bytes.extend_from_slice(b"Expect: 100-continue\r\n");
        }
        let upload = upload_of(*id);
        match self.upload {
            Framing::Length(length) => {
                bytes.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
                bytes.extend_from_slice(&upload);
            }
            Framing::Chunked => {
                bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                for part in upload.chunks(3000) {
                    bytes.extend_from_slice(format!("{:x};part\r\n", part.len()).as_bytes());
                    bytes.extend_from_slice(&[part, b"\r\n"].concat());
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
            Framing::None | Framing::UntilClose => bytes.extend_from_slice(b"\r\n"),
        }
        bytes
    }
}

/// What a client does when it has sent so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Honest,
    /// Nothing for a while, then the rest.
    Pauses(usize, Duration),
    /// Nothing more for ever.
    Stalls(usize),
    /// A byte every ten seconds, which no body may.
    Drips(usize),
    /// Sends the end of the stream.
    Ends(usize),
    /// Resets the connection.
    Resets(usize),
    /// Reads no more when it has got so many bytes.
    StopsReading(usize),
    /// Resets the connection when it has got so many bytes.
    ResetsReading(usize),
}

/// One client connection.
#[derive(Debug)]
pub struct Client {
    asks: Vec<Ask>,
    /// Asks only when the answer to the last one has come.
    is_sequential: bool,
    pub manner: Manner,
    /// When it connects.
    pub arrives: Duration,
    /// Asks that are on the wire or were.
    asked: usize,
    wire: VecDeque<u8>,
    ready: Duration,
    sent: usize,
    pub is_gone: bool,
    got: Vec<u8>,
    /// Bytes of `got` that are whole responses.
    judged: usize,
    answered: usize,
    /// A response said that it is the last one.
    was_last: bool,
}

impl Client {
    pub fn new(asks: Vec<Ask>, manner: Manner, rng: &mut ChaCha8Rng) -> Self {
        Client {
            asks,
            is_sequential: rng.random(),
            manner,
            arrives: Duration::from_millis(rng.random_range(0..3000)),
            asked: 0,
            wire: VecDeque::new(),
            ready: Duration::ZERO,
            sent: 0,
            is_gone: false,
            got: Vec::new(),
            judged: 0,
            answered: 0,
            was_last: false,
        }
    }

    /// Takes what the client has sent, at most what `room` holds; `Err` is when to ask again.
    pub fn read(&mut self, room: &mut [u8], now: Duration, rng: &mut ChaCha8Rng) -> Result<usize, Duration> {
        if self.wire.is_empty() && self.asked < self.asks.len() && self.asked <= self.answered {
            if self.asked > 0 {
                // It thinks before it asks again.
                self.ready =
                    now + Duration::from_millis(rng.random_range(0..20_000) * rng.random_range(0..2));
            }
            let coming = if self.is_sequential { self.asked + 1 } else { self.asks.len() };
            self.wire.extend(self.asks[self.asked..coming].iter().flat_map(Ask::bytes));
            self.asked = coming;
        }
        let mut most = self.wire.len();
        match self.manner {
            Manner::Pauses(at, pause) if self.sent >= at => {
                self.ready = now + pause;
                self.manner = Manner::Honest;
            }
            Manner::Stalls(at) if self.sent >= at => return Err(Duration::MAX),
            Manner::Drips(at) if self.sent >= at => most = most.min(1),
            Manner::Ends(at) if self.sent >= at => return Ok(0),
            Manner::Resets(at) if self.sent >= at => {
                self.is_gone = true;
                return Ok(0);
            }
            Manner::Pauses(at, _)
            | Manner::Stalls(at)
            | Manner::Drips(at)
            | Manner::Ends(at)
            | Manner::Resets(at) => {
                most = most.min(at - self.sent);
            }
            _ => {}
        }
        if now < self.ready {
            return Err(self.ready);
        }
        if most == 0 {
            let is_over = self.asked == self.asks.len() && self.answered >= self.asked;
            return if is_over { Ok(0) } else { Err(Duration::MAX) };
        }
        let count = super::some(most.min(room.len()), rng);
        for (place, byte) in room.iter_mut().zip(self.wire.drain(..count)) {
            *place = byte;
        }
        if matches!(self.manner, Manner::Drips(at) if self.sent >= at) {
            self.ready = now + DRIP;
        }
        self.sent += count;
        Ok(count)
    }

    /// Whether it takes no more.
    pub fn is_full(&self) -> bool {
        matches!(self.manner, Manner::StopsReading(at) if self.got.len() >= at)
    }

    /// Gets `bytes`, and judges every response that they complete.
    pub fn gets(&mut self, bytes: &[u8], is_calm: bool) {
        assert!(!self.was_last, "something came behind the last response");
        self.got.extend_from_slice(bytes);
        self.is_gone |= matches!(self.manner, Manner::ResetsReading(at) if self.got.len() >= at);
        while let Some(response) = self.next_response() {
            if !response.body.is_whole {
                return;
            }
            self.judged += response.length;
            if response.start.code >= 200 {
                self.judge(&response, is_calm);
                self.answered += 1;
            } else {
                assert!(self.asks[self.answered].minor > 0, "HTTP/1.0 knows no interim responses");
            }
        }
    }

    fn next_response(&self) -> Option<Response> {
        let rest = &self.got[self.judged..];
        if rest.is_empty() {
            return None;
        }
        let ask = self.asks.get(self.answered).expect("more responses than requests");
        strict::response(rest, ask.method == "HEAD", Reading::Sent)
            .unwrap_or_else(|fault| panic!("{fault}: {:?}", String::from_utf8_lossy(rest)))
    }

    fn judge(&mut self, response: &Response, is_calm: bool) {
        let ask = &self.asks[self.answered];
        let code = response.start.code;
        self.was_last = value(&response.fields, "connection") == Some(b"close");
        let date = value(&response.fields, "date").expect("a response has one date");
        let date = httpdate::parse_http_date(&String::from_utf8_lossy(date)).expect("it is a date");
        if !self.is_from_an_origin(response) {
            assert!(self.was_last || (502..=504).contains(&code), "{code} is the last word");
            assert_ne!(date, ORIGIN_TIME, "an origin's date in a refusal");
            let allowed = match code {
                502..=504 => !is_calm,
                408 => matches!(self.manner, Manner::Stalls(_) | Manner::Drips(_)),
                400 => matches!(self.manner, Manner::Ends(_)),
                _ => false,
            };
            assert!(allowed, "{} /{} was answered with {code} to {:?}", ask.method, ask.id, self.manner);
            return;
        }
        assert_eq!(date == ORIGIN_TIME, code == 200 && tells_time(ask.id), "the date of /{}", ask.id);
        let content = match code {
            200 if ask.method == "HEAD" => Vec::new(),
            200 => answer_of(ask.id),
            413 if ask.upload != Framing::None => Vec::new(),
            _ => panic!("no origin says {code} to {} /{}", ask.method, ask.id),
        };
        assert!(response.body.data == content, "the answer to /{} has the wrong content", ask.id);
    }

    /// Checks the identity of an origin's answer.
    fn is_from_an_origin(&self, response: &Response) -> bool {
        let ask = &self.asks[self.answered];
        let Some(id) = value(&response.fields, "x-id") else { return false };
        assert_eq!(String::from_utf8_lossy(id), ask.id.to_string(), "another request's answer");
        true
    }

    /// The connection's end. A balancer that drains may close after any response.
    pub fn finish(&mut self, reason: CloseReason, is_calm: bool, is_draining: bool) {
        let was_cut =
            matches!(reason, CloseReason::Truncated | CloseReason::Aborted | CloseReason::ClientGone);
        if self.judged < self.got.len() {
            match self.next_response() {
                None => assert!(was_cut, "a response ended in its head: {reason:?}"),
                Some(rest) if rest.framing == Framing::UntilClose => {
                    if !matches!(reason, CloseReason::Aborted | CloseReason::ClientGone) {
                        self.judge(&rest, is_calm);
                        self.answered += 1;
                    }
                    self.was_last = true;
                }
                Some(rest) => {
                    assert!(was_cut, "half a response, and all was well: {reason:?}");
                    if self.is_from_an_origin(&rest) {
                        let content = answer_of(self.asks[self.answered].id);
                        assert!(content.starts_with(&rest.body.data), "half of something else");
                    }
                }
            }
        }
        let is_odd = self.is_gone || self.manner != Manner::Honest;
        let excused = was_cut || self.was_last || is_odd || is_draining;
        assert!(self.answered == self.asks.len() || excused, "unanswered requests at the end: {reason:?}");
        assert!(!is_calm || self.answered == self.asks.len() || self.was_last, "a calm end: {reason:?}");
    }
}
