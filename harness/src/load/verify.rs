//! Whether a body is the right one, byte by byte, while it streams in.
//!
//! Owns the reference body (given by the caller, else learned from the first whole 2xx response) and the comparison
//! with it. Rules: bodies are not kept, but for those that arrive before there is a reference, and of these no more
//! than [`MAX_LEARNED_BYTES`]; a longer learned reference is its length and a 64-bit FNV-1a hash.

/// The longest learned body that is compared byte by byte.
pub(crate) const MAX_LEARNED_BYTES: usize = 4 << 20;

/// What a body should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// Of another length.
    Length,
    /// As long as it should be, with other bytes.
    Content,
}

/// What bodies are compared with.
#[derive(Debug)]
pub(crate) enum Reference {
    /// Nothing yet: the first whole body becomes it.
    Unknown,
    Bytes(Vec<u8>),
    Digest(Digest),
}

/// A body that is too long to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest {
    length: u64,
    hash: u64,
}

impl Digest {
    const EMPTY: Digest = Digest { length: 0, hash: 0xcbf2_9ce4_8422_2325 };

    fn of(bytes: &[u8]) -> Self {
        let mut digest = Digest::EMPTY;
        digest.add(bytes);
        digest
    }

    fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        for &byte in bytes {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// One body on its way.
#[derive(Debug)]
pub(crate) struct Check {
    mode: Mode,
    length: u64,
    equal: bool,
    digest: Digest,
    /// Kept for [`Mode::Learning`] only.
    kept: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Comparing,
    Hashing,
    Learning,
}

impl Check {
    pub(crate) fn new() -> Self {
        Check { mode: Mode::Comparing, length: 0, equal: true, digest: Digest::EMPTY, kept: Vec::new() }
    }

    /// Makes ready for the next body.
    pub(crate) fn begin(&mut self, reference: &Reference) {
        self.mode = match reference {
            Reference::Unknown => Mode::Learning,
            Reference::Bytes(_) => Mode::Comparing,
            Reference::Digest(_) => Mode::Hashing,
        };
        self.length = 0;
        self.equal = true;
        self.digest = Digest::EMPTY;
        self.kept.clear();
    }

    /// Takes the next piece of the body.
    pub(crate) fn add(&mut self, piece: &[u8], reference: &Reference) {
        match (self.mode, reference) {
            (Mode::Comparing, Reference::Bytes(expected)) => {
                let at = usize::try_from(self.length).unwrap_or(usize::MAX);
                let rest = expected.get(at..).unwrap_or_default();
                self.equal &= rest.get(..piece.len()) == Some(piece);
            }
            (Mode::Learning, _) => {
                self.digest.add(piece);
                if self.kept.len() + piece.len() <= MAX_LEARNED_BYTES {
                    self.kept.extend_from_slice(piece);
                }
            }
            _ => self.digest.add(piece),
        }
        self.length += piece.len() as u64;
    }

    /// The body is whole: is it the right one? The first one ever becomes the reference.
    pub(crate) fn finish(&mut self, reference: &mut Reference) -> Result<(), Mismatch> {
        let (length, equal) = match reference {
            Reference::Unknown => {
                *reference = self.learned();
                return Ok(());
            }
            Reference::Bytes(expected) => {
                let equal = match self.mode {
                    Mode::Comparing => self.equal,
                    _ => self.kept == *expected || self.digest == Digest::of(expected),
                };
                (expected.len() as u64, equal)
            }
            Reference::Digest(expected) => (expected.length, self.digest == *expected),
        };
        match (self.length == length, equal) {
            (true, true) => Ok(()),
            (false, _) => Err(Mismatch::Length),
            (true, false) => Err(Mismatch::Content),
        }
    }

    fn learned(&mut self) -> Reference {
        if self.kept.len() as u64 == self.length {
            Reference::Bytes(std::mem::take(&mut self.kept))
        } else {
            self.kept = Vec::new();
            Reference::Digest(self.digest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &[u8], cut: usize, reference: &mut Reference) -> Result<(), Mismatch> {
        let mut check = Check::new();
        check.begin(reference);
        body.chunks(cut).for_each(|piece| check.add(piece, reference));
        check.finish(reference)
    }

    #[test]
    fn a_body_is_compared_however_it_is_cut() {
        for cut in 1..8 {
            let mut reference = Reference::Bytes(b"0123456789".to_vec());
            assert_eq!(check(b"0123456789", cut, &mut reference), Ok(()));
            assert_eq!(check(b"0123456X89", cut, &mut reference), Err(Mismatch::Content));
            assert_eq!(check(b"012345678", cut, &mut reference), Err(Mismatch::Length));
            assert_eq!(check(b"01234567899", cut, &mut reference), Err(Mismatch::Length));
            assert_eq!(check(b"", cut, &mut reference), Err(Mismatch::Length));
        }
    }

    #[test]
    fn the_first_body_becomes_the_reference() {
        let mut reference = Reference::Unknown;
        assert_eq!(check(b"abc", 2, &mut reference), Ok(()));
        assert_eq!(check(b"abc", 1, &mut reference), Ok(()));
        assert_eq!(check(b"abd", 3, &mut reference), Err(Mismatch::Content));
    }

    #[test]
    fn bodies_that_began_before_there_was_a_reference_are_compared_with_it() {
        for (second, expected) in
            [(b"abc".as_slice(), Ok(())), (b"abd", Err(Mismatch::Content)), (b"ab", Err(Mismatch::Length))]
        {
            let mut reference = Reference::Unknown;
            let mut early = Check::new();
            early.begin(&reference);
            early.add(&second[..1], &reference);
            check(b"abc", 3, &mut reference).unwrap();
            early.add(&second[1..], &reference);
            assert_eq!(early.finish(&mut reference), expected);
        }
    }

    #[test]
    fn a_body_too_long_to_keep_is_compared_by_length_and_hash() {
        let long = vec![7; MAX_LEARNED_BYTES + 5];
        let mut other = long.clone();
        other[MAX_LEARNED_BYTES / 2] = 8;
        let mut reference = Reference::Unknown;
        assert_eq!(check(&long, 1 << 16, &mut reference), Ok(()));
        assert!(matches!(reference, Reference::Digest(_)));
        assert_eq!(check(&long, 1 << 15, &mut reference), Ok(()));
        assert_eq!(check(&other, 1 << 16, &mut reference), Err(Mismatch::Content));
        assert_eq!(check(&long[1..], 1 << 16, &mut reference), Err(Mismatch::Length));
    }
}
