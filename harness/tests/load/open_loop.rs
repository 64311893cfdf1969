//! Requests at a fixed rate, whatever the server does.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use roundtable_harness::load::latency;
use roundtable_harness::load::{End, Failure, Load, LoadConfig, LoadError, LoadReport, OpenLoop};

use crate::scripted::{OK, Scripted, config, drive, request};

const STALL: Duration = Duration::from_millis(200);

/// One request after the other; the one with the number `stalls_at` takes [`STALL`] longer.
fn serial(stalls_at: usize) -> Scripted {
    let turn = Mutex::new(());
    let count = AtomicUsize::new(0);
    Scripted::start(move |_, mut stream| {
        while request(&mut stream).is_some() {
            let turn = turn.lock().unwrap();
            if count.fetch_add(1, Ordering::SeqCst) == stalls_at {
                std::thread::sleep(STALL);
            }
            stream.write_all(OK.as_bytes()).unwrap();
            drop(turn);
        }
    })
}

fn open(report: &LoadReport) -> &OpenLoop {
    report.open_loop.as_ref().unwrap()
}

/// How many are at least half a [`STALL`].
fn slow(times: &str) -> u64 {
    let times: Histogram<u64> = latency::decode(times).unwrap();
    times.len() - times.count_between(0, u64::try_from(STALL.as_nanos()).unwrap() / 2)
}

#[test]
fn a_stall_is_seen_by_all_requests_that_came_due_in_it() {
    let server = serial(100);
    let load = LoadConfig { rate: Some(1000), keep_alive: true, ..server.load(1000, 1) };
    let report = drive(load);
    assert!(report.is_clean(), "{report:?}");
    let open = open(&report);
    // On a machine that stands still itself there can be more of both.
    assert!(slow(&open.latency_ns_hdr) >= 90, "{open:?}");
    assert!(slow(&report.latency_ns_hdr) < 50, "{report:?}");
    assert!(open.waited >= 90, "{open:?}");
    assert!(open.behind_ns >= 150_000_000, "{open:?}");
    for times in [&open.latency_ns_hdr, &open.late_ns_hdr] {
        assert_eq!(latency::decode(times).unwrap().len(), 1000);
    }
}

#[test]
fn a_server_that_is_too_slow_is_told() {
    let server = Scripted::start(|_, mut stream| {
        while request(&mut stream).is_some() {
            std::thread::sleep(Duration::from_millis(10));
            stream.write_all(OK.as_bytes()).unwrap();
        }
    });
    let mut load =
        Load::prepare(LoadConfig { rate: Some(1000), keep_alive: true, ..server.load(60, 2) }).unwrap();
    let report = load.measure().unwrap();
    let open = open(&report);
    assert!(report.is_clean() && !open.sustained, "{open:?}");
    // Two connections, ten milliseconds a request: no more than two hundred a second.
    assert!(open.achieved_milli_per_s <= 210_000, "{open:?}");
    assert!(open.waited >= 50, "{open:?}");
    let summary = load.summary(&report);
    assert!(summary.contains("Rate sustained:         NO: "), "{summary}");
}

#[test]
fn a_window_lasts_as_long_as_its_schedule() {
    for keep_alive in [true, false] {
        let server = Scripted::start(|_, mut stream| {
            while let Some(head) = request(&mut stream) {
                stream.write_all(OK.as_bytes()).unwrap();
                if head.contains("Connection: close") {
                    return;
                }
            }
        });
        let mut load =
            Load::prepare(LoadConfig { rate: Some(500), keep_alive, warmup: 10, ..server.load(100, 4) })
                .unwrap();
        load.warm_up().unwrap();
        let report = load.measure().unwrap();
        assert!(report.is_clean(), "{report:?}");
        assert!(report.elapsed_ns >= 99 * 2_000_000, "{report:?}");
        assert!(open(&report).achieved_milli_per_s <= 500_000, "{report:?}");
        // Each connection takes its turn, however many would do.
        assert_eq!(report.connections_opened, if keep_alive { 0 } else { 100 });
        assert_eq!(server.accepted.load(Ordering::SeqCst), if keep_alive { 4 } else { 110 });
        let summary = load.summary(&report);
        for line in ["Loop:                   open, 500 requests per second due", "from due  from sent\n"] {
            assert!(summary.contains(line), "{line:?} is missing in\n{summary}");
        }
        assert!(!summary.contains("Time per request") && !summary.contains("Closed loop"), "{summary}");
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<LoadReport>(&text).unwrap(), report);
    }
}

#[test]
fn several_urls_take_strict_turns_at_a_rate_too() {
    let servers = [Scripted::persistent(OK), Scripted::persistent(OK), Scripted::persistent(OK)];
    let urls = servers.iter().map(Scripted::url).collect();
    let report = drive(LoadConfig { keep_alive: true, rate: Some(2000), ..config(urls, 30, 2) });
    assert!(report.is_clean(), "{report:?}");
    for server in &servers {
        assert_eq!(server.accepted.load(Ordering::SeqCst), 2);
    }
}

#[test]
fn at_a_rate_a_response_that_does_not_come_in_time_is_a_timeout_and_the_others_go_on() {
    let server = Scripted::start(|number, mut stream| {
        while request(&mut stream).is_some() {
            if number == 0 {
                std::thread::sleep(3 * STALL);
            }
            drop(stream.write_all(OK.as_bytes()));
        }
    });
    let load = LoadConfig { rate: Some(1000), keep_alive: true, timeout: STALL, ..server.load(100, 3) };
    let report = drive(load);
    assert_eq!((report.failed.timeout, report.completed), (1, 99));
    assert!(!open(&report).sustained, "{report:?}");
    assert_eq!(latency::decode(&open(&report).late_ns_hdr).unwrap().len(), 100);
    assert_eq!(latency::decode(&open(&report).latency_ns_hdr).unwrap().len(), 99);
}

#[test]
fn a_recording_holds_each_request_of_the_window_and_no_other() {
    let server = Scripted::start(|number, mut stream| {
        for answer in 0.. {
            if request(&mut stream).is_none() || (number == 0 && answer == 5) {
                return;
            }
            stream.write_all(OK.as_bytes()).unwrap();
        }
    });
    let load =
        LoadConfig { rate: Some(1000), keep_alive: true, warmup: 2, record: true, ..server.load(40, 2) };
    let mut load = Load::prepare(load).unwrap();
    load.warm_up().unwrap();
    let report = load.measure().unwrap();
    let recording = load.take_recording().unwrap();
    assert_eq!((report.completed, report.failed.receive), (39, 1));
    let mut requests = recording.requests.clone();
    requests.sort_by_key(|request| request.due_us);
    assert_eq!(requests.len(), 40);
    for pair in requests.windows(2) {
        assert!((999..=1001).contains(&(pair[1].due_us - pair[0].due_us)), "{pair:?}");
    }
    assert!(requests.iter().all(|r| r.due_us <= r.sent_us && r.sent_us <= r.ended_us), "{requests:?}");
    let failed = requests.iter().filter(|request| request.end == End::Failed(Failure::Receive)).count();
    let answered = requests.iter().filter(|request| request.end == End::Status(200)).count();
    assert_eq!((failed, answered), (1, 39));
    assert_eq!(load.take_recording(), None);
}

#[test]
fn at_a_rate_a_port_where_nothing_listens_is_given_up() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for requests in [1, 10, 1_000_000_000] {
        let load = config(vec![format!("http://{address}/")], requests, 1);
        let mut load = Load::prepare(LoadConfig { rate: Some(10_000), ..load }).unwrap();
        assert!(matches!(load.measure(), Err(LoadError::GaveUp { completed: 0, .. })));
    }
}

#[test]
fn a_closed_loop_tells_nothing_of_a_schedule() {
    let server = Scripted::persistent(OK);
    let mut load = Load::prepare(LoadConfig { keep_alive: true, ..server.load(10, 2) }).unwrap();
    let report = load.measure().unwrap();
    assert_eq!(report.open_loop, None);
    assert!(load.summary(&report).contains("Loop:                   closed\n"));
    // A report of before there was another loop.
    let text = serde_json::to_string(&report).unwrap();
    assert!(!text.contains("open_loop"));
    assert_eq!(serde_json::from_str::<LoadReport>(&text).unwrap(), report);
}
