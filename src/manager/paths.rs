//! Where the manager is, and what is at a path.
//!
//! Rules: only plain segments are allowed in a configured path, so that it can be written in one way alone; a request's path
//! is compared byte for byte, so that no other spelling reaches the manager.

use anyhow::{bail, ensure};

use super::Settings;

/// The manager's paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paths {
    page: String,
    json: String,
    metrics: String,
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Page,
    Json,
    Metrics,
}

impl Paths {
    pub(super) fn of(settings: &Settings) -> anyhow::Result<Paths> {
        let page = plain(&settings.path)?.to_owned();
        let json = format!("{page}/status.json");
        let metrics = match &settings.metrics_path {
            Some(path) => plain(path)?.to_owned(),
            None => format!("{page}/metrics"),
        };
        if metrics == page || metrics == json {
            bail!("{metrics} is the manager's own; choose another path for the metrics");
        }
        ensure!(
            !is_at_or_below(&page, &metrics),
            "the manager's path {page} is below {metrics}, that of the metrics; choose another path for one of them"
        );
        Ok(Paths { page, json, metrics })
    }

    /// Path of the page, without a slash at its end.
    pub(super) fn page(&self) -> &str {
        &self.page
    }

    /// The paths that everything is at or below.
    pub(super) fn roots(&self) -> impl Iterator<Item = &str> {
        let apart = !is_at_or_below(&self.metrics, &self.page);
        [Some(self.page.as_str()), apart.then_some(self.metrics.as_str())].into_iter().flatten()
    }

    /// What is at `path`, which is a request's, without its query.
    pub(super) fn find(&self, path: &str) -> Option<Place> {
        let is_page = path.strip_prefix(&self.page).is_some_and(|rest| matches!(rest, "" | "/"));
        match path {
            _ if is_page => Some(Place::Page),
            path if path == self.json => Some(Place::Json),
            path if path == self.metrics => Some(Place::Metrics),
            _ => None,
        }
    }

    /// The page as a relative reference from `path`, which is one of its two spellings.
    pub(super) fn page_from(&self, path: &str) -> String {
        if path.ends_with('/') { "./".to_owned() } else { format!("./{}", self.last_segment()) }
    }

    /// The same for the JSON.
    pub(super) fn json_from(&self, path: &str) -> String {
        if path.ends_with('/') {
            "./status.json".to_owned()
        } else {
            format!("./{}/status.json", self.last_segment())
        }
    }

    fn last_segment(&self) -> &str {
        self.page.rsplit('/').next().unwrap_or_default()
    }
}

/// Whether `path` is `root` or below it, on a segment border.
pub(super) fn is_at_or_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `path` without a slash at its end, if there is only one way to write it.
fn plain(path: &str) -> anyhow::Result<&str> {
    let trimmed = path.strip_suffix('/').unwrap_or(path);
    let is_plain = |segment: &str| {
        let usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        !matches!(segment, "" | "." | "..") && segment.bytes().all(usual)
    };
    match trimmed.strip_prefix('/') {
        Some(segments) if path.len() <= 256 && segments.split('/').all(is_plain) => Ok(trimmed),
        _ => bail!(
            "'{}' cannot be a path of the manager; write one such as {}, of letters, digits and -._~",
            path.escape_debug(),
            super::DEFAULT_PATH
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(path: &str, metrics_path: Option<&str>) -> anyhow::Result<Paths> {
        let metrics_path = metrics_path.map(str::to_owned);
        Paths::of(&Settings { path: path.to_owned(), metrics_path, users: None, model: "mio" })
    }

    #[test]
    fn a_path_that_could_be_written_in_two_ways_is_refused() {
        for path in ["/m", "/m/", "/a/b.c", "/balancer-manager"] {
            paths(path, None).unwrap();
        }
        for path in [
            "", "/", "//", "m", "//m", "/m//", "/a//b", "/.", "/a/..", "/%6d", "/a b", "/a?b", "/a#b",
            "/a\n", "/ä",
        ] {
            assert!(paths(path, None).unwrap_err().to_string().contains("write one such as"), "{path:?}");
        }
        for metrics in ["/a/m", "/a/m/", "/a/m/status.json", "/a", "metrics"] {
            assert!(paths("/a/m", Some(metrics)).is_err(), "{metrics}");
        }
    }

    #[test]
    fn only_the_four_paths_lead_anywhere() {
        let all = paths("/m", Some("/metrics")).unwrap();
        for (path, place) in [
            ("/m", Some(Place::Page)),
            ("/m/", Some(Place::Page)),
            ("/m/status.json", Some(Place::Json)),
            ("/metrics", Some(Place::Metrics)),
            ("/m/metrics", None),
            ("/m//", None),
            ("//m", None),
            ("/%6d", None),
            ("/x/../m", None),
            ("/m/status.json/", None),
            ("/M", None),
            ("/mm", None),
            ("/", None),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(all.find(path), place, "{path}");
        }
        assert_eq!(paths("/m", None).unwrap().find("/m/metrics"), Some(Place::Metrics));
    }

    #[test]
    fn references_are_relative_to_both_spellings() {
        let paths = paths("/a/m", None).unwrap();
        let from = |path| (paths.page_from(path), paths.json_from(path));
        assert_eq!(from("/a/m"), ("./m".into(), "./m/status.json".into()));
        assert_eq!(from("/a/m/"), ("./".into(), "./status.json".into()));
    }
}
