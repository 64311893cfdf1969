//! What clients hold who have not shown a password, or a wrong one: nothing that an operator needs.

use std::io::Write;
use std::net::TcpStream;

use super::{PATH, ask, echo, guarded, login, users};
use crate::support::{Client, for_every_model};

/// More than the manager has slots for.
const CROWD: usize = 300;

/// So many clients that send this and then nothing more.
fn stalled(address: std::net::SocketAddr, request: &str) -> Vec<TcpStream> {
    let client = |_| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    (0..CROWD).map(client).collect()
}

#[test]
fn strangers_who_stall_keep_no_operator_out() {
    let (backend, _) = echo();
    let users = users();
    let anna = login("anna:open sesame");
    let promise = "Content-Length: 1000000\r\n";
    let piece = "x".repeat(20_000);
    for_every_model(|model| {
        for request in [
            format!("POST {PATH} HTTP/1.1\r\nHost: a\r\n"),
            format!("POST {PATH} HTTP/1.1\r\nHost: a\r\n{promise}\r\n"),
            // More than the balancer keeps back.
            format!("POST {PATH} HTTP/1.1\r\nHost: a\r\n{promise}\r\n{piece}"),
            format!("POST {PATH} HTTP/1.1\r\nHost: a\r\n{}{promise}\r\n{piece}", login("anna:wrong")),
            format!("POST {PATH} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
        ] {
            let balancer = guarded(model, &[backend], &users);
            let crowd = stalled(balancer.address, &request);
            for _ in 0..3 {
                let response = ask(&balancer, &format!("GET {PATH}"), &anna, "");
                assert_eq!(response.status(), "200", "{model}: {request:.150}");
            }
            drop(crowd);
        }
    });
}

#[test]
fn a_crowd_that_tries_passwords_keeps_no_operator_out() {
    let (backend, _) = echo();
    let users = users();
    let anna = login("anna:open sesame");
    for_every_model(|model| {
        let balancer = guarded(model, &[backend], &users);
        let mut crowd: Vec<Client> = (0..CROWD)
            .map(|number| {
                let mut client = Client::connect(balancer.address);
                let wrong = login(&format!("anna:wrong {number}"));
                client.send(format!("GET {PATH} HTTP/1.1\r\nHost: a\r\n{wrong}\r\n"));
                client
            })
            .collect();
        // Its password was never seen before, and comes last.
        assert_eq!(ask(&balancer, &format!("GET {PATH}"), &anna, "").status(), "200", "{model}");
        let mut slowed = 0;
        for client in &mut crowd {
            let response = client.response();
            match response.status() {
                "401" => {}
                "429" => {
                    slowed += 1;
                    assert_eq!(response.field("Retry-After"), Some("1"), "{model}");
                }
                status => panic!("{model}: {status}"),
            }
        }
        assert!(slowed > CROWD / 2, "{model}: all but {slowed} passwords were tried");
    });
}
