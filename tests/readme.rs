//! README tells what is there: its table is the reference report's, its commands exist and do what it says when they are
//! typed in order, its links point at something.
//!
//! The commands are run as written, by one bash from an empty environment, in a folder with what a checkout has: the exit
//! status of each is checked, and that each section ends the servers that it starts. `cargo build` is answered by the binary
//! that is tested, `cargo run` runs it. Not run, or shortened, are those that take minutes: `NOT_RUN` and `SHORTENED` say
//! which and why. The ports are README's own, so that the shell has a network namespace of its own where that can be had;
//! where it cannot, and a port is taken, the test is skipped and says so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use roundtable_harness::record::store;
use roundtable_harness::report::{self, Beside};
use tempfile::{TempDir, tempdir};

const REPORT: &str = "reports/reference/report.md";
/// Commands that are not run, and why.
const NOT_RUN: [(&str, &str); 4] = [
    ("cargo test", "this is a part of it"),
    ("cargo run --release -- run --rate auto", "minutes long; tests/run.rs has it"),
    (
        "cargo run --release -- run --rate 2000",
        "minutes long, and a busy machine may not sustain it; tests/run.rs has it",
    ),
    (
        "roundtable run --models mio,tokio --workers 1 --connections keepalive --peers nginx,haproxy,httpd-event,floor",
        "products want a user that is not root, whom this namespace does not have; tests/peers.rs has it",
    ),
];
/// Commands that are run with further options, so that they take seconds.
const SHORTENED: [(&str, &str); 3] = [
    (
        "cargo run --release -- run --scenario service-time --quick",
        "--models mio --backends 1 --concurrency 2 --requests 50 --steal-limit 100",
    ),
    (
        "cargo run --release -- run ",
        "--models mio --backends 1 --concurrency 2 --requests 200 --blocks 1 --steal-limit 100",
    ),
    ("roundtable run --fault", "--models mio --blocks 1"),
];
/// Longest that a shell may take.
const PATIENCE_SECONDS: &str = "300";
/// A server's one line on standard output.
const READY: &str = "{\"listening\":";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The words of each command line in README's console blocks: continued lines are joined, comments are off.
fn commands(markdown: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    let (mut console, mut continued) = (false, false);
    for line in markdown.lines() {
        match line {
            "```console" => console = true,
            line if line.starts_with("```") => console = false,
            line if console && (continued || line.starts_with("$ ")) => {
                let code = line.trim_start_matches("$ ").split(" #").next().unwrap_or_default().trim();
                let words = code.trim_end_matches(['\\', '&']).split_whitespace().map(str::to_owned);
                if continued {
                    let last: &mut Vec<String> = commands.last_mut().unwrap();
                    last.extend(words);
                } else {
                    commands.push(words.collect());
                }
                continued = code.ends_with('\\');
            }
            _ => {}
        }
    }
    commands
}

/// A section with the commands of its console blocks, as they are written.
struct Section<'a> {
    title: &'a str,
    commands: Vec<String>,
}

fn sections(markdown: &str) -> Vec<Section<'_>> {
    let mut sections = vec![Section { title: "", commands: Vec::new() }];
    let (mut console, mut continued) = (false, false);
    for line in markdown.lines() {
        if line == "```console" {
            console = true;
        } else if line.starts_with("```") {
            console = false;
        } else if console {
            let commands = &mut sections.last_mut().unwrap().commands;
            match line.strip_prefix("$ ") {
                Some(command) => commands.push(command.to_owned()),
                None if continued => commands.last_mut().unwrap().push_str(&format!("\n{line}")),
                // What a command prints.
                None => continue,
            }
            continued = line.ends_with('\\');
        } else if let Some(title) =
            line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#'))
        {
            sections.push(Section { title, commands: Vec::new() });
        }
    }
    sections.retain(|section| !section.commands.is_empty());
    sections
}

/// Without a comment.
fn code(command: &str) -> &str {
    command.split(" # ").next().unwrap_or_default().trim_end()
}

/// `command` as it is run: with what shortens it, or not at all.
fn shortened(command: &str) -> Option<String> {
    if NOT_RUN.iter().any(|(written, _)| code(command) == *written) {
        return None;
    }
    match SHORTENED.iter().find(|(begin, _)| command.starts_with(begin)) {
        Some((_, more)) => Some(format!("{} {more}", code(command))),
        None => Some(command.to_owned()),
    }
}

/// A script that runs the commands one after another, and ends with the first that fails or leaves a server behind.
fn script(sections: &[Section<'_>]) -> String {
    let mut script = format!(
        "set -m\n\
         shopt -s expand_aliases\n\
         trap 'kill $(jobs -p) 2>/dev/null' EXIT\n\
         failed() {{ echo \"FAILED: $1\" >&2; exit 1; }}\n\
         # A user reads the line that a server prints before typing on.\n\
         ready() {{ for try in {{1..400}}; do [ $(grep -c '{READY}' output) -ge $1 ] && return; sleep 0.05; done; \
         failed \"server $1 is not ready\"; }}\n"
    );
    let mut servers = 0;
    for Section { title, commands } in sections {
        for command in commands.iter().filter_map(|command| shortened(command)) {
            let told = code(&command).replace('\'', "").replace('\n', " ");
            writeln!(script, "{command}\nstatus=$?; [ $status = 0 ] || failed '{told}: exit status '$status")
                .unwrap();
            if code(&command).ends_with('&') {
                servers += 1;
                writeln!(script, "ready {servers}").unwrap();
            }
        }
        writeln!(script, "[ -z \"$(jobs -pr)\" ] || failed 'a server is left after the section {title}'")
            .unwrap();
    }
    script + "trap - EXIT\n"
}

/// A folder with what a checkout has, as far as README's commands go.
fn checkout() -> TempDir {
    let dir = tempdir().unwrap();
    let [bin, release, results, reports] =
        ["bin", "target/release", "results", "reports"].map(|name| dir.path().join(name));
    for folder in [&bin, &release, &results, &reports] {
        fs::create_dir_all(folder).unwrap();
    }
    for copied in [("examples", dir.path()), ("reports/reference", reports.as_path())] {
        let copy = Command::new("cp").arg("-r").arg(root().join(copied.0)).arg(copied.1).status().unwrap();
        assert!(copy.success());
    }
    for run in fs::read_dir(root().join("results")).unwrap() {
        let run = run.unwrap();
        symlink(run.path(), results.join(run.file_name())).unwrap();
    }
    symlink(env!("CARGO_BIN_EXE_roundtable"), release.join("roundtable")).unwrap();
    let cargo = "#!/bin/sh\n\
                 case \"$1 $2 $3\" in\n\
                 'build --release ') ;;\n\
                 'run --release --') shift 3; exec target/release/roundtable \"$@\" ;;\n\
                 *) echo \"cargo $* is not played here\" >&2; exit 1 ;;\n\
                 esac\n";
    fs::write(bin.join("cargo"), cargo).unwrap();
    fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// Whether a shell can have a network of its own.
fn has_namespaces() -> bool {
    let status = Command::new("unshare")
        .args(["-rn", "sh", "-c", "ip link set lo up"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Runs `script` in `dir` from an empty environment; its standard output is in the file `output`, too. `None`, and a line,
/// where one of `ports` is taken and there is no other network to be had.
fn shell(dir: &Path, script: &str, ports: &[u16]) -> Option<Output> {
    /// Two shells of this file want the same ports.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let path = std::env::var("PATH").unwrap();
    let mut command = match has_namespaces() {
        true => {
            let mut command = Command::new("unshare");
            command.args(["-rn", "timeout"]);
            fs::write(dir.join("script"), format!("ip link set lo up\n{script}")).unwrap();
            command
        }
        false => {
            if let Some(taken) = ports.iter().find(|&&port| TcpListener::bind(("127.0.0.1", port)).is_err()) {
                eprintln!("skipped: port {taken} is taken, and there are no network namespaces");
                return None;
            }
            fs::write(dir.join("script"), script).unwrap();
            Command::new("timeout")
        }
    };
    command.args([PATIENCE_SECONDS, "bash", "--noprofile", "--norc", "-c", "exec >output; . ./script"]);
    command.current_dir(dir).env_clear().env("PATH", format!("{}:{path}", dir.join("bin").display()));
    Some(command.stdin(Stdio::null()).output().unwrap())
}

fn is_installed(tool: &str) -> bool {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .any(|folder| folder.join(tool).is_file());
    if !found {
        eprintln!("skipped in part: {tool} is not installed");
    }
    found
}

/// The ports that are named in README or by `examples/start`.
const PORTS: [u16; 9] = [18000, 8888, 8889, 8890, 9001, 9002, 9003, 9004, 9005];

/// What follows `roundtable`, or `cargo run … --`, in `command`: a subcommand and its arguments.
fn own_arguments(command: &[String]) -> Option<&[String]> {
    match command {
        [program, rest @ ..] if program == "roundtable" => Some(rest),
        [cargo, run, rest @ ..] if cargo == "cargo" && run == "run" => {
            let at = rest.iter().position(|word| word == "--")?;
            Some(&rest[at + 1..])
        }
        _ => None,
    }
}

/// Every option that `roundtable SUBCOMMAND --help` names; `None` when there is no such subcommand.
fn options(subcommand: &str) -> Option<BTreeSet<String>> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_roundtable")).args([subcommand, "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let words = help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    output.status.success().then(|| words.filter(|word| word.starts_with('-')).map(str::to_owned).collect())
}

/// Targets of inline links and pictures, without their fragments.
fn links(markdown: &str) -> Vec<&str> {
    let targets = markdown.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.map(|target| target.split('#').next().unwrap_or_default()).collect()
}

#[test]
fn what_readme_quotes_is_what_the_reference_run_says() {
    let readme = text("README.md");
    let run = root().join("results/reference");
    let spliced = report::spliced(&store::read(&run).unwrap(), &Beside::default(), &readme).unwrap();
    assert!(spliced == readme, "README is stale: run `roundtable report reference --splice README.md`");
}

#[test]
fn every_command_that_is_shown_exists() {
    let readme = text("README.md");
    let shown: Vec<_> =
        commands(&readme).into_iter().filter(|words| own_arguments(words).is_some()).collect();
    assert!(shown.len() >= 5, "README shows hardly any command: {shown:?}");
    for command in &shown {
        let [subcommand, arguments @ ..] = own_arguments(command).unwrap() else {
            panic!("{command:?} names no subcommand");
        };
        let known = options(subcommand).unwrap_or_else(|| panic!("{command:?}: no such subcommand"));
        let asked = arguments.iter().filter(|word| word.len() > 1 && word.starts_with('-'));
        for option in asked.map(|word| word.split('=').next().unwrap_or(word)) {
            assert!(known.contains(option), "{command:?}: {subcommand} has no {option}");
        }
    }
}

#[test]
fn a_new_user_who_types_every_command_in_order_gets_what_is_said() {
    let readme = text("README.md");
    let mut sections = sections(&readme);
    let all: Vec<&str> = sections.iter().flat_map(|section| &section.commands).map(String::as_str).collect();
    for (written, _) in NOT_RUN {
        assert!(
            all.iter().any(|command| code(command) == written),
            "README has no {written}: take it off NOT_RUN"
        );
    }
    for (begin, _) in SHORTENED {
        assert!(
            all.iter().any(|command| command.starts_with(begin)),
            "README has no {begin}: take it off SHORTENED"
        );
    }
    if !(is_installed("bash") && is_installed("curl")) {
        return;
    }
    // A section stands by itself: it starts the servers that it needs, and ends them.
    let has_passwords = is_installed("htpasswd");
    sections.retain(|section| has_passwords || section.title != "The manager");
    let dir = checkout();
    let Some(output) = shell(dir.path(), &script(&sections), &PORTS) else { return };
    let said = fs::read_to_string(dir.path().join("output")).unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complained}\n{said}");

    let file = |name: &str| fs::read(dir.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let turns = String::from_utf8(file("turns.log")).unwrap();
    let first: Vec<&str> = turns.lines().filter(|line| line.starts_with("forwarded to ")).take(2).collect();
    assert_eq!(first, ["forwarded to 127.0.0.1:9001", "forwarded to 127.0.0.1:9002"]);
    for (fetched, source) in [
        ("picture.jpg", "examples/site/images/throughput.jpg"),
        ("document.pdf", "examples/site/pdf/document.pdf"),
    ] {
        assert!(file(fetched) == fs::read(root().join(source)).unwrap(), "{fetched} is not {source}");
    }
    assert!(file(REPORT) == text(REPORT).into_bytes(), "the report that was made again is another");
    assert!(said.contains("The configuration can work: mio at 127.0.0.1:18000."), "{said}");
    assert!(!has_passwords || said.contains("\"uptime_s\""), "{said}");
}

#[test]
fn an_example_whose_port_is_taken_does_not_go_on_with_a_stranger() {
    let dir = checkout();
    // Twice: what the first attempt started must not be in the way of the second.
    let script = "target/release/roundtable backend --listen 127.0.0.1:8889 --name stranger &\n\
                  until grep -q listening output; do sleep 0.05; done\n\
                  for attempt in 1 2; do examples/start reverse-proxy; echo \"ended with $?\"; done\n\
                  kill %1; wait\n";
    let Some(output) = shell(dir.path(), &format!("set -m\n{script}"), &PORTS) else { return };
    let said = fs::read_to_string(dir.path().join("output")).unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.matches("ended with 1\n").count(), 2, "{said}\n{told}");
    assert_eq!(said.matches(READY).count(), 1, "only the stranger serves: {said}");
    let named = "examples/start: the backend at 127.0.0.1:8889 did not start";
    assert_eq!(told.matches(named).count(), 2, "{told}");
    assert!(told.contains("cannot listen at 127.0.0.1:8889"), "{told}");
}

#[test]
fn every_subcommand_in_the_prose_exists() {
    let readme = text("README.md");
    let spans = readme.split('`').skip(1).step_by(2).filter(|span| !span.contains('\n'));
    for span in spans.filter_map(|span| span.strip_prefix("roundtable ")) {
        let mut words = span.split_whitespace();
        let known = options(words.next().unwrap()).unwrap_or_else(|| panic!("no such subcommand: {span:?}"));
        for option in words.filter(|word| word.starts_with('-')) {
            assert!(known.contains(option), "`roundtable {span}`: no such option {option}");
        }
    }
}

#[test]
fn every_relative_link_points_at_something() {
    let readme = text("README.md");
    let relative: Vec<_> =
        links(&readme).into_iter().filter(|link| !link.is_empty() && !link.contains("://")).collect();
    assert!(!relative.is_empty(), "README links to nothing");
    for link in relative {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(link);
        assert!(path.exists(), "README links to {link}, which is not there");
    }
}

#[test]
fn the_readers_of_readme_read_what_they_should() {
    let text = "\
[a](b/c.md#d) ![e](f.png)\n\
```console\n\
$ cargo run --release -- run --quick   # a comment --with a flag\n\
$ roundtable load http://x/ -n 1 \\\n      -c 2 &\n\
{\"listening\":\"…\"}\n\
```\n\
";
    assert_eq!(links(text), ["b/c.md", "f.png"]);
    let commands = commands(text);
    let arguments: Vec<_> = commands.iter().map(|words| own_arguments(words).unwrap().join(" ")).collect();
    assert_eq!(arguments, ["run --quick", "load http://x/ -n 1 -c 2"]);
}

#[test]
fn commands_are_run_as_they_are_written_unless_it_is_declared() {
    let markdown = "\
# One\n\
```console\n\
$ a \\\n      -b &   # c\n\
{\"listening\":\"…\"}\n\
$ cargo test   # d\n\
```\n\
## Two\n\
$ no command\n\
```console\n\
$ roundtable run --fault x   # e\n\
```\n";
    let found: Vec<_> =
        sections(markdown).into_iter().map(|section| (section.title, section.commands)).collect();
    let first = ["a \\\n      -b &   # c", "cargo test   # d"].map(str::to_owned).to_vec();
    assert_eq!(found, [("One", first.clone()), ("Two", vec!["roundtable run --fault x   # e".to_owned()])]);
    assert_eq!(shortened(&first[0]).as_ref(), Some(&first[0]));
    assert_eq!(shortened(&first[1]), None);
    assert_eq!(shortened(&found[1].1[0]).unwrap(), "roundtable run --fault x --models mio --blocks 1");
}
