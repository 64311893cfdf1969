//! A stand for passes outside the main plan: backends, a fresh balancer before them, and our own load.
//!
//! Owns these processes' arguments and the order of a load's steps; [`crate::trial::executor`] has those of the plan's trials.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::de::IgnoredAny;
use thiserror::Error;

use crate::load::LoadReport;
use crate::testbed::control::Ready;
use crate::testbed::process::{ChildError, Supervised};
use crate::trial::executor::Program;

/// How long a server may take to listen.
const LISTEN_WITHIN: Duration = Duration::from_secs(20);
/// How long a warm-up or a load may take, also under a tracer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why a pass could not be made.
#[derive(Debug, Error)]
pub enum PassError {
    /// A process of ours.
    #[error(transparent)]
    Child(ChildError),
    /// A balancer that does not do what it is for.
    #[error("not all {requests} requests at {model} were answered rightly; see why with `roundtable load`")]
    Unanswered {
        /// The balancer's model.
        model: String,
        /// How many were sent.
        requests: u64,
    },
    /// The user wants to stop.
    #[error("interrupted")]
    Interrupted,
}

impl From<ChildError> for PassError {
    fn from(error: ChildError) -> Self {
        match error {
            ChildError::Interrupted => PassError::Interrupted,
            error => PassError::Child(error),
        }
    }
}

/// What a pass needs to start processes.
#[derive(Debug, Clone)]
pub struct Workshop {
    /// The program that plays every role.
    pub program: Program,
    /// Turns true when the user wants to stop.
    pub interrupt: Arc<AtomicBool>,
    /// Length of each response body, bytes.
    pub body_bytes: u64,
}

/// A server that listens.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) child: Supervised,
    pub(crate) address: SocketAddr,
}

/// Backends, ready for balancers.
#[derive(Debug)]
pub(crate) struct Stand<'a> {
    workshop: &'a Workshop,
    backends: Vec<Server>,
}

/// One load at one server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drive {
    pub(crate) requests: u64,
    pub(crate) warmup: u64,
    pub(crate) concurrency: u32,
    pub(crate) keep_alive: bool,
}

impl<'a> Stand<'a> {
    pub(crate) fn raise(workshop: &'a Workshop, backends: u32) -> Result<Self, ChildError> {
        let backends = (1..=backends).map(|number| {
            let (name, bytes) = (format!("b{number}"), workshop.body_bytes.to_string());
            let args = ["backend", "--name", &name, "--body-bytes", &bytes].map(str::to_owned);
            workshop.start_server(format!("backend {name}"), args.to_vec())
        });
        Ok(Stand { workshop, backends: backends.collect::<Result<_, _>>()? })
    }

    /// A fresh balancer of `model` before all backends.
    pub(crate) fn balancer(&self, model: &str) -> Result<Server, ChildError> {
        let mut args = ["balance", "--model", model].map(str::to_owned).to_vec();
        for backend in &self.backends {
            args.extend(["--backend".to_owned(), backend.address.to_string()]);
        }
        self.workshop.start_server(format!("the balancer ({model})"), args)
    }

    /// A load that has warmed up and waits for its `go`.
    pub(crate) fn load(&self, target: SocketAddr, drive: Drive) -> Result<Supervised, ChildError> {
        let mut args = vec!["load".to_owned(), format!("http://{target}/")];
        let mut option = |name: &str, value: &dyn ToString| args.extend([name.to_owned(), value.to_string()]);
        option("-n", &drive.requests);
        option("-c", &drive.concurrency);
        option("--warmup", &drive.warmup);
        option("--expect-body-bytes", &self.workshop.body_bytes);
        if drive.keep_alive {
            args.push("-k".to_owned());
        }
        args.extend(["--json", "--supervised"].map(str::to_owned));
        let mut load = self.workshop.start("the load generator".to_owned(), &args)?;
        load.read::<IgnoredAny>("warm up", PATIENCE)?;
        Ok(load)
    }
}

/// Lets a load that waits go, to its end.
pub(crate) fn go(mut load: Supervised) -> Result<LoadReport, ChildError> {
    load.say("go")?;
    load.read("finish its requests", PATIENCE)
}

impl Workshop {
    pub(crate) fn start(&self, role: String, args: &[String]) -> Result<Supervised, ChildError> {
        Supervised::start(role, self.program.command(args), &self.interrupt)
    }

    pub(crate) fn start_server(&self, role: String, args: Vec<String>) -> Result<Server, ChildError> {
        self.start_server_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), role, args)
    }

    pub(crate) fn start_server_at(
        &self,
        address: SocketAddr,
        role: String,
        mut args: Vec<String>,
    ) -> Result<Server, ChildError> {
        args.extend(["--listen".into(), address.to_string(), "--supervised".into()]);
        let mut child = self.start(role, &args)?;
        let Ready { listening: address, .. } = child.read("listen", LISTEN_WITHIN)?;
        Ok(Server { child, address })
    }
}
