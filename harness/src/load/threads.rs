//! One load, driven by several threads of this process.
//!
//! Owns the division between them and the one report of all; what each does is [`super::engine`]'s. Rules: together they send what
//! one thread would, request by request of a schedule, and begin together; the window is from the first one's beginning to the
//! last one's end, by this machine's clock; what ends one ends all; a thread compares bodies with the first that it received itself,
//! where none was given.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;

use super::config::{LoadConfig, allow_descriptors};
use super::engine::Load;
use super::error::LoadError;
use super::part::Part;
use super::progress::Progress;
use super::record::Recording;
use super::report::LoadReport;

/// A load that is ready to be driven by one thread or several.
pub struct ThreadedLoad {
    each: Vec<Load>,
    stop: Arc<AtomicBool>,
}

impl ThreadedLoad {
    /// As [`Load::prepare`], for so many threads.
    ///
    /// # Errors
    /// As there; and more threads than requests at a time, or than one where each request is recorded.
    pub fn prepare(config: LoadConfig, threads: u32) -> Result<Self, LoadError> {
        let stop = Arc::default();
        if threads <= 1 {
            return Ok(ThreadedLoad { each: vec![Load::prepare(config)?], stop });
        }
        config.check()?;
        if threads > config.concurrency {
            return Err(LoadError::ThreadsAboveConcurrency { threads, concurrency: config.concurrency });
        }
        if config.record {
            return Err(LoadError::ThreadsThatRecord);
        }
        allow_descriptors(config.connections())?;
        let each = Part::each(threads.into()).map(|part| Load::prepare(of_thread(&config, part)));
        Ok(ThreadedLoad { each: each.collect::<Result<_, _>>()?, stop })
    }

    /// As [`Load::stop_on`].
    pub fn stop_on(&mut self, stop: Arc<AtomicBool>) {
        self.stop = stop;
    }

    /// As [`Load::report_progress_to`]: of all threads together.
    pub fn report_progress_to(&mut self, mut observer: impl FnMut(&Progress) + Send + 'static) {
        if let [only] = self.each.as_mut_slice() {
            return only.report_progress_to(observer);
        }
        let seen: Vec<Option<Progress>> = vec![None; self.each.len()];
        let together = Arc::new(Mutex::new((seen, move |progress: &Progress| observer(progress))));
        for (place, load) in self.each.iter_mut().enumerate() {
            let together = Arc::clone(&together);
            load.report_progress_to(move |progress| {
                let mut together = together.lock().unwrap_or_else(PoisonError::into_inner);
                let (seen, observer) = &mut *together;
                if let Some(own) = seen.get_mut(place) {
                    *own = Some(*progress);
                }
                // The first tells for all, once it knows of all.
                if place == 0
                    && let Some(others) = seen.iter().skip(1).copied().collect::<Option<Vec<_>>>()
                {
                    observer(&sum(*progress, &others));
                }
            });
        }
    }

    /// As [`Load::warm_up`].
    ///
    /// # Errors
    /// As there, of the first thread that has one.
    pub fn warm_up(&mut self) -> Result<u64, LoadError> {
        let failed = self.on_each(Load::warm_up)?;
        Ok(failed.into_iter().sum())
    }

    /// As [`Load::measure`].
    ///
    /// # Errors
    /// As there, of the first thread that has one.
    pub fn measure(&mut self) -> Result<LoadReport, LoadError> {
        let reports = self.on_each(Load::measure)?;
        if let [only] = reports.as_slice() {
            return Ok(only.clone());
        }
        let mut report = LoadReport::merged(&reports).map_err(LoadError::Merge)?;
        let ends =
            self.each.iter().zip(&reports).map(|(load, own)| load.began_monotonic_ns() + own.elapsed_ns);
        report.elapsed_ns = ends.max().unwrap_or_default().saturating_sub(self.began_monotonic_ns());
        Ok(report)
    }

    /// As [`Load::take_recording`]: there is none of several threads.
    pub fn take_recording(&mut self) -> Option<Recording> {
        match self.each.as_mut_slice() {
            [only] => only.take_recording(),
            _ => None,
        }
    }

    /// When the first thread's window began, on the clock of [`crate::host::monotonic_ns`].
    pub fn began_monotonic_ns(&self) -> u64 {
        self.each.iter().map(Load::began_monotonic_ns).min().unwrap_or_default()
    }

    /// `report`, which this load gave, as the text that a user of `ab` knows.
    pub fn summary(&self, report: &LoadReport) -> String {
        self.each.first().map_or(String::new(), |load| load.summary(report))
    }

    /// What `act` gives of each, all at the same time.
    fn on_each<T: Send>(
        &mut self,
        act: impl Fn(&mut Load) -> Result<T, LoadError> + Sync,
    ) -> Result<Vec<T>, LoadError> {
        let (act, stop) = (&act, &self.stop);
        self.each.iter_mut().for_each(|load| load.stop_on(Arc::clone(stop)));
        if let [only] = self.each.as_mut_slice() {
            return Ok(vec![act(only)?]);
        }
        // Closed until all threads are there: then all begin.
        let gate = RwLock::new(());
        let drive = |load: &mut Load| {
            drop(gate.read());
            let done = act(load);
            if done.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            done
        };
        let done = thread::scope(|scope| {
            let (drive, threads) = (&drive, self.each.len());
            let closed = gate.write();
            let start =
                |load| thread::Builder::new().name("load".into()).spawn_scoped(scope, move || drive(load));
            let driven = self.each.iter_mut().map(start).collect::<Result<Vec<_>, _>>();
            if driven.is_err() {
                // Those that were started have nothing to do.
                stop.store(true, Ordering::Relaxed);
            }
            drop(closed);
            let driven = driven.map_err(|reason| LoadError::Threads { threads, reason })?;
            let done = driven.into_iter().map(|thread| match thread.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            Ok::<_, LoadError>(done.collect::<Vec<_>>())
        })?;
        // One that was stopped because of another is not the cause.
        let (mut values, mut interrupted) = (Vec::new(), None);
        for done in done {
            match done {
                Ok(value) => values.push(value),
                Err(error @ LoadError::Interrupted) => interrupted = Some(error),
                Err(error) => return Err(error),
            }
        }
        interrupted.map_or(Ok(values), Err)
    }
}

/// What a thread drives of the load of `config`.
fn of_thread(config: &LoadConfig, part: Part) -> LoadConfig {
    let mut own = config.clone();
    let turns = match config.requests {
        Some(requests) => part.before(requests),
        None => part.number() - 1,
    };
    let first = turns.checked_rem(config.urls.len() as u64).unwrap_or(0);
    own.urls.rotate_left(usize::try_from(first).unwrap_or(0));
    own.requests = config.requests.map(|requests| part.share(requests));
    own.warmup = part.share(config.warmup);
    own.concurrency = u32::try_from(part.share(config.concurrency.into())).unwrap_or(u32::MAX);
    own.part = part.within(config.part);
    own
}

fn sum(first: Progress, others: &[Progress]) -> Progress {
    let add = |a: Progress, b: &Progress| Progress {
        elapsed: a.elapsed.max(b.elapsed),
        completed: a.completed + b.completed,
        failed: a.failed + b.failed,
        non_2xx: a.non_2xx + b.non_2xx,
        requests: a.requests.zip(b.requests).map(|(a, b)| a + b),
        ..a
    };
    others.iter().fold(first, add)
}
