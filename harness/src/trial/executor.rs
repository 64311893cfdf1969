//! Measures one trial after another: backends that live as long as their condition asks for the same, and for each trial a
//! fresh balancer and a fresh load generator.
//!
//! Owns the order of a trial's steps; who is started how is the [`Testbed`]'s affair, what makes a trial valid is
//! [`crate::trial::gates`]'s. Rules: the timed window opens only after the load generator has warmed up and every counter has
//! been read; whatever goes wrong becomes the trial's reasons, together with the exit report of every process that died; a
//! dead backend is started again before the next trial.

use std::time::Instant;

use roundtable_backends::ServiceTime;

use crate::host::unix_ms;
use crate::plan::{Cell, Condition, Gates, Layout, Plan, backend_name};
use crate::record::{Outcome, Reason};
use crate::testbed::process::ChildError;
use crate::testbed::role::{Detail, patience};
use crate::testbed::{Server, Testbed};
use crate::trial::faults::{self, FaultTrialError};
use crate::trial::runner::{Attempt, Executor, Interrupted};
use crate::trial::window::{Window, WindowError, reason};

/// Starts, measures and ends the processes of a run.
#[derive(Debug)]
pub struct TestbedExecutor {
    testbed: Testbed,
    gates: Gates,
    /// Each backend that a trial may need, from number 1 on; none before the first trial, and where one could not be started.
    backends: Vec<Option<Server>>,
    /// What the backends were started for.
    serving: Option<Serving>,
}

/// What a backend is told when it starts: another value needs other backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Serving {
    body_bytes: u64,
    upload_bytes: u64,
    delay: ServiceTime,
    at_a_time: Option<u32>,
    backlog: Option<u32>,
    may_be_stored: bool,
    layout: Layout,
}

impl TestbedExecutor {
    /// For the trials of `plan`, without any process yet.
    pub fn new(testbed: Testbed, plan: &Plan) -> Self {
        let backends = (0..plan.most_backends()).map(|_| None).collect();
        TestbedExecutor { testbed, gates: plan.gates, backends, serving: None }
    }

    /// Starts every backend that is not running as `condition` asks.
    fn start_backends(
        &mut self,
        condition: &Condition,
        warnings: &mut Vec<String>,
    ) -> Result<(), ChildError> {
        let Condition { body_bytes, upload_bytes, delay, at_a_time, backlog, layout, .. } = *condition;
        let may_be_stored = condition.hit_ratio_percent.is_some();
        let serving = Serving { body_bytes, upload_bytes, delay, at_a_time, backlog, may_be_stored, layout };
        if self.serving.replace(serving).is_some_and(|before| before != serving) {
            self.backends.iter_mut().for_each(|backend| *backend = None);
        }
        for (number, backend) in (1..).zip(&mut self.backends) {
            if let Some(died) = backend.as_mut().and_then(|server| server.process.exit_report()) {
                warnings.push(format!("{died}; it is started again"));
                *backend = None;
            }
            if backend.is_none() {
                *backend = Some(self.testbed.backend(number, condition)?);
            }
        }
        Ok(())
    }

    /// One trial. `started` is set when the window opens. An error is a process that did not come up, or the
    /// interrupt.
    fn serve(
        &mut self,
        cell: &Cell,
        warnings: &mut Vec<String>,
        started: &mut u64,
    ) -> Result<Outcome, FaultTrialError> {
        let Cell { competitor, condition } = cell;
        if let Some(faults) = &condition.fault {
            return faults::serve(&self.testbed, &self.gates, cell, faults, started);
        }
        self.start_backends(condition, warnings)?;
        let count = condition.backends as usize;
        let mut backends: Vec<_> = self.backends.iter_mut().flatten().take(count).collect();
        let addresses: Vec<_> = backends.iter().map(|server| server.address).collect();
        let mut balancer = match competitor.is_direct() {
            true => None,
            false => Some(self.testbed.balancer(competitor, &addresses, condition)?),
        };
        let targets = balancer.as_ref().map_or(addresses, |balancer| vec![balancer.address]);
        let load = self.testbed.load(&targets, condition, Detail::Summed)?;

        let names: Vec<_> = (1..=condition.backends).map(backend_name).collect();
        let mut trial = Window {
            testbed: &self.testbed,
            load,
            balancer: balancer.as_mut().map(|server| &mut server.process),
            backends: backends.iter_mut().map(|server| &mut server.process).collect(),
            patience: patience(condition),
        };
        match trial.measure(started) {
            Ok(measured) => Ok(measured.judge(cell, &self.gates, &names, trial.exit_reports())),
            Err(WindowError::Child(ChildError::Interrupted)) => Err(ChildError::Interrupted.into()),
            Err(error) => {
                let mut reasons = vec![match error {
                    WindowError::Child(error) => reason(error),
                    WindowError::Host(error) => Reason::Words(error.to_string()),
                }];
                // One death is often the cause of another: told once, in the order of the roles.
                for report in trial.exit_reports() {
                    if !reasons.contains(&report) {
                        reasons.push(report);
                    }
                }
                Ok(Outcome::Invalid { reasons })
            }
        }
    }
}

impl Executor for TestbedExecutor {
    fn attempt(&mut self, cell: &Cell) -> Result<Attempt, Interrupted> {
        if self.testbed.is_interrupted() {
            return Err(Interrupted);
        }
        let began = Instant::now();
        let mut started_unix_ms = unix_ms();
        let mut warnings = Vec::new();
        let (came_up, outcome) = match self.serve(cell, &mut warnings, &mut started_unix_ms) {
            Ok(outcome) => (true, outcome),
            Err(FaultTrialError::Child(ChildError::Interrupted)) => return Err(Interrupted),
            Err(FaultTrialError::Child(error)) => (false, Outcome::Invalid { reasons: vec![reason(error)] }),
            Err(error) => (false, Outcome::Invalid { reasons: vec![Reason::Words(error.to_string())] }),
        };
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Attempt { started_unix_ms, took_ms, came_up, outcome, warnings })
    }
}

#[cfg(test)]
mod tests;
