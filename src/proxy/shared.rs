//! What all sessions of one balancer share: backends, routes, turns, free buffers, and whether it is draining.
//!
//! Owns no connection. Everything that an exchange needs here is read-only or atomic: no session ever waits for another
//! one here. Only changes by an operator exclude each other.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::backend::{Backend, count};
use super::buf::Pool;
use super::cache::Cache;
use super::config::{Config, MOST_WEIGHT};
use super::date::Date;
use super::error::Error;
use super::health::Watcher;
use super::limits::Limits;
use super::observer::Observer;
use super::rotation::{NoTurn, Rotation, Tried, Turn};
use super::route::{RouteId, Routes};
use super::status::{Change, GroupStatus, MemberStatus, Status};
use super::vocabulary::BackendId;

/// The shared half of a balancer.
#[derive(Debug)]
pub struct Proxy {
    pub(crate) limits: Limits,
    pub(crate) routes: Routes,
    pub(crate) pool: Pool,
    pub(crate) authority: String,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) date: Date,
    pub(crate) cache: Option<Cache>,
    watcher: Option<Arc<dyn Watcher>>,
    backends: Vec<Backend>,
    groups: Vec<Group>,
    /// Held while an operator changes something.
    changing: Mutex<()>,
    beginning: Instant,
    draining: AtomicBool,
    in_flight: AtomicUsize,
    answers: [AtomicU64; 6],
}

#[derive(Debug)]
struct Group {
    name: String,
    hidden: bool,
    rotation: Rotation,
}

impl Proxy {
    /// A balancer that begins at `now`. Refuses a configuration that cannot work.
    pub fn new(config: Config, now: Instant) -> Result<Self, Error> {
        config.validate()?;
        let members: Vec<usize> = config.groups.iter().map(|group| group.members.len()).collect();
        let heads: Vec<_> =
            config.groups.iter().map(|group| (group.name.clone(), group.hidden, group.policy)).collect();
        let backends: Vec<Backend> =
            config.groups.into_iter().flat_map(|group| group.members).map(Backend::new).collect();
        let mut groups = Vec::with_capacity(heads.len());
        let mut first = 0;
        for ((name, hidden, policy), count) in heads.into_iter().zip(members) {
            let range = first..first + count;
            first = range.end;
            let rotation = Rotation::new(&backends, range, policy, config.limits.retry_interval)?;
            groups.push(Group { name, hidden, rotation });
        }
        Ok(Proxy {
            limits: config.limits,
            routes: Routes::new(&config.routes),
            pool: Pool::new(),
            authority: config.authority,
            observer: config.observer,
            date: Date::unknown(),
            cache: config.cache.map(|size| Cache::new(size, now)),
            watcher: config.watcher,
            backends,
            groups,
            changing: Mutex::new(()),
            beginning: now,
            draining: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            answers: Default::default(),
        })
    }

    /// Limits and timeouts in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Where a driver connects to for `backend`.
    pub fn address(&self, backend: BackendId) -> SocketAddr {
        self.backends[backend.index()].address
    }

    /// What the operator calls `backend`.
    pub fn name(&self, backend: BackendId) -> &str {
        &self.backends[backend.index()].name
    }

    /// Number of backends, those of hidden groups included.
    pub fn backend_count(&self) -> usize {
        self.backends.len()
    }

    /// It is `now` on the wall clock: responses without `Date` get one from now on (RFC 9110 section 6.6.1). To be called
    /// about once a second; whoever has no clock leaves it.
    pub fn tell_time(&self, now: SystemTime) {
        self.date.tell(now);
    }

    /// From now on every response says `Connection: close` and is the last one of its connection.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Exchanges that have a whole request and have not sent their whole response.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// What there is to be seen at `now`.
    pub fn status(&self, now: Instant) -> Status {
        let age = self.age(now);
        let group = |group: &Group| GroupStatus {
            name: group.name.clone(),
            policy: group.rotation.policy(),
            members: group.rotation.members().map(|index| self.member(BackendId(index), age)).collect(),
        };
        Status {
            uptime: age,
            in_flight: self.in_flight(),
            draining: self.is_draining(),
            answers: std::array::from_fn(|class| self.answers[class].load(Ordering::Relaxed)),
            groups: self.groups.iter().filter(|group| !group.hidden).map(group).collect(),
            cache: self.cache.as_ref().map(Cache::status),
        }
    }

    fn member(&self, id: BackendId, age: Duration) -> MemberStatus {
        let backend = &self.backends[id.index()];
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        MemberStatus {
            id,
            name: backend.name.clone(),
            address: backend.address,
            mode: backend.mode(),
            health: backend.health.condition(age),
            weight: backend.weight(),
            in_use: backend.in_use(),
            most_connections: backend.most_connections(),
            turns: read(&backend.counters.turns),
            refusals: read(&backend.counters.refusals),
            errors: read(&backend.counters.errors),
            bytes_to: read(&backend.counters.bytes_to),
            bytes_from: read(&backend.counters.bytes_from),
        }
    }

    /// Changes something about the backend with that index in the order of [`Status`]; hidden ones cannot be changed.
    pub fn change(&self, index: usize, change: Change) -> Result<(), Error> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let group =
            self.groups.iter().find(|group| !group.hidden && group.rotation.members().contains(&index));
        let Some(group) = group else {
            return Err(Error::Config(format!("there is no backend with the number {index}")));
        };
        let backend = &self.backends[index];
        let (mode, weight) = (backend.mode(), backend.weight());
        match change {
            Change::Mode(mode) => backend.set_mode(mode),
            Change::Weight(weight) if (1..=MOST_WEIGHT).contains(&weight) => backend.set_weight(weight),
            Change::Weight(weight) => {
                return Err(Error::Config(format!(
                    "the weight {weight} is out of bounds; choose 1 to {MOST_WEIGHT}"
                )));
            }
        }
        group.rotation.reorder(&self.backends).inspect_err(|_| {
            backend.set_mode(mode);
            backend.set_weight(weight);
        })
    }

    /// Removes everything that the cache has stored; how many keys that were.
    pub fn purge_cache(&self) -> usize {
        self.cache.as_ref().map_or(0, Cache::purge)
    }

    /// The outcome of health checks: whether `backend` is to be used.
    pub fn checked(&self, backend: BackendId, is_up: bool) {
        self.backends[backend.index()].health.checked(is_up);
    }

    /// `backend` has said something on a connection on which it was asked nothing.
    pub fn spoke_unasked(&self, backend: BackendId) {
        self.backends[backend.index()].surplus.see();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self, status: u16) {
        count(&self.answers[usize::from(status / 100).min(5)], 1);
    }

    pub(crate) fn take_turn(&self, route: RouteId, now: Instant) -> Result<Turn, NoTurn> {
        self.rotation(route).take_turn(&self.backends, self.age(now))
    }

    pub(crate) fn turn_after(
        &self,
        route: RouteId,
        last: BackendId,
        tried: Tried,
        now: Instant,
    ) -> Option<BackendId> {
        self.rotation(route).after(&self.backends, last, tried, self.age(now))
    }

    pub(crate) fn backend(&self, backend: BackendId) -> &Backend {
        &self.backends[backend.index()]
    }

    /// A connection attempt failed for a reason of the backend's.
    pub(crate) fn refused(&self, id: BackendId, error: &io::Error, now: Instant) {
        let backend = self.backend(id);
        count(&backend.counters.refusals, 1);
        if backend.health.refused(self.age(now), self.limits.retry_interval)
            && let Some(watcher) = &self.watcher
        {
            watcher.left_out(id, error);
        }
    }

    /// A new connection was made.
    pub(crate) fn connected(&self, id: BackendId) {
        if self.backend(id).health.connected()
            && let Some(watcher) = &self.watcher
        {
            watcher.returned(id);
        }
    }

    /// Whether `route` leads to the balancer's own pages. These have each request as soon as its head is whole: they bound
    /// what a client can hold of them, and a stranger's body is of no use to them.
    pub(crate) fn judges_heads(&self, route: RouteId) -> bool {
        self.groups[self.routes.group(route)].hidden
    }

    fn rotation(&self, route: RouteId) -> &Rotation {
        &self.groups[self.routes.group(route)].rotation
    }

    /// `now` in the time that backends' health is kept in.
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.beginning)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test has no driver that would tell it the time")]
mod tests {
    use super::*;
    use crate::proxy::config::{Member, Route};
    use crate::proxy::vocabulary::{Mode, Policy};

    fn proxy(now: Instant) -> Proxy {
        let member = |port| Member::at(([127, 0, 0, 1], port).into());
        let group = |name: &str, members, hidden| super::super::config::Group {
            name: name.into(),
            policy: Policy::RoundRobin,
            members,
            hidden,
        };
        let config = Config {
            groups: vec![
                group("own", vec![member(1)], true),
                group("default", vec![member(2), member(3)], false),
            ],
            routes: vec![Route::everything(1)],
            authority: "a".into(),
            limits: Limits::default(),
            cache: None,
            observer: None,
            watcher: None,
        };
        Proxy::new(config, now).unwrap()
    }

    #[test]
    fn an_operator_sees_and_changes_all_but_hidden_groups() {
        let now = Instant::now();
        let proxy = proxy(now);
        let status = proxy.status(now);
        let indices: Vec<usize> = status.groups[0].members.iter().map(|member| member.id.index()).collect();
        assert_eq!((status.groups.len(), indices), (1, vec![1, 2]));
        proxy.change(1, Change::Mode(Mode::Disabled)).unwrap();
        proxy.change(2, Change::Weight(7)).unwrap();
        let member = |index: usize| proxy.status(now).groups[0].members[index].clone();
        assert_eq!((member(0).mode, member(1).weight), (Mode::Disabled, 7));
        for (index, change) in [(0, Change::Weight(2)), (3, Change::Weight(2)), (1, Change::Weight(0))] {
            assert!(proxy.change(index, change).is_err(), "{index} {change:?}");
        }
    }

    #[test]
    fn a_change_that_cannot_be_is_taken_back() {
        let now = Instant::now();
        let proxy = proxy(now);
        proxy.change(1, Change::Weight(1000)).unwrap();
        assert!(proxy.change(2, Change::Weight(999)).is_err());
        assert_eq!(proxy.status(now).groups[0].members[1].weight, 1);
    }
}
