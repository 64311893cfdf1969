//! The figures in Prometheus' text format, version 0.0.4.
//!
//! Owns the names, which are stable, and the format. Crates for it keep counters of their own; here the core counts, and what
//! is left is a few lines. Rule: no two series have the same labels, whatever the operator calls the backends.

use std::fmt::Write;

use super::figures::{BackendFigures, CacheFigures, Figures, Health, ModeName};

/// What a response with metrics is.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A family of metrics of each backend.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    /// None: this backend has no such figure.
    value: fn(&BackendFigures) -> Option<f64>,
}

const FAMILIES: [Family; 11] = [
    Family {
        name: "roundtable_backend_turns_total",
        kind: "counter",
        help: "Requests that went to the backend, each attempt counted.",
        value: |backend| Some(backend.turns as f64),
    },
    Family {
        name: "roundtable_backend_refusals_total",
        kind: "counter",
        help: "Connection attempts to the backend that failed.",
        value: |backend| Some(backend.refusals as f64),
    },
    Family {
        name: "roundtable_backend_errors_total",
        kind: "counter",
        help: "Exchanges that ended without a whole answer, for the backend's fault.",
        value: |backend| Some(backend.errors as f64),
    },
    Family {
        name: "roundtable_backend_sent_bytes_total",
        kind: "counter",
        help: "Bytes written to the backend.",
        value: |backend| Some(backend.bytes_to as f64),
    },
    Family {
        name: "roundtable_backend_received_bytes_total",
        kind: "counter",
        help: "Bytes read from the backend.",
        value: |backend| Some(backend.bytes_from as f64),
    },
    Family {
        name: "roundtable_backend_in_use",
        kind: "gauge",
        help: "Exchanges in hand at the backend.",
        value: |backend| Some(f64::from(backend.in_use)),
    },
    Family {
        name: "roundtable_backend_most_connections",
        kind: "gauge",
        help: "The bound on the exchanges in hand; not there where there is none.",
        value: |backend| backend.most_connections.map(f64::from),
    },
    Family {
        name: "roundtable_backend_weight",
        kind: "gauge",
        help: "The backend's share of the turns, relative to the others'.",
        value: |backend| Some(f64::from(backend.weight)),
    },
    Family {
        name: "roundtable_backend_up",
        kind: "gauge",
        help: "Whether the backend is neither left out nor failing its health check.",
        value: |backend| Some(f64::from(u8::from(backend.health == Health::Up))),
    },
    Family {
        name: "roundtable_backend_left_out_seconds",
        kind: "gauge",
        help: "For how long the backend is left out yet after a failed connection attempt.",
        value: |backend| Some(backend.left_out_ms.unwrap_or(0) as f64 / 1000.0),
    },
    Family {
        name: "roundtable_backend_mode",
        kind: "gauge",
        help: "What the operator lets the backend do: 0 is enabled, 1 draining, 2 disabled.",
        value: |backend| {
            Some(match backend.mode {
                ModeName::Enabled => 0.0,
                ModeName::Draining => 1.0,
                ModeName::Disabled => 2.0,
            })
        },
    },
];

/// A metric of the cache.
struct CacheFamily {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: fn(&CacheFigures) -> u64,
}

const CACHE_FAMILIES: [CacheFamily; 9] = [
    CacheFamily {
        name: "roundtable_cache_capacity_bytes",
        kind: "gauge",
        help: "Bytes that the cache may take.",
        value: |cache| cache.capacity_bytes,
    },
    CacheFamily {
        name: "roundtable_cache_bytes",
        kind: "gauge",
        help: "Bytes that the cache takes.",
        value: |cache| cache.bytes,
    },
    CacheFamily {
        name: "roundtable_cache_entries",
        kind: "gauge",
        help: "URLs of which something is stored.",
        value: |cache| cache.entries,
    },
    CacheFamily {
        name: "roundtable_cache_hits_total",
        kind: "counter",
        help: "Requests answered from what is stored while it was fresh, or was found to be good still.",
        value: |cache| cache.hits,
    },
    CacheFamily {
        name: "roundtable_cache_misses_total",
        kind: "counter",
        help: "Requests that went to a backend, of those for which there is a cache.",
        value: |cache| cache.misses,
    },
    CacheFamily {
        name: "roundtable_cache_stale_total",
        kind: "counter",
        help: "Requests answered from what is stored although it was stale.",
        value: |cache| cache.stale,
    },
    CacheFamily {
        name: "roundtable_cache_validations_total",
        kind: "counter",
        help: "Times that a backend has said that something stored is good still.",
        value: |cache| cache.validations,
    },
    CacheFamily {
        name: "roundtable_cache_stored_total",
        kind: "counter",
        help: "Responses that were stored.",
        value: |cache| cache.stored,
    },
    CacheFamily {
        name: "roundtable_cache_evictions_total",
        kind: "counter",
        help: "Entries that went for want of room.",
        value: |cache| cache.evictions,
    },
];

/// `figures` as a scrape's answer.
pub(super) fn text(figures: &Figures) -> String {
    let mut out = String::new();
    begin(&mut out, "roundtable_build_info", "gauge", "The version of roundtable and its concurrency model.");
    let (version, model) = (escaped(figures.version), escaped(figures.model));
    line(&mut out, "roundtable_build_info", &format!(r#"version="{version}",model="{model}""#), 1.0);
    begin(&mut out, "roundtable_uptime_seconds", "gauge", "Since the balancer began.");
    line(&mut out, "roundtable_uptime_seconds", "", figures.uptime_s as f64);
    begin(&mut out, "roundtable_in_flight", "gauge", "Exchanges in hand, this one included.");
    line(&mut out, "roundtable_in_flight", "", figures.in_flight as f64);
    begin(&mut out, "roundtable_draining", "gauge", "Whether the balancer accepts no more connections.");
    line(&mut out, "roundtable_draining", "", f64::from(u8::from(figures.draining)));
    begin(&mut out, "roundtable_answers_total", "counter", "Final responses to clients, by class of status.");
    let answers = &figures.answers;
    for (class, count) in [
        ("2xx", answers.success),
        ("3xx", answers.redirection),
        ("4xx", answers.client_error),
        ("5xx", answers.server_error),
    ] {
        line(&mut out, "roundtable_answers_total", &format!(r#"class="{class}""#), count as f64);
    }
    if let Some(cache) = &figures.cache {
        for family in CACHE_FAMILIES {
            begin(&mut out, family.name, family.kind, family.help);
            line(&mut out, family.name, "", (family.value)(cache) as f64);
        }
    }
    let labelled = labelled(figures);
    for family in FAMILIES {
        let series: Vec<_> = labelled
            .iter()
            .filter_map(|(labels, backend)| (family.value)(backend).map(|value| (labels, value)))
            .collect();
        if !series.is_empty() {
            begin(&mut out, family.name, family.kind, family.help);
            for (labels, value) in series {
                line(&mut out, family.name, labels, value);
            }
        }
    }
    out
}

/// Each backend with its labels. One that is there twice is told apart by its place behind its name.
fn labelled(figures: &Figures) -> Vec<(String, &BackendFigures)> {
    let mut all: Vec<(String, &BackendFigures)> = Vec::new();
    for group in &figures.groups {
        for backend in &group.backends {
            let mut name = backend.name.clone();
            while all.iter().any(|(other, _)| *other == label(&group.name, &name)) {
                name += &format!(" ({})", backend.index);
            }
            all.push((label(&group.name, &name), backend));
        }
    }
    all
}

fn label(group: &str, backend: &str) -> String {
    format!(r#"group="{}",backend="{}""#, escaped(group), escaped(backend))
}

fn begin(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(out: &mut String, name: &str, labels: &str, value: f64) {
    let _ = match labels {
        "" => writeln!(out, "{name} {value}"),
        labels => writeln!(out, "{name}{{{labels}}} {value}"),
    };
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::figures::sample;
    use super::*;

    #[test]
    fn metrics_have_help_types_and_escaped_labels_and_stay_as_they_are() {
        insta::assert_snapshot!(text(&sample()));
    }

    #[test]
    fn no_series_is_there_twice() {
        let text = text(&sample());
        let series: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' '))
            .map(|s| s.0)
            .collect();
        let distinct: BTreeSet<&&str> = series.iter().collect();
        assert_eq!(distinct.len(), series.len(), "{text}");
    }
}
