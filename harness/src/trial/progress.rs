//! What a user sees while a run goes on, on standard error.
//!
//! Two observers, of a run and of the search for a common rate before it: a bar for a terminal, plain lines for a file or
//! a pipe. Own the wording and how often; know nothing
//! of how trials are run. Rule: a warning is never lost behind the bar.

use std::io::Write;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::load::latency;
use crate::plan::Cell;
use crate::plan::schedule::{Forecast, Job};
use crate::record::timeline::Observation;
use crate::record::{Outcome, Trial};
use crate::text::rounded;
use crate::trial::rate_search::{self, Step, Watch};
use crate::trial::runner::Observer;

/// A bar with the cell in hand, for a terminal.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
}

/// A narrow terminal has room for a short bar alone.
fn template() -> &'static str {
    let columns = terminal_size::terminal_size_of(std::io::stderr()).map_or(80, |(width, _)| width.0);
    if columns < 60 { "{bar:8} {pos}/{len}" } else { "{bar:24} {pos}/{len} {wide_msg}" }
}

impl Bar {
    /// A bar on standard error.
    pub fn new() -> Self {
        let style = ProgressStyle::with_template(template()).unwrap_or_else(|_| ProgressStyle::default_bar());
        // Drawn twice a trial and no more: the processors belong to what is measured.
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style);
        Bar { bar }
    }
}

impl Default for Bar {
    fn default() -> Self {
        Bar::new()
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Bar {
    fn begins(&mut self, job: &Job, forecast: &Forecast) {
        self.bar.set_length(forecast.total);
        self.bar.set_position(forecast.done);
        self.bar.set_message(format!("{} · {}", in_hand(job, forecast), left(forecast)));
    }

    fn ended(&mut self, _: &Trial, forecast: &Forecast) {
        self.bar.set_position(forecast.done);
    }

    fn warn(&mut self, text: &str) {
        // `eprintln!` would panic once the terminal is gone.
        self.bar.suspend(|| drop(writeln!(std::io::stderr(), "warning: {text}")));
    }
}

impl Watch for Bar {
    fn probing(&mut self, step: &Step<'_>) {
        self.bar.set_length(step.total);
        self.bar.set_position(step.done);
        self.bar.set_message(probed(step));
    }

    fn trying(&mut self, rate: u64, refused: Option<(u64, &Cell)>) {
        self.bar.suspend(|| drop(writeln!(std::io::stderr(), "{}", attempted(rate, refused))));
    }

    fn warn(&mut self, text: &str) {
        Observer::warn(self, text);
    }
}

/// Plain lines, about one for every twentieth of the run and one for each warning.
#[derive(Debug)]
pub struct Lines<W> {
    out: W,
    /// Twentieths that were told.
    told: Option<u64>,
}

impl<W: Write> Lines<W> {
    /// Lines on `out`.
    pub fn new(out: W) -> Self {
        Lines { out, told: None }
    }

    /// A reader that has gone away is no reason to stop measuring.
    fn say(&mut self, line: &str) {
        let _ = writeln!(self.out, "{line}");
    }
}

impl<W: Write> Observer for Lines<W> {
    fn begins(&mut self, _: &Job, _: &Forecast) {}

    fn ended(&mut self, trial: &Trial, forecast: &Forecast) {
        let part = 20 * forecast.done / forecast.total.max(1);
        if self.told != Some(part) {
            self.told = Some(part);
            self.say(&format!(
                "{}/{} {} block {}/{}: {} · {}",
                forecast.done,
                forecast.total,
                of(&trial.cell),
                trial.block + 1,
                forecast.blocks,
                result(trial),
                left(forecast)
            ));
        }
    }

    fn warn(&mut self, text: &str) {
        self.say(&format!("warning: {text}"));
    }
}

impl<W: Write> Watch for Lines<W> {
    fn probing(&mut self, step: &Step<'_>) {
        let part = 20 * step.done / step.total.max(1);
        if self.told != Some(part) {
            self.told = Some(part);
            self.say(&format!("{}/{} {}", step.done, step.total, probed(step)));
        }
    }

    fn trying(&mut self, rate: u64, refused: Option<(u64, &Cell)>) {
        self.say(&attempted(rate, refused));
    }

    fn warn(&mut self, text: &str) {
        Observer::warn(self, text);
    }
}

fn probed(step: &Step<'_>) -> String {
    let at = step.rate.map_or("closed loop".to_owned(), |rate| format!("{rate} per second"));
    format!("looking for a rate: {}, {at}", of(step.cell))
}

/// What is tried next in the search for a common rate, and why.
fn attempted(rate: u64, refused: Option<(u64, &Cell)>) -> String {
    let why = match refused {
        None => String::new(),
        Some((refused, cell)) => {
            format!("{} did not sustain {refused} per second: ", rate_search::name(cell))
        }
    };
    format!("{why}trying {rate} requests per second, with each row at each condition")
}

fn in_hand(job: &Job, forecast: &Forecast) -> String {
    let again = if job.attempt > 1 { format!(", attempt {}", job.attempt) } else { String::new() };
    format!("{} block {}/{}{again}", of(&job.cell), job.block + 1, forecast.blocks)
}

fn of(cell: &Cell) -> String {
    let Cell { competitor, condition } = cell;
    format!("{competitor} b={} c={}", condition.backends, condition.concurrency)
}

fn result(trial: &Trial) -> String {
    match &trial.outcome {
        Outcome::Measured(sample) if sample.timeline.is_some() => {
            let seen = sample.timeline.iter();
            let of = |seen: &Observation| {
                format!("{} requests, {} errors, {} late", seen.requests, seen.errors.total(), seen.late)
            };
            seen.map(|seen| of(seen)).collect()
        }
        Outcome::Measured(sample) if sample.open_loop.is_some() => {
            let open = sample.open_loop.as_ref();
            let latency = open.and_then(|open| latency::decode(&open.latency_ns_hdr).ok());
            let median = latency.and_then(|latency| latency::percentile_ms(&latency, 50.0));
            median.map_or("measured".to_owned(), |ms| format!("p50 {ms:.2} ms"))
        }
        Outcome::Measured(sample) => {
            format!("{:.0} requests/s", sample.completed as f64 / (sample.elapsed_ns.max(1) as f64 / 1e9))
        }
        Outcome::Invalid { .. } => "invalid".to_owned(),
    }
}

fn left(forecast: &Forecast) -> String {
    match forecast.left {
        Some(left) => format!("{} left", rounded(left)),
        None => "time left not known yet".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fixtures::{self, invalid, measured, trial};

    fn forecast(done: u64) -> Forecast {
        Forecast { done, total: 40, blocks: 3, left: Some(Duration::from_secs(200 - done)) }
    }

    fn said(told: impl FnOnce(&mut Lines<&mut Vec<u8>>)) -> Vec<String> {
        let mut out = Vec::new();
        told(&mut Lines::new(&mut out));
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn plain_lines_tell_every_twentieth_of_the_run() {
        let lines =
            said(|lines| (1..=40).for_each(|done| lines.ended(&trial(0, measured()), &forecast(done))));
        assert_eq!(lines.len(), 21);
        assert_eq!(lines[0], "1/40 direct b=1 c=2 block 1/3: 1000000000 requests/s · 3 min 10 s left");
        assert!(lines[20].starts_with("40/40 "), "{}", lines[20]);
    }

    #[test]
    fn at_a_rate_the_median_response_time_is_told_in_place_of_the_rate() {
        let Outcome::Measured(mut sample) = measured() else { unreachable!("a sample was made") };
        sample.open_loop = Some(fixtures::open_loop(100, 100));
        let lines = said(|lines| lines.ended(&trial(0, Outcome::Measured(sample)), &forecast(1)));
        assert!(lines[0].contains("block 1/3: p50 0.00 ms · "), "{}", lines[0]);
    }

    #[test]
    fn the_search_for_a_rate_is_told_step_by_step() {
        let cell = fixtures::cell("mio", 1, 2);
        let lines = said(|lines| {
            for (done, rate) in [(0, None), (0, None), (1, Some(2000))] {
                lines.probing(&Step { cell: &cell, rate, done, total: 2 });
            }
            lines.trying(2000, None);
            lines.trying(1600, Some((2000, &cell)));
            Watch::warn(lines, "careful");
        });
        assert_eq!(
            lines,
            [
                "0/2 looking for a rate: mio b=1 c=2, closed loop",
                "1/2 looking for a rate: mio b=1 c=2, 2000 per second",
                "trying 2000 requests per second, with each row at each condition",
                "mio with 1 backend at concurrency 2 did not sustain 2000 per second: trying 1600 requests per second, \
                 with each row at each condition",
                "warning: careful",
            ]
        );
    }

    #[test]
    fn every_warning_is_told() {
        let lines = said(|lines| {
            Observer::warn(lines, "one");
            Observer::warn(lines, "two");
            lines.ended(&trial(1, invalid("x")), &forecast(2));
        });
        assert_eq!(lines[..2], ["warning: one", "warning: two"]);
        assert!(lines[2].contains("block 2/3: invalid"), "{}", lines[2]);
    }
}
