//! Tables and charts of a stored run.
//!
//! Everything here is a pure function of [`Stored`]: the same run gives the same bytes. [`summary`]
//! reduces the trials, [`verdicts`] says which differences are real and [`bottleneck`] what limited a cell, [`tables`] and
//! [`charts`] show them ([`open_loop`] those of a run at a fixed rate), [`write()`] puts a report on disk, [`comparison`]
//! sets the two families against each other, [`difference`] two runs of one grid. [`fault`] has all of these for a fault
//! run. Reads no clock and no system font.

pub mod bottleneck;
pub mod charts;
pub mod comparison;
pub mod difference;
pub mod fault;
pub mod metric;
pub mod open_loop;
pub mod published;
pub mod summary;
pub mod table;
pub mod tables;
pub mod verdicts;

mod document;
mod html;
mod provenance;
mod words;

pub use words::wrapped;

#[cfg(test)]
pub(crate) mod synthetic;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use thiserror::Error;

use self::bottleneck::Bottlenecks;
use self::charts::{Chart, ChartError};
use self::document::Document;
use self::summary::Summary;
use self::verdicts::Verdicts;
use crate::record::Stored;

/// Why there is no report, or not all of it.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The system refused to write.
    #[error(
        "cannot write {} ({reason}); free some space or give --reports a folder that you may write to",
        .path.display()
    )]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// A chart could not be drawn.
    #[error(transparent)]
    Chart(#[from] ChartError),
    /// The page could not be made: a fault of roundtable.
    #[error("the page could not be made ({0}); please report this with the run's folder")]
    Page(String),
}

/// Writes the report of `stored` to the folder of its name under `reports`, in place of what was there: `report.md`,
/// `index.html`, and each chart as PNG and SVG. Returns the files, in that order.
pub fn write(stored: &Stored, reports: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let summary = Summary::of(stored);
    let bottlenecks = Bottlenecks::of(&summary);
    let verdicts = Verdicts::of(&summary, &bottlenecks);
    let charts = charts::prepare(&summary, &stored.environment.plan, &verdicts);
    let document = Document::of(stored, &summary, &bottlenecks, &verdicts, &charts);

    let files = files(&stored.name, &document, &charts)?;
    let stale = charts::SLUGS.into_iter().flat_map(|slug| [format!("{slug}.svg"), format!("{slug}.png")]);
    put(&reports.join(&stored.name), files, stale)
}

/// Each file of a report, its name and its bytes.
fn files(run: &str, document: &Document, charts: &[Chart]) -> Result<Vec<(String, Vec<u8>)>, ReportError> {
    let mut files = vec![
        ("report.md".to_owned(), document.markdown(run).into_bytes()),
        (
            "index.html".to_owned(),
            html::page(document).map_err(|error| ReportError::Page(error.to_string()))?.into_bytes(),
        ),
    ];
    // Largest first: a PNG takes as long as all SVGs together.
    let pngs = charts.par_iter().map(|chart| Ok((format!("{}.png", chart.slug()), chart.png()?)));
    let svgs =
        charts.par_iter().map(|chart| Ok((format!("{}.svg", chart.slug()), chart.svg()?.into_bytes())));
    let mut drawn = pngs.chain(svgs).collect::<Result<Vec<_>, ChartError>>()?;
    files.append(&mut drawn);
    Ok(files)
}

/// Writes `files` to `dir`, and removes those of the `stale` that are not among them.
fn put(
    dir: &Path,
    files: Vec<(String, Vec<u8>)>,
    stale: impl IntoIterator<Item = String>,
) -> Result<Vec<PathBuf>, ReportError> {
    fs::create_dir_all(dir).map_err(|reason| unwritable(dir, reason))?;
    for stale in stale {
        if !files.iter().any(|(name, _)| *name == stale) {
            remove(&dir.join(stale))?;
        }
    }
    files
        .into_iter()
        .map(|(name, bytes)| {
            let path = dir.join(name);
            fs::write(&path, bytes).map_err(|reason| unwritable(&path, reason))?;
            Ok(path)
        })
        .collect()
}

/// A chart of an earlier report for which there is no data now would pass for one of this report.
fn remove(path: &Path) -> Result<(), ReportError> {
    match fs::remove_file(path) {
        Err(reason) if reason.kind() != io::ErrorKind::NotFound => Err(unwritable(path, reason)),
        _ => Ok(()),
    }
}

fn unwritable(path: &Path, reason: io::Error) -> ReportError {
    ReportError::Unwritable { path: path.to_path_buf(), reason }
}
