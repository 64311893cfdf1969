//! How fast passwords can be tried: from one address one at a time, with a pause after a wrong one.
//!
//! Owns who is next. Rules: of those that wait, the newest is next, and beyond [`MOST_WAITING`] the oldest is sent away:
//! however many have come before, whoever comes now waits for one try and one pause. The same credentials again are no
//! further try: they wait for what comes of the first, few of them again. A turn passes on when it is dropped, so that nobody can keep one by
//! hanging up.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot::{Receiver, Sender, channel};

/// How long an address's next try waits after a wrong one.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// Tries of one address that wait for their turn.
const MOST_WAITING: usize = 8;
/// Who can wait with the same credentials.
const MOST_SAME: usize = 16;

/// Where a try comes from: an IPv4 address, or the /64 network that an IPv6 client can choose its addresses from. None is
/// a program of this machine that did not come through the balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Origin(Option<IpAddr>);

impl Origin {
    pub(super) fn of(client: Option<IpAddr>) -> Self {
        Origin(client.map(|client| match client.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address @ IpAddr::V4(_) => address,
        }))
    }
}

/// What tells credentials apart without showing them.
pub(super) type Fingerprint = [u8; 32];

/// The tries that are under way.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// Where somebody has the turn.
    lanes: Mutex<HashMap<Origin, Lane>>,
}

/// The tries of one origin.
#[derive(Debug)]
struct Lane {
    /// Whose turn it is.
    tried: Try,
    /// Those that wait for their turn, the newest last.
    waiting: Vec<Try>,
}

/// Credentials that are tried, and all who wait with the same ones.
#[derive(Debug)]
struct Try {
    credentials: Fingerprint,
    waiting: Vec<Sender<Wait>>,
}

/// The right to try a password; the next one of the same origin has it when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    tries: Arc<Tries>,
    origin: Origin,
}

/// What becomes of a wait for a turn.
#[derive(Debug)]
pub(super) enum Wait {
    /// It is over.
    Turn(Turn),
    /// The same credentials were judged meanwhile.
    Judged,
    /// Newer ones came: this one is to be sent away.
    SentAway,
}

impl Tries {
    /// Waits until `credentials` can be tried.
    pub(super) async fn turn(self: &Arc<Self>, origin: Origin, credentials: Fingerprint) -> Wait {
        let next = {
            let mut lanes = self.lanes();
            match lanes.entry(origin) {
                Entry::Vacant(place) => {
                    place.insert(Lane {
                        tried: Try { credentials, waiting: Vec::new() },
                        waiting: Vec::new(),
                    });
                    return Wait::Turn(Turn { tries: Arc::clone(self), origin });
                }
                Entry::Occupied(mut place) => place.get_mut().wait(credentials),
            }
        };
        next.await.unwrap_or(Wait::SentAway)
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<Origin, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    fn wait(&mut self, credentials: Fingerprint) -> Receiver<Wait> {
        let (sender, next) = channel();
        let mut all = std::iter::once(&mut self.tried).chain(&mut self.waiting);
        if let Some(same) = all.find(|other| other.credentials == credentials) {
            same.waiting.push(sender);
            if same.waiting.len() > MOST_SAME {
                same.waiting.remove(0);
            }
        } else {
            self.waiting.push(Try { credentials, waiting: vec![sender] });
            if self.waiting.len() > MOST_WAITING {
                self.waiting.remove(0);
            }
        }
        next
    }

    /// Whose turn it is now.
    fn pass_on(&mut self) -> Option<Sender<Wait>> {
        // With the same credentials as whoever has given up, or else the newest ones.
        while self.tried.waiting.is_empty() {
            self.tried = self.waiting.pop()?;
        }
        self.tried.waiting.pop()
    }
}

impl Turn {
    /// The credentials were judged: whoever waits with the same ones need not try them.
    pub(super) fn is_judged(&self) {
        let same =
            self.tries.lanes().get_mut(&self.origin).map(|lane| std::mem::take(&mut lane.tried.waiting));
        for waiting in same.into_iter().flatten() {
            // Whoever is gone need not be told.
            drop(waiting.send(Wait::Judged));
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut lanes = self.tries.lanes();
            let next = lanes.get_mut(&self.origin).and_then(Lane::pass_on);
            if next.is_none() {
                lanes.remove(&self.origin);
            }
            next
        };
        if let Some(next) = next {
            // Whoever is gone gives it back here, and it passes on.
            drop(next.send(Wait::Turn(Turn { tries: Arc::clone(&self.tries), origin: self.origin })));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = Wait>>>;

    fn asked(tries: &Arc<Tries>, address: &str, credentials: u8) -> Waiting {
        let (tries, origin) = (Arc::clone(tries), Origin::of(address.parse().ok()));
        let mut waiting: Waiting = Box::pin(async move { tries.turn(origin, [credentials; 32]).await });
        assert!(polled(&mut waiting).is_pending());
        waiting
    }

    fn polled(waiting: &mut Waiting) -> Poll<Wait> {
        waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    async fn first(tries: &Arc<Tries>, address: &str) -> Turn {
        let Wait::Turn(turn) = tries.turn(Origin::of(address.parse().ok()), [0; 32]).await else {
            panic!("nobody is there and it waits")
        };
        turn
    }

    #[tokio::test]
    async fn of_one_address_the_newest_is_next_and_other_addresses_do_not_wait() {
        let tries = Arc::new(Tries::default());
        let turn = first(&tries, "192.0.2.1").await;
        let [mut old, mut new] = [asked(&tries, "192.0.2.1", 1), asked(&tries, "::ffff:192.0.2.1", 2)];
        drop(first(&tries, "192.0.2.2").await);
        drop(first(&tries, "none").await);
        drop(turn);
        assert!(polled(&mut old).is_pending());
        let Poll::Ready(Wait::Turn(turn)) = polled(&mut new) else { panic!("the newest waits") };
        drop(turn);
        assert!(matches!(polled(&mut old), Poll::Ready(Wait::Turn(_))));
        assert!(tries.lanes().is_empty(), "something is kept of those that have gone");
    }

    #[tokio::test]
    async fn the_oldest_are_sent_away_and_who_hangs_up_passes_the_turn_on() {
        let tries = Arc::new(Tries::default());
        let turn = first(&tries, "2001:db8::1").await;
        let crowd = 1..MOST_WAITING as u8 + 4;
        let mut crowd: Vec<Waiting> =
            crowd.map(|number| asked(&tries, &format!("2001:db8::{number:x}"), number)).collect();
        let sent_away = crowd.iter_mut().map(|one| matches!(polled(one), Poll::Ready(Wait::SentAway)));
        assert_eq!(sent_away.filter(|is| *is).count(), 3);
        let mut last = crowd.split_off(3);
        drop(turn);
        // The newest has been given the turn and never takes it; the next ones do not even wait any more.
        last.truncate(1);
        assert!(matches!(polled(&mut last[0]), Poll::Ready(Wait::Turn(_))));
        assert!(tries.lanes().is_empty());
    }

    #[tokio::test]
    async fn the_same_credentials_are_one_try_however_often_they_come() {
        let tries = Arc::new(Tries::default());
        let turn = first(&tries, "192.0.2.1").await;
        let mut other = asked(&tries, "192.0.2.1", 1);
        let mut crowd: Vec<Waiting> =
            (0..100).map(|number| asked(&tries, "192.0.2.1", number % 2 * 2)).collect();
        turn.is_judged();
        let mut outcomes = crowd.iter_mut().step_by(2).map(polled);
        let sent_away = |outcome: Poll<Wait>| matches!(outcome, Poll::Ready(Wait::SentAway));
        assert!(outcomes.by_ref().take(50 - MOST_SAME).all(sent_away));
        assert!(outcomes.all(|outcome| matches!(outcome, Poll::Ready(Wait::Judged))));
        drop(turn);
        assert!(matches!(polled(&mut crowd[99]), Poll::Ready(Wait::Turn(_))));
        // The one that had it has dropped it without a verdict: another one with the same credentials tries them.
        drop(crowd);
        assert!(matches!(polled(&mut other), Poll::Ready(Wait::Turn(_))));
        assert!(tries.lanes().is_empty());
    }
}
