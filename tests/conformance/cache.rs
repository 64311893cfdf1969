//! The cache under every model: answers from it, and one fetch for many.
//!
//! What is stored and who gets it is tested in virtual time (`tests/core/cache.rs`); here it is that each model carries it.

use std::net::TcpStream;

use crate::stage::{DELIVERIES, Delivery, Stage, next_bytes};
use crate::support::{for_every_model, read_head};

/// Longer than any buffer.
const LENGTH: usize = 100_000;

fn answer() -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: {LENGTH}\r\n\r\n");
    [head.as_bytes(), &body()].concat()
}

fn body() -> Vec<u8> {
    (0..LENGTH).map(|at| (at % 251) as u8).collect()
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// What `Cache-Status` says in the answer that comes, of which the body is whole.
fn told(client: &mut TcpStream) -> String {
    let head = read_head(client);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(next_bytes(client, LENGTH) == body(), "the body is not the stored one");
    let told = head.lines().find_map(|line| line.strip_prefix("Cache-Status: roundtable; "));
    told.unwrap_or_else(|| panic!("it does not say what came of it: {head}")).to_owned()
}

#[test]
fn what_was_fetched_once_is_given_to_everybody_and_many_at_once_cost_one_fetch() {
    for_every_model(|model| {
        let stage = Stage::new(model, &["--cache", "2MiB"]);
        for (number, delivery) in DELIVERIES.into_iter().enumerate() {
            let request = request(&format!("/{number}"));
            let mut first = stage.client_sending(&request, Delivery::Whole);
            let mut backend = stage.backend();
            read_head(&mut backend);
            let mut others: Vec<TcpStream> =
                (0..8).map(|_| stage.client_sending(&request, delivery)).collect();
            Delivery::Whole.send(&backend, &answer());
            assert_eq!(told(&mut first), "fwd=uri-miss; stored", "{model}");
            // Those who came too late to wait find it stored.
            for other in &mut others {
                let told = told(other);
                assert!(
                    told.starts_with("fwd=uri-miss; collapsed; ttl=") || told.starts_with("hit; ttl="),
                    "{model}: {told}"
                );
            }
            for _ in 0..2 {
                Delivery::Whole.send(&others[0], request.as_bytes());
                assert!(told(&mut others[0]).starts_with("hit; ttl="), "{model}");
            }
            drop(backend);
        }
        assert!(!stage.is_asked(0), "{model}: there was more than one fetch");
    });
}

#[test]
fn a_304_about_something_else_is_followed_by_the_request_as_it_was_asked() {
    for_every_model(|model| {
        let stage = Stage::new(model, &["--cache", "2MiB"]);
        for delivery in DELIVERIES {
            let request = request(&format!("/{delivery:?}"));
            let stored = "HTTP/1.1 200 OK\r\nCache-Control: max-age=0\r\nETag: \"1\"\r\nConnection: close\r\n\
                          Content-Length: 3\r\n\r\nold";
            let mut client = stage.client_sending(&request, Delivery::Whole);
            let mut backend = stage.backend();
            read_head(&mut backend);
            Delivery::Whole.send(&backend, stored.as_bytes());
            drop(backend);
            read_head(&mut client);
            assert_eq!(next_bytes(&mut client, 3), b"old");
            Delivery::Whole.send(&client, request.as_bytes());
            let mut backend = stage.backend();
            let asked = read_head(&mut backend);
            assert!(asked.contains("\r\nIf-None-Match: \"1\"\r\n"), "{model}: {asked}");
            delivery.send(&backend, b"HTTP/1.1 304 Not Modified\r\nETag: \"2\"\r\nConnection: close\r\n\r\n");
            let mut backend = stage.backend();
            let asked = read_head(&mut backend);
            assert!(asked.starts_with("GET /") && !asked.contains("If-None-Match"), "{model}: {asked}");
            let news = "HTTP/1.1 200 OK\r\nETag: \"2\"\r\nConnection: close\r\nContent-Length: 4\r\n\r\nnews";
            delivery.send(&backend, news.as_bytes());
            let head = read_head(&mut client);
            assert!(head.contains("\r\nCache-Status: roundtable; fwd=stale; stored\r\n"), "{model}: {head}");
            assert_eq!(next_bytes(&mut client, 4), b"news", "{model}");
        }
    });
}
