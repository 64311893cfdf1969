//! The harness's side of the wire to a supervised child (the child's side is [`crate::testbed::control`]).
//!
//! Owns reading its JSON lines with a time limit, and ending it; not what the child is for. It is a child of this process, or
//! one of an agent on another host: whoever holds it need not know which. Rules: nothing waits without a limit and without
//! heeding the interrupt; a child ends when its standard input closes, is killed after a grace period, and is always reaped;
//! what it wrote to standard error is in the error.

use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use thiserror::Error;

use super::agent::link::{Link, LinkError};
use super::agent::remote::Remote;
use super::child::{Local, Output, Source, output, shortened};
use crate::host::Usage;
use crate::testbed::control::Account;

/// Between two looks at the interrupt while waiting for a line. A line itself is noticed at once.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long a child may take to leave before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// How long a child may take to tell its usage.
const USAGE_WITHIN: Duration = Duration::from_secs(10);

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
    /// The host where it ran is gone.
    #[error("host {host} was lost: {how}")]
    HostLost {
        /// Its name.
        host: String,
        /// What became of its agent.
        how: String,
    },
    /// Its host did not do what it was asked to.
    #[error(transparent)]
    Host(LinkError),
    /// The user wants to stop.
    #[error("interrupted")]
    Interrupted,
}

impl From<LinkError> for ChildError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Interrupted => ChildError::Interrupted,
            LinkError::Lost { host, how } => ChildError::HostLost { host, how },
            error => ChildError::Host(error),
        }
    }
}

/// A child process of one role.
#[derive(Debug)]
pub struct Supervised {
    role: String,
    running: Running,
    output: Output,
    interrupt: Arc<AtomicBool>,
}

/// Where a child is.
#[derive(Debug)]
enum Running {
    Here(Local),
    OnHost(Remote),
}

impl Running {
    fn say(&mut self, word: &str) -> io::Result<()> {
        match self {
            Running::Here(child) => child.say(word),
            // Whether it was heard is seen by what comes of it.
            Running::OnHost(child) => {
                child.say(word);
                Ok(())
            }
        }
    }

    fn close(&mut self) {
        match self {
            Running::Here(child) => child.close(),
            Running::OnHost(child) => child.close(),
        }
    }

    /// How it ended, in words, if it has.
    fn ended(&mut self) -> Option<String> {
        match self {
            Running::Here(child) => child.ended(),
            Running::OnHost(child) => child.ended(),
        }
    }

    /// Ends it as a crash would. How it ended, where that is known at once.
    fn kill(&mut self) -> Option<String> {
        match self {
            Running::Here(child) => child.kill(),
            Running::OnHost(child) => {
                child.kill();
                child.ended()
            }
        }
    }

    /// The host that was lost with it, and how.
    fn lost(&self) -> Option<(String, String)> {
        match self {
            Running::Here(_) => None,
            Running::OnHost(child) => child.lost(),
        }
    }
}

impl Supervised {
    /// Starts `command` in a process group of its own, so that a Ctrl-C at the terminal reaches the
    /// harness alone, which then ends its children in order.
    pub fn start(
        role: impl Into<String>,
        command: Command,
        interrupt: &Arc<AtomicBool>,
    ) -> Result<Self, ChildError> {
        let role = role.into();
        let (Source { lines, tail, errors_open }, output) = output();
        let on_error = move |line: String| {
            let _open = &errors_open;
            tail.push(&line);
        };
        match Local::start(command, move |line| lines.send(line).is_ok(), on_error) {
            Ok(child) => Ok(Supervised {
                role,
                running: Running::Here(child),
                output,
                interrupt: Arc::clone(interrupt),
            }),
            Err(reason) => Err(ChildError::Start { role, reason }),
        }
    }

    /// Has the agent that `link` leads to start its own program with `args`.
    pub(crate) fn start_on(
        link: &Arc<Link>,
        role: impl Into<String>,
        args: Vec<String>,
        interrupt: &Arc<AtomicBool>,
    ) -> Result<Self, ChildError> {
        let role = role.into();
        let (source, output) = output();
        match Remote::start(link, args, source, interrupt) {
            Ok(child) => Ok(Supervised {
                role,
                running: Running::OnHost(child),
                output,
                interrupt: Arc::clone(interrupt),
            }),
            Err(error) => Err(error.into()),
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
            match self.output.lines.recv_timeout(left.min(POLL_INTERVAL)) {
                Ok(line) => {
                    return serde_json::from_str(&line).map_err(|error| ChildError::Nonsense {
                        role: self.role.clone(),
                        reason: error.to_string(),
                        line: shortened(&line),
                    });
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.died()),
                Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                    let stderr = self.output.tail.told();
                    return Err(ChildError::Silent { role: self.role.clone(), what, within, stderr });
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Says one word to the child.
    pub fn say(&mut self, word: &str) -> Result<(), ChildError> {
        // Only a child that no longer reads can make this fail.
        self.running.say(word).map_err(|_| self.died())
    }

    /// What the child has used so far.
    pub fn usage(&mut self) -> Result<Usage, ChildError> {
        Ok(self.account()?.usage)
    }

    /// The same, with whatever else it tells of itself.
    pub(crate) fn account(&mut self) -> Result<Account, ChildError> {
        self.say("usage")?;
        self.read("tell its usage", USAGE_WITHIN)
    }

    /// How the child ended, if it has.
    pub fn exit_report(&mut self) -> Option<ChildError> {
        let is_gone = self.running.ended().is_some() || self.running.lost().is_some();
        is_gone.then(|| self.died())
    }

    /// Ends the child as a crash would, and reaps it.
    pub(crate) fn kill(mut self) {
        self.running.kill();
    }

    /// The child's process id, on its host.
    pub(crate) fn pid(&self) -> u32 {
        match &self.running {
            Running::Here(child) => child.pid(),
            Running::OnHost(child) => child.pid(),
        }
    }

    /// When it said a time of its host's monotonic clock, that time by the clock of this process, to within half a round trip to
    /// the host, nanoseconds.
    pub(crate) fn here_ns(&self, there_ns: u64) -> Option<i128> {
        match &self.running {
            Running::Here(_) => Some(there_ns.into()),
            Running::OnHost(child) => child.here_ns(there_ns),
        }
    }

    /// Ends the child and reaps it. How it ended, in words, where that is known.
    fn end(&mut self) -> Option<String> {
        self.running.close();
        self.wait_for_the_end(GRACE).or_else(|| {
            let ended = self.running.kill();
            ended.or_else(|| self.wait_for_the_end(GRACE))
        })
    }

    fn wait_for_the_end(&mut self, within: Duration) -> Option<String> {
        let deadline = Instant::now() + within;
        // Its standard output closes as it ends: no need to poll.
        while let Ok(_) | Err(RecvTimeoutError::Timeout) =
            self.output.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            if Instant::now() >= deadline {
                break;
            }
        }
        loop {
            let ended = self.running.ended();
            if ended.is_some() || self.running.lost().is_some() || Instant::now() >= deadline {
                return ended;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn died(&mut self) -> ChildError {
        let ended = self.running.ended();
        if let (None, Some((host, how))) = (&ended, self.running.lost()) {
            return ChildError::HostLost { host, how };
        }
        let how = match ended.or_else(|| self.end()) {
            Some(status) => format!("ended unasked ({status})"),
            None => "ended unasked".to_owned(),
        };
        // The last lines of standard error may still be on their way.
        let _ = self.output.errors_open.recv_timeout(GRACE);
        ChildError::Died { role: self.role.clone(), how, stderr: self.output.tail.told() }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests;
