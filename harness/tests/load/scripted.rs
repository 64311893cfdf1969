//! Servers that answer as they are told, and a load at them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use roundtable_harness::load::{Load, LoadConfig, LoadReport};

pub(crate) const OK: &str =
    "HTTP/1.1 200 OK\r\nServer: scripted\r\nX-Backend: b\r\nContent-Length: 5\r\n\r\nhello";
pub(crate) const OK_CLOSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

/// A server that gives each connection, numbered from 0, to `serve` in a thread of its own.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    /// Connections so far.
    pub(crate) accepted: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Scripted {
    pub(crate) fn start(serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, stopped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stop, serve) = (accepted.clone(), stopped.clone(), Arc::new(serve));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (stream, serve) = (stream.unwrap(), serve.clone());
                stream.set_nodelay(true).unwrap();
                std::thread::spawn(move || serve(number, stream));
            }
        });
        Scripted { address, accepted, stopped, thread: Some(thread) }
    }

    /// Answers the i-th request in all with `answer(i)`, and closes after each response.
    pub(crate) fn closing(answer: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        Scripted::start(move |number, mut stream| {
            if request(&mut stream).is_some() {
                stream.write_all(answer(number).as_bytes()).unwrap();
            }
        })
    }

    /// Answers every request of a connection with `answer`.
    pub(crate) fn persistent(answer: &'static str) -> Self {
        Scripted::start(move |_, mut stream| {
            while request(&mut stream).is_some() {
                stream.write_all(answer.as_bytes()).unwrap();
            }
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn load(&self, requests: u64, concurrency: u32) -> LoadConfig {
        config(vec![self.url()], requests, concurrency)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        self.thread.take().unwrap().join().unwrap();
    }
}

pub(crate) fn config(urls: Vec<String>, requests: u64, concurrency: u32) -> LoadConfig {
    LoadConfig { urls, requests: Some(requests), concurrency, ..LoadConfig::default() }
}

/// One request head; `None` when the client is gone.
pub(crate) fn request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).unwrap())
}

pub(crate) fn drive(config: LoadConfig) -> LoadReport {
    let mut load = Load::prepare(config).unwrap();
    load.warm_up().unwrap();
    let report = load.measure().unwrap();
    assert_eq!(report.incomplete, None);
    assert_eq!(report.completed + report.failed.total(), report.requests);
    report
}
