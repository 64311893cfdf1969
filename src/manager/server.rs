//! The HTTP server under the manager: hyper on a runtime of one thread.
//!
//! Owns the bounds on what a client can hold on to: connections, bytes, time. Rules: at each stage of a connection there are
//! so many slots, and who comes to it takes the oldest one's place when there is none, so that those who stall keep
//! nobody out; a request is judged by its head, and its body is awaited from nobody who was not let in. Each connection
//! carries one request, so that the balancer never sends a form on one that is about to close.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::access::MOST_AT_ONCE;
use super::site::Site;
use super::slots::{Slot, Slots};

/// Connections whose head is not whole yet.
const MOST_HEADS: usize = 256;
/// Those whose credentials are being judged: many more than can wait from one address.
const MOST_JUDGED: usize = 512;
/// Those of users who were let in.
const MOST_ADMITTED: usize = 64;
/// Those that were answered and not closed yet: the balancer may look for an answer as seldom as twice a second.
const MOST_ENDING: usize = 1024;
/// For a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// For everything: the form, waiting for others' passwords, the response.
const TIMEOUT: Duration = Duration::from_secs(20);
/// For what still comes behind the answer.
const LINGER: Duration = Duration::from_secs(1);
/// Likewise, bytes.
const MOST_DRAINED: usize = 1 << 20;
/// More than a balancer forwards, so that what is too large for us is answered by us.
const MOST_HEAD: usize = 64 * 1024;
/// Likewise.
const MOST_FIELDS: usize = 256;
/// How long accepting pauses when it fails.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves `site` to whoever connects to `listener`, on a thread of its own.
pub(super) fn start(listener: std::net::TcpListener, site: Site) -> io::Result<()> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MOST_AT_ONCE)
        .thread_name("manager-bcrypt")
        .build()?;
    let listener = {
        let _inside = runtime.enter();
        TcpListener::from_std(listener)?
    };
    thread::Builder::new()
        .name("manager".into())
        .spawn(move || runtime.block_on(accept(&listener, Arc::new(site))))
        .map(drop)
}

async fn accept(listener: &TcpListener, site: Arc<Site>) {
    let stages = Arc::new(Stages {
        heads: Slots::new(MOST_HEADS),
        judged: Slots::new(MOST_JUDGED),
        admitted: Slots::new(MOST_ADMITTED),
        ending: Slots::new(MOST_ENDING),
    });
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let lost = Arc::new(Notify::new());
                let visitor = Visitor { slot: Mutex::new(stages.heads.take(&lost)), lost: Arc::clone(&lost) };
                let (site, stages) = (Arc::clone(&site), Arc::clone(&stages));
                tokio::spawn(async move {
                    tokio::select! {
                        // Whoever was too slow is told by the end of the connection.
                        () = lost.notified() => {}
                        _ = timeout(TIMEOUT, serve(stream, &site, &stages, &visitor)) => {}
                    }
                });
                // Whoever can be answered is answered before a newcomer could take their place.
                yield_now().await;
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// The stages of a connection.
#[derive(Debug)]
struct Stages {
    heads: Arc<Slots>,
    judged: Arc<Slots>,
    admitted: Arc<Slots>,
    ending: Arc<Slots>,
}

/// Who is at the other end of a connection, and the slot that it has.
#[derive(Debug)]
struct Visitor {
    slot: Mutex<Slot>,
    lost: Arc<Notify>,
}

impl Visitor {
    /// Goes on to another stage.
    fn goes_to(&self, stage: &Arc<Slots>) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = stage.take(&self.lost);
    }
}

async fn serve(stream: TcpStream, site: &Site, stages: &Stages, visitor: &Visitor) {
    // Boxed, since hyper has to be able to move it.
    let service = service_fn(move |request: Request<Incoming>| {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            visitor.goes_to(&stages.judged);
            let reply = match site.admit(&head).await {
                Ok(user) => {
                    visitor.goes_to(&stages.admitted);
                    site.answer(user, &head, body).await
                }
                Err(stranger) => Site::turn_away(stranger),
            };
            Ok::<_, Infallible>(reply)
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MOST_HEAD)
        .max_headers(MOST_FIELDS)
        .keep_alive(false)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);
    // What is no request was answered too, as far as it can be.
    let _ = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    visitor.goes_to(&stages.ending);
    let stream = connection.into_parts().io.into_inner();
    let _ = timeout(LINGER, end(stream)).await;
}

/// Sends the end of the stream, and reads what still comes: an answer beside unread bytes would be lost when the
/// connection is closed.
async fn end(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let (mut drained, mut piece) = (0, [0; 4096]);
    while drained < MOST_DRAINED {
        match stream.read(&mut piece).await? {
            0 => break,
            count => drained += count,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, SocketAddr};
    use std::time::Instant;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use roundtable::proxy::{Config, Limits, Proxy};

    use super::super::access::Gate;
    use super::super::paths::Paths;
    use super::super::{Settings, Users};
    use super::*;

    fn started(users: Option<Users>) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config::round_robin(vec![address], "a".into(), Limits::default());
        let proxy = Arc::new(Proxy::new(config, Instant::now()).unwrap());
        let settings = Settings { path: "/m".into(), metrics_path: None, users: None, model: "mio" };
        let paths = Paths::of(&settings).unwrap();
        start(listener, Site::new(proxy, paths, Gate::new(users), "mio")).unwrap();
        address
    }

    fn anna() -> Users {
        let file = format!("anna:{}", bcrypt::hash("x", 4).unwrap());
        Users::parse(file.as_bytes()).unwrap()
    }

    fn asked(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[test]
    fn each_connection_carries_one_request() {
        let address = started(None);
        let get = b"GET /m HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let answer = asked(address, &[get.as_slice(), get].concat());
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(answer.contains("Connection: close\r\n"), "{answer}");
    }

    #[test]
    fn who_comes_past_the_balancer_is_asked_for_a_password_too() {
        let address = started(Some(anna()));
        let oversize =
            format!("GET /m HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {}\r\n\r\n", "A".repeat(40_000));
        for request in ["GET /m HTTP/1.1\r\nHost: a\r\n\r\n", "DELETE /x HTTP/1.0\r\n\r\n", &oversize] {
            let answer = asked(address, request.as_bytes());
            assert!(answer.starts_with("HTTP/1.") && answer.contains(" 401 Unauthorized\r\n"), "{answer}");
            assert!(
                answer.contains("Www-Authenticate: Basic realm=\"roundtable\", charset=\"UTF-8\"\r\n"),
                "{answer}"
            );
        }
    }

    /// A client of this machine that sends this, comes past the balancer, and goes on sending nothing.
    fn stalled(address: SocketAddr, request: &str) -> std::net::TcpStream {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    #[test]
    fn a_stranger_is_told_at_once_and_can_read_it_whatever_is_sent_along() {
        let address = started(Some(anna()));
        for (sent, promised) in
            [(0, 1), (0, 1_000_000), (3, 1_000_000), (500_000, 1_000_000), (500_000, 500_000)]
        {
            let head = format!("POST /m HTTP/1.1\r\nHost: a\r\nContent-Length: {promised}\r\n\r\n");
            let mut stream = stalled(address, &(head + &"x".repeat(sent)));
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{sent} of {promised}: {answer}");
        }
        let mut chunked =
            stalled(address, "POST /m HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
        let mut answer = String::new();
        chunked.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{answer}");
    }

    #[test]
    fn however_many_stall_whoever_comes_is_served() {
        let basic = |credentials: &str| format!("Authorization: Basic {}\r\n", STANDARD.encode(credentials));
        let right = basic("anna:x");
        let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n";
        for (users, stalls) in [
            (Some(anna()), String::new()),
            (Some(anna()), "GET /m HTTP/1.1\r\nHost: a\r\n".to_owned()),
            (Some(anna()), "POST /m HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n".to_owned()),
            (Some(anna()), format!("POST /m HTTP/1.1\r\nHost: a\r\n{}\r\n", basic("anna:wrong"))),
            // Those who are let in have as little power over each other.
            (Some(anna()), format!("POST /m HTTP/1.1\r\nHost: a\r\n{right}{form}\r\n")),
            (None, format!("POST /m HTTP/1.1\r\nHost: localhost\r\n{form}\r\n")),
        ] {
            let address = started(users);
            let stalled: Vec<_> = (0..2 * MOST_HEADS).map(|_| stalled(address, &stalls)).collect();
            let request = format!("GET /m/status.json HTTP/1.1\r\nHost: localhost\r\n{right}\r\n");
            let answer = asked(address, request.as_bytes());
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{stalls}: {answer}");
            drop(stalled);
        }
    }

    #[test]
    fn noise_and_idle_connections_keep_nobody_from_being_served() {
        let address = started(None);
        let idle: Vec<_> = (0..100).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        for noise in [&b"\x16\x03\x01\x02\x00"[..], b"GET /m HTTP/9.9\r\n\r\n", b"\r\n\r\n\r\n\0"] {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.write_all(noise).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        }
        let answer = asked(address, b"GET /m/status.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        drop(idle);
    }
}
