//! The published forms: the committed schemas are those of the types, and real exports keep to them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::schemas;
use crate::analysis::Analysis;
use crate::analysis::difference::Difference;
use crate::analysis::synthetic::{Run, halves};
use crate::load::LoadReport;
use crate::probes::Passes;
use crate::trial::faults::fixtures::{self, observed};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schema")
}

fn complaints(schema: &str, value: &Value) -> Vec<String> {
    let schema = serde_json::from_str(&fs::read_to_string(folder().join(schema)).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator.iter_errors(value).map(|error| format!("{error} at {}", error.instance_path())).collect()
}

/// `ROUNDTABLE_WRITE_SCHEMAS=1` writes them anew.
#[test]
fn the_committed_schemas_are_those_of_the_types() {
    for (name, schema) in schemas() {
        let made = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let path = folder().join(name);
        if std::env::var_os("ROUNDTABLE_WRITE_SCHEMAS").is_some() {
            fs::create_dir_all(folder()).unwrap();
            fs::write(&path, &made).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(made == committed, "{name} is not the types': run this test with ROUNDTABLE_WRITE_SCHEMAS=1");
    }
}

#[test]
fn a_report_a_comparison_and_a_load_keep_to_their_schemas() {
    let stored = Run::new().blocks(3).backends(&[1, 2]).invalid("mio", 1, 2, 0).build();
    let report = super::report::Report::of(&stored, &Analysis::of(&stored), &Passes::default());
    let report = serde_json::to_value(report).unwrap();
    assert_eq!(complaints("report.json", &report), [""; 0]);
    assert_eq!(report["cells"].as_array().unwrap().len(), 30);
    assert_eq!(report["invalid_trials"][0]["competitor"]["label"], "mio");
    assert_eq!(report["hosts"], serde_json::json!([]));
    let mut on_hosts = stored;
    on_hosts.environment.hosts = Some(crate::fixtures::hosts());
    let report = super::report::Report::of(&on_hosts, &Analysis::of(&on_hosts), &Passes::default());
    let report = serde_json::to_value(report).unwrap();
    assert_eq!(complaints("report.json", &report), [""; 0]);
    assert_eq!(report["hosts"][0]["connects"][0], serde_json::json!({"to": "b", "fastest_ns": 51_000}));
    assert_eq!(report["hosts"][0]["load_generators"], 2);

    let [base, new] = halves(|_, _| ());
    let difference = Difference::of(&base, &new, 10, false).unwrap();
    let comparison = serde_json::to_value(super::comparison::Comparison::of(&difference)).unwrap();
    assert_eq!(complaints("compare.json", &comparison), [""; 0]);

    let rows = crate::analysis::published::rows(&folder().join("../../results/published")).unwrap();
    let run = Run::new().blocks(3).build();
    let families = super::families::FamiliesForm::of(&Analysis::of(&run).families.unwrap(), &rows);
    let families = serde_json::to_value(families).unwrap();
    assert_eq!(complaints("families.json", &families), [""; 0]);
    assert_eq!(
        (families["published"].as_array().unwrap().len(), families["ratios"][0]["condition"].is_null()),
        (30, true)
    );

    let trials = vec![observed("threads", 0), observed("mio", 0)];
    let faults = fixtures::stored("kill-backend@1s,restore@2s", trials);
    let faults = super::faults::FaultReport::of(crate::analysis::faults::FaultRun::of(&faults).unwrap());
    let faults = serde_json::to_value(faults).unwrap();
    assert_eq!(complaints("faults.json", &faults), [""; 0]);

    let load = serde_json::to_value(LoadReport::default().told()).unwrap();
    assert_eq!(complaints("load.json", &load), [""; 0]);
}

#[test]
fn what_is_not_of_the_form_is_complained_of() {
    let mut load = serde_json::to_value(LoadReport::default().told()).unwrap();
    load["requests_per_second"] = "many".into();
    assert!(!complaints("load.json", &load).is_empty());
}
