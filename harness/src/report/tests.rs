//! The whole report: the same bytes twice, and a report for whatever a run may have come to.

use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::analysis::synthetic::Run;
use crate::plan::factor;
use crate::record::{Outcome, Reason};

fn small() -> Run {
    Run::new().models(&["direct", "threads", "mio"]).backends(&[1, 2]).concurrency(&[2, 10]).blocks(2)
}

fn written(stored: &Stored) -> BTreeMap<String, Vec<u8>> {
    let reports = tempfile::tempdir().unwrap();
    let files = write(stored, &Beside::default(), reports.path()).unwrap();
    files
        .into_iter()
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect()
}

/// Markdown and HTML, with these figures.
fn texts(stored: &Stored, analysis: &Analysis, figures: &[Figure]) -> (String, String) {
    let beside = &Beside::default();
    let document = sections::document(&Source { stored, analysis, beside, figures });
    let page = page::of(&document, figures, page::switches(analysis)).unwrap();
    (render::markdown::document(&document), page)
}

fn figure<'a>(figures: &'a [Figure], id: &str) -> &'a Figure {
    figures.iter().find(|figure| figure.id() == id).unwrap()
}

/// Without the figures, which take their time in a debug build.
fn document(stored: &Stored) -> (String, String) {
    texts(stored, &Analysis::of(stored), &[])
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let stored = small().build();
    let files = written(&stored);
    assert_eq!(files, written(&stored));
    assert_eq!(
        files.keys().map(String::as_str).collect::<Vec<_>>(),
        [
            "cpu-ratio.csv",
            "cpu-ratio.png",
            "cpu-ratio.svg",
            "cpu.csv",
            "cpu.png",
            "cpu.svg",
            "forest.csv",
            "forest.png",
            "forest.svg",
            "index.html",
            "latency.csv",
            "latency.png",
            "latency.svg",
            "memory.csv",
            "memory.png",
            "memory.svg",
            "report.md",
            "switches.csv",
            "switches.png",
            "switches.svg",
            "threads.csv",
            "threads.png",
            "threads.svg",
            "throughput-ratio.csv",
            "throughput-ratio.png",
            "throughput-ratio.svg",
            "throughput.csv",
            "throughput.png",
            "throughput.svg",
        ]
    );
}

#[test]
fn an_svg_names_fonts_that_browsers_have_and_a_panel_for_each_backend_count() {
    let stored = small().build();
    let analysis = Analysis::of(&stored);
    let figures = figures::of_run(&stored, &analysis, &Passes::default(), Medium::File);
    let svg = figure(&figures, "throughput").svg().unwrap();
    assert!(svg.contains(r#"font-family="Liberation Sans, Arial, Helvetica, sans-serif""#));
    for words in ["1 backend", "2 backends", "requests per second", "mio (async)", "direct (no balancer)"] {
        assert!(svg.contains(&format!(">{words}</text>")), "{words}");
    }
    // A marker of the model's shape and colour for each of four cells, and one in the legend.
    assert_eq!(svg.matches(r##"r="7" fill="#0072B2""##).count(), 4);
    assert_eq!(svg.matches(r#"class="mark" id="throughput-mark-mio-"#).count(), 4);
}

#[test]
fn an_open_loops_report_is_of_response_times() {
    let models = ["direct", "threads", "mio", "threads#2"];
    let run = Run::new().models(&models).backends(&[1, 2]).concurrency(&[10]).blocks(8).rate(2000);
    let mut stored = run.build();
    let note = "--rate auto: 2000 requests per second, as it was found";
    stored.environment.rate_found = Some(note.into());
    stored.environment.notes = vec!["resumed at noon".into()];
    let analysis = Analysis::of(&stored);
    let figures = figures::of_run(&stored, &analysis, &Passes::default(), Medium::File);
    let (report, page) = texts(&stored, &analysis, &figures);
    assert!(report.contains(&format!("How the rate was chosen: {note}.")));
    assert!(report.contains("**Note:** resumed at noon") && !report.contains("**Note:** --rate"));
    assert!(
        page.contains("<title>roundtable: the run synthetic, open loop at 2,000 requests per second</title>")
    );
    insta::assert_snapshot!("open_loop", report);
    // Nothing of the closed loop's throughput.
    for foreign in ["X·R / c", "closed loop)", "faster", "client-bound", "Client-bound", "Throughput by"] {
        assert!(!report.contains(foreign), "{foreign}");
    }
}

#[test]
fn an_open_loops_charts_begin_with_response_times_and_say_since_when() {
    let stored = small().rate(2000).build();
    let analysis = Analysis::of(&stored);
    let figures = figures::of_run(&stored, &analysis, &Passes::default(), Medium::File);
    let slugs: Vec<_> = figures.iter().map(Figure::id).collect();
    assert_eq!(
        slugs,
        ["forest", "latency", "p50-ratio", "p99-ratio", "cpu", "cpu-ratio", "memory", "threads", "switches"]
    );
    for figure in &figures {
        assert!(figures::ids().any(|id| id == figure.id()));
        let expected =
            "Open loop at 2,000 requests per second, latency from the intended send time; 10,000 requests";
        assert!(figure.caption().contains(expected), "{}", figure.caption());
        assert!(!figure.caption().contains("losed"), "{}", figure.caption());
        assert!(figure.title().ends_with(", open loop at 2,000 requests per second"), "{}", figure.title());
    }
    assert!(figure(&figures, "p50-ratio").svg().unwrap().contains("requests outstanding at most"));
}

#[test]
fn every_invalid_trial_is_listed_with_its_reasons() {
    let (report, page) = document(&small().invalid("mio", 2, 10, 1).build());
    let line = "mio, 2 backends, concurrency 10, block 2, attempt 1: 3 of 10000 responses were not 2xx";
    assert!(report.contains(&format!("- {line}\n")));
    assert!(page.contains(&format!("<li>{line}</li>")));
}

#[test]
fn text_from_a_run_is_escaped_on_the_page() {
    let mut stored = small().build();
    stored.trials[0].outcome =
        Outcome::Invalid { reasons: vec![Reason::Words("<script>alert(1)</script>".into())] };
    stored.environment.host.cpu = "<b>cpu</b>".into();
    let (report, page) = document(&stored);
    assert!(!page.contains("<script>alert") && !page.contains("<b>") && page.contains("&#60;script"));
    assert!(!report.contains("<script") && !report.contains("<b>"));
}

#[test]
fn a_row_that_controls_the_measurement_is_named_plainly_and_is_no_competitor() {
    let models = ["direct", "threads", "mio", "threads#2", "mio+10%"];
    let (report, _) = document(&small().models(&models).blocks(8).build());
    for expected in [
        "| threads again | 1 | 2 |",
        "| mio +10 % CPU | 1 | 2 |",
        "Here: threads again.",
        "## Injected slowdowns",
    ] {
        assert!(report.contains(expected), "{expected}");
    }
    assert!(report.contains("under 2 concurrency models"));
    assert!(report.contains("| backends | concurrency | mio / threads |"));
    assert!(report.contains("| backends | concurrency | mio +10 % CPU / mio |"));
    let quoted = &report[report.find("<!-- BEGIN").unwrap()..report.find("<!-- END").unwrap()];
    assert!(!quoted.contains("again") && !quoted.contains("+10"), "{quoted}");
}

#[test]
fn the_short_table_can_be_quoted_by_its_markers() {
    let (report, _) = document(&small().build());
    let begin = report.find("<!-- BEGIN: requests per second").unwrap();
    let end = begin + report[begin..].find("<!-- END -->").unwrap();
    assert!(report[begin..end].contains("| concurrency | model | 1 backend | 2 backends |"));
}

#[test]
fn a_run_of_any_shape_has_a_report() {
    let mut interrupted = small().build();
    interrupted.trials.truncate(3);
    let mut nothing_valid = small().build();
    for trial in &mut nothing_valid.trials {
        trial.outcome = Outcome::Invalid { reasons: vec![Reason::Words("the balancer died".into())] };
    }
    let mut unplanned = small().build();
    unplanned.environment.plan.competitors.clear();
    unplanned.environment.plan.axes.clear();
    unplanned.environment.models.clear();
    let mut nothing_at_all = unplanned.clone();
    nothing_at_all.trials.clear();
    let cases = [
        ("interrupted", interrupted, 2),
        ("nothing run", small().blocks(0).build(), 0),
        ("nothing valid", nothing_valid, 0),
        ("not in the plan", unplanned, 9),
        ("nothing at all", nothing_at_all, 0),
        ("one model", small().models(&["direct", "mio"]).build(), 6),
        ("direct only", small().models(&["direct"]).build(), 2),
        ("one concurrency", small().concurrency(&[5]).build(), 9),
        ("no direct", small().models(&["threads", "mio"]).build(), 9),
        ("with controls", small().models(&["direct", "threads", "mio", "threads#2", "mio+10%"]).build(), 10),
        ("open loop", small().rate(2000).build(), 9),
        ("open loop, nothing run", small().rate(2000).blocks(0).build(), 0),
        ("open loop, one model", small().rate(2000).models(&["mio"]).build(), 5),
        ("controls only", small().models(&["threads#2", "mio+10%"]).build(), 0),
    ];
    for (case, stored, expected) in cases {
        let analysis = Analysis::of(&stored);
        let figures = figures::of_run(&stored, &analysis, &Passes::default(), Medium::File);
        assert_eq!(figures.len(), expected, "{case}");
        let (report, page) = texts(&stored, &analysis, &figures);
        assert!(report.contains("## Provenance"), "{case}");
        assert!(!terminal::of_run(&stored, 100).is_empty(), "{case}");
        let content = page.split("<script>").next().unwrap().to_owned();
        let mut written = vec![report, content];
        written.extend(figures.iter().map(|figure| figure.svg().unwrap()));
        for text in written {
            assert!(!text.contains("NaN") && !text.contains("inf"), "{case}");
        }
    }
}

#[test]
fn whatever_a_run_varies_stands_in_its_tables_and_charts() {
    let at_one = || small().backends(&[3]).concurrency(&[10]);
    let cases = [
        (at_one().over(&factor::BODY_BYTES, "0,1024,65536"), "bodies of 65536 bytes", "| body, bytes |"),
        (at_one().over(&factor::CONNECTIONS, "close,keepalive"), "persistent connections", "| connections |"),
        (small().over(&factor::CONNECTIONS, "close,keepalive"), "persistent connections", "| connections |"),
        (
            at_one().rate(2000).over(&factor::RATE, "2000,4000"),
            "4000 requests per second",
            "| rate, per second |",
        ),
    ];
    for (run, phrase, column) in cases {
        let stored = run.build();
        let analysis = Analysis::of(&stored);
        let conditions = analysis.summary.conditions();
        assert!(analysis.summary.competitors.iter().all(|row| {
            conditions.iter().all(|condition| analysis.summary.cell(row, condition).valid.len() == 2)
        }));
        let figures = figures::of_run(&stored, &analysis, &Passes::default(), Medium::File);
        assert_eq!(figures.len(), 9);
        let (report, page) = texts(&stored, &analysis, &figures);
        assert!(report.contains(column) && report.contains(phrase), "{column} {phrase}: {report}");
        assert!(page.contains(phrase) && !report.contains("not run"), "{phrase}");
        for figure in &figures {
            let svg = figure.svg().unwrap();
            assert!(svg.contains(phrase), "{} has no {phrase}", figure.id());
            let data = figure.data();
            assert!(data.columns.iter().any(|of| column.contains(&of.title)), "{}", figure.id());
        }
        assert!(terminal::of_run(&stored, 100).contains(if column.contains("body") {
            "bytes"
        } else {
            "mio"
        }));
    }
}

#[test]
fn a_chart_that_is_no_longer_drawn_is_removed_and_no_other_file() {
    let reports = tempfile::tempdir().unwrap();
    let dir = reports.path().join("synthetic");
    fs::create_dir(&dir).unwrap();
    for name in ["cpu.png", "notes.png"] {
        fs::write(dir.join(name), "").unwrap();
    }
    write(&small().blocks(0).build(), &Beside::default(), reports.path()).unwrap();
    assert!(!dir.join("cpu.png").exists() && dir.join("notes.png").exists());
}

#[test]
fn a_folder_that_cannot_be_made_is_named_with_a_remedy() {
    let reports = tempfile::tempdir().unwrap();
    let file = reports.path().join("file");
    fs::write(&file, "").unwrap();
    let error = write(&small().blocks(0).build(), &Beside::default(), &file).unwrap_err().to_string();
    assert!(error.contains("file/synthetic") && error.contains("--reports"), "{error}");
}

/// Not a test: puts a made-up run on disk, to look at its report and to time `roundtable report`.
#[test]
#[ignore = "writes files for eyes: set ROUNDTABLE_SYNTHETIC to a results folder"]
fn put_a_synthetic_run_on_disk() {
    let results = PathBuf::from(std::env::var_os("ROUNDTABLE_SYNTHETIC").unwrap());
    let run = Run::new().blocks(5).invalid("mio", 2, 5, 0);
    let stored = (0..5).fold(run, |run, block| run.invalid("pool", 4, 10, block)).build();
    let mut store =
        crate::record::store::Store::create(&results.join("synthetic"), &stored.environment).unwrap();
    for trial in &stored.trials {
        store.append(trial).unwrap();
    }
}
