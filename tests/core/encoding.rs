//! A scenario as a string of bytes: what the fuzz target `session` reads, and how the suite's scenarios become seeds.
//!
//! Owns the format and nothing of what is in it. Rule: every string of bytes is a scenario, and small changes of the
//! bytes are small changes of the scenario.
//!
//! ```text
//! flags  backends  [2 × pace (u16, ms)]  n, n × piece (u16)  n, n × (operation u16, fault)  n, n × script  the client's bytes to
//! the end
//! script = kind  [accepts u16]  [n, n × (bytes u16, length u16, early answer)]  n, n × (length u16, answer)
//! ```
//!
//! With the flag `LONG` some bytes of value 1 in what is said stand for [`FILLER`] bytes: a body that is longer than all
//! buffers takes a few bytes to write.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsStr;
use std::hash::Hasher;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use roundtable::proxy::Limits;

use crate::world::{Fault, Refusal, Script, Then, World};

/// When this variable is set, every scenario that runs leaves seeds for the fuzz targets in the directory that it names.
const SEEDS: &str = "ROUNDTABLE_FUZZ_SEEDS";
/// Longest seed, bytes.
const LONGEST_SEED: usize = 4096;

const CLIENT_CLOSES: u8 = 1;
const DRAINING: u8 = 2;
const NARROW: u8 = 4;
const LONG: u8 = 8;
const TELLS_TIME: u8 = 32;
const PACED: u8 = 16;

/// Bytes that one of value 1 stands for.
const FILLER: usize = 3000;
/// So many of them in one scenario.
const MOST_FILLERS: usize = 16;

const STOPS_READING: u8 = 4;
const IS_LIMITED: u8 = 8;
const IS_EARLY: u8 = 128;

const THEN: [Then; 3] = [Then::Stall, Then::Close, Then::Reset];
const FAULTS: [Fault; 3] = [Fault::TimesOut, Fault::Resets, Fault::Ends];
const REFUSALS: [Refusal; 3] = [
    Refusal::Kind(ErrorKind::ConnectionRefused),
    Refusal::Kind(ErrorKind::TimedOut),
    Refusal::Errno(Errno::EMFILE),
];

/// Limits that short inputs reach.
fn narrow() -> Limits {
    Limits { request_line_bytes: 64, head_bytes: 256, fields: 8, body_bytes: 100, ..Limits::default() }
}

impl World {
    /// The scenario that `bytes` stand for. What is missing at the end is zero.
    pub fn decode(bytes: &[u8]) -> Self {
        let mut bytes = Bytes(bytes);
        let flags = bytes.byte();
        let mut world = World::new("").backends(1 + u16::from(bytes.byte() % 4));
        world.client_closes = flags & CLIENT_CLOSES != 0;
        world.draining = flags & DRAINING != 0;
        world.tells_time = flags & TELLS_TIME != 0;
        if flags & NARROW != 0 {
            world.limits = narrow();
        }
        if flags & PACED != 0 {
            world.pace = [(); 2].map(|()| Duration::from_millis(bytes.word().into()));
        }
        world.pieces = (0..bytes.byte() % 16).map(|_| usize::from(bytes.word())).collect();
        for _ in 0..bytes.byte() % 8 {
            let operation = usize::from(bytes.word());
            world.faults.insert(operation, FAULTS[usize::from(bytes.byte() % 3)]);
        }
        world.scripts = (0..bytes.byte() % 8).map(|_| bytes.script()).collect();
        world.client = bytes.0.to_vec();
        if flags & LONG != 0 {
            let mut left = MOST_FILLERS;
            fill(&mut world.client, &mut left);
            let answers = world.scripts.iter_mut().flat_map(|script| &mut script.later);
            answers.for_each(|answer| fill(answer, &mut left));
        }
        world
    }

    /// The bytes that stand for this scenario; `None` if none do.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let is_narrow = self.limits == narrow();
        let mut flags = if self.client_closes { CLIENT_CLOSES } else { 0 };
        flags |= if self.draining { DRAINING } else { 0 };
        flags |= if is_narrow { NARROW } else { 0 };
        flags |= if self.tells_time { TELLS_TIME } else { 0 };
        flags |= if self.is_paced() { PACED } else { 0 };
        let mut out = vec![flags, u8::try_from(self.backends).ok()?.checked_sub(1)?];
        for pace in self.pace.iter().filter(|_| self.is_paced()) {
            out.extend_from_slice(&u16::try_from(pace.as_millis()).ok()?.to_le_bytes());
        }
        out.push(u8::try_from(self.pieces.len()).ok()?);
        for piece in &self.pieces {
            out.extend_from_slice(&u16::try_from(*piece).ok()?.to_le_bytes());
        }
        out.push(u8::try_from(self.faults.len()).ok()?);
        for (operation, fault) in &self.faults {
            out.extend_from_slice(&u16::try_from(*operation).ok()?.to_le_bytes());
            out.push(place(&FAULTS, fault)?);
        }
        out.push(u8::try_from(self.scripts.len()).ok()?);
        for script in &self.scripts {
            encode_script(script, &mut out)?;
        }
        out.extend_from_slice(&self.client);
        // Whatever does not survive is something that the format has no room for.
        (World::decode(&out) == *self).then_some(out)
    }

    /// Whether its peers take their time.
    pub(crate) fn is_paced(&self) -> bool {
        self.pace.iter().any(|pace| !pace.is_zero())
    }

    /// Leaves seeds of this scenario, where the environment asks for them.
    pub(crate) fn save_as_seeds(&self) {
        let Some(directory) = std::env::var_os(SEEDS) else { return };
        if let Some(scenario) = self.encode() {
            save(&directory, "session", &scenario);
        }
        save(&directory, "request", &self.client);
        if let Some(head) = self.client.windows(4).position(|window| window == b"\r\n\r\n") {
            save(&directory, "chunk", &[[0, 1].as_slice(), &self.client[head + 4..]].concat());
        }
        for answer in self.scripts.iter().flat_map(|script| &script.later) {
            save(&directory, "response", &[[0].as_slice(), answer].concat());
        }
    }
}

fn fill(said: &mut Vec<u8>, left: &mut usize) {
    *said = said
        .iter()
        .flat_map(|byte| {
            let is_filler = *byte == 1 && *left > 0;
            *left -= usize::from(is_filler);
            if is_filler { vec![b'x'; FILLER] } else { vec![*byte] }
        })
        .collect();
}

fn save(directory: &OsStr, target: &str, seed: &[u8]) {
    if seed.len() > LONGEST_SEED {
        return;
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(seed);
    let folder = Path::new(directory).join(target);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{:016x}", hasher.finish())), seed).unwrap();
}

fn encode_script(script: &Script, out: &mut Vec<u8>) -> Option<()> {
    let mut kind = place(&THEN, &script.then)?;
    kind |= if script.stops_reading { STOPS_READING } else { 0 };
    let is_limited = script.accepts != usize::MAX;
    kind |= if is_limited { IS_LIMITED } else { 0 };
    if let Err(refusal) = &script.connect {
        kind |= (5 + place(&REFUSALS, refusal)?) << 4;
    }
    kind |= if script.early.is_empty() { 0 } else { IS_EARLY };
    out.push(kind);
    if is_limited {
        out.extend_from_slice(&u16::try_from(script.accepts).ok()?.to_le_bytes());
    }
    if !script.early.is_empty() {
        out.push(u8::try_from(script.early.len()).ok()?);
        for (bytes, answer) in &script.early {
            out.extend_from_slice(&u16::try_from(*bytes).ok()?.to_le_bytes());
            out.extend_from_slice(&u16::try_from(answer.len()).ok()?.to_le_bytes());
            out.extend_from_slice(answer);
        }
    }
    out.push(u8::try_from(script.later.len()).ok()?);
    for answer in &script.later {
        out.extend_from_slice(&u16::try_from(answer.len()).ok()?.to_le_bytes());
        out.extend_from_slice(answer);
    }
    Some(())
}

fn place<T: PartialEq>(all: &[T], one: &T) -> Option<u8> {
    all.iter().position(|other| other == one).and_then(|at| u8::try_from(at).ok())
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take(&mut self, count: usize) -> &[u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    fn script(&mut self) -> Script {
        let kind = self.byte();
        let mut script = Script::says("").then(THEN[usize::from(kind % 4 % 3)]);
        script.stops_reading = kind & STOPS_READING != 0;
        if kind & IS_LIMITED != 0 {
            script.accepts = usize::from(self.word());
        }
        script.connect = match kind >> 4 & 7 {
            at @ 5.. => Err(REFUSALS[usize::from(at) - 5]),
            _ => Ok(()),
        };
        if kind & IS_EARLY != 0 {
            script.early = (0..self.byte() % 4).map(|_| (usize::from(self.word()), self.answer())).collect();
        }
        script.later = (0..self.byte() % 4).map(|_| self.answer()).collect();
        script
    }

    fn answer(&mut self) -> Vec<u8> {
        let length = usize::from(self.word());
        self.take(length).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::world::OK;

    #[test]
    fn a_scenario_survives_its_encoding() {
        let world = World::new("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .backends(2)
            .pieces(&[1, 700])
            .fault(3, Fault::Resets)
            .backend(Script::refuses(ErrorKind::ConnectionRefused))
            .backend(Script::says(OK).accepts(9).then(Then::Close).says_at(7, OK))
            .client_pace(Duration::from_millis(800))
            .client_waits();
        assert_eq!(World::decode(&world.encode().unwrap()), world);
    }

    #[test]
    fn a_long_body_takes_one_byte_for_each_filler() {
        let world = World::decode(b"\x08\0\0\0\0PUT / HTTP/1.1\r\n\r\n\x01\x01");
        assert_eq!(world.client.len(), b"PUT / HTTP/1.1\r\n\r\n".len() + 2 * FILLER);
    }

    proptest! {
        #[test]
        fn every_string_of_bytes_is_a_scenario(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let world = World::decode(&bytes);
            if let Some(encoded) = world.encode() {
                prop_assert_eq!(World::decode(&encoded), world);
            }
        }
    }
}
