//! The chunked transfer coding (RFC 9112 section 7.1), scanned in place.
//!
//! Owns the framing: sizes, extensions, the line ends around data, trailer fields. Data is never copied unless
//! something before it in the same buffer was taken off. Rules: a size or trailer line is judged when the whole line
//! is in hand, so that the result does not depend on how the input was split; extensions are taken off; trailer
//! fields that could change framing or routing are dropped, never merged (section 7.1.2).

use memchr::memchr;

use super::field::{self, Field};

/// Longest size line without its extensions: 16 digits and CRLF.
const MOST_DIGITS: usize = 16;
/// Most bytes of extensions in one body.
const MOST_EXTENSION: usize = 4096;
/// Most bytes of trailer fields in one body.
const MOST_TRAILER: usize = 8192;

/// What leaves the scanner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// The coding, cleaned of extensions.
    Chunked,
    /// The same without any trailer field.
    ChunkedWithoutTrailer,
    /// The data alone, for a client of HTTP/1.0.
    Data,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailer,
    Done,
}

/// How far a scan came: `kept` bytes at the front of the slice are to be forwarded, `used` of the input are dealt
/// with. The rest is the beginning of a line whose end has not come, or, after the end, not part of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scanned {
    pub(crate) kept: usize,
    pub(crate) used: usize,
}

/// A scanner for one body.
#[derive(Debug)]
pub(crate) struct ChunkScanner {
    state: State,
    output: Output,
    extension_bytes: usize,
    trailer_bytes: usize,
    data_bytes: u64,
}

impl ChunkScanner {
    pub(crate) fn new(output: Output) -> Self {
        ChunkScanner { state: State::Size, output, extension_bytes: 0, trailer_bytes: 0, data_bytes: 0 }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Sum of the chunk sizes announced so far, bytes.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// Scans `bytes` in place. An error is the reason why the framing is refused.
    pub(crate) fn scan(&mut self, bytes: &mut [u8]) -> Result<Scanned, &'static str> {
        let framing = self.output != Output::Data;
        let mut kept = 0;
        let mut used = 0;
        loop {
            match self.state {
                State::Size => {
                    let Some(line) = line(&bytes[used..], MOST_DIGITS + MOST_EXTENSION)? else { break };
                    let next = used + line.len() + 2;
                    let (digits, size) = self.size(line)?;
                    if framing {
                        bytes.copy_within(used..used + digits, kept);
                        bytes[kept + digits..kept + digits + 2].copy_from_slice(b"\r\n");
                        kept += digits + 2;
                    }
                    used = next;
                    self.state = if size == 0 { State::Trailer } else { State::Data(size) };
                }
                State::Data(left) => {
                    let there = (bytes.len() - used) as u64;
                    let count = left.min(there) as usize;
                    if kept != used {
                        bytes.copy_within(used..used + count, kept);
                    }
                    kept += count;
                    used += count;
                    if left > there {
                        self.state = State::Data(left - there);
                        break;
                    }
                    self.state = State::DataEnd;
                }
                State::DataEnd => {
                    match bytes[used..] {
                        [b'\r', b'\n', ..] => {}
                        [] | [b'\r'] => break,
                        _ => return Err("chunk data does not end where its size says"),
                    }
                    if framing {
                        bytes[kept..kept + 2].copy_from_slice(b"\r\n");
                        kept += 2;
                    }
                    used += 2;
                    self.state = State::Size;
                }
                State::Trailer => {
                    let Some(line) = line(&bytes[used..], MOST_TRAILER)? else { break };
                    let length = line.len() + 2;
                    self.trailer_bytes += length;
                    if self.trailer_bytes > MOST_TRAILER {
                        return Err("the trailer fields are too long");
                    }
                    let last = line.is_empty();
                    let forwarded = last || (is_harmless(line)? && self.output == Output::Chunked);
                    if framing && forwarded {
                        bytes.copy_within(used..used + length, kept);
                        kept += length;
                    }
                    used += length;
                    if last {
                        self.state = State::Done;
                    }
                }
                State::Done => break,
            }
        }
        Ok(Scanned { kept, used })
    }

    /// Number of digits and value of a size line; counts its extensions.
    fn size(&mut self, line: &[u8]) -> Result<(usize, u64), &'static str> {
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits == 0 || digits > MOST_DIGITS {
            return Err("a chunk size is not a number in hexadecimal");
        }
        let size = line[..digits].iter().fold(0, |size, byte| size << 4 | hex_value(*byte));
        let extension = &line[digits..];
        if !extension.is_empty() {
            // BWS may stand before the semicolon, but not instead of it.
            if extension.trim_ascii_start().first() != Some(&b';')
                || !extension.iter().all(|b| field::is_value(*b))
            {
                return Err("a chunk size is followed by something that is no extension");
            }
            self.extension_bytes += extension.len();
            if self.extension_bytes > MOST_EXTENSION {
                return Err("the chunk extensions are too long");
            }
        }
        self.data_bytes = self.data_bytes.checked_add(size).ok_or("the chunk sizes overflow")?;
        Ok((digits, size))
    }
}

fn hex_value(byte: u8) -> u64 {
    u64::from(match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte - b'A' + 10,
    })
}

/// The first line of `bytes` without its CRLF, when it is whole.
fn line(bytes: &[u8], most: usize) -> Result<Option<&[u8]>, &'static str> {
    let Some(end) = memchr(b'\n', &bytes[..bytes.len().min(most + 2)]) else {
        return if bytes.len() >= most + 2 { Err("a line of chunk framing is too long") } else { Ok(None) };
    };
    match bytes[..end].split_last() {
        Some((b'\r', line)) if memchr(b'\r', line).is_none() => Ok(Some(line)),
        _ => Err("a line of chunk framing does not end in CRLF"),
    }
}

/// Whether a trailer field may be forwarded.
fn is_harmless(line: &[u8]) -> Result<bool, &'static str> {
    let colon = memchr(b':', line).ok_or("a trailer field has no colon")?;
    let (name, value) = line.split_at(colon);
    if name.is_empty() || !name.iter().all(|byte| field::is_token(*byte)) {
        return Err("a trailer field has an invalid name");
    }
    if !value.iter().all(|byte| field::is_value(*byte)) {
        return Err("a trailer field has an invalid value");
    }
    Ok(Field::of(name) == Field::Other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `input` in the pieces that `cuts` makes, as a session does: what was not used comes again.
    fn run(input: &[u8], cuts: &[usize], output: Output) -> Result<(Vec<u8>, usize, bool), &'static str> {
        let mut scanner = ChunkScanner::new(output);
        let (mut sent, mut pending, mut total) = (Vec::new(), Vec::new(), 0);
        let mut from = 0;
        for to in cuts.iter().copied().chain([input.len()]) {
            pending.extend_from_slice(&input[from..to]);
            from = to;
            let scanned = scanner.scan(&mut pending)?;
            sent.extend_from_slice(&pending[..scanned.kept]);
            total += scanned.used;
            pending.drain(..scanned.used);
        }
        Ok((sent, total, scanner.is_done()))
    }

    fn whole(input: &[u8]) -> Result<Vec<u8>, &'static str> {
        run(input, &[], Output::Chunked).map(|(sent, _, _)| sent)
    }

    #[test]
    fn a_plain_body_passes_unchanged() {
        let body = b"5\r\nhello\r\n0\r\n\r\n";
        assert_eq!(whole(body).unwrap(), body);
    }

    #[test]
    fn extensions_are_taken_off() {
        assert_eq!(whole(b"5;a=\"b\";c\r\nhello\r\n0 ;x\r\n\r\n").unwrap(), b"5\r\nhello\r\n0\r\n\r\n");
    }

    #[test]
    fn only_the_data_is_left_for_http_1_0() {
        let (sent, _, done) = run(b"5\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n", &[], Output::Data).unwrap();
        assert_eq!((sent.as_slice(), done), (b"hello!".as_slice(), true));
    }

    #[test]
    fn trailer_fields_that_change_framing_are_dropped() {
        let sent = whole(b"0\r\nContent-Length: 5\r\nX-Sum: 1\r\nHost: evil\r\n\r\n").unwrap();
        assert_eq!(sent, b"0\r\nX-Sum: 1\r\n\r\n");
    }

    #[test]
    fn bytes_behind_the_end_are_not_used() {
        let (_, used, done) = run(b"0\r\n\r\nGET /", &[], Output::Chunked).unwrap();
        assert_eq!((used, done), (5, true));
    }

    #[test]
    fn invalid_sizes_are_refused() {
        for size in ["", "0x5", "+5", "-1", "5x", " 5", "5 ", "10000000000000000", "5\u{b}"] {
            let body = format!("{size}\r\nhello\r\n0\r\n\r\n");
            assert!(whole(body.as_bytes()).is_err(), "{size:?}");
        }
    }

    #[test]
    fn framing_without_crlf_is_refused() {
        for body in [
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "0\r\n\n",
            "0\r\n\r\r\n",
            "5;a\rb\r\nhello\r\n0\r\n\r\n",
            "0\r\nno colon\r\n\r\n",
            "0\r\nA : b\r\n\r\n",
            "0\r\n A: b\r\n\r\n",
        ] {
            assert!(whole(body.as_bytes()).is_err(), "{body:?}");
        }
    }

    #[test]
    fn sizes_that_overflow_in_sum_are_refused() {
        let mut scanner = ChunkScanner::new(Output::Chunked);
        assert!(scanner.size(b"ffffffffffffffff").is_ok());
        assert!(scanner.size(b"1").is_err());
    }

    #[test]
    fn endless_extensions_and_trailers_are_refused() {
        let extension = format!("1;{}\r\n", "a".repeat(MOST_EXTENSION));
        assert!(whole(extension.as_bytes()).is_err());
        let trailer = format!("0\r\n{}", "A: b\r\n".repeat(MOST_TRAILER / 6 + 1));
        assert!(whole(trailer.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn the_result_does_not_depend_on_the_split(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just("5\r\nhello\r\n"), Just("A;x=y\r\n0123456789\r\n"), Just("0\r\n"), Just("X: y\r\n"), Just("\r\n"),
                    Just("\n"), Just("zz"), Just("Host: x\r\n"), Just("5;\r"), Just("GET / HTTP/1.1\r\n"),
                ],
                0..12,
            ),
            cuts in proptest::collection::vec(0usize..200, 0..20),
            decode in any::<bool>(),
        ) {
            let input = pieces.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
            cuts.sort_unstable();
            let output = if decode { Output::Data } else { Output::Chunked };
            let at_once = run(&input, &[], output);
            let in_parts = run(&input, &cuts, output);
            match (at_once, in_parts) {
                (Ok(one), Ok(other)) => prop_assert_eq!(one, other),
                (one, other) => prop_assert_eq!(one.is_err(), other.is_err()),
            }
        }
    }
}
