//! One trial with faults: fresh backends, a fresh balancer and a fresh load, while a script is carried out.
//!
//! Owns what each event does to a backend; who is started how is the [`Testbed`]'s affair, the
//! order of the events [`super::script`]'s, what it all means [`super::observe`]'s. Rules: a backend's port stays reserved
//! while nobody listens there, so that no other process and no outgoing connection can take it; a process that dies unasked
//! makes the trial invalid; nothing waits without a limit and without heeding the interrupt.

use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use super::observe::observe;
use super::script::{EventTarget, carry_out, since};
use crate::host::{HostError, Usage, monotonic_ns, unix_ms};
use crate::plan::fault::{Act, Event, SLOW_BY};
use crate::plan::{Cell, Condition, Faults, Gates, backend_name};
use crate::record::{Outcome, Reason};
use crate::testbed::control::Order;
use crate::testbed::generators::Generators;
use crate::testbed::process::{ChildError, Supervised};
use crate::testbed::role::{Detail, patience};
use crate::testbed::{Port, PortError, Testbed};
use crate::trial::machines::{CountError, Moment};
use crate::trial::window::{Measured, reason, used};

/// Between two looks at the interrupt and at the processes while an event is waited for.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long a backend may take to carry out an order.
const OBEY_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug, Error)]
pub(crate) enum FaultTrialError {
    #[error(transparent)]
    Child(#[from] ChildError),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error("{0}")]
    Invalid(Reason),
    #[error("no port could be reserved for a backend ({0}); wait a minute until the kernel has ports again")]
    Port(PortError),
}

impl From<CountError> for FaultTrialError {
    fn from(error: CountError) -> Self {
        match error {
            CountError::Host(error) => FaultTrialError::Host(error),
            CountError::Child(error) => FaultTrialError::Child(error),
        }
    }
}

/// One trial of `cell`, whose condition has `faults`. `started` is set when the window opens. An error is a process that did
/// not come up, or the interrupt.
pub(crate) fn serve(
    testbed: &Testbed,
    gates: &Gates,
    cell: &Cell,
    faults: &Faults,
    started: &mut u64,
) -> Result<Outcome, FaultTrialError> {
    let Cell { competitor, condition } = cell;
    let backends = (1..=condition.backends).map(|number| Backend::start(testbed, condition, number));
    let backends = backends.collect::<Result<Vec<_>, _>>()?;
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let balancer = match competitor.is_direct() {
        true => None,
        false => Some(testbed.balancer(competitor, &addresses, condition)?),
    };
    let targets = balancer.as_ref().map_or(addresses, |balancer| vec![balancer.address]);
    let detail = Detail::EachRequest { timeout_ms: faults.timeout_ms };
    let load = testbed.load(&targets, condition, detail)?;
    let balancer = balancer.map(|server| server.process);
    let mut processes = Processes { testbed, backends, balancer, load };
    match processes.measure(condition, faults, started) {
        Ok(measured) => {
            let names: Vec<_> = (1..=condition.backends).map(backend_name).collect();
            Ok(measured.judge(cell, gates, &names, processes.exit_reports()))
        }
        Err(FaultTrialError::Child(ChildError::Interrupted)) => Err(ChildError::Interrupted.into()),
        Err(FaultTrialError::Invalid(reason)) => Ok(Outcome::Invalid { reasons: vec![reason] }),
        Err(FaultTrialError::Child(error)) => Ok(Outcome::Invalid { reasons: vec![reason(error)] }),
        Err(error) => Ok(Outcome::Invalid { reasons: vec![Reason::Words(error.to_string())] }),
    }
}

/// The processes of one trial. Ended in the order of the fields: nobody is left without what it needs.
struct Processes<'a> {
    load: Generators,
    /// None in the direct row.
    balancer: Option<Supervised>,
    backends: Vec<Backend<'a>>,
    testbed: &'a Testbed,
}

impl Processes<'_> {
    /// Lets the load generator warm up, opens the window, carries the script out in it and reads every counter around it.
    fn measure(
        &mut self,
        condition: &Condition,
        faults: &Faults,
        started: &mut u64,
    ) -> Result<Measured, FaultTrialError> {
        self.load.warm_up(patience(condition))?;
        let client = self.load.usage()?;
        let balancer = self.balancer.as_mut().map(Supervised::usage).transpose()?;
        for backend in &mut self.backends {
            backend.before = backend.process.as_mut().map(Supervised::usage).transpose()?;
        }
        let moment = Moment::now(self.testbed)?;
        *started = unix_ms();
        self.load.go()?;
        let moments = carry_out(&faults.script, self)?;
        let patience = patience(condition) + Duration::from_millis(faults.after_ms + faults.timeout_ms);
        let finished = self.load.finish(patience)?;
        let recording = self.load.recording(patience)?;
        let machines = moment.until(&Moment::now(self.testbed)?);
        let seen = observe(faults, &recording, &since(recording.began_monotonic_ns, &moments))
            .map_err(FaultTrialError::Invalid)?;
        // The counters of one that a fault ended are gone with it.
        let backends = self.backends.iter_mut().filter_map(|backend| {
            let (before, process) = (backend.before?, backend.process.as_mut()?);
            Some(process.usage().map(|after| used(&before, &after)))
        });
        let backends = backends.sum::<Result<Usage, _>>()?;
        let after = self.balancer.as_mut().map(Supervised::account).transpose()?;
        Ok(Measured {
            finished,
            client: used(&client, &self.load.usage()?),
            balancer: balancer.zip(after.as_ref()).map(|(before, after)| used(&before, &after.usage)),
            connections_by_worker: after.map_or_else(Vec::new, |after| after.connections_by_worker),
            backends,
            machines,
            timeline: Some(Box::new(seen)),
        })
    }

    /// Every process that has died unasked, and how.
    fn exit_reports(&mut self) -> Vec<Reason> {
        let backends = self.backends.iter_mut().filter_map(|backend| backend.process.as_mut());
        let servers = self.balancer.iter_mut().chain(backends);
        servers.filter_map(|server| Some(reason(server.exit_report()?))).collect()
    }
}

impl EventTarget for Processes<'_> {
    type Error = FaultTrialError;

    fn now_ns(&self) -> u64 {
        monotonic_ns()
    }

    fn wait_until(&mut self, ns: u64) -> Result<(), FaultTrialError> {
        loop {
            if self.testbed.is_interrupted() {
                return Err(ChildError::Interrupted.into());
            }
            let backends = self.backends.iter_mut().filter_map(|backend| backend.process.as_mut());
            let balancer = self.balancer.iter_mut();
            let mut others = balancer.chain(backends);
            let died = self.load.exit_report();
            if let Some(died) = died.or_else(|| others.find_map(Supervised::exit_report)) {
                return Err(died.into());
            }
            let left = Duration::from_nanos(ns.saturating_sub(monotonic_ns()));
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(POLL_INTERVAL));
        }
    }

    fn apply(&mut self, event: &Event) -> Result<(), FaultTrialError> {
        // The load generator was told of surges beforehand.
        if event.act.is_of_the_load() {
            return Ok(());
        }
        let index = usize::try_from(event.backend).unwrap_or(0).saturating_sub(1);
        match self.backends.get_mut(index) {
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
    _reserved: Port,
    /// None while it is dead.
    process: Option<Supervised>,
    /// What it had used when the window opened; none where it has been ended since.
    before: Option<Usage>,
    fault: Option<Act>,
}

impl<'a> Backend<'a> {
    fn start(testbed: &'a Testbed, condition: &'a Condition, number: u32) -> Result<Self, FaultTrialError> {
        let (reserved, address) = testbed.port(number).map_err(|error| match error {
            PortError::OnHost(error) => FaultTrialError::Child(error.into()),
            error => FaultTrialError::Port(error),
        })?;
        let (process, before, fault) = (None, None, None);
        let mut backend =
            Backend { testbed, condition, number, address, _reserved: reserved, process, before, fault };
        backend.come_up()?;
        Ok(backend)
    }

    fn come_up(&mut self) -> Result<(), FaultTrialError> {
        self.process = Some(self.testbed.backend_at(self.address, self.number, self.condition)?.process);
        Ok(())
    }

    fn suffer(&mut self, act: Act) -> Result<(), FaultTrialError> {
        match (act, self.fault.take()) {
            (Act::KillBackend, _) => {
                self.before = None;
                if let Some(process) = self.process.take() {
                    process.kill();
                }
            }
            (Act::SlowBackend, _) => self.order(Order::DelayMs(milliseconds(SLOW_BY)))?,
            (Act::Refuse, _) => self.order(Order::Refuse)?,
            (Act::Restore, Some(Act::KillBackend)) => self.come_up()?,
            (Act::Restore, Some(Act::SlowBackend)) => self.order(Order::DelayMs(0))?,
            (Act::Restore, Some(Act::Refuse)) => self.order(Order::Accept)?,
            (Act::Restore | Act::Surge { .. } | Act::Calm, _) => {}
        }
        self.fault = Some(act).filter(|act| *act != Act::Restore);
        Ok(())
    }

    fn order(&mut self, order: Order) -> Result<(), FaultTrialError> {
        if let Some(process) = &mut self.process {
            let word = serde_json::to_string(&order).expect("an order is a word or a number");
            process.say(&word)?;
            process.read::<Order>("carry out its order", OBEY_WITHIN)?;
        }
        Ok(())
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
