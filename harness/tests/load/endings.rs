//! What ends a load: its requests, its duration, somebody who stops it, a server that dies.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use roundtable_harness::load::{Incomplete, Load, LoadConfig, LoadError, LoadReport};

use crate::scripted::{OK, Scripted, config, drive, request};

const AN_HOUR: Duration = Duration::from_secs(3600);

/// Answers so many requests in all; sets `stop` with the next one, which never gets an answer.
fn stopping_after(answers: usize, stop: Arc<AtomicBool>) -> Scripted {
    let count = AtomicUsize::new(0);
    Scripted::start(move |_, mut stream| {
        while request(&mut stream).is_some() {
            if count.fetch_add(1, Ordering::SeqCst) >= answers {
                stop.store(true, Ordering::SeqCst);
                // Until the client is gone.
                while request(&mut stream).is_some() {}
                return;
            }
            stream.write_all(OK.as_bytes()).unwrap();
        }
    })
}

#[test]
fn a_load_that_is_stopped_tells_what_there_is_and_that_it_is_not_all() {
    for (rate, keep_alive) in [(None, true), (None, false), (Some(1000), true)] {
        let stop = Arc::new(AtomicBool::new(false));
        let server = stopping_after(30, stop.clone());
        let load = LoadConfig { rate, keep_alive, ..server.load(1_000_000, 1) };
        let mut load = Load::prepare(load).unwrap();
        load.stop_on(stop);
        let report = load.measure().unwrap();
        let Some(Incomplete { reason, unanswered }) = &report.incomplete else { panic!("{report:?}") };
        assert!(reason.contains("interrupted"), "{reason}");
        assert_eq!((report.requests, report.completed, *unanswered), (30, 30, 1), "{report:?}");
        assert!(!report.is_clean());
        let summary = load.summary(&report);
        assert!(summary.starts_with("INCOMPLETE:             interrupted"), "{summary}");
        assert!(summary.contains("Complete requests:      30\n"), "{summary}");
        let text = serde_json::to_string(&report).unwrap();
        assert!(text.starts_with(r#"{"incomplete":{"reason":"interrupted"#), "{text}");
        assert_eq!(serde_json::from_str::<LoadReport>(&text).unwrap(), report);
    }
}

#[test]
fn a_warm_up_that_is_stopped_has_measured_nothing() {
    let stop = Arc::new(AtomicBool::new(false));
    let server = stopping_after(3, stop.clone());
    let load = LoadConfig { keep_alive: true, warmup: 1_000_000, ..server.load(10, 1) };
    let mut load = Load::prepare(load).unwrap();
    load.stop_on(stop);
    assert!(matches!(load.warm_up(), Err(LoadError::Interrupted)));
}

#[test]
fn a_server_that_dies_leaves_what_it_has_answered() {
    for keep_alive in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            for _ in 0..20 {
                let (mut stream, _) = listener.accept().unwrap();
                assert!(request(&mut stream).is_some());
                stream.write_all(OK.as_bytes()).unwrap();
            }
        });
        let load = LoadConfig { keep_alive, ..config(vec![format!("http://{address}/")], 1_000_000, 1) };
        let mut load = Load::prepare(load).unwrap();
        let report = load.measure().unwrap();
        server.join().unwrap();
        assert_eq!(report.completed, 20, "{report:?}");
        assert!(report.failed.connect >= 10, "{report:?}");
        let reason = &report.incomplete.as_ref().unwrap().reason;
        assert!(reason.contains("gave up after") && reason.contains("with 20 responses before"), "{reason}");
        assert!(reason.ends_with("start a server there, or correct the URL"), "{reason}");
    }
}

#[test]
fn a_duration_ends_the_load_without_a_number_of_requests() {
    let server = Scripted::persistent(OK);
    let duration = Duration::from_millis(200);
    let load = LoadConfig { keep_alive: true, requests: None, duration: Some(duration), ..server.load(1, 2) };
    let report = drive(load);
    assert!(report.is_clean() && report.requests > 2, "{report:?}");
    assert!(report.elapsed_ns >= 200_000_000, "{report:?}");
}

#[test]
fn with_requests_and_a_duration_whichever_comes_first_ends_the_load() {
    let server = Scripted::persistent(OK);
    let load = LoadConfig { keep_alive: true, ..server.load(10, 2) };
    let report = drive(LoadConfig { duration: Some(AN_HOUR), ..load.clone() });
    assert_eq!(report.completed, 10);
    let duration = Some(Duration::from_millis(50));
    let report = drive(LoadConfig { duration, requests: Some(1_000_000_000), ..load });
    assert!(report.is_clean() && report.requests < 1_000_000_000, "{report:?}");
}

#[test]
fn what_is_in_hand_when_the_time_is_over_is_waited_for() {
    let server = Scripted::start(|_, mut stream| {
        while request(&mut stream).is_some() {
            std::thread::sleep(Duration::from_millis(300));
            stream.write_all(OK.as_bytes()).unwrap();
        }
    });
    let duration = Some(Duration::from_millis(50));
    let report = drive(LoadConfig { keep_alive: true, requests: None, duration, ..server.load(1, 2) });
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.completed, report.elapsed_ns >= 300_000_000), (2, true), "{report:?}");
}

#[test]
fn at_a_rate_a_duration_is_as_many_requests_as_come_due_in_it() {
    let server = Scripted::persistent(OK);
    let (rate, duration) = (Some(1000), Some(Duration::from_millis(100)));
    let report = drive(LoadConfig { keep_alive: true, requests: None, rate, duration, ..server.load(1, 4) });
    assert_eq!((report.completed, report.unsent), (100, 0), "{report:?}");
}

#[test]
fn at_a_rate_what_cannot_be_sent_before_the_time_is_over_is_told() {
    let server = Scripted::start(|_, mut stream| {
        while request(&mut stream).is_some() {
            std::thread::sleep(Duration::from_millis(500));
            stream.write_all(OK.as_bytes()).unwrap();
        }
    });
    let (rate, duration) = (Some(100), Some(Duration::from_millis(200)));
    let load = LoadConfig { keep_alive: true, requests: None, rate, duration, ..server.load(1, 1) };
    let mut load = Load::prepare(load).unwrap();
    let report = load.measure().unwrap();
    assert_eq!((report.completed, report.unsent, report.missed_its_rate()), (1, 19, true), "{report:?}");
    let summary = load.summary(&report);
    assert!(summary.contains("Never sent:             19 requests"), "{summary}");
    assert!(summary.contains("Rate sustained:         NO: there was a backlog"), "{summary}");
}

#[test]
fn progress_is_told_while_the_load_goes_on() {
    let server = Scripted::persistent(OK);
    let duration = Some(Duration::from_millis(900));
    let load = LoadConfig { keep_alive: true, requests: None, duration, ..server.load(1, 1) };
    let mut load = Load::prepare(load).unwrap();
    let (send, told) = std::sync::mpsc::channel();
    load.report_progress_to(move |progress| send.send(*progress).unwrap());
    let report = load.measure().unwrap();
    let told: Vec<_> = told.iter().collect();
    assert!(!told.is_empty());
    assert!(told.is_sorted_by_key(|progress| (progress.elapsed, progress.completed)), "{told:?}");
    assert!(told.iter().all(|progress| progress.completed <= report.completed), "{told:?}");
}
