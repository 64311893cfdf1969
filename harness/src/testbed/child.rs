//! A process that this one has started: its three streams, how it ended, and its process group.
//!
//! Owns starting and reaping; who reads its lines, and what for, is the caller's affair. Rules: a child leads a process group
//! of its own, so that a Ctrl-C at the terminal does not reach it, and what is left of that group when its first process has
//! ended is killed: a product's workers do not outlive the process that stands for the product, however that one ends.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

/// Lines of standard error that are kept.
const TAIL_LINES: usize = 8;
/// Characters of each that are kept.
const TAIL_CHARS: usize = 300;

/// The last lines of a child's standard error.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    pub(crate) fn push(&self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(shortened(line.trim()));
    }

    /// They, as the end of a sentence.
    pub(crate) fn told(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match lines.len() {
            0 => "; it wrote nothing to standard error".to_owned(),
            _ => {
                format!(
                    "; its standard error ends: {}",
                    lines.iter().cloned().collect::<Vec<_>>().join(" / ")
                )
            }
        }
    }
}

pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(TAIL_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What a child says, for who listens.
#[derive(Debug)]
pub(crate) struct Output {
    /// Lines of its standard output; disconnected when that closes.
    pub(crate) lines: Receiver<String>,
    pub(crate) tail: Tail,
    /// Disconnected when its standard error closes.
    pub(crate) errors_open: Receiver<()>,
}

/// The other end of an [`Output`].
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) lines: Sender<String>,
    pub(crate) tail: Tail,
    pub(crate) errors_open: Sender<()>,
}

/// An output and who fills it.
pub(crate) fn output() -> (Source, Output) {
    let ((send, lines), (open, errors_open)) = (channel(), channel());
    let tail = Tail::default();
    let source = Source { lines: send, tail: tail.clone(), errors_open: open };
    (source, Output { lines, tail, errors_open })
}

/// A child of this process.
#[derive(Debug)]
pub(crate) struct Local {
    process: Child,
    /// Dropped to end the child.
    stdin: Option<ChildStdin>,
    /// How it ended, in words, once it has been reaped.
    ended: Option<String>,
}

impl Local {
    /// Starts `command`. `on_line` hears each line of its standard output until it returns false, `on_error` each of its
    /// standard error; each is dropped when its stream closes.
    pub(crate) fn start(
        mut command: Command,
        mut on_line: impl FnMut(String) -> bool + Send + 'static,
        mut on_error: impl FnMut(String) + Send + 'static,
    ) -> io::Result<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let (out, err) = (process.stdout.take(), process.stderr.take());
        let mut child = Local { stdin: process.stdin.take(), process, ended: None };
        let threads = || -> io::Result<()> {
            std::thread::Builder::new().name("stdout".into()).spawn(move || {
                let lines = out.into_iter().flat_map(|out| BufReader::new(out).lines());
                for line in lines.map_while(Result::ok) {
                    if !on_line(line) {
                        break;
                    }
                }
            })?;
            std::thread::Builder::new().name("stderr".into()).spawn(move || {
                let Some(err) = err else { return };
                let (mut reader, mut line) = (BufReader::new(err), Vec::new());
                while let Ok(1..) = reader.read_until(b'\n', &mut line) {
                    on_error(String::from_utf8_lossy(&line).trim_end().to_owned());
                    line.clear();
                }
            })?;
            Ok(())
        };
        match threads() {
            Ok(()) => Ok(child),
            Err(reason) => {
                child.kill();
                Err(reason)
            }
        }
    }

    /// Its standard input, once: it ends when that is dropped.
    pub(crate) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// Says one line to it.
    pub(crate) fn say(&mut self, line: &str) -> io::Result<()> {
        match &mut self.stdin {
            Some(stdin) => stdin.write_all(format!("{line}\n").as_bytes()),
            None => Ok(()),
        }
    }

    /// Closes its standard input.
    pub(crate) fn close(&mut self) {
        drop(self.stdin.take());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// How it ended, in words, if it has.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.reap(WaitPidFlag::WNOHANG)
    }

    /// Ends it, and all of its process group, as a crash would. How it ended.
    pub(crate) fn kill(&mut self) -> Option<String> {
        if self.ended.is_none() {
            // What has ended meanwhile needs no signal.
            let _ = killpg(self.group(), Signal::SIGKILL);
        }
        self.wait()
    }

    /// Waits for its end, without a limit: for who has a thread for that, or has killed it.
    pub(crate) fn wait(&mut self) -> Option<String> {
        while self.reap(WaitPidFlag::empty()).is_none() {}
        self.ended.clone()
    }

    fn reap(&mut self, flags: WaitPidFlag) -> Option<String> {
        if self.ended.is_none() {
            // The group's number is nobody else's as long as its first process is not reaped.
            match waitid(Id::Pid(self.group()), flags | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
                Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => return None,
                Ok(_) | Err(_) => {}
            }
            let _ = killpg(self.group(), Signal::SIGKILL);
            let status = self.process.wait();
            self.ended = Some(status.map_or_else(|error| error.to_string(), |status| status.to_string()));
        }
        self.ended.clone()
    }

    /// It is the first of its process group.
    fn group(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).unwrap_or(i32::MAX))
    }
}
