//! The event loop: C slots, each with at most one request outstanding, until all requests are done.
//!
//! Owns which slot sends which request, and the sweep for what takes too long; when a request is due is
//! [`Pace`]'s to say. One thread, one epoll instance, edge-triggered. Rules: request i goes to URL i modulo their
//! number; of several free slots the one that has been free longest is used, so that all connections carry the same
//! share; a failed request is counted and its slot goes on; when nobody answers for many requests in a row, the load
//! is given up; a load that is given up or interrupted is told by what there is so far.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll};

use super::config::{LoadConfig, allow_descriptors};
use super::connection::{Connection, Shared, State, Step, place_of};
use super::error::LoadError;
use super::mix::repeats;
use super::pace::Pace;
use super::progress::{Phase, Progress};
use super::record::{Recorder, Recording};
use super::report::{Incomplete, LoadReport};
use super::summary::summary;
use super::tally::Tally;
use super::target::Target;
use super::timer::{TIMER, Timer};
use super::verify::Reference;
use crate::host::monotonic_ns;

/// How long a server may take to close a connection after the last response on it. It was asked to
/// (`Connection: close`) or has said that it would; one that does neither is not waited for any longer.
pub const CLOSE_PATIENCE: Duration = Duration::from_millis(100);

/// The longest time between two sweeps for what takes too long.
const SWEEP: Duration = Duration::from_millis(50);
/// Between two looks at the progress, at least.
const TOLD_EVERY: Duration = Duration::from_millis(200);
/// How long before a request is due the timer rings; what is left is spent looking at the event queue without waiting.
/// A thread that sleeps is woken some 30 µs late on a virtual machine: at 2000 requests per second on two busy cores,
/// the median request was sent 31 µs late (p90 48 µs) with a timer set to the due time, and less than 1 µs late (p90
/// 14 µs) with one set 30 µs before, for 11 % more CPU time of the client. Ringing 60 µs before cost 72 % more and
/// bettered only the p90.
const WAKE_EARLY: Duration = Duration::from_micros(30);
/// Failures in a row, beside one for each slot, after which a load is given up.
const BARREN_LIMIT: u64 = 10;
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// Events taken from the kernel at once.
const EVENTS: usize = 1024;

/// A load that is ready to be driven.
pub struct Load {
    config: LoadConfig,
    targets: Vec<Target>,
    /// What bodies must be: one for all targets when the caller gave it, else one a target.
    references: Vec<Reference>,
    poll: Poll,
    shared: Shared,
    /// Each slot's connections stand side by side: one for each target with keep-alive, else one.
    connections: Vec<Connection>,
    slots: Vec<Slot>,
    /// Slots that have no request in hand, the one that has been free longest first.
    free: VecDeque<usize>,
    /// The phase's schedule, and when the phase began.
    pace: Pace,
    began: Instant,
    began_monotonic_ns: u64,
    /// The open loop's.
    timer: Option<Timer>,
    swept: Instant,
    phase: Phase,
    warmup_requests: u64,
    warmup_failed: u64,
    /// Requests that nobody had sent before, so far, in both phases.
    fresh: u64,
    /// Set from outside when the load is to be broken off.
    stop: Arc<AtomicBool>,
    /// Who looks at the progress, and when that was last.
    observer: Option<ProgressObserver>,
    told: Instant,
}

/// Is told how far the load is.
type ProgressObserver = Box<dyn FnMut(&Progress) + Send>;

/// One of C: sends a request when its last one is done.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The target of the request in hand.
    target: usize,
    /// Place of its connection.
    place: usize,
    busy: bool,
}

impl Load {
    /// Checks `config`, resolves its URLs, raises the descriptor limit where that is needed. Sends nothing.
    ///
    /// # Errors
    /// Whatever of `config` makes no sense or cannot be had on this machine.
    pub fn prepare(config: LoadConfig) -> Result<Self, LoadError> {
        config.check()?;
        let targets =
            config.urls.iter().map(|url| Target::new(url, &config)).collect::<Result<Vec<_>, _>>()?;
        allow_descriptors(config.connections())?;
        let references = match &config.expected_body {
            Some(body) => vec![Reference::Bytes(body.clone())],
            None => targets.iter().map(|_| Reference::Unknown).collect(),
        };
        let poll = Poll::new().map_err(LoadError::Poll)?;
        let registry = poll.registry().try_clone().map_err(LoadError::Poll)?;
        let timer = config.rate.map(|_| Timer::new(&registry)).transpose().map_err(LoadError::Poll)?;
        let now = Instant::now();
        let places = usize::try_from(config.connections()).unwrap_or(usize::MAX);
        Ok(Load {
            references,
            poll,
            shared: Shared {
                registry,
                keep_alive: config.keep_alive,
                head_only: config.method == "HEAD",
                buffer: vec![0; READ_BYTES].into_boxed_slice(),
                tally: Tally::new(),
                recorder: None,
                clock: now,
                barren: 0,
                last_error: None,
            },
            connections: (0..places).map(|_| Connection::new(now)).collect(),
            slots: vec![Slot { target: 0, place: 0, busy: false }; config.concurrency as usize],
            free: VecDeque::with_capacity(config.concurrency as usize),
            pace: Pace::new(config.rate, 0),
            began: now,
            began_monotonic_ns: monotonic_ns(),
            timer,
            swept: now,
            phase: Phase::WarmUp,
            warmup_requests: 0,
            warmup_failed: 0,
            fresh: 0,
            stop: Arc::default(),
            observer: None,
            told: now,
            targets,
            config,
        })
    }

    /// Has the load broken off, with what there is so far, soon after `stop` is set.
    pub fn stop_on(&mut self, stop: Arc<AtomicBool>) {
        self.stop = stop;
    }

    /// Has `observer` told how far the load is, a few times a second; dropped at the end of the window.
    pub fn report_progress_to(&mut self, observer: impl FnMut(&Progress) + Send + 'static) {
        self.observer = Some(Box::new(observer));
    }

    /// Sends the requests of the warm-up and waits for their responses. Returns how many failed or were not
    /// answered with 2xx.
    ///
    /// # Errors
    /// [`LoadError::GaveUp`], [`LoadError::Interrupted`] and [`LoadError::Poll`].
    pub fn warm_up(&mut self) -> Result<u64, LoadError> {
        self.drive(Phase::WarmUp)?;
        self.warmup_requests = self.pace.issued();
        self.warmup_failed = self.shared.tally.failed.total() + self.shared.tally.non_2xx;
        Ok(self.warmup_failed)
    }

    /// Sends the requests of the timed window and waits for their responses. Connections that the warm-up left
    /// open are used. A window that was broken off, because nobody answered any more or [`Load::stop_on`]'s flag was
    /// set, is reported with what there is and the reason.
    ///
    /// # Errors
    /// [`LoadError::GaveUp`] when nobody has answered at all.
    pub fn measure(&mut self) -> Result<LoadReport, LoadError> {
        if self.config.record {
            self.shared.recorder = Some(Recorder::begin(self.config.requests.unwrap_or_default()));
        }
        let broken_off = self.drive(Phase::Window).err();
        let elapsed = self.began.elapsed();
        self.observer = None;
        let incomplete = match broken_off {
            None => None,
            Some(error) => {
                let unanswered = self.abandon();
                let tally = &self.shared.tally;
                let nobody_answered = tally.completed == 0 && tally.failed.total() == self.shared.barren;
                if nobody_answered && matches!(error, LoadError::GaveUp { .. }) {
                    return Err(error);
                }
                Some(Incomplete { reason: error.to_string(), unanswered })
            }
        };
        let report = LoadReport::of(&self.config, &self.shared.tally, &self.pace, elapsed);
        let (warmup_requests, warmup_failed) = (self.warmup_requests, self.warmup_failed);
        Ok(LoadReport { incomplete, warmup_requests, warmup_failed, ..report })
    }

    /// What became of each request of the window, once, if the configuration asks for it.
    pub fn take_recording(&mut self) -> Option<Recording> {
        let recorder = self.shared.recorder.take()?;
        Some(recorder.finish(self.shared.tally.per_backend.all()))
    }

    /// When the window began, on the clock of [`monotonic_ns`].
    pub fn began_monotonic_ns(&self) -> u64 {
        self.began_monotonic_ns
    }

    /// `report`, which this load gave, as the text that a user of `ab` knows.
    pub fn summary(&self, report: &LoadReport) -> String {
        summary(report, &self.targets[0])
    }

    /// Drives the requests of `phase` to their end.
    fn drive(&mut self, phase: Phase) -> Result<(), LoadError> {
        self.shared.tally = Tally::new();
        self.shared.barren = 0;
        self.phase = phase;
        let requests = match phase {
            Phase::WarmUp => self.config.warmup,
            Phase::Window => self.config.requests.unwrap_or(u64::MAX),
        };
        let pace = Pace::new(self.config.rate, requests).part(self.config.part);
        let surges = if phase == Phase::Window { self.config.surges.as_slice() } else { &[] };
        let pace = pace.surging(surges);
        let pace = if self.config.poisson { pace.poisson() } else { pace };
        // No warm-up need be longer than what it is for.
        self.pace = match self.config.duration {
            Some(duration) => pace.ending(duration),
            None => pace,
        };
        self.free.clear();
        self.free.extend(0..self.slots.len());
        let mut events = Events::with_capacity(EVENTS);
        let patience = SWEEP.min(self.config.timeout);
        (self.began, self.began_monotonic_ns) = (Instant::now(), monotonic_ns());
        self.shared.clock = self.began;
        self.swept = self.began;
        self.dispatch();
        while self.free.len() < self.slots.len() || self.is_to_go_on() {
            self.check_barren()?;
            if self.stop.load(Ordering::Relaxed) {
                return Err(LoadError::Interrupted);
            }
            let wait = self.wait(patience)?;
            match self.poll.poll(&mut events, Some(wait)) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(LoadError::Poll(error)),
            }
            for event in &events {
                self.follow(event);
            }
            if events.is_empty() || self.pace.is_open() {
                self.shared.clock = Instant::now();
            }
            if self.shared.clock.saturating_duration_since(self.swept) >= patience {
                self.sweep();
            }
            if self.pace.is_open() {
                self.dispatch();
            }
        }
        self.check_barren()
    }

    /// Gives up what the slots have in hand; how many requests that leaves without an answer. A response that was
    /// whole is counted, though its connection has not been closed.
    fn abandon(&mut self) -> u64 {
        let mut unanswered = 0;
        for slot in self.slots.iter().filter(|slot| slot.busy) {
            unanswered += u64::from(!self.connections[slot.place].abandon(&mut self.shared));
        }
        unanswered
    }

    /// How long to wait for events at most. Has the kernel wake this thread in time for the next request, if a slot is
    /// free for it.
    fn wait(&mut self, patience: Duration) -> Result<Duration, LoadError> {
        let (Some(timer), Some(due), false) = (&mut self.timer, self.pace.upcoming(), self.free.is_empty())
        else {
            return Ok(patience);
        };
        let left = (self.began + due).saturating_duration_since(Instant::now());
        match left.checked_sub(WAKE_EARLY) {
            Some(wait) => timer.wake_in(wait).map(|()| patience).map_err(LoadError::Poll),
            None => Ok(Duration::ZERO),
        }
    }

    fn follow(&mut self, event: &Event) {
        if event.token() == TIMER {
            return;
        }
        let place = place_of(event.token());
        let slot = place / self.places_a_slot();
        let (Some(connection), Some(&Slot { target, place: current, busy })) =
            (self.connections.get_mut(place), self.slots.get(slot))
        else {
            return;
        };
        let reference = reference_of(&mut self.references, target);
        let step = connection.ready(event, place, &self.targets[target], reference, &mut self.shared);
        if step == Step::Free && busy && place == current {
            self.advance(slot);
        }
    }

    /// Begins every request that is due and finds a free slot.
    fn dispatch(&mut self) {
        while let Some(&slot) = self.free.front()
            && let Some((index, due)) = self.next(false)
        {
            self.free.pop_front();
            if self.begin(slot, index, due) == Step::Free {
                self.slots[slot].busy = false;
                self.free.push_back(slot);
            }
        }
    }

    /// Begins the next request that is due with `slot`, whose last one is done, or lets it be free when there is none.
    fn advance(&mut self, slot: usize) {
        if self.pace.is_open() {
            self.shared.clock = Instant::now();
        }
        // A request that is due although no slot was free has waited for this one.
        let waited = self.free.is_empty();
        while let Some((index, due)) = self.next(waited) {
            if self.begin(slot, index, due) == Step::Wait {
                return;
            }
        }
        self.slots[slot].busy = false;
        self.free.push_back(slot);
    }

    /// The next request, if it is due.
    fn next(&mut self, waited: bool) -> Option<(u64, Duration)> {
        if self.is_barren() {
            return None;
        }
        self.pace.take(self.shared.clock.saturating_duration_since(self.began), waited)
    }

    fn begin(&mut self, slot: usize, index: u64, due: Duration) -> Step {
        let target = usize::try_from(index % self.targets.len() as u64).unwrap_or(0);
        let place = if self.config.keep_alive { slot * self.targets.len() + target } else { slot };
        self.slots[slot] = Slot { target, place, busy: true };
        let due = self.pace.is_open().then(|| self.began + due);
        let fresh = match self.config.hit_ratio {
            Some(percent) if !repeats(index, percent) => {
                self.fresh += 1;
                Some(self.fresh)
            }
            _ => None,
        };
        let reference = reference_of(&mut self.references, target);
        self.connections[place].send(place, due, fresh, &self.targets[target], reference, &mut self.shared)
    }

    /// Requests are still to be sent, and somebody answers.
    fn is_to_go_on(&self) -> bool {
        self.pace.upcoming().is_some() && !self.is_barren()
    }

    /// Ends what takes too long. Each slot is looked at, a few times a second: cheaper than a timer a request.
    fn sweep(&mut self) {
        let now = self.shared.clock;
        self.swept = now;
        for slot in 0..self.slots.len() {
            let Slot { place, busy, .. } = self.slots[slot];
            let connection = &mut self.connections[place];
            let waited = now.saturating_duration_since(connection.since);
            let step = match connection.state {
                State::Closing if busy && waited >= CLOSE_PATIENCE => {
                    connection.close_upon(waited, &mut self.shared)
                }
                State::Sending | State::Receiving if busy && waited >= self.config.timeout => {
                    connection.time_out(&mut self.shared)
                }
                _ => Step::Wait,
            };
            if step == Step::Free {
                self.advance(slot);
            }
        }
        if self.observer.is_some() && now.saturating_duration_since(self.told) >= TOLD_EVERY {
            self.tell_progress(now);
        }
    }

    fn tell_progress(&mut self, now: Instant) {
        self.told = now;
        let tally = &self.shared.tally;
        let window = self.phase == Phase::Window;
        let progress = Progress {
            phase: self.phase,
            elapsed: now.saturating_duration_since(self.began),
            completed: tally.completed,
            failed: tally.failed.total(),
            non_2xx: tally.non_2xx,
            requests: if window { self.config.requests } else { Some(self.config.warmup) },
            duration: self.config.duration.filter(|_| window),
        };
        if let Some(observer) = &mut self.observer {
            observer(&progress);
        }
    }

    fn places_a_slot(&self) -> usize {
        if self.config.keep_alive { self.targets.len() } else { 1 }
    }

    /// Nobody answers any more; or nobody has, and the requests are too few for that to be seen earlier.
    fn is_barren(&self) -> bool {
        let barren = self.shared.barren;
        barren >= self.slots.len() as u64 + BARREN_LIMIT || (barren > 0 && barren == self.pace.requests())
    }

    fn check_barren(&mut self) -> Result<(), LoadError> {
        if !self.is_barren() {
            return Ok(());
        }
        let last =
            usize::try_from(self.pace.issued().saturating_sub(1) % self.targets.len() as u64).unwrap_or(0);
        Err(LoadError::GaveUp {
            failures: self.shared.barren,
            address: self.targets[last].address,
            reason: self.shared.last_error.take().unwrap_or_else(|| io::Error::other("no reason given")),
            completed: self.shared.tally.completed,
        })
    }
}

fn reference_of(references: &mut [Reference], target: usize) -> &mut Reference {
    let one_for_all = references.len() == 1;
    &mut references[if one_for_all { 0 } else { target }]
}
