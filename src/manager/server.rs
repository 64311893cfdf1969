//! The HTTP server under the manager: hyper on a runtime of one thread.
//!
//! Owns the bounds on what a client of this machine can hold on to: connections, the time of a head, the time of everything.
//! Each connection carries one request, so that the balancer never sends a form on one that is about to close.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::access::MOST_AT_ONCE;
use super::site::Site;

/// Connections at the same time; further ones wait to be accepted.
const MOST_CONNECTIONS: usize = 256;
/// For a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// For everything: the form, waiting for others' passwords, the response.
const TIMEOUT: Duration = Duration::from_secs(60);
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
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let site = Arc::clone(&site);
                tokio::spawn(async move {
                    let _permit = permit;
                    // Whoever broke off or was too slow is told by the end of the connection.
                    drop(timeout(TIMEOUT, serve(stream, site)).await);
                });
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn serve(stream: TcpStream, site: Arc<Site>) -> hyper::Result<()> {
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(site.answer(request).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MOST_HEAD)
        .max_headers(MOST_FIELDS)
        .keep_alive(false)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, SocketAddr};
    use std::time::Instant;

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
        let file = format!("anna:{}", bcrypt::hash("x", 4).unwrap());
        let address = started(Some(Users::parse(file.as_bytes()).unwrap()));
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
