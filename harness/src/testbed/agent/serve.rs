//! An agent: starts what the harness asks for on its host, carries lines to and fro, and leaves nothing behind.
//!
//! Owns the children of one host for a whole run; what they are told is the harness's affair. Rules: all of them are ended when
//! standard input ends (the harness is gone: this is noticed at once), when no frame has come for [`SILENCE`] (its machine is
//! gone), and at a signal; each is first asked to, by the end of its own input, and killed with its process group when it takes
//! longer than [`GRACE`]; what has left its parent becomes a child of this process, and is killed, too. A child that outlives a
//! killed agent meets the end of its input. Nothing that a frame asks for ends the agent.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::ChildStdin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use thiserror::Error;

use super::executable::sha256_of_this_program;
use super::frame::{self, Answer, Hello, Order, Question, Report};
use crate::host::{Counters, HostError, allowed_processors, ensure_descriptors, facts, monotonic_ns};
use crate::testbed::accounting::{processes_below, processes_of};
use crate::testbed::child::Local;
use crate::testbed::launcher::Program;

/// After so long without a frame the harness's machine is taken for gone. It sends one each second, and a machine that is busy
/// with a measurement may be late with it.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);
/// How long children may take to end in order, before they are killed.
const GRACE: Duration = Duration::from_secs(2);
/// How long killed ones may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(1);
/// Between two looks at what is still there.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// How often another host is connected to, to tell the shortest time.
const CONNECTS: u32 = 20;
/// How long it may take once.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Why there is no agent.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The system did not let it be one.
    #[error(
        "the agent could not {what} ({reason}); look at the limits on processes and open files of this host"
    )]
    System {
        /// What it could not do.
        what: &'static str,
        /// The system's reason.
        reason: io::Error,
    },
    /// The host cannot hold what the run asks for.
    #[error(transparent)]
    Host(#[from] HostError),
}

enum Event {
    Order(Order),
    /// Nobody has use for this process any more.
    End,
}

/// A child that runs.
struct Started {
    pid: u32,
    /// Dropped to end it.
    stdin: Option<ChildStdin>,
}

/// Those that run, by the harness's number. Locked while one is started and while one is reaped.
type Children = Arc<Mutex<BTreeMap<u64, Started>>>;

/// Serves the harness on standard input and output until it is gone: `program` plays every role, each with up to `open_files`
/// open.
pub fn serve(program: &Program, open_files: u64) -> Result<(), AgentError> {
    let system = |what| move |reason: io::Error| AgentError::System { what, reason };
    ensure_descriptors(open_files)?;
    // Before there is any process that could leave its parent.
    set_child_subreaper(true).map_err(|errno| system("watch over its processes")(errno.into()))?;
    let (send, events) = channel();
    end_on_signal(send.clone()).map_err(system("handle signals"))?;
    let reports = speak(send.clone()).map_err(system("start a thread"))?;
    listen(send).map_err(system("start a thread"))?;
    let sha256 = sha256_of_this_program().map_err(system("read its own program"))?;
    let (version, processors) = (env!("CARGO_PKG_VERSION").to_owned(), allowed_processors());
    let hello = Hello { version, sha256, host: facts(), processors };
    drop(reports.send(Report::Hello(Box::new(hello))));
    let children = Children::default();
    // The end of the input, and silence.
    while let Ok(Event::Order(order)) = events.recv_timeout(SILENCE) {
        carry_out(order, program, &children, &reports);
    }
    end_all(&children);
    Ok(())
}

fn carry_out(order: Order, program: &Program, children: &Children, reports: &Sender<Report>) {
    match order {
        Order::Start { id, args } => {
            if let Err(reason) = start(id, &args, program, children, reports) {
                drop(reports.send(Report::NotStarted { id, reason: reason.to_string() }));
            }
        }
        Order::Say { id, line } => {
            if let Some(Started { stdin: Some(stdin), .. }) = lock(children).get_mut(&id) {
                // One that no longer reads has ended, or is about to.
                let _ = stdin.write_all(format!("{line}\n").as_bytes());
            }
        }
        Order::Close { id } => {
            if let Some(child) = lock(children).get_mut(&id) {
                drop(child.stdin.take());
            }
        }
        Order::Kill { id } => {
            if let Some(child) = lock(children).get(&id) {
                kill_group(child.pid);
            }
        }
        Order::Beat { number } => {
            drop(reports.send(Report::Beat { number, monotonic_ns: monotonic_ns() }));
        }
        Order::Ask { id, question } => {
            let own = reports.clone();
            let asked = std::thread::Builder::new().name("answer".into()).spawn(move || {
                let answer = answer(&question).unwrap_or_else(|error| Answer::Failed(error.to_string()));
                drop(own.send(Report::Answered { id, answer }));
            });
            if let Err(error) = asked {
                drop(reports.send(Report::Answered { id, answer: Answer::Failed(error.to_string()) }));
            }
        }
    }
}

fn start(
    id: u64,
    args: &[String],
    program: &Program,
    children: &Children,
    reports: &Sender<Report>,
) -> io::Result<()> {
    let (open, relays) = channel::<()>();
    let (lines, line_open) = (reports.clone(), open.clone());
    let (errors, error_open) = (reports.clone(), open);
    let on_line = move |line| {
        let _open = &line_open;
        lines.send(Report::Line { id, line }).is_ok()
    };
    let on_error = move |line| {
        let _open = &error_open;
        drop(errors.send(Report::Error { id, line }));
    };
    // So that nobody takes it for one that has left its parent.
    let mut all = lock(children);
    let mut child = Local::start(program.command(args), on_line, on_error)?;
    let pid = child.pid();
    all.insert(id, Started { pid, stdin: child.take_stdin() });
    drop(all);
    drop(reports.send(Report::Started { id, pid }));
    let (own, told) = (Arc::clone(children), reports.clone());
    let attended = std::thread::Builder::new()
        .name("attend".into())
        .spawn(move || attend(id, child, &relays, &own, &told));
    if attended.is_err() {
        // Nobody would tell of its end; it is reaped with this process.
        lock(children).remove(&id);
        kill_group(pid);
        drop(
            reports.send(Report::Ended { id, status: "killed for want of a thread on its host".to_owned() }),
        );
    }
    Ok(())
}

/// Waits for the end of a child, and tells of it after all that it has said.
fn attend(id: u64, mut child: Local, relays: &Receiver<()>, children: &Children, reports: &Sender<Report>) {
    let pid = process(child.pid());
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
    let mut all = lock(children);
    let status = child.wait().unwrap_or_default();
    all.remove(&id);
    end_orphans(&all);
    drop(all);
    // What it wrote last may still be on its way.
    let _ = relays.recv_timeout(GRACE);
    drop(reports.send(Report::Ended { id, status }));
}

/// Kills what has left its parent: every child of this process that it did not start.
fn end_orphans(started: &BTreeMap<u64, Started>) {
    loop {
        let children = processes_of(std::process::id()).unwrap_or_default();
        let own = |pid: &u32| started.values().any(|child| child.pid == *pid);
        let orphans: Vec<_> = children.into_iter().filter(|pid| !own(pid)).collect();
        if orphans.is_empty() {
            return;
        }
        for pid in orphans.into_iter().map(process) {
            let _ = kill(pid, Signal::SIGKILL);
            // Its own children become ours with that.
            while waitpid(pid, None) == Err(Errno::EINTR) {}
        }
    }
}

fn end_all(children: &Children) {
    lock(children).values_mut().for_each(|child| drop(child.stdin.take()));
    wait_for_none(children, GRACE);
    lock(children).values().for_each(|child| kill_group(child.pid));
    wait_for_none(children, GONE_WITHIN);
    for pid in processes_below(std::process::id()).unwrap_or_default() {
        let _ = kill(process(pid), Signal::SIGKILL);
    }
}

fn wait_for_none(children: &Children, within: Duration) {
    let deadline = Instant::now() + within;
    while !lock(children).is_empty() && Instant::now() < deadline {
        std::thread::sleep(POLL_INTERVAL);
    }
}

fn answer(question: &Question) -> Result<Answer, Box<dyn std::error::Error>> {
    Ok(match question {
        Question::Counters => Answer::Counters(Counters::now()?),
        Question::Listen { address } => Answer::Listening(be_reached(*address)?),
        Question::Connect { address } => Answer::Connected { fastest_ns: reach(*address)? },
    })
}

/// Takes connections at `address`, and ends each at once, for as long as this process lives.
fn be_reached(address: IpAddr) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(SocketAddr::new(address, 0))?;
    let listening = listener.local_addr()?;
    std::thread::Builder::new().name("be reached".into()).spawn(move || {
        listener.incoming().for_each(drop);
    })?;
    Ok(listening)
}

/// The shortest time that a connect to `address` takes: the kernels' round trip, whoever is busy there.
fn reach(address: SocketAddr) -> io::Result<u64> {
    let mut fastest = Duration::MAX;
    for _ in 0..CONNECTS {
        let began = Instant::now();
        drop(TcpStream::connect_timeout(&address, CONNECT_WITHIN)?);
        fastest = fastest.min(began.elapsed());
    }
    Ok(u64::try_from(fastest.as_nanos()).unwrap_or(u64::MAX))
}

/// Writes what is sent to it on standard output, a frame a line.
fn speak(events: Sender<Event>) -> io::Result<Sender<Report>> {
    let (send, reports) = channel::<Report>();
    std::thread::Builder::new().name("speak".into()).spawn(move || {
        let mut stdout = io::stdout();
        for report in reports {
            let written = stdout.write_all(frame::line(&report).as_bytes()).and_then(|()| stdout.flush());
            if written.is_err() {
                break;
            }
        }
        drop(events.send(Event::End));
    })?;
    Ok(send)
}

/// Reads frames from standard input to its end. A line that is no frame ends it: whoever writes it is no harness.
fn listen(events: Sender<Event>) -> io::Result<()> {
    std::thread::Builder::new().name("listen".into()).spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            match frame::parse(&line) {
                Ok(order) => drop(events.send(Event::Order(order))),
                Err(error) => {
                    drop(writeln!(
                        io::stderr(),
                        "roundtable: {line:?} is no frame of `run --hosts` ({error})"
                    ));
                    break;
                }
            }
        }
        drop(events.send(Event::End));
    })?;
    Ok(())
}

fn end_on_signal(events: Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in &mut signals {
            drop(events.send(Event::End));
        }
    })?;
    Ok(())
}

/// Kills the group that a child leads, if it is still there.
fn kill_group(pid: u32) {
    let _ = killpg(process(pid), Signal::SIGKILL);
}

fn process(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX))
}

fn lock(children: &Children) -> MutexGuard<'_, BTreeMap<u64, Started>> {
    children.lock().unwrap_or_else(PoisonError::into_inner)
}
