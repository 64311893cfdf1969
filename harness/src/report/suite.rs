//! The report of a suite: one document over the reports of its runs, which stand in folders below it.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::figures::{self, Figure, Medium};
use super::render::html::Switches;
use super::section::Document;
use super::sections::Source;
use super::sections::suite::{self, Told};
use super::{Beside, Form, ReportError, files, page, put, render};
use crate::analysis::Analysis;
use crate::analysis::faults::FaultRun;
use crate::probes::Passes;
use crate::record::Stored;
use crate::record::store::StoreError;
use crate::record::store::suite::StoredSuite;

/// What is computed of a run once, for every form of the report.
enum Computed<'a> {
    Compared(&'a Stored, Box<Analysis>),
    Faults(FaultRun<'a>),
    Missing(String),
}

/// Writes `report.md` and `index.html` of `suite` to the folder of its name under `reports`, and returns both. The reports of
/// its runs, to which it leads, are written each by itself.
pub fn write(suite: &StoredSuite, reports: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let computed = computed(suite);
    let document = of(suite, &computed, &drawn(suite, &computed, Medium::File));
    let page = on_a_page(suite, &computed, &document)?;
    put(&reports.join(&suite.name), files(&document, page, &[])?, [])
}

/// The report of `suite` as Markdown or as a page; it has no other form.
pub fn in_form(suite: &StoredSuite, form: Form) -> Result<String, ReportError> {
    let computed = computed(suite);
    let document = of(suite, &computed, &drawn(suite, &computed, Medium::File));
    match form {
        Form::Markdown => Ok(render::markdown::document(&document)),
        Form::Html => on_a_page(suite, &computed, &document),
        Form::Json | Form::Csv => Err(ReportError::NoSuchForm { suite: suite.name.clone() }),
    }
}

/// The report of `suite` without figures.
pub(super) fn document(suite: &StoredSuite) -> Document {
    let computed = computed(suite);
    let none = vec![Vec::new(); computed.len()];
    of(suite, &computed, &none)
}

fn on_a_page(
    suite: &StoredSuite,
    computed: &[Computed<'_>],
    document: &Document,
) -> Result<String, ReportError> {
    let figures: Vec<Figure> = drawn(suite, computed, Medium::Page).into_iter().flatten().collect();
    page::of(document, &figures, Switches::default())
}

fn computed(suite: &StoredSuite) -> Vec<Computed<'_>> {
    let computed = suite.runs.par_iter().map(|run| match run {
        Err(StoreError::NoSuchRun { .. }) => {
            Computed::Missing(format!("it was not begun; `roundtable run --resume {}` begins it", suite.name))
        }
        Err(error) => Computed::Missing(error.to_string()),
        Ok(stored) if stored.trials.is_empty() => Computed::Missing("it has no trial".to_owned()),
        Ok(stored) => match FaultRun::of(stored) {
            Some(run) => Computed::Faults(run),
            None => Computed::Compared(stored, Box::new(Analysis::of(stored))),
        },
    });
    computed.collect()
}

/// The figures that each run was asked for, under the name of its folder.
fn drawn(suite: &StoredSuite, computed: &[Computed<'_>], medium: Medium) -> Vec<Vec<Figure>> {
    let of = |(place, computed): (usize, &Computed<'_>)| {
        let (all, purpose) = match computed {
            Computed::Missing(_) => return Vec::new(),
            Computed::Faults(run) => (figures::of_faults(*run, medium), &run.plan().purpose),
            Computed::Compared(stored, analysis) => (
                figures::of_run(stored, analysis, &Passes::default(), medium),
                &stored.environment.plan.purpose,
            ),
        };
        let asked = |figure: &Figure| {
            purpose.iter().flat_map(|purpose| &purpose.figures).any(|asked| asked == figure.id())
        };
        let folder = &suite.suite.runs[place].folder;
        all.into_iter().filter(asked).map(|figure| figure.within(folder)).collect()
    };
    computed.par_iter().enumerate().map(of).collect()
}

fn of(suite: &StoredSuite, computed: &[Computed<'_>], figures: &[Vec<Figure>]) -> Document {
    let beside = Beside::default();
    let told = computed.iter().zip(figures).map(|(computed, figures)| match computed {
        Computed::Missing(why) => Told::Missing(why.clone()),
        Computed::Faults(run) => Told::Faults(*run, figures),
        Computed::Compared(stored, analysis) => {
            Told::Compared(Source { stored, analysis, beside: &beside, figures })
        }
    });
    suite::document(suite, &told.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::analysis::synthetic::Run;
    use crate::plan::Purpose;
    use crate::record::store::suite::{Suite, SuiteRun};

    fn run(folder: &str, scenario: &str) -> SuiteRun {
        SuiteRun {
            folder: folder.into(),
            scenario: scenario.into(),
            question: format!("What of {scenario}?"),
        }
    }

    fn stored(folder: &str) -> Stored {
        let run =
            Run::new().models(&["direct", "threads", "mio", "threads#2"]).backends(&[1]).concurrency(&[2]);
        let mut stored = run.blocks(5).build();
        stored.name = format!("all/{folder}");
        stored.environment.plan.purpose = Some(Purpose {
            scenario: Some("bodies".into()),
            run: Some(folder.into()),
            question: "What do they cost?".into(),
            answers: Vec::new(),
            figures: vec!["cpu".into()],
        });
        stored
    }

    fn of_three() -> StoredSuite {
        let runs = vec![run("down", "bodies"), run("up", "bodies"), run("claims", "claims")];
        let missing = StoreError::NoSuchRun { run: "results/all/claims".into(), known: String::new() };
        StoredSuite {
            name: "all".into(),
            suite: Suite { created: "2026-01-01T00:00:00Z".into(), ..Suite::new(Vec::new(), runs) },
            runs: vec![Ok(stored("down")), Ok(stored("up")), Err(missing)],
        }
    }

    #[test]
    fn a_report_tells_every_run_under_its_scenario_and_which_is_missing() {
        let text = in_form(&of_three(), Form::Markdown).unwrap();
        let headings: Vec<_> = text.lines().filter(|line| line.starts_with('#')).collect();
        assert_eq!(
            headings,
            [
                "# roundtable: the runs of all",
                "## bodies: What of bodies?",
                "### down: What do they cost?",
                "### up: What do they cost?",
                "## claims: What of claims?"
            ]
        );
        assert!(text.contains("2 scenarios in 3 runs, 1 of them missing; 2026-01-01"), "{text}");
        assert!(text.contains("1 of 3 runs is missing: claims."), "{text}");
        assert!(
            text.contains("claims is missing: it was not begun; \\`roundtable run --resume all\\` begins it")
        );
        for link in ["(down/cpu.png)", "(up/cpu.png)", "(down/index.html)", "(up/index.html)"] {
            assert!(text.contains(link), "{link}: {text}");
        }
        assert!(!text.contains("(claims/index.html)"));
    }

    #[test]
    fn a_run_that_was_interrupted_says_so_where_its_answer_stands() {
        let mut suite = of_three();
        assert!(!in_form(&suite, Form::Markdown).unwrap().contains("was interrupted"));
        let Some(Ok(up)) = suite.runs.get_mut(1) else { panic!("there are three") };
        up.trials.truncate(10);
        let text = in_form(&suite, Form::Markdown).unwrap();
        assert_eq!(text.matches("up was interrupted").count(), 1, "{text}");
    }

    #[test]
    fn a_page_has_the_figures_of_every_run_and_no_name_twice() {
        let page = in_form(&of_three(), Form::Html).unwrap();
        let mut ids: Vec<&str> =
            page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(ids.contains(&"chart-down/cpu") && ids.contains(&"chart-up/cpu"), "{ids:?}");
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
    }

    #[test]
    fn a_terminal_is_told_what_was_found_and_no_table() {
        let text = crate::report::terminal::of_suite(&of_three(), 80);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("Note: claims is missing") && text.contains("\n- "), "{text}");
        assert!(!text.contains('─'), "{text}");
    }

    #[test]
    fn a_suite_is_told_in_no_form_that_is_of_one_run() {
        let refused = in_form(&of_three(), Form::Csv).unwrap_err().to_string();
        assert!(refused.contains("as in all/RUN"), "{refused}");
    }

    #[test]
    fn the_same_suite_gives_the_same_bytes_in_the_folder_of_its_name() {
        let written = || {
            let reports = tempfile::tempdir().unwrap();
            let files = write(&of_three(), reports.path()).unwrap();
            let name = |path: &PathBuf| path.strip_prefix(reports.path()).unwrap().to_path_buf();
            files.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect::<Vec<_>>()
        };
        let files = written();
        assert_eq!(files, written());
        let names: Vec<_> = files.iter().map(|(name, _)| name.display().to_string()).collect();
        assert_eq!(names, ["all/report.md", "all/index.html"]);
    }
}
