//! io_uring behind safe calls: whatever the kernel may still read or write is owned here until it says that it is done.
//!
//! Owns the ring, the memory of every operation that is under way, and the buffers that the kernel receives into. Knows
//! nothing of sessions. The only file of the workspace with `unsafe`; what its blocks rest on is this:
//!
//! - An operation has one entry in `operations` from before the kernel hears of it until its last completion is taken.
//!   The entry owns the memory that the operation names, and nobody else can reach it there. Cancelling asks the kernel to
//!   come to an end; the entry waits for the completion all the same.
//! - Of the provided buffers, those that are lent belong to the reader, all others to the kernel. A buffer is lent by a
//!   completion that names it, and is the kernel's again when it has been given back.
//! - A ring that is dropped while operations are under way leaks their memory and the provided buffers: closing a ring
//!   cancels what is left, but not before the close returns.
//!
//! Rule for users, on which no memory depends: a socket that the ring has heard of is closed by [`Ring::close`] alone, so that no
//! operation meets another file under its number.

#![allow(unsafe_code, reason = "the kernel reads and writes memory behind the compiler's back; see above")]

#[cfg(test)]
mod tests;

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::types::{BufRingEntry, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockFlag};
use roundtable::proxy::Buf;
use slab::Slab;
use socket2::SockAddr;

/// Entries of the submission queue. What has no room waits its turn here.
const SUBMISSIONS: u32 = 512;
/// Entries of the completion queue. The kernel keeps what has no room, at a price.
const COMPLETIONS: u32 = 4096;
/// Buffers that the kernel receives into; a power of two.
const PROVIDED: u16 = 256;
/// Bytes of each: the usual message whole.
const PROVIDED_BYTES: usize = 4096;
/// The one group of provided buffers.
const GROUP: u16 = 0;
/// The `user_data` of what nobody waits for.
const NOBODY: u64 = u64::MAX;

/// A ring for the thread that has made it.
pub(crate) struct Ring {
    uring: IoUring,
    /// What the kernel has in hand; the index is the `user_data`.
    operations: Slab<Operation>,
    provided: Provided,
    /// For which the submission queue had no room, in their order.
    waiting: VecDeque<squeue::Entry>,
}

/// An operation that is under way, to cancel it by. It is of no use after the last completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(usize);

/// An operation that is under way, with the memory that it needs.
struct Operation {
    token: usize,
    memory: Memory,
}

enum Memory {
    /// Accepting needs none.
    Accept,
    /// It goes into provided buffers.
    Receive,
    /// It is received into, or sent.
    Session(Buf),
    /// It is sent.
    Lent(Lent),
    /// It is connected to.
    Address(Box<SockAddr>),
}

/// What came of an operation.
pub(crate) struct Completion {
    /// The token that the operation was given.
    pub(crate) token: usize,
    /// The operation is still under way, and more completions come.
    pub(crate) more: bool,
    pub(crate) outcome: Outcome,
}

/// The same by the kind of the operation.
pub(crate) enum Outcome {
    Accepted(io::Result<OwnedFd>),
    /// Bytes in a provided buffer, to be given back; `None` is the end of the stream.
    Received(io::Result<Option<Lent>>),
    /// Bytes sent from the buffer or received into it.
    Transferred(io::Result<usize>, Buf),
    /// The same from a provided buffer, to be given back.
    SentLent(io::Result<usize>, Lent),
    Connected(io::Result<()>),
}

/// A provided buffer that the kernel has filled.
#[derive(Debug)]
#[must_use = "the kernel has one buffer less until it is given back"]
pub(crate) struct Lent {
    id: u16,
    length: usize,
}

impl Ring {
    /// A ring whose completions are worked out when this thread waits for them, and not before.
    pub(crate) fn new() -> io::Result<Self> {
        let mut builder = IoUring::builder();
        builder.setup_single_issuer().setup_defer_taskrun().setup_submit_all().setup_cqsize(COMPLETIONS);
        let uring: IoUring = builder.build(SUBMISSIONS)?;
        // Saves a look-up in each call; nothing depends on it.
        let _ = uring.submitter().register_ring_fd();
        let mut ring =
            Ring { uring, operations: Slab::new(), provided: Provided::new(), waiting: VecDeque::new() };
        ring.provided.register(&ring.uring)?;
        Ok(ring)
    }

    /// Accepts connections, one after the other.
    pub(crate) fn accept(&mut self, listener: &impl AsFd, token: usize) -> Key {
        let key = self.begin(token, Memory::Accept);
        let accept = opcode::AcceptMulti::new(fd(listener)).flags(SockFlag::SOCK_CLOEXEC.bits());
        self.submit(key, accept.build());
        key
    }

    /// Receives into provided buffers, again and again.
    pub(crate) fn receive(&mut self, socket: &impl AsFd, token: usize) -> Key {
        let key = self.begin(token, Memory::Receive);
        self.submit(key, opcode::RecvMulti::new(fd(socket), GROUP).build());
        key
    }

    /// Receives once into the spare room of `buf`.
    pub(crate) fn receive_into(&mut self, socket: &impl AsFd, token: usize, buf: Buf) -> Key {
        let key = self.begin(token, Memory::Session(buf));
        let Memory::Session(buf) = &mut self.operations[key.0].memory else { return key };
        let room = buf.spare_mut();
        let receive = opcode::Recv::new(fd(socket), room.as_mut_ptr(), length(room));
        self.submit(key, receive.build());
        key
    }

    /// Sends once from the window of `buf`.
    pub(crate) fn send(&mut self, socket: &impl AsFd, token: usize, buf: Buf) -> Key {
        let key = self.begin(token, Memory::Session(buf));
        let Memory::Session(buf) = &self.operations[key.0].memory else { return key };
        let data = buf.window();
        let send = opcode::Send::new(fd(socket), data.as_ptr(), length(data));
        self.submit(key, send.flags(MsgFlags::MSG_NOSIGNAL.bits()).build());
        key
    }

    /// Sends all that was received into a provided buffer.
    pub(crate) fn send_lent(&mut self, socket: &impl AsFd, token: usize, lent: Lent) -> Key {
        let data = self.provided.bytes(&lent);
        let send = opcode::Send::new(fd(socket), data.as_ptr(), length(data));
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_WAITALL;
        let key = self.begin(token, Memory::Lent(lent));
        self.submit(key, send.flags(flags.bits()).build());
        key
    }

    /// Connects `socket` to `address`.
    pub(crate) fn connect(&mut self, socket: &impl AsFd, token: usize, address: SockAddr) -> Key {
        let key = self.begin(token, Memory::Address(Box::new(address)));
        let Memory::Address(address) = &self.operations[key.0].memory else { return key };
        let connect = opcode::Connect::new(fd(socket), address.as_ptr().cast(), address.len());
        self.submit(key, connect.build());
        key
    }

    /// Asks for an early end of an operation. Its last completion comes in any case.
    pub(crate) fn cancel(&mut self, key: Key) {
        let cancel = opcode::AsyncCancel::new(key.0 as u64).build();
        self.push(cancel.user_data(NOBODY).flags(squeue::Flags::SKIP_SUCCESS));
    }

    /// Closes a socket, behind all that was asked for before. Operations on it are to be cancelled first: each keeps the
    /// connection open until its last completion.
    pub(crate) fn close(&mut self, socket: impl Into<OwnedFd>) {
        let close = opcode::Close::new(Fd(socket.into().into_raw_fd())).build();
        self.push(close.user_data(NOBODY).flags(squeue::Flags::SKIP_SUCCESS));
    }

    /// Hands over all that was asked for, and waits until there is a completion or `timeout` is over.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        loop {
            self.fill();
            let timespec = timeout.map(Timespec::from);
            let mut arguments = SubmitArgs::new();
            if let Some(timespec) = &timespec {
                arguments = arguments.timespec(timespec);
            }
            let is_last = self.waiting.is_empty();
            let outcome = self.uring.submitter().submit_with_args(usize::from(is_last), &arguments);
            match outcome.map_err(|error| (error.raw_os_error().map(Errno::from_raw), error)) {
                Ok(_) if is_last => return Ok(()),
                Ok(_) => {}
                // The timeout, a signal, and want of memory or of room for completions: the latter ends when those that are there
                // have been taken.
                Err((Some(Errno::ETIME | Errno::EINTR | Errno::EBUSY | Errno::EAGAIN), _)) => return Ok(()),
                Err((_, error)) => return Err(error),
            }
        }
    }

    /// The next of the completions that are there.
    pub(crate) fn take_completion(&mut self) -> Option<Completion> {
        loop {
            let entry = self.uring.completion().next()?;
            if entry.user_data() != NOBODY
                && let Some(completion) = self.completion(&entry)
            {
                return Some(completion);
            }
        }
    }

    /// What the kernel has put into a provided buffer.
    pub(crate) fn bytes(&self, lent: &Lent) -> &[u8] {
        self.provided.bytes(lent)
    }

    /// The kernel may fill it again.
    pub(crate) fn give_back(&mut self, lent: Lent) {
        self.provided.give_back(lent.id);
    }

    fn begin(&mut self, token: usize, memory: Memory) -> Key {
        Key(self.operations.insert(Operation { token, memory }))
    }

    fn submit(&mut self, key: Key, entry: squeue::Entry) {
        self.push(entry.user_data(key.0 as u64));
    }

    fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: the entry names memory of an operation in `operations` at most (`begin` comes before each `submit`), which stays
        // there and is not touched until the last completion; moving the table does not move what its entries own: the
        // bytes of a `Buf`, a boxed address and the provided buffers stand in allocations of their own. A provided buffer
        // is only read, and stays lent while its `Lent` is in the table.
        if !self.waiting.is_empty() || unsafe { self.uring.submission().push(&entry) }.is_err() {
            self.waiting.push_back(entry);
        }
    }

    /// Moves what waits into the submission queue.
    fn fill(&mut self) {
        while let Some(entry) = self.waiting.front() {
            // SAFETY: as in `push`.
            if unsafe { self.uring.submission().push(entry) }.is_err() {
                return;
            }
            self.waiting.pop_front();
        }
    }

    /// `None` of an operation that is not known, which no kernel tells of.
    fn completion(&mut self, entry: &cqueue::Entry) -> Option<Completion> {
        let key = usize::try_from(entry.user_data()).ok()?;
        let more = cqueue::more(entry.flags());
        // Of the operations that own memory each has one completion: `more` is never said of them.
        let ended = if more { None } else { self.operations.try_remove(key) };
        let (token, memory) = match ended {
            Some(operation) => (operation.token, operation.memory),
            None => {
                let operation = self.operations.get(key)?;
                let memory = match operation.memory {
                    Memory::Accept => Memory::Accept,
                    Memory::Receive => Memory::Receive,
                    Memory::Session(_) | Memory::Lent(_) | Memory::Address(_) => return None,
                };
                (operation.token, memory)
            }
        };
        let result = match usize::try_from(entry.result()) {
            Ok(count) => Ok(count),
            Err(_) => Err(io::Error::from_raw_os_error(-entry.result())),
        };
        let outcome = match memory {
            // SAFETY: a successful accept has made this descriptor for us, and each completion is taken once.
            Memory::Accept => {
                Outcome::Accepted(result.map(|_| unsafe { OwnedFd::from_raw_fd(entry.result()) }))
            }
            Memory::Receive => Outcome::Received(self.received(result, cqueue::buffer_select(entry.flags()))),
            Memory::Session(buf) => Outcome::Transferred(result, buf),
            Memory::Lent(lent) => Outcome::SentLent(result, lent),
            Memory::Address(_) => Outcome::Connected(result.map(drop)),
        };
        Some(Completion { token, more, outcome })
    }

    fn received(&mut self, result: io::Result<usize>, id: Option<u16>) -> io::Result<Option<Lent>> {
        let lent = id.and_then(|id| self.provided.lend(id));
        match (result, lent) {
            (Ok(length @ 1..), Some(id)) => Ok(Some(Lent { id, length: length.min(PROVIDED_BYTES) })),
            (result, unused) => {
                if let Some(id) = unused {
                    self.provided.give_back(id);
                }
                result.map(|_| None)
            }
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if !self.operations.is_empty() {
            std::mem::forget(std::mem::take(&mut self.operations));
            self.provided.leak();
        }
    }
}

/// Buffers that the kernel takes from, in a ring of their own.
struct Provided {
    /// `PROVIDED` entries, which tell the kernel of buffers. Read by it between its own index and the tail.
    entries: NonNull<BufRingEntry>,
    /// `PROVIDED` times `PROVIDED_BYTES`, initialised.
    bytes: NonNull<u8>,
    tail: u16,
    lent: [bool; PROVIDED as usize],
    is_leaked: bool,
}

impl Provided {
    const ENTRIES: Layout = match Layout::array::<BufRingEntry>(PROVIDED as usize) {
        // The kernel wants whole pages; no Linux has larger ones.
        Ok(layout) => match layout.align_to(64 * 1024) {
            Ok(layout) => layout,
            Err(_) => panic!("the alignment is a power of two"),
        },
        Err(_) => panic!("the entries fit into memory"),
    };
    const BYTES: Layout = match Layout::array::<u8>(PROVIDED as usize * PROVIDED_BYTES) {
        Ok(layout) => layout,
        Err(_) => panic!("the buffers fit into memory"),
    };

    /// All buffers are lent.
    fn new() -> Self {
        let allocated = |layout: Layout| {
            // SAFETY: neither layout has size zero.
            NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
        };
        Provided {
            entries: allocated(Self::ENTRIES).cast(),
            bytes: allocated(Self::BYTES),
            tail: 0,
            lent: [true; PROVIDED as usize],
            is_leaked: false,
        }
    }

    /// Tells the kernel of the entries, and gives it all buffers.
    fn register(&mut self, uring: &IoUring) -> io::Result<()> {
        let address = self.entries.as_ptr() as u64;
        // SAFETY: the entries are so many, on pages of their own, and are freed after the ring has gone (the order of
        // `Ring`'s fields), or never.
        unsafe { uring.submitter().register_buf_ring_with_flags(address, PROVIDED, GROUP, 0) }?;
        for id in 0..PROVIDED {
            self.give_back(id);
        }
        Ok(())
    }

    /// A completion has named this buffer: it is the reader's.
    fn lend(&mut self, id: u16) -> Option<u16> {
        let lent = self.lent.get_mut(usize::from(id))?;
        (!std::mem::replace(lent, true)).then_some(id)
    }

    fn bytes(&self, lent: &Lent) -> &[u8] {
        let index = usize::from(lent.id);
        if !self.lent.get(index).is_some_and(|is_lent| *is_lent) {
            return &[];
        }
        // SAFETY: the index and the length are within the allocation, which is initialised; the kernel does not write to a
        // buffer that is lent, and giving it back needs `&mut self`, which this borrow rules out.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr().add(index * PROVIDED_BYTES), lent.length) }
    }

    fn give_back(&mut self, id: u16) {
        let index = usize::from(id);
        if !self.lent.get_mut(index).is_some_and(std::mem::take) {
            return;
        }
        // SAFETY: the buffer's index is below `PROVIDED`, so both addresses are within their allocations. Of `PROVIDED` entries
        // the kernel reads those before the tail, and at most so many buffers are its own: this entry is not among them.
        let entry = unsafe { &mut *self.entries.as_ptr().add(usize::from(self.tail % PROVIDED)) };
        // SAFETY: as above.
        entry.set_addr(unsafe { self.bytes.as_ptr().add(index * PROVIDED_BYTES) } as u64);
        entry.set_len(PROVIDED_BYTES as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail stands in the first entry, aligned, and is read by the kernel and written here alone; no reference to
        // the entry is used after this.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries.as_ptr()).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    fn leak(&mut self) {
        self.is_leaked = true;
    }
}

impl Drop for Provided {
    fn drop(&mut self) {
        if !self.is_leaked {
            // SAFETY: allocated by `new` with these layouts. No operation is under way, so the kernel writes to none of it.
            unsafe {
                dealloc(self.entries.as_ptr().cast(), Self::ENTRIES);
                dealloc(self.bytes.as_ptr(), Self::BYTES);
            }
        }
    }
}

fn fd(socket: &impl AsFd) -> Fd {
    Fd(socket.as_fd().as_raw_fd())
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
