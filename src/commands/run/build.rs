//! What this binary was built from, as `build.rs` recorded it.

use roundtable_harness::record::Build;

/// The binary that is running.
pub(super) fn build() -> Build {
    let crates = env!("ROUNDTABLE_CRATES").split_whitespace().filter_map(|entry| entry.split_once('='));
    Build {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: env!("ROUNDTABLE_COMMIT").to_owned(),
        dirty: env!("ROUNDTABLE_DIRTY") == "true",
        rustc: env!("ROUNDTABLE_RUSTC").to_owned(),
        profile: env!("ROUNDTABLE_PROFILE").to_owned(),
        target: env!("ROUNDTABLE_TARGET").to_owned(),
        crates: crates.map(|(name, version)| (name.to_owned(), version.to_owned())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crates_that_the_models_rest_on_are_recorded() {
        let build = build();
        for name in ["tokio", "mio", "httparse", "socket2", "crossbeam-channel", "io-uring"] {
            assert!(build.crates.contains_key(name), "{name} is not in {:?}", build.crates);
        }
        assert!(build.rustc.starts_with("rustc "), "{}", build.rustc);
    }
}
