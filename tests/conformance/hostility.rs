//! Peers that mean harm: what one connection does is never another one's loss.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::stage::{Delivery, End, Stage, reset, until_end};
use crate::support::{Client, Server, for_every_model, raw_backend, read_head};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Within this time an event loop has seen what came on a connection, and closes it. Models that block leave an idle connection
/// alone, and look at it before they use it again.
const EVENT_LOOPS_LOOK: Duration = Duration::from_millis(500);

/// Waits until the other side has closed `stream`, if it does so by itself.
fn give_it_a_look(stream: &mut std::net::TcpStream) {
    stream.set_read_timeout(Some(EVENT_LOOPS_LOOK)).unwrap();
    let _ = stream.read(&mut [0]);
}

/// Waits for the next of what a backend tells.
fn next<T>(told: &Receiver<T>) -> T {
    told.recv_timeout(Duration::from_secs(20)).unwrap()
}

#[test]
fn what_a_backend_says_unasked_reaches_no_client() {
    for_every_model(|model| {
        let (ask, asked) = channel::<()>();
        let (told, tell) = channel();
        let gate = Arc::new((Mutex::new(asked), told));
        let backend = raw_backend(move |mut stream| {
            while !read_head(&mut stream).is_empty() {
                stream.write_all(OK).unwrap();
                let _ = gate.0.lock().unwrap().recv();
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
                give_it_a_look(&mut stream);
                let _ = gate.1.send(());
            }
        });
        let balancer = Server::balancer(model, &[backend], &[]);
        for _ in 0..3 {
            assert_eq!(Client::connect(balancer.address).get("/").body, b"ok", "{model}");
            ask.send(()).unwrap();
            next(&tell);
        }
    });
}

#[test]
fn a_post_is_not_sent_on_an_idle_connection_that_was_closed() {
    for_every_model(|model| {
        let (told, tell) = channel();
        let backend = raw_backend(move |mut stream| {
            read_head(&mut stream);
            stream.read_exact(&mut [0; 2]).unwrap();
            stream.write_all(OK).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            give_it_a_look(&mut stream);
            let _ = told.send(());
        });
        let balancer = Server::balancer(model, &[backend], &[]);
        let mut client = Client::connect(balancer.address);
        for _ in 0..3 {
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
            assert_eq!(client.response().status(), "200", "{model}");
            next(&tell);
        }
    });
}

#[test]
fn a_client_that_vanishes_takes_its_backend_connection_along() {
    for_every_model(|model| {
        let (told, tell) = channel();
        let backend = raw_backend(move |mut stream| {
            let mut piece = [0; 65536];
            if read_head(&mut stream).starts_with("POST") {
                while let Ok(1..) = stream.read(&mut piece) {}
            } else {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n");
                while stream.write_all(&piece).is_ok() {}
            }
            let _ = told.send(());
        });
        let balancer = Server::balancer(model, &[backend], &[]);
        let mut downloads = Client::connect(balancer.address);
        downloads.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        downloads.stream.read_exact(&mut [0; 1000]).unwrap();
        drop(downloads);
        next(&tell);
        let mut uploads = Client::connect(balancer.address);
        uploads.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
        uploads.send(vec![b'u'; 1_000_000]);
        drop(uploads);
        next(&tell);
    });
}

#[test]
fn an_early_refusal_of_an_upload_that_is_not_read_is_relayed() {
    let held = Arc::new(Mutex::new(Vec::new()));
    let backend = raw_backend(move |mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
        // Neither reads the body nor closes.
        held.lock().unwrap().push(stream);
    });
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend], &["--backend-timeout", "300ms"]);
        let mut client = Client::connect(balancer.address);
        let mut sender = client.stream.try_clone().unwrap();
        let sending = std::thread::spawn(move || {
            let _ = sender.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n");
            let _ = sender.write_all(&vec![b'u'; 50_000_000]);
        });
        let response = client.response();
        assert_eq!((response.status(), response.field("Connection")), ("413", Some("close")), "{model}");
        drop(client);
        sending.join().unwrap();
    });
}

#[test]
fn a_client_that_resets_while_its_backend_is_silent_frees_the_backend_s_connection() {
    for_every_model(|model| {
        // No timeout frees it.
        let stage = Stage::new(model, &["--backend-timeout", "1h"]);
        for begun in ["", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"] {
            let mut client = stage.client_sending("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Delivery::Whole);
            let mut backend = stage.backend();
            read_head(&mut backend);
            if !begun.is_empty() {
                Delivery::Whole.send(&backend, begun.as_bytes());
                read_head(&mut client);
            }
            reset(client);
            assert_ne!(until_end(&mut backend).1, End::Open, "{model}: after {begun:?}");
        }
    });
}
