//! The processes that a scenario is played with: for each trial fresh backends, a fresh balancer, a fresh load.
//!
//! Owns the backends' addresses and what each act does to a backend; who is started how is the [`Testbed`]'s affair, the order of the acts is
//! [`super::play`]'s, what it all means [`super::observe`]'s. Rules: a backend's port stays reserved while nobody
//! listens there, so that no other process and no outgoing connection can take it; a process that dies unasked makes the
//! trial invalid; nothing waits without a limit and without heeding the interrupt.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::de::IgnoredAny;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use super::data::{FaultOutcome, FaultPlan};
use super::observe::observe;
use super::play::{Stage, play, since};
use super::run::{Attempt, Player};
use super::scenario::{Act, Event, SLOW_BY};
use crate::host::monotonic_ns;
use crate::load::{LoadReport, Recording};
use crate::plan::{Competitor, Condition, Plan};
use crate::testbed::Testbed;
use crate::testbed::control::Order;
use crate::testbed::process::{ChildError, Supervised};
use crate::testbed::role::{Detail, patience};
use crate::trial::runner::Interrupted;

/// Between two looks at the interrupt and at the processes while an event is waited for.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long a backend may take to carry out an order.
const OBEY_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug, Error)]
enum StageError {
    #[error(transparent)]
    Child(#[from] ChildError),
    #[error(
        "a fault run tells times of one process by the clock of another: run it with every role on one host"
    )]
    Clocks,
    #[error("no port could be reserved for a backend ({0}); wait a minute until the kernel has ports again")]
    Port(io::Error),
}

/// Takes each model of a plan through its scenario.
#[derive(Debug)]
pub struct FaultExecutor {
    testbed: Testbed,
    plan: Plan,
    fault: FaultPlan,
}

impl FaultExecutor {
    /// Without any process yet.
    pub fn new(testbed: Testbed, plan: &Plan, fault: &FaultPlan) -> Self {
        FaultExecutor { testbed, plan: plan.clone(), fault: fault.clone() }
    }

    /// One trial. `started` is set when the window opens. An error is a process that did not come up, or the interrupt.
    fn perform(&self, model: &Competitor, started: &mut u64) -> Result<FaultOutcome, StageError> {
        if !self.testbed.topology().is_one_host() {
            return Err(StageError::Clocks);
        }
        let (testbed, condition) = (&self.testbed, &self.plan.base);
        let backends = (1..=condition.backends).map(|number| Backend::start(testbed, condition, number));
        let backends = backends.collect::<Result<Vec<_>, _>>()?;
        let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
        let balancer = testbed.balancer(model, &addresses, condition)?;
        let detail = Detail::EachRequest { timeout_ms: self.fault.timeout_ms };
        let mut load = testbed.load(&[balancer.address], condition, detail)?;
        load.read::<IgnoredAny>("warm up", patience(condition))?;
        let patience =
            patience(condition) + Duration::from_millis(self.fault.after_ms + self.fault.timeout_ms);
        let mut processes = Processes { testbed, backends, balancer: balancer.process, load, patience };
        *started = unix_ms();
        match processes.go_through(&self.fault) {
            Ok(outcome) => Ok(outcome),
            Err(StageError::Child(ChildError::Interrupted)) => Err(ChildError::Interrupted.into()),
            Err(error) => Ok(FaultOutcome::Invalid { reasons: vec![error.to_string()] }),
        }
    }
}

impl Player for FaultExecutor {
    fn play(&mut self, model: &Competitor) -> Result<Attempt, Interrupted> {
        if self.testbed.is_interrupted() {
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
struct Processes<'a> {
    load: Supervised,
    balancer: Supervised,
    backends: Vec<Backend<'a>>,
    testbed: &'a Testbed,
    /// How long the window may take.
    patience: Duration,
}

impl Processes<'_> {
    fn go_through(&mut self, fault: &FaultPlan) -> Result<FaultOutcome, StageError> {
        self.load.say("go")?;
        let moments = play(&fault.scenario, self)?;
        let patience = self.patience;
        let _: LoadReport = self.load.read("finish its requests", patience)?;
        let recording: Recording = self.load.read("tell what became of each request", patience)?;
        let exit_reports = self.exit_reports();
        if !exit_reports.is_empty() {
            return Ok(FaultOutcome::Invalid { reasons: exit_reports });
        }
        Ok(observe(fault, &recording, &since(recording.began_monotonic_ns, &moments)))
    }

    /// Every process that has died unasked, and how.
    fn exit_reports(&mut self) -> Vec<String> {
        let backends = self.backends.iter_mut().filter_map(|backend| backend.child.as_mut());
        let servers = std::iter::once(&mut self.balancer).chain(backends);
        servers.filter_map(|server| Some(server.exit_report()?.to_string())).collect()
    }
}

impl Stage for Processes<'_> {
    type Error = StageError;

    fn now_ns(&self) -> u64 {
        monotonic_ns()
    }

    fn wait_until(&mut self, ns: u64) -> Result<(), StageError> {
        loop {
            if self.testbed.is_interrupted() {
                return Err(ChildError::Interrupted.into());
            }
            let backends = self.backends.iter_mut().filter_map(|backend| backend.child.as_mut());
            for child in [&mut self.load, &mut self.balancer].into_iter().chain(backends) {
                if let Some(died) = child.exit_report() {
                    return Err(died.into());
                }
            }
            let left = Duration::from_nanos(ns.saturating_sub(monotonic_ns()));
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(POLL_INTERVAL));
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
    testbed: &'a Testbed,
    condition: &'a Condition,
    number: u32,
    address: SocketAddr,
    /// Bound, and never listening: while nobody else is, a connection is refused, and the port is nobody's.
    _reserved: Socket,
    /// None while it is dead.
    child: Option<Supervised>,
    fault: Option<Act>,
}

impl<'a> Backend<'a> {
    fn start(testbed: &'a Testbed, condition: &'a Condition, number: u32) -> Result<Self, StageError> {
        let (reserved, address) = reserve().map_err(StageError::Port)?;
        let (child, fault) = (None, None);
        let mut backend = Backend { testbed, condition, number, address, _reserved: reserved, child, fault };
        backend.come_up()?;
        Ok(backend)
    }

    fn come_up(&mut self) -> Result<(), StageError> {
        self.child = Some(self.testbed.backend_at(self.address, self.number, self.condition)?.process);
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
