//! Untimed passes beside the trials: what noise cannot touch, and what other tools say.
//!
//! Owns what the passes have in common: backends that stay, a fresh balancer for each measurement, and our own load. Rule: a
//! pass has the run's own condition but for what it says of itself.

pub mod cross_check;
pub mod system_calls;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use thiserror::Error;

use self::cross_check::CrossCheck;
use self::system_calls::SystemCalls;
use crate::load::LoadReport;
use crate::plan::{Competitor, Condition};
use crate::record::store::{self, StoreError};
use crate::testbed::generators::Generators;
use crate::testbed::process::ChildError;
use crate::testbed::role::{Detail, patience};
use crate::testbed::{Server, Testbed};

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

/// What the passes beside a run's trials found, as far as they were made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Passes {
    /// System calls and context switches.
    pub system_calls: Option<SystemCalls>,
    /// Our load generator beside others.
    pub cross_check: Option<CrossCheck>,
}

impl Passes {
    /// Those that are kept in a run's folder.
    pub fn read(dir: &Path) -> Result<Self, StoreError> {
        Ok(Passes {
            system_calls: store::kept(dir, system_calls::FILE)?,
            cross_check: store::kept(dir, cross_check::FILE)?,
        })
    }
}

/// What `altered` makes of each of `conditions`, each result once.
fn each_once(conditions: &[Condition], altered: impl Fn(&Condition) -> Condition) -> Vec<Condition> {
    let mut distinct = Vec::new();
    for condition in conditions.iter().map(altered) {
        if !distinct.contains(&condition) {
            distinct.push(condition);
        }
    }
    distinct
}

/// A condition in the line that tells what is under way.
fn place(condition: &Condition) -> String {
    format!("{} backends, concurrency {}", condition.backends, condition.concurrency)
}

/// Backends, ready for balancers.
#[derive(Debug)]
struct Setup<'a> {
    testbed: &'a Testbed,
    backends: Vec<Server>,
}

impl<'a> Setup<'a> {
    /// Starts the backends of `condition`.
    fn start(testbed: &'a Testbed, condition: &Condition) -> Result<Self, ChildError> {
        let backends = (1..=condition.backends).map(|number| testbed.backend(number, condition));
        Ok(Setup { testbed, backends: backends.collect::<Result<_, _>>()? })
    }

    /// A fresh balancer before all backends.
    fn balancer(&self, competitor: &Competitor, condition: &Condition) -> Result<Server, ChildError> {
        let addresses: Vec<_> = self.backends.iter().map(|backend| backend.address).collect();
        self.testbed.balancer(competitor, &addresses, condition)
    }

    /// A load that has warmed up and waits to be let go.
    fn load(&self, target: SocketAddr, condition: &Condition) -> Result<Generators, ChildError> {
        let mut load = self.testbed.load(&[target], condition, Detail::Summed)?;
        load.warm_up(patience(condition))?;
        Ok(load)
    }

    /// Turns true when the user wants to stop.
    fn interrupt(&self) -> &AtomicBool {
        self.testbed.interrupt()
    }
}

/// Lets a load that waits go, to its end.
fn go(mut load: Generators, condition: &Condition) -> Result<LoadReport, ChildError> {
    load.go()?;
    Ok(load.finish(patience(condition))?.report)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fixtures;
    use crate::plan::{Layout, Length};
    use crate::testbed::launcher::Program;

    /// Writes each role's command line to a file; servers listen, a load reports that every request was answered.
    const ROLES: &str = r#"
        echo "$@" >> @LINES@
        case $1 in
            load) echo '{}' ;;
            *) echo '{"listening":"127.0.0.1:1","pid":1}' ;;
        esac
        while read word; do
            case $word in
                usage) echo '{"user_ns":1,"system_ns":1,"voluntary_switches":1,"involuntary_switches":1,"threads":1,"peak_rss_bytes":1}' ;;
                go) echo '@REPORT@' ;;
            esac
        done
    "#;

    #[test]
    fn system_calls_are_counted_with_the_workers_and_the_layout_of_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let lines = dir.path().join("lines");
        let report = LoadReport { requests: 2000, completed: 2000, elapsed_ns: 1, ..LoadReport::default() };
        let script = ROLES
            .replace("@LINES@", &lines.display().to_string())
            .replace("@REPORT@", &serde_json::to_string(&report).unwrap());
        let testbed = Testbed::local(Program::script(&script), Arc::default());
        let base = Condition {
            workers: Some(1),
            layout: Layout::Pinned,
            body_bytes: 77,
            ..fixtures::plan(Length::Blocks(1)).base
        };
        let models = [Competitor::of("tokio")];
        system_calls::measure(&testbed, std::slice::from_ref(&base), &models, &mut |_| ()).unwrap();
        let lines = std::fs::read_to_string(lines).unwrap();
        let of = |role: &str| -> Vec<&str> { lines.lines().filter(|line| line.starts_with(role)).collect() };
        assert_eq!(of("backend").len(), base.backends as usize);
        assert!(of("balance").len() >= 2 && of("load").len() >= 2, "{lines}");
        assert!(of("balance").iter().all(|line| line.contains(" --workers 1 ")), "{lines}");
        assert!(of("backend").iter().all(|line| line.contains(" --body-bytes 77 ")), "{lines}");
        // One processor cannot be shared out: then nobody is confined.
        if crate::host::allowed_processors().len() > 1 {
            assert!(lines.lines().all(|line| line.contains(" --processors ")), "{lines}");
        }
    }
}
