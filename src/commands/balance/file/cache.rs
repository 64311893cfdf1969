//! What the configuration file says of the cache: its size, and the rules of a group or a route.

use serde::Deserialize;

use super::Span;
use crate::commands::balance::settings::{CacheChange, CacheSettings};
use crate::commands::number;

/// A number of bytes as `64MiB`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Size(u64);

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        number::size(&text).map(Size).map_err(|remedy| format!("'{text}' is no size; {remedy}"))
    }
}

/// The cache.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CacheTable {
    size: Size,
    max_object: Option<Size>,
    heuristic_percent: Option<u32>,
    heuristic_max: Option<Span>,
}

/// Whether a group or a route is cached, or by which other rules.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "`cache` is true, false or { max_object = \"4MiB\", heuristic_percent = N, heuristic_max = \"1h\" }"
)]
pub(super) enum Caching {
    Whether(bool),
    Table(RulesTable),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RulesTable {
    max_object: Option<Size>,
    heuristic_percent: Option<u32>,
    heuristic_max: Option<Span>,
}

impl CacheTable {
    pub(super) fn settings(self) -> CacheSettings {
        let rules = RulesTable {
            max_object: self.max_object,
            heuristic_percent: self.heuristic_percent,
            heuristic_max: self.heuristic_max,
        };
        CacheSettings { bytes: self.size.0, rules: rules.change() }
    }
}

impl Caching {
    pub(super) fn change(said: Option<Caching>) -> CacheChange {
        match said {
            None => CacheChange::default(),
            Some(Caching::Whether(caches)) => CacheChange { caches: Some(caches), ..CacheChange::default() },
            Some(Caching::Table(table)) => CacheChange { caches: Some(true), ..table.change() },
        }
    }
}

impl RulesTable {
    fn change(self) -> CacheChange {
        CacheChange {
            caches: None,
            max_object: self.max_object.map(|size| size.0),
            heuristic_percent: self.heuristic_percent,
            heuristic_max: self.heuristic_max.map(|span| span.0),
        }
    }
}
