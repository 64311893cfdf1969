//! Tables and charts of a stored fault run.
//!
//! A pure function of [`StoredFaults`]: the same run gives the same bytes. [`values`] reduces the trials to figures with
//! their spread, `document` says them.

mod document;
pub mod values;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use crate::plan::Plan;
use crate::record::faults::StoredFaults;
use crate::record::faults::{left_invalid, place};
use crate::report::table::printable;
use crate::report::{ReportError, charts, files, put, words};

/// Width of the terminal's table, columns.
const TERMINAL: u16 = 120;

/// Writes the report of `stored` to the folder of its name under `reports`, in place of what was there: `report.md`,
/// `index.html`, and a timeline of each model as PNG and SVG. Returns the files, in that order.
pub fn write(stored: &StoredFaults, reports: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let charts = charts::timelines(stored);
    let document = document::document(stored, &charts);
    let dir = reports.join(&stored.name);
    put(&dir, files(&stored.name, &document, &charts)?, drawn_before(&dir))
}

/// What `roundtable run --fault` prints at its end.
pub fn terminal(stored: &StoredFaults) -> String {
    let mut text = values::table(stored).terminal(TERMINAL);
    text.push('\n');
    text.push_str(&words::wrapped(&document::reading(stored), TERMINAL.into()));
    if let Some(noise) = document::noise(stored) {
        text.push('\n');
        text.push_str(&words::wrapped(&noise, TERMINAL.into()));
    }
    let invalid = left_invalid(&stored.trials);
    for trial in &invalid {
        text.push_str(&format!("invalid: {}\n", printable(&place(trial))));
    }
    text
}

/// What load a trial was, in one sentence.
pub(super) fn load(plan: &Plan) -> String {
    let backends = words::counted(plan.most_backends() as usize, "backend");
    format!(
        "Open loop: {} requests per second are due, on up to {} connections, {}; {backends}.",
        plan.base.rate.unwrap_or(0),
        plan.most_concurrency(),
        words::connections(plan.base.connections)
    )
}

/// Timelines that an earlier report left in `dir`.
fn drawn_before(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_drawn = |name: &String| {
        name.starts_with(charts::TIMELINE) && (name.ends_with(".svg") || name.ends_with(".png"))
    };
    names.filter(is_drawn).collect()
}
