//! What a run is called: as its folder, and one of a suite as the suite's folder and its own.

use std::path::{Path, PathBuf};

/// The file that makes a folder of runs a suite.
pub(super) const SUITE: &str = "suite.json";

/// The name of the run in `dir`.
pub(super) fn of_run(dir: &Path) -> String {
    let name = of_folder(dir);
    match suite_of(dir) {
        Some(suite) => format!("{}/{name}", of_folder(&suite)),
        None => name,
    }
}

/// The last part of the path of `dir`.
pub(super) fn of_folder(dir: &Path) -> String {
    let absolute = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    absolute.file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned())
}

/// The folder of the suite that the run in `dir` belongs to, where it belongs to one.
pub fn suite_of(dir: &Path) -> Option<PathBuf> {
    let absolute = dir.canonicalize().ok()?;
    let parent = absolute.parent()?;
    parent.join(SUITE).is_file().then(|| parent.to_path_buf())
}
