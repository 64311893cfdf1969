//! A response on its way: a head, then nothing, a text, or a part of a file.
//!
//! Rules: of a file no more than one buffer's worth is in memory at a time, and that buffer belongs to the event loop:
//! what the client did not take is read again when it takes more; no client keeps the others waiting longer than for
//! its turn's worth of bytes; a file that became shorter ends the connection, because the length has been promised.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::response::Afterwards;

/// A response on its way.
#[derive(Debug)]
pub(crate) struct Transfer {
    /// Head, and the whole body unless it is a file's.
    first: Vec<u8>,
    /// How much of `first` has left.
    sent: usize,
    /// The file that the body is a part of.
    file: Option<File>,
    /// What of the file has not left yet.
    part: Range<u64>,
    pub(crate) afterwards: Afterwards,
}

/// How far a response has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Done,
    /// The client has to take something first.
    Blocked,
    /// It is another client's turn.
    TurnOver,
}

impl Transfer {
    /// A response that is `first` and nothing else.
    pub(super) fn of_bytes(first: Vec<u8>, afterwards: Afterwards) -> Self {
        Transfer { first, sent: 0, file: None, part: 0..0, afterwards }
    }

    /// A response with `part` of `file` as its body, below `head`.
    pub(super) fn of_file(head: Vec<u8>, file: File, part: Range<u64>, afterwards: Afterwards) -> Self {
        Transfer { first: head, sent: 0, file: Some(file), part, afterwards }
    }

    /// Writes as much as `stream` takes, up to `turn` bytes, which are taken off it.
    ///
    /// # Errors
    /// Those of `stream` and of the file, and `UnexpectedEof` when the file has become too short.
    pub(crate) fn write(
        &mut self,
        buffer: &mut [u8],
        turn: &mut usize,
        stream: &mut impl Write,
    ) -> io::Result<Progress> {
        while self.sent < self.first.len() || !self.part.is_empty() {
            if *turn == 0 {
                return Ok(Progress::TurnOver);
            }
            let read = self.read(buffer)?;
            let head = &self.first[self.sent..];
            let written = match (head.is_empty(), read.is_empty()) {
                (false, true) => stream.write(head),
                (true, _) => stream.write(read),
                (false, false) => stream.write_vectored(&[IoSlice::new(head), IoSlice::new(read)]),
            };
            match written {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    let of_head = written.min(head.len());
                    self.sent += of_head;
                    self.part.start += (written - of_head) as u64;
                    *turn = turn.saturating_sub(written);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Progress::Blocked),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Progress::Done)
    }

    /// The next of the file's part, as much as `buffer` holds; empty when there is none.
    fn read<'b>(&self, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let Some(file) = self.file.as_ref().filter(|_| !self.part.is_empty()) else { return Ok(&[]) };
        let left = usize::try_from(self.part.end - self.part.start).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        loop {
            match file.read_at(&mut buffer[..wanted], self.part.start) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => return Ok(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A file that blocks must not be taken for a client that does: nobody would call again.
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `each` bytes a call, and blocks every other time.
    struct Slow {
        taken: Vec<u8>,
        each: usize,
        blocked: bool,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.blocked = !self.blocked;
            if self.blocked {
                return Err(ErrorKind::WouldBlock.into());
            }
            let taken = bytes.len().min(self.each);
            self.taken.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow(each: usize) -> Slow {
        Slow { taken: Vec::new(), each, blocked: false }
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn of_file(bytes: &[u8], part: Range<u64>) -> Transfer {
        Transfer::of_file(b"head:".to_vec(), file(bytes), part, Afterwards::Read)
    }

    #[test]
    fn a_part_leaves_whole_whatever_the_buffer_and_the_client_take() {
        let bytes = crate::body(1000);
        for part in [0..1000_u64, 0..1, 999..1000, 17..400, 5..5] {
            let expected = [b"head:", &bytes[part.start as usize..part.end as usize]].concat();
            for (buffer, each) in [(1, 1), (7, 3), (64, 1000), (4096, 4096), (100, 99)] {
                let mut transfer = of_file(&bytes, part.clone());
                let mut slow = slow(each);
                let mut buffer = vec![0; buffer];
                while transfer.write(&mut buffer, &mut 1_000_000, &mut slow).unwrap() != Progress::Done {}
                assert!(slow.taken == expected, "{part:?} in {each}");
            }
        }
    }

    #[test]
    fn a_turn_ends_soon_after_its_bytes() {
        let bytes = crate::body(10_000);
        let mut transfer = of_file(&bytes, 0..10_000);
        let mut taken = Vec::new();
        let mut turn = 1000;
        let progress = transfer.write(&mut [0; 64], &mut turn, &mut taken).unwrap();
        assert_eq!((progress, turn), (Progress::TurnOver, 0));
        assert!((1000..1070).contains(&taken.len()), "{}", taken.len());
        while transfer.write(&mut [0; 64], &mut 1000, &mut taken).unwrap() != Progress::Done {}
        assert!(taken[5..] == bytes);
    }

    #[test]
    fn a_file_that_became_shorter_is_not_padded() {
        let mut transfer = of_file(b"0123456789", 0..20);
        let mut taken = Vec::new();
        let error = transfer.write(&mut [0; 64], &mut 1000, &mut taken).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(taken, b"head:0123456789");
    }

    #[test]
    fn bytes_alone_leave_whole() {
        let mut transfer = Transfer::of_bytes(crate::body(5000), Afterwards::Close);
        let mut slow = slow(77);
        while transfer.write(&mut [], &mut 1_000_000, &mut slow).unwrap() != Progress::Done {}
        assert!(slow.taken == crate::body(5000));
    }
}
