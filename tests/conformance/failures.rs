//! Backends that fail, and what the client is told.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Client, DeadAddress, Server, for_every_model, raw_backend, read_head};

#[test]
fn a_dead_backend_among_living_ones_costs_no_client_an_error() {
    let alive = Server::backend("alive", &[]);
    let dead = DeadAddress::new();
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[dead.address, alive.address], &[]);
        for _ in 0..10 {
            let response = Client::connect(balancer.address).get("/");
            assert_eq!((response.status(), response.field("X-Backend")), ("200", Some("alive")), "{model}");
        }
    });
}

#[test]
fn with_all_backends_dead_the_answer_is_503_and_one_that_returns_is_used() {
    for_every_model(|model| {
        let dead = DeadAddress::new();
        let balancer = Server::balancer(model, &[dead.address], &["--retry-interval", "10ms"]);
        for _ in 0..3 {
            assert_eq!(Client::connect(balancer.address).get("/").status(), "503", "{model}");
        }
        let listener = dead.revive();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            read_head(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        });
        assert_eq!(Client::connect(balancer.address).get("/").status(), "200", "{model}");
    });
}

#[test]
fn a_backend_that_closes_idle_connections_is_never_noticed() {
    let backend = raw_backend(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend], &[]);
        let mut client = Client::connect(balancer.address);
        for _ in 0..20 {
            assert_eq!(client.get("/").status(), "200", "{model}");
        }
    });
}

#[test]
fn an_answer_that_is_not_http_is_502() {
    let backend = raw_backend(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"SSH-2.0-OpenSSH\r\n\r\n");
    });
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend], &[]);
        assert_eq!(Client::connect(balancer.address).get("/").status(), "502", "{model}");
    });
}

#[test]
fn a_body_that_breaks_off_is_never_padded() {
    let backend = raw_backend(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
    });
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend], &[]);
        let mut client = Client::connect(balancer.address);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.rest().ends_with(b"\r\n\r\nabc"), "{model}");
    });
}

#[test]
fn a_backend_that_never_answers_is_504() {
    let backend = raw_backend(|mut stream| {
        read_head(&mut stream);
        read_head(&mut stream);
    });
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend], &["--backend-timeout", "200ms"]);
        assert_eq!(Client::connect(balancer.address).get("/").status(), "504", "{model}");
    });
}

#[test]
fn a_refused_request_never_reaches_a_backend() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let backend = raw_backend(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend], &["--max-body-bytes", "100"]);
        for (request, status) in [
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400"),
            ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "405"),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n".to_owned(), "413"),
            (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000)), "414"),
            ("GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n".to_owned(), "417"),
            (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(20_000)), "431"),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(), "501"),
            ("GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(), "505"),
            ("\x16\x03\x01\x02".to_owned(), "400"),
        ] {
            let mut client = Client::connect(balancer.address);
            client.send(&request);
            let response = client.response();
            assert_eq!(response.status(), status, "{model}: {request:?}");
            assert_eq!(response.field("Connection"), Some("close"));
            assert!(client.rest().is_empty(), "{model}: {request:?}");
        }
    });
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}
