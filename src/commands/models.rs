//! `roundtable models`: each model as it describes itself.

use std::process::ExitCode;

use anyhow::Context;
use roundtable::proxy::Limits;
use roundtable_harness::data::ModelInfo;

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
    if args.json {
        println!("{}", serde_json::to_string_pretty(&infos).context("cannot write the models as JSON")?);
        return Ok(ExitCode::SUCCESS);
    }
    for info in infos {
        println!("{} ({:?})", info.name, info.family);
        println!("  {}", info.summary);
        println!("  unit of work: {}", info.unit_of_work);
        for (name, value) in &info.manifest {
            println!("    {name:<34} {value}");
        }
        println!();
    }
    Ok(ExitCode::SUCCESS)
}

/// `model` with `workers` threads as it is stored beside the trials.
pub(crate) fn info(model: &Model, workers: Option<u32>) -> ModelInfo {
    ModelInfo {
        name: model.name.to_owned(),
        family: model.family,
        summary: model.summary.to_owned(),
        unit_of_work: model.unit_of_work.to_owned(),
        manifest: manifest(model, &Limits::default(), workers.map(|workers| workers as usize)),
    }
}
