//! The access log: who connected, and where each request was forwarded.
//!
//! Owns the lines' form and the thread that writes them. Rule: no model ever waits for the log. Lines that the
//! writer cannot keep up with are left out, and a line says how many.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::channel::{Receiver, Sender, bounded};

/// Lines that may wait to be written.
const WAITING: usize = 16 * 1024;

#[derive(Debug, Clone, Copy)]
enum Event {
    Connection(SocketAddr),
    Forwarded(SocketAddr),
}

/// The end of the log that models write to.
#[derive(Debug)]
pub(crate) struct AccessLog {
    events: Sender<Event>,
    left_out: Arc<AtomicU64>,
}

impl AccessLog {
    /// Appends to the file at `path`; `-` is standard error, since standard output carries the ready line.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = if path == Path::new("-") {
            Box::new(io::stderr())
        } else {
            Box::new(OpenOptions::new().create(true).append(true).open(path)?)
        };
        let (events, waiting) = bounded(WAITING);
        let left_out = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&left_out);
        std::thread::Builder::new().name("access log".into()).spawn(move || {
            if let Err(error) = write_lines(&waiting, &counter, BufWriter::new(out)) {
                // `eprintln!` would panic when nobody reads it any more.
                drop(writeln!(io::stderr(), "roundtable: the access log ends here: {error}"));
            }
        })?;
        Ok(AccessLog { events, left_out })
    }

    pub(super) fn connection(&self, client: SocketAddr) {
        self.send(Event::Connection(client));
    }

    pub(super) fn forwarded(&self, backend: SocketAddr) {
        self.send(Event::Forwarded(backend));
    }

    fn send(&self, event: Event) {
        if self.events.try_send(event).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write_lines(waiting: &Receiver<Event>, left_out: &AtomicU64, mut out: impl Write) -> io::Result<()> {
    while let Ok(first) = waiting.recv() {
        let mut next = Some(first);
        while let Some(event) = next {
            match event {
                Event::Connection(client) => writeln!(out, "connection from {client}")?,
                Event::Forwarded(backend) => writeln!(out, "forwarded to {backend}")?,
            }
            next = waiting.try_recv().ok();
        }
        let missing = left_out.swap(0, Ordering::Relaxed);
        if missing > 0 {
            writeln!(out, "({missing} lines left out: the log could not keep up)")?;
        }
        out.flush()?;
    }
    Ok(())
}
