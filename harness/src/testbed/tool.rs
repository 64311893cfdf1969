//! Other people's programs (`ab`, `wrk`, `strace`), run for their output.
//!
//! Owns finding them, running them within a time limit and ending them; what their output means is the caller's. A
//! program that is not installed is told apart from one that failed.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use thiserror::Error;

/// Between two looks at a program that runs and at the interrupt.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Characters of a failed program's last words.
const WORDS: usize = 200;

/// Why a program's output is not there.
#[derive(Debug, Error)]
pub enum ToolError {
    /// Not installed.
    #[error("{0} is not installed; install it, or do without this pass")]
    Missing(String),
    /// It said so itself, or could not be run.
    #[error("{tool} failed ({reason}); run it by hand to see why, or do without this pass")]
    Failed {
        /// Which.
        tool: String,
        /// Its or the system's words.
        reason: String,
    },
    /// It does not end.
    #[error("{tool} did not end within {} s; run it by hand to see why, or do without this pass", .within.as_secs())]
    Endless {
        /// Which.
        tool: String,
        /// What it was given.
        within: Duration,
    },
    /// The user wants to stop.
    #[error("interrupted")]
    Interrupted,
}

impl ToolError {
    pub(crate) fn failed(tool: &str, reason: impl ToString) -> Self {
        ToolError::Failed { tool: tool.to_owned(), reason: reason.to_string() }
    }

    fn start(tool: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => ToolError::Missing(tool.to_owned()),
            _ => ToolError::failed(tool, error),
        }
    }
}

/// A child that does not outlive its value.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    pub(crate) process: Child,
}

impl Running {
    /// Starts `tool`, in a process group of its own: a Ctrl-C at the terminal reaches the harness alone.
    pub(crate) fn start(tool: &str, args: &[String]) -> Result<Self, ToolError> {
        let mut command = Command::new(tool);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        // Numbers with points, words in English.
        command.env("LC_ALL", "C");
        let process = command.spawn().map_err(|error| ToolError::start(tool, &error))?;
        Ok(Running { name: tool.to_owned(), process })
    }

    /// Waits until it ends by itself and gives its standard output, which must fit into a pipe.
    pub(crate) fn output(mut self, within: Duration, interrupt: &AtomicBool) -> Result<String, ToolError> {
        let deadline = Instant::now() + within;
        let status = loop {
            match self.process.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => {}
                Err(error) => return Err(ToolError::failed(&self.name, error)),
            }
            if interrupt.load(Ordering::Relaxed) {
                return Err(ToolError::Interrupted);
            }
            if Instant::now() >= deadline {
                return Err(ToolError::Endless { tool: self.name.clone(), within });
            }
            std::thread::sleep(POLL_INTERVAL);
        };
        let said = everything(self.process.stdout.take());
        if status.success() {
            return Ok(said);
        }
        let words = everything(self.process.stderr.take());
        Err(ToolError::failed(&self.name, format!("{status}: {}", last(&words))))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            drop(self.process.kill());
            drop(self.process.wait());
        }
    }
}

/// The first line that `tool` says about its version, whatever its exit status.
pub(crate) fn version(tool: &str, option: &str) -> Result<String, ToolError> {
    let told = Command::new(tool).arg(option).stdin(Stdio::null()).env("LC_ALL", "C").output();
    let told = told.map_err(|error| ToolError::start(tool, &error))?;
    let text = [told.stdout, told.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    Ok(line.unwrap_or("of unknown version").to_owned())
}

/// The end of what a program wrote, on one line.
pub(crate) fn last(words: &str) -> String {
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let skipped = words.chars().count().saturating_sub(WORDS);
    words.chars().skip(skipped).collect()
}

fn everything(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    // What was read before an error is all there is.
    drop(pipe.map(|mut pipe| pipe.read_to_end(&mut bytes)));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str, within: Duration, interrupt: bool) -> Result<String, ToolError> {
        let running = Running::start("sh", &["-c".to_owned(), script.to_owned()])?;
        running.output(within, &AtomicBool::new(interrupt))
    }

    #[test]
    fn output_is_given_when_it_ends_well() {
        assert_eq!(shell("echo a; echo b >&2", LONG, false).unwrap(), "a\n");
        let error = shell("echo a; echo  gone >&2; exit 3", LONG, false).unwrap_err().to_string();
        assert!(error.starts_with("sh failed (exit status: 3: gone)"), "{error}");
    }

    #[test]
    fn what_is_not_installed_is_told_so() {
        let error = Running::start("no-such-program-here", &[]).unwrap_err();
        assert!(matches!(error, ToolError::Missing(_)), "{error:?}");
        assert!(matches!(version("no-such-program-here", "-V"), Err(ToolError::Missing(_))));
        assert_eq!(last(&"ab ".repeat(200)).chars().count(), WORDS);
    }

    #[test]
    fn nothing_is_waited_for_beyond_its_time_or_an_interrupt() {
        assert!(matches!(shell("sleep 60", Duration::ZERO, false), Err(ToolError::Endless { .. })));
        assert!(matches!(shell("sleep 60", LONG, true), Err(ToolError::Interrupted)));
    }
}
