//! Every trial as a row of CSV, valid or not: what others load into their own tools.
//!
//! Numbers are as they were counted, with the unit in the name; what there is none of is empty.

use csv::{Terminator, WriterBuilder};

use super::{CompetitorForm, ConditionForm};
use crate::host::Usage;
use crate::load::latency::{self, percentile_ms};
use crate::record::{Sample, Stored, Trial, in_words};

/// What every trial has.
const OF_EVERY_TRIAL: [&str; 28] = [
    "run",
    "block",
    "position",
    "attempt",
    "row",
    "model",
    "slowdown_percent",
    "is_replicate",
    "backends",
    "concurrency",
    "connections",
    "rate_per_second",
    "arrivals",
    "body_bytes",
    "upload_bytes",
    "mean_service_time_s",
    "service_times_are_exponential",
    "at_a_time",
    "hit_ratio_percent",
    "cache_mib",
    "backlog",
    "workers",
    "layout",
    "requests",
    "duration_ms",
    "started_unix_ms",
    "is_valid",
    "reasons",
];

/// What a valid trial has besides, before what each role used.
const OF_A_VALID_ONE: [&str; 15] = [
    "completed_requests",
    "non_2xx",
    "from_cache",
    "elapsed_ns",
    "received_bytes",
    "requests_per_second",
    "p50_ms",
    "p90_ms",
    "p99_ms",
    "p999_ms",
    "stolen_ns",
    "idle_ns",
    "listen_overflows",
    "tcp_timeouts",
    "time_wait_at_start",
];

/// What each role used.
const OF_A_ROLE: [&str; 6] =
    ["user_ns", "system_ns", "voluntary_switches", "involuntary_switches", "threads", "peak_rss_bytes"];
const ROLES: [&str; 3] = ["client", "balancer", "backends"];

/// Every trial of `stored`, in the order in which they were run; or what the writer complains of.
pub fn csv(stored: &Stored) -> Result<String, String> {
    let mut writer = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(Vec::new());
    writer.write_record(headings()).map_err(|error| error.to_string())?;
    for trial in &stored.trials {
        writer.write_record(row(&stored.name, trial)).map_err(|error| error.to_string())?;
    }
    let bytes = writer.into_inner().map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

fn headings() -> Vec<String> {
    let of_roles = ROLES.iter().flat_map(|role| OF_A_ROLE.iter().map(move |name| format!("{role}_{name}")));
    let plain = OF_EVERY_TRIAL.iter().chain(&OF_A_VALID_ONE).map(|&name| name.to_owned());
    plain.chain(of_roles).collect()
}

fn row(run: &str, trial: &Trial) -> Vec<String> {
    let competitor = CompetitorForm::from(&trial.cell.competitor);
    let condition = ConditionForm::from(&trial.cell.condition);
    let mut row = vec![
        run.to_owned(),
        (u64::from(trial.block) + 1).to_string(),
        (u64::from(trial.position) + 1).to_string(),
        trial.attempt.to_string(),
        competitor.label,
        competitor.model,
        competitor.slowdown_percent.to_string(),
        competitor.is_replicate.to_string(),
        condition.backends.to_string(),
        condition.concurrency.to_string(),
        condition.connections.to_owned(),
        or_empty(condition.rate_per_second),
        condition.arrivals.to_owned(),
        condition.body_bytes.to_string(),
        condition.upload_bytes.to_string(),
        condition.mean_service_time_s.to_string(),
        condition.service_times_are_exponential.to_string(),
        or_empty(condition.at_a_time),
        or_empty(condition.hit_ratio_percent),
        or_empty(condition.cache_mib),
        or_empty(condition.backlog),
        or_empty(condition.workers),
        condition.layout.to_owned(),
        condition.requests.to_string(),
        or_empty(condition.duration_ms),
        trial.started_unix_ms.to_string(),
        trial.outcome.sample().is_some().to_string(),
        in_words(trial.outcome.reasons()),
    ];
    match trial.outcome.sample() {
        Some(sample) => row.extend(of_sample(sample)),
        None => row.resize(headings().len(), String::new()),
    }
    row
}

fn of_sample(sample: &Sample) -> Vec<String> {
    let open = sample.open_loop.as_ref();
    let times = latency::decode(open.map_or(&sample.latency_ns_hdr, |open| &open.latency_ns_hdr)).ok();
    let percentile = |of: f64| or_empty(times.as_ref().and_then(|times| percentile_ms(times, of)));
    let rate = open.map_or_else(
        || sample.completed as f64 * 1e9 / sample.elapsed_ns.max(1) as f64,
        crate::load::OpenLoop::achieved_per_second,
    );
    let mut values = vec![
        sample.completed.to_string(),
        sample.non_2xx.to_string(),
        sample.from_cache.to_string(),
        sample.elapsed_ns.to_string(),
        sample.received_bytes.to_string(),
        rate.to_string(),
        percentile(50.0),
        percentile(90.0),
        percentile(99.0),
        percentile(99.9),
        sample.host.steal_ns.to_string(),
        sample.host.idle_ns.to_string(),
        sample.host.listen_overflows.to_string(),
        sample.host.tcp_timeouts.to_string(),
        sample.host.time_wait_at_start.to_string(),
    ];
    for usage in [Some(&sample.client), sample.balancer.as_ref(), Some(&sample.backends)] {
        let of = |figure: fn(&Usage) -> u64| or_empty(usage.map(figure));
        values.extend([
            of(|usage| usage.user_ns),
            of(|usage| usage.system_ns),
            of(|usage| usage.voluntary_switches),
            of(|usage| usage.involuntary_switches),
            of(|usage| usage.threads),
            of(|usage| usage.peak_rss_bytes),
        ]);
    }
    values
}

fn or_empty(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::synthetic::Run;

    #[test]
    fn every_trial_is_a_row_and_one_that_is_invalid_has_its_reasons_and_no_figures() {
        let run = Run::new().models(&["direct", "mio"]).backends(&[1]).concurrency(&[2]).blocks(2);
        let text = csv(&run.invalid("mio", 1, 2, 1).build()).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let headings = reader.headers().unwrap().clone();
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        let get = |row: usize, name: &str| {
            rows[row].get(headings.iter().position(|heading| heading == name).unwrap()).unwrap().to_owned()
        };
        assert_eq!(rows.len(), 4);
        assert_eq!([get(0, "row"), get(0, "is_valid"), get(0, "balancer_user_ns")], ["direct", "true", ""]);
        assert!(get(1, "balancer_user_ns").parse::<u64>().unwrap() > 0);
        assert!(get(1, "requests_per_second").parse::<f64>().unwrap() > 1000.0);
        assert_eq!([get(3, "block"), get(3, "is_valid"), get(3, "elapsed_ns")], ["2", "false", ""]);
        assert_eq!(get(3, "reasons"), "3 of 10000 responses were not 2xx");
    }
}
