//! The simulated backends: what they make of requests, and everything that they do wrong.
//!
//! Owns a backend's state and the connections to it. Every request that comes is read strictly and compared with
//! the one that a client sent.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::client::{ORIGIN_DATE, answer_of, tells_time};
use crate::oracle::{self, value};
use crate::strict::{self, Reading, Request};

/// Whether a backend takes connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Up,
    Refusing,
    /// Connection attempts are never answered.
    Silent,
}

/// A connection from the balancer to a backend.
#[derive(Debug)]
pub struct Wire {
    pub origin: usize,
    /// What came and is no whole request yet.
    inbound: Vec<u8>,
    /// What was said and not read.
    outbound: VecDeque<u8>,
    /// From when on that can be read.
    ready: Duration,
    /// What follows it.
    end: Option<ErrorKind>,
    /// It reads no more.
    is_full: bool,
    /// No end was announced, and every answer was a regular one.
    keeps: bool,
    /// It has answered before the request was whole.
    is_ahead: bool,
    /// Bytes of whole, regular answers.
    promised: usize,
    read: usize,
}

/// Stands for a clean end in [`Wire::end`].
const CLOSES: ErrorKind = ErrorKind::UnexpectedEof;

impl Wire {
    pub fn new(origin: usize) -> Self {
        Wire {
            origin,
            inbound: Vec::new(),
            outbound: VecDeque::new(),
            ready: Duration::ZERO,
            end: None,
            is_full: false,
            keeps: true,
            is_ahead: false,
            promised: 0,
            read: 0,
        }
    }

    /// The backend has died.
    pub fn reset(&mut self) {
        self.outbound.clear();
        self.end = Some(ErrorKind::ConnectionReset);
        self.ready = Duration::ZERO;
    }

    /// A backend closes what has been idle for long.
    pub fn close_idle(&mut self) {
        self.end.get_or_insert(CLOSES);
    }

    /// Something can be read that nobody has asked for.
    pub fn has_spoken(&self) -> bool {
        !self.outbound.is_empty()
    }

    /// Whether a read would come to anything now.
    pub fn can_be_read(&self, now: Duration) -> bool {
        now >= self.ready && (self.has_spoken() || self.has_ended())
    }

    pub fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Why this connection must not be kept for another request, if so. What it has not been heard to say is not
    /// known to anybody.
    pub fn objection(&self) -> Option<&'static str> {
        match () {
            () if !self.inbound.is_empty() => Some("half a request was sent on it"),
            () if self.read > self.promised => Some("more than the answer was read from it"),
            () if self.read < self.promised => Some("its answer has not been read"),
            () if !self.keeps => Some("its end was announced, or its answer broken"),
            () => None,
        }
    }

    /// What the balancer reads; `Err(Ok(_))` is when to ask again.
    pub fn read(
        &mut self,
        room: &mut [u8],
        now: Duration,
        rng: &mut ChaCha8Rng,
    ) -> Result<usize, Result<Duration, ErrorKind>> {
        if now < self.ready {
            return Err(Ok(self.ready));
        }
        if self.outbound.is_empty() {
            return match self.end {
                None => Err(Ok(Duration::MAX)),
                Some(CLOSES) => Ok(0),
                Some(kind) => Err(Err(kind)),
            };
        }
        let count = super::some(room.len().min(self.outbound.len()), rng);
        for (place, byte) in room.iter_mut().zip(self.outbound.drain(..count)) {
            *place = byte;
        }
        self.read += count;
        Ok(count)
    }

    /// What the balancer writes; how much of it was taken.
    pub fn write(
        &mut self,
        bytes: &[u8],
        asks: &BTreeMap<u32, Request>,
        now: Duration,
        is_calm: bool,
        rng: &mut ChaCha8Rng,
    ) -> Result<usize, Result<Duration, ErrorKind>> {
        match self.end {
            Some(CLOSES) if rng.random() => {}
            Some(_) => {
                return Err(Err([ErrorKind::BrokenPipe, ErrorKind::ConnectionReset][rng.random_range(0..2)]));
            }
            None => {}
        }
        if self.is_full {
            return Err(Ok(Duration::MAX));
        }
        let count = super::some(bytes.len(), rng);
        self.inbound.extend_from_slice(&bytes[..count]);
        self.take_request(asks, now, is_calm, rng);
        Ok(count)
    }

    fn take_request(
        &mut self,
        asks: &BTreeMap<u32, Request>,
        now: Duration,
        is_calm: bool,
        rng: &mut ChaCha8Rng,
    ) {
        let shown = || String::from_utf8_lossy(&self.inbound);
        let read = strict::request(&self.inbound, Reading::Sent);
        let Some(mut request) = read.unwrap_or_else(|fault| panic!("{fault}: {:?}", shown())) else { return };
        // A condition is the cache's: clients have none.
        let condition = value(&request.fields, "if-none-match").map(<[u8]>::to_vec);
        request.fields.retain(|(name, _)| name != "if-none-match");
        let id = request.start.target[1..].parse().expect("the target is the number");
        if let Err(complaint) = oracle::same_request(&asks[&id], &request) {
            panic!("{complaint}: {:?}", shown());
        }
        if !request.body.is_whole {
            if !is_calm && self.end.is_none() && !self.is_ahead && rng.random_ratio(1, 200) {
                self.refuse_early(id, rng);
            } else if !is_calm && self.end.is_none() && !self.is_ahead && rng.random_ratio(1, 200) {
                self.say(b"HTTP/1.1 103 Early Hints\r\nLink: </early>\r\n\r\n");
            }
            return;
        }
        assert_eq!(request.length, self.inbound.len(), "something follows a request that is not answered");
        self.inbound.clear();
        if self.end.is_some() {
            // Nobody is there any more.
            return;
        }
        if condition.is_some_and(|tag| tag == tag_of(id).as_bytes()) && rng.random() {
            self.ready = now + Duration::from_millis(rng.random_range(0..50));
            let date = if tells_time(id) { ORIGIN_DATE } else { "" };
            self.say(format!("HTTP/1.1 304 Not Modified\r\n{date}{}\r\n", kept(id)).as_bytes());
            return;
        }
        if !std::mem::take(&mut self.is_ahead) {
            self.answer(id, request.start.method == "HEAD", now, is_calm, rng);
        }
    }

    /// A refusal that does not wait for the whole upload.
    fn refuse_early(&mut self, id: u32, rng: &mut ChaCha8Rng) {
        let head = format!("HTTP/1.1 413 Content Too Large\r\nX-Id: {id}\r\nContent-Length: 0\r\n\r\n");
        self.say(head.as_bytes());
        self.is_ahead = true;
        match rng.random_range(0..3) {
            0 => self.is_full = true,
            1 => self.end = Some(CLOSES),
            _ => {}
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.outbound.extend(bytes);
        self.promised += bytes.len();
    }

    fn answer(&mut self, id: u32, to_head: bool, now: Duration, is_calm: bool, rng: &mut ChaCha8Rng) {
        self.ready = now + Duration::from_millis(rng.random_range(0..50));
        let style = rng.random_range(0..if to_head { 4 } else { 6 });
        let bytes = response(id, style, to_head);
        self.keeps = style < 3;
        let is_until_close = style >= 4;
        let deed = if is_calm { 0 } else { rng.random_range(0..30) };
        match deed {
            // Not a word.
            1 => self.end = Some(CLOSES),
            2 => self.end = Some(ErrorKind::ConnectionReset),
            3 => {}
            // Half of it. An end without length must not look like a clean one.
            4 | 5 => {
                let half = rng.random_range(0..bytes.len());
                self.outbound.extend(&bytes[..half]);
                self.end = match rng.random_range(0..3) {
                    0 if !is_until_close || half == 0 => Some(CLOSES),
                    1 => None,
                    _ => Some(ErrorKind::ConnectionReset),
                };
                self.keeps = false;
            }
            6 => {
                self.outbound.extend(b"\x15\x03\x01 this is no HTTP\r\n\r\n");
                self.keeps = false;
            }
            // An answer that nobody asked for behind the right one.
            7 if style < 3 => {
                self.say(&bytes);
                self.outbound.extend(b"HTTP/1.1 200 OK\r\nX-Id: forged\r\nContent-Length: 4\r\n\r\nevil");
            }
            _ => {
                self.say(&bytes);
                if !self.keeps {
                    self.end = Some(CLOSES);
                }
                if deed == 8 {
                    self.ready = now + Duration::from_secs(rng.random_range(1..40));
                }
            }
        }
    }
}

/// What the answer to request `id` says of its version.
fn tag_of(id: u32) -> String {
    format!("\"{id}\"")
}

/// What the answer to request `id` says to caches: nothing, how long it may be kept, or that with a version to ask about.
fn kept(id: u32) -> String {
    match id % 4 {
        0 => "Cache-Control: max-age=600\r\n".to_owned(),
        2 => format!("Cache-Control: max-age=2\r\nETag: {}\r\n", tag_of(id)),
        _ => String::new(),
    }
}

/// The right answer, in one of several forms. From 3 on the connection ends with it, from 4 on without a length.
fn response(id: u32, style: u32, to_head: bool) -> Vec<u8> {
    let content = if to_head { Vec::new() } else { answer_of(id) };
    let length = answer_of(id).len();
    let date = if tells_time(id) { ORIGIN_DATE } else { "" };
    let kept = kept(id);
    let head =
        |fields: &str| format!("HTTP/1.1 200 OK\r\nX-Id: {id}\r\n{date}{kept}{fields}\r\n").into_bytes();
    let mut bytes = match style {
        0 => head(&format!("Content-Length: {length}\r\n")),
        1 => {
            let mut bytes = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".to_vec();
            bytes.extend(head(&format!("Content-Length: {length}\r\n")));
            bytes
        }
        2 => {
            let mut bytes = head("Transfer-Encoding: chunked\r\n");
            for part in content.chunks(4000) {
                bytes.extend_from_slice(format!("{:x};x=\"y\"\r\n", part.len()).as_bytes());
                bytes.extend_from_slice(&[part, b"\r\n"].concat());
            }
            if !to_head {
                bytes.extend_from_slice(b"0\r\nX-Trailer: 1\r\n\r\n");
            }
            return bytes;
        }
        3 => head(&format!("Connection: close\r\nContent-Length: {length}\r\n")),
        _ => head(""),
    };
    bytes.extend_from_slice(&content);
    bytes
}
