//! A load report for people: the lines that a user of `ab` knows, in `ab`'s order, and the open loop's beside them.

use std::fmt::Write;

use hdrhistogram::Histogram;

use super::pace::SUSTAINED_PERCENT;
use super::report::{LoadReport, OpenLoop};
use super::target::Target;
use crate::load::latency::{LatencyError, decode};

/// The percentiles that `ab` prints.
const PERCENTS: [f64; 9] = [50.0, 66.0, 75.0, 80.0, 90.0, 95.0, 98.0, 99.0, 100.0];

/// `report` as text.
///
/// # Errors
/// The report's latencies cannot be read back, which only a report from a file can come to.
pub(crate) fn summary(report: &LoadReport, first: &Target) -> Result<String, LatencyError> {
    let latency = decode(&report.latency_ns_hdr)?;
    let seconds = report.elapsed_ns as f64 / 1e9;
    let each_ms = if report.completed == 0 { 0.0 } else { seconds * 1e3 / report.completed as f64 };
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let name = format!("{name}:");
        writeln!(text, "{name:<24}{value}").expect("writing to memory cannot fail");
    };
    line("Server Software", report.server_software.clone().unwrap_or_default());
    line("Server Hostname", first.host.clone());
    line("Server Port", first.port.to_string());
    line("Document Path", first.path.clone());
    line("Document Length", format!("{} bytes", report.document_bytes));
    for (turn, url) in report.urls.iter().enumerate().skip(1) {
        line(&format!("URL {}", turn + 1), url.clone());
    }
    match &report.open_loop {
        None => line("Loop", "closed".to_owned()),
        Some(open) => line("Loop", format!("open, {} requests per second due, evenly spaced", open.rate)),
    }
    line("Concurrency Level", report.concurrency.to_string());
    line("Time taken for tests", format!("{seconds:.3} seconds"));
    line("Complete requests", report.completed.to_string());
    line("Failed requests", report.failed.total().to_string());
    if report.failed.total() > 0 {
        let failed = report.failed;
        line(
            "   (Connect",
            format!(
                "{}, Receive: {}, Length: {}, Content: {}, Malformed: {}, Timeout: {})",
                failed.connect,
                failed.receive,
                failed.length,
                failed.content,
                failed.malformed,
                failed.timeout
            ),
        );
    }
    if report.non_2xx > 0 {
        line("Non-2xx responses", report.non_2xx.to_string());
    }
    if report.warmup_requests > 0 {
        line("Warm-up requests", format!("{} ({} failed)", report.warmup_requests, report.warmup_failed));
    }
    if report.keep_alive {
        line("Keep-Alive requests", report.keep_alive_requests.to_string());
    }
    if report.closed_by_client > 0 {
        line("Left open by server", format!("{} connections, closed here", report.closed_by_client));
    }
    line("Total transferred", format!("{} bytes", report.received_bytes));
    line("HTML transferred", format!("{} bytes", report.body_bytes));
    line("Requests per second", format!("{:.2} [#/sec] (mean)", report.requests_per_second()));
    match &report.open_loop {
        // Little's law holds for a closed loop alone.
        None => {
            line("Time per request", format!("{:.3} [ms] (mean)", each_ms * f64::from(report.concurrency)));
            line("Time per request", format!("{each_ms:.3} [ms] (mean, across all concurrent requests)"));
        }
        Some(open) => {
            line(
                "Rate achieved",
                format!("{:.2} [#/sec] of {} asked", open.achieved_per_second(), open.rate),
            );
            line("Rate sustained", sustained(open));
            line("Behind schedule", format!("{:.3} [ms] at most", open.behind_ns as f64 / 1e6));
            line("Waited to be sent", format!("{} requests, for want of a free connection", open.waited));
        }
    }
    let rate = report.received_bytes as f64 / 1024.0 / seconds.max(1e-9);
    line("Transfer rate", format!("{rate:.2} [Kbytes/sec] received"));
    for (name, turns) in &report.per_backend {
        line("Backend", format!("{name}  {turns} requests"));
    }
    if !latency.is_empty() {
        text.push_str("\nPercentage of the requests served within a certain time (ms)\n");
        match &report.open_loop {
            None => closed_percentiles(&mut text, &latency),
            Some(open) => open_percentiles(&mut text, &decode(&open.latency_ns_hdr)?, &latency),
        }
    }
    Ok(text)
}

fn sustained(open: &OpenLoop) -> String {
    if open.sustained {
        return "yes".to_owned();
    }
    let reason = match open.backlog_grew {
        true => "the backlog grew to the end".to_owned(),
        false => format!("less than {SUSTAINED_PERCENT} % of it was achieved"),
    };
    format!("NO: {reason}; the times below are those of a queue: lower --rate")
}

fn closed_percentiles(text: &mut String, latency: &Histogram<u64>) {
    for percent in PERCENTS {
        let ms = latency.value_at_percentile(percent) as f64 / 1e6;
        text.push_str(&format!("{percent:>4.0}%  {ms:>9.3}{}\n", longest(percent)));
    }
    text.push_str(
        "\nClosed loop: a slot sends its next request only when its last response is in, so these times leave out\n\
         the wait of requests that a stalled server kept from being sent (coordinated omission).\n",
    );
}

fn open_percentiles(text: &mut String, since_due: &Histogram<u64>, since_sent: &Histogram<u64>) {
    text.push_str("       from due  from sent\n");
    for percent in PERCENTS {
        let ms = |times: &Histogram<u64>| times.value_at_percentile(percent) as f64 / 1e6;
        let (due, sent) = (ms(since_due), ms(since_sent));
        text.push_str(&format!("{percent:>4.0}%  {due:>9.3}  {sent:>9.3}{}\n", longest(percent)));
    }
    text.push_str(
        "\nOpen loop: 'from due' counts from when each request was due, and so holds its wait for a free connection;\n\
         'from sent' is the service time alone.\n",
    );
}

fn longest(percent: f64) -> &'static str {
    if percent == 100.0 { " (longest request)" } else { "" }
}
