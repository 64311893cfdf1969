//! Real clients, where they are installed: curl, ab, wrk and a browser. Each is left out with one line where not.

use std::process::Command;

use crate::support::{Server, for_a_model_of_each_driver_in_turn};

/// The output of `program`, or `None` when it is not installed.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => Some(
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: {program} is not installed");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

fn with_balancers(test: impl Fn(&str, &str) + std::panic::RefUnwindSafe) {
    let backends = ["a", "b", "c"].map(|name| Server::backend(name, &[]));
    let addresses = backends.each_ref().map(|backend| backend.address);
    for_a_model_of_each_driver_in_turn(|model| {
        let balancer = Server::balancer(model, &addresses, &[]);
        test(model, &format!("http://{}/", balancer.address));
    });
}

#[test]
fn curl_gets_a_whole_body() {
    with_balancers(|model, url| {
        let Some(text) = output("curl", &["-sv", url]) else { return };
        assert!(
            text.contains("< HTTP/1.1 200 OK") && text.contains("< Via: 1.1 roundtable"),
            "{model}: {text}"
        );
        assert!(
            text.contains(&String::from_utf8(roundtable_backends::body(1024)).unwrap()),
            "{model}: {text}"
        );
    });
}

#[test]
fn ab_sees_no_failed_request_with_and_without_keep_alive() {
    with_balancers(|model, url| {
        for options in [&["-q", "-n", "3000", "-c", "10"][..], &["-q", "-k", "-n", "3000", "-c", "10"]] {
            let Some(text) = output("ab", &[options, &[url]].concat()) else { return };
            assert!(text.contains("Complete requests:      3000"), "{model}: {text}");
            assert!(text.contains("Failed requests:        0"), "{model}: {text}");
            assert!(!text.contains("Non-2xx"), "{model}: {text}");
            if options.contains(&"-k") {
                assert!(text.contains("Keep-Alive requests:    3000"), "{model}: {text}");
            }
        }
    });
}

#[test]
fn wrk_sees_no_error() {
    with_balancers(|model, url| {
        let Some(text) = output("wrk", &["-t1", "-c10", "-d1s", url]) else { return };
        assert!(text.contains("requests in"), "{model}: {text}");
        assert!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{model}: {text}");
    });
}

/// The document that a browser without a head makes of `url`, or `None` when none is installed.
pub fn page_in_browser(url: &str, further: &[&str]) -> Option<String> {
    let profile = tempfile::tempdir().unwrap();
    let profile = format!("--user-data-dir={}", profile.path().display());
    let options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        &profile,
        "--dump-dom",
    ];
    output("chromium", &[&options[..], further, &[url]].concat())
}

#[test]
fn a_browser_shows_the_page() {
    with_balancers(|model, url| {
        let Some(text) = page_in_browser(url, &[]) else { return };
        let body = String::from_utf8(roundtable_backends::body(1024)).unwrap();
        let shown = body.lines().next().unwrap();
        assert!(text.contains(shown), "{model}: {text}");
    });
}
