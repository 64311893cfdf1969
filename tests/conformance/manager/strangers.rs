//! What clients hold who have not shown a password, or a wrong one: nothing that an operator needs.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{PATH, ask, echo, guarded, login, users};
use crate::stage::Delivery;
use crate::support::{Client, Server, eventually, for_every_model, for_every_model_in_turn};

/// More than the manager has slots for.
const CROWD: usize = 300;

/// So many clients that send this and then nothing more.
fn stalled(address: SocketAddr, request: &str) -> Vec<TcpStream> {
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
fn a_stranger_is_answered_before_the_body_comes() {
    let (backend, _) = echo();
    let users = users();
    for_every_model(|model| {
        let options =
            ["--manager", PATH, "--manager-users", users.path().to_str().unwrap(), "--body-timeout", "1h"];
        let balancer = Server::balancer(model, &[backend], &options);
        for fields in [String::new(), login("anna:wrong"), login("nobody:x")] {
            for (sent, delivery) in [
                (0, Delivery::Whole),
                (3, Delivery::Whole),
                (3, Delivery::ByteByByte),
                (50_000, Delivery::Whole),
            ] {
                let mut client = Client::connect(balancer.address);
                let head =
                    format!("POST {PATH} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 1000000\r\n\r\n");
                delivery.send(&client.stream, (head + &"x".repeat(sent)).as_bytes());
                assert_eq!(client.response().status(), "401", "{model}: {fields} {sent}");
            }
        }
    });
}

/// So many clients with as many wrong passwords.
fn guessing(address: SocketAddr, count: usize, password: impl Fn(usize) -> String) -> Vec<Client> {
    let client = |number| {
        let mut client = Client::connect(address);
        let wrong = login(&format!("anna:{}", password(number)));
        client.send(format!("GET {PATH} HTTP/1.1\r\nHost: a\r\n{wrong}\r\n"));
        client
    };
    (0..count).map(client).collect()
}

#[test]
fn a_crowd_that_tries_passwords_keeps_no_operator_out() {
    let (backend, _) = echo();
    let users = users();
    let anna = login("anna:open sesame");
    for_every_model_in_turn(|model| {
        let balancer = guarded(model, &[backend], &users);
        let crowd = guessing(balancer.address, CROWD, |number| format!("wrong {number}"));
        // All have come when all but a few have been sent away.
        eventually(|| crowd.iter().filter(|client| is_answered(client)).count() > CROWD - 15);
        // This password was never seen before.
        assert_eq!(ask(&balancer, &format!("GET {PATH}"), &anna, "").status(), "200", "{model}");
        let mut slowed = 0;
        for mut client in crowd.into_iter().filter(is_answered) {
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

#[test]
fn the_same_wrong_password_from_a_crowd_is_one_try() {
    let (backend, _) = echo();
    let users = users();
    let anna = login("anna:open sesame");
    for_every_model_in_turn(|model| {
        let balancer = guarded(model, &[backend], &users);
        let mut crowd = guessing(balancer.address, CROWD, |_| "wrong".to_owned());
        assert_eq!(ask(&balancer, &format!("GET {PATH}"), &anna, "").status(), "200", "{model}");
        for client in &mut crowd {
            // Not each of them waits for the verdict.
            let response = client.response();
            assert!(["401", "429"].contains(&response.status()), "{model}: {response:?}");
        }
    });
}

fn is_answered(client: &Client) -> bool {
    let mut waiting = [PollFd::new(client.stream.as_fd(), PollFlags::POLLIN)];
    poll(&mut waiting, PollTimeout::ZERO).unwrap() > 0
}
