//! One client's connection: what it has asked, what it is owed, and what it waits for.
//!
//! Owns the order of reading, answering and closing; the event loop decides when. Rules: one response is in hand at
//! a time, and nothing is read while it is, so that a client that does not read cannot make memory grow; readiness
//! is edge-triggered, so that a read which is known to block is never tried and none that may succeed is left out;
//! files may be long, so that a connection that is sent one gives way to the others after its turn.

use std::io::{ErrorKind, Read};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::SystemTime;

use mio::event::Event as Readiness;
use mio::net::TcpStream;

use crate::files::{Progress, Site, Transfer};
use crate::request::{Event, Parser, Request};
use crate::response::{Afterwards, Outgoing, Responses};

/// What one client may send after a refusal before it is cut off, bytes.
const MAX_LINGER_BYTES: usize = 1 << 20;
/// What one client is sent of files before it is the others' turn, bytes.
const TURN_BYTES: usize = 1 << 20;
/// What an answer counts of a turn beside its bytes: finding and opening a file takes time too.
const ANSWER_COST: usize = 8 << 10;

/// What the event loop has to do for a connection next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing, until the kernel reports something.
    Wait,
    /// Have the kernel report room for writing too, from now on.
    WatchWriting,
    /// Call [`Connection::go_on`] after everybody else had a turn.
    Again,
    /// Call [`Connection::release`] when the delay is over.
    Delay,
    /// Close when the time to linger is over.
    Linger,
    /// Close now.
    Close,
}

/// What is the same for all connections of a server.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) responses: Responses,
    /// The files that are served, if any are, in place of the body.
    pub(crate) site: Option<Site>,
    /// The body that each request is to have, where one is asked for.
    pub(crate) upload: Option<Arc<[u8]>>,
    /// Responses leave later than they could.
    pub(crate) delayed: bool,
    /// Each connection ends with the response in hand.
    pub(crate) leaving: bool,
    /// Where all connections read into, one after the other.
    pub(crate) scratch: Vec<u8>,
}

impl Shared {
    /// `request` as it is answered now.
    fn in_this_mood(&self, request: Request) -> Request {
        Request { persistent: request.persistent && !self.leaving, ..request }
    }
}

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) generation: u64,
    parser: Parser,
    phase: Phase,
    /// Read from the socket while a response was in hand, not parsed yet; `unread[..parsed]` has been.
    unread: Vec<u8>,
    parsed: usize,
    /// The kernel may hold bytes, or the end of the stream.
    readable: bool,
    /// The kernel has reported the end of the stream: reading goes on until it is met.
    read_closed: bool,
    /// The kernel reports room for writing: few connections ever need it, and each report costs a wake-up.
    writing_watched: bool,
    /// [`Next::Again`] was told: no event gives it another turn before.
    awaits_turn: bool,
}

#[derive(Debug)]
enum Phase {
    Reading,
    Delayed(Request),
    Writing(Outgoing),
    Sending(Box<Transfer>),
    Lingering { discarded: usize },
}

impl Connection {
    /// A connection that was just accepted, by a server whose requests `shared` tells of.
    pub(crate) fn new(stream: TcpStream, generation: u64, shared: &Shared) -> Self {
        let parser = match &shared.upload {
            _ if shared.site.is_some() => Parser::keeping(),
            Some(expected) => Parser::expecting(Arc::clone(expected)),
            None => Parser::default(),
        };
        Connection {
            stream,
            generation,
            parser,
            phase: Phase::Reading,
            unread: Vec::new(),
            parsed: 0,
            readable: false,
            read_closed: false,
            writing_watched: false,
            awaits_turn: false,
        }
    }

    /// Takes note of what the kernel reported, and goes as far as that leads.
    pub(crate) fn ready(&mut self, readiness: &Readiness, shared: &mut Shared) -> Next {
        self.readable |= readiness.is_readable() || readiness.is_read_closed() || readiness.is_error();
        self.read_closed |= readiness.is_read_closed();
        if self.awaits_turn { Next::Wait } else { self.advance(shared) }
    }

    /// Goes as far as it can without a report of the kernel's.
    pub(crate) fn look(&mut self, shared: &mut Shared) -> Next {
        self.readable = true;
        self.advance(shared)
    }

    /// Lets a delayed response leave.
    pub(crate) fn release(&mut self, shared: &mut Shared) -> Next {
        if let Phase::Delayed(request) = self.phase {
            let request = shared.in_this_mood(request);
            self.phase = match &shared.site {
                None => Phase::Writing(Outgoing::answer(request)),
                Some(site) => self.answer(request, site),
            };
        }
        self.advance(shared)
    }

    /// Begins another turn.
    pub(crate) fn go_on(&mut self, shared: &mut Shared) -> Next {
        self.awaits_turn = false;
        self.advance(shared)
    }

    /// The answer of a server of files. Cold as seen from the measured mode, whose path it is kept out of.
    #[cold]
    fn answer(&mut self, request: Request, site: &Site) -> Phase {
        let kept = self.parser.take_kept().unwrap_or_default();
        Phase::Sending(Box::new(site.answer(request, &kept, SystemTime::now())))
    }

    /// Goes on with the answer of a server of files; what to do, or what becomes of the connection when all has left.
    #[cold]
    fn send(&mut self, buffer: &mut [u8], turn: &mut usize) -> Result<Afterwards, Next> {
        let Phase::Sending(transfer) = &mut self.phase else { return Ok(Afterwards::Read) };
        match transfer.write(buffer, turn, &mut self.stream) {
            Ok(Progress::Done) => Ok(transfer.afterwards),
            Ok(Progress::Blocked) => Err(self.watch_writing()),
            Ok(Progress::TurnOver) => {
                self.awaits_turn = true;
                Err(Next::Again)
            }
            Err(_) => Err(Next::Close),
        }
    }

    /// Nothing of a request has been read, and no response is in hand.
    pub(crate) fn is_idle(&self) -> bool {
        let unread = self.parsed < self.unread.len();
        matches!(self.phase, Phase::Reading) && !unread && self.parser.is_between_requests()
    }

    fn advance(&mut self, shared: &mut Shared) -> Next {
        let mut turn = TURN_BYTES;
        loop {
            let afterwards = match &mut self.phase {
                Phase::Delayed(_) => return Next::Wait,
                Phase::Lingering { discarded } => {
                    while self.readable && *discarded < MAX_LINGER_BYTES {
                        match self.stream.read(&mut shared.scratch) {
                            Ok(0) => return Next::Close,
                            Ok(bytes) => *discarded += bytes,
                            Err(error) if error.kind() == ErrorKind::Interrupted => {}
                            Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                            Err(_) => return Next::Close,
                        }
                    }
                    return if self.readable { Next::Close } else { Next::Wait };
                }
                Phase::Writing(outgoing) => match outgoing.write(&shared.responses, &mut self.stream) {
                    Ok(true) => outgoing.afterwards,
                    Ok(false) => return self.watch_writing(),
                    Err(_) => return Next::Close,
                },
                Phase::Sending(_) => match self.send(&mut shared.scratch, &mut turn) {
                    Ok(afterwards) => afterwards,
                    Err(next) => return next,
                },
                Phase::Reading => {
                    match self.read(shared) {
                        Ok(Some(Event::ExpectsContinue)) => self.phase = Phase::Writing(Outgoing::go_on()),
                        Ok(Some(Event::Request(request))) if shared.delayed => {
                            self.phase = Phase::Delayed(request);
                            return Next::Delay;
                        }
                        Ok(Some(Event::Request(request))) => {
                            let request = shared.in_this_mood(request);
                            self.phase = match &shared.site {
                                None => Phase::Writing(Outgoing::answer(request)),
                                Some(site) => {
                                    turn = turn.saturating_sub(ANSWER_COST);
                                    self.answer(request, site)
                                }
                            };
                        }
                        Ok(None) => return Next::Wait,
                        Err(Stop::Gone) => return Next::Close,
                        Err(Stop::Refused(outgoing)) => self.phase = Phase::Writing(outgoing),
                    }
                    continue;
                }
            };
            match afterwards {
                Afterwards::Read => self.phase = Phase::Reading,
                Afterwards::Close => return Next::Close,
                Afterwards::Linger => {
                    if self.stream.shutdown(Shutdown::Write).is_err() {
                        return Next::Close;
                    }
                    self.phase = Phase::Lingering { discarded: 0 };
                    return Next::Linger;
                }
            }
        }
    }

    /// What to do when the client has to take something first.
    fn watch_writing(&mut self) -> Next {
        if std::mem::replace(&mut self.writing_watched, true) { Next::Wait } else { Next::WatchWriting }
    }

    /// The next event; `None` when the kernel has to report something first.
    fn read(&mut self, shared: &mut Shared) -> Result<Option<Event>, Stop> {
        loop {
            if self.parsed < self.unread.len() {
                let mut input = &self.unread[self.parsed..];
                let event = self.parser.next(&mut input).map_err(Stop::refused)?;
                self.parsed = self.unread.len() - input.len();
                if event.is_some() {
                    return Ok(event);
                }
            }
            if !self.readable {
                return Ok(None);
            }
            let bytes = match self.stream.read(&mut shared.scratch) {
                Ok(0) => return Err(Stop::Gone),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Ok(None);
                }
                Err(_) => return Err(Stop::Gone),
            };
            // A short read has emptied the socket: what comes later is reported anew.
            self.readable = bytes == shared.scratch.len() || self.read_closed;
            let mut input = &shared.scratch[..bytes];
            let event = self.parser.next(&mut input).map_err(Stop::refused)?;
            self.unread.clear();
            self.unread.extend_from_slice(input);
            self.parsed = 0;
            if event.is_some() {
                return Ok(event);
            }
        }
    }
}

/// Why no more requests are read.
#[derive(Debug)]
enum Stop {
    Gone,
    Refused(Outgoing),
}

impl Stop {
    fn refused(refusal: crate::request::Refusal) -> Self {
        Stop::Refused(Outgoing::refuse(refusal))
    }
}
