//! How far a load is, and a bar that shows it on a terminal.
//!
//! Owns the wording; the engine decides how often it is told. Rule: a line fits a terminal of 80 columns, and the bar
//! is cleared when the report is printed. After Ctrl-C its last state stays above the report: the terminal's `^C` begins a
//! new line behind a bar that fills its own.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::text::rounded;

/// Parts that the bar is divided into.
const PARTS: u64 = 1000;

/// Which requests are being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Those that are not counted.
    WarmUp,
    /// Those of the timed window.
    Window,
}

/// How far a phase is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Which.
    pub phase: Phase,
    /// Since its beginning.
    pub elapsed: Duration,
    /// Responses that were right or at least whole.
    pub completed: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Completed responses that were not 2xx.
    pub non_2xx: u64,
    /// After how many requests it ends.
    pub requests: Option<u64>,
    /// After how long it ends; with both, whichever comes first.
    pub duration: Option<Duration>,
}

impl Progress {
    fn ended(&self) -> u64 {
        self.completed + self.failed
    }

    /// How much of it is done, 0 to 1.
    fn share(&self) -> f64 {
        let requests = self.requests.map_or(0.0, |all| self.ended() as f64 / all.max(1) as f64);
        let duration = self.duration.map_or(0.0, |all| self.elapsed.as_secs_f64() / all.as_secs_f64());
        requests.max(duration).clamp(0.0, 1.0)
    }

    /// Until its end, if it goes on as it has; `None` when nothing is known yet.
    fn left(&self) -> Option<Duration> {
        let share = self.share();
        let left = self.elapsed.as_secs_f64() * (1.0 - share) / share;
        Duration::try_from_secs_f64(left).ok()
    }

    fn line(&self) -> String {
        let rate = self.ended() as f64 / self.elapsed.as_secs_f64().max(1e-9);
        let mut line = match self.phase {
            Phase::WarmUp => "warm-up: ".to_owned(),
            Phase::Window => String::new(),
        };
        line += &match self.requests {
            Some(requests) => format!("{} of {requests}", self.ended()),
            None => format!("{} requests", self.ended()),
        };
        line += &format!(", {rate:.0}/s");
        if self.failed > 0 {
            line += &format!(", {} failed", self.failed);
        }
        if self.non_2xx > 0 {
            line += &format!(", {} not 2xx", self.non_2xx);
        }
        if let Some(left) = self.left() {
            line += &format!(", {} left", rounded(left));
        }
        line
    }
}

/// Shows what it is given as a bar on standard error. The bar appears with the first call and is cleared when the
/// function is dropped.
pub fn bar() -> impl FnMut(&Progress) + Send {
    let style = ProgressStyle::with_template("{bar:12} {percent:>3}% {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    // Hidden until there is something to show.
    let bar = ProgressBar::with_draw_target(Some(PARTS), ProgressDrawTarget::hidden()).with_style(style);
    let mut bar = Cleared(bar);
    move |progress| bar.show(progress)
}

/// A bar that leaves nothing behind.
struct Cleared(ProgressBar);

impl Cleared {
    fn show(&mut self, progress: &Progress) {
        let Cleared(bar) = self;
        bar.set_message(progress.line());
        bar.set_position((progress.share() * PARTS as f64) as u64);
        if bar.is_hidden() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.tick();
        }
    }
}

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_A_MINUTE: Progress = Progress {
        phase: Phase::Window,
        elapsed: Duration::from_secs(30),
        completed: 290,
        failed: 10,
        non_2xx: 0,
        requests: None,
        duration: Some(Duration::from_secs(40)),
    };

    #[test]
    fn a_line_tells_how_much_is_done_how_fast_what_is_wrong_and_how_long_it_takes() {
        assert_eq!(HALF_A_MINUTE.line(), "300 requests, 10/s, 10 failed, 10 s left");
        let warmup = Progress {
            phase: Phase::WarmUp,
            failed: 0,
            non_2xx: 3,
            completed: 300,
            requests: Some(900),
            duration: None,
            ..HALF_A_MINUTE
        };
        assert_eq!(warmup.line(), "warm-up: 300 of 900, 10/s, 3 not 2xx, 60 s left");
    }

    #[test]
    fn whichever_end_comes_first_counts() {
        for (requests, share) in [(301, 300.0 / 301.0), (1000, 0.75), (u64::MAX, 0.75)] {
            assert_eq!(Progress { requests: Some(requests), ..HALF_A_MINUTE }.share(), share);
        }
        let over = Progress { elapsed: Duration::from_secs(41), ..HALF_A_MINUTE };
        assert_eq!((over.share(), over.left()), (1.0, Some(Duration::ZERO)));
    }

    #[test]
    fn nothing_is_foretold_before_anything_has_happened() {
        let requests = Some(5);
        let fresh = Progress { completed: 0, failed: 0, requests, duration: None, ..HALF_A_MINUTE };
        assert_eq!((fresh.left(), fresh.line()), (None, "0 of 5, 0/s".to_owned()));
    }

    #[test]
    fn a_long_line_fits_eighty_columns_beside_its_bar() {
        let long = Progress {
            completed: 499_999_999,
            requests: Some(1_000_000_000),
            elapsed: Duration::from_secs(9_000),
            failed: 1,
            ..HALF_A_MINUTE
        };
        assert!("############ 100% ".len() + long.line().len() <= 80, "{}", long.line());
    }
}
