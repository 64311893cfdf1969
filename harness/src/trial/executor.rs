//! The processes of a run: backends that live as long as it, and for each trial a fresh balancer and a fresh load
//! generator.
//!
//! Owns who is started with which arguments and the order of a trial's steps; the wire to a child is
//! [`crate::testbed::process`]'s, what makes a trial valid is [`crate::trial::gates`]'s. Rules: the timed window opens only after
//! the load generator has warmed up and every counter has been read; whatever goes wrong becomes the trial's
//! reasons, together with the fate of every child that died; a dead backend is started again before the next trial.

mod window;

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::host::allowed_processors;
use crate::plan::{Cell, Condition, Connections, Layout, Plan};
use crate::record::{Outcome, Reason};
use crate::testbed::control::Ready;
use crate::testbed::process::{ChildError, Supervised};
use crate::trial::runner::{Attempt, Executor, Interrupted};

use window::{Window, WindowError};

/// How long a server may take to listen.
const LISTEN_WITHIN: Duration = Duration::from_secs(20);
/// How long a window or a warm-up may take, whatever its length…
const PATIENCE: Duration = Duration::from_secs(60);
/// …and for each of its requests: fifty a second is slower than anything worth measuring.
const PATIENCE_A_REQUEST: Duration = Duration::from_millis(20);

/// The program that plays every role.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    /// What comes before the role's name.
    args: Vec<String>,
}

impl Program {
    /// The running program itself: the same file even if a build replaces it during the run.
    pub fn running() -> Self {
        Program { path: PathBuf::from("/proc/self/exe"), args: Vec::new() }
    }

    pub(crate) fn command(&self, role: &[String]) -> Command {
        let mut command = Command::new(&self.path);
        if self.args.is_empty() {
            // For its own messages, and for whoever lists processes.
            command.arg0("roundtable");
        }
        command.args(&self.args).args(role);
        command
    }
}

/// Starts, measures and ends the processes of a run.
#[derive(Debug)]
pub struct Crew {
    program: Program,
    plan: Plan,
    /// Those that this process may use.
    processors: Vec<usize>,
    backends: Vec<Backend>,
    interrupt: Arc<AtomicBool>,
}

/// Who gets which processors.
#[derive(Debug, Clone, Copy)]
enum Role {
    Balancer,
    Other,
}

#[derive(Debug)]
struct Backend {
    name: String,
    /// None before the first trial, and after it could not be started.
    server: Option<Server>,
}

#[derive(Debug)]
struct Server {
    child: Supervised,
    address: SocketAddr,
}

impl Crew {
    /// A crew for `plan`, without any process yet. `interrupt` turns true when the user wants to stop.
    pub fn new(program: Program, plan: &Plan, interrupt: Arc<AtomicBool>) -> Self {
        let backends = (1..=plan.most_backends())
            .map(|number| Backend { name: format!("b{number}"), server: None })
            .collect();
        Crew { program, plan: plan.clone(), processors: allowed_processors(), backends, interrupt }
    }

    fn start(&self, role: String, args: &[String]) -> Result<Supervised, ChildError> {
        Supervised::start(role, self.program.command(args), &self.interrupt)
    }

    fn start_server(&self, role: String, mut args: Vec<String>) -> Result<Server, ChildError> {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        args.extend(["--listen".into(), anywhere.to_string(), "--supervised".into()]);
        let mut child = self.start(role, &args)?;
        let Ready { listening: address, .. } = child.read("listen", LISTEN_WITHIN)?;
        Ok(Server { child, address })
    }

    /// Starts every backend that is not running.
    fn raise_backends(&mut self, warnings: &mut Vec<String>) -> Result<(), ChildError> {
        for index in 0..self.backends.len() {
            let backend = &mut self.backends[index];
            if let Some(died) = backend.server.as_mut().and_then(|server| server.child.obituary()) {
                warnings.push(format!("{died}; it is started again"));
                backend.server = None;
            }
            if backend.server.is_none() {
                let name = backend.name.clone();
                let args =
                    ["backend", "--name", &name, "--body-bytes", &self.plan.base.body_bytes.to_string()];
                let args = args.into_iter().map(str::to_owned).chain(self.processors_of(Role::Other));
                let server = self.start_server(format!("backend {name}"), args.collect())?;
                self.backends[index].server = Some(server);
            }
        }
        Ok(())
    }

    fn start_balancer(&self, cell: &Cell, backends: &[SocketAddr]) -> Result<Server, ChildError> {
        let mut args: Vec<String> = ["balance", "--model", &cell.competitor.name].map(str::to_owned).to_vec();
        args.extend(backends.iter().flat_map(|address| ["--backend".to_owned(), address.to_string()]));
        let Cell { competitor, condition } = cell;
        if competitor.slowdown_percent > 0 {
            args.extend(["--handicap".to_owned(), competitor.slowdown_percent.to_string()]);
        }
        if let Some(workers) = condition.workers {
            args.extend(["--workers".to_owned(), workers.to_string()]);
        }
        args.extend(self.processors_of(Role::Balancer));
        self.start_server(format!("the balancer ({competitor})"), args)
    }

    /// The option that confines a role to its processors.
    fn processors_of(&self, role: Role) -> Vec<String> {
        match (self.plan.base.layout, self.processors.split_first()) {
            (Layout::Pinned, Some((first, others))) if !others.is_empty() => {
                let own = match role {
                    Role::Balancer => std::slice::from_ref(first),
                    Role::Other => others,
                };
                let own: Vec<_> = own.iter().map(ToString::to_string).collect();
                vec!["--processors".to_owned(), own.join(",")]
            }
            _ => Vec::new(),
        }
    }

    fn start_load(&self, targets: &[SocketAddr], condition: &Condition) -> Result<Supervised, ChildError> {
        let mut args = vec!["load".to_owned()];
        args.extend(targets.iter().map(|address| format!("http://{address}/")));
        let mut option = |name: &str, value: &dyn ToString| args.extend([name.to_owned(), value.to_string()]);
        option("-n", &condition.requests);
        option("-c", &condition.concurrency);
        option("--warmup", &condition.warmup);
        option("--expect-body-bytes", &condition.body_bytes);
        if let Some(rate) = condition.rate {
            option("--rate", &rate);
        }
        if condition.connections == Connections::Keepalive {
            args.push("-k".to_owned());
        }
        args.extend(["--json".to_owned(), "--supervised".to_owned()]);
        args.extend(self.processors_of(Role::Other));
        self.start("the load generator".to_owned(), &args)
    }

    /// A rate may be slower than anything else worth measuring.
    fn patience_a_request(condition: &Condition) -> Duration {
        let interval = condition
            .rate
            .map(|rate| Duration::from_secs(1) / u32::try_from(rate).unwrap_or(u32::MAX).max(1));
        PATIENCE_A_REQUEST.max(2 * interval.unwrap_or_default())
    }

    /// One trial. `started` is set when the window opens. An error is a process that did not come up, or the
    /// interrupt.
    fn serve(
        &mut self,
        cell: &Cell,
        warnings: &mut Vec<String>,
        started: &mut u64,
    ) -> Result<Outcome, ChildError> {
        self.raise_backends(warnings)?;
        let condition = &cell.condition;
        let count = condition.backends as usize;
        let running = self.backends.iter().filter_map(|backend| Some(backend.server.as_ref()?.address));
        let addresses: Vec<_> = running.take(count).collect();
        let direct = cell.competitor.is_direct();
        let mut balancer = if direct { None } else { Some(self.start_balancer(cell, &addresses)?) };
        let targets = balancer.as_ref().map_or(addresses, |balancer| vec![balancer.address]);
        let load = self.start_load(&targets, condition)?;

        let a_request = Self::patience_a_request(condition);
        let names: Vec<_> = self.backends[..count].iter().map(|backend| backend.name.clone()).collect();
        let servers = self.backends.iter_mut().filter_map(|backend| backend.server.as_mut());
        let mut trial = Window {
            load,
            balancer: balancer.as_mut().map(|server| &mut server.child),
            backends: servers.take(count).map(|server| &mut server.child).collect(),
            patience: PATIENCE
                + a_request.saturating_mul(u32::try_from(condition.requests).unwrap_or(u32::MAX)),
        };
        match trial.measure(started) {
            Ok(measured) => Ok(measured.judge(condition, &self.plan.gates, &names, trial.fates())),
            Err(WindowError::Child(ChildError::Interrupted)) => Err(ChildError::Interrupted),
            Err(error) => {
                let mut reasons = vec![Reason::Words(error.to_string())];
                // One death is often the cause of another: told once, in the order of the roles.
                reasons
                    .extend(trial.fates().into_iter().filter(|fate| fate.to_string() != error.to_string()));
                Ok(Outcome::Invalid { reasons })
            }
        }
    }
}

impl Executor for Crew {
    fn attempt(&mut self, cell: &Cell) -> Result<Attempt, Interrupted> {
        if self.interrupt.load(Ordering::Relaxed) {
            return Err(Interrupted);
        }
        let began = Instant::now();
        let mut started_unix_ms = unix_ms();
        let mut warnings = Vec::new();
        let (came_up, outcome) = match self.serve(cell, &mut warnings, &mut started_unix_ms) {
            Ok(outcome) => (true, outcome),
            Err(ChildError::Interrupted) => return Err(Interrupted),
            Err(error) => (false, Outcome::Invalid { reasons: vec![Reason::Words(error.to_string())] }),
        };
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Attempt { started_unix_ms, took_ms, came_up, outcome, warnings })
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
