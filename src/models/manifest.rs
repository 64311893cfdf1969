//! The fairness manifest: everything that could differ between two models, with its value.
//!
//! Owns no value itself: each is read from where the code uses it, so that the manifest cannot say one thing
//! and the balancer do another.

use std::collections::BTreeMap;

use roundtable::proxy::{LARGE, LONG, Limits, SMALL};

use super::{BACKLOG, Model, Workers, idle, listener};

/// Of workers that each have their own connections, idle ones to backends too.
const SHARE_NOTHING: &str = "which share no connections";

/// What `model` does with `limits`, as pairs of name and value. Equal for all models but for `threads` and `bound`.
pub(crate) fn manifest(model: &Model, limits: &Limits, workers: Option<usize>) -> BTreeMap<String, String> {
    let threads = match (model.workers, model.workers.count(workers)) {
        (Workers::PerConnection, _) | (_, None) => "one for each connection".to_owned(),
        (Workers::EventLoops, Some(count)) => format!("{count}, {SHARE_NOTHING}"),
        (_, Some(count)) => count.to_string(),
    };
    let seconds = |duration: std::time::Duration| format!("{} s", duration.as_secs_f64());
    let rate = |bytes: u64| if bytes == 0 { "none".to_owned() } else { format!("{bytes} B/s") };
    BTreeMap::from(
        [
            ("accept pause when exhausted", seconds(listener::EXHAUSTED_PAUSE)),
            ("backlog", BACKLOG.to_string()),
            ("bound", model.bound.to_owned()),
            ("buffer, exchange in hand", format!("{LARGE} B")),
            ("buffer, long response body", format!("{LONG} B")),
            ("buffer, idle client", format!("{SMALL} B at most")),
            ("cache, where there is one", "one table behind one reader-writer lock".to_owned()),
            ("idle backend connections kept", idle_connections()),
            ("idle backend connections probed", "each time before use, by event or system call".to_owned()),
            ("idle backend connections closed", seconds(idle::MOST_AGE)),
            ("idle backend connections kept back while suspect", seconds(idle::SETTLES)),
            ("limit, body", format!("{} B", limits.body_bytes)),
            ("limit, fields", limits.fields.to_string()),
            ("limit, head", format!("{} B", limits.head_bytes)),
            ("least rate, backend", rate(limits.backend_rate)),
            ("least rate, client", rate(limits.client_rate)),
            ("limit, request line", format!("{} B", limits.request_line_bytes)),
            ("nodelay", "client and backend".to_owned()),
            ("retry interval", seconds(limits.retry_interval)),
            ("threads", threads),
            ("timeout, backend", seconds(limits.backend_timeout)),
            ("timeout, body", seconds(limits.body_timeout)),
            ("timeout, connect", seconds(limits.connect_timeout)),
            ("timeout, header", seconds(limits.header_timeout)),
            ("timeout, idle", seconds(limits.idle_timeout)),
            ("timeout, linger", seconds(limits.linger_timeout)),
            ("timeout, write", seconds(limits.write_timeout)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    )
}

fn idle_connections() -> String {
    format!("{} in all, at most 1 in {} descriptors", idle::MOST_KEPT, idle::DESCRIPTOR_SHARE)
}

#[cfg(test)]
mod tests {
    use super::super::{MEASURED_BY_DEFAULT, MODELS, find};
    use super::*;

    #[test]
    fn the_models_that_are_measured_by_default_exist() {
        assert!(MEASURED_BY_DEFAULT.iter().all(|name| find(name).is_some()));
    }

    #[test]
    fn models_differ_in_their_threads_and_bounds_alone() {
        let manifests: Vec<_> = MODELS
            .iter()
            .map(|model| {
                let mut manifest = manifest(model, &Limits::default(), None);
                assert!(manifest.remove("threads").is_some() && manifest.remove("bound").is_some());
                manifest
            })
            .collect();
        assert!(manifests.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
