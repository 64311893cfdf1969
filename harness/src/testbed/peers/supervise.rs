//! A product's parent: starts it, speaks for it to the harness, and sees to it that nothing of it outlives the harness.
//!
//! A product prints no ready line, obeys no standard input and is many processes; its parent is a process of our own that does
//! both for it, on the host where it runs. Rules: it runs without privileges, in a folder of its own that is removed with it;
//! that it listens is found by connecting, within a bound; what it used is that of every process below this one; all of them
//! are ended when the harness closes its end, when somebody ends this process, or when the product ends by itself, which
//! is a failure; a process that leaves its parent becomes this one's child, and is ended all the same. A process that is killed
//! can end nothing: what is left of its process group is then ended by who started it (`testbed::child`).

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use socket2::Socket;
use tempfile::TempDir;
use thiserror::Error;

use super::{Peer, Setup};
use crate::testbed::accounting::{processes_below, usage_below};
use crate::testbed::control::{Control, Ready, announce};
use crate::testbed::port::reserve;

/// How long a product may take to listen: less than the harness waits, so that it is told why.
const LISTEN_WITHIN: Duration = Duration::from_secs(15);
/// How long one attempt to connect to it may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// Between two attempts.
const CONNECT_INTERVAL: Duration = Duration::from_millis(5);
/// How long it may take to end in order, before it is killed: less than the harness gives this process.
const GRACE: Duration = Duration::from_millis(500);
/// Between two looks at what is still there.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Who a product runs as where this process is root: `nobody`, the same number on every Linux.
const NOBODY: u32 = 65534;
/// Where a product may have written why it ended.
const ERROR_LOG: &str = "error.log";
/// Characters of that which are told.
const LAST_WORDS: usize = 300;

/// Why a product does not serve.
#[derive(Debug, Error)]
pub enum PeerError {
    /// It is not there.
    #[error("{0} is not installed on this host; install it, or leave it out of --peers")]
    NotInstalled(&'static str),
    /// The system did not let it be started.
    #[error("{name} could not be {what} ({reason}); look at the limits on processes and open files, and at the space in {}",
        std::env::temp_dir().display())]
    System {
        /// The product.
        name: &'static str,
        /// What was being done, as the end of "could not be".
        what: &'static str,
        /// The system's reason.
        reason: io::Error,
    },
    /// There is nobody to run it as.
    #[error(
        "{0} does not run as root, and there is no other user in this namespace; start the run as another user, or outside of \
         the namespace"
    )]
    OnlyRoot(&'static str),
    /// It ended although it was still needed.
    #[error(
        "{name} ended by itself ({how}){words}; see whether this version takes the configuration that is kept in the \
             run's environment.json"
    )]
    Ended {
        /// The product.
        name: &'static str,
        /// In words.
        how: String,
        /// What it wrote to its log, as the end of a sentence.
        words: String,
    },
    /// It is there, and takes no connection.
    #[error("{name} did not listen within {} s; wait until the machine is less busy", LISTEN_WITHIN.as_secs())]
    Silent {
        /// The product.
        name: &'static str,
    },
}

/// What a product is asked to do, but for where it finds a port and a folder.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Where it listens, at a port of its own.
    pub address: IpAddr,
    /// Between whom it takes turns.
    pub backends: Vec<SocketAddr>,
    /// How many workers, where their number can be chosen.
    pub workers: Option<u32>,
    /// Requests that are under way at any time.
    pub concurrency: u32,
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    /// Whether backends fail, so that it must look after them.
    pub backends_fail: bool,
}

/// Why this process is woken.
enum Event {
    /// The product's first process has ended.
    Ended,
    /// Nobody has use for it any more.
    Stop,
}

/// A product that runs. Its processes end and its folder goes with this value.
struct Running {
    name: &'static str,
    child: Child,
    folder: TempDir,
    address: SocketAddr,
    /// Nobody else takes the port.
    _reserved: Socket,
}

/// Lets `peer` serve until the harness has no more use for it.
pub fn serve(peer: &'static Peer, asked: &Asked) -> Result<(), PeerError> {
    let name = peer.name;
    let system = |what| move |reason: io::Error| PeerError::System { name, what, reason };
    // Before there is any process that could leave its parent.
    set_child_subreaper(true).map_err(|errno| system("watched over")(errno.into()))?;
    let (send, events) = channel();
    stop_on_signal(send.clone()).map_err(system("watched over"))?;
    let mut running = Running::start(peer, asked)?;
    watch(&running.child, send.clone()).map_err(system("watched over"))?;
    let own = std::process::id();
    Control::start_for(move || Ok(usage_below(own)?.into()), |_| {}, move || drop(send.send(Event::Stop)))
        .map_err(system("watched over"))?;
    if running.wait_until_it_listens(&events)? {
        announce(&Ready::at(running.address)).map_err(system("announced"))?;
        if let Ok(Event::Ended) = events.recv() {
            return Err(running.ended());
        }
    }
    Ok(())
}

impl Running {
    fn start(peer: &'static Peer, asked: &Asked) -> Result<Self, PeerError> {
        let name = peer.name;
        let system = |what| move |reason: io::Error| PeerError::System { name, what, reason };
        let program = peer.program().ok_or(PeerError::NotInstalled(name))?;
        let folder =
            tempfile::Builder::new().prefix("roundtable-").tempdir().map_err(system("given a folder"))?;
        let (reserved, address) = reserve(asked.address).map_err(system("given a port"))?;
        let configured = (peer.configure)(&Setup {
            listen: address,
            backends: &asked.backends,
            workers: peer.count(asked.workers).unwrap_or(1),
            concurrency: asked.concurrency,
            backlog: asked.backlog,
            backends_fail: asked.backends_fail,
            folder: folder.path(),
        });
        for (file, text) in &configured.files {
            fs::write(folder.path().join(file), text).map_err(system("configured"))?;
        }
        let mut command = Command::new(program);
        command
            .args(&configured.args)
            .envs(configured.env.iter().map(|(name, value)| (name, value)))
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            // Our own standard output is for the harness alone.
            .stdout(io::stderr());
        if is_root(folder.path()).map_err(system("given a folder"))? {
            match chown(folder.path(), Some(NOBODY), Some(NOBODY)) {
                Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => {
                    return Err(PeerError::OnlyRoot(name));
                }
                given => given.map_err(system("given a folder"))?,
            }
            command.uid(NOBODY).gid(NOBODY);
        }
        let child = command.spawn().map_err(system("started"))?;
        Ok(Running { name, child, folder, address, _reserved: reserved })
    }

    /// Whether it does; it does not where nobody has use for it any more.
    fn wait_until_it_listens(&mut self, events: &Receiver<Event>) -> Result<bool, PeerError> {
        let deadline = Instant::now() + LISTEN_WITHIN;
        while TcpStream::connect_timeout(&self.address, CONNECT_WITHIN).is_err() {
            match events.recv_timeout(CONNECT_INTERVAL) {
                Ok(Event::Ended) => return Err(self.ended()),
                Ok(Event::Stop) => return Ok(false),
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(_) => return Err(PeerError::Silent { name: self.name }),
            }
        }
        Ok(true)
    }

    /// How it ended, once it has.
    fn ended(&mut self) -> PeerError {
        let how = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let log = fs::read_to_string(self.folder.path().join(ERROR_LOG)).unwrap_or_default();
        let words = log.split_whitespace().collect::<Vec<_>>().join(" ");
        let skipped = words.chars().count().saturating_sub(LAST_WORDS);
        let words: String = words.chars().skip(skipped).collect();
        let words = if words.is_empty() { words } else { format!("; its log ends: {words}") };
        PeerError::Ended { name: self.name, how, words }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        signal(self.child.id(), Signal::SIGTERM);
        let deadline = Instant::now() + GRACE;
        // Until this process has no children left; those of an ended child become its own.
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => {
                    if Instant::now() >= deadline {
                        let left = processes_below(std::process::id()).unwrap_or_default();
                        left.into_iter().for_each(|pid| signal(pid, Signal::SIGKILL));
                    }
                    std::thread::sleep(POLL_INTERVAL);
                }
                Err(Errno::ECHILD) => return,
                // One has been waited for; or a signal came between.
                Ok(_) | Err(_) => {}
            }
        }
    }
}

/// Sends `signal`, if the process is still there.
fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        // One that is gone needs no signal.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Tells when `child` has ended, without waiting for it in its parent's place.
fn watch(child: &Child, events: Sender<Event>) -> io::Result<()> {
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    std::thread::Builder::new().name("watch".into()).spawn(move || {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while waitid(Id::Pid(pid), flags) == Err(Errno::EINTR) {}
        drop(events.send(Event::Ended));
    })?;
    Ok(())
}

fn stop_on_signal(events: Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in &mut signals {
            drop(events.send(Event::Stop));
        }
    })?;
    Ok(())
}

/// Whether this process is root, whose folder `own` then is.
fn is_root(own: &Path) -> io::Result<bool> {
    Ok(fs::metadata(own)?.uid() == 0)
}
