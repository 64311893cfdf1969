//! A load report for people: the lines that a user of `ab` knows, in `ab`'s order, and the open loop's beside them.

use std::fmt::Write;

use super::pace::SUSTAINED_PERCENT;
use super::report::{LoadReport, OpenLoop, Percentile};
use super::target::Target;
use crate::load::latency::REQUESTS_BEYOND_A_PERCENTILE;

/// From which share of all connections' time on the wait for servers to close is what sets the rate.
const RATE_IS_THE_WAIT: f64 = 0.5;

/// `report` as text.
pub(crate) fn summary(report: &LoadReport, first: &Target) -> String {
    let seconds = report.elapsed_ns as f64 / 1e9;
    let each_ms = if report.completed == 0 { 0.0 } else { seconds * 1e3 / report.completed as f64 };
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let name = format!("{name}:");
        writeln!(text, "{name:<24}{value}").expect("writing to memory cannot fail");
    };
    if let Some(incomplete) = &report.incomplete {
        line("INCOMPLETE", incomplete.reason.clone());
        line("Still unanswered", format!("{} requests, counted nowhere below", incomplete.unanswered));
    }
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
    if let Some(reason) = &report.first_malformed {
        line("First malformed", reason.clone());
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
        let each_ms = report.close_waited_ns as f64 / 1e6 / report.closed_by_client as f64;
        line(
            "Left open by server",
            format!("{} connections, closed here after {each_ms:.0} ms each", report.closed_by_client),
        );
    }
    if report.close_waited_share() >= RATE_IS_THE_WAIT {
        line(
            "Rate limited by",
            format!(
                "that wait, {:.0} % of the time: the rate is its, not the server's; use --keep-alive",
                report.close_waited_share() * 100.0
            ),
        );
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
            line("Rate sustained", sustained(open, report.unsent));
            line("Behind schedule", format!("{:.3} [ms] at most", open.behind_ns as f64 / 1e6));
            line("Waited to be sent", format!("{} requests, for want of a free connection", open.waited));
            if report.unsent > 0 {
                line("Never sent", format!("{} requests that were due before the end", report.unsent));
            }
        }
    }
    let rate = report.received_bytes as f64 / 1024.0 / seconds.max(1e-9);
    line("Transfer rate", format!("{rate:.2} [Kbytes/sec] received"));
    for (name, turns) in &report.per_backend {
        line("Backend", format!("{name}  {turns} requests"));
    }
    if report.from_cache > 0 {
        line("From a cache", format!("{} requests", report.from_cache));
    }
    if !report.percentiles.is_empty() {
        text.push_str("\nPercentage of the requests served within a certain time (ms)\n");
        text.push_str(&percentiles(report));
    }
    text
}

fn sustained(open: &OpenLoop, unsent: u64) -> String {
    if open.sustained {
        return "yes".to_owned();
    }
    let reason = if open.backlog_grew {
        "the backlog grew to the end".to_owned()
    } else if unsent > 0 {
        "there was a backlog when the time was over".to_owned()
    } else {
        format!("less than {SUSTAINED_PERCENT} % of it was achieved")
    };
    format!("NO: {reason}; the times below are those of a queue: lower --rate")
}

fn percentiles(report: &LoadReport) -> String {
    let mut text = String::new();
    if report.open_loop.is_some() {
        text.push_str("       from due  from sent\n");
    }
    let ms = |ns: u64| format!("  {:>9.3}", ns as f64 / 1e6);
    for &Percentile { percent, from_sent_ns, from_due_ns } in &report.percentiles {
        let from_due = from_due_ns.map(ms).unwrap_or_default();
        let longest = if percent == 100 { " (longest request)" } else { "" };
        text.push_str(&format!("{percent:>4}%{from_due}{}{longest}\n", ms(from_sent_ns)));
    }
    text.push_str(&format!(
        "\nA percentile is printed only where at least {REQUESTS_BEYOND_A_PERCENTILE} requests lie beyond it.\n"
    ));
    text.push_str(match &report.open_loop {
        None => {
            "Closed loop: a slot sends its next request only when its last response is in, so these times leave out\n\
             the wait of requests that a stalled server kept from being sent (coordinated omission).\n"
        }
        Some(_) => {
            "Open loop: 'from due' counts from when each request was due, and so holds its wait for a free connection;\n\
             'from sent' is the service time alone.\n"
        }
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::LoadConfig;

    fn text(report: &LoadReport) -> String {
        let first = Target::new("http://127.0.0.1:81/", &LoadConfig::default()).unwrap();
        summary(report, &first)
    }

    /// Two slots, one second.
    fn report(closed_by_client: u64, close_waited_ns: u64) -> LoadReport {
        LoadReport {
            concurrency: 2,
            elapsed_ns: 1_000_000_000,
            closed_by_client,
            close_waited_ns,
            ..LoadReport::default()
        }
    }

    #[test]
    fn a_wait_for_servers_to_close_is_told_and_whether_it_sets_the_rate() {
        let limited = text(&report(19, 1_900_000_000));
        assert!(
            limited.contains("Left open by server:    19 connections, closed here after 100 ms each\n"),
            "{limited}"
        );
        let why = "Rate limited by:        that wait, 95 % of the time: the rate is its, not the server's; use --keep-alive\n";
        assert!(limited.contains(why), "{limited}");
        let unlimited = text(&report(1, 120_000_000));
        assert!(
            unlimited.contains("after 120 ms each") && !unlimited.contains("Rate limited"),
            "{unlimited}"
        );
        assert!(!text(&report(0, 0)).contains("Left open"));
    }
}
