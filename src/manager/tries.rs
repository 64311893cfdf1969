//! How fast passwords can be tried: from one address one at a time, with a pause after a wrong one.
//!
//! Owns who is next. Rules: of those that wait, the newest is next, and beyond [`MOST_WAITING`] the oldest is sent away:
//! however many have come before, whoever comes now waits for one try and one pause. A turn passes on when it is dropped,
//! so that nobody can keep one by hanging up.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot::{Sender, channel};

/// How long an address's next try waits after a wrong one.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// Tries of one address that wait for their turn.
const MOST_WAITING: usize = 8;

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

/// The tries that are under way.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// Where somebody has the turn: who waits for it, the newest last.
    waiting: Mutex<HashMap<Origin, Vec<Sender<Turn>>>>,
}

/// The right to try a password; the next one of the same origin has it when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    tries: Arc<Tries>,
    origin: Origin,
}

impl Tries {
    /// Waits for a turn. None: newer ones came, and this one is to be sent away.
    pub(super) async fn turn(self: &Arc<Self>, origin: Origin) -> Option<Turn> {
        let next = {
            let mut waiting = self.waiting();
            match waiting.entry(origin) {
                Entry::Vacant(place) => {
                    place.insert(Vec::new());
                    return Some(Turn { tries: Arc::clone(self), origin });
                }
                Entry::Occupied(mut place) => {
                    let (sender, next) = channel();
                    place.get_mut().push(sender);
                    if place.get().len() > MOST_WAITING {
                        place.get_mut().remove(0);
                    }
                    next
                }
            }
        };
        next.await.ok()
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Origin, Vec<Sender<Turn>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut waiting = self.tries.waiting();
            let next = waiting.get_mut(&self.origin).and_then(Vec::pop);
            if next.is_none() {
                waiting.remove(&self.origin);
            }
            next
        };
        if let Some(next) = next {
            // Whoever is gone gives it back here, and it passes on.
            drop(next.send(Turn { tries: Arc::clone(&self.tries), origin: self.origin }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = Option<Turn>>>>;

    fn waiting(tries: &Arc<Tries>, address: &str) -> Waiting {
        let (tries, origin) = (Arc::clone(tries), Origin::of(address.parse().ok()));
        let mut waiting: Waiting = Box::pin(async move { tries.turn(origin).await });
        assert!(polled(&mut waiting).is_pending());
        waiting
    }

    fn polled(waiting: &mut Waiting) -> Poll<Option<Turn>> {
        waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn of_one_address_the_newest_is_next_and_other_addresses_do_not_wait() {
        let tries = Arc::new(Tries::default());
        let first = tries.turn(Origin::of("192.0.2.1".parse().ok())).await.unwrap();
        let [mut old, mut new] = [waiting(&tries, "192.0.2.1"), waiting(&tries, "::ffff:192.0.2.1")];
        assert!(tries.turn(Origin::of("192.0.2.2".parse().ok())).await.is_some());
        assert!(tries.turn(Origin::of(None)).await.is_some());
        drop(first);
        assert!(polled(&mut old).is_pending());
        let Poll::Ready(Some(turn)) = polled(&mut new) else { panic!("the newest waits") };
        drop(turn);
        assert!(matches!(polled(&mut old), Poll::Ready(Some(_))));
        assert!(tries.waiting().is_empty(), "something is kept of those that have gone");
    }

    #[tokio::test]
    async fn the_oldest_are_sent_away_and_who_hangs_up_passes_the_turn_on() {
        let tries = Arc::new(Tries::default());
        let first = tries.turn(Origin::of("2001:db8::1".parse().ok())).await.unwrap();
        let mut crowd: Vec<Waiting> =
            (0..MOST_WAITING + 3).map(|number| waiting(&tries, &format!("2001:db8::{number:x}"))).collect();
        let sent_away = crowd.iter_mut().map(|one| matches!(polled(one), Poll::Ready(None)));
        assert_eq!(sent_away.filter(|is| *is).count(), 3);
        let mut last = crowd.split_off(3);
        drop(first);
        // The newest has been given the turn and never takes it; the next ones do not even wait any more.
        last.truncate(1);
        assert!(matches!(polled(&mut last[0]), Poll::Ready(Some(_))));
        assert!(tries.waiting().is_empty());
    }
}
