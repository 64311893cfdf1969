//! Answers that come while their request is still on its way. The timeouts are longer than any test waits: an answer that
//! waited for one of them would never be seen.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::responses::VIA;
use crate::stage::{DELIVERIES, Delivery, End, OK, OK_RELAYED, Stage, next_bytes, next_relayed, until_end};
use crate::support::{for_every_model, read_head};

const PATIENT: [&str; 4] = ["--body-timeout", "1h", "--backend-timeout", "1h"];
const DENIED: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\n\r\ndenied";
const LENGTH: usize = 50_000_000;

fn denied_relayed() -> String {
    format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\n{VIA}Connection: close\r\n\r\ndenied")
}

fn head(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
}

/// The client gets the refusal and nothing more, and both connections end.
fn assert_denied(model: &str, client: &mut TcpStream, backend: &mut TcpStream) {
    let expected = denied_relayed();
    let got = next_relayed(client, expected.len());
    assert_eq!(String::from_utf8_lossy(&got), expected, "{model}");
    assert_ne!(until_end(backend).1, End::Open, "{model}");
    let (rest, end) = until_end(client);
    assert!(rest.is_empty() && end != End::Open, "{model}: {end:?} after {rest:?}");
}

#[test]
fn an_early_answer_reaches_a_client_that_waits_for_it() {
    for_every_model(|model| {
        let stage = Stage::new(model, &PATIENT);
        for delivery in DELIVERIES {
            let mut client = stage.client_sending(head(1_000_000), Delivery::Whole);
            Delivery::Whole.send(&client, &[b'u'; 20_000]);
            let mut backend = stage.backend();
            read_head(&mut backend);
            delivery.send(&backend, DENIED);
            assert_denied(model, &mut client, &mut backend);
        }
    });
}

#[test]
fn an_early_answer_reaches_a_client_that_goes_on_sending() {
    for_every_model(|model| {
        let stage = Stage::new(model, &PATIENT);
        let mut client = stage.client_sending(head(LENGTH), Delivery::Whole);
        let mut sender = client.try_clone().unwrap();
        // Always a little more, faster than anybody would call it silent.
        let sending = thread::spawn(move || {
            let mut sent = 0;
            while sent < LENGTH && sender.write_all(&[b'u'; 5000]).is_ok() {
                sent += 5000;
                thread::sleep(Duration::from_millis(5));
            }
            sent
        });
        let mut backend = stage.backend();
        read_head(&mut backend);
        Delivery::Whole.send(&backend, DENIED);
        // It reads on, and throws away what it reads.
        assert_denied(model, &mut client, &mut backend);
        drop(client);
        assert!(sending.join().unwrap() < LENGTH, "{model}: all of it was sent first");
    });
}

#[test]
fn an_early_answer_of_a_backend_that_stops_reading_reaches_the_client() {
    for_every_model(|model| {
        let stage = Stage::new(model, &PATIENT);
        for delivery in DELIVERIES {
            let mut client = stage.client();
            let mut sender = client.try_clone().unwrap();
            let sending = thread::spawn(move || {
                let _ = sender
                    .write_all(head(LENGTH).as_bytes())
                    .and_then(|()| sender.write_all(&vec![b'u'; LENGTH]));
            });
            let mut backend = stage.backend();
            read_head(&mut backend);
            delivery.send(&backend, DENIED);
            let expected = denied_relayed();
            let got = next_relayed(&mut client, expected.len());
            assert_eq!(String::from_utf8_lossy(&got), expected, "{model}: {delivery:?}");
            assert_ne!(until_end(&mut backend).1, End::Open, "{model}: {delivery:?}");
            assert!(until_end(&mut client).0.is_empty(), "{model}: {delivery:?}");
            drop(client);
            sending.join().unwrap();
        }
    });
}

#[test]
fn an_early_answer_of_a_backend_that_hangs_up_reaches_the_client() {
    for_every_model(|model| {
        let stage = Stage::new(model, &PATIENT);
        let mut client = stage.client_sending(head(1_000_000), Delivery::Whole);
        Delivery::Whole.send(&client, &[b'u'; 20_000]);
        let mut backend = stage.backend();
        read_head(&mut backend);
        Delivery::Whole.send(&backend, DENIED);
        backend.shutdown(Shutdown::Write).unwrap();
        assert_denied(model, &mut client, &mut backend);
    });
}

#[test]
fn a_backend_that_hangs_up_during_an_upload_is_told_to_a_client_that_waits() {
    for_every_model(|model| {
        let stage = Stage::new(model, &PATIENT);
        let mut client = stage.client_sending(head(1_000_000), Delivery::Whole);
        Delivery::Whole.send(&client, &[b'u'; 20_000]);
        let mut backend = stage.backend();
        read_head(&mut backend);
        drop(backend);
        let (answer, end) = until_end(&mut client);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 502 ") && end == End::Closed, "{model}: {answer} {end:?}");
    });
}

#[test]
fn an_interim_response_passes_during_an_upload_which_then_goes_on() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    for_every_model(|model| {
        let stage = Stage::new(model, &PATIENT);
        for delivery in DELIVERIES {
            let mut client = stage.client_sending(head(100_000), Delivery::Whole);
            Delivery::Whole.send(&client, &[b'u'; 20_000]);
            let mut backend = stage.backend();
            read_head(&mut backend);
            delivery.send(&backend, hints.as_bytes());
            let got = next_bytes(&mut client, hints.len());
            assert_eq!(String::from_utf8_lossy(&got), hints, "{model}: {delivery:?}");
            // The client has waited for it, and sends the rest.
            let mut sender = client.try_clone().unwrap();
            let (sent, is_sent) = channel();
            thread::spawn(move || sent.send(sender.write_all(&[b'v'; 80_000]).is_ok()));
            let body = next_bytes(&mut backend, 100_000);
            assert!(
                body[..20_000] == [b'u'; 20_000] && body[20_000..] == [b'v'; 80_000],
                "{model}: {delivery:?}"
            );
            assert!(is_sent.recv().unwrap(), "{model}");
            Delivery::Whole.send(&backend, OK);
            let got = next_relayed(&mut client, OK_RELAYED.len());
            assert_eq!(String::from_utf8_lossy(&got), OK_RELAYED, "{model}: {delivery:?}");
            backend.shutdown(Shutdown::Both).unwrap();
        }
    });
}
