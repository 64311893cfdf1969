//! The two sides that a scenario plays: a client that says its piece, and connections to backends that follow scripts.
//!
//! Owns what one operation on them comes to, well or with a fault. The clock and the driver are in `world`.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use nix::errno::Errno;

/// How one connection to a backend behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    pub(crate) connect: Result<(), Refusal>,
    /// Bytes that it accepts before writing fails.
    pub(crate) accepts: usize,
    /// A write beyond these times out, instead of failing.
    pub(crate) stops_reading: bool,
    /// What is being said.
    pub(crate) says: Vec<u8>,
    /// Answers to later requests, each said when something has been written.
    pub(crate) later: VecDeque<Vec<u8>>,
    /// Said when so many bytes in all have been written, whatever these are.
    pub(crate) early: VecDeque<(usize, Vec<u8>)>,
    /// Bytes that have been written.
    pub(crate) taken: usize,
    pub(crate) then: Then,
}

/// Why it does not connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Kind(ErrorKind),
    /// As the operating system tells it.
    Errno(Errno),
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Kind(kind) => kind.into(),
            Refusal::Errno(errno) => errno.into(),
        }
    }
}

/// What follows when all has been said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Stall,
    Close,
    Reset,
}

impl Script {
    /// Accepts the connection and everything written, and says this when something has been written.
    pub fn says(bytes: impl AsRef<[u8]>) -> Self {
        let later = VecDeque::from([bytes.as_ref().to_vec()]);
        Script {
            connect: Ok(()),
            accepts: usize::MAX,
            stops_reading: false,
            says: Vec::new(),
            later,
            early: VecDeque::new(),
            taken: 0,
            then: Then::Stall,
        }
    }

    /// Says this in answer to the next request.
    pub fn and_then_says(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.later.push_back(bytes.as_ref().to_vec());
        self
    }

    /// Says this as soon as so many bytes in all were written to it, before what it [`says`](Self::says).
    pub fn says_at(mut self, bytes: usize, answer: impl AsRef<[u8]>) -> Self {
        self.early.push_back((bytes, answer.as_ref().to_vec()));
        self
    }

    /// Answers every request with [`OK`].
    pub fn always_ok() -> Self {
        (0..20).fold(Script::says(OK), |script, _| script.and_then_says(OK))
    }

    /// Does not connect.
    pub fn refuses(kind: ErrorKind) -> Self {
        Script { connect: Err(Refusal::Kind(kind)), ..Script::says("") }
    }

    /// Does not connect, with the operating system's own error.
    pub fn fails_with(errno: Errno) -> Self {
        Script { connect: Err(Refusal::Errno(errno)), ..Script::says("") }
    }

    /// A write finds no room for ever: it times out once `accepts` bytes are taken.
    pub fn stops_reading(mut self) -> Self {
        self.stops_reading = true;
        self
    }

    /// Whether there are answers that it has not given.
    fn has_more(&self) -> bool {
        !self.later.is_empty() || !self.early.is_empty()
    }

    pub fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }

    pub fn accepts(mut self, bytes: usize) -> Self {
        self.accepts = bytes;
        self
    }
}

/// A response that ends by its length and leaves the connection open.
pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What an operation comes to that would have gone well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    TimesOut,
    Resets,
    /// A read finds the end of the stream, a write that nobody reads on.
    Ends,
}

impl Fault {
    pub fn of_write(self) -> ErrorKind {
        match self {
            Fault::TimesOut => ErrorKind::TimedOut,
            Fault::Resets => ErrorKind::ConnectionReset,
            Fault::Ends => ErrorKind::BrokenPipe,
        }
    }
}

/// The client's end of its connection.
pub struct Client {
    pub(crate) says: VecDeque<u8>,
    pub(crate) closes: bool,
    pub(crate) is_dead: bool,
}

impl Client {
    pub fn read(&mut self, room: &mut [u8], fault: Option<Fault>) -> Result<usize, ErrorKind> {
        if self.is_dead {
            return Err(ErrorKind::ConnectionReset);
        }
        match fault {
            Some(Fault::TimesOut) => return Err(ErrorKind::TimedOut),
            Some(Fault::Resets) => {
                self.is_dead = true;
                return Err(ErrorKind::ConnectionReset);
            }
            Some(Fault::Ends) => {
                self.closes = true;
                self.says.clear();
            }
            None => {}
        }
        let count = room.len().min(self.says.len());
        for (place, byte) in room.iter_mut().zip(self.says.drain(..count)) {
            *place = byte;
        }
        if count > 0 || self.closes { Ok(count) } else { Err(ErrorKind::TimedOut) }
    }

    pub fn write(&mut self, count: usize, fault: Option<Fault>) -> Result<usize, ErrorKind> {
        self.is_dead |= matches!(fault, Some(Fault::Resets | Fault::Ends));
        match fault {
            Some(fault) => Err(fault.of_write()),
            None if self.is_dead => Err(ErrorKind::BrokenPipe),
            None => Ok(count),
        }
    }
}

/// A backend's end of a connection.
pub struct Connection {
    pub(crate) backend: usize,
    pub(crate) script: Script,
    /// Place in `Outcome::to_backends`.
    pub(crate) number: usize,
}

impl Connection {
    /// The backend is gone: nothing is said, nothing accepted.
    fn die(&mut self, then: Then) {
        self.script = Script { accepts: 0, stops_reading: false, ..Script::says("").then(then) };
        self.script.later.clear();
        self.script.early.clear();
    }

    /// Whether a read would come to anything.
    pub fn has_spoken(&self) -> bool {
        let script = &self.script;
        !script.says.is_empty() || (!script.has_more() && script.then != Then::Stall)
    }

    pub fn read(&mut self, room: &mut [u8], fault: Option<Fault>) -> Result<usize, ErrorKind> {
        match fault {
            Some(Fault::TimesOut) => return Err(ErrorKind::TimedOut),
            Some(Fault::Resets) => self.die(Then::Reset),
            Some(Fault::Ends) => self.die(Then::Close),
            None => {}
        }
        let script = &mut self.script;
        let count = room.len().min(script.says.len());
        room[..count].copy_from_slice(&script.says[..count]);
        script.says.drain(..count);
        match script.then {
            _ if count > 0 => Ok(count),
            _ if script.has_more() => Err(ErrorKind::TimedOut),
            Then::Close => Ok(0),
            Then::Reset => Err(ErrorKind::ConnectionReset),
            Then::Stall => Err(ErrorKind::TimedOut),
        }
    }

    pub fn write(&mut self, count: usize, fault: Option<Fault>) -> Result<usize, ErrorKind> {
        match fault {
            Some(Fault::TimesOut) => return Err(ErrorKind::TimedOut),
            Some(Fault::Resets) => self.die(Then::Reset),
            // What it has said already can still be read.
            Some(Fault::Ends) => self.script.accepts = 0,
            None => {}
        }
        let script = &mut self.script;
        let count = count.min(script.accepts);
        script.accepts -= count;
        script.taken += count;
        match script.early.front() {
            Some((at, _)) if script.taken >= *at => {
                script.says.extend(script.early.pop_front().into_iter().flat_map(|(_, answer)| answer));
            }
            None if script.says.is_empty() => script.says = script.later.pop_front().unwrap_or_default(),
            _ => {}
        }
        match count {
            0 if script.stops_reading => Err(ErrorKind::TimedOut),
            0 => Err(ErrorKind::BrokenPipe),
            _ => Ok(count),
        }
    }
}
