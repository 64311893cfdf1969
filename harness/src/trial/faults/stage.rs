//! The processes that a scenario is played with: for each trial fresh backends, a fresh balancer, a fresh load.
//!
//! Owns their arguments, the backends' addresses and what each act does to a backend; the order of the acts is
//! [`super::play`]'s, what it all means [`super::observe`]'s. Rules: a backend's port stays reserved while nobody
//! listens there, so that no other process and no outgoing connection can take it; a process that dies unasked makes the
//! trial invalid; nothing waits without a limit and without heeding the interrupt.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::de::IgnoredAny;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use super::data::{FaultOutcome, FaultPlan};
use super::observe::{backend_name, observe};
use super::play::{Stage, play, since};
use super::run::{Attempt, Player};
use super::scenario::{Act, Event, SLOW_BY};
use crate::host::monotonic_ns;
use crate::load::{LoadReport, Recording};
use crate::plan::{Competitor, Connections, Plan};
use crate::testbed::control::Order;
use crate::testbed::process::{ChildError, Supervised};
use crate::testbed::stand::{Server, Workshop};
use crate::trial::executor::Program;
use crate::trial::runner::Interrupted;

/// Between two looks at the interrupt and at the processes while an event is waited for.
const GLANCE: Duration = Duration::from_millis(20);
/// How long a backend may take to carry out an order.
const OBEY_WITHIN: Duration = Duration::from_secs(5);
/// How long a warm-up or a window may take, beyond its length.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Error)]
enum StageError {
    #[error(transparent)]
    Child(#[from] ChildError),
    #[error("no port could be reserved for a backend ({0}); wait a minute until the kernel has ports again")]
    Port(io::Error),
}

/// Plays the scenario of a plan, a model at a time.
#[derive(Debug)]
pub struct Theatre {
    workshop: Workshop,
    plan: Plan,
    fault: FaultPlan,
}

impl Theatre {
    /// A theatre without any process yet. `interrupt` turns true when the user wants to stop.
    pub fn new(program: Program, plan: &Plan, fault: &FaultPlan, interrupt: Arc<AtomicBool>) -> Self {
        let workshop = Workshop { program, interrupt, body_bytes: plan.base.body_bytes };
        Theatre { workshop, plan: plan.clone(), fault: fault.clone() }
    }

    /// One trial. `started` is set when the window opens. An error is a process that did not come up, or the interrupt.
    fn perform(&self, model: &Competitor, started: &mut u64) -> Result<FaultOutcome, StageError> {
        let backends = (1..=self.plan.most_backends()).map(|number| Backend::start(&self.workshop, number));
        let backends = backends.collect::<Result<Vec<_>, _>>()?;
        let balancer = self.balancer(model, &backends)?;
        let load = self.load(balancer.address)?;
        let mut cast = Cast { workshop: &self.workshop, backends, balancer: balancer.child, load };
        *started = unix_ms();
        match cast.go_through(&self.fault) {
            Ok(outcome) => Ok(outcome),
            Err(StageError::Child(ChildError::Interrupted)) => Err(ChildError::Interrupted.into()),
            Err(error) => Ok(FaultOutcome::Invalid { reasons: vec![error.to_string()] }),
        }
    }

    fn balancer(&self, model: &Competitor, backends: &[Backend<'_>]) -> Result<Server, ChildError> {
        let mut args = ["balance", "--model", &model.name].map(str::to_owned).to_vec();
        args.extend(
            backends.iter().flat_map(|backend| ["--backend".to_owned(), backend.address.to_string()]),
        );
        if let Some(workers) = self.plan.base.workers {
            args.extend(["--workers".to_owned(), workers.to_string()]);
        }
        self.workshop.start_server(format!("the balancer ({model})"), args)
    }

    /// A load that has warmed up and waits for its `go`.
    fn load(&self, target: SocketAddr) -> Result<Supervised, ChildError> {
        let mut args = vec!["load".to_owned(), format!("http://{target}/")];
        let mut option = |name: &str, value: &dyn ToString| args.extend([name.to_owned(), value.to_string()]);
        option("-n", &self.plan.base.requests);
        option("-c", &self.plan.most_concurrency());
        option("--warmup", &self.plan.base.warmup);
        option("--timeout", &format!("{}ms", self.fault.timeout_ms));
        option("--expect-body-bytes", &self.plan.base.body_bytes);
        if let Some(rate) = self.plan.base.rate {
            option("--rate", &rate);
        }
        if self.plan.base.connections == Connections::Keepalive {
            args.push("-k".to_owned());
        }
        args.extend(["--json", "--supervised", "--record"].map(str::to_owned));
        let mut load = self.workshop.start("the load generator".to_owned(), &args)?;
        let patience = PATIENCE + self.length_of(self.plan.base.warmup);
        load.read::<IgnoredAny>("warm up", patience)?;
        Ok(load)
    }

    /// How long so many requests take to come due.
    fn length_of(&self, requests: u64) -> Duration {
        Duration::from_millis(requests.saturating_mul(1000) / self.plan.base.rate.unwrap_or(1).max(1))
    }
}

impl Player for Theatre {
    fn play(&mut self, model: &Competitor) -> Result<Attempt, Interrupted> {
        if self.workshop.interrupt.load(Ordering::Relaxed) {
            return Err(Interrupted);
        }
        let began = Instant::now();
        let mut started_unix_ms = unix_ms();
        let (came_up, outcome) = match self.perform(model, &mut started_unix_ms) {
            Ok(outcome) => (true, outcome),
            Err(StageError::Child(ChildError::Interrupted)) => return Err(Interrupted),
            Err(error) => (false, FaultOutcome::Invalid { reasons: vec![error.to_string()] }),
        };
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Attempt { started_unix_ms, took_ms, came_up, outcome })
    }
}

/// The processes of one trial. Ended in the order of the fields: nobody is left without what it needs.
struct Cast<'a> {
    load: Supervised,
    balancer: Supervised,
    backends: Vec<Backend<'a>>,
    workshop: &'a Workshop,
}

impl Cast<'_> {
    fn go_through(&mut self, fault: &FaultPlan) -> Result<FaultOutcome, StageError> {
        self.load.say("go")?;
        let moments = play(&fault.scenario, self)?;
        let patience = PATIENCE + Duration::from_millis(fault.after_ms + fault.timeout_ms);
        let _: LoadReport = self.load.read("finish its requests", patience)?;
        let recording: Recording = self.load.read("tell what became of each request", patience)?;
        let fates = self.fates();
        if !fates.is_empty() {
            return Ok(FaultOutcome::Invalid { reasons: fates });
        }
        Ok(observe(fault, &recording, &since(recording.began_monotonic_ns, &moments)))
    }

    /// Every process that has died unasked, and how.
    fn fates(&mut self) -> Vec<String> {
        let backends = self.backends.iter_mut().filter_map(|backend| backend.child.as_mut());
        let servers = std::iter::once(&mut self.balancer).chain(backends);
        servers.filter_map(|server| Some(server.obituary()?.to_string())).collect()
    }
}

impl Stage for Cast<'_> {
    type Error = StageError;

    fn now_ns(&self) -> u64 {
        monotonic_ns()
    }

    fn wait_until(&mut self, ns: u64) -> Result<(), StageError> {
        loop {
            if self.workshop.interrupt.load(Ordering::Relaxed) {
                return Err(ChildError::Interrupted.into());
            }
            let backends = self.backends.iter_mut().filter_map(|backend| backend.child.as_mut());
            for child in [&mut self.load, &mut self.balancer].into_iter().chain(backends) {
                if let Some(died) = child.obituary() {
                    return Err(died.into());
                }
            }
            let left = Duration::from_nanos(ns.saturating_sub(monotonic_ns()));
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(GLANCE));
        }
    }

    fn perform(&mut self, event: &Event) -> Result<(), StageError> {
        let place = usize::try_from(event.backend).unwrap_or(0).saturating_sub(1);
        match self.backends.get_mut(place) {
            Some(backend) => backend.suffer(event.act),
            None => Ok(()),
        }
    }
}

/// A backend, and the fault that it has.
struct Backend<'a> {
    workshop: &'a Workshop,
    name: String,
    address: SocketAddr,
    /// Bound, and never listening: while nobody else is, a connection is refused, and the port is nobody's.
    _reserved: Socket,
    /// None while it is dead.
    child: Option<Supervised>,
    fault: Option<Act>,
}

impl<'a> Backend<'a> {
    fn start(workshop: &'a Workshop, number: u32) -> Result<Self, StageError> {
        let (reserved, address) = reserve().map_err(StageError::Port)?;
        let name = backend_name(number);
        let mut backend = Backend { workshop, name, address, _reserved: reserved, child: None, fault: None };
        backend.come_up()?;
        Ok(backend)
    }

    fn come_up(&mut self) -> Result<(), StageError> {
        let bytes = self.workshop.body_bytes.to_string();
        let args = ["backend", "--name", &self.name, "--body-bytes", &bytes].map(str::to_owned).to_vec();
        let role = format!("backend {}", self.name);
        self.child = Some(self.workshop.start_server_at(self.address, role, args)?.child);
        Ok(())
    }

    fn suffer(&mut self, act: Act) -> Result<(), StageError> {
        match (act, self.fault.take()) {
            (Act::KillBackend, _) => {
                if let Some(child) = self.child.take() {
                    child.kill();
                }
            }
            (Act::SlowBackend, _) => self.order(Order::DelayMs(milliseconds(SLOW_BY)))?,
            (Act::Refuse, _) => self.order(Order::Refuse)?,
            (Act::Restore, Some(Act::KillBackend)) => self.come_up()?,
            (Act::Restore, Some(Act::SlowBackend)) => self.order(Order::DelayMs(0))?,
            (Act::Restore, Some(Act::Refuse)) => self.order(Order::Accept)?,
            (Act::Restore, Some(Act::Restore) | None) => {}
        }
        self.fault = Some(act).filter(|act| *act != Act::Restore);
        Ok(())
    }

    fn order(&mut self, order: Order) -> Result<(), StageError> {
        if let Some(child) = &mut self.child {
            let word = serde_json::to_string(&order).expect("an order is a word or a number");
            child.say(&word)?;
            child.read::<Order>("carry out its order", OBEY_WITHIN)?;
        }
        Ok(())
    }
}

/// A port of our own. Both sides set SO_REUSEADDR: then a backend may listen at it as long as nobody else does.
fn reserve() -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let address =
        socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an Internet address"))?;
    Ok((socket, address))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn unix_ms() -> u64 {
    milliseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_reserved_port_refuses_until_somebody_listens_there_and_again_afterwards() {
        let (_reserved, address) = reserve().unwrap();
        for _ in 0..3 {
            assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            // std sets SO_REUSEADDR, as a backend does.
            let listener = TcpListener::bind(address).unwrap();
            TcpStream::connect(address).unwrap();
            drop(listener);
        }
    }
}
