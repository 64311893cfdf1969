//! Whether two runs are runs of the same thing: grid, load and machine.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::Row;
use crate::plan::{Connections, Plan};
use crate::record::Environment;
use crate::text::listed;

/// What makes two runs no runs of the same thing. Another build is what they are compared for.
pub(super) fn mismatches(base: &Environment, new: &Environment) -> Vec<String> {
    let mut mismatches = Vec::new();
    let mut differs = |what: &str, a: String, b: String| {
        if a != b {
            mismatches.push(format!("{what} {a} against {b}"));
        }
    };
    let (a, b) = (&base.plan, &new.plan);
    let rows = |models: &[String]| {
        let set: BTreeSet<_> = models.iter().filter(|label| !Row::of(label).is_control()).cloned().collect();
        set.into_iter().collect::<Vec<_>>().join(",")
    };
    differs("models", rows(&a.models), rows(&b.models));
    differs("servers", listed(&a.backends), listed(&b.backends));
    differs("concurrency", listed(&a.concurrency), listed(&b.concurrency));
    differs("requests a trial", a.requests.to_string(), b.requests.to_string());
    differs("warm-up requests", a.warmup.to_string(), b.warmup.to_string());
    differs("connections", connections(a.connections).into(), connections(b.connections).into());
    differs("layout", format!("{:?}", a.layout), format!("{:?}", b.layout));
    differs("workers", format!("{:?}", a.workers), format!("{:?}", b.workers));
    let rate =
        |plan: &Plan| plan.rate.map_or("none (closed loop)".into(), |rate| format!("{rate} per second"));
    differs("rate", rate(a), rate(b));
    differs("bytes a body", a.body_bytes.to_string(), b.body_bytes.to_string());
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

fn connections(connections: Connections) -> &'static str {
    match connections {
        Connections::Close => "a new connection for each request",
        Connections::Keepalive => "persistent connections",
    }
}
