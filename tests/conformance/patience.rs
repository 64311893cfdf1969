//! Slow peers: none of them may keep the others from being served.

use std::io::{Read, Write};
use std::sync::mpsc::channel;
use std::thread;

use crate::stage::{DELIVERIES, Delivery, End, Stage, until_end};
use crate::support::{
    Client, Server, for_a_model_of_each_driver_in_turn, for_every_model, raw_backend, read_head,
};

#[test]
fn more_slow_clients_than_workers_do_not_keep_others_waiting() {
    let backend = Server::backend("a", &[]);
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend.address], &["--workers", "2"]);
        let mut slow: Vec<Client> = (0..30).map(|_| Client::connect(balancer.address)).collect();
        for (index, client) in slow.iter_mut().enumerate() {
            match index % 3 {
                0 => {}
                1 => client.send("GET / HT"),
                _ => assert_eq!(client.get("/").status(), "200"),
            }
        }
        assert_eq!(Client::connect(balancer.address).get("/").status(), "200", "{model}");
        for client in slow.iter_mut().skip(1).step_by(3) {
            client.send("TP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.response().status(), "200", "{model}");
        }
    });
}

#[test]
fn slow_backends_do_not_keep_the_workers_from_others() {
    let slow = raw_backend(|mut stream| {
        // Never answers: the second head never comes.
        read_head(&mut stream);
        read_head(&mut stream);
    });
    let fast = Server::backend("fast", &[]);
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[slow, fast.address], &["--workers", "2"]);
        let (answered, answers) = channel();
        // Every other turn is the slow backend's, so eight of these wait for it: more than there are workers.
        for _ in 0..16 {
            let answered = answered.clone();
            let address = balancer.address;
            thread::spawn(move || answered.send(Client::connect(address).get("/").status().to_owned()));
        }
        for _ in 0..8 {
            assert_eq!(answers.recv().unwrap(), "200", "{model}");
        }
    });
}

#[test]
fn a_slow_reader_of_a_long_body_gets_all_of_it() {
    let backend = Server::backend("a", &["--body-bytes", "20000000"]);
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend.address], &["--workers", "1"]);
        let mut slow = Client::connect(balancer.address);
        slow.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let mut first = [0; 1000];
        slow.stream.read_exact(&mut first).unwrap();
        // It stops reading; the balancer must serve others meanwhile, and not gather the body in memory.
        let mut other = Client::connect(balancer.address);
        other.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(read_head(&mut other.stream).contains("Content-Length: 20000000\r\n"), "{model}");
        let mut whole = first.to_vec();
        whole.append(&mut slow.rest());
        let head = whole.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        assert!(whole[head..] == roundtable_backends::body(20_000_000), "{model}: the body was altered");
    });
}

#[test]
fn a_slow_head_is_answered_with_408_at_a_total_deadline() {
    let backend = Server::backend("a", &[]);
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend.address], &["--header-timeout", "300ms"]);
        let mut client = Client::connect(balancer.address);
        client.stream.set_nonblocking(true).unwrap();
        // A byte now and then, until the answer is there: each one would restart a deadline counted from the last read.
        let mut answer = Vec::new();
        let mut buffer = [0; 1024];
        while !answer.ends_with(b"\n") || answer.is_empty() {
            let _ = client.stream.write(b"A");
            std::thread::sleep(std::time::Duration::from_millis(20));
            match client.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => answer.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{model}: {error}"),
            }
        }
        assert!(answer.starts_with(b"HTTP/1.1 408 "), "{model}: {}", String::from_utf8_lossy(&answer));
    });
}

#[test]
fn an_idle_connection_is_closed_without_an_answer() {
    let backend = Server::backend("a", &[]);
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend.address], &["--idle-timeout", "200ms"]);
        let mut client = Client::connect(balancer.address);
        assert_eq!(client.get("/").status(), "200");
        assert!(client.rest().is_empty(), "{model}");
    });
}

#[test]
fn a_head_that_stops_half_way_is_answered_with_408_and_the_connection_closed() {
    for_every_model(|model| {
        let stage = Stage::new(model, &["--header-timeout", "300ms"]);
        for (delivery, half) in
            [(Delivery::Whole, "GET / HTTP/1.1\r\nHost: a\r\n"), (Delivery::ByteByByte, "GET")]
        {
            let mut client = stage.client_sending(half, delivery);
            let (answer, end) = until_end(&mut client);
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with("HTTP/1.1 408 "), "{model}: {answer}");
            assert!(answer.contains("\r\nConnection: close\r\n") && end == End::Closed, "{model}: {answer}");
            assert!(!stage.is_asked(0), "{model}");
        }
    });
}

#[test]
fn a_slow_body_is_answered_with_408_wherever_its_beginning_is() {
    for_every_model(|model| {
        let stage = Stage::new(model, &["--body-timeout", "300ms"]);
        for delivery in DELIVERIES {
            for framing in ["Content-Length: 100000", "Transfer-Encoding: chunked"] {
                let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
                let body = if framing.contains("chunked") { "9\r\nhello" } else { "hello" };
                let mut held_here = stage.client_sending(format!("{head}{body}"), delivery);
                let (answer, end) = until_end(&mut held_here);
                assert!(answer.starts_with(b"HTTP/1.1 408 ") && end == End::Closed, "{model}: {framing}");
                assert!(!stage.is_asked(0), "{model}: {framing}");

                let body = if framing.contains("chunked") { "fffff\r\n" } else { "" };
                let long = format!("{head}{body}{}", "u".repeat(50_000));
                let mut under_way = stage.client_sending(long, Delivery::Whole);
                let mut backend = stage.backend();
                let (answer, end) = until_end(&mut under_way);
                assert!(answer.starts_with(b"HTTP/1.1 408 ") && end == End::Closed, "{model}: {framing}");
                assert_ne!(until_end(&mut backend).1, End::Open, "{model}: {framing}");
            }
        }
    });
}

#[test]
fn slow_readers_of_50_mb_cost_little_memory_and_get_every_byte() {
    const LENGTH: usize = 50_000_000;
    const READERS: u64 = 8;
    let backend = Server::backend("a", &["--body-bytes", &LENGTH.to_string()]);
    let body = roundtable_backends::body(LENGTH);
    for_a_model_of_each_driver_in_turn(|model| {
        let balancer = Server::balancer(model, &[backend.address], &[]);
        let begin = |_| {
            let mut reader = Client::connect(balancer.address);
            reader.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            reader.stream.read_exact(&mut [0; 100]).unwrap();
            reader
        };
        // One of them is part of the baseline: what a process touches once.
        let mut readers = vec![begin(0)];
        let before = balancer.status("VmRSS");
        readers.extend((0..READERS).map(begin));
        // They stop reading. No socket takes more than a few megabytes: the balancer stops reading too.
        thread::sleep(std::time::Duration::from_millis(300));
        let each = balancer.status("VmRSS").saturating_sub(before) / READERS;
        assert!(each <= 256, "{model}: {each} KiB for each");
        let mut last = readers.pop().unwrap();
        drop(readers);
        let rest = last.rest();
        assert!(rest.ends_with(&body[body.len() - (LENGTH - 1000)..]), "{model}: the body was altered");
        assert!(balancer.status("VmRSS").saturating_sub(before) <= 256 * READERS, "{model}: it grew later");
    });
}

#[test]
fn slow_uploads_and_slow_readers_do_not_keep_the_workers_from_others() {
    let backend = Server::backend("a", &["--body-bytes", "10000000"]);
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend.address], &["--workers", "2"]);
        let _slow: Vec<Client> = (0..20)
            .map(|number| {
                let mut client = Client::connect(balancer.address);
                match number % 3 {
                    0 => client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
                    1 => client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhi"),
                    _ => {
                        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n");
                        client.send(vec![b'u'; 40_000]);
                    }
                }
                client
            })
            .collect();
        let mut other = Client::connect(balancer.address);
        other.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(read_head(&mut other.stream).starts_with("HTTP/1.1 200 OK\r\n"), "{model}");
    });
}
