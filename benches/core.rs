//! `cargo bench --bench core`: what the parts of one exchange cost, without any I/O.

#![allow(missing_docs, reason = "criterion's macros write items without docs")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot go on ends with a panic")]

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use roundtable::proxy::{Buf, Config, Done, Limits, Op, Peer, Proxy, Session, internals};

/// What `ab` sends.
const SHORT: &[u8] =
    b"GET / HTTP/1.0\r\nHost: 127.0.0.1:18000\r\nUser-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n";
/// What a browser sends.
const LONG: &[u8] = b"GET /images/photo.jpg?size=large HTTP/1.1\r\nHost: localhost:18000\r\nConnection: keep-alive\r\n\
sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\n\
Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
Chrome/130.0.0.0 Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n\
Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\nCookie: session=0123456789abcdef\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: origin\r\nX-Backend: a\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n";

fn heads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rewrite a request head");
    let rewriter = internals::RequestRewriter::default();
    for (name, head) in [("as ab sends it", SHORT), ("as a browser sends it", LONG)] {
        group.throughput(Throughput::Bytes(head.len() as u64));
        let mut input = head.to_vec();
        let mut out = internals::large_buffer();
        group.bench_function(name, |bencher| {
            bencher.iter(|| rewriter.rewrite(black_box(&mut input), &mut out).unwrap());
        });
    }
    group.finish();
}

fn chunks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan a chunked body of 16 KiB");
    for (name, size, extension) in [
        ("in chunks of 4096 B", 4096, ""),
        ("in chunks of 64 B", 64, ""),
        ("in chunks of 64 B with extensions", 64, ";a=b"),
    ] {
        let mut body = Vec::new();
        for _ in 0..16 * 1024 / size {
            body.extend_from_slice(format!("{size:x}{extension}\r\n{}\r\n", "x".repeat(size)).as_bytes());
        }
        body.extend_from_slice(b"0\r\n\r\n");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || body.clone(),
                |body| internals::scan_chunked(body).unwrap(),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// A persistent connection whose peers answer at once.
struct Exchange {
    session: Session,
    op: Option<Op>,
    now: Instant,
    response: Vec<u8>,
}

impl Exchange {
    fn new() -> Self {
        let now = Instant::now();
        let backends = (1..=3).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
        let config = Config::round_robin(backends, "localhost".into(), Limits::default());
        let proxy = Arc::new(Proxy::new(config, now).unwrap());
        let (session, op) = Session::start(proxy, ([127, 0, 0, 1], 4711).into(), now);
        let mut response = RESPONSE.to_vec();
        response.resize(RESPONSE.len() + 1024, b'x');
        Exchange { session, op: Some(op), now, response }
    }

    /// From one read of a request to the next.
    fn run(&mut self, request: &[u8]) {
        let mut answered = false;
        loop {
            let done = match self.op.take().unwrap() {
                Op::Read(Peer::Client, buf) if answered => {
                    self.op = Some(Op::Read(Peer::Client, buf));
                    return;
                }
                Op::Read(Peer::Client, buf) => filled(buf, request),
                Op::Read(Peer::Backend, buf) => filled(buf, &self.response),
                Op::Write(peer, buf) => {
                    answered |= peer == Peer::Client;
                    Done::Transferred(Ok(buf.window().len()), buf)
                }
                Op::Connect { .. } => Done::Connected(Ok(true)),
                Op::Look => Done::Looked { client_is_gone: false, backend_has_spoken: false },
                Op::Release { .. } | Op::Discard | Op::HalfClose => Done::Complete,
                Op::Finish(reason) => panic!("the session ended: {reason:?}"),
            };
            self.op = Some(self.session.step(done, self.now));
        }
    }
}

fn filled(mut buf: Buf, bytes: &[u8]) -> Done {
    // A client's first buffer is small: what does not fit comes with the next read in life, and is left out here.
    let room = buf.spare_mut();
    let count = room.len().min(bytes.len());
    room[..count].copy_from_slice(&bytes[..count]);
    Done::Transferred(Ok(count), buf)
}

fn exchanges(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one whole exchange through the core");
    group.throughput(Throughput::Elements(1));
    for (name, request) in [
        ("HTTP/1.1 as wrk sends it", &b"GET / HTTP/1.1\r\nHost: 127.0.0.1:18000\r\n\r\n"[..]),
        ("as a browser sends it", LONG),
    ] {
        let mut exchange = Exchange::new();
        group.bench_function(name, |bencher| bencher.iter(|| exchange.run(black_box(request))));
    }
    group.finish();
}

fn histograms(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("histogram");
    let mut histogram = roundtable_harness::load::latency::histogram();
    let mut ns = 50_000;
    group.bench_function("record one response time", |bencher| {
        bencher.iter(|| {
            ns = ns * 1_103_515_245 % 9_999_991;
            histogram.saturating_record(black_box(ns));
        });
    });
    group.bench_function("write 10000 response times as text", |bencher| {
        bencher.iter(|| roundtable_harness::load::latency::encode(black_box(&histogram)));
    });
    group.finish();
}

criterion_group!(benches, heads, chunks, exchanges, histograms);
criterion_main!(benches);
