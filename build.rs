//! Records what the binary was built from, for `environment.json`.
//!
//! Rules: works without git and without a checkout (`unknown`); is run again only when a source, the lock file or
//! the commit changes, not when results are written. Git's index is not watched: `git status` touches it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What the binary is made of. Whether these have uncommitted changes is what `dirty` tells.
const SOURCES: [&str; 8] = [
    "build.rs",
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "templates",
    "backends",
    "harness/src",
    "harness/Cargo.toml",
];
/// What the models and the load generator rest on.
const CRATES: [&str; 12] = [
    "crossbeam-channel",
    "crossbeam-utils",
    "hdrhistogram",
    "httparse",
    "io-uring",
    "libc",
    "memchr",
    "mio",
    "nix",
    "slab",
    "socket2",
    "tokio",
];

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    watch(SOURCES.iter().map(|source| root.join(source)));

    let (commit, dirty) = match git(&root, &["rev-parse", "HEAD"]) {
        Some(commit) if is_own_checkout(&root) => {
            watch_commit(&root);
            (commit, is_dirty(&root))
        }
        _ => ("unknown".to_owned(), false),
    };
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    let facts = [
        ("COMMIT", commit),
        ("DIRTY", dirty.to_string()),
        ("RUSTC", output(Command::new(rustc).arg("--version")).unwrap_or_else(|| "unknown".to_owned())),
        ("PROFILE", env::var("PROFILE").unwrap_or_else(|_| "unknown".to_owned())),
        ("TARGET", env::var("TARGET").unwrap_or_else(|_| "unknown".to_owned())),
        ("CRATES", crates(&lock)),
    ];
    for (name, value) in facts {
        println!("cargo:rustc-env=ROUNDTABLE_{name}={value}");
    }
}

/// `name=version` for each of [`CRATES`] that is in `lock`, separated by blanks.
fn crates(lock: &str) -> String {
    let mut found = Vec::new();
    let mut name = "";
    for line in lock.lines() {
        let value = |key: &str| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"');
        if let Some(value) = value("name") {
            name = value;
        } else if let Some(version) = value("version")
            && CRATES.contains(&name)
        {
            found.push(format!("{name}={version}"));
        }
    }
    found.join(" ")
}

/// Not somebody else's repository, into which these sources were unpacked.
fn is_own_checkout(root: &Path) -> bool {
    let top = git(root, &["rev-parse", "--show-toplevel"]).map(PathBuf::from);
    top.and_then(|top| top.canonicalize().ok()) == root.canonicalize().ok()
}

fn is_dirty(root: &Path) -> bool {
    let status = ["--no-optional-locks", "status", "--porcelain", "--"];
    git(root, &[status.as_slice(), &SOURCES].concat()).is_none_or(|changes| !changes.is_empty())
}

/// A commit moves the branch; a checkout moves HEAD; both are logged. In a worktree `.git` is a file: git knows.
fn watch_commit(root: &Path) {
    let branch = git(root, &["symbolic-ref", "--quiet", "HEAD"]);
    let names =
        ["HEAD".to_owned(), "logs/HEAD".to_owned(), "packed-refs".to_owned()].into_iter().chain(branch);
    let paths = names.filter_map(|name| git(root, &["rev-parse", "--git-path", &name]));
    watch(paths.map(|path| root.join(path)));
}

/// A path that does not exist would make Cargo run this every time.
fn watch(paths: impl Iterator<Item = PathBuf>) {
    for path in paths.filter(|path| path.exists()) {
        println!("cargo:rerun-if-changed={}", path.display());
    }
}

fn git(root: &Path, args: &[&str]) -> Option<String> {
    output(Command::new("git").arg("-C").arg(root).args(args))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
