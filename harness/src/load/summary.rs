//! A load report for people: the lines that a user of `ab` knows, in `ab`'s order.

use std::fmt::Write;

use super::report::LoadReport;
use super::target::Target;
use crate::latency::{LatencyError, decode};

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
    line("Time per request", format!("{:.3} [ms] (mean)", each_ms * f64::from(report.concurrency)));
    line("Time per request", format!("{each_ms:.3} [ms] (mean, across all concurrent requests)"));
    let rate = report.received_bytes as f64 / 1024.0 / seconds.max(1e-9);
    line("Transfer rate", format!("{rate:.2} [Kbytes/sec] received"));
    for (name, turns) in &report.per_backend {
        line("Backend", format!("{name}  {turns} requests"));
    }
    if !latency.is_empty() {
        text.push_str("\nPercentage of the requests served within a certain time (ms)\n");
        for percent in PERCENTS {
            let ms = latency.value_at_percentile(percent) as f64 / 1e6;
            let longest = if percent == 100.0 { " (longest request)" } else { "" };
            writeln!(text, "{percent:>4.0}%  {ms:>9.3}{longest}").expect("writing to memory cannot fail");
        }
        text.push_str(
            "\nClosed loop: a slot sends its next request only when its last response is in, so these times leave out\n\
             the wait of requests that a stalled server kept from being sent (coordinated omission).\n",
        );
    }
    Ok(text)
}
