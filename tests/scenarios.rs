//! `roundtable run --scenario` and `roundtable scenarios` from outside, with real processes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::fs;
use std::process::{Command, Output, Stdio};

use roundtable_harness::record::store;
use tempfile::{TempDir, tempdir};

fn roundtable(dir: &TempDir, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
    command.current_dir(dir.path()).args(args).stdin(Stdio::null()).env("COLUMNS", "100");
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const OWN: &str = r#"
question = "Does twice as much work at a time serve twice as much?"

[[run]]
name = "backends"
models = "mio"
base = { connections = "keepalive", concurrency = 8, delay = "5ms", at-a-time = 2, requests = 60, warmup = 8 }
sweep.backends = [1, 2]
gates.steal-limit = 100
answers = [{ kind = "speed-up", factor = "backends" }]
figures = ["throughput"]

[[run]]
name = "rates"
models = "mio"
base = { connections = "keepalive", backends = 1, concurrency = 16, delay = "exp:2ms", at-a-time = 2, arrivals = "poisson", duration = "300ms" }
sweep.rate = [300, 2000]
gates = { steal-limit = 100, overload-allowed = true }
answers = [{ kind = "promise", promise = "p99<1s" }, { kind = "queue" }]
"#;

#[test]
fn a_scenario_of_ones_own_is_run_and_its_questions_are_answered() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("own.toml"), OWN).unwrap();
    let run = roundtable(&dir, &["run", "--scenario", "own.toml", "--blocks", "1", "--out", "out"]);
    let told = text(&run.stderr);
    // Lines are broken where the terminal ends.
    let answered = text(&run.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(run.status.success(), "{told}");
    assert!(told.contains("run 2 of 2: out/own-rates"), "{told}");
    assert!(answered.contains("Asked: Does twice as much work at a time"), "{answered}");
    assert!(answered.contains("(2 × would be ideal)"), "{answered}");
    // More than the backend can do is asked for, and that trial counts.
    let rates = store::read(&dir.path().join("out/own-rates")).unwrap();
    assert!(
        rates
            .trials
            .iter()
            .all(|trial| matches!(trial.outcome, roundtable_harness::record::Outcome::Measured(_)))
    );
    let of_rates = fs::read_to_string(dir.path().join("reports/out/own-rates/index.html")).unwrap();
    assert!(of_rates.contains("M/M/c"), "the table of the queue");
    let again = roundtable(&dir, &["report", "out/own-backends", "--results", ".", "--reports", "again"]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    let [first, second] = ["reports", "again"]
        .map(|at| fs::read(dir.path().join(at).join("out/own-backends/report.md")).unwrap());
    assert_eq!(first, second);
}

const TWO: &str = r#"
question = "Is a suite whole?"

[[run]]
name = "first"
models = "mio"
base = { backends = 1, concurrency = 2, requests = 20, warmup = 2 }
gates.steal-limit = 100
figures = ["cpu"]

[[run]]
name = "second"
question = "And its second run?"
models = "threads"
base = { backends = 1, concurrency = 2, requests = 20, warmup = 2 }
gates.steal-limit = 100
"#;

#[test]
fn several_runs_have_one_report_that_tells_what_is_missing_and_are_gone_on_with_as_one() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("two.toml"), TWO).unwrap();
    let run = roundtable(&dir, &["run", "--scenario", "two.toml", "--blocks", "1", "--out", "results/both"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert!(text(&run.stdout).contains("report: reports/both/index.html"), "{}", text(&run.stdout));
    let report = || fs::read_to_string(dir.path().join("reports/both/report.md")).unwrap();
    let whole = report();
    assert!(whole.contains("## two: Is a suite whole?\n"), "{whole}");
    assert!(whole.contains("### second: And its second run?\n"), "{whole}");
    // Its figures and the runs' reports are where it says.
    for file in ["two-first/cpu.png", "two-first/index.html", "two-second/index.html"] {
        assert!(whole.contains(&format!("({file})")), "{whole}");
        assert!(dir.path().join("reports/both").join(file).is_file(), "{file}");
    }

    // Without a name it is the newest command's; made again it is the same.
    let made_again = |arguments: &[&str]| {
        let made = roundtable(&dir, &[&["report"], arguments].concat());
        assert!(made.status.success(), "{}", text(&made.stderr));
        report()
    };
    assert_eq!(made_again(&[]), whole);

    let second = dir.path().join("results/both/two-second");
    fs::rename(&second, dir.path().join("elsewhere")).unwrap();
    assert!(made_again(&["both"]).contains("two-second is missing: it was not begun"));

    let resumed = roundtable(&dir, &["run", "--resume", "results/both"]);
    let told = text(&resumed.stderr);
    assert!(resumed.status.success(), "{told}");
    assert!(
        told.contains("two-first is complete") && told.contains("run 1 of 1: results/both/two-second"),
        "{told}"
    );
    assert!(!store::read(&second).unwrap().trials.is_empty());
    assert!(!report().contains("is missing"), "{}", report());

    let changed = fs::write(dir.path().join("two.toml"), TWO.replace("\"second\"", "\"another\""));
    changed.unwrap();
    let refused = roundtable(&dir, &["run", "--resume", "results/both"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("its scenario has changed"), "{}", text(&refused.stderr));

    // A suite is no run: what is of one run alone names the others.
    for arguments in
        [&["compare", "both"][..], &["report", "both", "--full"], &["report", "both", "--format", "csv"]]
    {
        let refused = roundtable(&dir, arguments);
        assert!(!refused.status.success());
        let told = text(&refused.stderr);
        assert!(told.contains("name one of"), "{told}");
    }
    let unknown =
        roundtable(&dir, &["run", "--scenario", "all", "--models", "weather", "--out", "results/none"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", text(&unknown.stderr));
    assert!(!dir.path().join("results/none").exists());
    fs::write(dir.path().join("two.toml"), TWO).unwrap();
    let taken = roundtable(&dir, &["run", "--scenario", "two.toml", "--out", "results/both"]);
    assert!(text(&taken.stderr).contains("--resume results/both"), "{}", text(&taken.stderr));
}

#[test]
fn uploads_are_verified_by_the_backends_and_short_queues_may_overflow() {
    let dir = tempdir().unwrap();
    let run = |args: &str| {
        let common =
            "run --models mio,threads --backends 2 --requests 40 --warmup 4 --blocks 1 --steal-limit 100";
        let words: Vec<&str> = common.split(' ').chain(args.split(' ')).collect();
        roundtable(&dir, &words)
    };
    let uploads = run("--upload-bytes 0,100000 --concurrency 2 --connections keepalive --out uploads");
    assert!(uploads.status.success(), "{}", text(&uploads.stderr));
    assert!(text(&uploads.stdout).contains("upload"), "{}", text(&uploads.stdout));
    let queues = run("--backlog 1,default --concurrency 10 --out queues");
    assert!(queues.status.success(), "{}", text(&queues.stderr));
    let floors = run("--peers floor --upload-bytes 10 --concurrency 2 --out floors");
    assert_eq!(floors.status.code(), Some(2));
    assert!(text(&floors.stderr).contains("relays no uploads"), "{}", text(&floors.stderr));
}

#[test]
fn a_cache_is_measured_at_the_hit_ratios_that_were_asked_for_and_products_are_left_out() {
    let dir = tempdir().unwrap();
    let asked = "run --scenario cache --models mio,threads --peers floor --requests 400 --warmup 20 --blocks 1 --steal-limit 100 \
                 --out out";
    let run = roundtable(&dir, &asked.split_whitespace().collect::<Vec<_>>());
    let told = text(&run.stderr);
    assert!(run.status.success() && told.contains("products and floors are left out of cache"), "{told}");
    let answered = text(&run.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(answered.contains("- mio, a hit ratio of 90 %: "), "{answered}");
    let trials = store::read(&dir.path().join("out")).unwrap().trials;
    // Two models, one of them twice, and none: at four ratios, without a cache and with one.
    assert_eq!(trials.iter().filter(|trial| trial.outcome.sample().is_some()).count(), 4 * 4 * 2);
    for trial in &trials {
        let Some(sample) = trial.outcome.sample() else { continue };
        let condition = &trial.cell.condition;
        let has_cache = condition.cache_mib.is_some() && !trial.cell.competitor.is_direct();
        let hits = u64::from(condition.hit_ratio_percent.unwrap()) * sample.completed / 100;
        let given = if has_cache { hits } else { 0 };
        assert_eq!(sample.from_cache, given, "{:?}", trial.cell);
        assert_eq!(sample.per_backend.values().sum::<u64>(), sample.completed - given);
    }
    let refused = roundtable(&dir, &["run", "--models", "mio", "--peers", "floor", "--cache", "64MiB"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("leave --cache out"), "{}", text(&refused.stderr));
}

#[test]
fn a_mistake_in_a_scenario_is_told_with_its_line_and_nothing_is_run() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("own.toml"), OWN.replace("backends = [1, 2]", "backends = [1, 200]")).unwrap();
    for (asked, told) in [
        ("own.toml", "own.toml, line 8: --backends cannot be 200"),
        ("none.toml", "cannot read the scenario none.toml"),
        ("weather", "the scenarios are classic, keepalive"),
    ] {
        let run = roundtable(&dir, &["run", "--scenario", asked]);
        assert_eq!(run.status.code(), Some(2), "{asked}");
        assert!(text(&run.stderr).contains(told), "{}", text(&run.stderr));
        assert!(!dir.path().join("results").exists());
    }
}

#[test]
fn scenarios_are_listed_and_their_files_can_be_begun_with() {
    let dir = tempdir().unwrap();
    let listed = text(&roundtable(&dir, &["scenarios"]).stdout);
    for name in ["classic (about 5m)", "claims (about", "saturation (about"] {
        assert!(listed.contains(name), "{listed}");
    }
    let file = roundtable(&dir, &["scenarios", "saturation"]);
    fs::write(dir.path().join("mine.toml"), &file.stdout).unwrap();
    let unknown = roundtable(&dir, &["scenarios", "weather"]);
    assert_eq!(unknown.status.code(), Some(2));
    // What it prints is a scenario: only what is asked of it beside is refused.
    let run = roundtable(&dir, &["run", "--scenario", "mine.toml", "--backends", "0"]);
    assert!(text(&run.stderr).contains("--backends"), "{}", text(&run.stderr));
    let run = roundtable(&dir, &["run", "--scenario", "mine.toml", "--models", "none"]);
    assert!(text(&run.stderr).contains("there is no model \"none\""), "{}", text(&run.stderr));
}
