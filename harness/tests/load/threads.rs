//! One load that several threads drive: what it sends and what it reports is that of one thread.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use roundtable_harness::load::latency;
use roundtable_harness::load::{Failures, LoadConfig, LoadError, LoadReport, ThreadedLoad};

use crate::scripted::{OK, OK_CLOSE, Scripted, config};

fn drive(config: LoadConfig, threads: u32) -> LoadReport {
    let mut load = ThreadedLoad::prepare(config, threads).unwrap();
    load.warm_up().unwrap();
    let report = load.measure().unwrap();
    assert!(load.began_monotonic_ns() > 0);
    report
}

#[test]
fn threads_send_the_requests_of_one_and_take_turns_as_one() {
    let servers = [Scripted::persistent(OK), Scripted::persistent(OK), Scripted::persistent(OK)];
    let urls: Vec<String> = servers.iter().map(Scripted::url).collect();
    let load = LoadConfig { keep_alive: true, warmup: 7, ..config(urls.clone(), 1001, 5) };
    let report = drive(load, 2);
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.requests, report.concurrency, report.warmup_requests), (1001, 5, 7));
    assert_eq!(report.urls, urls);
    assert_eq!(latency::decode(&report.latency_ns_hdr).unwrap().len(), 1001);
    assert_eq!(report.percentiles.last().map(|last| last.percent), Some(100));
    // Each of five slots has a connection to each of three servers.
    let accepted = servers.iter().map(|server| server.accepted.load(Ordering::SeqCst));
    assert_eq!(accepted.sum::<usize>(), 15);
}

#[test]
fn threads_keep_one_rate_together() {
    let server = Scripted::persistent(OK);
    let report = drive(LoadConfig { keep_alive: true, rate: Some(500), ..server.load(201, 4) }, 2);
    let open = report.open_loop.as_ref().unwrap();
    assert_eq!((open.rate, report.completed), (500, 201));
    // The last request is due after 400 ms, however many threads there are.
    assert!(report.elapsed_ns >= 400_000_000, "{report:?}");
    assert_eq!(latency::decode(&open.late_ns_hdr).unwrap().len(), 201);
}

#[test]
fn every_thread_verifies_what_it_gets() {
    let server = Scripted::persistent(OK);
    let load = LoadConfig { keep_alive: true, expected_body: Some(b"other".to_vec()), ..server.load(100, 2) };
    let report = drive(load, 2);
    assert_eq!(report.failed, Failures { content: 100, ..Failures::default() });
}

#[test]
fn threads_that_have_nothing_to_do_are_refused() {
    let load = config(vec!["http://127.0.0.1:1/".to_owned()], 10, 2);
    let refused = |load: LoadConfig, threads| match ThreadedLoad::prepare(load, threads) {
        Ok(_) => panic!("taken"),
        Err(error) => error,
    };
    let error = refused(load.clone(), 3);
    assert!(matches!(error, LoadError::ThreadsAboveConcurrency { .. }) && error.is_usage(), "{error}");
    let error = refused(LoadConfig { record: true, ..load }, 2);
    assert!(matches!(error, LoadError::ThreadsThatRecord) && error.is_usage(), "{error}");
}

#[test]
fn where_nobody_answers_every_thread_ends() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let load = config(vec![format!("http://{address}/")], 1_000_000_000, 4);
    let mut load = ThreadedLoad::prepare(load, 2).unwrap();
    assert!(matches!(load.measure(), Err(LoadError::GaveUp { .. })));
}

#[test]
fn a_load_that_is_stopped_is_reported_with_what_all_threads_have() {
    let server = Scripted::closing(|_| OK_CLOSE.to_owned());
    let load = LoadConfig { requests: None, duration: Some(Duration::from_secs(3600)), ..server.load(1, 4) };
    let mut load = ThreadedLoad::prepare(load, 2).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    load.stop_on(Arc::clone(&stop));
    let (accepted, own) = (Arc::clone(&server.accepted), Arc::clone(&stop));
    let stopper = std::thread::spawn(move || {
        while accepted.load(Ordering::SeqCst) < 20 {
            std::thread::sleep(Duration::from_millis(1));
        }
        own.store(true, Ordering::Relaxed);
    });
    let report = load.measure().unwrap();
    stopper.join().unwrap();
    assert!(report.incomplete.is_some());
    assert!(report.completed > 0 && report.concurrency == 4, "{report:?}");
}
