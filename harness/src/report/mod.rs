//! How a run is shown: sections of values and figures, and a small renderer for each form.
//!
//! Everything here is a pure function of a stored run: the same run gives the same bytes. Owns words, tables, figures
//! and files; what they say is computed by [`crate::analysis`]. [`sections`] turns that into typed [`value`]s and
//! [`section`]s, [`figures`] into drawings, [`render`] writes them, [`write()`] puts a report on disk. Reads no clock and no
//! system font.

pub mod export;
pub mod figures;
pub mod render;
pub mod section;
pub mod sections;
mod splice;
pub mod suite;
pub mod terminal;
pub mod value;

mod page;
mod prose;

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use thiserror::Error;

use self::figures::{Figure, FigureError, Medium};
use self::render::html::Switches;
use self::section::Document;
use self::sections::Source;
pub use self::splice::SpliceError;
use crate::analysis::Analysis;
use crate::analysis::difference::Difference;
use crate::analysis::families::{Families, FamiliesError};
use crate::analysis::faults::FaultRun;
use crate::analysis::published::PublishedRow;
use crate::probes::Passes;
use crate::record::Stored;
pub use crate::text::wrapped;

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
    /// A figure could not be drawn.
    #[error(transparent)]
    Figure(#[from] FigureError),
    /// The two families of a run cannot be compared.
    #[error(transparent)]
    Families(#[from] FamiliesError),
    /// The page could not be made: a fault of roundtable.
    #[error("the page could not be made ({0}); please report this with the run's folder")]
    Page(String),
    /// The trials could not be written as CSV: a fault of roundtable.
    #[error("the trials could not be written ({0}); please report this with the run's folder")]
    Trials(String),
    /// It could not be written as JSON: a fault of roundtable.
    #[error("the report could not be written as JSON ({0}); please report this with the run's folder")]
    Json(String),
    /// A form in which each run of a suite is told by itself.
    #[error("a suite is told as markdown or html; name one of its runs, as in {suite}/RUN, for another form")]
    NoSuchForm {
        /// The suite's name.
        suite: String,
    },
    /// Nothing could be put into another document.
    #[error(transparent)]
    Splice(#[from] SpliceError),
}

/// What stands beside a run in its report.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Beside {
    /// What the passes beside its trials found.
    pub passes: Passes,
    /// The tables of 2021.
    pub published: Vec<PublishedRow>,
}

/// A form of a report that is printed whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `report.md`.
    Markdown,
    /// `index.html`.
    Html,
    /// For other programs, of the published form.
    Json,
    /// Every trial as a row.
    Csv,
}

/// The report of a run in `form`.
pub fn in_form(stored: &Stored, beside: &Beside, form: Form) -> Result<String, ReportError> {
    if form == Form::Csv {
        return export::trials::csv(stored).map_err(ReportError::Trials);
    }
    let made = Made::of(stored, beside);
    match form {
        Form::Markdown => Ok(render::markdown::document(&made.document())),
        Form::Html => made.page(),
        Form::Json | Form::Csv => json(&export::report::Report::of(stored, &made.analysis, &beside.passes)),
    }
}

/// The report of a fault run in `form`.
pub fn faults_in_form(run: FaultRun<'_>, form: Form) -> Result<String, ReportError> {
    let document = || sections::faults::document(run, &figures::of_faults(run, Medium::File));
    match form {
        Form::Csv => export::trials::csv(run.stored).map_err(ReportError::Trials),
        Form::Markdown => Ok(render::markdown::document(&document())),
        Form::Html => page::of(&document(), &figures::of_faults(run, Medium::Page), Switches::default()),
        Form::Json => json(&export::faults::FaultReport::of(run)),
    }
}

/// A form of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComparisonForm {
    /// For a terminal of so many columns.
    Text(u16),
    /// Markdown.
    Markdown,
    /// One page.
    Html,
    /// For other programs, of the published form.
    Json,
}

/// What changed between two runs, in `form`.
pub fn difference_in_form(difference: &Difference, form: ComparisonForm) -> Result<String, ReportError> {
    let document = |figures: &[Figure]| sections::difference::document(difference, figures);
    let figures = |medium| figures::of_difference(difference, medium);
    compared(form, document, figures, || json(&export::comparison::Comparison::of(difference)))
}

/// Threaded against async in a run, beside the tables of 2021, in `form`.
pub fn families_in_form(
    stored: &Stored,
    beside: &Beside,
    form: ComparisonForm,
) -> Result<String, ReportError> {
    let analysis = Analysis::of(stored);
    let families = match &analysis.families {
        Ok(families) => families,
        // It knows whether anything is left to measure.
        Err(_) => &Families::of(stored)?,
    };
    let document = |figures: &[Figure]| {
        sections::families::document(&Source { stored, analysis: &analysis, beside, figures })
    };
    let figures = |medium| figures::forest(stored, &analysis, medium);
    compared(form, document, figures, || {
        json(&export::families::FamiliesForm::of(families, &beside.published))
    })
}

/// A comparison in `form`. Its figures stand in the page alone: elsewhere each would be a file beside it.
fn compared(
    form: ComparisonForm,
    document: impl Fn(&[Figure]) -> Document,
    figures: impl Fn(Medium) -> Vec<Figure>,
    json: impl Fn() -> Result<String, ReportError>,
) -> Result<String, ReportError> {
    match form {
        // The last line is what a reader of a terminal sees first.
        ComparisonForm::Text(width) => {
            let document = document(&[]);
            let text = terminal::of_document(&document, width);
            let found = document.lead.as_ref().map_or("", |lead| &lead.found);
            Ok(text + &wrapped(found, width.into()))
        }
        ComparisonForm::Markdown => Ok(render::markdown::document(&document(&[]))),
        ComparisonForm::Html => {
            page::of(&document(&figures(Medium::File)), &figures(Medium::Page), Switches::default())
        }
        ComparisonForm::Json => json(),
    }
}

fn json(form: &impl serde::Serialize) -> Result<String, ReportError> {
    let text = serde_json::to_string_pretty(form);
    text.map(|text| text + "\n").map_err(|error| ReportError::Json(error.to_string()))
}

/// `text` with the tables and findings of a run's report between the markers that name them.
pub fn spliced(stored: &Stored, beside: &Beside, text: &str) -> Result<String, ReportError> {
    let analysis = Analysis::of(stored);
    let document = sections::document(&Source { stored, analysis: &analysis, beside, figures: &[] });
    Ok(splice::splice(text, &document)?)
}

/// A run with everything that its report is made from.
struct Made<'a> {
    stored: &'a Stored,
    beside: &'a Beside,
    analysis: Analysis,
    figures: Vec<Figure>,
}

impl<'a> Made<'a> {
    fn of(stored: &'a Stored, beside: &'a Beside) -> Self {
        let analysis = Analysis::of(stored);
        let figures = figures::of_run(stored, &analysis, &beside.passes, Medium::File);
        Made { stored, beside, analysis, figures }
    }

    fn document(&self) -> Document {
        let Made { stored, beside, analysis, figures } = self;
        sections::document(&Source { stored, analysis, beside, figures })
    }

    fn page(&self) -> Result<String, ReportError> {
        let figures = figures::of_run(self.stored, &self.analysis, &self.beside.passes, Medium::Page);
        let switches = page::switches(&self.analysis);
        page::of(&self.document(), &figures, switches)
    }
}

/// The extensions of a figure's files.
const FORMS: [&str; 3] = ["png", "svg", "csv"];

/// Writes the report of `stored` to the folder of its name under `reports`, in place of what was there: `report.md`,
/// `index.html`, and each figure as PNG and SVG, its data as CSV. Returns the files, in that order.
pub fn write(stored: &Stored, beside: &Beside, reports: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let made = Made::of(stored, beside);
    let files = files(&made.document(), made.page()?, &made.figures)?;
    put(&reports.join(&stored.name), files, figures::ids().map(str::to_owned))
}

/// The same of a fault run, with a timeline of each model.
pub fn write_faults(run: FaultRun<'_>, reports: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let figures = figures::of_faults(run, Medium::File);
    let document = sections::faults::document(run, &figures);
    let page = page::of(&document, &figures::of_faults(run, Medium::Page), Switches::default())?;
    let dir = reports.join(&run.stored.name);
    let drawn_before = timelines_in(&dir);
    put(&dir, files(&document, page, &figures)?, drawn_before)
}

/// The ids of timelines that an earlier report left in `dir`: models differ from run to run.
fn timelines_in(dir: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| {
        let (id, form) = name.rsplit_once('.')?;
        (FORMS.contains(&form) && id.starts_with(figures::TIMELINE)).then(|| id.to_owned())
    })
}

/// Each file of a report, its name and its bytes.
fn files(
    document: &Document,
    page: String,
    figures: &[Figure],
) -> Result<Vec<(String, Vec<u8>)>, ReportError> {
    let mut files = vec![
        ("report.md".to_owned(), render::markdown::document(document).into_bytes()),
        ("index.html".to_owned(), page.into_bytes()),
    ];
    // Largest first: a PNG takes as long as all SVGs together.
    let pngs = figures.par_iter().map(|figure| Ok((format!("{}.png", figure.id()), figure.png()?)));
    let svgs =
        figures.par_iter().map(|figure| Ok((format!("{}.svg", figure.id()), figure.svg()?.into_bytes())));
    let data =
        figures.par_iter().map(|figure| Ok((format!("{}.csv", figure.id()), figure.csv()?.into_bytes())));
    let mut drawn = pngs.chain(svgs).chain(data).collect::<Result<Vec<_>, FigureError>>()?;
    files.append(&mut drawn);
    Ok(files)
}

/// Writes `files` to `dir`, and removes the drawings of those of `ids` that are not among them: a figure of an earlier
/// report for which there is no data now would pass for one of this report.
fn put(
    dir: &Path,
    files: Vec<(String, Vec<u8>)>,
    ids: impl IntoIterator<Item = String>,
) -> Result<Vec<PathBuf>, ReportError> {
    fs::create_dir_all(dir).map_err(|reason| unwritable(dir, reason))?;
    let of_a_figure = |id: String| FORMS.map(|form| format!("{id}.{form}"));
    for file in ids.into_iter().flat_map(of_a_figure) {
        if !files.iter().any(|(name, _)| *name == file) {
            remove(&dir.join(file))?;
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

fn remove(path: &Path) -> Result<(), ReportError> {
    match fs::remove_file(path) {
        Err(reason) if reason.kind() != io::ErrorKind::NotFound => Err(unwritable(path, reason)),
        _ => Ok(()),
    }
}

fn unwritable(path: &Path, reason: io::Error) -> ReportError {
    ReportError::Unwritable { path: path.to_path_buf(), reason }
}
