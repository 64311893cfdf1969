//! What `ab` and `wrk` print, as far as it is compared.

/// A tool's result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    pub(super) per_second: f64,
    /// Failed requests and responses other than 2xx.
    pub(super) failures: u64,
}

/// `ab`'s (2.3). `None`: it holds no result.
pub(super) fn ab(text: &str) -> Option<Seen> {
    let value =
        |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)?.split_whitespace().next());
    let count = |name: &str| value(name).map_or(Some(0), |count| count.parse::<u64>().ok());
    let per_second = value("Requests per second:")?.parse().ok()?;
    // What `ab` counts as failed for its length alone is failed here, too: our bodies are all alike.
    Some(Seen { per_second, failures: count("Failed requests:")? + count("Non-2xx responses:")? })
}

/// `wrk`'s (4.x). `None`: it holds no result.
pub(super) fn wrk(text: &str) -> Option<Seen> {
    let rest = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name));
    let per_second = rest("Requests/sec:")?.trim().parse().ok()?;
    let others = rest("Non-2xx or 3xx responses:").map_or(Some(0), |count| count.trim().parse().ok())?;
    // "connect 0, read 0, write 0, timeout 0"
    let errors = rest("Socket errors:").unwrap_or_default();
    let errors: u64 = errors.split([' ', ',']).filter_map(|word| word.parse::<u64>().ok()).sum();
    Some(Seen { per_second, failures: others + errors })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AB: &str = "Server Port:            8080\n\nConcurrency Level:      10\nComplete requests:      10000\n\
        Failed requests:        3\n   (Connect: 0, Receive: 0, Length: 3, Exceptions: 0)\nNon-2xx responses:      2\n\
        Keep-Alive requests:    10000\nRequests per second:    12345.67 [#/sec] (mean)\n\
        Time per request:       0.810 [ms] (mean)\n";
    const WRK: &str = "Running 2s test @ http://127.0.0.1:8080/\n  1 threads and 10 connections\n\
        \x20 Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency   300.00us  100.00us   5.00ms   90.00%\n\
        \x20 50000 requests in 2.00s, 60.00MB read\n  Socket errors: connect 0, read 4, write 0, timeout 1\n\
        \x20 Non-2xx or 3xx responses: 7\nRequests/sec:  24987.50\nTransfer/sec:     30.00MB\n";

    #[test]
    fn the_figures_of_ab_are_found() {
        assert_eq!(ab(AB), Some(Seen { per_second: 12345.67, failures: 5 }));
        let clean = AB.replace("Non-2xx responses:      2\n", "").replace("        3\n", "        0\n");
        assert_eq!(ab(&clean), Some(Seen { per_second: 12345.67, failures: 0 }));
    }

    #[test]
    fn the_figures_of_wrk_are_found() {
        assert_eq!(wrk(WRK), Some(Seen { per_second: 24987.5, failures: 12 }));
        let clean: String = WRK
            .lines()
            .filter(|line| !line.contains("rrors") && !line.contains("Non"))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(wrk(&clean), Some(Seen { per_second: 24987.5, failures: 0 }));
    }

    #[test]
    fn output_without_a_result_is_none() {
        assert_eq!((ab(""), wrk("")), (None, None));
        assert_eq!(ab("apr_socket_recv: Connection refused (111)\n"), None);
        assert_eq!(wrk("Requests/sec: many\n"), None);
    }
}
