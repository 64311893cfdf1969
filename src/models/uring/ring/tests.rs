//! The ring by itself, over real sockets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use super::*;

/// None where this machine lets nobody have one.
fn ring() -> Option<Ring> {
    let ring = Ring::new();
    if let Err(error) = &ring {
        eprintln!("skipped: no io_uring to be had ({error})");
    }
    ring.ok()
}

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().unwrap()
}

/// The next completion, waited for.
fn next(ring: &mut Ring) -> Completion {
    loop {
        if let Some(completion) = ring.take_completion() {
            return completion;
        }
        ring.wait(Some(Duration::from_secs(20))).unwrap();
    }
}

/// What was received, in a provided buffer that is given back.
fn received(ring: &mut Ring) -> Vec<u8> {
    match next(ring).outcome {
        Outcome::Received(Ok(Some(lent))) => {
            let bytes = ring.bytes(&lent).to_vec();
            ring.give_back(lent);
            bytes
        }
        _ => panic!("something else has come"),
    }
}

fn errno(outcome: Outcome) -> Option<i32> {
    match outcome {
        Outcome::Received(Err(error)) | Outcome::Transferred(Err(error), _) => error.raw_os_error(),
        _ => None,
    }
}

fn holding(bytes: &[u8]) -> Buf {
    let mut buf = Buf::with_capacity(bytes.len());
    assert!(buf.push(bytes));
    buf
}

#[test]
fn one_request_receives_every_message_and_the_end() {
    let Some(mut ring) = ring() else { return };
    let (ours, mut theirs) = pair();
    ring.receive(&ours, 7);
    for message in [&b"one"[..], b"two", b"three"] {
        theirs.write_all(message).unwrap();
        assert_eq!(received(&mut ring), message);
    }
    drop(theirs);
    let last = next(&mut ring);
    assert!(matches!(last.outcome, Outcome::Received(Ok(None))) && !last.more && last.token == 7);
}

#[test]
fn a_buffer_comes_back_with_what_was_sent_from_it_or_received_into_it() {
    let Some(mut ring) = ring() else { return };
    let (ours, mut theirs) = pair();
    ring.send(&ours, 1, holding(b"ping"));
    match next(&mut ring).outcome {
        Outcome::Transferred(Ok(4), buf) => assert_eq!(buf.window(), b"ping"),
        _ => panic!("it was not sent"),
    }
    let mut ping = [0; 4];
    theirs.read_exact(&mut ping).unwrap();
    assert_eq!(&ping, b"ping");
    ring.receive_into(&ours, 2, Buf::with_capacity(8));
    theirs.write_all(b"pong").unwrap();
    match next(&mut ring).outcome {
        Outcome::Transferred(Ok(4), mut buf) => assert_eq!(&buf.spare_mut()[..4], b"pong"),
        _ => panic!("it was not received"),
    }
}

#[test]
fn what_is_cancelled_gives_its_buffer_back_with_its_last_completion() {
    let Some(mut ring) = ring() else { return };
    let (ours, _theirs) = pair();
    let listening = ring.receive(&ours, 1);
    let receiving = ring.receive_into(&ours, 2, Buf::with_capacity(8));
    ring.wait(Some(Duration::ZERO)).unwrap();
    assert!(ring.take_completion().is_none());
    for key in [listening, receiving] {
        ring.cancel(key);
        let last = next(&mut ring);
        assert_eq!((last.more, errno(last.outcome)), (false, Some(Errno::ECANCELED as i32)));
    }
    assert!(ring.operations.is_empty());
}

#[test]
fn receiving_ends_for_want_of_buffers_and_goes_on_when_some_are_given_back() {
    let Some(mut ring) = ring() else { return };
    let (ours, mut theirs) = pair();
    ring.receive(&ours, 1);
    let mut lent = Vec::new();
    loop {
        theirs.write_all(&[lent.len() as u8]).unwrap();
        let completion = next(&mut ring);
        match completion.outcome {
            Outcome::Received(Ok(Some(one))) => lent.push(one),
            outcome => {
                assert_eq!((completion.more, errno(outcome)), (false, Some(Errno::ENOBUFS as i32)));
                break;
            }
        }
    }
    // None was overwritten meanwhile.
    assert_eq!(lent.len(), usize::from(PROVIDED));
    for (number, lent) in lent.into_iter().enumerate() {
        assert_eq!(ring.bytes(&lent), [number as u8]);
        ring.give_back(lent);
    }
    ring.receive(&ours, 1);
    assert_eq!(received(&mut ring), [PROVIDED as u8]);
}

#[test]
fn what_the_queue_has_no_room_for_is_performed_too_and_in_its_order() {
    let Some(mut ring) = ring() else { return };
    // One that would hold all of it unread.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut theirs, _) = listener.accept().unwrap();
    let count = 2 * SUBMISSIONS as usize + 1;
    for number in 0..count {
        ring.send(&ours, number, holding(&[number as u8]));
    }
    ring.close(ours);
    for _ in 0..count {
        assert!(matches!(next(&mut ring).outcome, Outcome::Transferred(Ok(1), _)));
    }
    let mut sent = Vec::new();
    theirs.read_to_end(&mut sent).unwrap();
    assert_eq!(sent, (0..count).map(|number| number as u8).collect::<Vec<_>>());
}

#[test]
fn a_ring_that_is_dropped_in_the_middle_leaves_the_kernel_its_memory() {
    let Some(mut ring) = ring() else { return };
    let (ours, mut theirs) = pair();
    ring.receive(&ours, 1);
    ring.receive_into(&ours, 2, Buf::with_capacity(1 << 16));
    ring.wait(Some(Duration::ZERO)).unwrap();
    drop(ring);
    // Nobody else has the memory now: writes to it would be found by whoever looks for them.
    let others: Vec<Vec<u8>> = (0..64).map(|_| vec![0xAA; 1 << 16]).collect();
    theirs.set_nonblocking(true).unwrap();
    while matches!(theirs.write(&[0x55; 4096]), Ok(1..)) {}
    assert!(others.iter().all(|memory| memory.iter().all(|byte| *byte == 0xAA)));
}
