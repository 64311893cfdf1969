//! Buffers that a session lends to its driver, and the shared pool that they come from.
//!
//! Owns the cursors of one buffer and the three sizes that exist: *small* for a client whose next request has not
//! come, *large* for an exchange in hand, *long* for a body that comes faster than large buffers take it. Knows nothing
//! of HTTP. Rules: a buffer moves into an [`Op`] and comes back in the [`Done`] (an `io_uring` driver needs that
//! ownership); one that holds nothing needs no memory while a driver waits to fill it; bytes are initialised once, when
//! the memory is first allocated; the pool never blocks and never grows past its bound.
//!
//! [`Op`]: super::Op
//! [`Done`]: super::Done

use std::ops::Range;
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

/// Capacity of an idle client's buffer, bytes: enough for the usual request head.
pub const SMALL: usize = 1024;
/// Capacity of a buffer of an exchange in hand, bytes.
pub const LARGE: usize = 16 * 1024;
/// Capacity of a buffer for the middle of a long response body, bytes.
pub const LONG: usize = 64 * 1024;
/// Small buffers that the pool keeps for later use, and large ones.
const KEPT: usize = 256;
/// Long ones.
const KEPT_LONG: usize = 32;

/// A fixed piece of memory with a *window* of bytes to send or parse, and spare room behind it to read into.
///
/// ```text
/// 0        start          end        held        limit      capacity
/// |--free--|==== window ===|-- held --|-- spare --|-- tail --|
/// ```
///
/// The memory stays where it is when the value is moved: a driver may tell the kernel of it while it keeps the value.
///
/// *Held* bytes follow the window but are not part of it: what was received beyond the end of a message.
#[derive(Debug, Default)]
pub struct Buf {
    bytes: Box<[u8]>,
    /// What the window is of instead, where it is only to be sent.
    shared: Option<Arc<Vec<u8>>>,
    start: usize,
    end: usize,
    held: usize,
    limit: usize,
}

impl Buf {
    /// An empty buffer of `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Buf {
            bytes: vec![0; capacity].into_boxed_slice(),
            shared: None,
            start: 0,
            end: 0,
            held: 0,
            limit: capacity,
        }
    }

    /// A window to send of bytes that others have too. There is no room behind it, and its memory is never pooled.
    pub(crate) fn shared(bytes: Arc<Vec<u8>>, window: Range<usize>) -> Self {
        let (start, end) = (window.start, window.end.min(bytes.len()));
        Buf { bytes: Box::default(), shared: Some(bytes), start: start.min(end), end, held: 0, limit: end }
    }

    /// The window: what a driver's write sends.
    pub fn window(&self) -> &[u8] {
        match &self.shared {
            None => &self.bytes[self.start..self.end],
            Some(bytes) => &bytes[self.start..self.end],
        }
    }

    /// The spare room: what a driver's read fills, from its beginning.
    pub fn spare_mut(&mut self) -> &mut [u8] {
        debug_assert_eq!(self.held, 0, "reading behind held bytes would join them to the window");
        &mut self.bytes[self.end..self.limit]
    }

    pub(crate) fn window_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes that could be read or pushed without moving anything.
    pub(crate) fn room(&self) -> usize {
        self.limit - self.end - self.held
    }

    /// Takes `count` bytes that a read put into the spare room into the window. A driver that claims more than
    /// there was room for gets what there was.
    pub(crate) fn commit(&mut self, count: usize) {
        self.end = (self.end + count).min(self.limit);
    }

    /// Drops `count` bytes from the window's front (they were sent or parsed).
    pub(crate) fn advance(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// Takes `count` bytes back from the window's end.
    pub(crate) fn retract(&mut self, count: usize) {
        self.end = self.end.saturating_sub(count).max(self.start);
    }

    /// Makes the whole buffer empty and free.
    pub(crate) fn clear(&mut self) {
        self.clear_between(0, 0);
    }

    /// Makes the buffer empty, with `head` free bytes before the window and `tail` behind the spare room.
    pub(crate) fn clear_between(&mut self, head: usize, tail: usize) {
        self.shared = None;
        self.start = head;
        self.end = head;
        self.held = 0;
        self.limit = self.bytes.len() - tail;
    }

    /// All memory behind the window is spare again.
    pub(crate) fn unlimit(&mut self) {
        self.limit = self.bytes.len();
    }

    /// The window goes back to byte 0: all that was pushed since [`clear`](Self::clear) is sent again.
    pub(crate) fn rewind(&mut self) {
        self.start = 0;
    }

    /// Moves the window to the front, so that all other room is spare.
    pub(crate) fn compact(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end + self.held, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    /// Appends `data` to the window, or nothing when it does not fit.
    #[must_use]
    pub fn push(&mut self, data: &[u8]) -> bool {
        let fits = data.len() <= self.room();
        if fits {
            self.bytes[self.end..self.end + data.len()].copy_from_slice(data);
            self.end += data.len();
        }
        fits
    }

    /// Appends all `pieces` to the window, one behind the other, or nothing when they do not fit.
    #[must_use]
    pub(crate) fn push_all<const N: usize>(&mut self, pieces: &[&[u8]; N]) -> bool {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let fits = length <= self.room();
        if fits {
            let mut place = &mut self.bytes[self.end..self.end + length];
            for piece in pieces {
                let (here, behind) = place.split_at_mut(piece.len());
                here.copy_from_slice(piece);
                place = behind;
            }
            self.end += length;
        }
        fits
    }

    /// A scanner has kept `kept` bytes at the window's front and used up `used`: the window becomes the kept ones,
    /// the unused become held.
    pub(crate) fn split(&mut self, kept: usize, used: usize) {
        let unused = self.len() - used;
        if kept != used && unused > 0 {
            self.bytes.copy_within(self.start + used..self.end, self.start + kept);
        }
        self.end = self.start + kept;
        self.held = unused;
    }

    /// The window has been sent: the held bytes are the window now.
    pub(crate) fn take_held(&mut self) {
        self.start = self.end;
        self.end += self.held;
        self.held = 0;
        if self.is_empty() {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Puts `prefix` before the window and `suffix` behind it, in the room that
    /// [`clear_between`](Self::clear_between) left there.
    pub(crate) fn wrap(&mut self, prefix: &[u8], suffix: &[u8]) {
        debug_assert!(prefix.len() <= self.start && self.end + suffix.len() <= self.bytes.len());
        self.bytes[self.start - prefix.len()..self.start].copy_from_slice(prefix);
        self.bytes[self.end..self.end + suffix.len()].copy_from_slice(suffix);
        self.start -= prefix.len();
        self.end += suffix.len();
    }
}

/// Free buffers, shared by all sessions of a process without a lock.
#[derive(Debug)]
pub(crate) struct Pool {
    small: ArrayQueue<Box<[u8]>>,
    large: ArrayQueue<Box<[u8]>>,
    long: ArrayQueue<Box<[u8]>>,
}

impl Pool {
    pub(crate) fn new() -> Self {
        Pool { small: ArrayQueue::new(KEPT), large: ArrayQueue::new(KEPT), long: ArrayQueue::new(KEPT_LONG) }
    }

    pub(crate) fn small(&self) -> Buf {
        Self::take(&self.small, SMALL)
    }

    pub(crate) fn large(&self) -> Buf {
        Self::take(&self.large, LARGE)
    }

    pub(crate) fn long(&self) -> Buf {
        Self::take(&self.long, LONG)
    }

    fn take(queue: &ArrayQueue<Box<[u8]>>, capacity: usize) -> Buf {
        match queue.pop() {
            Some(bytes) => Buf { limit: bytes.len(), bytes, shared: None, start: 0, end: 0, held: 0 },
            None => Buf::with_capacity(capacity),
        }
    }

    /// Keeps so many more of each size for later use.
    pub(crate) fn stock(&self, each: usize) {
        for capacity in [SMALL, LARGE].repeat(each) {
            self.give(Buf::with_capacity(capacity));
        }
    }

    /// Free buffers: small and large ones.
    pub(crate) fn free(&self) -> (usize, usize) {
        (self.small.len(), self.large.len())
    }

    /// Takes a buffer back; frees it when enough are kept.
    pub(crate) fn give(&self, buf: Buf) {
        self.give_memory(buf.bytes);
    }

    fn give_memory(&self, bytes: Box<[u8]>) {
        match bytes.len() {
            SMALL => drop(self.small.push(bytes)),
            LARGE => drop(self.large.push(bytes)),
            LONG => drop(self.long.push(bytes)),
            _ => {}
        }
    }

    /// Takes back the memory of a buffer that holds nothing. Its cursors stay, for when it is [lent](Self::lend) some again.
    pub(crate) fn reclaim(&self, buf: &mut Buf) {
        if buf.is_empty() && buf.held == 0 {
            self.give_memory(std::mem::take(&mut buf.bytes));
        }
    }

    /// Gives a buffer memory again whose memory was taken back.
    pub(crate) fn lend(&self, buf: &mut Buf) {
        if buf.bytes.is_empty() && buf.limit > 0 {
            // What a tail takes off the limit is less than what lies between the sizes.
            let memory = if buf.limit > LARGE {
                self.long()
            } else if buf.limit > SMALL {
                self.large()
            } else {
                self.small()
            };
            buf.bytes = memory.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(data: &[u8]) -> Buf {
        let mut buf = Buf::with_capacity(16);
        assert!(buf.push(data));
        buf
    }

    #[test]
    fn a_rewound_window_is_sent_again_from_its_first_byte() {
        let mut buf = holding(b"abcdef");
        buf.advance(4);
        buf.rewind();
        assert_eq!(buf.window(), b"abcdef");
    }

    #[test]
    fn unused_bytes_are_held_behind_the_kept_ones() {
        let mut buf = holding(b"5;x\r\nnext");
        buf.window_mut()[..3].copy_from_slice(b"5\r\n");
        buf.split(3, 5);
        assert_eq!(buf.window(), b"5\r\n");
        buf.advance(3);
        buf.take_held();
        assert_eq!(buf.window(), b"next");
    }

    #[test]
    fn shared_bytes_are_sent_and_nothing_is_put_behind_them() {
        let mut buf = Buf::shared(Arc::new(b"abcdef".to_vec()), 1..5);
        assert!(!buf.push(b"x"));
        buf.advance(2);
        assert_eq!((buf.window(), buf.capacity()), (b"de".as_slice(), 0));
        buf.advance(2);
        assert!(buf.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_not_pushed_in_part() {
        let mut buf = holding(b"0123456789");
        assert!(!buf.push(b"abcdefg"));
        assert!(!buf.push_all(&[b"ab", b"", b"cdefg"]));
        assert_eq!(buf.window(), b"0123456789");
        assert!(buf.push_all(&[b"ab", b"", b"cdef"]));
        assert_eq!(buf.window(), b"0123456789abcdef");
    }

    #[test]
    fn a_buffer_that_holds_nothing_goes_without_memory_and_has_its_room_again_afterwards() {
        let pool = Pool::new();
        for mut buf in [pool.small(), pool.large(), pool.long()] {
            buf.clear_between(10, 2);
            let (room, capacity) = (buf.spare_mut().len(), buf.capacity());
            pool.reclaim(&mut buf);
            assert_eq!(buf.capacity(), 0);
            pool.lend(&mut buf);
            assert_eq!((buf.spare_mut().len(), buf.capacity()), (room, capacity));
            assert!(buf.push(b"x"));
            pool.reclaim(&mut buf);
            assert_eq!(buf.window(), b"x", "what holds something keeps its memory");
        }
    }

    #[test]
    fn the_pool_hands_out_the_memory_that_it_was_given() {
        let pool = Pool::new();
        let buf = pool.large();
        let address = buf.bytes.as_ptr();
        pool.give(buf);
        assert_eq!(pool.large().bytes.as_ptr(), address);
    }
}
