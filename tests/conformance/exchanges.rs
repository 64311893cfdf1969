//! What goes well: turns, persistence, bodies of every framing, many clients.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;

use crate::stage::undated;
use crate::support::{Client, Server, for_every_model, raw_backend, read_head};

#[test]
fn turns_are_equal_over_persistent_and_single_connections() {
    let backends: Vec<Server> = ["a", "b", "c"].iter().map(|name| Server::backend(name, &[])).collect();
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    for_every_model(|model| {
        let balancer = Server::balancer(model, &addresses, &[]);
        let mut counts = BTreeMap::<String, usize>::new();
        let mut persistent = Client::connect(balancer.address);
        for _ in 0..15 {
            for response in [persistent.get("/"), Client::connect(balancer.address).get("/")] {
                assert_eq!(response.status(), "200");
                *counts.entry(response.field("X-Backend").unwrap().to_owned()).or_default() += 1;
            }
        }
        assert_eq!(counts.values().copied().collect::<Vec<_>>(), [10, 10, 10], "{model}");
    });
}

#[test]
fn every_client_of_many_gets_its_own_response() {
    let backend = raw_backend(|mut stream| {
        loop {
            let head = read_head(&mut stream);
            let Some(path) = head.split(' ').nth(1) else { return };
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend], &[]);
        thread::scope(|scope| {
            for client in 0..20 {
                let address = balancer.address;
                scope.spawn(move || {
                    let mut connection = Client::connect(address);
                    for request in 0..20 {
                        let path = format!("/{client}/{request}");
                        assert_eq!(connection.get(&path).body, path.as_bytes());
                    }
                });
            }
        });
    });
}

#[test]
fn a_request_dripped_byte_by_byte_is_answered_like_a_whole_one() {
    let backend = Server::backend("a", &[]);
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend.address], &[]);
        for request in [
            "GET / HTTP/1.1\r\nHost: test\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        ] {
            let mut whole = Client::connect(balancer.address);
            whole.send(request);
            let mut dripped = Client::connect(balancer.address);
            dripped.drip(request);
            let answers = [&mut whole, &mut dripped].map(|client| {
                let answer = client.response();
                (undated(answer.head.as_bytes()), answer.body)
            });
            assert_eq!(answers[0], answers[1], "{model}: {request:?}");
        }
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let backend = Server::backend("a", &[]);
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend.address], &[]);
        let mut client = Client::connect(balancer.address);
        // More than one turn's worth of operations, so that giving way is exercised too.
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(200));
        for _ in 0..200 {
            assert_eq!(client.response().status(), "200", "{model}");
        }
    });
}

#[test]
fn a_half_closed_client_still_gets_its_answer() {
    let backend = Server::backend("a", &[]);
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend.address], &[]);
        let mut client = Client::connect(balancer.address);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.response().status(), "200", "{model}");
        assert!(client.rest().is_empty());
    });
}

#[test]
fn an_upload_arrives_whole_in_either_framing() {
    let backend = raw_backend(|mut stream| {
        // Answers with the number of bytes behind the head, once the last of them has come.
        read_head(&mut stream);
        let mut seen = Vec::new();
        let mut buffer = [0; 65536];
        while !seen.ends_with(b"END\r\n0\r\n\r\n") && !seen.ends_with(b"END") {
            match stream.read(&mut buffer) {
                Ok(count @ 1..) => seen.extend_from_slice(&buffer[..count]),
                _ => return,
            }
        }
        let length = seen.len().to_string();
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{length}",
            length.len()
        );
    });
    let body = format!("{}END", "u".repeat(2_000_000));
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend], &[]);
        let mut client = Client::connect(balancer.address);
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        assert_eq!(client.response().body, body.len().to_string().as_bytes(), "{model}");
        let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        let mut client = Client::connect(balancer.address);
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"));
        assert_eq!(client.response().body, chunk.len().to_string().as_bytes(), "{model}");
    });
}

#[test]
fn a_body_until_close_reaches_each_version_in_its_framing() {
    let backend = raw_backend(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nuntil close");
    });
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend], &[]);
        let mut old = Client::connect(balancer.address);
        old.send("GET / HTTP/1.0\r\n\r\n");
        assert!(old.rest().ends_with(b"\r\n\r\nuntil close"), "{model}");
        let mut new = Client::connect(balancer.address);
        new.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let text = String::from_utf8(new.rest()).unwrap();
        assert!(
            text.contains("Transfer-Encoding: chunked\r\n") && text.ends_with("\r\n0\r\n\r\n"),
            "{model}: {text}"
        );
    });
}
