//! Whether two runs are runs of the same thing: grid, load and machine; and how much each difference weighs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::analysis::grid::Grid;
use crate::plan::{Competitor, Condition, FACTORS, Factor, Plan};
use crate::record::{Environment, Hosts};

/// Something in which two runs differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// What.
    pub what: String,
    /// As BASE has it.
    pub base: String,
    /// As NEW has it.
    pub new: String,
    /// How much that weighs.
    pub weight: Weight,
}

/// How much a difference between two runs weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Another load, or another machine: what differs may be that.
    ChangesTheMeaning,
    /// What a reader should know who wonders about a change.
    WorthKnowing,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} against {}", self.what, self.base, self.new)
    }
}

/// The conditions that both runs have, BASE's and NEW's of each: alike in every factor that either run varies. What else
/// differs is the same for all conditions of a run, and was let pass as a mismatch.
pub(super) fn common_conditions(base: &Grid, new: &Grid) -> Vec<[Condition; 2]> {
    let varied: Vec<&Factor> = base.dimensions().iter().chain(new.dimensions()).map(|of| of.factor).collect();
    let alike = |a: &Condition, b: &Condition| varied.iter().all(|factor| factor.get(a) == factor.get(b));
    let both = base.conditions().iter().filter_map(|condition| {
        let counterpart = new.conditions().iter().find(|other| alike(condition, other))?;
        Some([condition.clone(), counterpart.clone()])
    });
    both.collect()
}

/// In what two runs differ, what changes the meaning first. Another build is what they are compared for.
pub(super) fn mismatches(base: &Environment, new: &Environment) -> Vec<Mismatch> {
    let mut mismatches = Vec::new();
    let mut differs = |weight, what: &str, base: String, new: String| {
        if base != new {
            mismatches.push(Mismatch { what: what.to_owned(), base, new, weight });
        }
    };
    let (a, b) = (&base.plan, &new.plan);
    let rows = |competitors: &[Competitor]| {
        let set: BTreeSet<_> =
            competitors.iter().filter(|c| !c.is_control()).map(ToString::to_string).collect();
        set.into_iter().collect::<Vec<_>>().join(",")
    };
    differs(Weight::WorthKnowing, "models", rows(&a.competitors), rows(&b.competitors));
    for factor in FACTORS {
        let values = |plan: &Plan| -> Vec<_> { plan.values(factor).iter().map(|v| factor.told(v)).collect() };
        differs(Weight::ChangesTheMeaning, factor.title, values(a).join(", "), values(b).join(", "));
    }
    differs(
        Weight::ChangesTheMeaning,
        "build profile",
        base.build.profile.clone(),
        new.build.profile.clone(),
    );
    let (a, b) = (&base.host, &new.host);
    for (what, a, b) in [
        ("processor", a.cpu.clone(), b.cpu.clone()),
        ("processors", a.processors.to_string(), b.processors.to_string()),
        ("hypervisor", a.hypervisor.clone(), b.hypervisor.clone()),
    ] {
        differs(Weight::ChangesTheMeaning, what, a, b);
    }
    let hosts = |of: &Environment| of.hosts.as_ref().map_or("one machine".to_owned(), Hosts::roles);
    differs(Weight::ChangesTheMeaning, "hosts", hosts(base), hosts(new));
    let is_another = series(&a.kernel) != series(&b.kernel);
    let weight = if is_another { Weight::ChangesTheMeaning } else { Weight::WorthKnowing };
    differs(weight, "kernel", a.kernel.clone(), b.kernel.clone());
    let names: BTreeSet<_> = a.sysctls.keys().chain(b.sysctls.keys()).collect();
    for name in names {
        let value =
            |sysctls: &BTreeMap<String, String>| sysctls.get(name).map_or("unset", String::as_str).to_owned();
        differs(Weight::WorthKnowing, name, value(&a.sysctls), value(&b.sysctls));
    }
    mismatches.sort_by_key(|mismatch| mismatch.weight);
    mismatches
}

/// The first two numbers of a kernel's release: what follows is a patch level, and whose build it is.
fn series(release: &str) -> Vec<&str> {
    release.splitn(3, ['.', '-', '+']).take(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    fn kernels(base: &str, new: &str) -> Vec<Weight> {
        let mut both = [fixtures::environment(), fixtures::environment()];
        both[0].host.kernel = base.into();
        both[1].host.kernel = new.into();
        mismatches(&both[0], &both[1]).iter().map(|mismatch| mismatch.weight).collect()
    }

    #[test]
    fn a_kernels_build_suffix_is_no_other_machine_and_another_series_is() {
        assert_eq!(kernels("6.1.0-18-amd64", "6.1.0-18-amd64"), []);
        assert_eq!(kernels("6.1.0-18-amd64", "6.1.0-21-cloud"), [Weight::WorthKnowing]);
        assert_eq!(kernels("6.1.4", "6.1.90+"), [Weight::WorthKnowing]);
        assert_eq!(kernels("6.1.0-18-amd64", "6.12.0"), [Weight::ChangesTheMeaning]);
    }
}
