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
    let infos: Vec<ModelInfo> = MODELS.iter().map(|model| info(model, None)).collect();
    let text = if args.json {
        serde_json::to_string_pretty(&infos).context("cannot write the models as JSON")? + "\n"
    } else {
        infos.iter().map(described).collect()
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn described(info: &ModelInfo) -> String {
    let ModelInfo { competitor: name, family, summary, unit_of_work, manifest, .. } = info;
    let mut text = format!("{name} ({family:?})\n  {summary}\n  unit of work: {unit_of_work}\n");
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
