//! What one group's turns must hold.

use super::*;
use crate::proxy::config::Member;

const INTERVAL: Duration = Duration::from_secs(1);
const NOW: Duration = Duration::from_millis(10);

struct Bench {
    backends: Vec<Backend>,
    rotation: Rotation,
}

impl Bench {
    fn of(members: impl IntoIterator<Item = Member>, policy: Policy) -> Self {
        let backends: Vec<Backend> = members.into_iter().map(Backend::new).collect();
        let rotation = Rotation::new(&backends, 0..backends.len(), policy, INTERVAL).unwrap();
        Bench { backends, rotation }
    }

    fn equal(count: u16) -> Self {
        Bench::of((1..=count).map(member), Policy::RoundRobin)
    }

    fn take(&self, now: Duration) -> Result<Turn, NoTurn> {
        self.rotation.take_turn(&self.backends, now)
    }

    /// Turns of exchanges that end at once.
    fn turns(&self, count: usize, now: Duration) -> Vec<usize> {
        (0..count)
            .map(|_| {
                let backend = self.take(now).unwrap().backend;
                self.backends[backend.0].give_slot();
                backend.0
            })
            .collect()
    }

    /// Turns of exchanges that never end.
    fn keep(&self, count: usize) -> Vec<Result<usize, NoTurn>> {
        (0..count).map(|_| self.take(NOW).map(|turn| turn.backend.0)).collect()
    }

    fn refuse(&self, index: usize, now: Duration) {
        self.backends[index].health.refused(now, INTERVAL);
    }

    fn set(&self, index: usize, mode: Mode) {
        self.backends[index].set_mode(mode);
        self.rotation.reorder(&self.backends).unwrap();
    }
}

fn member(port: u16) -> Member {
    Member::at(([127, 0, 0, 1], port).into())
}

fn weighted(weights: &[u32]) -> impl Iterator<Item = Member> {
    weights.iter().map(|weight| Member { weight: *weight, ..member(1) })
}

fn bounded(bounds: &[u32]) -> impl Iterator<Item = Member> {
    bounds.iter().map(|most| Member { most_connections: Some(*most), ..member(1) })
}

#[test]
fn turns_are_taken_in_order() {
    assert_eq!(Bench::equal(3).turns(7, NOW), [0, 1, 2, 0, 1, 2, 0]);
}

#[test]
fn a_weight_is_a_share_of_the_turns_and_they_are_spread_over_the_round() {
    let bench = Bench::of(weighted(&[5, 1, 1]), Policy::RoundRobin);
    assert_eq!(bench.turns(7, NOW), [0, 0, 1, 0, 2, 0, 0]);
    let bench = Bench::of(weighted(&[20, 10]), Policy::RoundRobin);
    assert_eq!(bench.turns(6, NOW), [0, 1, 0, 0, 1, 0]);
}

#[test]
fn weights_that_would_make_an_endless_round_are_refused() {
    let backends: Vec<Backend> = weighted(&[1000, 999]).map(Backend::new).collect();
    let error = Rotation::new(&backends, 0..2, Policy::RoundRobin, INTERVAL).unwrap_err();
    assert!(error.to_string().contains("1999 turns"), "{error}");
    Bench::of(weighted(&[1000, 500]), Policy::RoundRobin);
}

#[test]
fn a_refusing_backend_is_left_out_and_the_others_share_its_turns_alike() {
    let bench = Bench::equal(3);
    bench.refuse(1, Duration::ZERO);
    let turns = bench.turns(100, NOW);
    assert!(!turns.contains(&1));
    assert_eq!(turns.iter().filter(|index| **index == 0).count(), 50);
}

#[test]
fn one_request_tries_a_refusing_backend_when_the_interval_is_over() {
    let bench = Bench::equal(2);
    bench.refuse(1, Duration::ZERO);
    let turns = bench.turns(10, INTERVAL);
    assert_eq!(turns.iter().filter(|index| **index == 1).count(), 1);
}

#[test]
fn whether_a_backend_accepts_again_is_not_judged_by_an_old_connection() {
    let bench = Bench::equal(2);
    bench.refuse(1, Duration::ZERO);
    let turns: Vec<_> = (0..4).map(|_| bench.take(INTERVAL).unwrap()).collect();
    let count = |index, reuse| {
        turns.iter().filter(|turn| **turn == Turn { backend: BackendId(index), reuse }).count()
    };
    assert_eq!((count(1, false), count(0, true)), (1, 3));
}

#[test]
fn a_backend_that_accepts_again_is_back_in_turn() {
    let bench = Bench::equal(2);
    bench.refuse(1, Duration::ZERO);
    bench.backends[1].health.connected();
    assert_eq!(bench.turns(4, Duration::ZERO), [0, 1, 0, 1]);
}

#[test]
fn with_all_left_out_one_is_tried_anyway() {
    let bench = Bench::equal(2);
    bench.refuse(0, Duration::ZERO);
    bench.refuse(1, Duration::ZERO);
    assert_eq!(bench.turns(2, Duration::ZERO), [0, 1]);
}

#[test]
fn the_next_one_is_never_one_that_was_tried() {
    let bench = Bench::equal(3);
    let next = |tried| bench.rotation.after(&bench.backends, BackendId(0), tried, NOW);
    let mut tried = Tried::default();
    tried.add(BackendId(2));
    tried.add(BackendId(0));
    assert_eq!(next(tried), Some(BackendId(1)));
    tried.add(BackendId(1));
    assert_eq!(next(tried), None);
}

#[test]
fn a_full_backend_is_passed_over_while_another_has_room() {
    for policy in [Policy::RoundRobin, Policy::LeastBusy] {
        let bench = Bench::of(bounded(&[1, 3]), policy);
        let turns = bench.keep(5);
        let count = |index| turns.iter().filter(|turn| **turn == Ok(index)).count();
        assert_eq!((count(0), count(1), turns[4]), (1, 3, Err(NoTurn::Full)), "{policy:?}");
        bench.backends[0].give_slot();
        assert_eq!(bench.keep(1), [Ok(0)], "{policy:?}");
    }
}

#[test]
fn the_full_are_not_helped_by_trying_the_dead() {
    let bench = Bench::of(bounded(&[1, 1]), Policy::RoundRobin);
    bench.refuse(1, Duration::ZERO);
    assert_eq!(bench.keep(2), [Ok(0), Err(NoTurn::Full)]);
    assert_eq!(bench.backends[1].in_use(), 0);
}

#[test]
fn the_least_busy_gets_the_request_and_equals_take_turns() {
    let bench = Bench::of((1..=3).map(member), Policy::LeastBusy);
    assert_eq!(bench.keep(3), [Ok(0), Ok(1), Ok(2)]);
    bench.backends[1].give_slot();
    assert_eq!(bench.keep(1), [Ok(1)]);
    let idle = Bench::of((1..=3).map(member), Policy::LeastBusy);
    assert_eq!(idle.turns(4, NOW), [0, 1, 2, 0]);
}

#[test]
fn busy_is_meant_for_the_weight() {
    let bench = Bench::of(weighted(&[3, 1]), Policy::LeastBusy);
    let turns = bench.keep(8);
    assert_eq!(turns.iter().filter(|turn| **turn == Ok(0)).count(), 6);
    let idle = Bench::of(weighted(&[3, 1]), Policy::LeastBusy);
    assert_eq!(idle.turns(8, NOW).iter().filter(|index| **index == 0).count(), 6);
}

#[test]
fn a_draining_backend_serves_only_when_no_other_can_and_a_disabled_one_never() {
    let bench = Bench::equal(3);
    bench.set(0, Mode::Draining);
    bench.set(1, Mode::Disabled);
    assert_eq!(bench.turns(3, NOW), [2, 2, 2]);
    bench.refuse(2, NOW);
    assert_eq!(bench.turns(2, NOW), [0, 0]);
    bench.set(0, Mode::Disabled);
    assert_eq!(bench.turns(1, NOW), [2], "the dead one is tried: it is the only one left");
    bench.set(2, Mode::Disabled);
    assert_eq!(bench.take(NOW), Err(NoTurn::Disabled));
    bench.set(1, Mode::Enabled);
    assert_eq!(bench.turns(2, NOW), [1, 1]);
}

#[test]
fn turns_are_equal_when_many_threads_take_them() {
    let bench = Bench::equal(5);
    let counts: Vec<AtomicUsize> = (0..5).map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for index in bench.turns(1000, NOW) {
                    counts[index].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 800));
}
