//! Concurrent misses: one fetch for many, and who does not have to wait for it.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roundtable::proxy::{CloseReason, Done, Op, Peer, Proxy, Session};

use crate::cache::response;
use crate::world::caching_proxy;

/// A session of which each operation is in the test's hands.
struct Hand {
    session: Session,
    op: Option<Op>,
    now: Instant,
}

impl Hand {
    fn start(proxy: &Arc<Proxy>, now: Instant, request: &str) -> Hand {
        let (session, op) = Session::start(Arc::clone(proxy), ([192, 0, 2, 7], 4711).into(), now);
        let mut hand = Hand { session, op: Some(op), now };
        hand.says(Peer::Client, request);
        hand
    }

    /// The read in hand gets this.
    fn says(&mut self, from: Peer, bytes: &str) {
        match self.op.take().unwrap() {
            Op::Read(peer, mut buf) if peer == from => {
                buf.spare_mut()[..bytes.len()].copy_from_slice(bytes.as_bytes());
                self.step(Done::Transferred(Ok(bytes.len()), buf));
            }
            other => panic!("nobody reads from {from:?}: {other:?}"),
        }
    }

    /// The read or write in hand fails.
    fn fails(&mut self, error: ErrorKind) {
        match self.op.take().unwrap() {
            Op::Read(_, buf) | Op::Write(_, buf) => self.step(Done::Transferred(Err(error.into()), buf)),
            other => panic!("it cannot fail: {other:?}"),
        }
    }

    /// The deadline passes.
    fn waits(&mut self) -> Duration {
        let deadline = self.session.deadline().expect("it waits");
        let waited = deadline - self.now;
        self.now = deadline;
        self.fails(ErrorKind::TimedOut);
        waited
    }

    fn step(&mut self, done: Done) {
        self.op = Some(self.session.step(done, self.now));
    }

    /// Connects, sends the request and waits for the answer.
    fn reaches_backend(&mut self) {
        assert!(matches!(self.op.take(), Some(Op::Connect { .. })), "it goes to a backend");
        self.step(Done::Connected(Ok(false)));
        let Some(Op::Write(Peer::Backend, buf)) = self.op.take() else { panic!("the request is sent") };
        self.step(Done::Transferred(Ok(buf.window().len()), buf));
    }

    /// Goes on without waiting until the session would read; what the client gets by then.
    fn told(&mut self) -> String {
        let mut told = Vec::new();
        loop {
            match self.op.take().unwrap() {
                Op::Write(Peer::Client, buf) => {
                    told.extend_from_slice(buf.window());
                    self.step(Done::Transferred(Ok(buf.window().len()), buf));
                }
                Op::Release { .. } | Op::Discard | Op::HalfClose => self.step(Done::Complete),
                other => {
                    self.op = Some(other);
                    return String::from_utf8(told).unwrap();
                }
            }
        }
    }

    fn waits_for_a_fetch(&self) -> bool {
        let soon =
            self.session.deadline().is_some_and(|deadline| deadline <= self.now + Duration::from_millis(100));
        matches!(&self.op, Some(Op::Read(Peer::Client, _))) && soon
    }
}

const KEPT: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn one_fetch_answers_all_who_ask_meanwhile() {
    let (proxy, now) = (caching_proxy(1), Instant::now());
    let mut first = Hand::start(&proxy, now, KEPT);
    first.reaches_backend();
    let mut others: Vec<Hand> = (0..3).map(|_| Hand::start(&proxy, now, KEPT)).collect();
    for other in &mut others {
        assert!(other.waits_for_a_fetch());
        assert!(other.waits() < other.waits() && other.waits_for_a_fetch(), "it looks less and less often");
    }
    first.says(Peer::Backend, &response("Cache-Control: max-age=60\r\n", "hello"));
    assert!(first.told().ends_with("hello"));
    for other in &mut others {
        other.waits();
        let told = other.told();
        assert!(told.ends_with("hello") && told.contains("fwd=uri-miss; collapsed; ttl="), "{told}");
    }
}

#[test]
fn where_the_answer_is_not_storable_the_waiting_go_by_themselves_and_nobody_waits_there_again() {
    let (proxy, now) = (caching_proxy(1), Instant::now());
    let mut first = Hand::start(&proxy, now, KEPT);
    first.reaches_backend();
    let mut other = Hand::start(&proxy, now, KEPT);
    assert!(other.waits_for_a_fetch());
    // Its head alone tells, however long the body takes.
    first.says(Peer::Backend, "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 5\r\n\r\nhe");
    other.waits();
    other.reaches_backend();
    let mut third = Hand::start(&proxy, now, KEPT);
    third.reaches_backend();
}

#[test]
fn nobody_waits_for_ever_or_for_a_fetch_that_has_failed() {
    let (proxy, now) = (caching_proxy(1), Instant::now());
    let mut first = Hand::start(&proxy, now, KEPT);
    first.reaches_backend();
    let mut patient = Hand::start(&proxy, now, KEPT);
    while patient.waits_for_a_fetch() {
        patient.waits();
    }
    assert_eq!(patient.now - now, Duration::from_secs(5));
    patient.reaches_backend();
    let mut other = Hand::start(&proxy, now, KEPT);
    first.fails(ErrorKind::ConnectionReset);
    other.waits();
    other.reaches_backend();
}

#[test]
fn a_client_that_cannot_be_waited_with_goes_by_itself() {
    let (proxy, now) = (caching_proxy(1), Instant::now());
    let mut first = Hand::start(&proxy, now, KEPT);
    first.reaches_backend();
    Hand::start(&proxy, now, &KEPT.repeat(2)).reaches_backend();
    for said in ["", "GET /y"] {
        let mut other = Hand::start(&proxy, now, KEPT);
        assert!(other.waits_for_a_fetch());
        other.says(Peer::Client, said);
        other.reaches_backend();
    }
    let mut gone = Hand::start(&proxy, now, KEPT);
    gone.fails(ErrorKind::ConnectionReset);
    assert!(matches!(gone.op, Some(Op::Finish(CloseReason::ClientGone))));
}

#[test]
fn a_client_that_leaves_takes_nothing_from_those_who_wait() {
    for leaves_before_the_head in [true, false] {
        let (proxy, now) = (caching_proxy(1), Instant::now());
        let mut first = Hand::start(&proxy, now, KEPT);
        first.reaches_backend();
        let mut other = Hand::start(&proxy, now, KEPT);
        let answer = response("Cache-Control: max-age=60\r\n", "hello");
        let (head, rest) = answer.split_at(answer.len() - 2);
        if leaves_before_the_head {
            first.waits();
            assert!(matches!(first.op.take(), Some(Op::Look)));
            first.step(Done::Looked { client_is_gone: true, backend_has_spoken: false });
            first.says(Peer::Backend, head);
        } else {
            first.says(Peer::Backend, head);
            first.fails(ErrorKind::BrokenPipe);
        }
        first.says(Peer::Backend, rest);
        assert_eq!(first.told(), "", "there is nobody to be told");
        assert!(matches!(first.op, Some(Op::Finish(CloseReason::ClientGone))));
        other.waits();
        assert!(other.told().ends_with("hello"));
        drop((first, other));
        assert_eq!(proxy.in_flight(), 0);
    }
}

#[test]
fn a_client_that_leaves_alone_ends_its_exchange() {
    let (proxy, now) = (caching_proxy(1), Instant::now());
    let mut first = Hand::start(&proxy, now, KEPT);
    first.reaches_backend();
    first.waits();
    let _ = first.op.take();
    first.step(Done::Looked { client_is_gone: true, backend_has_spoken: false });
    assert!(matches!(first.op, Some(Op::Finish(CloseReason::ClientGone))));
}
