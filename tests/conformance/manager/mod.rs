//! The manager, through every model: how a test asks it. `access` tests who gets in and where, `strangers` what those hold
//! who do not, `figures` what is shown and changed.

mod access;
mod figures;
mod strangers;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::support::{Client, Response, Server, raw_backend, read_head};

const PATH: &str = "/balancer-manager";

fn users() -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "anna:{}", bcrypt::hash("open sesame", 4).unwrap()).unwrap();
    file
}

/// A balancer whose manager is for anna alone.
fn guarded(model: &str, backends: &[SocketAddr], users: &NamedTempFile) -> Server {
    let file = users.path().to_str().unwrap();
    Server::balancer(model, backends, &["--manager", PATH, "--manager-users", file])
}

fn login(credentials: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(credentials))
}

/// What comes of a request with these further fields and this form.
fn ask(balancer: &Server, line: &str, fields: &str, form: &str) -> Response {
    let mut client = Client::connect(balancer.address);
    client.send(request(line, fields, form));
    client.response()
}

fn request(line: &str, fields: &str, form: &str) -> String {
    let length = match form.len() {
        0 => String::new(),
        length => format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n"),
    };
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}{length}\r\n{form}")
}

fn body(response: &Response) -> String {
    String::from_utf8(response.body.clone()).unwrap()
}

fn status(balancer: &Server, fields: &str) -> Value {
    let response = ask(balancer, &format!("GET {PATH}/status.json"), fields, "");
    assert_eq!((response.status(), response.field("Content-Type")), ("200", Some("application/json")));
    serde_json::from_slice(&response.body).unwrap()
}

/// One figure of each backend.
fn figures(balancer: &Server, fields: &str, name: &str) -> Vec<u64> {
    let status = status(balancer, fields);
    let backends = status["groups"][0]["backends"].as_array().unwrap();
    backends.iter().map(|backend| backend[name].as_u64().unwrap()).collect()
}

/// The nonce of the page's forms.
fn nonce(balancer: &Server, fields: &str) -> String {
    let page = body(&ask(balancer, &format!("GET {PATH}"), fields, ""));
    let (_, rest) = page.split_once(r#"name="nonce" value=""#).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// Orders something on the page, which must work.
fn order(balancer: &Server, fields: &str, form: &str) {
    let form = format!("nonce={}&{form}", nonce(balancer, fields));
    let response = ask(balancer, &format!("POST {PATH}"), fields, &form);
    assert_eq!(
        (response.status(), response.field("Location")),
        ("303", Some("./balancer-manager")),
        "{form}"
    );
}

/// Which backend answered how often, of so many requests.
fn shares(balancer: &Server, requests: usize, names: &[&str]) -> Vec<usize> {
    let mut shares = vec![0; names.len()];
    for _ in 0..requests {
        let response = Client::connect(balancer.address).get("/");
        let name = response.field("X-Backend").unwrap();
        shares[names.iter().position(|known| *known == name).unwrap()] += 1;
    }
    shares
}

/// A backend that answers with the target that it was asked for, and a count of its requests.
fn echo() -> (SocketAddr, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let address = raw_backend(move |mut stream| {
        loop {
            let head = read_head(&mut stream);
            let Some(target) = head.split(' ').nth(1) else { return };
            counter.fetch_add(1, Ordering::SeqCst);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len());
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    (address, asked)
}

/// What the first backend may do.
fn status_mode(balancer: &Server, fields: &str) -> String {
    status(balancer, fields)["groups"][0]["backends"][0]["mode"].as_str().unwrap().to_owned()
}
