//! `roundtable models`: each model as it describes itself.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Context;
use roundtable::proxy::Limits;
use roundtable_harness::plan::Competitor;
use roundtable_harness::record::ModelInfo;

use crate::console::print;
pub(crate) use crate::models::find;
use crate::models::{MODELS, Model, manifest};

/// Arguments of `roundtable models`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let listed: Vec<Listed> = MODELS.iter().map(Listed::of).collect();
    let text = if args.json {
        serde_json::to_string_pretty(&listed).context("cannot write the models as JSON")? + "\n"
    } else {
        listed.iter().map(described).collect()
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// A model as it is listed: what is stored of it beside trials, and whether this machine has what it needs.
#[derive(Debug, serde::Serialize)]
struct Listed {
    #[serde(flatten)]
    info: ModelInfo,
    available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    unavailable_because: Option<String>,
}

impl Listed {
    fn of(model: &Model) -> Self {
        let reason = (model.available)().err().map(|reason| reason.to_string());
        Listed { info: info(model, None), available: reason.is_none(), unavailable_because: reason }
    }
}

fn described(listed: &Listed) -> String {
    let ModelInfo { competitor: name, family, summary, unit_of_work, manifest, .. } = &listed.info;
    let mut text = format!("{name} ({family:?})\n  {summary}\n  unit of work: {unit_of_work}\n");
    if let Some(reason) = &listed.unavailable_because {
        let _ = writeln!(text, "  not available on this machine: {reason}");
    }
    for (name, value) in manifest {
        let _ = writeln!(text, "    {name:<34} {value}");
    }
    text + "\n"
}

/// `model` with `workers` threads as it is stored beside the trials.
pub(crate) fn info(model: &Model, workers: Option<u32>) -> ModelInfo {
    ModelInfo {
        competitor: Competitor::of(model.name),
        family: model.family,
        summary: model.summary.to_owned(),
        unit_of_work: model.unit_of_work.to_owned(),
        workers: model
            .workers
            .count(workers.map(|workers| workers as usize))
            .and_then(|count| u32::try_from(count).ok()),
        manifest: manifest(model, &Limits::default(), workers.map(|workers| workers as usize)),
    }
}
