//! Where, with what and how a run was measured: `environment.json`, and the names and numbers that are drawn for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::hosts::Hosts;
use super::schema::SCHEMA;
use crate::host::{self, Host};
use crate::plan::{Competitor, Family, Plan};

/// `environment.json`: where, with what and how a run was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// When the run began, RFC 3339, UTC.
    pub created: String,
    /// The command line that began it.
    pub command_line: Vec<String>,
    /// What was run.
    pub plan: Plan,
    /// Each model as `roundtable models` prints it.
    pub models: Vec<ModelInfo>,
    /// The binary.
    pub build: Build,
    /// The machine; of several, the balancer's.
    pub host: Host,
    /// The machines, where a run has several; absent where every role was played on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Hosts>,
    /// By which search the run came by its rate, in words; absent where the rate was given, and in a closed loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_found: Option<String>,
    /// What a reader must know besides, for instance that the run was resumed with another build.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// One model, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Who: its label on the command line.
    #[serde(rename = "name")]
    pub competitor: Competitor,
    /// Threaded or async.
    pub family: Family,
    /// One line.
    pub summary: String,
    /// What one schedulable piece of work is.
    pub unit_of_work: String,
    /// Worker threads, where their number is fixed.
    #[serde(default)]
    pub workers: Option<u32>,
    /// Fairness manifest: everything that could differ, with its value.
    pub manifest: BTreeMap<String, String>,
}

/// The binary that measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Version of roundtable.
    pub version: String,
    /// Git commit, or `unknown` outside a checkout.
    pub commit: String,
    /// Whether the checkout had uncommitted changes.
    pub dirty: bool,
    /// `rustc --version`.
    pub rustc: String,
    /// Cargo profile: `release` or `debug`.
    pub profile: String,
    /// Target triple.
    pub target: String,
    /// Versions of the crates that a model rests on.
    pub crates: BTreeMap<String, String>,
}

/// The environment of a run that begins now.
pub fn describe(command_line: Vec<String>, plan: Plan, models: Vec<ModelInfo>, build: Build) -> Environment {
    Environment {
        schema: SCHEMA,
        created: now().to_string(),
        command_line,
        plan,
        models,
        build,
        host: host::facts(),
        hosts: None,
        rate_found: None,
        notes: Vec::new(),
    }
}

/// A folder name for a run that begins now: names sort by age.
pub fn folder_name() -> String {
    now().strftime("%Y-%m-%dT%H-%M-%SZ").to_string()
}

/// A seed that is short enough to be typed again.
pub fn random_seed() -> u64 {
    u64::from(rand::random::<u32>())
}

/// What a reader must know when a run that `before` began goes on under `after`; nothing when they are alike.
pub fn differences(before: &Environment, after: &Environment) -> Vec<String> {
    let mut notes = Vec::new();
    if before.build != after.build {
        let dirty = if after.build.dirty { ", uncommitted changes" } else { "" };
        notes.push(format!(
            "resumed at {} with another build: {} (commit {}{dirty}, {}, {})",
            after.created, after.build.version, after.build.commit, after.build.rustc, after.build.profile
        ));
    }
    let machine = |environment: &Environment| {
        let host = environment.host.clone();
        (host.kernel, host.cpu, host.processors, host.hypervisor, host.sysctls)
    };
    if machine(before) != machine(after) {
        notes.push(format!(
            "resumed at {} on another machine or other settings: {}, {} processors, Linux {}",
            after.created, after.host.cpu, after.host.processors, after.host.kernel
        ));
    }
    let roles = |environment: &Environment| environment.hosts.as_ref().map(Hosts::roles);
    if let Some(now) = roles(after).filter(|_| roles(before) != roles(after)) {
        notes.push(format!("resumed at {} on other hosts: {now}", after.created));
    }
    if before.models != after.models {
        notes.push(format!("resumed at {} with models that describe themselves otherwise", after.created));
    }
    notes
}

fn now() -> jiff::Timestamp {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Second).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn a_run_resumed_alike_has_no_note() {
        let before = fixtures::environment();
        let mut after = before.clone();
        after.created = "2026-02-01T00:00:00Z".into();
        after.host.load_average = 9.0;
        assert_eq!(differences(&before, &after), Vec::<String>::new());
    }

    #[test]
    fn another_build_machine_or_manifest_is_a_note_each() {
        let before = fixtures::environment();
        let mut after = before.clone();
        after.build.commit = "abc".into();
        after.build.dirty = true;
        after.host.processors += 1;
        after.models[0].manifest.insert("backlog".into(), "1".into());
        let notes = differences(&before, &after);
        assert_eq!(notes.len(), 3);
        assert!(notes[0].contains("commit abc, uncommitted changes"), "{notes:?}");
    }

    #[test]
    fn what_is_described_now_can_be_found_by_its_age() {
        let before = fixtures::environment();
        let described = describe(Vec::new(), before.plan, before.models, before.build);
        assert!(described.created.parse::<jiff::Timestamp>().is_ok());
        assert_eq!(folder_name().len(), "2026-01-02T03-04-05Z".len());
    }
}
