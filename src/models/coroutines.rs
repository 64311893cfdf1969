//! `coroutines`: a coroutine with a stack of its own for each connection, on one thread with one event loop.
//!
//! Who waits: the loop's one `epoll_wait`, for everybody; a coroutine whose operation would wait suspends itself and
//! goes on in the same place. Where the state lives: on the coroutine's stack, but for the sockets, which the loop must
//! reach. What bounds the concurrency: one processor, memory, descriptors, and the kernel's limit on mappings (two for a
//! stack). What a waiting connection costs: the touched pages of its stack, and a buffer only while it holds
//! something. The acceptor is a
//! coroutine, too.
//!
//! Why this is sound. There is no `unsafe` here: corosensei's safe interface is all that is used. What speaks against such
//! coroutines in Rust is thread-locals (rust-lang/unsafe-code-guidelines#602): compiled code may keep the address of one
//! across a suspension, which is that of another thread's when the coroutine goes on elsewhere. No coroutine does: the
//! type cannot be sent, and all of them live and die on the thread of the loop. And code that suspends inside
//! `LocalKey::with` would let others in while it holds a borrow: these suspend in one function alone ([`wait`]), which
//! is called where no thread-local, lock or borrow is held and nothing unwinds. A stack that was too small would end the
//! process at its guard page. A panic unwinds the coroutine's own stack, and ends that connection.

mod scheduler;
mod sockets;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use mio::net::{TcpListener, TcpStream};
use roundtable::proxy::Session;

use super::drivers::{Turn, take_turn};
use super::listener::{AcceptError, EXHAUSTED_PAUSE};
use super::{Family, Model, Server, Workers, everywhere};
use scheduler::{Scheduler, Suspender, Wait, wait};
use sockets::{Connection, Context};

pub(super) const MODEL: Model = Model {
    name: "coroutines",
    family: Family::Async,
    summary: "a coroutine with a stack of its own for each connection, on one thread with one event loop",
    unit_of_work: "a session's operations until one would block",
    bound: "one processor, memory, descriptors and the kernel's limit on mappings",
    workers: Workers::One,
    available: everywhere,
    serve,
};

/// Connections accepted before others have their turn.
const ACCEPTS_IN_TURN: u32 = 64;

fn serve(server: Arc<Server>) -> io::Result<()> {
    let (scheduler, listener) = Scheduler::new(server)?;
    scheduler.run(move |context, yielder| accept(context, yielder, listener))
}

/// Accepts until the listener is shut down.
fn accept(context: &Context, yielder: &Suspender, mut listener: TcpListener) -> io::Result<()> {
    let mut in_turn = 0;
    loop {
        match listener.accept() {
            Ok((client, address)) => {
                context.server.accepted(address);
                context.arrived.borrow_mut().push((client, address));
                in_turn += 1;
                if in_turn % ACCEPTS_IN_TURN == 0 {
                    wait(yielder, Wait::Turn);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait(yielder, Wait::Event(None)),
            Err(error) => match AcceptError::of(&error)? {
                AcceptError::Again => {}
                // Connections in hand go on until the process ends.
                AcceptError::ShutDown => return context.registry.deregister(&mut listener),
                AcceptError::Exhausted => {
                    let end = context.now.get() + EXHAUSTED_PAUSE;
                    while context.now.get() < end {
                        wait(yielder, Wait::Event(Some(end)));
                    }
                }
            },
        }
    }
}

/// Serves a client's connection to its end.
fn serve_client(
    context: Rc<Context>,
    yielder: &Suspender,
    key: usize,
    stream: TcpStream,
    address: SocketAddr,
) {
    let (session, mut op) = Session::start(Arc::clone(&context.server.proxy), address, context.now.get());
    let mut connection = Connection::new(context, session, key, stream);
    loop {
        match take_turn(&mut connection, op) {
            Turn::Ended => return,
            Turn::Waits(next) => {
                op = next;
                wait(yielder, Wait::Event(connection.deadline()));
            }
            Turn::GaveWay(next) => {
                op = next;
                wait(yielder, Wait::Turn);
            }
        }
    }
}
