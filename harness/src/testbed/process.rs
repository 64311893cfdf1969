//! The harness's side of the wire to a supervised child (the child's side is [`crate::testbed::control`]).
//!
//! Owns starting a child, reading its JSON lines with a time limit, and ending it; not what the child is for.
//! Rules: nothing waits without a limit and without heeding the interrupt; a child ends when its standard input
//! closes, is killed after a grace period, and is always reaped; what it wrote to standard error is in the error.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::host::Usage;

/// Between two looks at the interrupt while waiting for a line. A line itself is noticed at once.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long a child may take to leave before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// How long a child may take to tell its usage.
const USAGE_WITHIN: Duration = Duration::from_secs(10);
/// Lines of standard error that are kept.
const TAIL_LINES: usize = 8;
/// Characters of each that are kept.
const TAIL_CHARS: usize = 300;

/// What a child did wrong. `role` says which, in words.
#[derive(Debug, Error)]
pub enum ChildError {
    /// The system did not start it.
    #[error("{role} could not be started: {reason}")]
    Start {
        /// Which child.
        role: String,
        /// The system's reason.
        reason: io::Error,
    },
    /// It ended although it was still needed.
    #[error("{role} {how}{stderr}")]
    Died {
        /// Which child.
        role: String,
        /// Exit status, in words.
        how: String,
        /// What it last wrote to standard error, as the end of a sentence.
        stderr: String,
    },
    /// It lives, but says nothing.
    #[error("{role} did not {what} within {} s{stderr}", .within.as_secs())]
    Silent {
        /// Which child.
        role: String,
        /// What was waited for.
        what: &'static str,
        /// For how long.
        within: Duration,
        /// What it last wrote to standard error, as the end of a sentence.
        stderr: String,
    },
    /// It printed a line that has another shape.
    #[error("{role} printed a line that is not understood ({reason}): {line}")]
    Nonsense {
        /// Which child.
        role: String,
        /// What the parser says.
        reason: String,
        /// The line.
        line: String,
    },
    /// The user wants to stop.
    #[error("interrupted")]
    Interrupted,
}

/// A child process of one role.
#[derive(Debug)]
pub struct Supervised {
    role: String,
    process: std::process::Child,
    /// Dropped to end the child.
    stdin: Option<ChildStdin>,
    /// Lines of its standard output; disconnected when that closes.
    lines: Receiver<String>,
    stderr: Arc<Mutex<VecDeque<String>>>,
    /// Disconnected when the child's standard error closes.
    stderr_open: Receiver<()>,
    interrupt: Arc<AtomicBool>,
}

impl Supervised {
    /// Starts `command` in a process group of its own, so that a Ctrl-C at the terminal reaches the
    /// harness alone, which then ends its children in order.
    pub fn start(
        role: impl Into<String>,
        mut command: Command,
        interrupt: &Arc<AtomicBool>,
    ) -> Result<Self, ChildError> {
        let role = role.into();
        let started = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn();
        let mut process = match started {
            Ok(process) => process,
            Err(reason) => return Err(ChildError::Start { role, reason }),
        };
        let (send, lines) = channel();
        let (open, stderr_open) = channel();
        let stderr = Arc::new(Mutex::new(VecDeque::new()));
        let mut child = Supervised {
            role,
            stdin: process.stdin.take(),
            lines,
            stderr: Arc::clone(&stderr),
            stderr_open,
            interrupt: Arc::clone(interrupt),
            process,
        };
        // From here on the child is reaped by `drop`, whatever fails.
        let (out, err) = (child.process.stdout.take(), child.process.stderr.take());
        let threads = || -> io::Result<()> {
            std::thread::Builder::new().name("stdout".into()).spawn(move || {
                let lines = out.into_iter().flat_map(|out: ChildStdout| BufReader::new(out).lines());
                for line in lines.map_while(Result::ok) {
                    if send.send(line).is_err() {
                        break;
                    }
                }
            })?;
            std::thread::Builder::new().name("stderr".into()).spawn(move || {
                err.into_iter().for_each(|err| keep_tail(err, &stderr));
                drop(open);
            })?;
            Ok(())
        };
        match threads() {
            Ok(()) => Ok(child),
            Err(reason) => Err(ChildError::Start { role: child.role.clone(), reason }),
        }
    }

    /// The child's next line of standard output. `what` finishes the sentence "it did not …".
    pub fn read<T: DeserializeOwned>(
        &mut self,
        what: &'static str,
        within: Duration,
    ) -> Result<T, ChildError> {
        let deadline = Instant::now() + within;
        loop {
            if self.interrupt.load(Ordering::Relaxed) {
                return Err(ChildError::Interrupted);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left.min(POLL_INTERVAL)) {
                Ok(line) => {
                    return serde_json::from_str(&line).map_err(|error| ChildError::Nonsense {
                        role: self.role.clone(),
                        reason: error.to_string(),
                        line: shortened(&line),
                    });
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.died()),
                Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                    let stderr = self.stderr_tail();
                    return Err(ChildError::Silent { role: self.role.clone(), what, within, stderr });
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Says one word to the child.
    pub fn say(&mut self, word: &str) -> Result<(), ChildError> {
        let said = match &mut self.stdin {
            Some(stdin) => stdin.write_all(format!("{word}\n").as_bytes()),
            None => Ok(()),
        };
        // Only a child that no longer reads can make this fail.
        said.map_err(|_| self.died())
    }

    /// What the child has used so far.
    pub fn usage(&mut self) -> Result<Usage, ChildError> {
        self.say("usage")?;
        self.read("tell its usage", USAGE_WITHIN)
    }

    /// How the child ended, if it has.
    pub fn exit_report(&mut self) -> Option<ChildError> {
        match self.process.try_wait() {
            Ok(None) => None,
            _ => Some(self.died()),
        }
    }

    /// Ends the child as a crash would, and reaps it.
    pub(crate) fn kill(mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }

    /// The child's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Ends the child and reaps it.
    fn end(&mut self) -> Option<ExitStatus> {
        drop(self.stdin.take());
        let deadline = Instant::now() + GRACE;
        // Its standard output closes as it ends: no need to poll.
        while let Ok(_) | Err(RecvTimeoutError::Timeout) =
            self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            if Instant::now() >= deadline {
                break;
            }
        }
        while Instant::now() < deadline {
            match self.process.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Err(_) => return None,
            }
        }
        drop(self.process.kill());
        self.process.wait().ok()
    }

    fn died(&mut self) -> ChildError {
        let ended_by_itself = self.process.try_wait().ok().flatten();
        let how = match ended_by_itself.or_else(|| self.end()) {
            Some(status) => format!("ended unasked ({status})"),
            None => "ended unasked".to_owned(),
        };
        // The last lines of standard error may still be on their way.
        let _ = self.stderr_open.recv_timeout(GRACE);
        ChildError::Died { role: self.role.clone(), how, stderr: self.stderr_tail() }
    }

    fn stderr_tail(&self) -> String {
        let tail = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        match tail.len() {
            0 => "; it wrote nothing to standard error".to_owned(),
            _ => {
                format!("; its standard error ends: {}", tail.iter().cloned().collect::<Vec<_>>().join(" / "))
            }
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.end();
    }
}

fn keep_tail(err: ChildStderr, tail: &Mutex<VecDeque<String>>) {
    let mut reader = BufReader::new(err);
    let mut line = Vec::new();
    while let Ok(1..) = reader.read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            if tail.len() == TAIL_LINES {
                tail.pop_front();
            }
            tail.push_back(shortened(text.trim()));
        }
        line.clear();
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TAIL_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
