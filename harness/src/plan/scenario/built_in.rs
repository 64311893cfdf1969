//! The scenarios that roundtable comes with: one file under `harness/scenarios/` and one line each.

use super::{Scenario, ScenarioError, parse};

/// Name and text of each, in the order in which they are listed.
pub const BUILT_IN: [(&str, &str); 12] = [
    ("classic", include_str!("../../../scenarios/classic.toml")),
    ("keepalive", include_str!("../../../scenarios/keepalive.toml")),
    ("connections", include_str!("../../../scenarios/connections.toml")),
    ("service-time", include_str!("../../../scenarios/service-time.toml")),
    ("saturation", include_str!("../../../scenarios/saturation.toml")),
    ("bodies", include_str!("../../../scenarios/bodies.toml")),
    ("churn", include_str!("../../../scenarios/churn.toml")),
    ("backlog", include_str!("../../../scenarios/backlog.toml")),
    ("cache", include_str!("../../../scenarios/cache.toml")),
    ("faults", include_str!("../../../scenarios/faults.toml")),
    ("scaling", include_str!("../../../scenarios/scaling.toml")),
    ("claims", include_str!("../../../scenarios/claims.toml")),
];

/// The one of that name, where there is one.
///
/// # Errors
/// [`ScenarioError::Mistake`] in its file: a fault of roundtable, which a test rules out.
pub fn built_in(name: &str) -> Result<Option<Scenario>, ScenarioError> {
    let found = BUILT_IN.iter().find(|(known, _)| *known == name);
    found.map(|(name, text)| parse(name, text)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_that_comes_with_roundtable_is_without_mistake() {
        for (name, text) in BUILT_IN {
            let scenario = parse(name, text).unwrap();
            assert!(!scenario.question.is_empty(), "{name}");
        }
    }
}
