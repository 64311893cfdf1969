//! `threads`: a std thread for each connection.
//!
//! Who waits: the connection's own thread, in the system call. Where the state lives: on that thread's
//! stack. What bounds the concurrency: memory and the kernel's limits on threads and mappings. What a waiting
//! connection costs: a thread (its stack's touched pages and a kernel task), one small buffer and the state of an exchange: it
//! waits inside the read, so that it can give neither back before.
//!
//! System calls, as strace shows them (glibc 2.36): a request with keep-alive has five, of which four are reads and writes
//! and one is the look at the idle connection before it is used (`idle`): whoever waits in a call hears of nothing else, so
//! that this is what a blocking model has to pay. With a connection for each request there are 25, eight of which serve it.
//! The other 17 are the thread: nine by glibc (four `rt_sigprocmask`, `clone3`, `rseq`, `set_robust_list`, `madvise` for
//! its stack, `exit`) and eight by std, which gives each thread a signal stack to tell an overflow on (three `sigaltstack`,
//! `mmap`, `mprotect`, `munmap`) and looks for its guard page (`sched_getaffinity`, `gettid`). std offers no way to go
//! without; keeping ended threads for the next connection would save them, and be the model `pool`.

use std::io;
use std::sync::Arc;
use std::thread;

use super::drivers::blocking::Connection;
use super::idle;
use super::listener::{AcceptError, EXHAUSTED_PAUSE};
use super::{Family, Model, Server, Workers, everywhere};

pub(super) const MODEL: Model = Model {
    name: "threads",
    family: Family::Threaded,
    summary: "a std thread for each connection, blocking system calls",
    unit_of_work: "a connection, for its whole life",
    bound: "memory and the kernel's limits on threads and mappings",
    workers: Workers::PerConnection,
    available: everywhere,
    serve,
};

/// A session needs little stack; ten thousand of them must fit.
const STACK_BYTES: usize = 256 * 1024;

/// Where Linux tells how many mappings a process may have.
const MAPPINGS: &str = "/proc/sys/vm/max_map_count";
/// Its default there.
const USUAL_MAPPINGS: usize = 65_530;
/// Mappings for a thread: its stack and its signal stack, each with a guard page. One more is for all else.
const MAPPINGS_PER_THREAD: usize = 4 + 1;

/// Threads that there can be with so many mappings. A thread that finds no mapping left for its signal stack
/// aborts the whole process, before any of our code runs in it.
fn most_threads(mappings: &str) -> usize {
    (mappings.trim().parse().unwrap_or(USUAL_MAPPINGS) / MAPPINGS_PER_THREAD).max(1)
}

fn serve(server: Arc<Server>) -> io::Result<()> {
    let idle = idle::shared(&server.proxy, 1)?;
    let most = most_threads(&std::fs::read_to_string(MAPPINGS).unwrap_or_default());
    loop {
        // Each thread has its clone; this one is one more.
        while Arc::strong_count(&idle) > most {
            thread::sleep(EXHAUSTED_PAUSE);
        }
        let (client, address) = match server.listener.accept() {
            Ok(accepted) => accepted,
            Err(error) => match AcceptError::of(&error)? {
                AcceptError::Again => continue,
                AcceptError::ShutDown => return Ok(()),
                AcceptError::Exhausted => {
                    thread::sleep(EXHAUSTED_PAUSE);
                    continue;
                }
            },
        };
        server.accepted(address);
        let (server, idle) = (Arc::clone(&server), Arc::clone(&idle));
        let spawned = thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn(move || Connection::serve(&server, &idle, client, address));
        if spawned.is_err() {
            // No thread to be had: that connection is closed, as it would be without a descriptor.
            thread::sleep(EXHAUSTED_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_leave_mappings_for_all_else() {
        assert_eq!(most_threads("65530\n"), 13_106);
        assert_eq!(most_threads(""), 13_106);
        assert_eq!(most_threads("0\n"), 1);
    }
}
