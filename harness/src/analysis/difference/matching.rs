//! Whether two runs are runs of the same thing: grid, load and machine.

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::grid::Grid;
use crate::plan::{Competitor, Condition, FACTORS, Factor, Plan};
use crate::record::Environment;

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

/// What makes two runs no runs of the same thing. Another build is what they are compared for.
pub(super) fn mismatches(base: &Environment, new: &Environment) -> Vec<String> {
    let mut mismatches = Vec::new();
    let mut differs = |what: &str, a: String, b: String| {
        if a != b {
            mismatches.push(format!("{what} {a} against {b}"));
        }
    };
    let (a, b) = (&base.plan, &new.plan);
    let rows = |competitors: &[Competitor]| {
        let set: BTreeSet<_> =
            competitors.iter().filter(|c| !c.is_control()).map(ToString::to_string).collect();
        set.into_iter().collect::<Vec<_>>().join(",")
    };
    differs("models", rows(&a.competitors), rows(&b.competitors));
    for factor in FACTORS {
        let values = |plan: &Plan| -> Vec<_> { plan.values(factor).iter().map(|v| factor.told(v)).collect() };
        differs(factor.title, values(a).join(", "), values(b).join(", "));
    }
    differs("build profile", base.build.profile.clone(), new.build.profile.clone());
    let (a, b) = (&base.host, &new.host);
    differs("processor", a.cpu.clone(), b.cpu.clone());
    differs("processors", a.processors.to_string(), b.processors.to_string());
    differs("hypervisor", a.hypervisor.clone(), b.hypervisor.clone());
    differs("kernel", a.kernel.clone(), b.kernel.clone());
    let names: BTreeSet<_> = a.sysctls.keys().chain(b.sysctls.keys()).collect();
    for name in names {
        let value =
            |sysctls: &BTreeMap<String, String>| sysctls.get(name).map_or("unset", String::as_str).to_owned();
        differs(name, value(&a.sysctls), value(&b.sysctls));
    }
    mismatches
}
