//! What noise cannot touch: system calls and context switches per request, model by model, in a pass that is not timed.
//!
//! Owns the two passes and the reading of `strace -c`'s table. Rules: a fresh balancer for each pass; system calls are
//! counted by `strace` attached to it after it has warmed up, so that what it does once is not in them; a traced
//! balancer is many times slower, so that context switches come from a pass without it, from the kernel's own
//! counters; where `strace` is missing or not permitted, that is said and the switches are still there. Waiting calls
//! depend on how many requests are under way at once: the counts are those of this concurrency, under a tracer.

use std::io::{BufRead, BufReader};
use std::process::ChildStderr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::{PassError, Setup, go};
use crate::host::Usage;
use crate::plan::{Competitor, Condition, Connections, Kind};
use crate::testbed::Testbed;
use crate::testbed::accounting::processes_below;
use crate::testbed::process::ChildError;
use crate::testbed::tool::{Running, ToolError, last, version};

/// Where it is kept in a run's folder.
pub const FILE: &str = "system_calls.json";
/// Backends behind each balancer.
pub const BACKENDS: u32 = 3;
/// Requests outstanding.
pub const CONCURRENCY: u32 = 10;
/// Requests of a pass…
const REQUESTS: u64 = 2000;
/// …and before it.
const WARMUP: u64 = 200;
/// How long `strace` may take to attach or to leave.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at a tracer that is about to end.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Calls and switches of all models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemCalls {
    /// `strace`'s version, or why there are no system calls.
    pub strace: String,
    /// Backends behind each balancer.
    pub backends: u32,
    /// Requests outstanding.
    pub concurrency: u32,
    /// One a model and kind of connections.
    pub rows: Vec<Row>,
}

/// What one balancer did for a number of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its model.
    pub model: String,
    /// The client's connections.
    pub connections: Connections,
    /// Requests of each pass, all answered.
    pub requests: u64,
    /// The calls of the traced pass, the most frequent first; absent when it could not be traced.
    pub calls: Option<Vec<Call>>,
    /// Context switches because it waited, in the pass that was not traced.
    pub voluntary_switches: u64,
    /// Context switches because its time was up, in that pass.
    pub involuntary_switches: u64,
}

/// One system call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// How often it was made.
    pub count: u64,
    /// How often it failed, not having anything to do (`EAGAIN`) included.
    pub errors: u64,
}

/// Runs the passes for each of `models`. `tell` hears of what is under way.
pub fn measure(
    testbed: &Testbed,
    base: &Condition,
    models: &[Competitor],
    tell: &mut dyn FnMut(&str),
) -> Result<SystemCalls, PassError> {
    let (mut traced, strace) = match version("strace", "-V") {
        Ok(version) => (true, version),
        Err(error) => (false, error.to_string()),
    };
    let mut all = SystemCalls { strace, backends: BACKENDS, concurrency: CONCURRENCY, rows: Vec::new() };
    let setup = Setup::start(testbed, &Condition { backends: BACKENDS, ..base.clone() })?;
    for connections in [Connections::Close, Connections::Keepalive] {
        let keep_alive = connections == Connections::Keepalive;
        // A closed loop, whatever the run's: a traced balancer keeps no rate.
        let condition = Condition {
            backends: BACKENDS,
            concurrency: CONCURRENCY,
            connections,
            rate: None,
            fault: None,
            requests: REQUESTS,
            warmup: WARMUP,
            ..base.clone()
        };
        for model in models {
            tell(&format!("system calls: {model}, {}", if keep_alive { "keep-alive" } else { "close" }));
            let used = switches(&setup, model, &condition)?;
            let calls = match traced.then(|| trace(&setup, model, &condition)) {
                None => None,
                Some(Ok(calls)) => Some(calls),
                Some(Err(Pass::Child(error))) => return Err(error.into()),
                Some(Err(Pass::Tool(error))) => {
                    // What is not permitted once is not tried again.
                    traced = false;
                    all.strace = error.to_string();
                    None
                }
            };
            all.rows.push(Row {
                model: model.to_string(),
                connections,
                requests: REQUESTS,
                calls,
                voluntary_switches: used.voluntary_switches,
                involuntary_switches: used.involuntary_switches,
            });
        }
    }
    Ok(all)
}

enum Pass {
    Child(ChildError),
    Tool(ToolError),
}

impl From<ChildError> for Pass {
    fn from(error: ChildError) -> Self {
        Pass::Child(error)
    }
}

impl From<ToolError> for Pass {
    fn from(error: ToolError) -> Self {
        Pass::Tool(error)
    }
}

/// The usage of a balancer while it answers, without a tracer.
fn switches(setup: &Setup<'_>, model: &Competitor, condition: &Condition) -> Result<Usage, PassError> {
    let mut balancer = setup.balancer(model, condition)?;
    let load = setup.load(balancer.address, condition)?;
    let before = balancer.process.usage()?;
    let report = go(load, condition)?;
    if !report.is_clean() {
        return Err(PassError::Unanswered { model: model.to_string(), requests: report.requests });
    }
    let after = balancer.process.usage()?;
    Ok(Usage {
        voluntary_switches: after.voluntary_switches.saturating_sub(before.voluntary_switches),
        involuntary_switches: after.involuntary_switches.saturating_sub(before.involuntary_switches),
        ..after
    })
}

fn trace(setup: &Setup<'_>, model: &Competitor, condition: &Condition) -> Result<Vec<Call>, Pass> {
    let balancer = setup.balancer(model, condition)?;
    let load = setup.load(balancer.address, condition)?;
    let own = balancer.process.pid();
    // A product's processes are below the one that speaks for them, which does none of the work.
    let traced = match model.kind {
        Kind::Peer => processes_below(own).map_err(|error| ToolError::failed("strace", error))?,
        Kind::Direct | Kind::Model | Kind::Floor => vec![own],
    };
    let tracer = Tracer::attach(&traced)?;
    let report = go(load, condition)?;
    let table = tracer.leave()?;
    if !report.is_clean() {
        let failed = report.requests - report.completed + report.non_2xx;
        return Err(ToolError::failed("strace", format!("{failed} requests failed under it")).into());
    }
    parse(&table)
        .ok_or_else(|| ToolError::failed("strace", format!("no table of calls in: {}", last(&table))).into())
}

/// `strace` on some processes with all their threads and children, also those to come.
struct Tracer {
    running: Running,
    /// Lines of its standard error, with the table at their end.
    lines: Receiver<String>,
}

impl Tracer {
    fn attach(pids: &[u32]) -> Result<Self, ToolError> {
        let each = pids.iter().flat_map(|pid| ["-p".to_owned(), pid.to_string()]);
        let args: Vec<_> = ["-c", "-f"].map(str::to_owned).into_iter().chain(each).collect();
        let mut running = Running::start("strace", &args)?;
        let lines = lines_of(running.process.stderr.take());
        let tracer = Tracer { running, lines };
        // "strace: Process 123 attached" for each, with its threads or without, or why not.
        for _ in pids {
            match tracer.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(" attached") => {}
                Ok(line) => return Err(ToolError::failed("strace", line)),
                Err(RecvTimeoutError::Timeout) => return Err(endless()),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(ToolError::failed("strace", "it ended without a word"));
                }
            }
        }
        Ok(tracer)
    }

    /// Has it detach, and gives what it wrote.
    fn leave(mut self) -> Result<String, ToolError> {
        let pid = i32::try_from(self.running.process.id()).unwrap_or(i32::MAX);
        // It is our child and has not been waited for: the id is still its own.
        kill(Pid::from_raw(pid), Signal::SIGINT).map_err(|errno| ToolError::failed("strace", errno))?;
        let deadline = Instant::now() + PATIENCE;
        let mut text = String::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => text.extend([line.as_str(), "\n"]),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => return Err(endless()),
            }
        }
        while self.running.process.try_wait().is_ok_and(|status| status.is_none()) {
            if Instant::now() >= deadline {
                return Err(endless());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(text)
    }
}

fn endless() -> ToolError {
    ToolError::Endless { tool: "strace".to_owned(), within: PATIENCE }
}

fn lines_of(stderr: Option<ChildStderr>) -> Receiver<String> {
    let (send, lines) = channel();
    // Ends with the tracer; when it cannot be started there are no lines, which is told as such.
    drop(std::thread::Builder::new().name("strace".into()).spawn(move || {
        for line in stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).lines()).map_while(Result::ok)
        {
            if send.send(line).is_err() {
                break;
            }
        }
    }));
    lines
}

/// The calls in the table of `strace -c`, the most frequent first. `None`: there is no table.
pub fn parse(text: &str) -> Option<Vec<Call>> {
    let mut lines = text.lines().skip_while(|line| !line.trim_start().starts_with("% time"));
    lines.next()?;
    let mut calls = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        // The column of errors is empty where there was none.
        let (count, errors, name) = match words.as_slice() {
            [_, _, _, count, name] => (*count, "0", *name),
            [_, _, _, count, errors, name] => (*count, *errors, *name),
            _ => continue,
        };
        // The last line, whose columns differ between versions; a rule has no number.
        let (Ok(count), Ok(errors)) = (count.parse(), errors.parse()) else { continue };
        if name != "total" {
            calls.push(Call { name: name.to_owned(), count, errors });
        }
    }
    calls.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    Some(calls)
}

impl Row {
    /// System calls of each request, on average.
    pub fn calls_a_request(&self) -> Option<f64> {
        let total: u64 = self.calls.as_ref()?.iter().map(|call| call.count).sum();
        Some(self.of_each(total))
    }

    /// `count` of something in all requests, in each of them.
    pub fn of_each(&self, count: u64) -> f64 {
        count as f64 / self.requests.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "strace: Process 4711 attached\nstrace: Process 4711 detached\n\
        % time     seconds  usecs/call     calls    errors syscall\n\
        ------ ----------- ----------- --------- --------- ----------------\n\
        \x2040.00    0.040000          10      4000           write\n\
        \x2030.00    0.030000           5      6000      2000 read\n\
        \x2030.00    0.030000          15      2000         1 accept4\n\
        ------ ----------- ----------- --------- --------- ----------------\n\
        100.00    0.100000           8     12000      2001 total\n";

    fn call(name: &str, count: u64, errors: u64) -> Call {
        Call { name: name.into(), count, errors }
    }

    fn row(calls: Option<Vec<Call>>) -> Row {
        Row {
            model: "mio".into(),
            connections: Connections::Keepalive,
            requests: 2000,
            calls,
            voluntary_switches: 1000,
            involuntary_switches: 20,
        }
    }

    #[test]
    fn every_call_of_the_table_is_read_with_its_errors() {
        let expected = vec![call("read", 6000, 2000), call("write", 4000, 0), call("accept4", 2000, 1)];
        assert_eq!(parse(OUTPUT), Some(expected.clone()));
        // Older versions leave the mean out of the last line, or the errors where there were none.
        let older = OUTPUT.replace(
            "100.00    0.100000           8     12000      2001",
            "100.00    0.100000                 12000",
        );
        assert_eq!(parse(&older), Some(expected));
    }

    #[test]
    fn text_without_a_table_is_none_and_an_empty_table_holds_no_calls() {
        assert_eq!(parse(""), None);
        assert_eq!(parse("strace: attach: ptrace(PTRACE_SEIZE, 1): Operation not permitted\n"), None);
        assert_eq!(parse("% time     seconds  usecs/call     calls    errors syscall\n"), Some(Vec::new()));
    }

    #[test]
    fn calls_are_counted_per_request_and_without_strace_there_are_none() {
        assert_eq!(row(parse(OUTPUT)).calls_a_request(), Some(6.0));
        assert_eq!(row(None).calls_a_request(), None);
    }

    #[test]
    fn a_process_that_is_not_there_cannot_be_traced() {
        // Also where strace is not installed.
        assert!(Tracer::attach(&[u32::MAX / 2]).is_err());
    }

    #[test]
    fn counts_survive_their_json_form() {
        let before = SystemCalls {
            strace: "6.1".into(),
            backends: 3,
            concurrency: 10,
            rows: vec![row(parse(OUTPUT))],
        };
        let text = serde_json::to_string(&before).unwrap();
        assert_eq!(serde_json::from_str::<SystemCalls>(&text).unwrap(), before);
    }
}
