//! Whose turn it is in one group: round robin by weight, or who is least busy, among those that can serve.
//!
//! Owns the order of turns and the order in which one request tries backends. What is known of a backend is `backend`'s and
//! `health`'s. Rules: while all members can serve, any round of turns reaches each as often as its weight says,
//! whichever threads take them (one atomic addition a request); those that cannot give their turns to all others
//! in their shares, not to a neighbour; a draining member serves only when no other can, a disabled one never.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::backend::Backend;
use super::config::MOST_TURNS;
use super::error::Error;
use super::health::Admission;
use super::vocabulary::{BackendId, Mode, Policy};

/// The backends that one request has tried in vain.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tried(u128);

impl Tried {
    pub(crate) fn add(&mut self, backend: BackendId) {
        self.0 |= 1 << backend.0;
    }

    fn has(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
    }
}

/// A backend for a request. Its slot is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) backend: BackendId,
    /// Whether an idle connection to it will do.
    pub(crate) reuse: bool,
}

/// Why there is no backend for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoTurn {
    /// Whoever could serve has as much to do as it may have.
    Full,
    /// The operator has disabled all.
    Disabled,
}

/// The members of a group that have turns, and the turns of one round.
#[derive(Debug, Default)]
struct Order {
    members: Vec<usize>,
    turns: Vec<usize>,
    /// Have no turn of their own, and serve when no member can.
    reserves: Vec<usize>,
}

/// One group's turns.
#[derive(Debug)]
pub(crate) struct Rotation {
    members: Range<usize>,
    policy: Policy,
    retry_interval: Duration,
    order: ArcSwap<Order>,
    turn: AtomicUsize,
}

impl Rotation {
    /// The rotation of the `members` of `backends`.
    pub(crate) fn new(
        backends: &[Backend],
        members: Range<usize>,
        policy: Policy,
        retry_interval: Duration,
    ) -> Result<Self, Error> {
        let order = ArcSwap::from_pointee(Order::of(backends, members.clone())?);
        Ok(Rotation { members, policy, retry_interval, order, turn: AtomicUsize::new(0) })
    }

    pub(crate) fn policy(&self) -> Policy {
        self.policy
    }

    pub(crate) fn members(&self) -> Range<usize> {
        self.members.clone()
    }

    /// Takes up what has changed in weights and modes. On failure everything stays.
    pub(crate) fn reorder(&self, backends: &[Backend]) -> Result<(), Error> {
        self.order.store(Order::of(backends, self.members.clone())?.into());
        Ok(())
    }

    /// The backend that a new request goes to. `now` counts from the proxy's beginning.
    pub(crate) fn take_turn(&self, backends: &[Backend], now: Duration) -> Result<Turn, NoTurn> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let order = self.order.load();
        let chosen = match self.policy {
            Policy::RoundRobin => order.in_turn(backends, turn, now),
            Policy::LeastBusy => order.least_busy(backends, turn, now),
        };
        if let Some(index) = chosen {
            let admission = backends[index].health.admit(now, self.retry_interval);
            // Out: another request is trying that one already: no stampede. And another thread may have filled it.
            if admission != Admission::Out && backends[index].take_slot() {
                // An old connection that still works would not tell whether new ones do, and leave it out for ever.
                return Ok(Turn { backend: BackendId(index), reuse: admission == Admission::In });
            }
        }
        let start = chosen.unwrap_or(self.members.start);
        if let Some(backend) = order.next(backends, start, Tried::default(), now) {
            return Ok(Turn { backend, reuse: true });
        }
        // With none left, one is tried anyway, so that recovery is noticed.
        let all = if order.turns.is_empty() { &order.reserves } else { &order.turns };
        if all.is_empty() {
            return Err(NoTurn::Disabled);
        }
        let is_healthy = |index: &&usize| backends[**index].health.is_usable(now);
        let anyone = all[turn % all.len()];
        if order.members.iter().chain(&order.reserves).any(|index| is_healthy(&index))
            || !backends[anyone].take_slot()
        {
            return Err(NoTurn::Full);
        }
        Ok(Turn { backend: BackendId(anyone), reuse: true })
    }

    /// The backend that a request goes to when `last` has failed it: the next one that can serve and that it has not
    /// tried, its slot taken, or else none.
    pub(crate) fn after(
        &self,
        backends: &[Backend],
        last: BackendId,
        tried: Tried,
        now: Duration,
    ) -> Option<BackendId> {
        self.order.load().next(backends, last.0, tried, now)
    }
}

impl Order {
    fn of(backends: &[Backend], members: Range<usize>) -> Result<Self, Error> {
        let with = |mode: Mode| members.clone().filter(move |index| backends[*index].mode() == mode);
        let enabled: Vec<usize> = with(Mode::Enabled).collect();
        let weights: Vec<u64> = enabled.iter().map(|index| u64::from(backends[*index].weight())).collect();
        Ok(Order {
            turns: smooth(&weights)?.into_iter().map(|place| enabled[place]).collect(),
            members: enabled,
            reserves: with(Mode::Draining).collect(),
        })
    }

    fn in_turn(&self, backends: &[Backend], turn: usize, now: Duration) -> Option<usize> {
        let can_serve = |index: &usize| backends[*index].can_serve(now);
        if self.members.iter().all(can_serve) {
            return self.turns.get(turn % self.turns.len().max(1)).copied();
        }
        let count = self.turns.iter().filter(|index| can_serve(index)).count();
        // Another thread may change a backend's state between the count and the choice.
        self.turns.iter().filter(|index| can_serve(index)).nth(turn % count.max(1)).copied()
    }

    /// As nginx's least_conn: idle ones are equals, whatever their weights, and equals take turns by weight.
    fn least_busy(&self, backends: &[Backend], turn: usize, now: Duration) -> Option<usize> {
        let whose_turn = self.turns.get(turn % self.turns.len().max(1))?;
        let (before, from) = self.members.split_at(self.members.partition_point(|index| index < whose_turn));
        let candidates = from.iter().chain(before).filter(|index| backends[**index].can_serve(now));
        // The first of equals.
        candidates.copied().min_by_key(|index| {
            let backend = &backends[*index];
            (u64::from(backend.in_use()) << 32) / u64::from(backend.weight())
        })
    }

    /// The first one behind `last` that can serve and was not tried, with its slot; reserves come last.
    fn next(&self, backends: &[Backend], last: usize, tried: Tried, now: Duration) -> Option<BackendId> {
        let behind = self.members.iter().filter(|index| **index > last);
        let before = self.members.iter().filter(|index| **index <= last);
        behind
            .chain(before)
            .chain(&self.reserves)
            .find(|index| {
                !tried.has(**index) && backends[**index].can_serve(now) && backends[**index].take_slot()
            })
            .map(|index| BackendId(*index))
    }
}

/// The turns of one round for members with these `weights`, each one's spread over it: at every turn all gain their
/// weight, and who has gained most has the turn and pays what all gained (smooth weighted round robin, as in nginx).
fn smooth(weights: &[u64]) -> Result<Vec<usize>, Error> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let total: u64 = weights.iter().map(|weight| weight / divisor).sum();
    if total > MOST_TURNS as u64 {
        return Err(Error::Config(format!(
            "the weights of a group add up to {total} turns a round; choose ones with a common divisor, at most \
             {MOST_TURNS} turns"
        )));
    }
    let mut gains = vec![0i64; weights.len()];
    let mut turns = Vec::with_capacity(total as usize);
    for _ in 0..total {
        for (gain, weight) in gains.iter_mut().zip(weights) {
            *gain += (weight / divisor) as i64;
        }
        // The first of equals.
        let Some(most) = (0..gains.len()).rev().max_by_key(|place| gains[*place]) else { break };
        gains[most] -= total as i64;
        turns.push(most);
    }
    Ok(turns)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
#[path = "rotation/tests.rs"]
mod tests;
